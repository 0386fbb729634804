package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

// manager is a systemd with one kind of unit. All that it keeps it keeps when it is executed anew, as systemd does; only the
// connections are gone.
type manager struct {
	sync.Mutex
	units map[string]*fakeUnit
	links map[string]bool // of the enabled units, by path
	dir   string
	jobs  int // that there were
	// takes is how long a job takes, and fails how it ends; empty for done.
	takes time.Duration
	fails string

	// calls are those that were carried out.
	calls []string
	// dropAt is the call at which systemd is executed anew, counted from 1: before it is carried out, or after.
	dropAt int
	after  bool
	asked  int
	// away is how long nobody can connect then.
	away  time.Duration
	until time.Time
	dials int
	conns []*fakeBus
}

type fakeUnit struct {
	active, result, killMode string
	runs                     int
	job                      *fakeJob
}

type fakeJob struct {
	id   int
	kind string
	tell []func(result string)
}

// fakeBus is one connection to a manager.
type fakeBus struct {
	m    *manager
	gone bool
}

func newManager(t *testing.T) *manager {
	m := &manager{units: map[string]*fakeUnit{}, links: map[string]bool{}, dir: t.TempDir(), takes: 400 * time.Millisecond, away: 120 * time.Millisecond}
	m.units[KubeletService] = &fakeUnit{active: "inactive", result: "success", killMode: "control-group"}
	return m
}

func (m *manager) connect(t *testing.T) *Conn {
	t.Helper()
	c, err := connect(m.dial)
	if err != nil {
		t.Fatal(err)
	}
	c.unitDir = m.dir
	t.Cleanup(c.Close)
	return c
}

func (m *manager) dial(context.Context) (bus, error) {
	m.Lock()
	defer m.Unlock()
	m.dials++
	if time.Now().Before(m.until) {
		return nil, &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}
	}
	b := &fakeBus{m: m}
	m.conns = append(m.conns, b)
	return b, nil
}

// reexec closes all connections.
func (m *manager) reexec() {
	m.Lock()
	defer m.Unlock()
	m.cutOff()
}

func (m *manager) cutOff() {
	for _, b := range m.conns {
		b.gone = true
	}
	m.conns, m.until = nil, time.Now().Add(m.away)
}

// call carries a request out, unless the connection is lost before.
func (b *fakeBus) call(ctx context.Context, what string, do func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.m.Lock()
	defer b.m.Unlock()
	if b.gone {
		return godbus.ErrClosed
	}
	b.m.asked++
	lost := b.m.asked == b.m.dropAt
	if lost && !b.m.after {
		b.m.cutOff()
		return &os.SyscallError{Syscall: "recvmsg", Err: syscall.ECONNRESET}
	}
	b.m.calls = append(b.m.calls, what)
	do()
	if lost {
		b.m.cutOff()
		return io.EOF
	}
	return nil
}

// queue makes a job, or joins the one that is there, as mode replace does.
func (b *fakeBus) queue(ctx context.Context, kind, unit string, done chan<- string) (id int, err error) {
	err = b.call(ctx, kind+" "+unit, func() { id = b.m.queue(kind, unit, func(result string) { b.tell(done, result) }) })
	return id, err
}

func (b *fakeBus) tell(done chan<- string, result string) {
	if done != nil && !b.gone {
		done <- result
	}
}

func (m *manager) queue(kind, unit string, tell func(string)) int {
	u := m.units[unit]
	if u == nil {
		u = &fakeUnit{active: "inactive", result: "success", killMode: "control-group"}
		m.units[unit] = u
	}
	if u.job != nil && u.job.kind == kind {
		u.job.tell = append(u.job.tell, tell)
		return u.job.id
	}
	m.jobs++
	job := &fakeJob{id: m.jobs, kind: kind, tell: []func(string){tell}}
	u.job = job
	time.AfterFunc(m.takes, func() {
		m.Lock()
		defer m.Unlock()
		if u.job == job {
			m.end(u)
		}
	})
	return job.id
}

