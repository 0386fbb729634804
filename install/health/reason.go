package health

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// ExitReason says how kubelet ended, or nothing while it lives or was not started yet. What systemd has started again by
// itself no more often than so many times did not die since.
func ExitReason(s systemd.UnitState, restarts int) string {
	switch {
	case s.ConditionFailed && !s.Up():
		return "systemd did not start kubelet: a condition of its unit is not met"
	case s.Restarts > restarts, s.Restarting(), s.ActiveState == "failed":
		return "kubelet " + ending(s)
	}
	return ""
}

// ending is systemd's word for how a service ended, in words (systemd.service(5), $SERVICE_RESULT).
func ending(s systemd.UnitState) string {
	switch s.Result {
	case "exit-code":
		return exited(s.ExitStatus)
	case "signal":
		return "was terminated by " + signalName(s.ExitStatus)
	case "core-dump":
		return "crashed: " + signalName(s.ExitStatus)
	case "success", "":
		return "exited and was started again"
	case "timeout":
		return "did not start or stop in time, and was terminated"
	case "watchdog":
		return "no longer answered the watchdog of systemd, and was terminated"
	case "oom-kill":
		return "was terminated because memory ran out"
	case "protocol":
		return "exited before it said that it was ready"
	case "start-limit-hit":
		return "was started too often in a short time, so that systemd gave up"
	case "resources":
		return "was not started, since systemd lacked resources for it"
	}
	return "was terminated (" + s.Result + ")"
}

// setUp are the exit statuses with which systemd says what it could not set up for a service, which it has not started then
// (systemd.exec(5), "Process Exit Codes").
var setUp = map[int]string{
	200: "CHDIR", 201: "NICE", 202: "FDS", 203: "EXEC", 204: "MEMORY", 205: "LIMITS", 206: "OOM_ADJUST", 207: "SIGNAL_MASK", 208: "STDIN", 209: "STDOUT",
	210: "CHROOT", 211: "IOPRIO", 212: "TIMERSLACK", 213: "SECUREBITS", 214: "SETSCHEDULER", 215: "CPUAFFINITY", 216: "GROUP", 217: "USER",
	218: "CAPABILITIES", 219: "CGROUP", 220: "SETSID", 221: "CONFIRM", 222: "STDERR", 224: "PAM", 225: "NETWORK", 226: "NAMESPACE",
	227: "NO_NEW_PRIVILEGES", 228: "SECCOMP", 229: "SELINUX_CONTEXT", 230: "PERSONALITY", 231: "APPARMOR_PROFILE", 232: "ADDRESS_FAMILIES",
	233: "RUNTIME_DIRECTORY", 235: "CHOWN", 236: "SMACK_PROCESS_LABEL", 237: "KEYRING", 238: "STATE_DIRECTORY", 239: "CACHE_DIRECTORY",
	240: "LOGS_DIRECTORY", 241: "CONFIGURATION_DIRECTORY", 242: "NUMA_POLICY", 243: "CREDENTIALS", 245: "BPF",
}

// cannotExecute is the status for a program that is missing, damaged or not executable.
const cannotExecute = 203

func exited(status int) string {
	switch what, known := setUp[status]; {
	case status == cannotExecute:
		return fmt.Sprintf("could not be executed (%d/%s)", status, what)
	case known:
		return fmt.Sprintf("was not started, since systemd could not set up its environment (%d/%s)", status, what)
	}
	return fmt.Sprintf("exited with status %d", status)
}

// Ending says how a process ended that this program has started.
func Ending(p *os.ProcessState) string {
	if status, ok := p.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return "was terminated by " + signalName(int(status.Signal()))
	}
	return fmt.Sprintf("exited with status %d", p.ExitCode())
}

func signalName(n int) string {
	if name := unix.SignalName(syscall.Signal(n)); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", n)
}

// journalLines is how much of the journal is read: the usage of a kubelet has about 300 lines, and the stacks of one that panics
// several hundred.
const journalLines = 1000

// Log is what kubelet logged in the run that a state is of. The journal may show why it has ended a moment late: that is waited for
// until ctx ends.
func Log(ctx context.Context, state systemd.UnitState) (log []kubeletlog.Entry, err error) {
	for {
		entries, err := systemd.Journal(ctx, state, journalLines)
		switch {
		case err != nil && log != nil && ctx.Err() != nil: // the time is over, and what was read is good
			return log, nil
		case err != nil:
			return nil, err
		}
		log = kubeletlog.Parse(entries)
		if _, found := kubeletlog.Reason(log); found || state.ActiveState == "active" {
			return log, nil
		}
		select {
		case <-ctx.Done():
			return log, nil
		case <-time.After(250 * time.Millisecond):
		}
	}
}
