package systemd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	"github.com/coreos/go-systemd/v22/util"
	godbus "github.com/godbus/dbus/v5"
)

// ErrNotRunning is returned by [Connect] on a machine whose PID 1 is not systemd.
var ErrNotRunning = errors.New("systemd is not running on this machine")

// JobError tells that a job ended in another way than "done".
type JobError struct {
	Verb, Unit string
	// Result is systemd's word: "failed", "dependency", "timeout", "canceled", "skipped" ...
	Result string
}

func (e *JobError) Error() string {
	return fmt.Sprintf("%s %s: job result %q", e.Verb, e.Unit, e.Result)
}

// Conn is a connection to a running systemd. Close it.
type Conn struct{ bus *dbus.Conn }

// Connect connects over the system bus, or, as root, over systemd's private socket. It may be called by any user.
func Connect() (*Conn, error) {
	if !util.IsRunningSystemd() {
		return nil, ErrNotRunning
	}
	// The context bounds the life of the connection, not of this call, so it can not be a caller's.
	connect := dbus.NewWithContext
	if os.Geteuid() == 0 {
		connect = dbus.NewSystemdConnectionContext // works without dbus-daemon, and at any time of the boot
	}
	bus, err := connect(context.Background())
	if err != nil {
		return nil, fmt.Errorf("connecting to systemd: %w", err)
	}
	return &Conn{bus: bus}, nil
}

// Close closes the connection.
func (c *Conn) Close() { c.bus.Close() }

// Reload makes systemd read all unit files again. A second call does the same once more. Some old releases drop the
// connection while they answer, so it is tried twice.
func (c *Conn) Reload(ctx context.Context) error {
	err := c.bus.ReloadContext(ctx)
	if err != nil && ctx.Err() == nil {
		err = c.bus.ReloadContext(ctx)
	}
	return err
}

// Enable makes the symlinks of the unit's [Install] section. Reload afterwards. Enabling what is enabled does nothing.
func (c *Conn) Enable(ctx context.Context, unit string) error {
	_, changes, err := c.bus.EnableUnitFilesContext(ctx, []string{unit}, false, true)
	if err != nil {
		return err
	}
	for _, change := range changes { // systemd does not do it, and what is not on the disk is not there after a power cut
		if err := syncDir(filepath.Dir(change.Filename)); err != nil {
			return err
		}
	}
	return nil
}

