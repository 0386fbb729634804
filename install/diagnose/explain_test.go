package diagnose

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
	"github.com/kubeletctl/kubeletctl/systemd"
)

func explain(text string) Diagnosis {
	return Explain(kubeletlog.Parse(systemd.ParseEntries([]byte(text))))
}

// logOf is the log of a real kubelet.
func logOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../kubeletlog/testdata", name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// klog is a line with which a kubelet says something.
func klog(severity, text string) string {
	return severity + "1130 09:42:28.285378   29535 x.go:72] " + text + "\n"
}

// failed is how a kubelet from 1.26 on ends.
func failure(err string) string {
	return klog("E", `"command failed" err="failed to run Kubelet: `+err+`"`)
}

// manager is how one ends whose container manager does not start.
func manager(err string) string {
	return klog("E", `"Failed to start ContainerManager" err="`+err+`"`) + klog("E", `"Failed to run the status manager" err="x"`)
}

func unit(message string) string { return "kubelet.service: " + message + "\n" }

// golden are logs for each rule: those of real kubelets, and what is made from the sources and from threads of users.
var golden = []struct{ rule, log, cause string }{
	{"unknown-flag", "real flag-v1.37.2", "this release of kubelet has no flag --no-such-flag"},
	{"unknown-flag", klog("F", "unknown flag: --network-plugin"), "this release of kubelet has no flag --network-plugin"},
	{"unknown-flag", "Error: failed to parse kubelet flag: unknown flag: --cni-bin-dir\nUsage:\n  kubelet [flags]\n", "this release of kubelet has no flag --cni-bin-dir"},
	{"unknown-gate", "real gate-v1.36.3", "this release of kubelet has no feature gate NoSuchGate"},
	{"unknown-gate", "real gateflag-v1.34.4", "this release of kubelet has no feature gate NoSuchGate"},
	{"locked-gate", "real lockedgate-v1.36.3", "the feature gate SidecarContainers is always true in this release of kubelet, and is set to false"},
	{"config-missing", "real missing-v1.34.4", "the configuration file /nope/config.yaml does not exist"},
	{"config-no-kind", "real noapi-v1.34.4", "the configuration file /run/k/config.yaml does not begin with apiVersion and kind (apiVersion is missing)"},
	{"config-no-kind", "real nokind-v1.37.2", "the configuration file /run/k/config.yaml does not begin with apiVersion and kind (Kind is missing)"},
	{"config-type", "real type-v1.36.3", "the field maxPods of /run/k/config.yaml has a value of another type than int32"},
	{"config-syntax", "real yaml-v1.36.3", "the configuration file /run/k/config.yaml is not valid YAML: line 5: mapping values are not allowed in this context"},
	{"config-newer-tool", "real newer-v1.36.3", "the configuration has a field that needs a feature gate which is off: CrashLoopBackOff.MaxContainerRestartPeriod; a tool of another release may have written it"},
	{"config-invalid", "real value-v1.37.2", "the configuration has a value that kubelet does not take: maxPods (--max-pods) -5 must not be a negative number"},
	{"config-invalid", "real listval-v1.36.3", "the configuration has a value that kubelet does not take: maxPods (--max-pods) -5 must not be a negative number, " +
		"invalid configuration: podsPerCore (--pods-per-core) -1 must not be a negative number"},
	{"node-labels", "real label-v1.36.3", "a kubelet must not give its own node these labels: node-role.kubernetes.io/x"},
	{"cgroup-v1", "real cgv1-v1.37.2", ""},
	{"not-root", failure("kubelet needs to run as uid `0`. It is being run as 1000"), ""},
	{"swap", failure("running with swap on is not supported, please disable swap or set --fail-swap-on flag to false"), ""},
	{"swap", manager("running with swap on is not supported, please disable swap! or set --fail-swap-on flag to false. /proc/swaps contained: []"), ""},
	{"swap-v1", failure("swap feature is enabled and LimitedSwap but it is only supported with cgroupv2"), ""},
	{"cgroup-controllers", manager("system validation failed - Following Cgroup subsystem not mounted: [memory]"), "the kernel does not offer the cgroup controllers memory, or this kubelet is too old for cgroup v2"},
	{"cgroup-root", manager(`cgroup-root [\"kubelet\"] doesn't exist`), `the cgroup of cgroupRoot does not exist: "kubelet"`},
	{"kubepods-missing", manager("failed to initialize top level QOS containers: root container [kubepods] doesn't exist"), ""},
	{"cgroup-driver", klog("E", `"Failed to run kubelet" err="failed to run Kubelet: misconfiguration: kubelet cgroup driver: \"cgroupfs\" is different from docker cgroup driver: \"systemd\""`),
		"kubelet uses the cgroup driver cgroupfs, and Docker systemd"},
	{"reserved-cgroup", manager(`Failed to enforce System Reserved Cgroup Limits on \"/system.slice\": [\"system\" \"slice\"] cgroup does not exist`),
		"enforceNodeAllocatable names the cgroup /system.slice (System reserved), which does not exist"},
	{"kernel-flags", manager("[invalid kernel flag: vm/overcommit_memory, expected value: 1, actual value: 0, invalid kernel flag: kernel/panic, expected value: 10, actual value: 0]"),
		"protectKernelDefaults is true, and the kernel setting vm/overcommit_memory is 0 instead of 1"},
	{"inotify", klog("E", `"Failed to start cAdvisor" err="inotify_init: too many open files"`), ""},
	{"inotify", klog("E", `"Failed to start cAdvisor" err="inotify_add_watch /sys/fs/cgroup/cpu: no space left on device"`), ""},
	{"kmsg", failure("failed to create kubelet: open /dev/kmsg: no such file or directory"), ""},
	{"read-only", failure("mkdir /usr/libexec/kubernetes: read-only file system"), "kubelet cannot make the directory /usr/libexec/kubernetes: its file system is read-only"},
	{"rootfs-info", manager("failed to get rootfs info: unable to find data in memory cache"), ""},
	{"port-in-use", klog("E", `"Failed to listen and serve" err="listen tcp 0.0.0.0:10250: bind: address already in use"`), "another process listens on 0.0.0.0:10250 already; that may be another kubelet"},
	{"cri-disabled", failure(`validate service connection: validate CRI v1 runtime API for endpoint \"unix:///run/containerd/containerd.sock\": rpc error: code = Unimplemented desc = unknown service runtime.v1.RuntimeService`), ""},
	{"cri-no-socket", "real json-v1.34.4", "the container runtime does not run, or has another socket than /run/k/no-runtime.sock"},
	{"cri-no-socket", "real lenient-v1.37.2", "the container runtime does not run, or has another socket than /run/k/no-runtime.sock"},
	{"cri-refused", "real refused-v1.36.3", "the socket /run/k/refused.sock is there, and no container runtime listens on it"},
	{"cri-denied", "real denied-v1.36.3", "kubelet may not connect to the socket /run/k/denied.sock"},
	{"cri-slow", failure(`validate service connection: validate CRI v1 runtime API for endpoint \"unix:///run/x.sock\": rpc error: code = DeadlineExceeded desc = context deadline exceeded`), ""},
	{"client-cert-expired", klog("E", `"Part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired: 2026-01-01 00:00:00 +0000 UTC"`) +
		failure("unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory"), ""},
	{"client-cert-expired", klog("E", `part of the existing bootstrap client certificate is expired: 2020-01-01 00:00:00 +0000 UTC`) +
		klog("F", "failed to run Kubelet: unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory"), ""},
	{"client-cert-ended", klog("E", `"The currently active client certificate has expired and the server is responsive, exiting"`), ""},
	{"bootstrap-missing", "real bootstrap-v1.34.4", ""},
	{"kubeconfig-missing", "real kubeconfig-v1.36.3", "the kubeconfig /nope/kubeconfig does not exist: this node has not joined a cluster"},
	{"token-unknown", failure("cannot create certificate signing request: Unauthorized"), ""},
	{"webhook-client", "real webhook-v1.36.3", ""},
	{"file-missing", "real clientca-v1.36.3", "a file that the configuration or a flag names does not exist: /nope/ca.crt"},
	{"file-missing", failure("unable to load client CA file /etc/ca.crt: open /etc/ca.crt: no such file or directory"), "a file that the configuration or a flag names does not exist: /etc/ca.crt"},
	{"lock-file", "real lockfile-v1.36.3", "kubelet cannot lock the file of --lock-file, /nope/lock: no such file or directory"},
	{"cpu-state", manager(`start cpu manager error: could not restore state from checkpoint: configured policy \"static\" differs from state checkpoint policy \"none\", please drain this node`),
		"cpuManagerPolicy was changed from none to static, and /var/lib/kubelet/cpu_manager_state is of before"},
	{"cpu-set", manager(`start cpu manager error: current set of available CPUs \"0-3\" doesn't match with CPUs in state \"0-7\"`), ""},
	{"cpu-static", manager("the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero"), ""},
	{"reserved-cpus", failure("reserved-cpus: 4000 is not a subset of online-cpus: 0-1"), "reservedSystemCPUs is 4000, and this host has the CPUs 0-1"},
	{"eviction-signal", failure("unsupported eviction signal memory.avail"), ""},
	{"exec-denied", unit("Failed at step EXEC spawning /usr/local/bin/kubelet: Permission denied") + unit("Failed with result 'exit-code'."), ""},
	{"exec-missing", unit("Failed to locate executable /usr/local/bin/kubelet: No such file or directory") + unit("Failed at step EXEC spawning /usr/local/bin/kubelet: No such file or directory"), ""},
	{"exec-format", unit("Failed at step EXEC spawning /usr/local/bin/kubelet: Exec format error"), ""},
	{"unit-setup", unit("Failed at step NAMESPACE spawning /usr/local/bin/kubelet: No such file or directory"), "systemd could not set up what the unit of kubelet asks for (NAMESPACE): No such file or directory"},
	{"environment-file", unit("Failed to load environment files: No such file or directory"), ""},
	{"watchdog", klog("E", `"x"`) + unit("Watchdog timeout (limit 30s)!") + unit("Failed with result 'watchdog'."), ""},
	{"oom", unit("A process of this unit has been killed by the OOM killer."), ""},
	{"clock", klog("E", `"Unable to register node with API server" err="Post \"https://api:6443/api/v1/nodes\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2020-01-01T00:00:00Z is before 2026-01-01T00:00:00Z"`),
		"a certificate of the API server is not valid at the time of this host: 2020-01-01T00:00:00Z is before 2026-01-01T00:00:00Z; the clock is wrong, or the certificate has ended"},
	{"ca-mismatch", klog("E", `"Failed to ensure lease exists, will retry" err="Get \"https://api:6443/x\": x509: certificate signed by unknown authority"`), ""},
	{"ca-mismatch", failure("cannot create certificate signing request: x509: certificate signed by unknown authority"), ""},
	{"cert-name", klog("E", `"Unable to register node with API server" err="x509: certificate is valid for 10.96.0.1, 10.0.0.1, not 10.0.0.2"`),
		"the certificate of the API server is not for 10.0.0.2, the address in this node's kubeconfig, but for 10.96.0.1, 10.0.0.1"},
	{"node-name", klog("E", `"Unable to register node with API server" err="nodes \"b\" is forbidden: node \"a\" is not allowed to modify node \"b\""`), "kubelet calls its node b, and its certificate is for the node a"},
	{"cgroup-driver-runtime", klog("E", `"Failed to create sandbox for pod" err="runc create failed: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"/kubepods\" instead"`), ""},
}

