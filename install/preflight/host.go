package preflight

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/preflight/facts"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

const (
	// cgroup v1 is in maintenance from 1.31 on, and refused from 1.35 on unless failCgroupV1 is false (KEP-4569, KEP-5573).
	firstMaintaining, firstRefusingV1 config.Minor = 31, 35
	// firstRefusingLimitedSwap refuses LimitedSwap on cgroup v1 (kubernetes, pkg/kubelet/kubelet.go).
	firstRefusingLimitedSwap config.Minor = 30
	// firstCanonicalRoot refuses a root directory that is not written in its shortest form (kubernetes, cmd/kubelet/app/server.go).
	firstCanonicalRoot config.Minor = 28
)

func checkCgroupV1(k Kubelet, f *facts.Facts) *Problem {
	fails, known := k.Fields["failCgroupV1"].(bool)
	if f.Cgroup.Version != 1 || known && !fails || k.minor() < firstMaintaining {
		return nil
	}
	const boot = "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1)"
	if k.minor() < firstRefusingV1 {
		return problem(CgroupV1, Warning, "this host uses cgroup v1",
			fmt.Sprintf("kubelet refuses to run on it from %s on", firstRefusingV1), boot)
	}
	return problem(CgroupV1, k.failure(),
		fmt.Sprintf("this host uses cgroup v1, and kubelet refuses to run on it from %s on", firstRefusingV1), "",
		boot+", or accept cgroup v1: "+k.set("failCgroupV1=false"))
}

// neededControllers are those without which kubelet does not start (kubernetes, pkg/kubelet/cm: cgroup_v2_manager_linux.go and
// container_manager_linux.go, validateSystemRequirements).
var neededControllers = []string{"cpu", "cpuset", "memory", "pids"}

func checkControllers(_ Kubelet, f *facts.Facts) *Problem {
	missing := slices.DeleteFunc(slices.Clone(neededControllers), func(name string) bool { return slices.Contains(f.Cgroup.Controllers, name) })
	if f.Cgroup.Version == 0 || len(missing) == 0 {
		return nil
	}
	return problem(Controllers, Failure, "the kernel has no cgroup controller for "+strings.Join(missing, ", "),
		"kubelet does not start without",
		"add cgroup_enable="+strings.Join(missing, " cgroup_enable=")+" to the kernel's command line, and boot")
}

func checkSwap(k Kubelet, f *facts.Facts) *Problem {
	if fails, known := k.Fields["failSwapOn"].(bool); known && !fails || len(f.Swap) == 0 {
		return nil
	}
	return problem(Swap, k.failure(), "swap is on, and kubelet refuses to run with it: "+strings.Join(f.Swap, ", "), "",
		"turn swap off (swapoff -a, and /etc/fstab), or accept it: "+k.set("failSwapOn=false"))
}

func checkSwapBehavior(k Kubelet, f *facts.Facts) *Problem {
	if f.Cgroup.Version != 1 || k.minor() < firstRefusingLimitedSwap || k.setting("", "memorySwap.swapBehavior") != "LimitedSwap" {
		return nil
	}
	return problem(SwapBehavior, k.failure(), "memorySwap.swapBehavior is LimitedSwap, and this host uses cgroup v1",
		"kubelet refuses it without cgroup v2",
		k.set("memorySwap.swapBehavior=NoSwap"))
}

func checkHealthPort(k Kubelet, f *facts.Facts) *Problem {
	address := k.setting("healthz-bind-address", "healthzBindAddress")
	if address == "" {
		address = "127.0.0.1"
	}
	return k.portProblem(f, listening{HealthPort, "healthzPort", address, k.number("healthzPort", 10248), "serve /healthz"})
}

func checkKubeletPort(k Kubelet, f *facts.Facts) *Problem {
	return k.portProblem(f, listening{KubeletPort, "port", k.address(), k.number("port", 10250), "serve the API server"})
}

func checkReadOnlyPort(k Kubelet, f *facts.Facts) *Problem {
	return k.portProblem(f, listening{ReadOnlyPort, "readOnlyPort", k.address(), k.number("readOnlyPort", 0), "serve without authentication"})
}

