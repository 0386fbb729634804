package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
)

// unitDir is where an administrator's units, and ours, live (systemd.unit(5)).
const unitDir = "/etc/systemd/system"

// Offline manages the units of a tree that is not running: an image that is being baked. It never talks to the systemd
// of this machine.
type Offline struct {
	// Locate maps a path of the tree to one that can be opened here.
	Locate func(path string) (string, error)
}

// Reload does nothing: what is not running has nothing loaded.
func (o Offline) Reload(context.Context) error { return nil }

// Enable makes the symlinks that the unit's WantedBy asks for. Enabling what is enabled does nothing.
func (o Offline) Enable(_ context.Context, name string) error {
	return o.each(name, func(link string) error {
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return err
		}
		if target, err := os.Readlink(link); err == nil && target == path.Join(unitDir, name) {
			return nil
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Symlink(path.Join(unitDir, name), link); err != nil {
			return err
		}
		return syncDir(filepath.Dir(link))
	})
}

// Disable removes what Enable made, and the .wants directory when nothing else is in it.
func (o Offline) Disable(_ context.Context, name string) error {
	return o.each(name, func(link string) error {
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_ = os.Remove(filepath.Dir(link)) // fails when it is not empty, as it should
		return nil
	})
}

// each calls do with the place of every symlink that enabling the unit makes.
func (o Offline) each(name string, do func(link string) error) error {
	file, err := o.Locate(path.Join(unitDir, name))
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	sections, err := unit.DeserializeSections(f)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	for _, s := range sections {
		for _, e := range s.Entries {
			if s.Section != "Install" || e.Name != "WantedBy" {
				continue
			}
			link, err := o.Locate(path.Join(unitDir, e.Value+".wants", name))
			if err != nil {
				return err
			}
			if err := do(link); err != nil {
				return err
			}
		}
	}
	return nil
}

// Start, Restart and Stop refuse: there is nothing to start in a tree.
func (o Offline) Start(context.Context, string) error   { return errOffline }
func (o Offline) Restart(context.Context, string) error { return errOffline }
func (o Offline) Stop(context.Context, string) error    { return errOffline }
func (o Offline) Queue(context.Context, string) error   { return errOffline }

// Arm and Disarm do nothing: what is not running has no timers. After a power cut the tree's own systemd recovers.
func (o Offline) Arm(context.Context, time.Duration) error { return nil }
func (o Offline) Disarm(context.Context) error             { return nil }

// ResetFailed does nothing.
func (o Offline) ResetFailed(context.Context, string) error { return nil }

// Booting is never true of a tree.
func (o Offline) Booting(context.Context) bool { return false }

var errOffline = errors.New("a tree that is not running has no services to start or stop")

// State tells what can be told of a unit that is not running: whether its file is there and enabled.
func (o Offline) State(_ context.Context, name string) (UnitState, error) {
	s := UnitState{Name: name, LoadState: "loaded", ActiveState: "inactive", SubState: "dead", UnitFileState: "disabled"}
	links := 0
	err := o.each(name, func(link string) error {
		if _, err := os.Lstat(link); err == nil {
			links++
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return UnitState{Name: name, LoadState: "not-found", ActiveState: "inactive", SubState: "dead"}, nil
	case err != nil:
		return UnitState{}, err
	case links > 0:
		s.UnitFileState = "enabled"
	}
	return s, nil
}