func TestRules(t *testing.T) {
	covered := map[string]bool{}
	for _, g := range golden {
		covered[g.rule] = true
		log := g.log
		if name, real := strings.CutPrefix(log, "real "); real {
			log = logOf(t, name)
		}
		d := explain(log)
		if d.Rule != g.rule || g.cause != "" && d.Cause != g.cause {
			t.Errorf("%s: got %s, %q, of %q; want %q", g.rule, d.Rule, d.Cause, d.Words, g.cause)
		}
		if regexp.MustCompile(`\$\d`).MatchString(d.Cause + strings.Join(d.Remedy, "")) {
			t.Errorf("%s: a group is not filled in: %+v", g.rule, d)
		}
	}
	for _, r := range rules {
		if !covered[r.ID] {
			t.Errorf("there is no log for the rule %s", r.ID)
		}
	}
}

// What no rule knows has kubelet's own words and no cause.
func TestUnknownFailures(t *testing.T) {
	for _, tt := range []struct{ log, words string }{
		{failure("something new"), "failed to run Kubelet: something new"},
		{manager("system validation failed - the moon is full"), "Failed to start ContainerManager: system validation failed - the moon is full"},
		{klog("F", "who knows"), "who knows"},
		{"panic: runtime error: index out of range [3] with length 2\n\ngoroutine 1 [running]:\n", "panic: runtime error: index out of range [3] with length 2"},
		{"fatal error: concurrent map writes\n", "fatal error: concurrent map writes"},
		{"Error: unknown command \"run\" for \"kubelet\"\n", `unknown command "run" for "kubelet"`},
		{failure("failed to create kubelet: misconfiguration: EvictionHard"), "failed to run Kubelet: failed to create kubelet: misconfiguration: EvictionHard"},
		{failure("write /var/lib/kubelet/x: no space left on device"), "failed to run Kubelet: write /var/lib/kubelet/x: no space left on device"},
		{failure("listen tcp 10.0.0.1:10250: bind: cannot assign requested address"), "failed to run Kubelet: listen tcp 10.0.0.1:10250: bind: cannot assign requested address"},
		{failure("open /etc/x: permission denied"), "failed to run Kubelet: open /etc/x: permission denied"},
		{klog("E", `"Unable to register node" err="x509: certificate signed by unknown authority"`) + failure("something else"), "failed to run Kubelet: something else"},
		{klog("E", `"Kubelet running with insufficient permissions" err="kubelet needs to run as uid `+"`0`"+`"`) + failure("something else"), "failed to run Kubelet: something else"},
		{klog("E", `"Image garbage collection failed" err="invalid capacity 0 on image filesystem"`), "Image garbage collection failed: invalid capacity 0 on image filesystem"},
		{klog("E", `"Skipping pod synchronization" err="container runtime status check may not have completed yet"`), "Skipping pod synchronization: container runtime status check may not have completed yet"},
		{unit("Failed to attach 7 to cgroup: Device or resource busy"), "Failed to attach 7 to cgroup: Device or resource busy"},
		{unit("Main process exited, code=killed, status=9/KILL") + unit("Failed with result 'signal'."), ""},
		{klog("E", `"Failed to get info" err="failed to get rootfs info: unable to find data in memory cache"`), "Failed to get info: failed to get rootfs info: unable to find data in memory cache"},
		{klog("E", `"Unable to register node" err="x509: certificate signed by unknown authority"`) + unit("Failed with result 'signal'."), "Unable to register node: x509: certificate signed by unknown authority"},
		{klog("I", `"running with swap on is not supported"`), ""},
		{"", ""},
	} {
		d := explain(tt.log)
		if d.Rule != "" || d.Cause != "" || d.Words != tt.words {
			t.Errorf("%q: got %+v", tt.log, d)
		}
	}
}

