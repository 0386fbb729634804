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
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	"github.com/coreos/go-systemd/v22/util"
	godbus "github.com/godbus/dbus/v5"
)

// ErrNotRunning is returned by [Connect] on a machine whose PID 1 is not systemd.
var ErrNotRunning = errors.New("systemd is not running on this machine")

// Conn is a connection to a running systemd. Close it.
//
// A systemd that is executed anew ("systemctl daemon-reexec", as by every upgrade of its package) closes all connections.
// All methods then connect again, for some seconds, and ask again; see bus.go and job.go.
type Conn struct {
	dial func(context.Context) (bus, error)
	// unitDir is where Enable and Disable have systemd make and remove symlinks, and sync brings a directory to the disk.
	unitDir string
	sync    func(dir string) error

	mu     sync.Mutex
	bus    bus
	closed bool
}

// Connect connects over the system bus, or, as root, over systemd's private socket. It may be called by any user.
func Connect() (*Conn, error) {
	if !util.IsRunningSystemd() {
		return nil, ErrNotRunning
	}
	return connect(dial)
}

// Close closes the connection.
func (c *Conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		c.bus.Close()
	}
}

// Reload makes systemd read all unit files again. A second call does the same once more.
func (c *Conn) Reload(ctx context.Context) error {
	return c.call(ctx, func(b bus) error { return b.ReloadContext(ctx) })
}

