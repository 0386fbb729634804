package diagnose

import (
	"context"
	"io/fs"
	"slices"
	"syscall"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
)

// Severity says what a failure does to a kubelet. Its values are a stable interface.
type Severity string

const (
	// Fatal ends kubelet.
	Fatal Severity = "fatal"
	// Lasting keeps one that runs from its work, for as long as it lasts.
	Lasting Severity = "lasting"
	// AtStart is Lasting, but normal in the first minute after a start.
	AtStart Severity = "normal-at-start"
	// Harmless does not keep it from its work.
	Harmless Severity = "harmless"
)

// rule is a failure that is known. What it says may have $1, $2 ... for what its pattern has found.
type rule struct {
	// ID is a stable interface.
	ID string
	// Pattern is a regular expression for kubelet's words; see kubeletlog.Entry.Text.
	Pattern string
	// With is a regular expression for another entry of the same run, which there has to be, too; empty for none.
	With string
	// Since and Until are the minors that say so; 0 for no limit.
	Since, Until config.Minor
	Severity     Severity
	// Unready reports that the node is not Ready while the failure lasts, so that one that is has no such failure.
	Unready bool
	// Info reports that kubelet does not call it an error.
	Info bool
	// Stated reports that kubelet says the cause itself: it needs no confirmation.
	Stated bool
	// Pods reports that it keeps pods from being started, and so an API server that is one.
	Pods bool
	// ServerPod reports that Probe confirms that the API server is a static pod of this host.
	ServerPod bool
	// Probe looks at the host before the rule speaks; nil for nothing. Sure reports that the rule speaks only of what that confirms,
	// and then of whatever age the words are.
	Probe check
	Sure  bool
	// Cause is one sentence, without a full stop.
	Cause string
	// Remedy is what to do, as a script for a shell: commands, and comments for what is to be decided. It is written for a kubelet
	// that kubeletctl has installed; see owner. NODE and KUBECONFIG stand for those of this host.
	Remedy []string
	// Advice is a remedy by what is on the host; nil for none. Where it has nothing to say, it is Remedy.
	Advice func(ctx context.Context, h Host, found []string) []string
	// Kubeadm is the remedy on a node of kubeadm's; nil for the same.
	Kubeadm []string
	// Source is where the failure was seen.
	Source string
}

const (
	restart   = "systemctl daemon-reload && systemctl restart kubelet"
	unitFiles = "/etc/systemd/system/kubelet.service* /usr/lib/systemd/system/kubelet.service* /var/lib/kubelet/kubeadm-flags.env /etc/default/kubelet /etc/sysconfig/kubelet"
	validate  = `kubeletctl config validate --kubelet "$(command -v kubelet)" `
)

// readOnlyPath finds the path in an error of the system call that wanted to write it, or in what kubelet says of it.
const readOnlyPath = `(?:\w+ (/[^\s":]+)|"(/[^"]+)"): read-only file system`

// remount makes the file system of a path writable.
const remount = "mount -o remount,rw \"$(findmnt -no TARGET -T $1$2)\""

// writeAnew makes the configuration file of kubeadm's anew.
const writeAnew = "kubeadm upgrade node phase kubelet-config  # writes /var/lib/kubelet/config.yaml anew, from the cluster"

// newKubeconfig makes a kubeconfig for a node of kubeadm's.
const newKubeconfig = "kubeadm kubeconfig user --org system:nodes --client-name system:node:NODE >kubelet.conf"

// decodeKubeadm is what to do on a node of kubeadm's about a configuration file that kubelet cannot decode.
var decodeKubeadm = []string{validate + "$1", "# correct it, or write it anew from the cluster (kubeadm upgrade node phase kubelet-config), then:", restart}

// rules are the failures that are known, in the order in which they count: the first that fits is the one.
var rules = slices.Concat(startRules, runRules)

