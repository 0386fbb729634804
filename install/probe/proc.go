package probe

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// procTimeout bounds the time for looking at all processes.
const procTimeout = time.Second

// Process is one that runs.
type Process struct {
	PID int
	// Name is that of its program, Unit the systemd unit that it belongs to; empty for none.
	Name, Unit string
}

func (p Process) String() string {
	text := fmt.Sprintf("%s (process %d", p.Name, p.PID)
	if p.Unit != "" {
		text += ", " + p.Unit
	}
	return text + ")"
}

// Listener is the process that listens on a TCP port of this machine; nil when none does. The PID is 0 when a process does that
// this user may not look at.
func (m Machine) Listener(port int) (*Process, error) {
	sockets := map[string]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // without IPv6
			return nil, err
		}
		for _, inode := range listening(table, port) {
			sockets["socket:["+inode+"]"] = true
		}
	}
	if len(sockets) == 0 {
		return nil, nil
	}
	found := &Process{}
	err := eachFD(func(pid, _, target string) bool {
		if !sockets[target] {
			return true
		}
		*found = processOf(pid)
		return false
	})
	return found, err
}

// listening are the inodes of the sockets in a table (proc_net_tcp in the documentation of Linux) that listen on a port.
func listening(table []byte, port int) (inodes []string) {
	for line := range bytes.Lines(table) {
		f := strings.Fields(string(line))
		const local, state, inode = 1, 3, 9
		if len(f) > inode && f[state] == "0A" && strings.HasSuffix(f[local], fmt.Sprintf(":%04X", port)) {
			inodes = append(inodes, f[inode])
		}
	}
	return inodes
}

func processOf(pid string) Process {
	p := Process{Name: "?"}
	p.PID, _ = strconv.Atoi(pid)
	if name, err := os.ReadFile("/proc/" + pid + "/comm"); err == nil {
		p.Name = strings.TrimSpace(string(name))
	}
	groups, _ := os.ReadFile("/proc/" + pid + "/cgroup")
	for line := range bytes.Lines(groups) {
		if unit := path.Base(strings.TrimSpace(string(line))); strings.HasSuffix(unit, ".service") {
			p.Unit = unit
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
