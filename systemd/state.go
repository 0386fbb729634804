package systemd

import (
	"strings"
	"time"
)

// UnitState is what systemd says of one unit, in its own words (org.freedesktop.systemd1(5)).
type UnitState struct {
	Name string
	// LoadState is "loaded", "not-found", "masked" or "error".
	LoadState string
	// ActiveState is "active", "activating", "inactive", "failed" and so on; SubState is finer ("running", "auto-restart").
	ActiveState, SubState string
	// UnitFileState is "enabled", "disabled", "masked", "static", or empty when there is no unit file.
	UnitFileState string
	// Result of the last run: "success", "exit-code", "signal", "timeout", "condition" ...
	Result string
	// ExitStatus of the last main process.
	ExitStatus int
	// ConditionFailed reports that a Condition kept the unit from starting when it was last asked to.
	ConditionFailed bool
	// NeedReload reports that files of the unit changed since systemd read them.
	NeedReload bool
	// DropIns are the paths of the drop-in files that apply.
	DropIns []string
	// MainPID is zero when no process runs.
	MainPID int
	// ControlGroup has the processes of the unit, as a path below the root of the hierarchy; empty when it has none.
	ControlGroup string
	// Type and KillMode are settings of a service ("notify", "oneshot"; "control-group", "process"); empty of other units.
	Type, KillMode string
	// Job is the number of the job that is queued for the unit; zero when there is none.
	Job int
	// Restarts counts automatic restarts since the unit was last started by hand.
	Restarts int
	// NextTry is when systemd starts the unit again by itself; zero when it is not waiting for that.
	NextTry time.Time
	// FragmentPath is the unit file that systemd has loaded.
	FragmentPath string
	// Started is when the main process was started; zero when there was none.
	Started time.Time
	// Since is when the unit became active; zero when it is not.
	Since time.Time
	// MemoryBytes and CPU are zero when systemd does not account for the unit.
	MemoryBytes int64
	CPU         time.Duration
	// InvocationID names this run of the unit, in the journal too; no other run has the same.
	InvocationID string
}

// Enabled reports whether the unit is started at boot.
func (s UnitState) Enabled() bool {
	return s.UnitFileState == "enabled" || s.UnitFileState == "enabled-runtime"
}

// Restarting reports whether the unit has ended and systemd is about to start it again ("auto-restart", and from systemd 254 on
// "auto-restart-queued").
func (s UnitState) Restarting() bool { return strings.HasPrefix(s.SubState, "auto-restart") }

// Up reports whether the unit runs or is on its way there, which includes waiting for an automatic restart.
func (s UnitState) Up() bool {
	switch s.ActiveState {
	case "active", "activating", "reloading":
		return true
	}
	return false
}
