package preflight

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/preflight/facts"
)

// kernelDefaults are the settings that kubelet wants, and sets by itself without protectKernelDefaults
// (k8s.io/kubernetes, pkg/kubelet/cm/container_manager_linux.go). initial is the kernel's own value.
var kernelDefaults = []struct{ name, value, initial string }{
	{"vm/overcommit_memory", "1", "0"}, {"vm/panic_on_oom", "0", "0"}, {"kernel/panic", "10", "0"}, {"kernel/panic_on_oops", "1", "0"},
	{"kernel/keys/root_maxkeys", "1000000", "1000000"}, {"kernel/keys/root_maxbytes", "25000000", "25000000"},
}

// Settings of the kernel that checks ask for, beside those of kubelet.
const (
	instances = "fs/inotify/max_user_instances"
	watches   = "fs/inotify/max_user_watches"
	forward   = "net/ipv4/ip_forward"
	nrOpen    = "fs/nr_open"
	bridgeNF  = "net/bridge/bridge-nf-call-iptables" // which is there while the module br_netfilter is loaded
)

// sysctls are the names of all settings that checks ask for.
func sysctls() []string {
	names := []string{instances, watches, forward, nrOpen, bridgeNF}
	for _, s := range kernelDefaults {
		names = append(names, s.name)
	}
	return names
}

// differing are the settings that kubelet wants otherwise, as NAME=VALUE. What is not known does not differ.
func differing(now map[string]string) (settings []string) {
	for _, s := range kernelDefaults {
		if value, known := now[s.name]; known && value != s.value {
			settings = append(settings, strings.ReplaceAll(s.name, "/", ".")+"="+s.value)
		}
	}
	return settings
}

// persist is the command that sets settings now and at each boot.
func persist(settings []string) string {
	return `printf '%s\n' ` + strings.Join(settings, " ") + ` >/etc/sysctl.d/90-kubelet.conf && sysctl --system`
}

func checkKernelSettings(k Kubelet, f *facts.Facts) *Problem {
	differ := differing(f.Sysctl)
	if k.Fields["protectKernelDefaults"] != true || len(differ) == 0 {
		return nil
	}
	return problem(KernelDefaults, k.failure(), "protectKernelDefaults is true, and the kernel is not set as kubelet needs it",
		"it needs "+strings.Join(differ, ", "), persist(differ))
}

// checkKernelAtBoot looks whether what is right now will be so after a boot (kubernetes#66241).
func checkKernelAtBoot(k Kubelet, f *facts.Facts) *Problem {
	atBoot := map[string]string{}
	for _, s := range kernelDefaults {
		atBoot[s.name] = s.initial
		if value, set := f.Boot[s.name]; set {
			atBoot[s.name] = value
		}
	}
	differ := differing(atBoot)
	if k.Fields["protectKernelDefaults"] != true || len(f.Sysctl) == 0 || f.Boot == nil || len(differing(f.Sysctl)) > 0 || len(differ) == 0 {
		return nil
	}
	return problem(KernelDefaults, Warning,
		"protectKernelDefaults is true, and the kernel is set as kubelet needs it only until the next boot",
		"nothing in sysctl.d sets "+strings.Join(differ, ", "), persist(differ))
}

// checkKernelDefaults speaks of what the hardened defaults leave off because something else has to come first.
func checkKernelDefaults(k Kubelet, f *facts.Facts) *Problem {
	if !k.Hardened || k.Fields["protectKernelDefaults"] == true {
		return nil
	}
	hint := "--set protectKernelDefaults=true"
	if differ := differing(f.Sysctl); len(differ) > 0 {
		hint = "set " + strings.Join(differ, ", ") + " in /etc/sysctl.d, then " + hint
	}
	return problem(KernelDefaults, Info, "kubelet changes kernel settings that are not as it needs them", "", hint)
}

func checkKernelRelease(_ Kubelet, f *facts.Facts) *Problem {
	var major, minor int
	if n, _ := fmt.Sscanf(f.Kernel, "%d.%d", &major, &minor); n < 2 || major > 5 || major == 5 && minor >= 4 {
		return nil
	}
	return problem(KernelRelease, Warning, "the kernel is "+f.Kernel, "Kubernetes is tested with 5.4 and later",
		"upgrade the kernel")
}

// checkInotify holds the limits against what a node with a hundred pods uses (kubernetes#58081).
func checkInotify(_ Kubelet, f *facts.Facts) *Problem {
	severity, wanted := Info, []string(nil)
	for _, s := range []struct {
		name          string
		least, enough int
	}{{instances, 128, 512}, {watches, 8192, 65536}} {
		now, err := strconv.Atoi(f.Sysctl[s.name])
		if err == nil && now < s.enough {
			wanted = append(wanted, fmt.Sprintf("%s=%d", strings.ReplaceAll(s.name, "/", "."), s.enough))
		}
		if err == nil && now < s.least {
			severity = Warning
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	return problem(Inotify, severity,
		fmt.Sprintf("the limits of inotify are low: %s instances, %s watches", f.Sysctl[instances], f.Sysctl[watches]),
		"with many pods kubelet and containers run out of them", strings.Replace(persist(wanted), "90-kubelet", "90-inotify", 1))
}

func checkForwarding(k Kubelet, f *facts.Facts) *Problem {
	if f.Sysctl[forward] != "0" || k.Standalone {
		return nil
	}
	return problem(IPForward, Info, "the kernel does not forward IPv4 packets", "most networks of pods need that",
		strings.Replace(persist([]string{"net.ipv4.ip_forward=1"}), "90-kubelet", "90-forward", 1))
}

// checkBridges speaks of networks whose packets pass bridges, which the rules of kube-proxy have to see.
func checkBridges(k Kubelet, f *facts.Facts) *Problem {
	needed := slices.ContainsFunc(f.CNI, func(plugin string) bool { return plugin == "bridge" || plugin == "flannel" || plugin == "weave-net" })
	if !needed || k.Standalone || f.Sysctl[forward] == "" || f.Sysctl[bridgeNF] == "1" {
		return nil
	}
	return problem(BrNetfilter, Info, "packets that pass a bridge are not filtered", "with the network of pods that /etc/cni/net.d has, Services may not answer from pods",
		"modprobe br_netfilter && echo br_netfilter >/etc/modules-load.d/90-bridge.conf && "+
			strings.Replace(persist([]string{"net.bridge.bridge-nf-call-iptables=1"}), "90-kubelet", "90-bridge", 1))
}

// defaultOpenFiles is kubelet's default of maxOpenFiles.
const defaultOpenFiles = 1000000

// checkOpenFiles looks whether kubelet may have as many files open as it asks for; it goes on with fewer (setrlimit(2), EPERM).
func checkOpenFiles(k Kubelet, f *facts.Facts) *Problem {
	want := k.number("maxOpenFiles", defaultOpenFiles)
	most, err := strconv.Atoi(f.Sysctl[nrOpen])
	if err != nil || most >= want {
		return nil
	}
	return problem(NoFile, Warning, fmt.Sprintf("a process may have at most %d files open", most), fmt.Sprintf("maxOpenFiles of kubelet is %d", want),
		strings.Replace(persist([]string{fmt.Sprintf("fs.nr_open=%d", want)}), "90-kubelet", "90-nofile", 1))
}

func checkLate(_ Kubelet, f *facts.Facts) *Problem {
	if len(f.Late) == 0 {
		return nil
	}
	slices.Sort(f.Late)
	return problem(Late, Info, "not found out in time: "+strings.Join(f.Late, ", "), "", "run kubeletctl preflight again")
}