func (m *manager) end(u *fakeUnit) {
	job, result := u.job, "done"
	u.job = nil
	switch {
	case m.fails != "":
		result = m.fails
		u.active = map[string]string{"failed": "failed", "canceled": "inactive"}[result]
	case job.kind == "stop":
		u.active = "inactive"
	case job.kind == "restart" || u.active != "active":
		u.active = "active"
		u.runs++
	}
	for _, tell := range job.tell {
		tell(result)
	}
}

func (b *fakeBus) Close() {
	b.m.Lock()
	defer b.m.Unlock()
	b.gone = true
}

func (b *fakeBus) Connected() bool {
	b.m.Lock()
	defer b.m.Unlock()
	return !b.gone
}

func (b *fakeBus) ReloadContext(ctx context.Context) error {
	return b.call(ctx, "reload", func() {})
}

func (b *fakeBus) link(unit string) string {
	return filepath.Join(b.m.dir, "multi-user.target.wants", unit)
}

func (b *fakeBus) EnableUnitFilesContext(ctx context.Context, files []string, _, _ bool) (bool, []dbus.EnableUnitFileChange, error) {
	var changes []dbus.EnableUnitFileChange
	err := b.call(ctx, "enable "+files[0], func() {
		if link := b.link(files[0]); !b.m.links[link] {
			_ = os.MkdirAll(filepath.Dir(link), 0o755)
			b.m.links[link] = true
			changes = append(changes, dbus.EnableUnitFileChange{Type: "symlink", Filename: link})
		}
	})
	return true, changes, err
}

func (b *fakeBus) DisableUnitFilesContext(ctx context.Context, files []string, _ bool) ([]dbus.DisableUnitFileChange, error) {
	var changes []dbus.DisableUnitFileChange
	err := b.call(ctx, "disable "+files[0], func() {
		if link := b.link(files[0]); b.m.links[link] {
			_ = os.Remove(filepath.Dir(link))
			delete(b.m.links, link)
			changes = append(changes, dbus.DisableUnitFileChange{Type: "unlink", Filename: link})
		}
	})
	return changes, err
}

func (b *fakeBus) StartUnitContext(ctx context.Context, name, _ string, ch chan<- string) (int, error) {
	return b.queue(ctx, "start", name, ch)
}

func (b *fakeBus) RestartUnitContext(ctx context.Context, name, _ string, ch chan<- string) (int, error) {
	return b.queue(ctx, "restart", name, ch)
}

func (b *fakeBus) StopUnitContext(ctx context.Context, name, _ string, ch chan<- string) (int, error) {
	return b.queue(ctx, "stop", name, ch)
}

func (b *fakeBus) StartTransientUnitContext(ctx context.Context, name, _ string, _ []dbus.Property, ch chan<- string) (int, error) {
	b.m.Lock()
	exists := b.m.units[name] != nil && !b.gone
	b.m.Unlock()
	if exists {
		return 0, godbus.Error{Name: "org.freedesktop.systemd1.UnitExists"}
	}
	return b.queue(ctx, "start", name, ch)
}

// KillUnitWithTarget ends the run of the unit, and systemd begins another.
func (b *fakeBus) KillUnitWithTarget(ctx context.Context, name string, target dbus.Who, signal int32) error {
	return b.call(ctx, fmt.Sprintf("kill %s %s %d", name, target, signal), func() { b.m.units[name].runs++ })
}

func (b *fakeBus) ListJobsContext(ctx context.Context) ([]dbus.JobStatus, error) {
	var jobs []dbus.JobStatus
	err := b.call(ctx, "list jobs", func() {
		for name, u := range b.m.units {
			if u.job != nil {
				jobs = append(jobs, dbus.JobStatus{Id: uint32(u.job.id), Unit: name, JobType: u.job.kind})
			}
		}
	})
	return jobs, err
}

func (b *fakeBus) ResetFailedUnitContext(ctx context.Context, name string) error {
	return b.call(ctx, "reset "+name, func() {})
}