// Disable removes the symlinks of the unit's [Install] section. Disabling what is not enabled does nothing.
func (c *Conn) Disable(ctx context.Context, unit string) error {
	changes, err := c.bus.DisableUnitFilesContext(ctx, []string{unit}, false)
	if err != nil {
		return err
	}
	for _, change := range changes {
		// systemd removes the directory when it is empty; then it is its parent that changed.
		err := syncDir(filepath.Dir(change.Filename))
		if errors.Is(err, fs.ErrNotExist) {
			err = syncDir(filepath.Dir(filepath.Dir(change.Filename)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Start starts a unit and waits for the job; a unit that is active stays as it is. ctx bounds the wait, not the job.
func (c *Conn) Start(ctx context.Context, unit string) error {
	return c.job(ctx, "starting", unit, c.bus.StartUnitContext)
}

// Restart restarts a unit, or starts it, and waits for the job.
func (c *Conn) Restart(ctx context.Context, unit string) error {
	return c.job(ctx, "restarting", unit, c.bus.RestartUnitContext)
}

// Stop stops a unit and waits for the job; a unit that is stopped stays so.
func (c *Conn) Stop(ctx context.Context, unit string) error {
	return c.job(ctx, "stopping", unit, c.bus.StopUnitContext)
}

func (c *Conn) job(ctx context.Context, verb, unit string, queue func(context.Context, string, string, chan<- string) (int, error)) error {
	done := make(chan string, 1) // buffered: go-systemd delivers while it holds a lock
	if _, err := queue(ctx, unit, "replace", done); err != nil {
		return fmt.Errorf("%s %s: %w", verb, unit, err)
	}
	select {
	case result := <-done:
		if result != "done" {
			return &JobError{Verb: verb, Unit: unit, Result: result}
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s %s: %w", verb, unit, notDone{ctx.Err()})
	}
}

// notDone tells that a job went on longer than its context, in other words than those of package context.
type notDone struct{ error }

func (notDone) Error() string   { return "systemd has not got done with it" }
func (e notDone) Unwrap() error { return e.error }

// Queue asks for a restart of a unit, or its start, and does not wait for it.
func (c *Conn) Queue(ctx context.Context, unit string) error {
	if _, err := c.bus.RestartUnitContext(ctx, unit, "replace", nil); err != nil {
		return fmt.Errorf("queueing a restart of %s: %w", unit, err)
	}
	return nil
}

// Arm starts RecoverTimer, which starts RecoverService after the time given, and again that long after each of its ends.
// A timer that is armed already stays as it is. It does not survive a reboot.
func (c *Conn) Arm(ctx context.Context, every time.Duration) error {
	if state, err := c.State(ctx, RecoverTimer); err == nil && state.Up() {
		return nil
	}
	micros := uint64(every.Microseconds())
	properties := []dbus.Property{
		dbus.PropDescription("Recovery of an interrupted change of the Kubernetes kubelet"),
		property("OnActiveSec", micros),
		property("OnUnitInactiveSec", micros),
		property("AccuracyUSec", uint64(time.Second.Microseconds())),
		property("RemainAfterElapse", false),
	}
	done := make(chan string, 1)
	if _, err := c.bus.StartTransientUnitContext(ctx, RecoverTimer, "replace", properties, done); err != nil {
		return fmt.Errorf("starting %s: %w", RecoverTimer, err)
	}
	select {
	case result := <-done:
		if result != "done" {
			return &JobError{Verb: "starting", Unit: RecoverTimer, Result: result}
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("starting %s: %w", RecoverTimer, notDone{ctx.Err()})
	}
}

func property(name string, value any) dbus.Property {
	return dbus.Property{Name: name, Value: godbus.MakeVariant(value)}
}

// Disarm stops RecoverTimer; one that is not armed is fine.
func (c *Conn) Disarm(ctx context.Context) error {
	if state, err := c.State(ctx, RecoverTimer); err == nil && !state.Up() {
		return nil
	}
	return c.Stop(ctx, RecoverTimer)
}

// Booting tells whether the machine is still starting up. Jobs may then have to wait for units that wait for us.
func (c *Conn) Booting(ctx context.Context) bool {
	p, err := c.bus.SystemStateContext(ctx)
	if err != nil || p == nil {
		return false
	}
	state, _ := p.Value.Value().(string)
	return state == "initializing" || state == "starting"
}

// ResetFailed clears the failed state and the restart counter of a unit; of a unit that has neither, it changes nothing.
func (c *Conn) ResetFailed(ctx context.Context, unit string) error {
	return c.bus.ResetFailedUnitContext(ctx, unit)
}

// State reads the state of a unit. A unit that does not exist has the LoadState "not-found"; that is no error.
func (c *Conn) State(ctx context.Context, unit string) (UnitState, error) {
	p, err := c.bus.GetAllPropertiesContext(ctx, unit)
	if err != nil {
		return UnitState{}, fmt.Errorf("reading the state of %s: %w", unit, err)
	}
	s := UnitState{Name: unit}
	s.LoadState, _ = p["LoadState"].(string)
	s.ActiveState, _ = p["ActiveState"].(string)
	s.SubState, _ = p["SubState"].(string)
	s.UnitFileState, _ = p["UnitFileState"].(string)
	s.Result, _ = p["Result"].(string)
	s.FragmentPath, _ = p["FragmentPath"].(string)
	s.NeedReload, _ = p["NeedDaemonReload"].(bool)
	s.DropIns, _ = p["DropInPaths"].([]string)
	if id, ok := p["InvocationID"].([]byte); ok {
		s.InvocationID = hex.EncodeToString(id)
	}
	if status, ok := p["ExecMainStatus"].(int32); ok {
		s.ExitStatus = int(status)
	}
	if pid, ok := p["MainPID"].(uint32); ok {
		s.MainPID = int(pid)
	}
	if n, ok := p["NRestarts"].(uint32); ok {
		s.Restarts = int(n)
	}
	if asked, _ := p["ConditionTimestamp"].(uint64); asked != 0 {
		held, _ := p["ConditionResult"].(bool)
		s.ConditionFailed = !held
	}
	if at, _ := p["ExecMainStartTimestamp"].(uint64); at != 0 {
		s.Started = time.UnixMicro(int64(at))
	}
	if at, _ := p["ActiveEnterTimestamp"].(uint64); at != 0 && s.ActiveState == "active" {
		s.Since = time.UnixMicro(int64(at))
	}
	// systemd says "not known" with the largest number of the type.
	if n, ok := p["MemoryCurrent"].(uint64); ok && n != math.MaxUint64 {
		s.MemoryBytes = int64(n)
	}
	if n, ok := p["CPUUsageNSec"].(uint64); ok && n != math.MaxUint64 {
		s.CPU = time.Duration(n)
	}
	return s, nil
}
