package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/preflight/facts"
	"github.com/kubeletctl/kubeletctl/release"
)

const (
	// firstCRIv1 is the first release that speaks version 1 of the interface (kubernetes#104575), firstCRIv1Only the first that
	// speaks no older one (CHANGELOG-1.26, kubernetes#110618).
	firstCRIv1, firstCRIv1Only config.Minor = 23, 26
	// firstAskingDriver is the first that takes its cgroup driver from a runtime that tells it (KEP-4033, beta), and
	// firstNeedingDriver the first that does not go on without (kubeadm#3229).
	firstAskingDriver, firstNeedingDriver config.Minor = 31, 38
)

// checkRuntime asks whether there is a container runtime that this kubelet can speak to.
func checkRuntime(k Kubelet, f *facts.Facts) *Problem {
	p := runtimeProblem(f.Runtime)
	if p == nil && f.Runtime.Asked {
		p = interfaceProblem(f.Runtime, k.minor())
	}
	if p != nil && k.waits() { // it may still come, and kubelet does not start before it has to
		p.Severity = Warning
	}
	return p
}

// runtimeProblem says why nobody answers at an endpoint; nil when somebody does, or when there is no endpoint.
func runtimeProblem(r facts.Runtime) *Problem {
	scheme, socket, isURL := strings.Cut(r.Endpoint, "://")
	if !isURL {
		socket = r.Endpoint // kubelet takes a path as well
	}
	unit := runtimeUnit(socket)
	start := "start the container runtime (systemctl enable --now " + unit + "), or name its socket: --container-runtime-endpoint"
	switch {
	case socket == "" || r.Err == nil && (!isURL || scheme == "unix"):
		return nil
	case isURL && scheme != "unix":
		return problem(Runtime, Failure,
			"kubelet reaches a container runtime only through a unix socket, and not through "+release.Redact(r.Endpoint), "",
			start)
	case !errors.Is(r.Err, fs.ErrNotExist):
		return problem(Runtime, Failure, fmt.Sprintf("the container runtime on %s does not answer: %v", socket, r.Err), "",
			"restart the container runtime (systemctl restart "+unit+"), or name another socket: --container-runtime-endpoint")
	case len(r.Others) > 0:
		start = "another container runtime answers: --container-runtime-endpoint " + r.Others[0]
	}
	return problem(Runtime, Failure, "no container runtime listens on "+socket, "", start)
}

// interfaceProblem says why a runtime that answers does not do for a kubelet of a minor release; nil when it does.
func interfaceProblem(r facts.Runtime, minor config.Minor) *Problem {
	_, socket, _ := strings.Cut("/"+r.Endpoint, "://")
	socket = cmp.Or(socket, r.Endpoint)
	switch {
	case r.V1 && minor >= firstCRIv1, r.V1alpha2 && minor < firstCRIv1Only:
		return nil
	case !r.V1 && !r.V1alpha2:
		return problem(CRIDisabled, Failure,
			"what listens on "+socket+" answers, but does not speak CRI: containerd's cri plugin is disabled", "",
			"sed -i '/^disabled_plugins/d' /etc/containerd/config.toml && systemctl restart "+runtimeUnit(socket))
	case !r.V1:
		return problem(CRIVersion, Failure, runtimeName(r)+" speaks CRI v1alpha2 only",
			fmt.Sprintf("kubelet needs CRI v1 from %s on", firstCRIv1Only),
			"upgrade the container runtime: containerd 1.6 or later, CRI-O 1.20 or later")
	}
	return problem(CRIVersion, Failure, runtimeName(r)+" speaks CRI v1 only",
		fmt.Sprintf("kubelet needs CRI v1alpha2 up to %s", firstCRIv1-1),
		"install a newer kubelet, or containerd 1.7")
}

// runtimeName is what a runtime calls itself.
func runtimeName(r facts.Runtime) string {
	return strings.TrimSpace(cmp.Or(r.Name, "the container runtime") + " " + r.Version)
}

// checkReady passes on what the runtime says of itself.
func checkReady(_ Kubelet, f *facts.Facts) *Problem {
	if f.Runtime.NotReady == "" {
		return nil
	}
	return problem(Runtime, Warning, runtimeName(f.Runtime)+" is not ready: "+f.Runtime.NotReady, "",
		"journalctl -u "+runtimeUnit(f.Runtime.Endpoint))
}