func (b *fakeBus) SystemStateContext(ctx context.Context) (*dbus.Property, error) {
	err := b.call(ctx, "system state", func() {})
	return &dbus.Property{Value: godbus.MakeVariant("starting")}, err
}

func (b *fakeBus) GetAllPropertiesContext(ctx context.Context, unit string) (map[string]any, error) {
	p := map[string]any{"ActiveState": "inactive", "LoadState": "not-found", "Job": []any{uint32(0), godbus.ObjectPath("/")}}
	err := b.call(ctx, "state "+unit, func() {
		u := b.m.units[unit]
		if u == nil {
			return
		}
		p["LoadState"], p["ActiveState"], p["Result"], p["KillMode"] = "loaded", u.active, u.result, u.killMode
		p["InvocationID"] = []byte{byte(u.runs)}
		if u.job != nil {
			p["Job"] = []any{uint32(u.job.id), godbus.ObjectPath("/job")}
		}
	})
	return p, err
}

// verbs are all methods that speak to systemd, with what must be true in the end.
var verbs = []struct {
	name   string
	before func(*manager)
	do     func(context.Context, *Conn) error
	holds  func(*manager) error
}{
	{name: "Reload", do: func(ctx context.Context, c *Conn) error { return c.Reload(ctx) }, holds: carriedOut("reload")},
	{name: "Enable", do: func(ctx context.Context, c *Conn) error { return c.Enable(ctx, KubeletService) }, holds: func(m *manager) error {
		return that(len(m.links) == 1, "links: %v", m.links)
	}},
	{name: "Disable", before: func(m *manager) { m.links[filepath.Join(m.dir, "multi-user.target.wants", KubeletService)] = true },
		do: func(ctx context.Context, c *Conn) error { return c.Disable(ctx, KubeletService) }, holds: func(m *manager) error {
			return that(len(m.links) == 0, "links: %v", m.links)
		}},
	{name: "Start", do: func(ctx context.Context, c *Conn) error { return c.Start(ctx, KubeletService) }, holds: runs(KubeletService, 1)},
	{name: "Start of what is active", before: running, do: func(ctx context.Context, c *Conn) error { return c.Start(ctx, KubeletService) },
		holds: runs(KubeletService, 1)},
	{name: "Restart", before: running, do: func(ctx context.Context, c *Conn) error { return c.Restart(ctx, KubeletService) },
		holds: ranAgain},
	{name: "Stop", before: running, do: func(ctx context.Context, c *Conn) error { return c.Stop(ctx, KubeletService) }, holds: func(m *manager) error {
		return that(m.units[KubeletService].active == "inactive", "still active")
	}},
	{name: "Queue", before: running, do: func(ctx context.Context, c *Conn) error { return c.Queue(ctx, KubeletService) }, holds: func(m *manager) error {
		time.Sleep(time.Second)
		m.Lock()
		defer m.Unlock()
		return ranAgain(m)
	}},
	{name: "Arm", do: func(ctx context.Context, c *Conn) error { return c.Arm(ctx, time.Second) }, holds: runs(RecoverTimer, 1)},
	{name: "Disarm", before: func(m *manager) { m.units[RecoverTimer] = &fakeUnit{active: "active"} },
		do: func(ctx context.Context, c *Conn) error { return c.Disarm(ctx) }, holds: func(m *manager) error {
			return that(m.units[RecoverTimer].active == "inactive", "still armed")
		}},
	{name: "Kill", before: running, do: func(ctx context.Context, c *Conn) error { return c.Kill(ctx, KubeletService) }, holds: runs(KubeletService, 2)},
	{name: "ResetFailed", do: func(ctx context.Context, c *Conn) error { return c.ResetFailed(ctx, KubeletService) },
		holds: carriedOut("reset " + KubeletService)},
	{name: "State", before: running, do: func(ctx context.Context, c *Conn) error {
		s, err := c.State(ctx, KubeletService)
		return errors.Join(err, that(s.ActiveState == "active", "state: %+v", s))
	}, holds: runs(KubeletService, 1)},
	{name: "Booting", do: func(ctx context.Context, c *Conn) error { return that(c.Booting(ctx), "not booting") }, holds: carriedOut("system state")},
}

