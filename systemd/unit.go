package systemd

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	// KubeletService is the unit that runs kubelet.
	KubeletService = "kubelet.service"
	// KubeletPath is the unit that waits for kubelet's credentials and then starts KubeletService.
	KubeletPath = "kubelet.path"
	// RecoverService is the unit that brings an interrupted change to an end.
	RecoverService = "kubeletctl-recover.service"
	// RecoverTimer starts RecoverService again and again while a change is under way, or a node has to be uncordoned. It is transient.
	RecoverTimer = "kubeletctl-recover.timer"
)

// RecoverEvery is how often RecoverTimer elapses.
const RecoverEvery = 10 * time.Second

// KubeletUnit holds the values of kubelet.service and kubelet.path.
type KubeletUnit struct {
	// Binary is the absolute path of the kubelet to run.
	Binary string
	// Args are its arguments, unquoted, one word each.
	Args []string
	// Expanded are those of Args in which systemd expands specifiers and variables.
	Expanded []string
	// RuntimeEndpoint is the CRI endpoint, as in --container-runtime-endpoint. A well-known socket orders kubelet after
	// the unit of that runtime.
	RuntimeEndpoint string
	// Requires are files that must all exist before kubelet is started.
	Requires []string
	// Credentials are files of which at least one must exist before kubelet is started. None: no condition.
	Credentials []string
	// Kubeadm is set for a kubelet of which kubeadm writes the configuration and flags: KubeadmDropIn has its command line.
	Kubeadm bool
	// Watchdog makes systemd restart a kubelet that hangs. It takes one that sends signs of life, as 1.32 and later do;
	// any other would be killed again and again.
	Watchdog bool
}

// runtimeUnits maps the file name of a CRI socket to the unit that serves it, as the packages of containerd, CRI-O and
// cri-dockerd name them.
var runtimeUnits = map[string]string{
	"containerd.sock":  "containerd.service",
	"crio.sock":        "crio.service",
	"cri-dockerd.sock": "cri-docker.service",
}

// directive is one line of a unit.
type directive struct{ key, value string }

// watchdog kills a kubelet that gave no sign of life for so long; it gives one every half of it. Two minutes are longer
// than a disk under pressure makes it wait, and leave it three to be back before the control plane gives up on its node
// and moves the pods away. What comes is SIGABRT, at which Go writes what every goroutine does into the journal.
var watchdog = directive{"WatchdogSec", "2min"}

// accounting is what kubelet and systemd need to tell kubelet's own use from that of others. Memory is counted by
// default, unless the distribution turned that off. With cgroup v1 the weight, which is the default one, gives kubelet
// a CPU group of its own; without one kubelet does not find itself and reports nothing. CPUAccounting= would do the
// same, but systemd 258 complains of it.
//
// Not here: Delegate=, since kubelet makes no groups below its own; its pods are in kubepods.slice, which it has from
// systemd or, with the cgroupfs driver, makes itself beside it. Slice=, since system.slice is where systemReserved
// looks for the daemons of the system. Limits and TasksMax=, since kubelet raises its own and has no use for more.
var accounting = []directive{
	{"MemoryAccounting", "yes"},
	{"CPUWeight", "100"},
	// kubelet gives itself the same score, but only when it is up: a node short of memory is one where it has to start.
	{"OOMScoreAdjust", "-999"},
}