// An error of long ago, which a kubelet that runs has got over, is no cause.
func TestOldErrorsAreNoCause(t *testing.T) {
	log := klog("E", `"Failed to ensure lease exists, will retry" err="x509: certificate signed by unknown authority"`)
	if d := explain(log + klog("I", "at the same time")); d.Rule != "ca-mismatch" {
		t.Errorf("%+v", d)
	}
	if d := explain(log + strings.Replace(klog("I", "later"), "09:42", "09:52", 1)); d.Rule != "" {
		t.Errorf("%+v", d)
	}
}

// A rule does not speak of releases that cannot have the failure.
func TestMinors(t *testing.T) {
	docker := klog("F", `misconfiguration: kubelet cgroup driver: "cgroupfs" is different from docker cgroup driver: "systemd"`)
	for version, want := range map[string]string{"v1.21.3": "cgroup-driver", "v1.37.2": "", "unknown": "cgroup-driver"} {
		if d := explain(klog("I", `"Kubelet version" kubeletVersion="`+version+`"`) + docker); d.Rule != want {
			t.Errorf("%s: %+v", version, d)
		}
	}
}

// A remedy is for a shell, and a log may have been written by anybody.
func TestRemediesAreQuoted(t *testing.T) {
	d := explain(failure("open /etc/$(reboot);'x: no such file or directory"))
	if want := `grep -rns '/etc/$(reboot);'\''x' /var/lib/kubelet`; d.Rule != "file-missing" || !strings.HasPrefix(d.Remedy[0], want) {
		t.Errorf("%+v", d)
	}
}
