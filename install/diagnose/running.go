package diagnose

import "github.com/kubeletctl/kubeletctl/install/hostfs"

// runRules are about kubelets that run: what keeps them from their work while /healthz is ok.
var runRules = []rule{
	// The API server.
	{
		ID: "server-cert-expired", Severity: Lasting, Unready: true, Probe: serverExpired,
		Pattern: server + `x509: certificate has expired or is not yet valid: current time (\S+) is after (\S+?)[",]?(?:$| )`,
		Cause:   "the certificate of the API server has expired: it was valid until $3",
		Remedy: []string{"# on a node of the control plane of kubeadm's:", "kubeadm certs check-expiration", "kubeadm certs renew all",
			"# then restart kube-apiserver, kube-controller-manager, kube-scheduler and etcd there; kubelet goes on by itself"},
		Source: "kubernetes#65991",
	}, {
		ID: "clock", Severity: Lasting, Unready: true, Probe: serverClock,
		Pattern: server + `x509: certificate has expired or is not yet valid: current time (\S+) is (?:before|after) (\S+?)[",]?(?:$| )`,
		Cause:   "the clock of this host is wrong: it shows $2, and the certificate of the API server is not valid then (limit: $3)",
		Remedy:  []string{"timedatectl  # is the clock synchronized?", "systemctl restart systemd-timesyncd  # or chronyd, ntpd"},
		Source:  "kubernetes#42791, kubeasz#922",
	}, {
		ID: "ca-mismatch", Pattern: `x509: certificate signed by unknown authority`, Severity: Lasting, Unready: true,
		Cause:  "the API server has a certificate that the CA of this node's kubeconfig has not signed: another cluster, a new CA, or a proxy between",
		Remedy: []string{"grep -n -e server: -e certificate-authority /var/lib/kubelet/kubeconfig /etc/kubernetes/kubelet.conf", "# give the node the kubeconfig of its cluster, then:", "systemctl restart kubelet"},
		Source: "kubeadm#2526, kubernetes#48282, #131080",
	}, {
		ID: "cert-name", Pattern: `x509: certificate is valid for (.*), not ([\w.:-]+)`, Severity: Lasting, Unready: true, Stated: true,
		Cause:  "the certificate of the API server is not for $2, the address in this node's kubeconfig, but for $1",
		Remedy: []string{"grep -n server: /var/lib/kubelet/kubeconfig /etc/kubernetes/kubelet.conf", "# write one of those addresses there, then:", "systemctl restart kubelet"},
		Source: "kubernetes#58921",
	}, {
		ID: "node-name", Pattern: `node "?([^" ]+)"? (?:is not allowed to|cannot) modify node "?([^" ]+)"?`, Severity: Lasting, Unready: true, Stated: true,
		Cause:  "kubelet calls its node $2, and its certificate is for the node $1",
		Remedy: []string{"hostnamectl --static", "kubeletctl set --hostname-override $1  # or join anew with the new name"},
		Source: "kubernetes#93884, #54482, microshift#761",
	}, {
		ID: "node-missing", Pattern: `^(?:Error getting the current node from lister|Error updating node status, will retry|Unable to update node status|this node is not joined).*nodes? "([^"]+)" not found`, Severity: AtStart, Unready: true, Stated: true,
		Cause:  "the cluster has no Node object $1: somebody has deleted it, and kubelet registers it only when it starts",
		Remedy: []string{"systemctl restart kubelet"},
		Source: "pkg/kubelet/kubelet_node_status.go",
	}, {
		ID: "not-a-node", Pattern: `User "(system:anonymous)" cannot|unknown node for user "(system:node:[^"]*)"`, Severity: Lasting, Unready: true, Probe: hasKubeconfig,
		Cause:  "the API server takes this kubelet for $1$2, which is no node of the cluster: its client certificate is missing, or of another cluster",
		Remedy: []string{"openssl x509 -noout -subject -issuer -enddate -in " + hostfs.ClientCertificate, "# put a bootstrap kubeconfig with a new token in place and remove the kubeconfig, then:", "systemctl restart kubelet"},
		Source: "kubermatic#7404",
	}, {
		ID: "unauthorized", Pattern: `^(?:Unable to register node with API server|Failed to ensure lease exists, will retry|this node is not joined).*Unauthorized`, Severity: Lasting, Unready: true,
		Cause:  "the API server does not accept the credentials of this node: its client certificate has expired, or is of another cluster",
		Remedy: []string{"openssl x509 -noout -subject -issuer -enddate -in " + hostfs.ClientCertificate, "# put a bootstrap kubeconfig with a new token in place and remove the kubeconfig, then:", "systemctl restart kubelet"},
		Source: "kubernetes#65991",
	}, {
		ID: "api-dns", Pattern: `dial tcp: lookup (\S+?)(?: on \S+)?: (?:no such host|server misbehaving|i/o timeout|Temporary failure)`, Severity: Lasting, Unready: true, Stated: true,
		Cause:  "this host cannot resolve the name of the API server: $1",
		Remedy: []string{"getent hosts $1", "cat /etc/resolv.conf", "# correct the resolver, or add the name to /etc/hosts"},
		Source: "net.DNSError",
	}, {
		ID: "api-unreachable", Severity: Lasting, Unready: true, Stated: true, Probe: serverIsPod, ServerPod: true, Advice: startServerPod,
		Pattern: `(?:Unable to register node with API server|Failed to ensure lease exists, will retry|Error updating node status, will retry|asking the API server).*dial tcp (\S+?):? (?:connect: )?(connection refused|i/o timeout|no route to host|network is unreachable)`,
		Cause:   "kubelet cannot reach the API server at $1: $2",
		Remedy:  []string{"curl -k https://$1/version  # from this host", "# start the API server, or correct the address, the firewall, the route or the proxy (NO_PROXY)"},
		Source:  "kops#15229",
	}, {
		ID: "skew-services", Pattern: `services have not yet been read at least once, cannot construct envvars`, Severity: AtStart,
		Cause:  "kubelet has no Services from the API server; a kubelet that is newer than its API server gets none",
		Remedy: []string{"kubeletctl status  # the release of kubelet", "kubectl version  # that of the API server, which must not be older: upgrade it first"},
		Source: "kubernetes#127316",
	}, {
		ID: "localhost-name", Pattern: `^Attempting to register node node="(localhost[\w.]*)"`, Severity: Lasting, Info: true, Stated: true,
		Cause:  "kubelet calls its node $1: this host had no name of its own when kubelet started",
		Remedy: []string{"hostnamectl set-hostname NAME", "systemctl restart kubelet", "kubectl delete node $1  # as an administrator"},
		Source: "Flatcar#1596",
	}, {
		ID: "client-cert-ends", Pattern: `^$`, Severity: Lasting, Info: true, Probe: clientEnds, Sure: true,
		Cause:  "the client certificate of this node expires soon, and kubelet has not renewed it",
		Remedy: []string{"openssl x509 -noout -enddate -in " + hostfs.ClientCertificate, "kubectl get csr  # as an administrator: requests that wait for approval", "journalctl -u kubelet --no-pager | grep -i certificate", "systemctl restart kubelet"},
		Source: "client-go/util/certificate: it is renewed after 70 to 90 % of its life",
	},
	// The container runtime, and pods.
	{
		ID: "cgroup-driver-runtime", Pattern: `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups|cgroupsPath.* (?:is not valid|invalid).*systemd`, Pods: true, Severity: Lasting, Probe: driverOfRuntime,
		Cause:  "kubelet and the container runtime use different cgroup drivers, so that no pod can start",
		Remedy: []string{"systemctl restart kubelet  # from 1.28 on it asks the runtime when it starts", "# where the runtime cannot tell kubelet its driver, as containerd 1.x:", "kubeletctl set cgroupDriver=systemd"},
		Source: "kubespray#8122, cri-tools#1292; seen with 1.37",
	}, {
		ID: "cgroup-driver-changed", Pattern: `^Using cgroup driver setting received from the CRI runtime cgroupDriver="(\w+)"`, Severity: Lasting, Pods: true, Info: true, Probe: driverChanged, Sure: true,
		Cause:  "the container runtime was given another cgroup driver after kubelet had asked for it, so that no new pod can start",
		Remedy: []string{"systemctl restart kubelet  # it asks the runtime again"},
		Source: "seen with 1.37 and containerd 2.1",
	}, {
		ID: "sandbox-image", Pattern: `(?:failed to get sandbox image|failed to pull image|unable to pull sandbox image|pulling image) "?([^" ]*pause[^" ]*)"?`, Severity: Lasting, Pods: true, Stated: true,
		Cause:  "the container runtime has no sandbox image, $1, and cannot pull it, so that no pod can start",
		Remedy: []string{"ctr -n k8s.io images pull $1  # or import it from a file: ctr -n k8s.io images import FILE", "grep -n -e sandbox_image -e sandbox /etc/containerd/config.toml  # or name one there that this host can pull, then:", "systemctl restart containerd"},
		Source: "kubeadm#2801, k0s#5140; seen with 1.37",
	}, {
		ID: "resolv-conf", Pattern: `Failed to generate sandbox config for pod.*open (\S+): no such file or directory`, Severity: Lasting, Pods: true, Stated: true, Probe: fileMissing,
		Cause:  "the file of resolvConf does not exist: $1",
		Remedy: []string{"ls -l /etc/resolv.conf /run/systemd/resolve/resolv.conf", "kubeletctl set resolvConf=/etc/resolv.conf"},
		Source: "kubernetes#103110, kubeadm#1124; seen with 1.36",
	}, {
		ID: "runtime-down", Severity: AtStart, Unready: true, Probe: runtimeAnswers(nil), Advice: startRuntime,
		Pattern: `container runtime is down|container runtime status check may not have completed yet|dial unix (\S+): connect: (?:no such file or directory|connection refused)`,
		Cause:   "the container runtime does not answer kubelet",
		Remedy:  []string{"journalctl -u containerd -u crio -n 100 --no-pager", "systemctl restart containerd  # or crio"},
		Source:  "kubernetes#72533; seen with 1.37",
	}, {
		ID: "pleg", Pattern: `PLEG is not healthy: pleg was last seen active (\S+) ago`, Severity: Lasting, Unready: true, Stated: true,
		Cause:  "the container runtime did not list its containers for $1: it hangs, or the disk is slow",
		Remedy: []string{"journalctl -u containerd -u crio -n 100 --no-pager", "systemctl restart containerd  # or crio"},
		Source: "kubernetes#45419, #61117",
	}, {
		ID: "cni", Severity: AtStart, Unready: true, Probe: networkNotReady,
		Pattern: `cni plugin not initialized|cni config uninitialized|No CNI configuration file in (\S+)`,
		Cause:   "pods have no network: the container runtime has found no CNI configuration",
		Remedy:  []string{"ls -l /etc/cni/net.d /opt/cni/bin", "# install the network plugin of the cluster (kubectl -n kube-system get pods -o wide); where its file is there:", "systemctl restart containerd"},
		Source:  "kubernetes#43815, containerd#8419; seen with 1.37",
	}, {
		ID: "cni-plugin", Pattern: `failed to setup network for sandbox.*failed to find plugin "([^"]+)" in path \[?([^\]]*)\]?`, Severity: Lasting, Stated: true,
		Cause:  "the CNI configuration names a plugin that is not there: $1 in $2",
		Remedy: []string{"ls /opt/cni/bin", "grep -n type /etc/cni/net.d/*", "# install the plugins (containernetworking-plugins), or correct the configuration"},
		Source: "containernetworking/cni/pkg/invoke",
	}, {
		ID: "imagefs", Pattern: `invalid capacity 0 on image filesystem`, Severity: AtStart, Probe: runtimeAnswers(nil),
		Cause:  "the container runtime does not tell the size of its file system, so that unused images are not removed",
		Remedy: []string{"df -h /var/lib/containerd", "systemctl restart containerd"},
		Source: "kops#15229",
	}, {
		ID: "disk-pressure", Pattern: `^Eviction manager: attempting to reclaim resourceName="?([\w.-]+)"?`, Severity: Lasting, Info: true, Stated: true,
		Cause:  "this host runs short of $1, so that kubelet ends pods",
		Remedy: []string{"df -h /var/lib/kubelet /var/lib/containerd; df -i /var/lib/kubelet; free -m", "crictl rmi --prune  # images that no pod uses"},
		Source: "pkg/kubelet/eviction",
	}, {
		ID: "disk-full-running", Pattern: `(?:write|mkdir|open|create|rename) (/\S+): no space left on device`, Severity: Lasting, Pods: true, Stated: true, Probe: diskFull,
		Cause:  "the file system of $1 has no room left, or no inodes",
		Remedy: []string{"df -h $1; df -i $1", "crictl rmi --prune  # images that no pod uses"},
		Source: "pkg/kubelet",
	}, {
		ID: "read-only-running", Pattern: readOnlyPath, Severity: Lasting, Pods: true, Stated: true, Probe: readOnly,
		Cause:  "kubelet cannot write $1$2: its file system is read-only",
		Remedy: []string{"findmnt -T $1$2", "dmesg --level=err,warn | tail -n 30  # the kernel does that to a file system with errors: check its disk", remount},
		Source: "pkg/kubelet",
	}, {
		ID: "volume", Pattern: `MountVolume\.[\w ]+ failed for volume "([^"]+)" (?:\(UniqueName: .*? \(UID: "[^"]*"\) )?: (.*)`, Severity: Lasting, Stated: true,
		Cause:  "kubelet cannot mount the volume $1 of a pod: $2",
		Remedy: []string{"kubectl describe pod --all-namespaces | grep -B30 FailedMount  # as an administrator: which pod", "journalctl -u kubelet --since -5min --no-pager | grep MountVolume"},
		Source: "pkg/volume/util/operationexecutor; seen with 1.37",
	}, {
		ID: "manifest", Pattern: `^Could not process manifest file: (.*)`, Severity: Lasting, Pods: true, Stated: true,
		Cause:  "a static pod is not started, since its file cannot be read: $1",
		Remedy: []string{"ls -l /etc/kubernetes/manifests", "# correct the file, or move it elsewhere; kubelet reads it again by itself"},
		Source: "pkg/kubelet/config/file.go; seen with 1.37",
	},
	// What it goes on with.
	{
		ID: "config-unknown", Pattern: `^Using lenient decoding as strict decoding failed: (.*)`, Since: 22, Severity: Harmless,
		Cause:  "kubelet ignores a part of its configuration: $1",
		Source: "kubernetes#127940; seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "runtime-config", Pattern: `CRI implementation should be updated to support RuntimeConfig|^RuntimeConfig from runtime service failed`, Since: 28, Severity: Harmless,
		Cause:  "the container runtime cannot tell its cgroup driver: containerd 2.0 can, and kubelet 1.38 is to require it",
		Source: "kubernetes#139121; seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "shutdown-manager", Pattern: `^Failed to start node shutdown manager: (.*)`, Severity: Harmless,
		Cause:  "pods are not ended in order when this host is shut down (shutdownGracePeriod): $1",
		Source: "pkg/kubelet/kubelet.go",
	}, {
		ID: "file-handles", Pattern: `^Failed to set rlimit on max file handles: (.*)`, Severity: Harmless,
		Cause:  "kubelet may not raise its limit of open files: $1",
		Source: "seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "no-route", Pattern: `^Failed to set some node status fields: can't get ip address of node .*no default routes found`, Severity: Harmless,
		Cause:  "this host has no default route, by which kubelet finds the address of its node; --node-ip names one",
		Source: "seen with 1.34, 1.36 and 1.37",
	}, {
		ID: "pod-logs", Pattern: `^Container garbage collection failed: failed to read podLogsDirectory "([^"]+)"`, Severity: Harmless,
		Cause:  "there is no directory for the logs of pods yet: $1",
		Source: "seen with 1.37",
	}, {
		ID: "pod-waits", Pattern: `^Error syncing pod, skipping: .* with (CrashLoopBackOff|ImagePullBackOff|ErrImagePull|ErrImageNeverPull|CreateContainerConfigError|RunContainerError)`, Severity: Harmless,
		Cause:  "a container of a pod does not start, which is no failure of kubelet: $1",
		Source: "pkg/kubelet/pod_workers.go",
	}, {
		ID: "container-gone", Pattern: `^(?:ContainerStatus|RemoveContainer|StopContainer|StopPodSandbox|PodSandboxStatus) from runtime service failed: .*code = NotFound|^(?:DeleteContainer returned error|getPodContainerStatuses for pod failed|Failed to get status for pod)`, Severity: Harmless,
		Cause:  "a container was gone before kubelet looked at it",
		Source: "pkg/kubelet/cri/remote",
	}, {
		ID: "manifest-dir", Pattern: `^Unable to read config path.*path="([^"]+)"`, Severity: Harmless,
		Cause:  "the directory of staticPodPath does not exist: $1",
		Source: "pkg/kubelet/config/file.go",
	},
}

// server finds the address of the API server in an error of a request to it.
const server = `(?:https://|API server )([\w.:\[\]-]*[\w\]])(?:/|: |"| ).*`
