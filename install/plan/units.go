package plan

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// stopUnwanted plans to stop and disable what is not wanted, before its files change or go.
func (p *planner) stopUnwanted() {
	wanted := map[string]Unit{}
	if p.have != nil {
		for _, u := range p.have.Units {
			wanted[u.Name] = Unit{Name: u.Name, Run: Stopped}
		}
	}
	for _, u := range p.want.Units {
		wanted[u.Name] = u
	}
	// The path unit first: it must not start kubelet again.
	for _, name := range []string{systemd.KubeletPath, systemd.KubeletService} {
		u, known := wanted[name]
		state := p.seen.Units[name]
		if !known {
			continue
		}
		if u.Run == Stopped && state.Up() {
			p.add(Stop, name, "it should not be running", File{})
		}
		switch {
		case !state.Enabled():
		case !u.Enabled:
			p.add(Disable, name, "it should not start at boot", File{})
		case p.enabledElsewhere(name):
			p.add(Disable, name, "its [Install] section changes", File{})
		}
	}
}

// runUnit plans what has to happen to a unit after its files are in place.
func (p *planner) runUnit(u Unit) {
	state := p.seen.Units[u.Name]
	switch {
	case !u.Enabled:
	case !state.Enabled():
		p.add(Enable, u.Name, "it is not started at boot yet", File{})
	case p.enabledElsewhere(u.Name):
		p.add(Enable, u.Name, "its [Install] section changes", File{})
	}
	switch {
	case u.Run != Running || !p.seen.Live || p.options.NoStart:
	case u.Name == systemd.KubeletService:
		p.runKubelet(state)
	case !state.Up():
		p.add(Start, u.Name, "it is not running", File{})
	case p.Has(Write, path.Join(hostfs.UnitDir, u.Name)):
		p.add(Restart, u.Name, u.Name+" changed", File{})
	}
}

// runKubelet plans the start or restart of a kubelet that is wanted to run.
func (p *planner) runKubelet(state systemd.UnitState) {
	if p.unitComesBack() {
		return // only the cleanup makes the unit that is wanted the one in force; a start before would be of ours
	}
	reason := strings.Join(p.seen.processDrift(p.want, p.have), "; ")
	if len(p.changed) > 0 {
		reason = strings.Join(p.changed, ", ") + " changed"
	}
	changed := reason != ""
	untouched := !slices.ContainsFunc(p.Steps, func(s Step) bool { return !IsTool(s.Target) })
	switch {
	case p.Has(Stop, systemd.KubeletService):
		p.add(Start, systemd.KubeletService, "it was stopped for the change", File{})
	case !p.seen.Credentials && !(state.Up() && changed):
		// Its condition would keep it from starting; the path unit waits for the credentials.
	case !state.Up():
		p.add(Start, systemd.KubeletService, "it is not running", File{})
	case changed:
		p.add(Restart, systemd.KubeletService, reason, File{})
	case state.Restarting() && p.options.Revive && untouched && len(p.seen.ForeignOverrides(p.want)) == 0:
		p.add(Restart, systemd.KubeletService, "it exited, and systemd would start it again only later", File{})
	case state.Restarting() && !untouched:
		p.add(Restart, systemd.KubeletService, "it exited; a missing file is being restored", File{})
	}
}

// restart plans to start kubelet anew, whether that is due or not. Up to 254, systemd does not notice by itself that a unit
// got its first drop-in.
func (p *planner) restart() {
	p.add(Reload, "systemd", "a drop-in may be new", File{})
	if !p.seen.Units[systemd.KubeletService].Up() {
		p.add(Start, systemd.KubeletService, "it is not running", File{})
		return
	}
	reason := strings.Join(p.seen.processDrift(p.want, p.have), "; ")
	p.add(Restart, systemd.KubeletService, cmp.Or(reason, "it was asked for"), File{})
}

// enabledElsewhere reports whether the unit file that is there is to be replaced by one with another [Install] section: the
// symlinks that enable it now are not those that will.
func (p *planner) enabledElsewhere(unit string) bool {
	section := func(f File) string {
		_, rest, _ := strings.Cut(string(f.Content), "[Install]")
		return strings.TrimSpace(rest)
	}
	file := path.Join(hostfs.UnitDir, unit)
	wanted, found := p.want.File(file), p.seen.Files[file]
	return wanted.Kind == Text && found.Kind == Text && section(wanted) != section(found)
}

// unitComesBack reports whether kubelet is wanted to run from a unit of somebody else's, behind ours or behind a drop-in that
// we mask, so that it is in force only when ours is gone.
func (p *planner) unitComesBack() bool {
	if p.have == nil || !p.want.Runs() || !p.seen.Live {
		return false
	}
	return slices.ContainsFunc(p.have.Files, func(f File) bool {
		return !IsRecovery(f.Path) && isUnitFile(f.Path) && path.Base(f.Path) != systemd.KubeletPath && p.unwanted(f)
	})
}