// checkRuntimeConfig looks whether the runtime tells kubelet its cgroup driver.
func checkRuntimeConfig(k Kubelet, f *facts.Facts) *Problem {
	severity := Info
	if k.minor() >= firstNeedingDriver {
		severity = Failure
	}
	if f.Runtime.RuntimeConfig != cri.No {
		return nil
	}
	return problem(CRIRuntimeConfig, severity,
		runtimeName(f.Runtime)+" does not tell kubelet its cgroup driver (CRI RuntimeConfig)",
		fmt.Sprintf("kubelet requires that from %s on", firstNeedingDriver), "upgrade the container runtime: containerd 2.0 or later, CRI-O 1.28 or later")
}

// checkCgroupDriver compares what kubelet and the runtime make their cgroups with, where kubelet does not take over the runtime's.
func checkCgroupDriver(k Kubelet, f *facts.Facts) *Problem {
	ours, theirs := cmp.Or(k.setting("cgroup-driver", "cgroupDriver"), "cgroupfs"), f.Runtime.CgroupDriver
	if theirs == "" || ours == theirs || f.Runtime.RuntimeConfig == cri.Yes && k.minor() >= firstAskingDriver {
		return nil
	}
	found := fmt.Sprintf("kubelet uses the cgroup driver %s, and %s uses %s", ours, runtimeName(f.Runtime), theirs)
	if ours == "cgroupfs" {
		return problem(CgroupDriver, k.newly(), found, "no pod starts unless both use the same", k.set("cgroupDriver=systemd"))
	}
	return problem(CgroupDriver, Warning, found, "the limits of pods are not kept unless both use the same", systemdCgroup)
}

// systemdCgroup makes containerd use systemd for its cgroups, and leaves all else as it is.
const systemdCgroup = `containerd config dump | sed 's/SystemdCgroup = false/SystemdCgroup = true/' >/etc/containerd/config.new && ` +
	`mv /etc/containerd/config.new /etc/containerd/config.toml && systemctl restart containerd`

// checkNetwork passes on that pods have no network yet.
func checkNetwork(_ Kubelet, f *facts.Facts) *Problem {
	if f.Runtime.NoNetwork == "" {
		return nil
	}
	return problem(CNI, Info, "pods have no network yet: "+f.Runtime.NoNetwork, "the node is not Ready before there is one",
		"install the network plugin of the cluster, which writes to /etc/cni/net.d")
}

// CheckRuntime asks whether a container runtime for a kubelet of a minor release is at an endpoint; nil when there is, or when
// there is no endpoint. ask reports, as an error, that none answers; nil asks nobody.
func CheckRuntime(ctx context.Context, endpoint string, minor config.Minor, ask func(context.Context, string) error) *Problem {
	_, socket, isURL := strings.Cut(endpoint, "://")
	if !isURL {
		socket = endpoint
	}
	r := facts.Runtime{Endpoint: endpoint}
	if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
		r.Err, r.Others = err, cri.Answering(ctx, ask)
	} else if ask != nil && socket != "" && (!isURL || strings.HasPrefix(endpoint, "unix://")) {
		r.Err = ask(ctx, endpoint)
	}
	if !errors.Is(r.Err, cri.ErrNoV1) {
		return runtimeProblem(r)
	}
	if minor < firstCRIv1Only {
		return nil
	}
	return problem(Runtime, Failure,
		fmt.Sprintf("what listens on %s answers, but does not speak CRI v1, which kubelet needs from %s on", socket, firstCRIv1Only), "",
		"turn on containerd's cri plugin (disabled_plugins in /etc/containerd/config.toml), or update the container runtime")
}

// runtimeUnit is the unit of the container runtime that has a socket; containerd's for one that is not known.
func runtimeUnit(socket string) string {
	for _, known := range cri.Known {
		if strings.HasSuffix(known.Endpoint, strings.TrimPrefix(socket, "/var")) {
			return known.Unit
		}
	}
	return cri.Known[0].Unit
}
