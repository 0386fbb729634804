package probe

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// procTimeout bounds the time for looking at all processes.
const procTimeout = time.Second

// Process is one that runs. PID is 0 when it cannot be told which it is.
type Process struct {
	PID int
	// Name is that of its program and Path where that lies, Unit the systemd unit that it belongs to; empty for none.
	Name, Path, Unit string
}

func (p Process) String() string {
	if p.PID == 0 {
		return "a process that only root may look at"
	}
	text := fmt.Sprintf("%s (pid %d", p.Name, p.PID)
	if p.Unit != "" {
		text += ", " + p.Unit
	}
	return text + ")"
}

// Listener is a process that listens on a TCP port of this machine.
type Listener struct {
	Address netip.AddrPort
	Process
}

// Listeners are those on some ports, in the network namespace of this process. The process first is looked at first; 0 for none.
func Listeners(first int, ports ...int) (found []Listener, err error) {
	sockets := map[string]Listener{} // by inode
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // without IPv6
			return nil, err
		}
		for inode, address := range listening(table) {
			if slices.Contains(ports, int(address.Port())) {
				sockets[inode] = Listener{Address: address}
			}
		}
	}
	for _, pid := range append([]int{first}, Processes()...) {
		if len(sockets) == 0 {
			break
		}
		for _, inode := range socketsOf(pid) {
			if l, wanted := sockets[inode]; wanted {
				l.Process = ProcessOf(pid)
				found = append(found, l)
				delete(sockets, inode)
			}
		}
	}
	for _, l := range sockets { // of a process that this user may not look at, or of another namespace
		found = append(found, l)
	}
	slices.SortFunc(found, func(a, b Listener) int { return a.Address.Compare(b.Address) })
	return found, nil
}

// Listener is the process that listens on a TCP port of this machine; nil when none does.
func (m Machine) Listener(port int) (*Process, error) {
	found, err := Listeners(0, port)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0].Process, nil
}

// listening are the sockets in a table (proc_net_tcp in the documentation of Linux) that listen, by their inodes.
func listening(table []byte) map[string]netip.AddrPort {
	sockets := map[string]netip.AddrPort{}
	for line := range bytes.Lines(table) {
		f := strings.Fields(string(line))
		const local, state, inode = 1, 3, 9
		if len(f) <= inode || f[state] != "0A" {
			continue
		}
		if address, ok := socketAddress(f[local]); ok {
			sockets[f[inode]] = address
		}
	}
	return sockets
}

// socketAddress reads an address of proc_net_tcp: each 32 bits of it in the byte order of the machine, as 0100007F:2808.
func socketAddress(text string) (netip.AddrPort, bool) {
	digits, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(digits)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		for word := range slices.Chunk(b, 4) {
			slices.Reverse(word)
		}
	}
	address, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(address.Unmap(), uint16(number)), ok
}

// Processes are the numbers of all processes that can be seen.
func Processes() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// socketsOf are the inodes of the sockets that a process has open.
func socketsOf(pid int) (inodes []string) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		target, _ := os.Readlink(dir + "/" + e.Name())
		if inode, isSocket := strings.CutPrefix(target, "socket:["); isSocket {
			inodes = append(inodes, strings.TrimSuffix(inode, "]"))
		}
	}
	return inodes
}

// ProcessOf tells what a process is. Its unit is the last service in the path of its cgroup.
func ProcessOf(pid int) Process {
	p := Process{PID: pid}
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	p.Name = strings.TrimSpace(string(name))
	program, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	p.Path = strings.TrimSuffix(program, " (deleted)")
	groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	for line := range strings.Lines(string(groups)) {
		for element := range strings.SplitSeq(strings.TrimSpace(line), "/") {
			if strings.HasSuffix(element, ".service") {
				p.Unit = element
			}
		}
	}
	return p
}

// eachFD calls f with each open file of each process that may be looked at, until it returns false.
func eachFD(f func(pid, fd, target string) bool) error {
	began := time.Now()
	processes, err := filepath.Glob("/proc/[0-9]*/fd")
	for _, dir := range processes {
		if time.Since(began) > procTimeout {
			return fmt.Errorf("looking at all processes took more than %s", procTimeout)
		}
		open, _ := os.ReadDir(dir) // it may have ended by now
		for _, fd := range open {
			target, _ := os.Readlink(path.Join(dir, fd.Name()))
			if !f(path.Base(path.Dir(dir)), fd.Name(), target) {
				return nil
			}
		}
	}
	return err
}

// Inotify is how much of inotify root uses, and may.
type Inotify struct{ Instances, MaxInstances, Watches, MaxWatches int }

// UsedUp reports whether little is left, since a kubelet that ends gives its own back.
func (i Inotify) UsedUp() bool {
	return i.Instances*10 >= i.MaxInstances*8 || i.Watches*10 >= i.MaxWatches*8
}

// Inotify counts what the processes of root hold (inotify(7)).
func (m Machine) Inotify() (i Inotify, err error) {
	i.MaxInstances, err = number("/proc/sys/fs/inotify/max_user_instances")
	watches, watchesErr := number("/proc/sys/fs/inotify/max_user_watches")
	if i.MaxWatches = watches; cmp.Or(err, watchesErr) != nil {
		return i, cmp.Or(err, watchesErr)
	}
	return i, eachFD(func(pid, fd, target string) bool {
		if target == "anon_inode:inotify" && ofRoot(pid) {
			i.Instances++
			info, _ := os.ReadFile(path.Join("/proc", pid, "fdinfo", fd))
			i.Watches += bytes.Count(info, []byte("inotify wd:"))
		}
		return true
	})
}

func ofRoot(pid string) bool {
	status, _ := os.ReadFile("/proc/" + pid + "/status")
	return bytes.Contains(status, []byte("\nUid:\t0\t"))
}

func number(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}