// sandbox takes away what neither kubelet nor a program that it calls needs: mount and its helpers, mkfs, fsck, iptables
// and modprobe, volume and credential plugins. All of it has to stay with what is known to systemd 239, and whoever
// has a plugin that needs more gives it back with a drop-in.
//
// It lists what is denied, not what is allowed, wherever systemd lets it: a capability or system call of a future kernel
// must not be missing in a future kubelet.
//
// Not here, because pods break:
//   - All that gives kubelet a view of the file systems of its own: Private-, Protect-, ReadOnlyPaths= and the like, with
//     ProtectKernelLogs= and ProtectProc= among them. What kubelet mounts would be seen by kubelet alone, and containers
//     would get empty directories instead of their volumes.
//   - RestrictSUIDSGID=: kubelet sets the set-group-ID bit on volumes of a pod with an fsGroup.
//   - DevicePolicy=, DeviceAllow= and ProtectClock=, which implies one: block volumes are any device, and out-of-memory
//     events are read from /dev/kmsg.
//   - UMask=: directories that kubelet makes on the host have to be as open as pods expect them.
//
// Not here, because programs that kubelet calls break:
//   - NoNewPrivileges=: with SELinux, no change to the domain of the program.
//   - MemoryDenyWriteExecute=: a plugin may be written in a language with a just-in-time compiler. Kubelet is not.
//   - @module, CAP_SYS_MODULE: iptables and mount helpers load the modules that they need.
//   - CAP_SYS_PTRACE, CAP_SYS_NICE: a process with some capabilities cannot look at one that has all, or move it to
//     another cpuset, without these.
//   - The mount, net and pid namespaces: helpers enter those of the host and of containers.
var sandbox = []directive{
	{"CapabilityBoundingSet", "~CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_AUDIT_WRITE CAP_BLOCK_SUSPEND CAP_LEASE" +
		" CAP_LINUX_IMMUTABLE CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_SYS_BOOT CAP_SYS_PACCT CAP_SYS_RAWIO CAP_SYS_TIME" +
		" CAP_SYS_TTY_CONFIG CAP_WAKE_ALARM"},
	{"SystemCallFilter", "~@clock @cpu-emulation @debug @obsolete @raw-io @reboot @swap"},
	// A call that is denied fails; it does not kill kubelet.
	{"SystemCallErrorNumber", "EPERM"},
	{"SystemCallArchitectures", "native"},
	{"RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"},
	{"RestrictNamespaces", "~cgroup ipc user uts"},
	{"RestrictRealtime", "yes"},
	{"LockPersonality", "yes"},
}

// Service renders kubelet.service.
//
// Type=notify: every kubelet from 1.13 on sends READY=1 when it has started. One that waits for its first certificate
// (rotateCertificates: false) or for its runtime does that late, and must not be killed for it after the usual 90
// seconds; one that never gets there still is, some time.
//
// StartLimitIntervalSec=0: a node whose runtime is late must not be given up on. RestartSec= is the same each time: the
// steps to longer pauses are new in systemd 254, and older ones complain of them. KillMode=process is not used:
// kubelet's own children (mount helpers, CNI calls of old releases) belong to it, and the containers live in cgroups
// of their own. So [Conn.Kill] kills those children as well, and no pod.
func (u KubeletUnit) Service() []byte {
	var b strings.Builder
	line := func(d directive) { fmt.Fprintf(&b, "%s=%s\n", d.key, d.value) }
	b.WriteString("# Written by kubeletctl. Local changes belong in kubelet.service.d/*.conf, which kubeletctl never touches")
	if u.Kubeadm {
		b.WriteString(", but for " + KubeadmDropIn)
	}
	b.WriteString(".\n")
	b.WriteString("[Unit]\n")
	b.WriteString("Description=Kubernetes kubelet\n")
	b.WriteString("Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/\n")
	after := "network-online.target"
	if runtime := runtimeUnits[path.Base(u.RuntimeEndpoint)]; runtime != "" {
		after += " " + runtime
	}
	line(directive{"Wants", after})
	if u.Kubeadm { // which knows the runtime, when it is run: each of them comes first, where it is there
		after += " " + strings.Join(slices.Sorted(maps.Values(runtimeUnits)), " ")
	}
	line(directive{"After", after})
	for _, file := range u.Requires {
		line(directive{"ConditionPathExists", escapeSpecifiers(file)})
	}
	for _, file := range u.Credentials {
		// The bar makes these alternatives: one of them that holds is enough.
		line(directive{"ConditionPathExists", "|" + escapeSpecifiers(file)})
	}
	b.WriteString("StartLimitIntervalSec=0\n")
	b.WriteString("\n[Service]\n")
	b.WriteString("Type=notify\n")
	fmt.Fprintf(&b, "ExecStart=%s", QuoteArg(u.Binary))
	if !u.Kubeadm {
		for _, arg := range u.Args {
			fmt.Fprintf(&b, " \\\n    %s", u.word(arg))
		}
	}
	b.WriteString("\n")
	b.WriteString("TimeoutStartSec=10min\n")
	b.WriteString("Restart=always\n")
	b.WriteString("RestartSec=5s\n")
	if u.Watchdog {
		line(watchdog)
	}
	b.WriteString("\n")
	for _, d := range accounting {
		line(d)
	}
	b.WriteString("\n# What kubelet, and the programs that it calls, do without. Do not add Protect... or Private... settings: with a view\n" +
		"# of its own of the file systems, what kubelet mounts does not reach the containers.\n")
	for _, d := range sandbox {
		line(d)
	}
	b.WriteString("\n[Install]\n")
	b.WriteString("WantedBy=multi-user.target\n")
	return []byte(b.String())
}

