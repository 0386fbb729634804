package install

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"
	"time"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// Seen is what a host really has, of all that some generations speak of.
type Seen struct {
	// Live tells that a systemd runs there.
	Live  bool
	Files map[string]File
	Units map[string]systemd.UnitState
	// MissingDirs are directories that the wanted files need, outermost first.
	MissingDirs []string
	// Credentials tells that kubelet has what it needs to reach its API server, or needs none.
	Credentials bool
	// Process is the kubelet that runs; nil when none does, or when it may not be looked at.
	Process *Process
	// Overrides are the drop-ins of an administrator that replace kubelet's command line.
	Overrides []string
	// Partial tells that an earlier run has fetched the wanted binary, or a part of it, and not got so far as to give it its
	// name.
	Partial bool
	// Unreadable says what could not be looked at, and why.
	Unreadable map[string]error
}

// Process is a kubelet that runs.
type Process struct {
	PID int
	// Invocation is systemd's name of this run; see systemd.UnitState.
	Invocation string
	Started    time.Time
	// SHA256 is of the file that it executes, which need not be the one that has its name by now.
	SHA256 string
}

func (p *Process) exe() string { return fmt.Sprintf("/proc/%d/exe", p.PID) }

func (s *Seen) needReload() bool {
	if !s.Live {
		return false
	}
	for _, u := range s.Units {
		if u.NeedReload {
			return true
		}
	}
	return false
}

// Observe reads the state of everything that the generations name; want comes first and says which directories are
// needed. It changes nothing. What may not be read is listed in Unreadable; the caller decides whether it can go on.
func (h *Host) Observe(ctx context.Context, want *Generation, others ...*Generation) (*Seen, error) {
	seen := &Seen{Live: h.Live, Files: map[string]File{}, Units: map[string]systemd.UnitState{}, Unreadable: map[string]error{}}
	known := loadFingerprints(h.Tree)
	for _, g := range append([]*Generation{want}, others...) {
		if g == nil {
			continue
		}
		for _, f := range g.Files {
			if _, done := seen.Files[f.Path]; done {
				continue
			}
			found, err := h.lookAt(f, known)
			if err != nil {
				seen.Unreadable[f.Path] = err
				continue
			}
			seen.Files[f.Path] = found
		}
		for _, u := range g.Units {
			if _, done := seen.Units[u.Name]; done {
				continue
			}
			state, err := h.Units.State(ctx, u.Name)
			if err != nil {
				return nil, err
			}
			seen.Units[u.Name] = state
		}
	}
	if want != nil {
		for _, f := range want.Files {
			if err := h.missingDirs(path.Dir(f.Path), &seen.MissingDirs); err != nil {
				return nil, err
			}
		}
		seen.Credentials = h.haveCredentials(want)
		seen.Partial = h.havePartial(want)
	}
	if state := seen.Units[systemd.KubeletService]; h.Live && state.MainPID > 0 {
		var err error
		if seen.Process, err = h.process(state, known); err != nil {
			seen.Unreadable[fmt.Sprintf("process %d", state.MainPID)] = err
		}
	}
	return seen, h.overrides(seen)
}

