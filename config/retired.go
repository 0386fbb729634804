package config

import "slices"

// fate says what becomes of a flag that the target release has removed.
type fate int

const (
	hadEffect fate = iota // dropping it would change what the kubelet does
	dropped               // it did nothing, or nothing that still exists
	renamed               // another flag takes the same value
)

// Any value of these did nothing for a node whose containers a CRI runtime
// runs, or tuned something that went with it: Docker and its shim (the runtime
// configures CNI and the sandbox image today), cAdvisor's own metric stores,
// which the kubelet never read.
var retiredAnyValue = []string{
	"application-metrics-count-limit", "cni-bin-dir", "cni-cache-dir", "cni-conf-dir", "docker", "docker-endpoint",
	"docker-env-metadata-whitelist", "docker-only", "docker-root",
	"docker-tls", "docker-tls-ca", "docker-tls-cert", "docker-tls-key", "event-storage-age-limit", "event-storage-event-limit",
	"experimental-dockershim-root-directory", "image-pull-progress-deadline", "log-cadvisor-usage", "master-service-namespace",
	"network-plugin-mtu", "non-masquerade-cidr", "pod-infra-container-image", "storage-driver-buffer-duration",
	"storage-driver-db", "storage-driver-host", "storage-driver-password", "storage-driver-secure", "storage-driver-table",
	"storage-driver-user",
}

// These values say what the kubelet does anyway, now that the flag is gone.
// cAdvisor still looks at its built-in places, so any other place did matter.
// They are compared as the flag's type reads them: 1m is 60s.
var retiredValues = map[string][]string{
	"allow-privileged":                  {"true"},
	"azure-container-registry-config":   {""},
	"boot-id-file":                      {"/proc/sys/kernel/random/boot_id"},
	"bootstrap-checkpoint-path":         {""},
	"chaos-chance":                      {"0"},
	"cloud-config":                      {""},
	"container-runtime":                 {"remote"},
	"containerized":                     {"false"},
	"container-hints":                   {"/etc/cadvisor/container_hints.json"},
	"containerd":                        {"/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock"},
	"containerd-namespace":              {"k8s.io"},
	"dynamic-config-dir":                {""},
	"enable-cadvisor-json-endpoints":    {"false"},
	"enable-load-reader":                {"false"},
	"experimental-dockershim":           {"false"},
	"experimental-logging-sanitization": {"false"},
	"experimental-check-node-capabilities-before-mount": {"false"},
	"global-housekeeping-interval":                      {"1m"},
	"host-ipc-sources":                                  {"*"},
	"host-network-sources":                              {"*"},
	"host-pid-sources":                                  {"*"},
	"keep-terminated-pod-volumes":                       {"false"},
	"machine-id-file":                                   {"/etc/machine-id,/var/lib/dbus/machine-id"},
	"network-plugin":                                    {"cni", ""},
	"really-crash-for-testing":                          {"false"},
	"redirect-container-streaming":                      {"false"},
	"register-schedulable":                              {"true"},
	"seccomp-profile-root":                              {"/var/lib/kubelet/seccomp"},
}

// The table's "replaced by" is advice for people: a Docker socket is no CRI
// endpoint, and Azure's file is no credential provider's. Only here does the
// same value do the same.
var retiredSameValue = []string{"experimental-bootstrap-kubeconfig"}

// retire decides about a flag that the target release has removed.
func retire(f Flag, value string) fate {
	switch {
	case f.Group == "klog": // they only chose where and how to log; journald keeps the log
		return dropped
	case slices.Contains(retiredAnyValue, f.Name):
		return dropped
	case slices.ContainsFunc(retiredValues[f.Name], func(v string) bool { return sameValue(f, v, value) }):
		return dropped
	case slices.Contains(retiredSameValue, f.Name):
		return renamed
	}
	return hadEffect
}
