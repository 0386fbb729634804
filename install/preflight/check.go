package preflight

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Facts are what is known of a host that runs, beside what was observed.
type Facts struct {
	// Booting says that units of this host may still have to start.
	Booting bool
	// AskRuntime reports, as an error, that no container runtime answers at an endpoint; nil asks nobody.
	AskRuntime func(ctx context.Context, endpoint string) error
}

// Check looks for what would keep this host from running the kubelet of a draft, all at once. have is what was installed
// last. Of a tree that does not run nothing is known.
func Check(ctx context.Context, d *spec.Draft, have *plan.Generation, seen *plan.Observation, facts Facts) []Problem {
	var problems []Problem
	add := func(id string, s Severity, hint, format string, args ...any) {
		problems = append(problems, Problem{ID: id, Severity: s, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	if !seen.Live {
		return nil
	}
	fields := d.Rendered.Fields
	failure, accept := Failure, func(setting string) string { return "--set " + setting }
	if d.Kubeadm {
		fields, _ = Fields(d.Generation) // that it can be read was found out when it was prepared
		accept = func(setting string) string {
			return strings.Replace(setting, "=", ": ", 1) + " in a KubeletConfiguration document of kubeadm's configuration"
		}
		if len(fields) == 0 { // kubeadm may still say so
			failure = Warning
		}
	}
	minor := config.Minor(d.Version.Minor())
	if fails, known := fields["failCgroupV1"].(bool); minor >= 35 && cgroupV1() && (!known || fails) {
		add(CgroupV1, failure, "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1), or accept cgroup v1: "+accept("failCgroupV1=false"),
			"this host uses cgroup v1, and kubelet refuses to run on it from 1.35 on")
	}
	if fails, known := fields["failSwapOn"].(bool); (!known || fails) && swapOn() {
		add(Swap, failure, "turn swap off (swapoff -a, and /etc/fstab), or accept it: "+accept("failSwapOn=false"),
			"swap is on, and kubelet refuses to run with it")
	}
	endpoint, _ := Endpoint(d.Generation)
	if problem := CheckRuntime(ctx, endpoint, minor, facts.AskRuntime); problem != nil {
		if facts.Booting || !seen.Credentials { // it may still come, and kubelet does not start before it has to
			problem.Severity = Warning
		}
		problems = append(problems, *problem)
	}
	if address, ok := strings.CutPrefix(strings.TrimSuffix(d.HealthURL, "/healthz"), "http://"); ok && (!seen.Units[systemd.KubeletService].Up() || have != nil && have.HealthURL != d.HealthURL) {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			conn.Close()
			add(HealthPort, Failure, "ss -ltnp shows which program it is; or choose another port: --set healthzPort=PORT",
				"another program already listens on %s, where kubelet would serve /healthz", address)
		}
	}
	if seen.Units[systemd.KubeletService].Up() && !seen.Credentials {
		add(StopsKubelet, Failure, "keep it with --standalone, or put the kubeconfig there first", "kubelet runs, and would be stopped until one of these exists: %s",
			strings.Join(d.Credentials, ", "))
	}
	if d.Kubeadm {
		return problems
	}
	if _, elsewhere := config.Argument(d.Args, "config-dir"); !d.Spec.Standalone && fields["clusterDNS"] == nil && !elsewhere {
		add(ClusterDNS, Info, "--set 'clusterDNS=[10.96.0.10]' --set clusterDomain=cluster.local, as the cluster has them",
			"pods use the node's DNS servers and do not find the services of the cluster")
	}
	if d.Spec.Profile != config.Upstream {
		hardening(fields, d.Spec.Standalone, add)
	}
	return problems
}

// CheckRuntime asks whether a container runtime for a kubelet of a minor release is at an endpoint; nil when there is, or when
// there is no endpoint.
func CheckRuntime(ctx context.Context, endpoint string, minor config.Minor, ask func(context.Context, string) error) *Problem {
	scheme, socket, hasScheme := strings.Cut(endpoint, "://")
	if !hasScheme {
		socket = endpoint // kubelet takes a path as well
	}
	if socket == "" {
		return nil
	}
	unit := runtimeUnit(socket)
	problem := Problem{ID: Runtime, Severity: Failure,
		Hint: "start the container runtime (systemctl enable --now " + unit + "), or name its socket: --container-runtime-endpoint"}
	if hasScheme && scheme != "unix" {
		problem.Message = "kubelet reaches a container runtime only through a unix socket, and not through " + release.Redact(endpoint)
		return &problem
	}
	if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
		problem.Message = "no container runtime listens on " + socket
		if others := Runtimes(ctx, ask); len(others) > 0 {
			problem.Hint = "another container runtime answers: --container-runtime-endpoint " + others[0]
		}
		return &problem
	}
	if ask == nil {
		return nil
	}
	switch err := ask(ctx, endpoint); {
	case err == nil:
		return nil
	case errors.Is(err, cri.ErrNoV1) && minor < firstCRIv1Only:
		return nil
	case errors.Is(err, cri.ErrNoV1):
		problem.Message = fmt.Sprintf("what listens on %s answers, but does not speak CRI v1, which kubelet needs from %s on", socket, firstCRIv1Only)
		problem.Hint = "turn on containerd's cri plugin (disabled_plugins in /etc/containerd/config.toml), or update the container runtime"
	default:
		problem.Message = fmt.Sprintf("the container runtime on %s does not answer: %v", socket, err)
		problem.Hint = "restart the container runtime (systemctl restart " + unit + "), or name another socket: --container-runtime-endpoint"
	}
	return &problem
}

// firstCRIv1Only is the first release that speaks no older version of the interface (CHANGELOG-1.26, kubernetes#110618).
const firstCRIv1Only config.Minor = 26

// Runtimes are the endpoints of the known container runtimes that answer; ask may be nil.
func Runtimes(ctx context.Context, ask func(context.Context, string) error) []string {
	var endpoints []string
	for _, known := range cri.Known {
		if ask != nil && ask(ctx, known.Endpoint) == nil {
			endpoints = append(endpoints, known.Endpoint)
		}
	}
	return endpoints
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

// hardening speaks of what the hardened defaults leave off because something else has to come first.
func hardening(fields map[string]any, standalone bool, add func(id string, s Severity, hint, format string, args ...any)) {
	if fields["protectKernelDefaults"] != true {
		var differ []string
		for _, s := range kernelDefaults {
			data, err := os.ReadFile("/proc/sys/" + s.name)
			if err == nil && strings.TrimSpace(string(data)) != s.value {
				differ = append(differ, strings.ReplaceAll(s.name, "/", ".")+"="+s.value)
			}
		}
		hint := "--set protectKernelDefaults=true"
		if len(differ) > 0 {
			hint = "set " + strings.Join(differ, ", ") + " in /etc/sysctl.d, then " + hint
		}
		add(KernelDefaults, Info, hint, "kubelet changes kernel settings that are not as it needs them")
	}
	if standalone {
		return
	}
	authentication, _ := fields["authentication"].(map[string]any)
	if x509, _ := authentication["x509"].(map[string]any); x509["clientCAFile"] == nil {
		add(ClientCA, Info, "--set authentication.x509.clientCAFile=/etc/kubernetes/pki/ca.crt, or where the cluster's CA is",
			"no client certificate is accepted, and most API servers come with one for logs, exec and port-forward")
	}
	if fields["tlsCertFile"] == nil && fields["serverTLSBootstrap"] != true {
		add(ServingCert, Info, "--set serverTLSBootstrap=true, once something approves kubelet-serving requests; or tlsCertFile and tlsPrivateKeyFile",
			"kubelet signs its own serving certificate, which nobody can verify")
	}
}

// kernelDefaults are the settings that kubelet wants (and sets by itself without protectKernelDefaults).
var kernelDefaults = []struct{ name, value string }{
	{"vm/overcommit_memory", "1"}, {"vm/panic_on_oom", "0"}, {"kernel/panic", "10"}, {"kernel/panic_on_oops", "1"},
	{"kernel/keys/root_maxkeys", "1000000"}, {"kernel/keys/root_maxbytes", "25000000"},
}

// cgroupV1 reports whether the kernel's controllers are in the first hierarchy's layout.
func cgroupV1() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type != unix.CGROUP2_SUPER_MAGIC
}

// swapOn reports whether /proc/swaps lists any swap (its first line is a heading).
func swapOn() bool {
	f, err := os.Open("/proc/swaps")
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Scan()
	return lines.Scan()
}