// word is an argument as the unit has it.
func (u KubeletUnit) word(arg string) string {
	if slices.Contains(u.Expanded, arg) {
		return quote(arg, arg)
	}
	return QuoteArg(arg)
}

// Path renders kubelet.path.
//
// PathChanged and not PathExists: the latter would start kubelet again right after every `systemctl stop kubelet` for
// as long as the file exists (systemd.path(5)). A file that is there already at boot needs no path unit, since
// kubelet.service is itself enabled; path units are active before any service is started, so none is missed between.
func (u KubeletUnit) Path() []byte {
	var b strings.Builder
	b.WriteString("# Written by kubeletctl: starts kubelet when its credentials appear.\n")
	b.WriteString("[Unit]\n")
	b.WriteString("Description=Credentials of the Kubernetes kubelet\n")
	b.WriteString("Documentation=https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/\n")
	b.WriteString("\n[Path]\n")
	for _, file := range u.Credentials {
		fmt.Fprintf(&b, "PathChanged=%s\n", escapeSpecifiers(file))
	}
	fmt.Fprintf(&b, "Unit=%s\n", KubeletService)
	b.WriteString("\n[Install]\n")
	b.WriteString("WantedBy=multi-user.target\n")
	return []byte(b.String())
}

// QuoteArg writes one word of a command line in the syntax of systemd.service(5): a word that holds blanks, quotes or
// control characters is put in double quotes with C escapes, and the characters that systemd would expand ("%" for
// specifiers, "$" for variables) are doubled.
func QuoteArg(arg string) string {
	return quote(arg, strings.ReplaceAll(escapeSpecifiers(arg), "$", "$$"))
}

// quote quotes a word of which what systemd would expand is escaped, where it is to be.
func quote(arg, escaped string) string {
	// A line that begins with # is a comment, even between two that are continued.
	// A file with what is not UTF-8, or with noncharacters, systemd does not read at all.
	readable := validUTF8(arg)
	if arg != "" && arg[0] != '#' && readable && !strings.ContainsAny(arg, " \t\n\r\"'\\;") && !hasControl(arg) {
		return escaped
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(escaped) {
		switch c := escaped[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c == 0x7f || c >= 0x80 && !readable:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func escapeSpecifiers(s string) string { return strings.ReplaceAll(s, "%", "%%") }

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// RecoverUnit renders RecoverService, which runs a program, with arguments, while one of some files exists, which are in one directory: at
// boot before kubelet, and whenever RecoverTimer elapses.
//
// It must not wait for a start of kubelet, which itself waits for it to end.
func RecoverUnit(files []string, command ...string) []byte {
	var b strings.Builder
	b.WriteString("# Written by kubeletctl: ends a change of kubelet, a drain or a join that was cut off in the middle.\n")
	b.WriteString("[Unit]\n")
	b.WriteString("Description=Recovery of an interrupted change of the Kubernetes kubelet\n")
	for _, file := range files {
		fmt.Fprintf(&b, "ConditionPathExists=|%s\n", escapeSpecifiers(file))
	}
	fmt.Fprintf(&b, "RequiresMountsFor=%s\n", QuoteArg(path.Dir(files[0])))
	fmt.Fprintf(&b, "Before=%s %s\n", KubeletService, KubeletPath)
	b.WriteString("StartLimitIntervalSec=0\n") // it is started until it has done what it is for
	b.WriteString("\n[Service]\n")
	b.WriteString("Type=oneshot\n")
	b.WriteString("ExecStart=" + QuoteArg(command[0]))
	for _, arg := range command[1:] {
		b.WriteString(" " + QuoteArg(arg))
	}
	b.WriteString("\nTimeoutStartSec=2min\n")
	b.WriteString("\n[Install]\n")
	b.WriteString("WantedBy=multi-user.target\n")
	return []byte(b.String())
}
