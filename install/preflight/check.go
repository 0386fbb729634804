package preflight

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight/facts"
	"github.com/kubeletctl/kubeletctl/install/probe"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Kubelet is one that is to run on this host.
type Kubelet struct {
	*plan.Generation
	// Fields are those of its configuration. Hardened reports that they are those of kubeletctl's own profile.
	Fields               map[string]any
	Standalone, Hardened bool
	// Seen is what was observed.
	Seen *plan.Observation
	// Joins says that hostfs.ClusterCA is written before it starts.
	Joins bool
	// Booting says that units of this host may still have to start. Back is that of CheckSkew.
	Booting, Back bool
}

// Of is the kubelet of a draft.
func Of(d *spec.Draft, seen *plan.Observation) Kubelet {
	k := Kubelet{Generation: d.Generation, Fields: d.Rendered.Fields, Standalone: d.Spec.Standalone, Seen: seen,
		Hardened: d.Spec.Profile != config.Upstream && !d.Kubeadm}
	if d.Kubeadm {
		k.Fields, _ = Fields(d.Generation) // that it can be read was found out when it was prepared
	}
	return k
}

// check is a pure function of a kubelet and of the facts about a host; it returns nil when there is nothing to say.
type check func(Kubelet, *facts.Facts) *Problem

// checks are all that are made of a host that runs, in the order in which they are shown.
var checks = []check{
	checkCgroupV1, checkControllers, checkSwap, checkSwapBehavior,
	checkRuntime, checkReady, checkRuntimeConfig, checkCgroupDriver,
	checkHealthPort, checkKubeletPort, checkReadOnlyPort, checkOtherKubelet, checkCredentials,
	checkNodeName, checkCertificateName, checkNoExec, checkRootDir, checkRootDirForm, checkRootDirType, checkPluginDir, checkDisk, checkInodes, checkMemory,
	checkKmsg, checkMachineID, checkResolvConf, checkResolvers, checkProviderConfig, checkProviders, checkClientCAFile, checkServingFiles,
	checkKernelSettings, checkKernelAtBoot, checkKernelDefaults, checkKernelRelease, checkInotify, checkForwarding, checkBridges, checkOpenFiles, checkNetwork,
	checkClock, checkClockOfServer, checkAPIServer, checkSkew, checkProxy, checkSELinux, checkFapolicyd, checkFirewalld,
	checkClusterDNS, checkClientCA, checkServingCert, checkTables, checkLate,
}

// Check makes all checks of what would keep a host from running a kubelet. It looks at nothing but its arguments.
func Check(k Kubelet, f *facts.Facts) (problems []Problem) {
	for _, c := range checks {
		if p := c(k, f); p != nil {
			problems = append(problems, *p)
		}
	}
	return problems
}

// Where is where the facts about a kubelet are to be found.
func (k Kubelet) Where(o observe.Observer) facts.Where {
	endpoint, _ := Endpoint(k.Generation)
	w := facts.Where{Observer: o, Endpoint: endpoint, PID: k.unit().MainPID, ResolvConf: k.resolvConf(), Sysctls: sysctls()}
	w.Files = []string{k.binDir(), k.KubeletRoot(), k.pluginDir(), "/dev/kmsg", "/etc/machine-id"}
	w.Files = append(w.Files, cgroups(fapolicyd)...)
	w.Files = append(w.Files, cgroups(firewalld)...)
	w.Files = append(w.Files, k.namedFiles()...)
	for _, port := range []int{k.number("healthzPort", 10248), k.number("port", 10250), k.number("readOnlyPort", 0)} {
		if port > 0 {
			w.Ports = append(w.Ports, port)
		}
	}
	w.ProviderConfig, _ = k.Arg("image-credential-provider-config")
	w.ProviderDir, _ = k.Arg("image-credential-provider-bin-dir")
	return w
}

func (k Kubelet) minor() config.Minor { return config.Minor(k.Version.Minor()) }

func (k Kubelet) unit() systemd.UnitState { return k.Seen.Units[systemd.KubeletService] }

// runs reports whether a kubelet runs here already.
func (k Kubelet) runs() bool { return k.unit().Up() }

// newly is the severity of what is as bad for the kubelet that runs already, which is no reason to refuse another one, and of what may
// still change in this boot.
func (k Kubelet) newly() Severity {
	if k.runs() || k.Booting {
		return Warning
	}
	return k.failure()
}

// waits reports whether kubelet is not started before something else has happened.
func (k Kubelet) waits() bool { return k.Booting || !k.Seen.Credentials }

