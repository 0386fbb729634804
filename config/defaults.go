package config

import "slices"

const (
	defaultConfigPath = "/var/lib/kubelet/kubelet-config.yaml"
	defaultKubeconfig = "/var/lib/kubelet/kubeconfig"
	defaultEndpoint   = "unix:///var/run/containerd/containerd.sock"
)

// fieldDefault is a field that kubeletctl sets when the user does not. Where a
// release has no such field but has the flag, it lands there; where it has
// neither it is left out.
type fieldDefault struct {
	field  string
	value  any
	reason string // one line, written above the key
}

var secureDefaults = []fieldDefault{
	{"authentication.anonymous.enabled", false, "a request without credentials is refused, not served as system:anonymous"},
	{"authentication.webhook.enabled", true, "bearer tokens are verified by the API server"},
	{"authorization.mode", "Webhook", "the API server decides who may do what here; AlwaysAllow lets every caller run commands in pods"},
	{"readOnlyPort", 0, "the read-only port answers anyone, without credentials"},
	{"rotateCertificates", true, "the client certificate is renewed before it expires"},
	{"cgroupDriver", "systemd", "systemd owns the cgroup tree; a second manager makes nodes unstable under pressure"},
}

// standaloneDefaults take the place of secureDefaults when there is no API
// server to ask: nobody can be authorized, so nothing listens.
var standaloneDefaults = []fieldDefault{
	{"authentication.anonymous.enabled", false, "a request without credentials is refused, not served as system:anonymous"},
	{"authentication.webhook.enabled", false, "there is no API server that could verify a token"},
	{"authorization.mode", "AlwaysAllow", "there is no API server to ask; the server port is off instead"},
	{"enableServer", false, "without an API server nobody has business on the server port"},
	{"readOnlyPort", 0, "the read-only port answers anyone, without credentials"},
	{"staticPodPath", "/etc/kubernetes/manifests", "the pods of this node come from files"},
	{"cgroupDriver", "systemd", "systemd owns the cgroup tree; a second manager makes nodes unstable under pressure"},
}

func fieldDefaults(standalone bool) []fieldDefault {
	if standalone {
		return standaloneDefaults
	}
	return secureDefaults
}

// nodeFlags describe this node rather than the kind of node; they stay in the
// unit for as long as the release accepts them, so that the configuration file
// can be the same on every node.
var nodeFlags = []string{
	"bootstrap-kubeconfig", "config", "container-runtime-endpoint", "hostname-override", "kubeconfig",
	"node-ip", "node-labels", "register-node", "v",
}

func isNodeFlag(name string) bool { return slices.Contains(nodeFlags, name) }

// flagDefaults are the flags that kubeletctl gives when the user does not, in
// the releases that accept them. The last three are what a kubelet needed up to
// 1.23 to leave Docker alone and talk to containerd.
func flagDefaults(in Input) map[string]string {
	flags := map[string]string{
		"config":                       in.ConfigPath,
		"kubeconfig":                   in.Kubeconfig,
		"container-runtime-endpoint":   defaultEndpoint,
		"register-node":                "true",
		"v":                            "2",
		"container-runtime":            "remote",
		"network-plugin":               "cni",
		"image-pull-progress-deadline": "2m",
	}
	if in.Standalone {
		delete(flags, "kubeconfig")
		flags["register-node"] = "false"
	}
	return flags
}
