package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

// bus is what [Conn] needs of a *dbus.Conn.
type bus interface {
	Close()
	Connected() bool
	ReloadContext(ctx context.Context) error
	EnableUnitFilesContext(ctx context.Context, files []string, runtime, force bool) (bool, []dbus.EnableUnitFileChange, error)
	DisableUnitFilesContext(ctx context.Context, files []string, runtime bool) ([]dbus.DisableUnitFileChange, error)
	StartUnitContext(ctx context.Context, name, mode string, ch chan<- string) (int, error)
	RestartUnitContext(ctx context.Context, name, mode string, ch chan<- string) (int, error)
	StopUnitContext(ctx context.Context, name, mode string, ch chan<- string) (int, error)
	StartTransientUnitContext(ctx context.Context, name, mode string, properties []dbus.Property, ch chan<- string) (int, error)
	KillUnitWithTarget(ctx context.Context, name string, target dbus.Who, signal int32) error
	ListJobsContext(ctx context.Context) ([]dbus.JobStatus, error)
	ResetFailedUnitContext(ctx context.Context, name string) error
	SystemStateContext(ctx context.Context) (*dbus.Property, error)
	GetAllPropertiesContext(ctx context.Context, unit string) (map[string]any, error)
}

const (
	// patience is how long systemd may be out of reach. Executing itself anew takes it a fraction of a second, and some
	// seconds on a machine that is very slow.
	patience = 10 * time.Second
	// dialTimeout bounds one try to connect.
	dialTimeout = 3 * time.Second
	// retryPause is the time between two tries.
	retryPause = 50 * time.Millisecond
)

var (
	errClosed   = errors.New("the connection to systemd was closed")
	errNoAnswer = fmt.Errorf("systemd did not answer within %s", dialTimeout)
)

// connect makes a Conn. Where there is nothing to connect to, or no permission, there is nothing to wait for either.
func connect(dial func(context.Context) (bus, error)) (*Conn, error) {
	c := &Conn{dial: dial, unitDir: unitDir, sync: syncDir}
	ctx := context.Background()
	_, err := c.connected(ctx)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		err = c.call(ctx, func(bus) error { return nil })
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// dial connects to systemd: root over its private socket, which works without dbus-daemon, and at any time of the boot.
func dial(ctx context.Context) (bus, error) {
	open := dbus.NewWithContext
	if os.Geteuid() == 0 {
		open = dbus.NewSystemdConnectionContext
	}
	// A connection ends with its context; ctx is only that of this call.
	life, end := context.WithCancel(context.Background())
	type result struct {
		conn *dbus.Conn
		err  error
	}
	opened := make(chan result, 1)
	go func() {
		conn, err := open(life)
		opened <- result{conn, err}
	}()
	select {
	case r := <-opened:
		if r.err != nil {
			end()
			return nil, r.err
		}
		return &dialed{r.conn, end}, nil
	case <-ctx.Done():
		end()
		return nil, ctx.Err()
	}
}

// dialed ends the context of a connection with the connection.
type dialed struct {
	*dbus.Conn
	end context.CancelFunc
}

func (d *dialed) Close() {
	d.Conn.Close()
	d.end()
}

// call has do speak to systemd. When the connection is lost, by do or before, call connects again and calls do again, which
// may or may not have been carried out then. It gives up when systemd was out of reach for some time, or when ctx ends.
func (c *Conn) call(ctx context.Context, do func(bus) error) error {
	var deadline time.Time
	for {
		err := c.try(ctx, do)
		if !isLoss(err) {
			return err
		}
		if now := time.Now(); deadline.IsZero() {
			deadline = now.Add(patience)
		} else if now.After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryPause):
		}
	}
}

func (c *Conn) try(ctx context.Context, do func(bus) error) error {
	b, err := c.connected(ctx)
	if err != nil {
		return err
	}
	return do(b)
}

// connected returns the connection, or a new one in its place when it is lost.
func (c *Conn) connected(ctx context.Context) (bus, error) {
	c.mu.Lock()
	old, closed := c.bus, c.closed
	c.mu.Unlock()
	if closed {
		return nil, errClosed
	}
	if old != nil && old.Connected() {
		return old, nil
	}
	bounded, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	b, err := c.dial(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		err = errNoAnswer
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to systemd: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		b.Close()
		return nil, errClosed
	case c.bus != old: // another goroutine was faster
		b.Close()
		return c.bus, nil
	case old != nil:
		old.Close() // one of its two sockets may still be open
	}
	c.bus = b
	return b, nil
}

// unreachable are the errors of dbus-daemon for a systemd that is not on the bus at the moment.
var unreachable = []string{
	"org.freedesktop.DBus.Error.NoReply",
	"org.freedesktop.DBus.Error.Disconnected",
	"org.freedesktop.DBus.Error.ServiceUnknown",
	"org.freedesktop.DBus.Error.NameHasNoOwner",
	"org.freedesktop.DBus.Error.TimedOut",
	"org.freedesktop.DBus.Error.Timeout",
}

// isLoss reports whether an error tells of the connection rather than of what was asked. All that is neither an answer nor
// the end of a context does: it comes as EOF, as one of several errno, or as an error of the library.
func isLoss(err error) bool {
	var answer godbus.Error
	switch {
	case err == nil, errors.Is(err, errClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &answer):
		// dbus-daemon may try to start what is not there: "Spawn.ChildExited".
		return slices.Contains(unreachable, answer.Name) || strings.HasPrefix(answer.Name, "org.freedesktop.DBus.Error.Spawn.")
	}
	return true
}

// hasName reports whether an error is an answer of one of these D-Bus names.
func hasName(err error, names ...string) bool {
	var answer godbus.Error
	return errors.As(err, &answer) && slices.Contains(names, answer.Name)
}