func that(held bool, format string, args ...any) error {
	if held {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func running(m *manager) { m.units[KubeletService].active, m.units[KubeletService].runs = "active", 1 }

func carriedOut(what string) func(*manager) error {
	return func(m *manager) error { return that(slices.Contains(m.calls, what), "calls: %q", m.calls) }
}

// ranAgain allows for a second restart: one that was over when its answer was lost is done once more.
func ranAgain(m *manager) error {
	u := m.units[KubeletService]
	return that(u.active == "active" && u.runs >= 2, "%+v, want another run", u)
}

func runs(unit string, n int) func(*manager) error {
	return func(m *manager) error {
		u := m.units[unit]
		return that(u != nil && u.active == "active" && u.runs == n, "%s: %+v, want %d runs", unit, u, n)
	}
}

// At whichever call systemd is executed anew, and whether or not it had carried it out: nobody notices.
func TestReexecAtEachCall(t *testing.T) {
	for _, v := range verbs {
		for _, drop := range []struct {
			name  string
			after bool
			takes time.Duration
		}{
			{"not carried out", false, 400 * time.Millisecond},
			{"carried out", true, 400 * time.Millisecond},
			{"carried out and over", true, time.Millisecond},
		} {
			for at, reached := 1, true; reached && !t.Failed(); at++ {
				t.Run(fmt.Sprintf("%s/call %d/%s", v.name, at, drop.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						m := newManager(t)
						if v.before != nil {
							v.before(m)
						}
						m.dropAt, m.after, m.takes = at, drop.after, drop.takes
						c := m.connect(t)
						ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
						defer cancel()
						err := v.do(ctx, c)
						reached = m.asked >= at
						if err := errors.Join(err, v.holds(m)); err != nil {
							t.Errorf("%v\ncalls: %q", err, m.calls)
						}
					})
				})
			}
		}
	}
}

// While a job is waited for, at any moment of it, and again and again: it is queued once, and its end is found out.
func TestReexecDuringAJob(t *testing.T) {
	for _, v := range verbs {
		if !slices.Contains([]string{"Start", "Restart", "Stop", "Arm", "Disarm"}, v.name) {
			continue
		}
		for _, every := range []time.Duration{30 * time.Millisecond, 150 * time.Millisecond, 390 * time.Millisecond, 410 * time.Millisecond} {
			t.Run(fmt.Sprintf("%s/every %s", v.name, every), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := newManager(t)
					m.takes, m.away = 2*time.Second, 20*time.Millisecond
					if v.before != nil {
						v.before(m)
					}
					c := m.connect(t)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					again := time.NewTicker(every)
					defer again.Stop()
					ended := make(chan error, 1)
					go func() { ended <- v.do(ctx, c) }()
					var err error
					for over := false; !over; {
						select {
						case <-again.C:
							m.reexec()
						case err = <-ended:
							over = true
						}
					}
					if err := errors.Join(err, v.holds(m)); err != nil {
						t.Errorf("%v\ncalls: %q", err, m.calls)
					}
					if m.jobs != 1 {
						t.Errorf("%d jobs", m.jobs)
					}
				})
			})
		}
	}
}

// A job whose answer was lost is not asked for again while it is there: that would make a start begin anew, at each loss.
func TestQueuedOnce(t *testing.T) {
	for _, v := range verbs {
		kind := strings.ToLower(v.name)
		if !slices.Contains([]string{"start", "restart", "stop"}, kind) {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newManager(t)
				if v.before != nil {
					v.before(m)
				}
				m.dropAt, m.after = 1, true
				if err := v.do(t.Context(), m.connect(t)); err != nil {
					t.Error(err)
				}
				asked := slices.DeleteFunc(slices.Clone(m.calls), func(call string) bool { return call != kind+" "+KubeletService })
				if len(asked) != 1 {
					t.Errorf("calls: %q", m.calls)
				}
			})
		})
	}
}

