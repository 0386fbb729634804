package systemd

import (
	"fmt"
	"path"
	"strings"
)

const (
	// KubeletService is the unit that runs kubelet.
	KubeletService = "kubelet.service"
	// KubeletPath is the unit that waits for kubelet's credentials and then starts KubeletService.
	KubeletPath = "kubelet.path"
)

// KubeletUnit holds the values of kubelet.service and kubelet.path.
type KubeletUnit struct {
	// Binary is the absolute path of the kubelet to run.
	Binary string
	// Args are its arguments, unquoted, one word each.
	Args []string
	// RuntimeEndpoint is the CRI endpoint, as in --container-runtime-endpoint. A well-known socket orders kubelet after
	// the unit of that runtime.
	RuntimeEndpoint string
	// Credentials are files of which at least one must exist before kubelet is started. None: no condition.
	Credentials []string
}

// runtimeUnits maps the file name of a CRI socket to the unit that serves it, as the packages of containerd, CRI-O and
// cri-dockerd name them.
var runtimeUnits = map[string]string{
	"containerd.sock":  "containerd.service",
	"crio.sock":        "crio.service",
	"cri-dockerd.sock": "cri-docker.service",
}

// Service renders kubelet.service.
//
// Type=notify: every kubelet from 1.13 on sends READY=1 when it has started. StartLimitIntervalSec=0: a node whose
// runtime is late must not be given up on. KillMode=process is not used: kubelet's own children (mount helpers, CNI
// calls of old releases) belong to it, and the containers live in cgroups of their own.
func (u KubeletUnit) Service() []byte {
	var b strings.Builder
	b.WriteString("# Written by kubeletctl. Local changes belong in kubelet.service.d/*.conf, which kubeletctl never touches.\n")
	b.WriteString("[Unit]\n")
	b.WriteString("Description=Kubernetes kubelet\n")
	b.WriteString("Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/\n")
	after := "network-online.target"
	if runtime := runtimeUnits[path.Base(u.RuntimeEndpoint)]; runtime != "" {
		after += " " + runtime
	}
	fmt.Fprintf(&b, "Wants=%s\n", after)
	fmt.Fprintf(&b, "After=%s\n", after)
	for _, file := range u.Credentials {
		// The bar makes these alternatives: one of them that holds is enough.
		fmt.Fprintf(&b, "ConditionPathExists=|%s\n", escapeSpecifiers(file))
	}
	b.WriteString("StartLimitIntervalSec=0\n")
	b.WriteString("\n[Service]\n")
	b.WriteString("Type=notify\n")
	fmt.Fprintf(&b, "ExecStart=%s", QuoteArg(u.Binary))
	for _, arg := range u.Args {
		fmt.Fprintf(&b, " \\\n    %s", QuoteArg(arg))
	}
	b.WriteString("\n")
	b.WriteString("Restart=always\n")
	b.WriteString("RestartSec=5s\n")
	b.WriteString("\n[Install]\n")
	b.WriteString("WantedBy=multi-user.target\n")
	return []byte(b.String())
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
	escaped := strings.ReplaceAll(escapeSpecifiers(arg), "$", "$$")
	// A line that begins with # is a comment, even between two that are continued.
	if arg != "" && arg[0] != '#' && !strings.ContainsAny(arg, " \t\n\r\"'\\;") && !hasControl(arg) {
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
		case c < ' ' || c == 0x7f:
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
