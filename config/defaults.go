package config

import "slices"

const (
	defaultConfigPath = "/var/lib/kubelet/kubelet-config.yaml"
	defaultKubeconfig = "/var/lib/kubelet/kubeconfig"
	defaultEndpoint   = "unix:///var/run/containerd/containerd.sock"
)

// Profile chooses the defaults of the configuration file.
type Profile string

const (
	// Hardened passes the worker node section of the CIS Kubernetes benchmark as
	// far as no setting of the host has to come first.
	Hardened Profile = "hardened"
	// Upstream leaves everything that can be left to the kubelet's own defaults.
	Upstream Profile = "upstream"
	// Kubeadm leaves the configuration, and most flags, to kubeadm.
	Kubeadm Profile = "kubeadm"
)

// Profiles lists what there is; the first is the default.
func Profiles() []Profile { return []Profile{Hardened, Upstream, Kubeadm} }

// fieldDefault is a field that kubeletctl sets when the user does not. Where a
// release has no such field but has the flag, it lands there; where it has
// neither it is left out.
type fieldDefault struct {
	field  string
	value  any
	reason string // one line, written above the key
	// The releases where it makes sense, when that is not every one with the field.
	since, until Minor
}

// hardenedDefaults are the hardened defaults of every kubelet. What would need a
// setting of the host or a file first is not among them, but preflight speaks of
// it: clientCAFile, serverTLSBootstrap, protectKernelDefaults.
var hardenedDefaults = []fieldDefault{
	{field: "authentication.anonymous.enabled", value: false, reason: "a request without credentials is refused, not served as system:anonymous"},
	{field: "readOnlyPort", value: 0, reason: "the read-only port answers anyone, without credentials"},
	{field: "cgroupDriver", value: "systemd", reason: "systemd owns the cgroup tree; a second manager makes nodes unstable under pressure"},
	{field: "makeIPTablesUtilChains", value: true, reason: "kubelet keeps the packet filter chains that hostPorts rely on in order"},
	{field: "podPidsLimit", value: 4096, since: 14, reason: "one pod can not use up the process ids of the node"},
	// The gate SeccompDefault, without which the field is refused, is on from 1.25.
	{field: "seccompDefault", value: true, since: 25, reason: "containers that ask for no seccomp profile get the runtime's, not none"},
}

var joinedDefaults = []fieldDefault{
	{field: "authentication.webhook.enabled", value: true, reason: "bearer tokens are verified by the API server"},
	{field: "authorization.mode", value: "Webhook", reason: "the API server decides who may do what here; AlwaysAllow lets every caller run commands in pods"},
	{field: "rotateCertificates", value: true, reason: "the client certificate is renewed before it expires"},
	{field: "eventRecordQPS", value: 50, reason: "events are rate limited, but not so low that a burst hides what happened"},
	{field: "streamingConnectionIdleTimeout", value: "4h", until: 34, reason: "idle exec and port-forward sessions end some time"},
	{field: "tlsMinVersion", value: "VersionTLS12", reason: "older TLS is broken"},
	{field: tlsCipherSuites, value: []string{
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
		"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
	}, reason: "forward secrecy and authenticated encryption only; TLS 1.3 chooses by itself"},
}

const tlsCipherSuites = "tlsCipherSuites"

// standaloneDefaults take the place of joinedDefaults when there is no API
// server to ask: nobody can be authorized, so nothing listens. Without them such
// a kubelet does not start, or is open to everybody: they are no matter of taste.
var standaloneDefaults = []fieldDefault{
	{field: "authentication.anonymous.enabled", value: false, reason: "a request without credentials is refused, not served as system:anonymous"},
	{field: "authentication.webhook.enabled", value: false, reason: "there is no API server that could verify a token"},
	{field: "authorization.mode", value: "AlwaysAllow", reason: "there is no API server to ask; the server port is off instead"},
	{field: "enableServer", value: false, reason: "without an API server nobody has business on the server port"},
	{field: "staticPodPath", value: "/etc/kubernetes/manifests", reason: "the pods of this node come from files"},
}

// fieldDefaults are the defaults for a minor, in the order of their reasons.
func fieldDefaults(in Input, m Minor) []fieldDefault {
	var all []fieldDefault
	if in.Standalone {
		all = append(all, standaloneDefaults...)
	}
	if in.Profile != Upstream {
		all = append(all, hardenedDefaults...)
		if !in.Standalone {
			all = append(all, joinedDefaults...)
		}
	}
	minVersion, _ := in.Config["tlsMinVersion"].(string)
	if flag, ok := in.Flags["tls-min-version"]; ok {
		minVersion = flag
	}
	return slices.DeleteFunc(all, func(d fieldDefault) bool {
		// With TLS 1.3 as the minimum cipher suites cannot be chosen.
		return m < d.since || d.until != 0 && m >= d.until || d.field == tlsCipherSuites && minVersion == "VersionTLS13"
	})
}

// legacyDefaults are what a kubelet without --config does, where that differs (applyLegacyDefaults of
// k8s.io/kubernetes/cmd/kubelet/app/options; from 1.26 on evictionHard gets its default when a file is loaded, in
// cmd/kubelet/app/server.go).
var legacyDefaults = map[string]struct {
	value string
	since Minor
}{
	"authentication.anonymous.enabled": {value: "true"},
	"authentication.webhook.enabled":   {value: "false"},
	"authorization.mode":               {value: "AlwaysAllow"},
	"evictionHard":                     {value: "{}", since: 26},
	"readOnlyPort":                     {value: "10255"},
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