// setting is what a flag or else a field says; empty when neither does.
func (k Kubelet) setting(flag, field string) string {
	if value, given := k.Arg(flag); given {
		return value
	}
	value, _ := at(k.Fields, strings.Split(field, ".")).(string)
	return value
}

// address is where kubelet listens for others; every address when it does not say.
func (k Kubelet) address() string { return cmp.Or(k.setting("address", "address"), "0.0.0.0") }

// nodeName is the name of the node; empty when systemd makes it at a start.
func (k Kubelet) nodeName(f *facts.Facts) string {
	if name, given := k.Arg("hostname-override"); given {
		if slices.Contains(k.Expanded, "hostname-override") {
			return ""
		}
		return strings.ToLower(strings.TrimSpace(name))
	}
	return strings.ToLower(strings.TrimSpace(f.Hostname))
}

// whileWaiting is a severity, or Warning for what may still come before kubelet is started.
func (k Kubelet) whileWaiting(s Severity) Severity {
	if k.waits() {
		return Warning
	}
	return s
}

// number is a field with a number; the default is taken when it is not set.
func (k Kubelet) number(field string, otherwise int) int {
	if value, given := k.Fields[field]; given {
		number, _ := strconv.Atoi(fmt.Sprint(value))
		return number
	}
	return otherwise
}

// binDir is the directory of the binary; empty for none.
func (k Kubelet) binDir() string {
	dir, _, _ := strings.Cut(k.Binary().Path, "/kubelet-v")
	return cmp.Or(dir, hostfs.DefaultBinDir)
}

func (k Kubelet) resolvConf() string {
	if value, given := k.Fields["resolvConf"]; given && value == "" {
		return "" // none at all
	}
	return cmp.Or(k.setting("resolv-conf", "resolvConf"), "/etc/resolv.conf")
}

func (k Kubelet) pluginDir() string {
	return cmp.Or(k.setting("volume-plugin-dir", "volumePluginDir"), defaultPluginDir)
}

// defaultPluginDir is kubelet's own (pkg/volume/flexvolume).
const defaultPluginDir = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/"

// namedFiles are the files that the configuration names.
func (k Kubelet) namedFiles() (files []string) {
	for _, field := range []string{"authentication.x509.clientCAFile", "tlsCertFile", "tlsPrivateKeyFile"} {
		if file := k.setting("", field); strings.HasPrefix(file, "/") {
			files = append(files, file)
		}
	}
	return files
}

// failure is an error, unless kubeadm has not written kubelet's configuration yet and may still say something else.
func (k Kubelet) failure() Severity {
	if k.Kubeadm && len(k.Fields) == 0 {
		return Warning
	}
	return Failure
}

// set is the remedy that sets a field.
func (k Kubelet) set(setting string) string {
	if k.Kubeadm {
		return strings.Replace(setting, "=", ": ", 1) + " in a KubeletConfiguration document of kubeadm's configuration"
	}
	return "--set " + setting
}

// problem puts a problem together.
func problem(id string, s Severity, found, expected, remedy string) *Problem {
	return &Problem{ID: id, Severity: s, Message: found, Expected: expected, Hint: remedy}
}

// listener is who listens where kubelet would, and is not the one that runs already; nil for nobody.
func (k Kubelet) listener(f *facts.Facts, address string, port int) *probe.Listener {
	wanted, err := netip.ParseAddr(address)
	anywhere := err != nil || wanted.IsUnspecified()
	for _, l := range f.Listeners {
		there := l.Address.Addr()
		if int(l.Address.Port()) == port && (anywhere || there.IsUnspecified() || there == wanted) && (l.PID == 0 || l.PID != k.unit().MainPID) {
			return &l
		}
	}
	return nil
}

// listening is a port of kubelet's: the field that sets it, and what it is for.
type listening struct {
	id, field, address string
	port               int
	use                string
}

// portProblem says who has a port of kubelet's.
func (k Kubelet) portProblem(f *facts.Facts, want listening) *Problem {
	l := k.listener(f, want.address, want.port)
	if l == nil || want.port == 0 {
		return nil
	}
	place := net.JoinHostPort(want.address, strconv.Itoa(want.port))
	return problem(want.id, k.failure(),
		fmt.Sprintf("another program already listens on %s, where kubelet would %s: %s", place, want.use, l.Process), "",
		stop(l.Process)+"; or choose another port: "+k.set(want.field+"=PORT"))
}

// stop is the command that stops a process.
func stop(p probe.Process) string {
	switch {
	case p.Unit != "":
		return "systemctl disable --now " + p.Unit
	case p.PID != 0:
		return fmt.Sprintf("kill %d", p.PID)
	}
	return "ss -ltnp shows which program it is"
}
