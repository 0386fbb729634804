package hostfs

import (
	"errors"
	"io/fs"
	"path"
	"slices"
)

// Where things are on every host. All are paths of the host, as every [Tree] takes them.
const (
	KubeletDir = "/var/lib/kubelet"
	ConfigFile = KubeletDir + "/kubelet-config.yaml"
	Kubeconfig = KubeletDir + "/kubeconfig"
	// BootstrapKubeconfig and ClusterCA are where join writes what is of the cluster, unless the spec names other places.
	BootstrapKubeconfig = KubeletDir + "/bootstrap-kubeconfig"
	ClusterCA           = KubeletDir + "/cluster-ca.crt"
	// ClientCertificate is the one that kubelet gets from its cluster and renews itself.
	ClientCertificate = KubeletDir + "/pki/kubelet-client-current.pem"
	UnitDir           = "/etc/systemd/system"
	StateDir          = "/var/lib/kubeletctl"
	SpecFile          = "/etc/kubeletctl/spec.yaml"
	DefaultBinDir     = "/usr/local/bin"
)

// kubeletState are entries of kubelet's root directory that hold its state, by names that tell whose they are.
var kubeletState = []string{
	"pods", "plugins", "plugins_registry", "device-plugins", "pod-resources", "checkpoints", "cpu_manager_state", "memory_manager_state",
}

// IsKubeletState reports whether an entry of a directory holds the state of a kubelet and can hardly be anything else's.
func IsKubeletState(entry string) bool { return slices.Contains(kubeletState, entry) }

// protectedDirs belong to the system or to other programs, so none of them can be kubelet's root directory.
var protectedDirs = []string{
	"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root",
	"/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/usr/bin", "/usr/lib", "/usr/local", "/usr/local/bin",
	"/var/lib", "/var/log", "/var/lib/containerd", "/var/lib/kubeletctl", "/etc/kubernetes", "/etc/systemd",
}

// IsProtected reports whether a directory of the host can never be kubelet's root directory, whose content a purge deletes.
func IsProtected(dir string) bool { return slices.Contains(protectedDirs, path.Clean(dir)) }

// Pathless takes the path off an error whose message names it anyway.
func Pathless(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
