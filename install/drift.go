package install

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// Drift is one way in which the host is not what was installed.
type Drift struct {
	Target string `json:"target"`
	Reason string `json:"reason"`
	// Kept tells that it is an administrator's, which repair leaves alone.
	Kept bool `json:"kept,omitempty"`
}

// Diff compares the host with the current generation. It returns the drift and a unified diff from what was installed to
// what is there; nil and nothing when nothing is installed.
func (h *Host) Diff(ctx context.Context) (current *Generation, found []Drift, text []byte, err error) {
	current, err = h.Store().Current()
	if err != nil || current == nil || current.Snapshot {
		return nil, nil, nil, err
	}
	seen, err := h.Observe(ctx, current)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, name := range sortedKeys(seen.Unreadable) {
		h.note("could not check %s: %v", name, cause(seen.Unreadable[name]))
	}
	p := &Plan{}
	for _, f := range current.Files {
		if there, looked := seen.Files[f.Path]; looked && !f.sameContent(there) {
			p.diff(f.Path, f, there)
		}
	}
	return current, drift(current, seen), p.Diff(), nil
}

// drift lists how the host differs from a generation: what is on the disk, what systemd has loaded, and what runs.
func drift(g *Generation, seen *Seen) []Drift {
	list := []Drift{}
	for _, f := range g.Files {
		found, looked := seen.Files[f.Path]
		if reason := fileDrift(f, found); looked && reason != "" {
			list = append(list, Drift{Target: f.Path, Reason: reason})
		}
	}
	add := func(target, format string, args ...any) {
		list = append(list, Drift{Target: target, Reason: fmt.Sprintf(format, args...)})
	}
	for _, u := range g.Units {
		state, looked := seen.Units[u.Name]
		if !looked {
			continue
		}
		if u.Enabled && !state.Enabled() {
			add(u.Name, "not enabled")
		}
		if !seen.Live {
			continue
		}
		file := path.Join(UnitDir, u.Name)
		switch {
		case state.NeedReload:
			add(u.Name, "systemd has not read the changed unit file")
		case state.FragmentPath != "" && state.FragmentPath != file && seen.Files[file].Kind == Text:
			add(u.Name, "systemd has loaded %s instead", state.FragmentPath)
		}
		if u.Run == Running && !state.Up() && (seen.Credentials || u.Name != systemd.KubeletService) {
			add(u.Name, "not running")
		}
	}
	if service, _ := g.unit(systemd.KubeletService); service.Run == Running {
		for _, reason := range seen.misfits(g, g) {
			add(systemd.KubeletService, "%s", reason)
		}
	}
	for _, name := range seen.Overrides {
		list = append(list, Drift{Target: name, Reason: "a drop-in that replaces the command line of kubelet; it is not kubeletctl's", Kept: true})
	}
	return list
}

// fileDrift says how a file differs from what was installed; nothing when it does not.
func fileDrift(f, found File) string {
	switch {
	case f.same(found):
		return ""
	case found.Kind == Absent:
		return "missing"
	case f.sameContent(found) && !f.sameOwner(found):
		return ownerReason(f, found)
	case f.sameContent(found):
		return modeReason(f, found)
	case f.Kind == Link && found.Kind == Link:
		return fmt.Sprintf("points to %s instead of %s", found.Target, f.Target)
	case f.Kind == Link:
		return "is " + foreign(found) + " instead of a symlink"
	case found.Kind == Text || found.Kind == Binary || found.Kind == Program:
		return "edited: " + editReason(f, found)
	}
	return "is " + foreign(found)
}

func editReason(want, found File) string {
	if want.Kind != Text || len(want.Content) == 0 {
		return "another digest"
	}
	return changeReason(want, found)
}

// misfits says in which ways the process that runs is not the kubelet that the files describe, although they may be as
// they should: what was replaced under it, and what was written after it had read it.
func (s *Seen) misfits(want, have *Generation) []string {
	if s.Process == nil {
		return nil
	}
	var reasons []string
	if sum := want.binary().SHA256; sum != "" && s.Process.SHA256 != "" && s.Process.SHA256 != sum {
		reasons = append(reasons, "the process runs another binary")
	}
	if s.proven(have) {
		return reasons // it has read what was written for it
	}
	var late []string
	for _, f := range want.Files {
		found := s.Files[f.Path]
		if f.Kind == Text && readByKubelet(f.Path) && f.sameContent(found) && found.modified.After(s.Process.Started) {
			late = append(late, path.Base(f.Path))
		}
	}
	if len(late) > 0 {
		reasons = append(reasons, "the process is older than the last change of "+strings.Join(late, ", "))
	}
	return reasons
}

// proven tells that the process is the one that was started with a generation when that was installed, so that it runs
// with just that, whatever was done to the files since.
func (s *Seen) proven(g *Generation) bool {
	return g != nil && s.Process != nil && g.Invocation != "" && g.Invocation == s.Process.Invocation
}

// readByKubelet tells whether what a file holds counts when kubelet starts.
func readByKubelet(p string) bool {
	return p == ConfigFile || path.Base(p) == systemd.KubeletService || path.Dir(p) == dropInDir
}
