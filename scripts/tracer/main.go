//go:build amd64

// Command tracer runs a program and counts those of its system calls that change something: files, directories, links,
// modes, what is sent to a socket, what is synced. It kills the program at one of them, or lets one fail.
//
//	tracer list COMMAND...          runs it, and prints each call on standard error: number, name, path
//	tracer kill N COMMAND...        kills it with SIGKILL when it is about to make its N-th such call
//	tracer fail N ERRNO COMMAND...  lets the N-th such call fail with an error number instead
//
// Its own exit code is that of the program; 99 reports that the N-th call was never made. strace(1) counts the calls of each
// thread for itself, and a Go program has many that take turns. Programs that the program starts are not traced.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "tracer:", err)
		code = 98
	}
	os.Exit(code)
}

func run(args []string) (code int, err error) {
	if len(args) < 2 {
		return 0, fmt.Errorf("no command: list, kill N or fail N ERRNO comes before one")
	}
	t := tracer{verb: args[0]}
	args = args[1:]
	numbers := map[string]int{"list": 0, "kill": 1, "fail": 2}
	for i := range numbers[t.verb] {
		n, err := strconv.Atoi(args[i])
		if err != nil {
			return 0, err
		}
		if i == 0 {
			t.at = n
		} else {
			t.errno = n
		}
	}
	return t.trace(args[numbers[t.verb]:])
}

type tracer struct {
	verb      string
	at, errno int
	count     int
	failing   map[int]bool // threads in a call that is to fail
}

// trace runs the program to its end, and tells its exit code.
func (t *tracer) trace(args []string) (code int, err error) {
	runtime.LockOSThread() // one thread traces
	t.failing = map[int]bool{}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	leader := cmd.Process.Pid
	var status unix.WaitStatus
	if _, err := unix.Wait4(leader, &status, 0, nil); err != nil {
		return 0, err
	}
	if err := unix.PtraceSetOptions(leader, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_EXITKILL); err != nil {
		return 0, err
	}
	inside := map[int]bool{} // threads between the entry and the exit of a call
	if err := unix.PtraceSyscall(leader, 0); err != nil {
		return 0, err
	}
	for {
		pid, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, err
		}
		if status.Exited() || status.Signaled() {
			if pid != leader {
				continue
			}
			if t.count < t.at {
				return 99, nil
			}
			if status.Signaled() {
				return 128 + int(status.Signal()), nil
			}
			return status.ExitStatus(), nil
		}
		signal := 0
		switch {
		case !status.Stopped():
			continue
		case status.StopSignal() == unix.SIGTRAP|0x80:
			inside[pid] = !inside[pid]
			if err := t.call(leader, pid, inside[pid]); err != nil {
				return 0, err
			}
		case status.StopSignal() == unix.SIGTRAP, status.StopSignal() == unix.SIGSTOP:
		default:
			signal = int(status.StopSignal())
		}
		if err := unix.PtraceSyscall(pid, signal); err != nil && err != unix.ESRCH {
			return 0, err
		}
	}
}

// call is called at the entry and at the exit of every system call.
func (t *tracer) call(leader, pid int, entry bool) error {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(pid, &regs); err != nil {
		if err == unix.ESRCH {
			return nil
		}
		return err
	}
	if !entry {
		if t.failing[pid] {
			delete(t.failing, pid)
			regs.Rax = uint64(-int64(t.errno))
			return unix.PtraceSetRegs(pid, &regs)
		}
		return nil
	}
	what, changes := describe(leader, pid, &regs)
	if !changes {
		return nil
	}
	t.count++
	if t.verb == "list" {
		fmt.Fprintf(os.Stderr, "%d %s\n", t.count, what)
	}
	if t.count != t.at {
		return nil
	}
	fmt.Fprintf(os.Stderr, "tracer: %s %d: %s\n", t.verb, t.count, what)
	if t.verb == "kill" {
		return unix.Kill(leader, unix.SIGKILL)
	}
	t.failing[pid] = true
	regs.Orig_rax = ^uint64(0) // no such call, which does nothing
	return unix.PtraceSetRegs(pid, &regs)
}

// describe reports whether a call changes something, and what.
func describe(leader, pid int, r *unix.PtraceRegs) (string, bool) {
	path := func(at uint64) string { return text(pid, at) }
	fd := func(n uint64) string {
		name, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", leader, n))
		return name
	}
	switch r.Orig_rax {
	case unix.SYS_OPENAT:
		return "open " + path(r.Rsi), r.Rdx&(unix.O_CREAT|unix.O_WRONLY|unix.O_RDWR|unix.O_TRUNC) != 0 && !strings.HasPrefix(path(r.Rsi), "/dev/")
	case unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_COPY_FILE_RANGE, unix.SYS_SPLICE, unix.SYS_SENDFILE:
		to := r.Rdi
		if r.Orig_rax == unix.SYS_COPY_FILE_RANGE || r.Orig_rax == unix.SYS_SPLICE {
			to = r.Rdx
		}
		name := fd(to)
		tells := to <= 2 || strings.HasPrefix(name, "pipe:") || strings.HasPrefix(name, "anon_inode:") || strings.HasPrefix(name, "/proc/")
		return "write " + name, !tells
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		return "rename " + path(r.R10), true
	case unix.SYS_RENAME:
		return "rename " + path(r.Rsi), true
	case unix.SYS_LINKAT:
		return "link " + path(r.R10), true
	case unix.SYS_SYMLINKAT:
		return "symlink " + path(r.Rdx), true
	case unix.SYS_UNLINKAT:
		return "unlink " + path(r.Rsi), true
	case unix.SYS_RMDIR:
		return "rmdir " + path(r.Rdi), true
	case unix.SYS_MKDIRAT:
		return "mkdir " + path(r.Rsi), true
	case unix.SYS_FCHMODAT, unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT:
		return "attributes " + path(r.Rsi), true
	case unix.SYS_FCHMOD, unix.SYS_FCHOWN, unix.SYS_FTRUNCATE:
		return "attributes " + fd(r.Rdi), true
	case unix.SYS_TRUNCATE:
		return "truncate " + path(r.Rdi), true
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		return "sync " + fd(r.Rdi), true
	case unix.SYS_CLONE:
		return "start a process", r.Rdi&unix.CLONE_THREAD == 0
	case unix.SYS_CLONE3, unix.SYS_VFORK, unix.SYS_FORK:
		return "start a process", true
	}
	return "", false
}

// text reads a string of another process, up to 256 bytes.
func text(pid int, at uint64) string {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return ""
	}
	defer f.Close()
	buffer := make([]byte, 256)
	n, _ := f.ReadAt(buffer, int64(at))
	s, _, _ := strings.Cut(string(buffer[:n]), "\x00")
	return s
}