// process looks at the main process of kubelet.service; nil when it has ended by now.
func (h *Host) process(state systemd.UnitState, known fingerprints) (*Process, error) {
	p := &Process{PID: state.MainPID, Invocation: state.InvocationID, Started: state.Started}
	info, err := os.Stat(p.exe())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		p.SHA256, err = known.sum(p.exe(), info)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// overrides lists the drop-ins that set ExecStart=. Those that a generation masks hold nothing.
func (h *Host) overrides(seen *Seen) error {
	dropIns, err := h.dropIns(systemd.KubeletService)
	if err != nil {
		seen.Unreadable[dropInDir] = err
		return nil
	}
	for _, d := range dropIns {
		if d.setsCommand() {
			seen.Overrides = append(seen.Overrides, d.unit.Assignments[0].Position.File)
		}
	}
	return nil
}

// haveCredentials tells whether one of the files is there that kubelet waits for.
func (h *Host) haveCredentials(g *Generation) bool {
	for _, file := range g.Credentials {
		if name, err := h.Tree.Locate(file); err == nil {
			if _, err := os.Stat(name); err == nil {
				return true
			}
		}
	}
	return len(g.Credentials) == 0
}

func (h *Host) havePartial(g *Generation) bool {
	name, err := h.Tree.Locate(g.binary().Path)
	if err != nil || g.Digest.IsZero() {
		return false
	}
	_, err = os.Lstat(partialName(name, g.Digest))
	return err == nil
}

// missingDirs adds dir and its ancestors to list as far as they do not exist.
func (h *Host) missingDirs(dir string, list *[]string) error {
	name, err := h.Tree.LocateDir(dir)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case err == nil, slices.Contains(*list, dir):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return nil // whoever may not look may not write either, which is found out elsewhere
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if name, err = h.Tree.Locate(dir); err != nil {
		return err
	}
	if target, err := os.Readlink(name); err == nil {
		return fmt.Errorf("%s is a symlink to %s, which does not exist", dir, target)
	}
	if err := h.missingDirs(path.Dir(dir), list); err != nil {
		return err
	}
	*list = append(*list, dir)
	return nil
}

// modeBits are those of a mode that are kept: the permissions, setuid, setgid and sticky.
const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// maxText is the size in bytes up to which a regular file is read as text.
const maxText = 1 << 20

// lookAt reads what is at the path of f. like says what is expected there.
func (h *Host) lookAt(like File, known fingerprints) (File, error) {
	name, err := h.Tree.Locate(like.Path)
	if err != nil {
		return File{}, err
	}
	found := File{Path: like.Path}
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return File{}, err
	}
	found.Mode, found.modified = info.Mode()&modeBits, info.ModTime()
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		found.Kind, found.Mode = Link, 0
		found.Target, err = os.Readlink(name)
	case !info.Mode().IsRegular():
		found.Kind = Other
	case like.Kind == Binary || like.Kind == Program:
		found.Kind = like.Kind
		if found.SHA256, err = known.sum(name, info); err == nil && like.SHA256 == "" && like.SHA512 != "" {
			found.SHA512, err = sumFile(name, sha512.New())
		}
	case info.Size() > maxText:
		found.Kind, found.source = Text, name
		found.SHA256, err = known.sum(name, info)
	default:
		var content []byte
		if content, err = os.ReadFile(name); err == nil {
			found = textFile(like.Path, found.Mode, content)
			found.modified = info.ModTime()
		}
	}
	// Only root can give a file to somebody, and so only root is told of it.
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 && (int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid()) {
		found.Owner = &Owner{UID: int(st.Uid), GID: int(st.Gid)}
	}
	return found, err
}

// snapshot turns what was seen into a generation: the host as it is, to come back to. A versioned binary of ours that is
// there at all counts as wanted, so that going back never brings a damaged one back; one that is not there is not wanted.
// The same goes for the copy of kubeletctl.
func (h *Host) snapshot(seen *Seen, want, have *Generation) *Generation {
	before := &Generation{Snapshot: true}
	if have != nil {
		before.Version, before.HealthURL, before.Credentials = have.Version, have.HealthURL, have.Credentials
	}
	add := func(g *Generation) {
		if g == nil {
			return
		}
		for _, f := range g.Files {
			found := seen.Files[f.Path]
			if found.Kind == Absent || found.Kind == Other || before.file(f.Path).Kind != Absent {
				continue
			}
			switch name, err := h.Tree.Locate(f.Path); {
			case f.Kind != Binary && f.Kind != Program:
			case have.file(f.Path).Kind == Absent && !found.sameContent(f) && err == nil:
				found.Kind, found.source = Text, name // a stranger's, to be put back
			default:
				found = f
			}
			before.Files = append(before.Files, found)
		}
		for _, u := range g.Units {
			state := seen.Units[u.Name]
			if _, done := before.unit(u.Name); done {
				continue
			}
			run := AsIs
			if seen.Live {
				run = Stopped
				if state.Up() {
					run = Running
				}
			}
			before.Units = append(before.Units, Unit{Name: u.Name, Enabled: state.Enabled(), Run: run})
		}
	}
	add(want)
	add(have)
	return before
}
