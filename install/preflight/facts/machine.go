package facts

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/probe"
)

// cgroups looks how the kernel's controllers are mounted, and which can be used: those of the root group (v2), or those that are
// not turned off (v1, proc_cgroups: name, hierarchy, groups, enabled).
func cgroups(context.Context, Where) func(*Facts) {
	var st unix.Statfs_t
	if unix.Statfs("/sys/fs/cgroup", &st) != nil {
		return nothing
	}
	c := Cgroup{Version: 1}
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		data, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
		c = Cgroup{2, strings.Fields(string(data))}
		return func(f *Facts) { f.Cgroup = c }
	}
	for _, fields := range table("/proc/cgroups") {
		if len(fields) == 4 && fields[3] == "1" {
			c.Controllers = append(c.Controllers, fields[0])
		}
	}
	return func(f *Facts) { f.Cgroup = c }
}

// swap lists what /proc/swaps does.
func swap(context.Context, Where) func(*Facts) {
	var devices []string
	for _, fields := range table("/proc/swaps") {
		if len(fields) > 0 {
			devices = append(devices, fields[0])
		}
	}
	return func(f *Facts) { f.Swap = devices }
}

// table reads the words of each line of a file of the kernel's, but for the first, which is a heading.
func table(file string) (rows [][]string) {
	data, _ := os.ReadFile(file)
	_, data, _ = bytes.Cut(data, []byte("\n"))
	for line := range strings.Lines(string(data)) {
		rows = append(rows, strings.Fields(line))
	}
	return rows
}

// listeners looks who listens on the ports, in the network namespace of this process.
func listeners(_ context.Context, w Where) func(*Facts) {
	found, err := probe.Listeners(w.PID, w.Ports...)
	if err != nil {
		return nothing
	}
	return func(f *Facts) { f.Listeners = found }
}

// embedding are the names of processes that have a kubelet in themselves: of MicroK8s and of k3s.
var embedding = []string{"kubelite", "k3s-server", "k3s-agent"}

// kubelets looks for kubelets beside the main process of kubelet.service. Those of other pid namespaces are of containers and
// other machines.
func kubelets(_ context.Context, w Where) func(*Facts) {
	own, _ := os.Readlink("/proc/self/ns/pid")
	var found []probe.Process
	for _, pid := range probe.Processes() {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		name := strings.TrimSpace(string(data))
		if pid == w.PID || name != "kubelet" && !strings.HasPrefix(name, "kubelet-v") && !slices.Contains(embedding, name) {
			continue
		}
		if namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err == nil && namespace == own {
			found = append(found, probe.ProcessOf(pid))
		}
	}
	return func(f *Facts) { f.Kubelets = found }
}

// kernel asks what the kernel knows of itself: settings, memory, the clock, its name and that of the host.
func kernel(_ context.Context, w Where) func(*Facts) {
	settings := map[string]string{}
	for _, name := range w.Sysctls {
		if data, err := os.ReadFile("/proc/sys/" + name); err == nil {
			settings[name] = strings.TrimSpace(string(data))
		}
	}
	var name unix.Utsname
	var clock unix.Timex
	_ = unix.Uname(&name) // cannot fail with memory that is there
	state, err := unix.Adjtimex(&clock)
	const unsynchronized = 5 // TIME_ERROR of adjtimex(2)
	return func(f *Facts) {
		f.Sysctl = settings
		f.Kernel, f.Hostname = unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Nodename[:])
		f.Memory = probe.Memory()
		f.Clock = Clock{Known: err == nil, Synchronized: state != unsynchronized}
	}
}

// selinux looks whether a policy is enforced, and whether one for containers is in the store of the policy that is in use, which
// is where semodule keeps it (semanage.conf(5), store-root).
func selinux(_ context.Context, w Where) func(*Facts) {
	enforce, _ := os.ReadFile("/sys/fs/selinux/enforce")
	if strings.TrimSpace(string(enforce)) != "1" {
		return nothing
	}
	s := SELinux{Enforcing: true}
	settings, _ := w.Observer.Tree.ReadRegular("/etc/selinux/config", maxText)
	for line := range strings.Lines(string(settings)) {
		kind, found := strings.CutPrefix(strings.TrimSpace(line), "SELINUXTYPE=")
		if !found {
			continue
		}
		modules, err := w.Observer.Tree.ReadDir(path.Join("/var/lib/selinux", kind, "active/modules"))
		if err != nil {
			continue // another store, or not for this user
		}
		s.Policy = cri.No
		for _, priority := range modules {
			if _, err := w.Observer.Tree.Stat(path.Join("/var/lib/selinux", kind, "active/modules", priority.Name(), "container")); err == nil {
				s.Policy = cri.Yes
			}
		}
	}
	return func(f *Facts) { f.SELinux = s }
}

// maxText bounds what is read of a file of settings, in bytes.
const maxText = 64 << 10

// sysctlDirs have the files of sysctl.d(5), of which one name counts once, the first directory's; /etc/sysctl.conf comes after.
var sysctlDirs = []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"}

// boot reads what systemd-sysctl sets at a boot.
func boot(_ context.Context, w Where) func(*Facts) {
	tree := w.Observer.Tree
	files := map[string]string{}
	for _, dir := range sysctlDirs {
		entries, _ := tree.ReadDir(dir)
		for _, e := range entries {
			if path.Ext(e.Name()) == ".conf" {
				files[e.Name()] = cmp.Or(files[e.Name()], path.Join(dir, e.Name()))
			}
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	set := map[string]string{}
	for _, name := range names {
		data, _ := tree.ReadFile(files[name])
		readSysctl(data, set)
	}
	return func(f *Facts) { f.Boot = set }
}

// readSysctl adds the settings of a file. A name is written with dots or with slashes, and a "-" before it is no part of it.
func readSysctl(data []byte, set map[string]string) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		name, value, found := strings.Cut(lines.Text(), "=")
		name = strings.TrimPrefix(strings.TrimSpace(name), "-")
		if !found || strings.HasPrefix(name, "#") || strings.HasPrefix(name, ";") {
			continue
		}
		if !strings.Contains(name, "/") {
			name = strings.ReplaceAll(name, ".", "/")
		}
		set[name] = strings.TrimSpace(value)
	}
}
