package rehearsal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
)

// covered are the directories, beside kubelet's own, that a kubelet writes to, or in which the sockets of daemons are that
// must not hear of it. They are empty here.
var covered = []string{"/run", "/tmp", "/var/log", "/var/tmp", "/usr/libexec/kubernetes"}

// otherState is state of the kubelet that runs, too, under names that other programs use as well, or that are newer.
var otherState = []string{
	"plugin-containers", "volumes", "usernetes", "dra_manager_state", "pod_status_manager_state", "allocated_pods_state", "actuated_pods_state", "usage",
}

// isState reports whether an entry of kubelet's root directory belongs to the kubelet that runs.
func isState(entry string) bool {
	return hostfs.IsKubeletState(entry) || slices.Contains(otherState, entry)
}

// droppedCapabilities are those with which a kubelet could change the machine itself: load modules, set the clock.
var droppedCapabilities = []uintptr{unix.CAP_SYS_MODULE, unix.CAP_SYS_TIME, unix.CAP_SYS_BOOT, unix.CAP_SYS_RAWIO, unix.CAP_MKNOD}

// setStage turns the namespaces of this process into what Package rehearsal says of them. Nothing is run before it is done.
func (t Trial) setStage() (*stub, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("making the mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return nil, fmt.Errorf("mounting /proc: %w", err)
	}
	// A new /proc is writable, whatever the old one was.
	for _, dir := range []string{"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"} {
		if err := bind(dir, dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if err := readOnly("/"); err != nil {
		return nil, fmt.Errorf("making the file systems read-only: %w", err)
	}
	if err := t.cover(); err != nil {
		return nil, err
	}
	for name, content := range t.Files {
		if err := write(name, content); err != nil {
			return nil, err
		}
	}
	if err := write(stage+"/kubeconfig", []byte(fakeKubeconfig)); err != nil {
		return nil, err
	}
	// Where systemd runs a kubelet with cgroupDriver systemd looks for this, and for nothing that answers.
	if err := os.MkdirAll("/run/systemd/system", 0o755); err != nil {
		return nil, err
	}
	if err := network(); err != nil {
		return nil, fmt.Errorf("setting up the network: %w", err)
	}
	for _, c := range droppedCapabilities {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("dropping a capability: %w", err)
		}
	}
	return serve(socket)
}

// cover hides what is the running kubelet's, and gives the candidate places to write to.
func (t Trial) cover() error {
	keep := t.mentioned()
	dirs := slices.Concat(covered, []string{hostfs.KubeletDir}) // kubelets keep sockets there whatever their root directory is
	if t.RootDir != hostfs.KubeletDir {
		dirs = append(dirs, t.RootDir)
	}
	for _, dir := range dirs {
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
			continue
		}
		if err := coverDir(dir, func(path string) bool {
			if _, given := t.Files[path]; given {
				return false
			}
			if dir == hostfs.KubeletDir || dir == t.RootDir {
				return !isState(filepath.Base(path))
			}
			return slices.ContainsFunc(keep, func(k string) bool { return k == path || strings.HasPrefix(k, path+"/") })
		}); err != nil {
			return fmt.Errorf("covering %s: %w", dir, err)
		}
	}
	for _, dir := range t.HideDirs {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, ""); err != nil {
				return fmt.Errorf("covering %s: %w", dir, err)
			}
		}
	}
	return nil
}

// mentioned are the paths that the flags and the files speak of, which have to stay where they are: certificates below /run,
// for example.
func (t Trial) mentioned() []string {
	words := []string{t.Binary}
	for _, arg := range t.Args {
		_, value, _ := strings.Cut(arg, "=")
		words = append(words, value)
	}
	for _, content := range t.Files {
		words = append(words, strings.FieldsFunc(string(content), func(r rune) bool { return strings.ContainsRune(" \t\n\"'[],", r) })...)
	}
	for i, w := range words {
		if rest, ok := strings.CutPrefix(w, "/var/run/"); ok {
			words[i] = "/run/" + rest
		}
	}
	return words
}

// coverDir mounts an empty file system over a directory, and shows in it, read-only, those of the former entries that keep
// wants. Sockets are never shown: somebody listens there.
func coverDir(dir string, keep func(path string) bool) error {
	old, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(old)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return err
	}
	for _, e := range entries {
		path, source := filepath.Join(dir, e.Name()), fmt.Sprintf("/proc/self/fd/%d/%s", old, e.Name())
		if !keep(path) {
			continue
		}
		switch e.Type() {
		case fs.ModeSymlink:
			target, err := os.Readlink(source)
			if err == nil {
				err = os.Symlink(target, path)
			}
			if err != nil {
				return err
			}
		case fs.ModeDir:
			err = os.Mkdir(path, 0o755)
			if err == nil {
				err = bind(source, path)
			}
			if err != nil {
				return err
			}
		case 0:
			err = os.WriteFile(path, nil, 0o600)
			if err == nil {
				err = bind(source, path)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// bind shows source at target, read-only.
func bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding %s: %w", target, err)
	}
	return unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// readOnly makes a mount and all below it read-only.
func readOnly(dir string) error {
	err := unix.MountSetattr(unix.AT_FDCWD, dir, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return err
	}
	// Before Linux 5.12 one by one. A field of mountinfo is escaped in octal (proc_pid_mountinfo(5)).
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			continue
		}
		path := unescape(fields[4])
		flags := uintptr(unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY)
		for _, option := range strings.Split(fields[5], ",") { // those that are there may not be taken away
			flags |= mountFlags[option]
		}
		if err := unix.Mount("", path, "", flags, ""); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

var mountFlags = map[string]uintptr{
	"nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC, "noatime": unix.MS_NOATIME,
	"nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME,
}

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

// network brings up the loopback device, the only one there is, and makes every address this host's own: whatever a
// kubelet is told to listen on it can, and whoever it asks refuses at once.
func network() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return err
	}
	const loopback = 1 // the index of the first device of every network namespace
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		// Without IPv6 there is no such route; nothing needs it then.
		if err := addLocalRoute(family, loopback); err != nil && family == unix.AF_INET {
			return err
		}
	}
	return nil
}

// addLocalRoute is "ip route add local default dev lo table local" (rtnetlink(7)).
func addLocalRoute(family byte, device uint32) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	const size = unix.SizeofNlMsghdr + unix.SizeofRtMsg + unix.SizeofRtAttr + 4
	order := binary.NativeEndian
	var m []byte
	m = order.AppendUint32(m, size)
	m = order.AppendUint16(m, unix.RTM_NEWROUTE)
	m = order.AppendUint16(m, unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_ACK)
	m = order.AppendUint32(m, 1) // sequence
	m = order.AppendUint32(m, 0) // port: the kernel's to choose
	m = append(m, family, 0, 0, 0, unix.RT_TABLE_LOCAL, unix.RTPROT_BOOT, unix.RT_SCOPE_HOST, unix.RTN_LOCAL)
	m = order.AppendUint32(m, 0) // flags
	m = order.AppendUint16(m, unix.SizeofRtAttr+4)
	m = order.AppendUint16(m, unix.RTA_OIF)
	m = order.AppendUint32(m, device)
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 256)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || order.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return errors.New("unexpected answer from the kernel")
	}
	if code := int32(order.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