// What a job came to is told as if nothing was.
func TestReexecAndAJobThatFails(t *testing.T) {
	for _, result := range []string{"failed", "canceled"} {
		t.Run(result, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newManager(t)
				m.fails = result
				c := m.connect(t)
				time.AfterFunc(150*time.Millisecond, m.reexec)
				var job *JobError
				if err := c.Start(t.Context(), KubeletService); !errors.As(err, &job) || job.Result != result {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// A systemd that stays away is waited for some seconds; the end of the context ends it at once.
func TestOutOfReach(t *testing.T) {
	refused := func(context.Context) (bus, error) {
		return nil, &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}
	}
	hangs := func(ctx context.Context) (bus, error) { <-ctx.Done(); return nil, ctx.Err() }
	tests := []struct {
		name  string
		dial  func(context.Context) (bus, error)
		bound time.Duration // of the context; 0 for none
		atMost,
		atLeast time.Duration
		words string
	}{
		{name: "refused", dial: refused, atLeast: 9 * time.Second, atMost: 11 * time.Second, words: "connecting to systemd: connect: connection refused"},
		{name: "hangs", dial: hangs, atLeast: 9 * time.Second, atMost: 16 * time.Second, words: "connecting to systemd: systemd did not answer within 3s"},
		{name: "refused, with a context", dial: refused, bound: 2 * time.Second, atMost: 2 * time.Second},
		{name: "hangs, with a context", dial: hangs, bound: 2 * time.Second, atMost: 2 * time.Second},
	}
	for _, tt := range tests {
		for _, v := range verbs {
			if v.name == "Booting" { // it has no error to return
				continue
			}
			t.Run(tt.name+"/"+v.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := newManager(t)
					if v.before != nil {
						v.before(m)
					}
					c := m.connect(t)
					m.reexec()
					c.dial = tt.dial
					ctx, cancel := t.Context(), context.CancelFunc(func() {})
					if tt.bound != 0 {
						ctx, cancel = context.WithTimeout(ctx, tt.bound)
					}
					defer cancel()
					begun := time.Now()
					err := v.do(ctx, c)
					took := time.Since(begun)
					if err == nil || !strings.Contains(err.Error(), tt.words) || tt.bound != 0 && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("got %v", err)
					}
					if took < tt.atLeast || took > tt.atMost {
						t.Errorf("it took %s", took)
					}
				})
			})
		}
	}
}

// A job that systemd does not get done ends with the context, also while the connection is lost.
func TestJobIsBounded(t *testing.T) {
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := newManager(t)
			m.takes = time.Hour
			c := m.connect(t)
			if lost {
				time.AfterFunc(time.Second, m.reexec)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			begun := time.Now()
			err := c.Restart(ctx, KubeletService)
			if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "restarting kubelet.service: timed out waiting for systemd" {
				t.Errorf("got %v", err)
			}
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// What systemd refuses is not asked for again, and a closed connection stays closed.
func TestNoRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		c := m.connect(t)
		asked := 0
		refusal := godbus.Error{Name: "org.freedesktop.systemd1.NoSuchUnit", Body: []any{"Unit not found."}}
		err := c.call(t.Context(), func(bus) error { asked++; return refusal })
		if err == nil || err.Error() != "Unit not found." || asked != 1 {
			t.Errorf("asked %d times, got %v", asked, err)
		}
		c.Close()
		begun := time.Now()
		if err := c.Reload(t.Context()); !errors.Is(err, errClosed) || m.dials != 1 || time.Since(begun) != 0 {
			t.Errorf("%d connections, after %s got %v", m.dials, time.Since(begun), err)
		}
	})
}

// Several goroutines that lose the connection share the next one.
func TestOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		c := m.connect(t)
		c.dial = func(ctx context.Context) (bus, error) {
			time.Sleep(time.Second)
			return m.dial(ctx)
		}
		m.reexec()
		dialed := m.dials
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if b, err := c.connected(t.Context()); err != nil || !b.Connected() {
					t.Errorf("got %v, %v", b, err)
				}
			})
		}
		all.Wait()
		open := slices.DeleteFunc(m.conns, func(b *fakeBus) bool { return b.gone })
		if m.dials-dialed != 5 || len(open) != 1 || c.bus != bus(open[0]) {
			t.Errorf("%d connections are open", len(open))
		}
	})
}

