package install

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// PreflightError holds the problems for which a change is refused before anything is touched.
type PreflightError struct{ Problems []Problem }

func (e *PreflightError) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, fmt.Sprintf("%s: %s", p.ID, p.Message))
	}
	return strings.Join(lines, "\n")
}

// Preflight looks for what would keep this host from running the kubelet that was built, all at once. It changes
// nothing. On a tree that is not running only what the tree can tell is checked.
func (h *Host) Preflight(b *Built, c *Change, booting bool) []Problem {
	seen := c.Seen
	var problems []Problem
	add := func(id string, s Severity, hint, format string, args ...any) {
		problems = append(problems, Problem{ID: id, Severity: s, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	if !seen.Live {
		return nil
	}
	fields := b.Rendered.Fields
	minor := config.Minor(b.Version.Minor())
	if fails, known := fields["failCgroupV1"].(bool); minor >= 35 && cgroupV1() && (!known || fails) {
		add("cgroup-v1", Failure, "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1), or accept cgroup v1: --set failCgroupV1=false",
			"this host uses cgroup v1, and kubelet refuses to run on it from 1.35 on")
	}
	if fails, known := fields["failSwapOn"].(bool); (!known || fails) && swapOn() {
		add("swap", Failure, "turn swap off (swapoff -a, and /etc/fstab), or accept it: --set failSwapOn=false",
			"this host swaps, and kubelet refuses to run on it")
	}
	if socket, ok := strings.CutPrefix(runtimeEndpoint(b.Rendered), "unix://"); ok {
		if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
			severity := Failure
			if booting || !seen.Credentials {
				severity = Warning // the runtime may still come, and kubelet does not start before it has to
			}
			add("runtime", severity, "start the container runtime (systemctl enable --now containerd), or name its socket: --container-runtime-endpoint",
				"no container runtime listens on %s", socket)
		}
	}
	if address, ok := strings.CutPrefix(strings.TrimSuffix(b.HealthURL, "/healthz"), "http://"); ok && (!seen.Units[systemd.KubeletService].Up() || c.Have != nil && c.Have.HealthURL != b.HealthURL) {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			conn.Close()
			add("health-port", Failure, "ss -ltnp shows which program it is; or choose another port: --set healthzPort=PORT",
				"another program already listens on %s, where kubelet answers for its health", address)
		}
	}
	if b.Spec.Profile != config.Upstream {
		hardening(fields, b.Spec.Standalone, add)
	}
	return problems
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
		add("kernel-defaults", Info, hint, "kubelet changes kernel settings where they are not as it wants them")
	}
	if standalone {
		return
	}
	authentication, _ := fields["authentication"].(map[string]any)
	if x509, _ := authentication["x509"].(map[string]any); x509["clientCAFile"] == nil {
		add("client-ca", Info, "--set authentication.x509.clientCAFile=/etc/kubernetes/pki/ca.crt, or where the cluster's CA is",
			"no client certificate is accepted, and most API servers come with one for logs, exec and port-forward")
	}
	if fields["tlsCertFile"] == nil && fields["serverTLSBootstrap"] != true {
		add("serving-cert", Info, "--set serverTLSBootstrap=true, once something approves kubelet-serving requests; or tlsCertFile and tlsPrivateKeyFile",
			"kubelet signs its own serving certificate, which nobody can verify")
	}
}

// kernelDefaults are the settings that kubelet wants (and sets by itself without protectKernelDefaults).
var kernelDefaults = []struct{ name, value string }{
	{"vm/overcommit_memory", "1"}, {"vm/panic_on_oom", "0"}, {"kernel/panic", "10"}, {"kernel/panic_on_oops", "1"},
	{"kernel/keys/root_maxkeys", "1000000"}, {"kernel/keys/root_maxbytes", "25000000"},
}

// cgroupV1 tells whether the kernel's controllers are in the first hierarchy's layout.
func cgroupV1() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type != unix.CGROUP2_SUPER_MAGIC
}

// swapOn tells whether /proc/swaps lists any swap (its first line is a heading).
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

// UnwritableError names what this user could not write.
type UnwritableError struct {
	Path string
	// More counts the further paths.
	More int
	Err  error
	root bool
}

func (e *UnwritableError) Error() string {
	more := ""
	if e.More > 0 {
		more = fmt.Sprintf(" (and %d more)", e.More)
	}
	return fmt.Sprintf("can not write %s%s: %v", e.Path, more, e.Err)
}

func (e *UnwritableError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *UnwritableError) Hint() string {
	if !e.root {
		return "run this as root, for example with sudo"
	}
	return "is the file system mounted read-only?"
}

// Writable checks, without writing, that a change could write what it has to: the record and every place of a step. It
// asks the kernel about the nearest directory that exists.
func (h *Host) Writable(steps []Step) error {
	places := []string{StateDir}
	for _, s := range steps {
		if path.IsAbs(s.Target) && !slices.Contains(places, s.Target) {
			places = append(places, s.Target)
		}
	}
	var first *UnwritableError
	for _, place := range places {
		err := h.writable(place)
		switch {
		case err == nil:
		case first == nil:
			first = &UnwritableError{Path: place, Err: err, root: os.Geteuid() == 0}
		default:
			first.More++
		}
	}
	if first != nil {
		return first
	}
	return nil
}

func (h *Host) writable(place string) error {
	name, err := h.Tree.Locate(place)
	if err != nil {
		return err
	}
	for dir := filepath.Dir(name); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) && dir != "/" {
			continue
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		return unix.Access(dir, unix.W_OK|unix.X_OK)
	}
}