// startRules are about kubelets that end.
var startRules = []rule{
	// The command line and the configuration.
	{
		ID: "unknown-flag", Pattern: `unknown flag: --([\w-]+)`, Severity: Fatal, Stated: true,
		Cause:  "this release of kubelet has no flag --$1",
		Remedy: []string{"grep -rns -e --$1 " + unitFiles, "# remove the flag there, then:", restart},
		Source: "kubeadm#3281, kubespray#13125; seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "unknown-gate", Pattern: `unrecognized feature gate: (\w+)`, Severity: Fatal, Stated: true,
		Cause:  "this release of kubelet has no feature gate $1",
		Remedy: []string{"grep -rnsw $1 /var/lib/kubelet/*.yaml " + unitFiles, "# remove the gate there, then:", restart},
		Source: "talos#13480, kubernetes#100988; seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "locked-gate", Pattern: `cannot set feature gate (\w+) to (\w+), feature is locked to (\w+)`, Severity: Fatal, Stated: true,
		Cause:  "the feature gate $1 is always $3 in this release of kubelet, and is set to $2",
		Remedy: []string{"grep -rnsw $1 /var/lib/kubelet/*.yaml " + unitFiles, "# remove the gate there, then:", restart},
		Source: "kubermatic#11904; seen with 1.36",
	}, {
		ID: "config-missing", Pattern: `failed to load kubelet config file.* open (\S+): no such file or directory`, Severity: Fatal, Stated: true, Probe: fileMissing,
		Cause:   "the configuration file $1 does not exist",
		Remedy:  []string{"kubeletctl repair"},
		Kubeadm: []string{"kubeadm upgrade node phase kubelet-config  # or kubeadm join, which writes it on a node that has not joined yet", "systemctl restart kubelet"},
		Source:  "kubernetes#66943; seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "config-no-kind", Pattern: `path: (\S+), error: .*Object '(apiVersion|Kind)' is missing`, Severity: Fatal, Stated: true,
		Cause:  "the configuration file $1 does not begin with apiVersion and kind ($2 is missing)",
		Remedy: []string{`sed -i '1i apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration' $1  # and remove the other of the two lines, where it has one`, restart},
		Source: "seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "config-type", Pattern: `path: (\S+), error: .*cannot unmarshal \w+ into Go struct field \w+\.(\S+) of type (\S+)`, Severity: Fatal, Stated: true,
		Cause:   "the field $2 of $1 has a value of another type than $3",
		Remedy:  []string{validate + "$1", "# correct the value, then:", restart},
		Kubeadm: decodeKubeadm,
		Source:  "seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "config-syntax", Pattern: `path: (\S+), error: .*failed to decode: (?:error converting YAML to JSON: )?yaml: (.+)`, Severity: Fatal, Stated: true,
		Cause:   "the configuration file $1 is not valid YAML: $2",
		Remedy:  []string{validate + "$1", "# correct the line, then:", restart},
		Kubeadm: decodeKubeadm,
		Source:  "seen with 1.36",
	}, {
		ID: "config-kind", Pattern: `file, path: ([^\s,]+),.* (?:no kind "([^"]+)" is registered for version "([^"]+)"|unknown apiVersion/kind: ([^\s,]+), Kind=(\S+))`, Severity: Fatal, Stated: true,
		Cause:   "the configuration file $1 is not one for this kubelet: its kind and apiVersion are $2$5 and $3$4, and have to be KubeletConfiguration and kubelet.config.k8s.io/v1beta1",
		Remedy:  []string{validate + "$1", "# correct apiVersion or kind, then:", restart},
		Kubeadm: decodeKubeadm,
		Source:  "seen with 1.37",
	}, {
		ID: "config-empty", Pattern: `kubelet config file "([^"]+)" was empty`, Severity: Fatal, Stated: true,
		Cause:   "the configuration file $1 is empty",
		Remedy:  []string{"ls -l $1; df -h $1  # a full disk leaves empty files", "kubeletctl repair"},
		Kubeadm: []string{"ls -l $1; df -h $1  # a full disk leaves empty files", writeAnew, "systemctl restart kubelet"},
		Source:  "seen with 1.37",
	}, {
		ID: "config-unreadable", Pattern: `file, path: ([^\s,]+), error: (?:failed to load Kubelet config file \S+ error )?(?:failed to decode: |failed to read kubelet config file "[^"]*", error: )?(.+)`, Severity: Fatal, Stated: true,
		Cause:   "kubelet cannot read the configuration file $1: $2",
		Remedy:  []string{"ls -l $1", validate + "$1", "# correct it, then:", restart},
		Kubeadm: decodeKubeadm,
		Source:  "seen with 1.37",
	}, {
		ID: "config-newer-tool", Severity: Fatal, Stated: true,
		Pattern: `(CrashLoopBackOff\.MaxContainerRestartPeriod|memoryThrottlingFactor|imagePullCredentialsVerificationPolicy) must not be set`,
		Cause:   "the configuration has a field that needs a feature gate which is off: $1; a tool of another release may have written it",
		Remedy:  []string{"grep -rnsi $1 /var/lib/kubelet/*.yaml  # remove that field; kubeletctl config migrate lists what else is of another release", restart},
		Source:  "kamaji#1047; seen with 1.36",
	}, {
		ID: "config-invalid", Pattern: `failed to validate kubelet configuration, error: \[?invalid configuration: (.+?)\]?, path: `, Severity: Fatal, Stated: true,
		Cause:  "the configuration has a value that kubelet does not take: $1",
		Remedy: []string{validate + "/var/lib/kubelet/*.yaml", "# correct the value, then:", restart},
		Source: "seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "node-labels", Pattern: `unknown 'kubernetes\.io' or 'k8s\.io' labels specified with --node-labels: \[([^\]]*)\]`, Severity: Fatal, Stated: true,
		Cause:  "a kubelet must not give its own node these labels: $1",
		Remedy: []string{"grep -rns -e --node-labels " + unitFiles, "# remove them there, then:", restart, "# an administrator sets them: kubectl label node NODE LABEL="},
		Source: "kubernetes#85073, kind#3536; seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "cgroup-v1", Pattern: `kubelet is configured to not run on a host using cgroup v1`, Since: 31, Severity: Fatal, Stated: true,
		Cause:  "this host uses cgroup v1, on which this kubelet does not start unless failCgroupV1 is false (the default is true from 1.35 on)",
		Remedy: []string{"stat -fc %T /sys/fs/cgroup  # cgroup2fs is v2", "kubeletctl set failCgroupV1=false  # or boot with systemd.unified_cgroup_hierarchy=1"},
		Source: "k0s#7398; seen with 1.37",
	},
	// The host.
	{
		ID: "not-root", Pattern: "^(?:failed to run Kubelet: )?kubelet needs to run as uid `0`", Severity: Fatal, Stated: true,
		Cause:  "kubelet was not started as root",
		Remedy: []string{"grep -rnse User= -e DynamicUser= " + unitFiles, "# remove that line, then:", restart},
		Source: "cmd/kubelet/app/server.go",
	}, {
		ID: "swap", Pattern: `running with swap on is not supported`, Severity: Fatal, Stated: true,
		Cause:  "swap is on, and failSwapOn is true",
		Remedy: []string{"swapon --show", "swapoff -a  # and remove it from /etc/fstab, or mask its unit, for the next boot", "systemctl restart kubelet"},
		Source: "kubernetes#50373, #54541",
	}, {
		ID: "swap-v1", Pattern: `LimitedSwap but it is only supported with cgroupv2`, Since: 30, Severity: Fatal, Stated: true,
		Cause:  "memorySwap.swapBehavior is LimitedSwap, which needs cgroup v2",
		Remedy: []string{"kubeletctl set memorySwap.swapBehavior=NoSwap"},
		Source: "pkg/kubelet/cm",
	}, {
		ID: "cgroup-controllers", Pattern: `Following Cgroup subsystem not mounted: \[([^\]]*)\]`, Severity: Fatal,
		Cause:  "the kernel does not offer the cgroup controllers $1, or this kubelet is too old for cgroup v2",
		Remedy: []string{"cat /sys/fs/cgroup/cgroup.controllers /proc/cgroups", "# on a Raspberry Pi, add cgroup_enable=memory cgroup_memory=1 to the kernel's command line and reboot"},
		Source: "kubernetes#26038, k3s#2067, raspberrypi/linux#5933",
	}, {
		ID: "kubepods-missing", Pattern: `failed to initialize top level QOS containers: (.*)`, Severity: Fatal,
		Cause:  "kubelet could not make its cgroups: $1; the cgroup driver may have been changed while pods ran",
		Remedy: []string{"systemctl stop kubelet", "ls -d /sys/fs/cgroup/kubepods* /sys/fs/cgroup/*/kubepods*", "# drain the node and reboot it, which removes those that are left"},
		Source: "kubernetes#95488, minikube#11280",
	}, {
		ID: "cgroup-driver", Pattern: `kubelet cgroup driver: \\?"(\w+)\\?" is different from docker cgroup driver: \\?"(\w+)\\?"`, Until: 23, Severity: Fatal, Stated: true,
		Cause:  "kubelet uses the cgroup driver $1, and Docker $2",
		Remedy: []string{"docker info --format '{{.CgroupDriver}}'", "kubeletctl set cgroupDriver=$2"},
		Source: "kubernetes#89682, kubeadm#639",
	}, {
		ID: "reserved-cgroup", Pattern: `Failed to enforce (System|Kube) Reserved Cgroup Limits on "?([^":]+)"?`, Severity: Fatal, Stated: true,
		Cause:  "enforceNodeAllocatable names the cgroup $2 ($1 reserved), which does not exist",
		Remedy: []string{"systemd-cgls --no-pager / | head -n 40", "# create a slice of that name, or reserve without enforcing:", "kubeletctl set 'enforceNodeAllocatable=[pods]'"},
		Source: "kubernetes#96352, #125763, kops#3223",
	}, {
		ID: "cgroup-root", Pattern: `(?:cgroup-root|invalid configuration: cgroup) \[?([^\]]*)\]? (?:doesn't exist|has some missing paths)|invalid configuration: (.*) cgroup is not configured properly`, Severity: Fatal, Stated: true,
		Cause:  "the cgroup of cgroupRoot does not exist: $1$2",
		Remedy: []string{"systemd-cgls --no-pager / | head -n 40", "# create the slice, or remove cgroupRoot, then:", restart},
		Source: "kubernetes#75832, #92175",
	}, {
		ID: "kernel-flags", Pattern: `invalid kernel flag: (\S+), expected value: (-?\d+), actual value: (-?\d+)`, Severity: Fatal, Stated: true,
		Cause:  "protectKernelDefaults is true, and the kernel setting $1 is $3 instead of $2",
		Remedy: []string{"echo $1=$2 >>/etc/sysctl.d/90-kubelet.conf", "sysctl -p /etc/sysctl.d/90-kubelet.conf", "systemctl restart kubelet"},
		Source: "kubernetes#66241, microk8s#3091",
	}, {
		ID: "inotify", Pattern: `inotify_init\d?: too many open files|inotify_add_watch .*no space left on device`, Severity: Fatal, Probe: inotifyUsed,
		Cause:  "the limits of inotify are used up (that is not the disk)",
		Remedy: []string{`printf 'fs.inotify.max_user_instances=8192\nfs.inotify.max_user_watches=524288\n' >/etc/sysctl.d/90-inotify.conf`, "sysctl -p /etc/sysctl.d/90-inotify.conf", "systemctl restart kubelet"},
		Source: "kubernetes#58081, #10421, kubermatic#7490",
	}, {
		ID: "kmsg", Pattern: `open /dev/kmsg: (no such file or directory|operation not permitted)`, Severity: Fatal,
		Cause:  "kubelet cannot open /dev/kmsg: $1; this host seems to be a container",
		Remedy: []string{"systemd-detect-virt --container", "# give /dev/kmsg to the container, or set featureGates.KubeletInUserNamespace"},
		Source: "kubernetes#80633, kind#662",
	}, {
		ID: "read-only", Pattern: `mkdir (/usr/\S+): read-only file system`, Severity: Fatal, Stated: true, Probe: readOnly,
		Cause:  "kubelet cannot make the directory $1: its file system is read-only",
		Remedy: []string{"findmnt -T $1", "kubeletctl set volumePluginDir=/var/lib/kubelet/volumeplugins  # when it is that of the volume plugins"},
		Source: "kubeadm#2031, k0s#494, k3s#1683",
	}, {
		ID: "read-only-fs", Pattern: readOnlyPath, Severity: Fatal, Stated: true, Probe: readOnly,
		Cause:  "kubelet cannot write $1$2: its file system is read-only",
		Remedy: []string{"findmnt -T $1$2", "dmesg --level=err,warn | tail -n 30  # the kernel does that to a file system with errors: check its disk", remount, "systemctl restart kubelet"},
		Source: "pkg/kubelet/util: the socket of the pod resources; seen with 1.37",
	}, {
		ID: "rootfs-info", Pattern: `failed to get rootfs info: (.*)`, Severity: Fatal,
		Cause:  "kubelet cannot tell the size of the file system of its root directory: $1",
		Remedy: []string{"findmnt -T /var/lib/kubelet", "kubeletctl set localStorageCapacityIsolation=false  # from 1.25 on; or put /var/lib/kubelet on a file system of a disk"},
		Source: "kubernetes#71704, #100224",
	}, {
		ID: "disk-full", Pattern: `(?:(?:write|mkdir|open|create|rename|link) (/\S+): )?no space left on device`, Severity: Fatal, Probe: diskFull,
		Cause:  "kubelet cannot write: its file system has no room left, or no inodes",
		Remedy: []string{"df -h /var/lib/kubelet; df -i /var/lib/kubelet", "du -xh --max-depth=2 /var/lib/kubelet /var/lib/containerd /var/log | sort -h | tail -n 20", "# make room, then:", "systemctl restart kubelet"},
		Source: "seen with 1.36",
	}, {
		ID: "root-dir-form", Pattern: `rootDirectory not in canonical form: expected (\S+), was (\S+)`, Since: 28, Severity: Fatal, Stated: true,
		Cause:  "the path of --root-dir is $2, and has to be written as $1",
		Remedy: []string{"grep -rns -e --root-dir " + unitFiles, "# write $1 there, then:", restart},
		Source: "pkg/kubelet/kubelet.go",
	}, {
		ID: "node-ip", Pattern: `bad --node-ip "([^"]*)"|(?:nodeIP|node IP): "?([^" ]+)"? not found in the host's network interfaces`, Severity: Lasting, Unready: true, Stated: true,
		Cause:  "the address of --node-ip is not one of this host: $1$2",
		Remedy: []string{"ip -brief address", "kubeletctl set --node-ip ADDRESS  # one of those"},
		Source: "cmd/kubelet/app/server.go, pkg/kubelet/kubelet_node_status.go",
	}, {
		ID: "port-in-use", Pattern: `listen tcp\d? (\S*:(\d+)): bind: address already in use`, Severity: Fatal, Stated: true, Probe: portTaken,
		Cause:  "another process listens on $1 already; that may be another kubelet",
		Remedy: []string{"ss -ltnp 'sport = :$2'", "# stop that process (microk8s, k3s, another unit of kubelet), then:", "systemctl restart kubelet"},
		Source: "microk8s#257, minikube#5484, k3s#1011",
	},
	// The container runtime.
	{
		ID: "cri-disabled", Pattern: `unknown service runtime\.(v1|v1alpha2)\.(?:RuntimeService|ImageService)`, Severity: Fatal, Probe: criDisabled,
		Cause:  "the container runtime does not offer CRI $1: containerd has its plugin disabled, or is too old",
		Remedy: []string{"containerd --version  # 1.6 is the oldest for a kubelet from 1.26 on", "grep -n disabled_plugins /etc/containerd/config.toml  # remove cri from that list, then:", "systemctl restart containerd kubelet"},
		Source: "containerd#4581, #8139, #14121, minikube#3471",
	}, {
		ID: "cri-no-socket", Pattern: `validate CRI v1 (?:runtime|image) API for endpoint "(?:unix://)?([^"]+)".* connect: no such file or directory`, Since: 26, Severity: Fatal, Probe: runtimeAnswers(fs.ErrNotExist), Advice: startRuntime,
		Cause:  "the container runtime does not run, or has another socket than $1",
		Remedy: []string{"systemctl status --no-pager containerd crio", "ls -l /run/containerd/containerd.sock /run/crio/crio.sock", "systemctl start containerd  # or crio; where its socket is another one, correct --container-runtime-endpoint"},
		Source: "seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "cri-refused", Pattern: `validate CRI v1 (?:runtime|image) API for endpoint "(?:unix://)?([^"]+)".* connect: connection refused`, Since: 26, Severity: Fatal, Stated: true, Probe: runtimeAnswers(syscall.ECONNREFUSED), Advice: startRuntime,
		Cause:  "the socket $1 is there, and no container runtime listens on it",
		Remedy: []string{"systemctl restart containerd  # or crio", "systemctl restart kubelet"},
		Source: "seen with 1.36",
	}, {
		ID: "cri-denied", Pattern: `validate CRI v1 (?:runtime|image) API for endpoint "(?:unix://)?([^"]+)".* connect: permission denied`, Since: 26, Severity: Fatal, Stated: true, Probe: runtimeAnswers(syscall.EACCES),
		Cause:  "kubelet may not connect to the socket $1",
		Remedy: []string{"ls -lZ $1", "ausearch -m avc -ts recent  # with SELinux", "# correct its mode or label, then:", "systemctl restart kubelet"},
		Source: "seen with 1.36",
	}, {
		ID: "cri-slow", Pattern: `validate CRI v1 (?:runtime|image) API for endpoint "(?:unix://)?([^"]+)".*(?:DeadlineExceeded|deadline exceeded)`, Since: 26, Severity: Fatal, Stated: true, Probe: runtimeAnswers(context.DeadlineExceeded),
		Cause:  "the container runtime at $1 did not answer in time",
		Remedy: []string{"journalctl -u containerd -u crio -n 100 --no-pager", "systemctl restart containerd  # or crio", "systemctl restart kubelet"},
		Source: "staging/src/k8s.io/cri-client",
	},
	{
		ID: "cri-old-no-socket", Pattern: `(?:get remote runtime typed version failed|failed to run Kubelet: unable to determine runtime API version).* dial unix:? ?(\S+): connect: (?:no such file or directory|connection refused)`, Until: 25, Severity: Fatal, Probe: runtimeAnswers(nil), Advice: startRuntime,
		Cause:  "the container runtime does not run, or has another socket than $1",
		Remedy: []string{"systemctl status --no-pager containerd crio docker", "# start it, or correct --container-runtime-endpoint, then:", restart},
		Source: "pkg/kubelet/cri/remote of 1.20 to 1.25",
	}, {
		ID: "credential-provider", Pattern: `plugin binary (directory|executable) (\S+) did not exist`, Since: 20, Severity: Fatal, Stated: true,
		Cause:  "the $1 of an image credential provider does not exist: $2",
		Remedy: []string{"grep -rns -e --image-credential-provider " + unitFiles, "# install the provider there, or remove both flags, then:", restart},
		Source: "pkg/credentialprovider/plugin; talos#11086",
	},
	// Credentials, and files that are named.
	{
		ID: "client-cert-expired", Pattern: `unable to load bootstrap kubeconfig: stat (\S+): no such file or directory`, Severity: Fatal, Probe: clientExpired,
		With:    `existing bootstrap client certificate.* is expired`,
		Cause:   "the client certificate of this node has expired, and there is no bootstrap kubeconfig to get a new one with",
		Remedy:  []string{"openssl x509 -noout -enddate -in " + hostfs.ClientCertificate, "# put a bootstrap kubeconfig with a new token at $1, then:", "systemctl restart kubelet"},
		Kubeadm: []string{"openssl x509 -noout -enddate -in " + hostfs.ClientCertificate, "# on a node of the control plane:", newKubeconfig, "# put that file at KUBECONFIG of this host, then:", "systemctl restart kubelet"},
		Source:  "kubernetes#65991, #98150, kubeadm#2054",
	}, {
		ID: "client-cert-not-renewed", Pattern: `(?:currently active client certificate has expired|No valid client certificate is found) and the server is responsive, exiting`, Severity: Fatal, Stated: true,
		Cause:  "the client certificate of this node expired while kubelet ran, and was not renewed",
		Remedy: []string{"openssl x509 -noout -enddate -in " + hostfs.ClientCertificate, "kubectl get csr  # with an administrator's kubeconfig: what waits for approval", "# put a bootstrap kubeconfig with a new token in place, then:", "systemctl restart kubelet"},
		Source: "kubernetes#78758",
	}, {
		ID: "kubeconfig-unusable", Pattern: `unable to load bootstrap kubeconfig: stat (\S+): no such file or directory`, Severity: Fatal, Probe: kubeconfigUnusable, Sure: true,
		Cause:   "the kubeconfig of this node is there and cannot be used, and there is no bootstrap kubeconfig to get a new one with",
		Remedy:  []string{"ls -l KUBECONFIG", "# put the node's kubeconfig there from a backup, or a bootstrap kubeconfig with a new token at $1, then:", "systemctl restart kubelet"},
		Kubeadm: []string{"ls -l KUBECONFIG", "# on a node of the control plane:", newKubeconfig, "# put that file at KUBECONFIG of this host, then:", "systemctl restart kubelet"},
		Source:  "kubernetes#98150; seen with 1.37",
	}, {
		ID: "bootstrap-missing", Pattern: `unable to load bootstrap kubeconfig: stat (\S+): no such file or directory`, Severity: Fatal, Stated: true, Probe: noKubeconfig,
		Cause:  "this node has neither a kubeconfig nor a bootstrap kubeconfig: it has not joined a cluster",
		Remedy: []string{"# put a bootstrap kubeconfig at $1, or let kubeadm join do that, then:", "systemctl restart kubelet"},
		Source: "kubernetes#98150; seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "kubeconfig-missing", Pattern: `invalid kubeconfig: stat (\S+): no such file or directory`, Severity: Fatal, Stated: true, Probe: fileMissing,
		Cause:  "the kubeconfig $1 does not exist: this node has not joined a cluster",
		Remedy: []string{"# put the node's kubeconfig at $1, owned by root, mode 0600, then:", "systemctl restart kubelet"},
		Source: "seen with 1.36",
	}, {
		ID: "token-unknown", Pattern: `cannot create certificate signing request: Unauthorized`, Severity: Lasting, Unready: true, Stated: true,
		Cause:  "the API server does not know the token of the bootstrap kubeconfig: it has expired, or is not of this cluster",
		Remedy: []string{"kubeadm token create --print-join-command  # on a node of the control plane", "# put the new token into the bootstrap kubeconfig, then:", "systemctl restart kubelet"},
		Source: "kubeadm#809, #792",
	}, {
		ID: "csr-forbidden", Severity: Lasting, Unready: true, Stated: true,
		Pattern: `certificatesigningrequests\.certificates\.k8s\.io is forbidden: User "([^"]+)" cannot create`,
		Cause:   "$1 may not ask for a client certificate: the cluster lacks the binding of the role system:node-bootstrapper",
		Remedy:  []string{"kubectl create clusterrolebinding node-bootstrapper --clusterrole=system:node-bootstrapper --group=system:bootstrappers  # as an administrator"},
		Source:  "kubernetes#62585, website#14797",
	}, {
		ID: "csr-denied", Pattern: `certificate signing request is denied, reason: (.*)`, Since: 20, Severity: Lasting, Unready: true, Stated: true,
		Cause:  "the cluster has denied this node's request for a certificate: $1",
		Remedy: []string{"kubectl get csr  # as an administrator; delete the one that was denied, approve the next, then:", "systemctl restart kubelet"},
		Source: "client-go/util/certificate/csr",
	}, {
		ID: "csr-pending", Pattern: `Failed while requesting a signed certificate from the (?:control plane|master): .*timed out waiting for the condition|^kubelet has no credentials of its own yet`, Severity: AtStart, Unready: true,
		Cause:  "nobody has approved this node's request for a certificate",
		Remedy: []string{"kubectl get csr  # as an administrator: those that are Pending", "kubectl certificate approve NAME"},
		Source: "kubeadm#747",
	}, {
		ID: "webhook-client", Pattern: `no client provided, cannot use webhook auth(?:entication|orization)`, Severity: Fatal, Stated: true,
		Cause:  "authentication.webhook is enabled, which needs an API server, and kubelet has no kubeconfig",
		Remedy: []string{"# give it a kubeconfig, or, for a kubelet without an API server:", "kubeletctl set authentication.webhook.enabled=false", "kubeletctl set authorization.mode=AlwaysAllow"},
		Source: "seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "file-missing", Pattern: `(?:failed to run Kubelet: |unable to load client CA file \S+: )open (\S+): no such file or directory`, Severity: Fatal, Stated: true, Probe: fileMissing,
		Cause:  "a file that the configuration or a flag names does not exist: $1",
		Remedy: []string{"grep -rns $1 /var/lib/kubelet/*.yaml " + unitFiles, "# put the file there, or correct its name, then:", restart},
		Source: "kubernetes#53889; seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "lock-file", Pattern: `unable to acquire file lock on "?([^":]+)"?: (.*)`, Severity: Fatal, Stated: true,
		Cause:  "kubelet cannot lock the file of --lock-file, $1: $2",
		Remedy: []string{"grep -rns -e --lock-file -e --exit-on-lock-contention " + unitFiles, "# remove both flags, which no kubelet of today needs, then:", restart},
		Source: "kubermatic#7490; seen with 1.36",
	},
	// Resource managers.
	{
		ID: "cpu-state", Pattern: `configured policy "([\w-]+)" differs from state checkpoint policy "([\w-]*)"`, Severity: Fatal, Stated: true,
		Cause:  "cpuManagerPolicy was changed from $2 to $1, and /var/lib/kubelet/cpu_manager_state was written with the old one",
		Remedy: []string{"# drain the node, then:", "systemctl stop kubelet", "rm /var/lib/kubelet/cpu_manager_state", "systemctl start kubelet"},
		Source: "talos#7504, bottlerocket#1465",
	}, {
		ID: "cpu-set", Pattern: `current set of available CPUs "([^"]*)" doesn't match with CPUs in state "([^"]*)"`, Severity: Fatal, Stated: true,
		Cause:  "this host has the CPUs $1, and had $2 when /var/lib/kubelet/cpu_manager_state was written",
		Remedy: []string{"# drain the node, then:", "systemctl stop kubelet", "rm /var/lib/kubelet/cpu_manager_state", "systemctl start kubelet"},
		Source: "kubernetes#79603, #136604",
	}, {
		ID: "cpu-static", Pattern: `static policy requires systemreserved\.cpu \+ kubereserved\.cpu to be greater than zero|unable to determine reserved CPU resources for static policy`, Severity: Fatal, Stated: true,
		Cause:  "cpuManagerPolicy is static, and no CPU is reserved",
		Remedy: []string{"kubeletctl set kubeReserved.cpu=200m"},
		Source: "pkg/kubelet/cm/cpumanager",
	}, {
		ID: "memory-static", Severity: Fatal, Stated: true,
		Pattern: `(you should specify the system reserved memory|the total amount "[^"]*" of type "[^"]*" is not equal to the value "[^"]*" determined by Node Allocatable feature)`,
		Cause:   "memoryManagerPolicy is Static, and reservedMemory is not the sum of kubeReserved, systemReserved and evictionHard of memory: $1",
		Remedy:  []string{"# set reservedMemory to that sum, over all NUMA nodes, or:", "kubeletctl set memoryManagerPolicy=None"},
		Source:  "pkg/kubelet/cm/memorymanager; seen with 1.36 and 1.37",
	}, {
		ID: "memory-state", Pattern: `the expected machine state is different from the real one`, Severity: Fatal, Stated: true,
		Cause:  "the memory of this host is not what it was when /var/lib/kubelet/memory_manager_state was written",
		Remedy: []string{"# drain the node, then:", "systemctl stop kubelet", "rm /var/lib/kubelet/memory_manager_state", "systemctl start kubelet"},
		Source: "pkg/kubelet/cm/memorymanager/policy_static.go",
	}, {
		ID: "reserved-cpus", Pattern: `reserved-cpus: (\S+) is not a subset of online-cpus: (\S+)`, Since: 22, Severity: Fatal, Stated: true,
		Cause:  "reservedSystemCPUs is $1, and this host has the CPUs $2",
		Remedy: []string{"kubeletctl set reservedSystemCPUs=0  # CPUs that are there"},
		Source: "cmd/kubelet/app/server.go; seen with 1.37",
	}, {
		ID: "eviction-signal", Pattern: `unsupported eviction signal ([\w.]+)|(eviction percentage threshold .*)`, Severity: Fatal, Stated: true,
		Cause:  "an eviction threshold is not valid: $1$2",
		Remedy: []string{"grep -rns -e eviction /var/lib/kubelet/*.yaml " + unitFiles, "# correct it (memory.available, nodefs.available, imagefs.available, pid.available ...), then:", restart},
		Source: "pkg/kubelet/eviction",
	},
	// systemd.
	{
		ID: "exec-denied", Pattern: `(?:Failed at step EXEC spawning|Failed to locate executable) (\S+): Permission denied`, Severity: Fatal, Probe: notExecutable,
		Cause:  "systemd may not execute $1: its mode, its SELinux label or a mount with noexec forbids it",
		Remedy: []string{"ls -lLZ $1", "findmnt -no OPTIONS -T $1", "chmod 755 $1", "restorecon -v $1  # with SELinux", "kubeletctl repair", "systemctl restart kubelet"},
		Source: "kops#4974, k3s#227, kubernetes#95034",
	}, {
		ID: "exec-missing", Pattern: `(?:Failed at step EXEC spawning|Failed to locate executable) (\S+): No such file or directory`, Severity: Fatal, Probe: fileThere,
		Cause:  "$1 is not there, or the loader that it names is not",
		Remedy: []string{"ls -lL $1", "kubeletctl repair"},
		Source: "talos#11086; systemd.exec(5), status 203",
	}, {
		ID: "exec-format", Pattern: `Failed at step EXEC spawning (\S+): Exec format error`, Severity: Fatal,
		Cause:  "$1 is damaged, or is not of the architecture of this host",
		Remedy: []string{"uname -m; od -An -tx1 -N20 $1", "kubeletctl repair"},
		Source: "systemd.exec(5), status 203",
	}, {
		ID: "unit-setup", Pattern: `Failed at step (\w+) spawning \S+: (.*)`, Severity: Fatal, Stated: true,
		Cause:  "systemd could not set up what the unit of kubelet asks for ($1): $2",
		Remedy: []string{"systemctl cat kubelet.service  # a drop-in may ask for it", "# correct that, then:", restart},
		Source: "systemd.exec(5), statuses 200 to 245",
	}, {
		ID: "exec-failed", Pattern: `Main process exited, code=exited, status=203/EXEC`, Severity: Fatal,
		Cause: "systemd could not execute the program of the unit of kubelet: it is not there, not executable, damaged or of another architecture, or a mount or SELinux forbids it",
		Remedy: []string{"journalctl -b --no-pager _UID=0 UNIT=kubelet.service | grep 'at step EXEC'  # which program, and why", "systemctl show -p ExecStart kubelet.service",
			"kubeletctl repair", "systemctl restart kubelet"},
		Source: "systemd.exec(5), status 203",
	}, {
		ID: "step-failed", Pattern: `Main process exited, code=exited, (status=2\d\d/\w+)`, Severity: Fatal, Stated: true,
		Cause:  "systemd could not set up what the unit of kubelet asks for: $1",
		Remedy: []string{"journalctl -b --no-pager _UID=0 UNIT=kubelet.service | grep 'at step'  # what, and why", "systemctl cat kubelet.service  # a drop-in may ask for it", "# correct that, then:", restart},
		Source: "systemd.exec(5), statuses 200 to 245",
	}, {
		ID: "environment-file", Pattern: `Failed to load environment files: (.*)`, Severity: Fatal, Stated: true,
		Cause:  "systemd cannot read an environment file of the unit: $1",
		Remedy: []string{"grep -rns EnvironmentFile= " + unitFiles, "# write that file, or put a - before its name, then:", restart},
		Source: "systemd.exec(5), EnvironmentFile=",
	}, {
		ID: "loader", Pattern: "version `(GLIBC_[\\d.]+)' not found", Severity: Fatal, Stated: true,
		Cause:  "this kubelet needs a newer C library ($1) than this host has",
		Remedy: []string{"ldd --version | head -n 1", "kubeletctl repair  # the published binaries are static"},
		Source: "ld.so(8); talos#11086",
	}, {
		ID: "watchdog-small", Pattern: `configure watchdog timeout too small: (\S+)`, Since: 32, Severity: Lasting, Stated: true,
		Cause:  "WatchdogSec of the unit of kubelet is too small: $1",
		Remedy: []string{"grep -rns WatchdogSec= " + unitFiles, "# set it to 10s or more, or remove it, then:", restart},
		Source: "pkg/kubelet/watchdog",
	}, {
		ID: "watchdog", Pattern: `Watchdog timeout`, Severity: Fatal, Stated: true,
		Cause:  "kubelet did not answer systemd's watchdog in time and was terminated; it hung, or WatchdogSec is too small",
		Remedy: []string{"systemctl show -p WatchdogUSec kubelet", "journalctl -u kubelet -n 2000 --no-pager | grep -m1 -A40 '^.*goroutine 1 '  # what it was doing"},
		Source: "systemd.service(5), WatchdogSec=",
	}, {
		ID: "oom", Pattern: `killed by the OOM killer`, Severity: Fatal, Stated: true,
		Cause:  "the kernel has terminated kubelet, since memory ran out",
		Remedy: []string{"journalctl -k --no-pager | grep -i -A20 'out of memory'", "systemctl show -p MemoryMax -p OOMScoreAdjust kubelet", "# reserve memory for the system:", "kubeletctl set systemReserved.memory=500Mi"},
		Source: "systemd.service(5), OOMPolicy=",
	},
}
