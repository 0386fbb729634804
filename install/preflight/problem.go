// Package preflight looks for what would keep a host from running a kubelet. It changes nothing.
package preflight

import (
	"fmt"
	"strings"
)

// Problem is something that keeps this host from running this kubelet, or may.
type Problem struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
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
	CgroupV1       = "cgroup-v1"
	ClientCA       = "client-ca"
	ClusterDNS     = "cluster-dns"
	HealthPort     = "health-port"
	KubeadmConfig  = "kubeadm-config"
	KernelDefaults = "kernel-defaults"
	Runtime        = "runtime"
	ServingCert    = "serving-cert"
	Skew           = "skew"
	StopsKubelet   = "stops-kubelet"
	Swap           = "swap"
)

// IDs of problems that may not, or that need not since they are warnings.
const (
	KubeletDir   = "kubelet-dir"
	BinDir       = "bin-dir"
	KubeadmFiles = "kubeadm-files"
	ManagerState = "manager-state"
	Packages     = "packages"
	StateDir     = "state-dir"
)

// Ignorable are the IDs of the problems that a user may choose to go on with.
func Ignorable() []string {
	return []string{CgroupV1, ClientCA, ClusterDNS, HealthPort, KernelDefaults, KubeadmConfig, Runtime, ServingCert, Skew, StopsKubelet, Swap}
}

// FailedError holds the problems for which a change is refused before anything is touched.
type FailedError struct{ Problems []Problem }

func (e *FailedError) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, fmt.Sprintf("%s: %s", p.ID, p.Message))
	}
	return strings.Join(lines, "\n")
}

// Failed is a FailedError with one problem.
func Failed(id, message, hint string) error {
	return &FailedError{[]Problem{{ID: id, Severity: Failure, Message: message, Hint: hint}}}
}
