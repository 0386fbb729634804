package health

import (
	"os/exec"
	"testing"

	"github.com/kubeletctl/kubeletctl/systemd"
)

func TestExitReason(t *testing.T) {
	t.Parallel()
	failed := func(result string, status int) systemd.UnitState {
		return systemd.UnitState{ActiveState: "failed", SubState: "failed", Result: result, ExitStatus: status}
	}
	tests := []struct {
		name  string
		state systemd.UnitState
		want  string
	}{
		{"it runs", systemd.UnitState{ActiveState: "active", SubState: "running"}, ""},
		{"a condition", systemd.UnitState{ActiveState: "inactive", ConditionFailed: true}, "systemd did not start kubelet: a condition of its unit is not met"},
		{"its own status", failed("exit-code", 1), "kubelet exited with status 1"},
		{"a status that is not of systemd", failed("exit-code", 255), "kubelet exited with status 255"},
		{"no program", failed("exit-code", 203), "kubelet could not be executed (203/EXEC)"},
		{"no namespace", failed("exit-code", 226), "kubelet was not started, since systemd could not set up its environment (226/NAMESPACE)"},
		{"no directory", failed("exit-code", 200), "kubelet was not started, since systemd could not set up its environment (200/CHDIR)"},
		{"a signal", failed("signal", 9), "kubelet was terminated by SIGKILL"},
		{"a signal without a name", failed("signal", 40), "kubelet was terminated by signal 40"},
		{"a crash", failed("core-dump", 11), "kubelet crashed: SIGSEGV"},
		{"the watchdog", failed("watchdog", 6), "kubelet no longer answered the watchdog of systemd, and was terminated"},
		{"memory", failed("oom-kill", 9), "kubelet was terminated because memory ran out"},
		{"what systemd says from its next release on", failed("boredom", 0), "kubelet was terminated (boredom)"},
		{"started again", systemd.UnitState{ActiveState: "active", SubState: "running", Restarts: 1, Result: "success"}, "kubelet exited and was started again"},
	}
	for _, tt := range tests {
		if got := ExitReason(tt.state, 0); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestEnding(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{"exit 3": "exited with status 3", "exit 203": "exited with status 203", "kill -9 $$": "was terminated by SIGKILL"} {
		c := exec.Command("sh", "-c", script)
		_ = c.Run() // it fails, which is the point
		if got := Ending(c.ProcessState); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
}
