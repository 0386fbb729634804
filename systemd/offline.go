package systemd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// unitDir is where an administrator's units, and ours, live (systemd.unit(5)).
const unitDir = "/etc/systemd/system"

// Files is the tree of a host that does not run; every path is one of that host, and links are resolved inside of it.
type Files interface {
	ReadFile(path string) ([]byte, error)
	ReadDir(path string) ([]os.DirEntry, error)
	Readlink(path string) (string, error)
	Lstat(path string) (os.FileInfo, error)
	MkdirAll(path string, mode fs.FileMode) error // durable
	Symlink(target, path string) error            // replaces what is there, durable
	Remove(path string) error                     // gone already is fine, durable
	Rmdir(path string) error                      // fails when it is not empty
}

// Offline manages the units of a tree that is not running: an image that is being baked. It never talks to the systemd
// of this machine, and opens no file but through Files.
type Offline struct{ Files Files }

// Reload does nothing: what is not running has nothing loaded.
func (o Offline) Reload(context.Context) error { return nil }

// Enable makes the symlinks that the unit's WantedBy asks for. Enabling what is enabled does nothing.
func (o Offline) Enable(_ context.Context, name string) error {
	links, err := o.links(name)
	if err != nil {
		return err
	}
	for _, link := range links {
		if err := o.Files.MkdirAll(path.Dir(link), 0o755); err != nil {
			return err
		}
		target := path.Join(unitDir, name)
		if there, err := o.Files.Readlink(link); err == nil && there == target {
			continue
		}
		if err := o.Files.Symlink(target, link); err != nil {
			return err
		}
	}
	return nil
}

// Disable removes what Enable made, also of a unit whose file is gone, and the .wants directory when nothing else is in it.
func (o Offline) Disable(_ context.Context, name string) error {
	links, err := o.links(name)
	if errors.Is(err, fs.ErrNotExist) {
		links, err = o.leftLinks(name)
	}
	if err != nil {
		return err
	}
	for _, link := range links {
		if err := o.Files.Remove(link); err != nil {
			return err
		}
		_ = o.Files.Rmdir(path.Dir(link)) // fails when it is not empty, as it should
	}
	return nil
}

// links are the places of all symlinks that enabling the unit makes.
func (o Offline) links(name string) ([]string, error) {
	file := path.Join(unitDir, name)
	data, err := o.Files.ReadFile(file)
	if err != nil {
		return nil, err
	}
	unit, err := ParseUnit(file, data)
	if err != nil {
		return nil, nil // systemd refuses it as well, so nothing enables it
	}
	var links []string
	for _, a := range unit.Values("Install", "WantedBy") {
		for _, target := range strings.Fields(a.Value) {
			if !strings.Contains(target, "/") { // else it names no unit, but a place somewhere in the tree
				links = append(links, path.Join(unitDir, target+".wants", name))
			}
		}
	}
	return links, nil
}

// leftLinks are the symlinks that still enable a unit whose file is gone.
func (o Offline) leftLinks(name string) ([]string, error) {
	entries, err := o.Files.ReadDir(unitDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var links []string
	for _, e := range entries {
		link := path.Join(unitDir, e.Name(), name)
		if _, err := o.Files.Readlink(link); err == nil && path.Ext(e.Name()) == ".wants" {
			links = append(links, link)
		}
	}
	return links, nil
}

// Start, Restart and Stop refuse: there is nothing to start in a tree.
func (o Offline) Start(context.Context, string) error   { return errOffline }
func (o Offline) Restart(context.Context, string) error { return errOffline }
func (o Offline) Stop(context.Context, string) error    { return errOffline }
func (o Offline) Queue(context.Context, string) error   { return errOffline }

// Kill refuses, too: there is nothing to kill either.
func (o Offline) Kill(context.Context, string) error { return errOffline }

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
	links, err := o.links(name)
	hidden := errors.Is(err, fs.ErrPermission) // a unit may be for root alone
	if hidden || errors.Is(err, fs.ErrNotExist) {
		s := UnitState{Name: name, LoadState: "not-found", ActiveState: "inactive", SubState: "dead"}
		if hidden {
			s.LoadState, s.UnitFileState, s.FragmentPath = "loaded", "disabled", path.Join(unitDir, name)
		}
		left, err := o.leftLinks(name)
		if len(left) > 0 {
			s.UnitFileState = "enabled"
		}
		return s, err
	}
	if err != nil {
		return UnitState{}, err
	}
	s := UnitState{Name: name, LoadState: "loaded", ActiveState: "inactive", SubState: "dead", UnitFileState: "disabled"}
	s.FragmentPath = path.Join(unitDir, name)
	for _, link := range links {
		switch _, err := o.Files.Lstat(link); {
		case err == nil:
			s.UnitFileState = "enabled"
		case !errors.Is(err, fs.ErrNotExist):
			return UnitState{}, err
		}
	}
	return s, nil
}
