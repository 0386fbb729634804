// Package preflight looks for what would keep a host from running a kubelet. It changes nothing.
package preflight

import (
	"slices"
	"strings"
)

// Problem is something that keeps this host from running this kubelet, or may.
type Problem struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Message is what was found, Expected what kubelet needs or does; empty when Message says it.
	Message  string `json:"message"`
	Expected string `json:"expected,omitempty"`
	// Hint is the remedy.
	Hint string `json:"hint,omitempty"`
}

// Text is what was found and what was expected.
func (p Problem) Text() string {
	if p.Expected == "" {
		return p.Message
	}
	return p.Message + "; " + p.Expected
}

// Severity of a Problem.
type Severity string

const (
	// Failure: it cannot work.
	Failure Severity = "error"
	// Warning: it works, or may, but not as it should.
	Warning Severity = "warning"
	// Info: worth knowing.
	Info Severity = "info"
)

// IDs of problems that may be ignored; their values are a stable interface.
const (
	APIServer          = "api-server"
	BrNetfilter        = "br-netfilter"
	CgroupDriver       = "cgroup-driver"
	CgroupV1           = "cgroup-v1"
	ClientCA           = "client-ca"
	Clock              = "clock"
	ClusterDNS         = "cluster-dns"
	CNI                = "cni"
	Controllers        = "cgroup-controllers"
	CredentialProvider = "credential-provider"
	CRIDisabled        = "cri-disabled"
	CRIRuntimeConfig   = "cri-runtime-config"
	CRIVersion         = "cri-v1"
	Disk               = "disk"
	Fapolicyd          = "fapolicyd"
	Firewalld          = "firewalld"
	Foresight          = "foresight"
	HealthPort         = "health-port"
	Inotify            = "inotify"
	IPForward          = "ip-forward"
	KernelDefaults     = "kernel-defaults"
	KernelRelease      = "kernel-release"
	Kmsg               = "kmsg"
	KubeadmConfig      = "kubeadm-config"
	KubeletPort        = "port-kubelet"
	Late               = "late"
	MachineID          = "machine-id"
	Memory             = "memory"
	NodeName           = "node-name"
	NoExec             = "noexec"
	NoFile             = "nofile"
	OtherKubelet       = "other-kubelet"
	PluginDir          = "volume-plugin-dir"
	Proxy              = "proxy"
	ReadOnlyPort       = "port-readonly"
	ResolvConf         = "resolv-conf"
	RootDir            = "root-dir"
	Runtime            = "runtime"
	SELinux            = "selinux"
	ServingCert        = "serving-cert"
	Skew               = "skew"
	StopsKubelet       = "stops-kubelet"
	Swap               = "swap"
	SwapBehavior       = "swap-behavior"
	TLSCert            = "tls-cert"
)

// IDs of problems that may not, or that need not since they are warnings.
const (
	KubeletDir   = "kubelet-dir"
	BinDir       = "bin-dir"
	KubeadmFiles = "kubeadm-files"
	ManagerState = "manager-state"
	Packages     = "packages"
	Rehearsal    = "rehearsal"
	StateDir     = "state-dir"
)

// Ignorable are the IDs of the problems that a user may choose to go on with.
func Ignorable() []string {
	return []string{APIServer, BrNetfilter, Controllers, CgroupDriver, CgroupV1, ClientCA, Clock, ClusterDNS, CNI, CredentialProvider,
		CRIDisabled, CRIRuntimeConfig, CRIVersion, Disk, Fapolicyd, Firewalld, Foresight, HealthPort, Inotify, IPForward, KernelDefaults,
		KernelRelease, Kmsg, KubeadmConfig, Late, MachineID, Memory, NodeName, NoExec, NoFile, OtherKubelet, KubeletPort,
		ReadOnlyPort, Proxy, ResolvConf, RootDir, Runtime, SELinux, ServingCert, Skew, StopsKubelet, Swap, SwapBehavior,
		TLSCert, PluginDir}
}

// OfConfiguration reports whether a problem is one of the configuration, which can be told without a look at the host.
func OfConfiguration(id string) bool {
	return slices.Contains([]string{ClientCA, ClusterDNS, Foresight, KernelDefaults, ServingCert}, id)
}

// aliases are other names of IDs: those of the parts that an ID had before, and better names.
var aliases = map[string][]string{
	"cri-socket": {Runtime}, "port-health": {HealthPort}, "kernel-flags": {KernelDefaults},
	Runtime: {Runtime, CRIDisabled, CRIVersion},
}

// Known reports whether an ID is one that may be ignored, or another name of one.
func Known(id string) bool {
	_, alias := aliases[id]
	return alias || slices.Contains(Ignorable(), id)
}

// Ignored reports whether a problem is one of those that a user named.
func Ignored(id string, named []string) bool {
	return slices.Contains(Ignorable(), id) && slices.ContainsFunc(named, func(n string) bool { return n == id || slices.Contains(aliases[n], id) })
}

// FailedError holds the problems for which a change is refused before anything is touched.
type FailedError struct{ Problems []Problem }

func (e *FailedError) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.ID+": "+p.Text())
	}
	return strings.Join(lines, "\n")
}

// Failed is a FailedError with one problem.
func Failed(id, message, hint string) error {
	return &FailedError{[]Problem{{ID: id, Severity: Failure, Message: message, Hint: hint}}}
}