func TestIsLoss(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"none", nil, false},
		{"reset", &os.SyscallError{Syscall: "recvmsg", Err: syscall.ECONNRESET}, true},
		{"end of file", fmt.Errorf("connecting to systemd: %w", io.EOF), true},
		{"closed by the library", godbus.ErrClosed, true},
		{"closed by us", errClosed, false},
		{"dbus-daemon lost systemd", godbus.Error{Name: "org.freedesktop.DBus.Error.NoReply"}, true},
		{"dbus-daemon does not find systemd", godbus.Error{Name: "org.freedesktop.DBus.Error.NameHasNoOwner"}, true},
		{"dbus-daemon tried to start systemd", godbus.Error{Name: "org.freedesktop.DBus.Error.Spawn.ChildExited"}, true},
		{"an answer", godbus.Error{Name: "org.freedesktop.systemd1.NoSuchUnit"}, false},
		{"no permission", godbus.Error{Name: "org.freedesktop.DBus.Error.AccessDenied"}, false},
		{"out of time", context.DeadlineExceeded, false},
		{"interrupted", fmt.Errorf("reading: %w", context.Canceled), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := isLoss(tt.err); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

// The first connection is waited for as well, but not where there is none to be had.
func TestConnect(t *testing.T) {
	tests := []struct {
		name  string
		first error
		dials int
	}{
		{name: "at once", dials: 1},
		{name: "executed anew at that moment", first: syscall.ECONNREFUSED, dials: 2},
		{name: "cut off", first: io.EOF, dials: 2},
		{name: "no bus", first: syscall.ENOENT, dials: 1},
		{name: "no permission", first: syscall.EACCES, dials: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dials := 0
				c, err := connect(func(context.Context) (bus, error) {
					dials++
					if dials == 1 && tt.first != nil {
						return nil, tt.first
					}
					return &fakeBus{m: newManager(t)}, nil
				})
				if dials != tt.dials {
					t.Errorf("%d tries", dials)
				}
				final := errors.Is(tt.first, fs.ErrNotExist) || errors.Is(tt.first, fs.ErrPermission)
				if (err != nil) != final || (c == nil) != final {
					t.Errorf("got %v, %v", c, err)
				}
			})
		})
	}
}

// Links that were made or removed are on the disk, also those of a try whose answer was lost.
func TestLinksAreSynced(t *testing.T) {
	for _, dropAt := range []int{0, 1} {
		for _, verb := range []string{"Enable", "Disable"} {
			t.Run(fmt.Sprintf("%s, answer lost %t", verb, dropAt == 1), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := newManager(t)
					wants := filepath.Join(m.dir, "multi-user.target.wants")
					do := (*Conn).Enable
					if verb == "Disable" {
						do = (*Conn).Disable
						m.links[filepath.Join(wants, KubeletService)] = true
						if err := os.WriteFile(mkdir(t, wants)+"/other.service", nil, 0o644); err != nil { // so that it stays
							t.Fatal(err)
						}
					}
					c := m.connect(t)
					m.dropAt, m.after = dropAt, true
					synced := map[string]bool{}
					c.sync = func(dir string) error { synced[dir] = true; return syncDir(dir) }
					if err := do(c, t.Context(), KubeletService); err != nil {
						t.Fatal(err)
					}
					if !synced[wants] || !synced[m.dir] {
						t.Errorf("synced: %v", slices.Sorted(maps.Keys(synced)))
					}
				})
			})
		}
	}
}

