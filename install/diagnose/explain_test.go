package diagnose

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
	"github.com/kubeletctl/kubeletctl/systemd"
)

func explainText(text string) Diagnosis {
	return Explain(Run{Log: kubeletlog.Parse(systemd.ParseEntries([]byte(text)))})
}

// logOf is the log of a real kubelet.
func logOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".log"))
	if err != nil {
		text, err = os.ReadFile(filepath.Join("../kubeletlog/testdata", name+".log"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// klog is a line with which a kubelet says something.
func klog(severity, text string) string {
	return severity + "1130 09:42:28.285378   29535 x.go:72] " + text + "\n"
}

// undecoded is how a kubelet ends that cannot decode its configuration file /c.yaml.
func undecoded(err string) string {
	return klog("E", `"command failed" err="failed to load kubelet config file, path: /c.yaml, error: failed to load Kubelet config file /c.yaml, error failed to decode: `+err+`"`)
}

// failed is how a kubelet from 1.26 on ends.
func failure(err string) string {
	return klog("E", `"command failed" err="failed to run Kubelet: `+err+`"`)
}

// manager is how one ends whose container manager does not start.
func manager(err string) string {
	return klog("E", `"Failed to start ContainerManager" err="`+err+`"`) + klog("E", `"Failed to run the status manager" err="x"`)
}

// register is what a running kubelet says that cannot register.
func register(err string) string {
	return klog("E", `"Unable to register node with API server" err="Post \"https://api:6443/api/v1/nodes\": `+err+`"`)
}

// later is an error a good while after the start.
func later(text string) string {
	return klog("I", `"Started kubelet"`) + strings.Replace(klog("E", text), "09:42", "09:52", 1)
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
	{"config-syntax", undecoded("yaml: line 35: could not find expected ':'"), "the configuration file /c.yaml is not valid YAML: line 35: could not find expected ':'"},
	{"config-kind", undecoded(`no kind \"KubeletConfiguration\" is registered for version \"kubelet.config.k8s.io/v1\" in scheme \"pkg/runtime/scheme.go:111\"`),
		"the configuration file /c.yaml is not one for this kubelet: its kind and apiVersion are KubeletConfiguration and kubelet.config.k8s.io/v1, and have to be KubeletConfiguration and kubelet.config.k8s.io/v1beta1"},
	{"config-kind", klog("E", `"command failed" err="failed to merge kubelet configs: failed to walk through kubelet dropin directory \"/d\": failed to load kubelet dropin file, path: /d/20-x.conf, unknown apiVersion/kind: v1, Kind=ConfigMap"`),
		"the configuration file /d/20-x.conf is not one for this kubelet: its kind and apiVersion are ConfigMap and v1, and have to be KubeletConfiguration and kubelet.config.k8s.io/v1beta1"},
	{"config-empty", klog("E", `"command failed" err="failed to load kubelet config file, path: /c.yaml, error: failed to load Kubelet config file /c.yaml, error kubelet config file \"/c.yaml\" was empty"`), "the configuration file /c.yaml is empty"},
	{"config-unreadable", klog("E", `"command failed" err="failed to load kubelet config file, path: /c.yaml, error: failed to load Kubelet config file /c.yaml, error failed to read kubelet config file \"/c.yaml\", error: read /c.yaml: is a directory"`),
		"kubelet cannot read the configuration file /c.yaml: read /c.yaml: is a directory"},
	{"config-unreadable", undecoded("couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value"),
		"kubelet cannot read the configuration file /c.yaml: couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value"},
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
	{"read-only-fs", klog("E", `"Failed to run kubelet" err="failed to unlink socket file \"/var/lib/kubelet/pod-resources/kubelet.sock\": read-only file system"`),
		"kubelet cannot write /var/lib/kubelet/pod-resources/kubelet.sock: its file system is read-only"},
	{"read-only-fs", klog("E", `"Failed to create listener for podResources endpoint" err="failed to unlink socket file \"/var/lib/kubelet/pod-resources/kubelet.sock\": unlink /var/lib/kubelet/pod-resources/kubelet.sock: read-only file system"`),
		"kubelet cannot write /var/lib/kubelet/pod-resources/kubelet.sock: its file system is read-only"},
	{"read-only-fs", failure("open /var/lib/kubelet/cpu_manager_state: read-only file system"), "kubelet cannot write /var/lib/kubelet/cpu_manager_state: its file system is read-only"},
	{"read-only-running", klog("E", `"Failed to create pod directory" err="mkdir /var/lib/kubelet/pods/1: read-only file system"`), "kubelet cannot write /var/lib/kubelet/pods/1: its file system is read-only"},
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
	{"client-cert-not-renewed", klog("E", `"The currently active client certificate has expired and the server is responsive, exiting"`), ""},
	{"bootstrap-missing", "real bootstrap-v1.34.4", ""},
	{"kubeconfig-missing", "real kubeconfig-v1.36.3", "the kubeconfig /nope/kubeconfig does not exist: this node has not joined a cluster"},
	{"token-unknown", failure("cannot create certificate signing request: Unauthorized"), ""},
	{"webhook-client", "real webhook-v1.36.3", ""},
	{"file-missing", "real clientca-v1.36.3", "a file that the configuration or a flag names does not exist: /nope/ca.crt"},
	{"file-missing", failure("unable to load client CA file /etc/ca.crt: open /etc/ca.crt: no such file or directory"), "a file that the configuration or a flag names does not exist: /etc/ca.crt"},
	{"lock-file", "real lockfile-v1.36.3", "kubelet cannot lock the file of --lock-file, /nope/lock: no such file or directory"},
	{"cpu-state", manager(`start cpu manager error: could not restore state from checkpoint: configured policy \"static\" differs from state checkpoint policy \"none\", please drain this node`),
		"cpuManagerPolicy was changed from none to static, and /var/lib/kubelet/cpu_manager_state was written with the old one"},
	{"cpu-set", manager(`start cpu manager error: current set of available CPUs \"0-3\" doesn't match with CPUs in state \"0-7\"`), ""},
	{"cpu-static", manager("the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero"), ""},
	{"reserved-cpus", failure("reserved-cpus: 4000 is not a subset of online-cpus: 0-1"), "reservedSystemCPUs is 4000, and this host has the CPUs 0-1"},
	{"eviction-signal", failure("unsupported eviction signal memory.avail"), ""},
	{"exec-denied", unit("Failed at step EXEC spawning /usr/local/bin/kubelet: Permission denied") + unit("Failed with result 'exit-code'."), ""},
	{"exec-missing", unit("Failed to locate executable /usr/local/bin/kubelet: No such file or directory") + unit("Failed at step EXEC spawning /usr/local/bin/kubelet: No such file or directory"), ""},
	{"exec-format", unit("Failed at step EXEC spawning /usr/local/bin/kubelet: Exec format error"), ""},
	{"unit-setup", unit("Failed at step NAMESPACE spawning /usr/local/bin/kubelet: No such file or directory"), "systemd could not set up what the unit of kubelet asks for (NAMESPACE): No such file or directory"},
	{"exec-failed", unit("Main process exited, code=exited, status=203/EXEC") + unit("Failed with result 'exit-code'."), ""},
	{"step-failed", unit("Main process exited, code=exited, status=226/NAMESPACE"), "systemd could not set up what the unit of kubelet asks for: status=226/NAMESPACE"},
	{"environment-file", unit("Failed to load environment files: No such file or directory"), ""},
	{"watchdog", klog("E", `"x"`) + unit("Watchdog timeout (limit 30s)!") + unit("Failed with result 'watchdog'."), ""},
	{"oom", unit("A process of this unit has been killed by the OOM killer."), ""},
	{"clock", klog("E", `"Unable to register node with API server" err="Post \"https://api:6443/api/v1/nodes\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2020-01-01T00:00:00Z is before 2026-01-01T00:00:00Z"`),
		"the clock of this host is wrong: it shows 2020-01-01T00:00:00Z, and the certificate of the API server is not valid then (limit: 2026-01-01T00:00:00Z)"},
	{"ca-mismatch", klog("E", `"Failed to ensure lease exists, will retry" err="Get \"https://api:6443/x\": x509: certificate signed by unknown authority"`), ""},
	{"ca-mismatch", failure("cannot create certificate signing request: x509: certificate signed by unknown authority"), ""},
	{"cert-name", klog("E", `"Unable to register node with API server" err="x509: certificate is valid for 10.96.0.1, 10.0.0.1, not 10.0.0.2"`),
		"the certificate of the API server is not for 10.0.0.2, the address in this node's kubeconfig, but for 10.96.0.1, 10.0.0.1"},
	{"node-name", klog("E", `"Unable to register node with API server" err="nodes \"b\" is forbidden: node \"a\" is not allowed to modify node \"b\""`), "kubelet calls its node b, and its certificate is for the node a"},
	{"cgroup-driver-runtime", klog("E", `"Failed to create sandbox for pod" err="runc create failed: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"/kubepods\" instead"`), ""},
	{"disk-full", failure("write /var/lib/kubelet/x: no space left on device"), "kubelet cannot write: its file system has no room left, or no inodes"},
	{"root-dir-form", failure("failed to create kubelet: rootDirectory not in canonical form: expected /var/lib/kubelet, was /var/lib/kubelet/"), "the path of --root-dir is /var/lib/kubelet/, and has to be written as /var/lib/kubelet"},
	{"node-ip", failure(`bad --node-ip \"nonsense\": must be either a single IP`), "the address of --node-ip is not one of this host: nonsense"},
	{"node-ip", klog("E", `"Failed to set some node status fields" err="failed to validate nodeIP: node IP: \"192.0.2.9\" not found in the host's network interfaces" node="n"`), "the address of --node-ip is not one of this host: 192.0.2.9"},
	{"cri-old-no-socket", klog("E", `"Failed to run kubelet" err="failed to run Kubelet: failed to create kubelet: get remote runtime typed version failed: rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing dial unix /run/x.sock: connect: no such file or directory\""`), "the container runtime does not run, or has another socket than /run/x.sock"},
	{"credential-provider", "real credential-provider-v1.37.2", "the directory of an image credential provider does not exist: /nope"},
	{"credential-provider", klog("E", `"Failed to register CRI auth plugins" err="plugin binary executable /opt/ecr did not exist"`), "the executable of an image credential provider does not exist: /opt/ecr"},
	{"csr-forbidden", failure(`cannot create certificate signing request: certificatesigningrequests.certificates.k8s.io is forbidden: User \"system:bootstrap:abcdef\" cannot create resource`), ""},
	{"csr-denied", klog("E", `"Failed while requesting a signed certificate" err="certificate signing request is denied, reason: Policy, message: no"`), "the cluster has denied this node's request for a certificate: Policy, message: no"},
	{"csr-pending", later(`"Failed while requesting a signed certificate from the control plane" err="cannot create certificate signing request: timed out waiting for the condition"`), ""},
	{"memory-static", "real memory-static-v1.37.2", ""},
	{"memory-static", "real memory-static-v1.36.3", ""},
	{"reserved-cgroup", "real reserved-cgroup-v1.37.2", "enforceNodeAllocatable names the cgroup /nope.slice (System reserved), which does not exist"},
	{"reserved-cgroup", "real reserved-cgroup-v1.34.4", "enforceNodeAllocatable names the cgroup /nope.slice (Kube reserved), which does not exist"},
	{"cgroup-root", "real cgroup-root-v1.36.3", `the cgroup of cgroupRoot does not exist: "nope"`},
	{"kernel-flags", "real kernel-flags-v1.36.3", "protectKernelDefaults is true, and the kernel setting vm/overcommit_memory is 0 instead of 1"},
	{"cpu-static", "real cpu-static-v1.34.4", ""},
	{"cpu-state", "real cpu-state-v1.37.2", "cpuManagerPolicy was changed from none to static, and /var/lib/kubelet/cpu_manager_state was written with the old one"},
	{"reserved-cpus", "real reserved-cpus-v1.36.3", "reservedSystemCPUs is 4000, and this host has the CPUs 0-1"},
	{"eviction-signal", "real eviction-signal-v1.37.2", "an eviction threshold is not valid: memory.avail"},
	{"swap-v1", "real swap-v1-v1.37.2", ""},
	{"exec-denied", "real exec-denied-v1.37.2", ""},
	{"bootstrap-missing", "real bootstrap-missing-v1.36.3", ""},
	{"memory-static", failure("[memorymanager] you should specify the system reserved memory"), "memoryManagerPolicy is Static, and reservedMemory is not the sum of kubeReserved, systemReserved and evictionHard of memory: you should specify the system reserved memory"},
	{"memory-state", manager("start memory manager error: [memorymanager] the expected machine state is different from the real one"), ""},
	{"loader", "kubelet: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by kubelet)\n" + unit("Failed with result 'exit-code'."), "this kubelet needs a newer C library (GLIBC_2.34) than this host has"},
	{"watchdog-small", failure("configure watchdog timeout too small: 500ms"), "WatchdogSec of the unit of kubelet is too small: 500ms"},
	{"server-cert-expired", register(`tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-11-30T00:00:00Z is after 2026-11-01T00:00:00Z`), "the certificate of the API server has expired: it was valid until 2026-11-01T00:00:00Z"},
	{"node-missing", later(`"Error updating node status, will retry" err="error getting node \"n\": nodes \"n\" not found"`), "the cluster has no Node object n: somebody has deleted it, and kubelet registers it only when it starts"},
	{"not-a-node", register(`nodes is forbidden: User \"system:anonymous\" cannot create resource`), ""},
	{"not-a-node", register(`leases is forbidden: unknown node for user \"system:node:x\"`), ""},
	{"unauthorized", register("Unauthorized"), ""},
	{"api-dns", register("dial tcp: lookup api.example.com on 127.0.0.53:53: no such host"), "this host cannot resolve the name of the API server: api.example.com"},
	{"api-unreachable", register("dial tcp 192.0.2.7:6443: connect: connection refused"), "kubelet cannot reach the API server at 192.0.2.7:6443: connection refused"},
	{"api-unreachable", klog("E", `"Failed to ensure lease exists, will retry" err="Get \"https://192.0.2.7:6443/x\": dial tcp 192.0.2.7:6443: i/o timeout" interval="7s"`), ""},
	{"skew-services", later(`"Unhandled Error" err="container &Container{} failed to start in pod p: CreateContainerConfigError: services have not yet been read at least once, cannot construct envvars"`), ""},
	{"localhost-name", klog("I", `"Attempting to register node" node="localhost"`), ""},
	{"sandbox-image", klog("E", `"Failed to create sandbox for pod" err="rpc error: code = Unknown desc = failed to get sandbox image \"registry.k8s.io/pause:3.6\": failed to pull image \"registry.k8s.io/pause:3.6\": dial tcp: lookup registry.k8s.io"`), ""},
	{"resolv-conf", klog("E", `"Failed to generate sandbox config for pod" err="open /run/systemd/resolve/resolv.conf: no such file or directory" pod="default/p"`), "the file of resolvConf does not exist: /run/systemd/resolve/resolv.conf"},
	{"runtime-down", later(`"Skipping pod synchronization" err="container runtime is down"`), ""},
	{"pleg", klog("E", `"Skipping pod synchronization" err="PLEG is not healthy: pleg was last seen active 3m5.2s ago; threshold is 3m0s"`), "the container runtime did not list its containers for 3m5.2s: it hangs, or the disk is slow"},
	{"cni", later(`"Container runtime network not ready" networkReady="NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"`), ""},
	{"cni-plugin", klog("E", `"Failed to create sandbox for pod" err="failed to setup network for sandbox \"1\": plugin type=\"calico\" failed (add): failed to find plugin \"calico\" in path [/opt/cni/bin]"`), "the CNI configuration names a plugin that is not there: calico in /opt/cni/bin"},
	{"imagefs", later(`"Image garbage collection failed multiple times in a row" err="invalid capacity 0 on image filesystem"`), ""},
	{"disk-pressure", klog("I", `"Eviction manager: attempting to reclaim" resourceName="ephemeral-storage"`), "this host runs short of ephemeral-storage, so that kubelet ends pods"},
	{"disk-full-running", klog("E", `"Failed to write" err="write /var/lib/kubelet/pods/x: no space left on device"`), ""},
	{"volume", klog("E", `"Unhandled Error" err="MountVolume.SetUp failed for volume \"v\" (UniqueName: \"x\") pod \"p\" (UID: \"1\") : hostPath type check failed: /nope is not a directory"`), "kubelet cannot mount the volume v of a pod: hostPath type check failed: /nope is not a directory"},
	{"manifest", klog("E", `"Could not process manifest file" err="/etc/kubernetes/manifests/broken.yaml: couldn't parse as pod" path="/etc/kubernetes/manifests/broken.yaml"`), ""},
}

// notes are logs of kubelets that go on with their work.
var notes = []struct{ rule, log, note string }{
	{"config-unknown", klog("I", `"Using lenient decoding as strict decoding failed" err="strict decoding error: unknown field \"maxpod\""`),
		`kubelet ignores a part of its configuration: strict decoding error: unknown field "maxpod"`},
	{"runtime-config", klog("I", `"CRI implementation should be updated to support RuntimeConfig. Falling back to using cgroupDriver from kubelet config."`),
		"the container runtime cannot tell its cgroup driver: containerd 2.0 can, and kubelet 1.38 is to require it"},
	{"file-handles", klog("E", `"Failed to set rlimit on max file handles" err="operation not permitted"`), "kubelet may not raise its limit of open files: operation not permitted"},
	{"no-route", klog("E", `"Failed to set some node status fields" err="can't get ip address of node n. error: no default routes found in \"/proc/net/route\"" node="n"`),
		"this host has no default route, by which kubelet finds the address of its node; --node-ip names one"},
	{"pod-logs", klog("E", `"Container garbage collection failed" err="failed to read podLogsDirectory \"/var/log/pods\": open /var/log/pods: no such file or directory"`), "there is no directory for the logs of pods yet: /var/log/pods"},
	{"pod-waits", klog("E", `"Error syncing pod, skipping" err="failed to \"StartContainer\" for \"c\" with CrashLoopBackOff: \"back-off 5m0s\"" pod="default/p"`), "a container of a pod does not start, which is no failure of kubelet: CrashLoopBackOff"},
	{"container-gone", klog("E", `"ContainerStatus from runtime service failed" err="rpc error: code = NotFound desc = an error occurred when try to find container \"x\": not found"`), "a container was gone before kubelet looked at it"},
	{"shutdown-manager", klog("E", `"Failed to start node shutdown manager" err="no inhibit"`), "pods are not ended in order when this host is shut down (shutdownGracePeriod): no inhibit"},
	{"manifest-dir", klog("E", `"Unable to read config path" err="path does not exist, ignoring" path="/nope"`), "the directory of staticPodPath does not exist: /nope"},
}

func TestRules(t *testing.T) {
	covered := map[string]bool{}
	for _, g := range golden {
		covered[g.rule] = true
		log := g.log
		if name, real := strings.CutPrefix(log, "real "); real {
			log = logOf(t, name)
		}
		d := explainText(log)
		if d.Rule != g.rule || g.cause != "" && d.Cause != g.cause {
			t.Errorf("%s: got %s, %q, of %q; want %q", g.rule, d.Rule, d.Cause, d.Words, g.cause)
		}
		if regexp.MustCompile(`\$\d`).MatchString(d.Cause + strings.Join(d.Remedy, "")) {
			t.Errorf("%s: a group is not filled in: %+v", g.rule, d)
		}
	}
	for _, n := range notes {
		covered[n.rule] = true
		if d := explainText(n.log); d.Rule != "" || len(d.Notes) != 1 || d.Notes[0] != n.note+" ("+n.rule+")" {
			t.Errorf("%s: %+v", n.rule, d)
		}
	}
	for _, r := range rules {
		if !covered[r.ID] && !r.Sure { // those are in TestChecks
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
		{failure("could not detect clock speed from output"), "failed to run Kubelet: could not detect clock speed from output"},
		{failure("cloud provider could not be initialized: could not init cloud provider"), "failed to run Kubelet: cloud provider could not be initialized: could not init cloud provider"},
		{manager("start device manager error: listen unix /var/lib/kubelet/device-plugins/kubelet.sock: bind: invalid argument"),
			"Failed to start ContainerManager: start device manager error: listen unix /var/lib/kubelet/device-plugins/kubelet.sock: bind: invalid argument"},
		{klog("E", `"Failed to initialize internal modules" err="mkdir /var/lib/kubelet/pods: not a directory"`), "Failed to initialize internal modules: mkdir /var/lib/kubelet/pods: not a directory"},
		{klog("E", `"Kubelet failed to get node info" err="failed to get instance ID from cloud provider"`), "Kubelet failed to get node info: failed to get instance ID from cloud provider"},
		{klog("E", `"Failed to listen and serve" err="tls: private key does not match public key"`), "Failed to listen and serve: tls: private key does not match public key"},
		{klog("E", `"Failed to listen and serve" err="listen tcp 0.0.0.0:80: bind: permission denied"`), "Failed to listen and serve: listen tcp 0.0.0.0:80: bind: permission denied"},
		{failure("unable to set up client CA: data does not contain any valid RSA or ECDSA certificates"), "failed to run Kubelet: unable to set up client CA: data does not contain any valid RSA or ECDSA certificates"},
		{failure(`invalid kubeconfig: no configuration has been provided`), "failed to run Kubelet: invalid kubeconfig: no configuration has been provided"},
		{"SIGABRT: abort\nPC=0x46 m=0 sigcode=0\n\ngoroutine 1 [running]:\n", "SIGABRT: abort PC=0x46 m=0 sigcode=0"},
		{"panic: assignment to entry in nil map\n\ngoroutine 9 [running]:\n", "panic: assignment to entry in nil map"},
		{klog("E", `"Unable to register node" err="admission webhook \"x\" denied the request"`), `Unable to register node: admission webhook "x" denied the request`},
		{klog("E", `"Error syncing pod, skipping" err="unmounted volumes=[x]: timed out"`), `Error syncing pod, skipping: unmounted volumes=[x]: timed out`},
	} {
		d := explainText(tt.log)
		if d.Rule != "" || d.Cause != "" || d.Words != tt.words {
			t.Errorf("%q: got %+v", tt.log, d)
		}
	}
}

// healthy are logs of kubelets that are well, made from the sources and from threads of users.
var healthy = map[string]string{
	"nothing":                   "",
	"started":                   klog("I", `"Started kubelet"`),
	"started, JSON":             `{"ts":1796031741758.3,"caller":"app/server.go:1336","msg":"Started kubelet","v":0}` + "\n",
	"registers":                 klog("I", `"Attempting to register node" node="n"`) + klog("E", `"Error getting the current node from lister" err="node \"n\" not found"`) + klog("I", `"Successfully registered node" node="n"`),
	"a lease that is not there": klog("E", `"Error updating node status, will retry" err="error getting node \"n\": nodes \"n\" not found"`) + klog("I", `"Successfully registered node" node="n"`),
	"no network yet":            klog("I", `"Started kubelet"`) + klog("E", `"Container runtime network not ready" networkReady="NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"`),
	"no runtime status yet":     klog("E", `"Skipping pod synchronization" err="[container runtime status check may not have completed yet, PLEG is not healthy: pleg has yet to be successful]"`),
	"no image file system yet":  klog("E", `"Image garbage collection failed once. Stats initialization may not have completed yet" err="invalid capacity 0 on image filesystem"`),
	"a certificate is rotated":  klog("I", `"Certificate rotation is enabled"`) + klog("I", `"Rotating certificates"`) + klog("I", `"Certificate request was signed" csr="csr-x"`),
	"a request that waits":      klog("I", `"Waiting for client certificate to be issued"`) + klog("E", `"Failed while requesting a signed certificate from the control plane" err="cannot create certificate signing request: timed out waiting for the condition"`),
	"the API server was away":   klog("E", `"Failed to ensure lease exists, will retry" err="Get \"https://api:6443/x\": dial tcp 192.0.2.7:6443: connect: connection refused"`) + strings.Replace(klog("I", "later"), "09:42", "09:52", 1),
	"the runtime was restarted": klog("I", "x") + klog("E", `"ListPodSandbox with filter from runtime service failed" err="rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial unix /run/containerd/containerd.sock: connect: connection refused\""`),
	"a pod of a user":           klog("E", `"Error syncing pod, skipping" err="failed to \"StartContainer\" for \"c\" with ImagePullBackOff: \"Back-off pulling image\"" pod="default/p"`),
	"a container that is gone":  klog("E", `"ContainerStatus from runtime service failed" err="rpc error: code = NotFound desc = an error occurred when try to find container"`) + klog("I", `"DeleteContainer returned error" err="failed to get container status"`),
	"an unknown field":          klog("I", `"Using lenient decoding as strict decoding failed" err="unknown field \"x\""`) + klog("I", `"Started kubelet"`),
	"warnings":                  klog("W", `would violate PodSecurity "restricted:latest"`) + klog("W", `Skipping CSINode initialization, kubelet running in standalone mode`),
	"a drain":                   klog("I", `"SyncLoop DELETE" source="api" pods=["default/p"]`) + klog("I", `"Killing container with a grace period" pod="default/p"`),
	"words of failures":         klog("I", `"running with swap on is not supported"`) + klog("I", `"x509: certificate signed by unknown authority"`),
	"stopped by hand":           klog("I", `"Started kubelet"`) + unit("Deactivated successfully."),
	"stopped, systemd 246":      klog("I", `"Started kubelet"`) + unit("Succeeded."),
}

func TestHealthyKubelets(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/healthy.txtar")
	if err != nil {
		t.Fatal(err)
	}
	logs := maps.Clone(healthy)
	for _, f := range archive.Files {
		logs[f.Name] = string(f.Data)
	}
	if len(logs) < 30 {
		t.Errorf("%d logs", len(logs))
	}
	for name, log := range logs {
		if d := explainText(log); d.Rule != "" || d.Ended || len(d.Errors) > 0 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// An error of long ago, which a kubelet that runs has got over, is no cause.
func TestOldErrorsAreNoCause(t *testing.T) {
	log := klog("E", `"Failed to ensure lease exists, will retry" err="x509: certificate signed by unknown authority"`)
	if d := explainText(log + klog("I", "at the same time")); d.Rule != "ca-mismatch" {
		t.Errorf("%+v", d)
	}
	if d := explainText(log + strings.Replace(klog("I", "later"), "09:42", "09:52", 1)); d.Rule != "" {
		t.Errorf("%+v", d)
	}
}

// A rule does not speak of releases that cannot have the failure.
func TestMinors(t *testing.T) {
	docker := klog("F", `misconfiguration: kubelet cgroup driver: "cgroupfs" is different from docker cgroup driver: "systemd"`)
	for version, want := range map[string]string{"v1.21.3": "cgroup-driver", "v1.37.2": "", "unknown": "cgroup-driver"} {
		if d := explainText(klog("I", `"Kubelet version" kubeletVersion="`+version+`"`) + docker); d.Rule != want {
			t.Errorf("%s: %+v", version, d)
		}
	}
}

// A remedy is for a shell, and a log may have been written by anybody.
func TestRemediesAreQuoted(t *testing.T) {
	d := explainText(failure("open /etc/$(reboot);'x: no such file or directory"))
	if want := `grep -rns '/etc/$(reboot);'\''x' /var/lib/kubelet`; d.Rule != "file-missing" || !strings.HasPrefix(d.Remedy[0], want) {
		t.Errorf("%+v", d)
	}
}