// Enable makes the symlinks of the unit's [Install] section. Reload afterwards. Enabling what is enabled does nothing.
func (c *Conn) Enable(ctx context.Context, unit string) error {
	var links []string
	tries := 0
	err := c.call(ctx, func(b bus) error {
		tries++
		_, changes, err := b.EnableUnitFilesContext(ctx, []string{unit}, false, true)
		links = nil
		for _, change := range changes {
			links = append(links, change.Filename)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.syncLinks(links, tries > 1)
}

// Disable removes the symlinks of the unit's [Install] section. Disabling what is not enabled does nothing.
func (c *Conn) Disable(ctx context.Context, unit string) error {
	var links []string
	tries := 0
	err := c.call(ctx, func(b bus) error {
		tries++
		changes, err := b.DisableUnitFilesContext(ctx, []string{unit}, false)
		links = nil
		for _, change := range changes {
			links = append(links, change.Filename)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.syncLinks(links, tries > 1)
}

// syncLinks brings symlinks that systemd made or removed to the disk: systemd does not do it, and what is not there is lost
// with a power cut. When an answer was lost, nobody knows which they are, and all directories that may have any are synced.
func (c *Conn) syncLinks(links []string, all bool) error {
	var dirs []string
	for _, link := range links {
		// systemd also makes the directory, and removes it when it is empty; then it is its parent that changed.
		dirs = append(dirs, filepath.Dir(link), filepath.Dir(filepath.Dir(link)))
	}
	if all {
		found, err := linkDirs(c.unitDir)
		if err != nil {
			return err
		}
		dirs = append(dirs, found...)
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		if err := c.sync(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// linkDirs are the directories in which enabling a unit may make symlinks (systemd.unit(5)).
func linkDirs(unitDir string) ([]string, error) {
	entries, err := os.ReadDir(unitDir)
	if err != nil {
		return nil, err
	}
	dirs := []string{unitDir}
	for _, e := range entries {
		if e.IsDir() && slices.Contains([]string{".wants", ".requires", ".upholds"}, filepath.Ext(e.Name())) {
			dirs = append(dirs, filepath.Join(unitDir, e.Name()))
		}
	}
	return dirs, nil
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
	return c.run(ctx, job{verb: "starting", unit: unit, types: startJobs, verdict: started, queue: func(b bus, done chan<- string) error {
		_, err := b.StartUnitContext(ctx, unit, "replace", done)
		return err
	}})
}

// Restart restarts a unit, or starts it, and waits for the job.
func (c *Conn) Restart(ctx context.Context, unit string) error {
	return c.run(ctx, job{verb: "restarting", unit: unit, types: startJobs, verdict: started, queue: restart(ctx, unit)})
}

func restart(ctx context.Context, unit string) func(bus, chan<- string) error {
	return func(b bus, done chan<- string) error {
		_, err := b.RestartUnitContext(ctx, unit, "replace", done)
		return err
	}
}

// Stop stops a unit and waits for the job; a unit that is stopped stays so.
func (c *Conn) Stop(ctx context.Context, unit string) error {
	return c.run(ctx, job{verb: "stopping", unit: unit, types: stopJobs, verdict: stopped, queue: func(b bus, done chan<- string) error {
		_, err := b.StopUnitContext(ctx, unit, "replace", done)
		return err
	}})
}

// Queue asks for a restart of a unit, or its start, and does not wait for it.
func (c *Conn) Queue(ctx context.Context, unit string) error {
	if _, err := c.queue(ctx, job{unit: unit, types: startJobs, queue: restart(ctx, unit)}, nil); err != nil {
		return fmt.Errorf("queueing a restart of %s: %w", unit, err)
	}
	return nil
}

// Kill sends SIGKILL to a unit whose stop takes too long, to the same processes as systemd would itself at the end of
// TimeoutStopSec=: with KillMode=control-group, which is the default and what kubelet.service has, or mixed, to all of the
// unit's, since a child that lives on would hold up the stop; else to its main process alone. Pods survive it: their
// containers are in control groups of their own.
//
// It ends no job; with no job queued a service with Restart= is started again. Stop it, or restart it, with a bounded
// context, then Kill it, then wait for that job: with Stop again, or, after a Restart, with Start, which joins the restart
// where a second Restart could begin anew. A service that was stopped so is "failed" (ResetFailed). A unit without processes
// is fine.
func (c *Conn) Kill(ctx context.Context, unit string) error {
	asked, victim := false, ""
	err := c.call(ctx, func(b bus) error {
		state, err := readState(ctx, b, unit)
		if err != nil {
			return err
		}
		if asked && state.InvocationID != victim { // the first try killed it, and this run must live
			return nil
		}
		asked, victim = true, state.InvocationID
		who := dbus.Main
		if state.KillMode == "control-group" || state.KillMode == "mixed" {
			who = dbus.All
		}
		return b.KillUnitWithTarget(ctx, unit, who, int32(syscall.SIGKILL))
	})
	if err != nil && !hasName(err, "org.freedesktop.systemd1.NoSuchProcess", "org.freedesktop.systemd1.NoSuchUnit") {
		return fmt.Errorf("killing %s: %w", unit, err)
	}
	return nil
}

// Arm starts RecoverTimer, which starts RecoverService after the time given, and again that long after each of its ends.
// A timer that is armed already stays as it is. It does not survive a reboot.
func (c *Conn) Arm(ctx context.Context, every time.Duration) error {
	if state, err := c.State(ctx, RecoverTimer); err != nil || state.Up() {
		return err
	}
	micros := uint64(every.Microseconds())
	properties := []dbus.Property{
		dbus.PropDescription("Recovery of an interrupted change of the Kubernetes kubelet"),
		property("OnActiveSec", micros),
		property("OnUnitInactiveSec", micros),
		property("AccuracyUSec", uint64(time.Second.Microseconds())),
		property("RemainAfterElapse", false),
	}
	return c.run(ctx, job{verb: "starting", unit: RecoverTimer, types: startJobs, verdict: started, queue: func(b bus, done chan<- string) error {
		_, err := b.StartTransientUnitContext(ctx, RecoverTimer, "replace", properties, done)
		if hasName(err, "org.freedesktop.systemd1.UnitExists") { // made by a try whose answer was lost
			_, err = b.StartUnitContext(ctx, RecoverTimer, "replace", done)
		}
		return err
	}})
}

func property(name string, value any) dbus.Property {
	return dbus.Property{Name: name, Value: godbus.MakeVariant(value)}
}

// Disarm stops RecoverTimer; one that is not armed is fine.
func (c *Conn) Disarm(ctx context.Context) error {
	if state, err := c.State(ctx, RecoverTimer); err != nil || !state.Up() {
		return err
	}
	return c.Stop(ctx, RecoverTimer)
}

// Booting reports whether the machine is still starting up. Jobs may then have to wait for units that wait for us.
func (c *Conn) Booting(ctx context.Context) bool {
	var p *dbus.Property
	err := c.call(ctx, func(b bus) (err error) {
		p, err = b.SystemStateContext(ctx)
		return err
	})
	if err != nil || p == nil {
		return false
	}
	state, _ := p.Value.Value().(string)
	return state == "initializing" || state == "starting"
}

// ResetFailed clears the failed state and the restart counter of a unit; of a unit that has neither, it changes nothing.
func (c *Conn) ResetFailed(ctx context.Context, unit string) error {
	return c.call(ctx, func(b bus) error { return b.ResetFailedUnitContext(ctx, unit) })
}

// State reads the state of a unit. A unit that does not exist has the LoadState "not-found"; that is no error.
func (c *Conn) State(ctx context.Context, unit string) (UnitState, error) {
	var s UnitState
	err := c.call(ctx, func(b bus) (err error) {
		s, err = readState(ctx, b, unit)
		return err
	})
	if err != nil {
		return UnitState{}, fmt.Errorf("reading the state of %s: %w", unit, err)
	}
	return s, nil
}

func readState(ctx context.Context, b bus, unit string) (UnitState, error) {
	p, err := b.GetAllPropertiesContext(ctx, unit)
	if err != nil {
		return UnitState{}, err
	}
	s := UnitState{Name: unit}
	s.LoadState, _ = p["LoadState"].(string)
	s.ActiveState, _ = p["ActiveState"].(string)
	s.SubState, _ = p["SubState"].(string)
	s.UnitFileState, _ = p["UnitFileState"].(string)
	s.Result, _ = p["Result"].(string)
	s.FragmentPath, _ = p["FragmentPath"].(string)
	s.ControlGroup, _ = p["ControlGroup"].(string)
	s.Type, _ = p["Type"].(string)
	s.KillMode, _ = p["KillMode"].(string)
	s.NeedReload, _ = p["NeedDaemonReload"].(bool)
	s.DropIns, _ = p["DropInPaths"].([]string)
	if id, ok := p["InvocationID"].([]byte); ok {
		s.InvocationID = hex.EncodeToString(id)
	}
	if job, ok := p["Job"].([]any); ok && len(job) > 0 { // its number and its path
		id, _ := job[0].(uint32)
		s.Job = int(id)
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
	if at, _ := p["StateChangeTimestamp"].(uint64); at != 0 && s.Restarting() {
		pause, known := p["RestartUSecNext"].(uint64) // which grows; from systemd 254 on
		if !known {
			pause, _ = p["RestartUSec"].(uint64)
		}
		s.NextTry = time.UnixMicro(int64(at + pause))
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