func mkdir(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Kill reaches the processes that systemd itself would kill in the end, and nothing of it is an error when they are gone.
func TestKill(t *testing.T) {
	tests := []struct{ mode, who string }{
		{"control-group", "all"},
		{"mixed", "all"},
		{"process", "main"},
		{"none", "main"},
	}
	for _, tt := range tests {
		t.Run(tt.mode, func(t *testing.T) {
			m := newManager(t)
			m.units[KubeletService].killMode = tt.mode
			if err := m.connect(t).Kill(t.Context(), KubeletService); err != nil {
				t.Fatal(err)
			}
			if want := "kill " + KubeletService + " " + tt.who + " 9"; m.calls[len(m.calls)-1] != want {
				t.Errorf("calls: %q, want %q", m.calls, want)
			}
		})
	}
}

type deadBus struct {
	*fakeBus
	name string
}

func (b deadBus) KillUnitWithTarget(context.Context, string, dbus.Who, int32) error {
	return godbus.Error{Name: b.name}
}

func TestKillOfNothing(t *testing.T) {
	tests := []struct {
		name string
		ok   bool
	}{
		{"org.freedesktop.systemd1.NoSuchProcess", true},
		{"org.freedesktop.systemd1.NoSuchUnit", true},
		{"org.freedesktop.DBus.Error.AccessDenied", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := connect(func(context.Context) (bus, error) { return deadBus{&fakeBus{m: newManager(t)}, tt.name}, nil })
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Kill(t.Context(), KubeletService); (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

// What becomes of a start or a stop is read from the unit's state as systemd would have told it.
func TestVerdict(t *testing.T) {
	tests := []struct {
		name           string
		state          UnitState
		started, ended string
	}{
		{"a job is there", UnitState{ActiveState: "active", Job: 7}, "", ""},
		{"active", UnitState{ActiveState: "active"}, "done", "canceled"},
		{"reloading", UnitState{ActiveState: "reloading"}, "done", "canceled"},
		{"on its way up", UnitState{ActiveState: "activating", SubState: "start"}, "", "canceled"},
		{"on its way down", UnitState{ActiveState: "deactivating"}, "", ""},
		{"waits for a restart", UnitState{ActiveState: "activating", SubState: "auto-restart"}, "failed", "canceled"},
		{"failed", UnitState{ActiveState: "failed"}, "failed", "done"},
		{"inactive", UnitState{ActiveState: "inactive", Result: "success", Type: "notify"}, "canceled", "done"},
		{"a condition does not hold", UnitState{ActiveState: "inactive", ConditionFailed: true}, "done", "done"},
		{"a oneshot is over", UnitState{ActiveState: "inactive", Result: "success", Type: "oneshot"}, "done", "done"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := started(tt.state); got != tt.started {
				t.Errorf("started: %q, want %q", got, tt.started)
			}
			if got := stopped(tt.state); got != tt.ended {
				t.Errorf("stopped: %q, want %q", got, tt.ended)
			}
		})
	}
}

func TestUnitState(t *testing.T) {
	c, err := connect(func(context.Context) (bus, error) { return propertyBus{&fakeBus{m: newManager(t)}}, nil })
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.State(t.Context(), KubeletService)
	if err != nil {
		t.Fatal(err)
	}
	if s.MainPID != 4711 || s.InvocationID != "0aff" || s.FragmentPath != "/etc/systemd/system/kubelet.service" || !s.NeedReload ||
		s.ControlGroup != "/system.slice/kubelet.service" || s.KillMode != "process" || s.Type != "notify" || s.Job != 12 ||
		!slices.Equal(s.DropIns, []string{"/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"}) {
		t.Errorf("got %+v", s)
	}
}

type propertyBus struct{ *fakeBus }

func (propertyBus) GetAllPropertiesContext(context.Context, string) (map[string]any, error) {
	return map[string]any{
		"MainPID": uint32(4711), "InvocationID": []byte{10, 255}, "FragmentPath": "/etc/systemd/system/kubelet.service",
		"NeedDaemonReload": true, "ControlGroup": "/system.slice/kubelet.service", "KillMode": "process", "Type": "notify",
		"Job":         []any{uint32(12), godbus.ObjectPath("/org/freedesktop/systemd1/job/12")},
		"DropInPaths": []string{"/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"},
	}, nil
}