// checkOtherKubelet looks for kubelets that kubelet.service did not start.
func checkOtherKubelet(k Kubelet, f *facts.Facts) *Problem {
	var names, remedies []string
	for _, p := range f.Kubelets {
		if p.Unit != systemd.KubeletService {
			names, remedies = append(names, p.String()), append(remedies, stop(p))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return problem(OtherKubelet, k.newly(), "another kubelet runs on this host: "+strings.Join(names, ", "),
		"two of them take each other's pods for leftovers", strings.Join(remedies, "; "))
}

func checkCredentials(k Kubelet, _ *facts.Facts) *Problem {
	if !k.runs() || k.Seen.Credentials {
		return nil
	}
	return problem(StopsKubelet, Failure,
		"kubelet runs, and would be stopped until one of these exists: "+strings.Join(k.Credentials, ", "), "",
		"keep it with --standalone, or put the kubeconfig there first")
}

// checkNodeName looks at the name under which the node is to be registered.
func checkNodeName(k Kubelet, f *facts.Facts) *Problem {
	name := k.nodeName(f)
	const rename = "hostnamectl set-hostname NAME, or --hostname-override NAME"
	switch first, _, _ := strings.Cut(name, "."); {
	case name == "" || k.Standalone:
	case first == "localhost":
		return problem(NodeName, k.newly(), "the node would be called "+name, "each node of a cluster needs a name of its own",
			rename)
	case !isNodeName(name):
		return problem(NodeName, k.newly(), fmt.Sprintf("the node would be called %q, which the API server refuses", name),
			"a name has lower-case letters, digits, '-' and '.' only, and begins and ends with a letter or digit", rename)
	}
	return nil
}

// isNodeName reports whether a name is a DNS subdomain (RFC 1123).
func isNodeName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return len(name) <= 253
}

func checkCertificateName(k Kubelet, f *facts.Facts) *Problem {
	name := k.nodeName(f)
	if f.API.Node == "" || name == "" || name == f.API.Node {
		return nil
	}
	return problem(NodeName, k.newly(),
		fmt.Sprintf("the node would be called %s, and its client certificate is for %s", name, f.API.Node),
		"the API server lets a node change only itself", "--hostname-override "+f.API.Node+", or a certificate for "+name)
}

func checkNoExec(k Kubelet, f *facts.Facts) *Problem {
	if !f.Files[k.binDir()].NoExec {
		return nil
	}
	return problem(NoExec, Failure, k.binDir()+" is on a file system that is mounted noexec", "kubelet is started from there",
		"mount -o remount,exec it, and change /etc/fstab; or --bin-dir DIR")
}

func checkRootDir(k Kubelet, f *facts.Facts) *Problem {
	root := f.Files[k.KubeletRoot()]
	if root.Unwritable == nil {
		return nil
	}
	return problem(KubeletDir, Failure,
		fmt.Sprintf("kubelet has to write to %s and cannot: %v", k.KubeletRoot(), root.Unwritable), "", "mount it writable")
}

func checkRootDirForm(k Kubelet, _ *facts.Facts) *Problem {
	dir, given := k.Arg("root-dir")
	if !given || k.minor() < firstCanonicalRoot || dir == path.Clean(dir) {
		return nil
	}
	return problem(RootDir, Failure, "--root-dir is "+dir, "kubelet takes it only in its shortest form",
		"--kubelet-flag root-dir="+path.Clean(dir))
}

const nfs = 0x6969 // statfs(2)

func checkRootDirType(k Kubelet, f *facts.Facts) *Problem {
	switch root := f.Files[k.KubeletRoot()]; {
	case root.Type == nfs:
		return problem(RootDir, Warning, k.KubeletRoot()+" is on NFS",
			"kubelet needs a local file system for its sockets and its volumes", "mount a local file system there")
	case root.NoExec:
		return problem(RootDir, Warning, k.KubeletRoot()+" is on a file system that is mounted noexec",
			"no program in an emptyDir volume can be started",
			"mount -o remount,exec it, and change /etc/fstab")
	}
	return nil
}

func checkPluginDir(k Kubelet, f *facts.Facts) *Problem {
	dir := f.Files[k.pluginDir()]
	if dir.Unwritable == nil {
		return nil
	}
	return problem(PluginDir, Warning,
		fmt.Sprintf("kubelet cannot make its directory for volume plugins, %s: %v", path.Clean(k.pluginDir()), dir.Unwritable),
		"",
		k.set("volumePluginDir=/var/lib/kubelet/volumeplugins"))
}

const (
	// fullDisk is the free space in bytes below which kubelet cannot even write its state.
	fullDisk = 16 << 20
	// lowDisk and lowInodes are the parts, in percent, below which kubelet evicts pods by default: imagefs.available and
	// nodefs.inodesFree (pkg/kubelet/apis/config/v1beta1/defaults_linux.go).
	lowDisk, lowInodes = 15, 5
	// lowMemory is a gibibyte, of which the kernel keeps a part for itself.
	lowMemory = 900 << 20
)

func size(n uint64) string { return release.FormatSize(int64(n)) }

func checkDisk(k Kubelet, f *facts.Facts) *Problem {
	fs := f.Files[k.KubeletRoot()]
	free := fmt.Sprintf("the file system of %s has %s free of %s", k.KubeletRoot(), size(fs.Free), size(fs.Size))
	find := "du -xh --max-depth=2 /var | sort -h shows what takes it"
	switch {
	case fs.Size == 0 || fs.Free >= fullDisk && fs.Free*100/fs.Size >= lowDisk:
		return nil
	case fs.Free < fullDisk:
		return problem(Disk, Failure, free, "kubelet cannot write its state there", find)
	}
	return problem(Disk, Warning, free, fmt.Sprintf("kubelet removes images and pods below %d %%", lowDisk), find)
}

func checkInodes(k Kubelet, f *facts.Facts) *Problem {
	fs := f.Files[k.KubeletRoot()]
	if fs.Inodes == 0 || fs.FreeInodes*100/fs.Inodes >= lowInodes {
		return nil
	}
	return problem(Disk, Warning,
		fmt.Sprintf("the file system of %s has %d inodes free of %d", k.KubeletRoot(), fs.FreeInodes, fs.Inodes),
		fmt.Sprintf("kubelet removes pods below %d %%", lowInodes), "du -x --inodes --max-depth=2 /var | sort -n shows what takes them")
}

func checkMemory(_ Kubelet, f *facts.Facts) *Problem {
	if f.Memory == 0 || f.Memory >= lowMemory {
		return nil
	}
	return problem(Memory, Warning, "this host has "+size(f.Memory)+" of memory", "a node needs 1 GiB",
		"give it more memory")
}

func checkKmsg(k Kubelet, f *facts.Facts) *Problem {
	inside, _ := at(k.Fields, []string{"featureGates", "KubeletInUserNamespace"}).(bool)
	if inside || !errors.Is(f.Files["/dev/kmsg"].Err, fs.ErrNotExist) {
		return nil
	}
	return problem(Kmsg, k.failure(), "/dev/kmsg does not exist",
		"kubelet reads there which programs the kernel has killed for lack of memory",
		"pass it to the container that this is: lxc config device add NAME kmsg unix-char source=/dev/kmsg path=/dev/kmsg")
}

func checkMachineID(_ Kubelet, f *facts.Facts) *Problem {
	id, looked := f.Files["/etc/machine-id"]
	if text := strings.TrimSpace(string(id.Content)); !looked || id.Err != nil && !errors.Is(id.Err, fs.ErrNotExist) || text != "" && text != "uninitialized" {
		return nil
	}
	return problem(MachineID, Warning, "/etc/machine-id is empty", "a node reports it, and it tells machines apart",
		"systemd-machine-id-setup")
}

func checkResolvConf(k Kubelet, f *facts.Facts) *Problem {
	severity := k.newly()
	if k.Standalone {
		severity = Warning
	}
	if f.Resolver.Err == nil {
		return nil
	}
	return problem(ResolvConf, severity, fmt.Sprintf("cannot read %s: %v", k.resolvConf(), f.Resolver.Err),
		"without it no pod starts that uses the cluster's DNS or the node's",
		k.set("resolvConf=FILE"))
}

func checkResolvers(k Kubelet, f *facts.Facts) *Problem {
	servers := f.Resolver.Servers
	if len(servers) == 0 || slices.ContainsFunc(servers, func(s string) bool { return !strings.HasPrefix(s, "127.") && s != "::1" }) {
		return nil
	}
	return problem(ResolvConf, Warning, k.resolvConf()+" names "+strings.Join(servers, ", ")+" only",
		"pods cannot reach a name server on the node's loopback",
		k.set("resolvConf=/run/systemd/resolve/resolv.conf"))
}

func checkProviderConfig(_ Kubelet, f *facts.Facts) *Problem {
	if f.ProvidersErr == nil {
		return nil
	}
	return problem(CredentialProvider, Failure,
		fmt.Sprintf("cannot read the configuration of credential providers: %v", f.ProvidersErr),
		"kubelet does not start without",
		"correct --image-credential-provider-config")
}

func checkProviders(_ Kubelet, f *facts.Facts) *Problem {
	for _, p := range f.Providers {
		if p.Err != nil {
			return problem(CredentialProvider, Failure,
				fmt.Sprintf("the credential provider %s cannot be started: %s: %v", p.Name, p.Path, p.Err),
				"kubelet needs each that is configured", "install it there, or take it out of --image-credential-provider-config")
		}
	}
	return nil
}

func checkClientCAFile(k Kubelet, f *facts.Facts) *Problem {
	file := k.setting("", "authentication.x509.clientCAFile")
	ca, looked := f.Files[file]
	if !looked || k.Joins && file == hostfs.ClusterCA || ca.Err == nil && hasPEM(ca.Content) || errors.Is(ca.Err, fs.ErrPermission) {
		return nil
	}
	return problem(ClientCA, k.whileWaiting(Failure), fmt.Sprintf("clientCAFile is %s: %s", file, fileTrouble(ca)),
		"kubelet does not start without", "put the CA of the cluster there")
}

func checkServingFiles(k Kubelet, f *facts.Facts) *Problem {
	for _, field := range []string{"tlsCertFile", "tlsPrivateKeyFile"} {
		file := k.setting("", field)
		if found, looked := f.Files[file]; looked && !errors.Is(found.Err, fs.ErrPermission) && (found.Err != nil || !hasPEM(found.Content)) {
			return problem(TLSCert, k.whileWaiting(Failure), fmt.Sprintf("%s is %s: %s", field, file, fileTrouble(found)),
				"kubelet does not start without", "put it there")
		}
	}
	return nil
}

// fileTrouble says what is wrong with a file that should have certificates or keys.
func fileTrouble(f facts.File) string {
	if f.Err != nil {
		return f.Err.Error()
	}
	return "it has nothing in PEM form"
}

func hasPEM(data []byte) bool {
	block, _ := pem.Decode(data)
	return block != nil
}

func checkSELinux(_ Kubelet, f *facts.Facts) *Problem {
	if !f.SELinux.Enforcing || f.SELinux.Policy != cri.No {
		return nil
	}
	return problem(SELinux, Warning, "SELinux is enforced, and there is no policy for containers",
		"containers are kept from what they need",
		"install the package container-selinux")
}

// Services that may keep a kubelet from being started, or the API server from it.
const (
	fapolicyd = "fapolicyd.service"
	firewalld = "firewalld.service"
)

// cgroups are where the control group of a service is, with cgroup v2 and v1, as long as it runs.
func cgroups(service string) []string {
	return []string{"/sys/fs/cgroup/system.slice/" + service, "/sys/fs/cgroup/systemd/system.slice/" + service}
}

// runsBeside reports whether a service runs.
func runsBeside(f *facts.Facts, service string) bool {
	return slices.ContainsFunc(cgroups(service), func(dir string) bool { return f.Files[dir].Dir })
}

func checkFapolicyd(k Kubelet, f *facts.Facts) *Problem {
	if !runsBeside(f, fapolicyd) || k.runs() {
		return nil
	}
	return problem(Fapolicyd, Warning, "fapolicyd runs, and lets only programs be started that it trusts", "",
		"fapolicyd-cli --file add "+k.binDir()+"/ && fapolicyd-cli --update")
}

func checkFirewalld(k Kubelet, f *facts.Facts) *Problem {
	port := k.number("port", 10250)
	if !runsBeside(f, firewalld) || k.Standalone || port == 0 {
		return nil
	}
	return problem(Firewalld, Warning, fmt.Sprintf("firewalld runs, and the API server reaches kubelet on port %d only if that is open", port), "",
		fmt.Sprintf("firewall-cmd --permanent --add-port=%d/tcp && firewall-cmd --reload", port))
}
