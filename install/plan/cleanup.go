package plan

import (
	"slices"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// unwanted reports whether a file that was installed has to go.
func (p *planner) unwanted(f File) bool {
	found := p.seen.Files[f.Path]
	switch {
	case p.want.File(f.Path).Kind != Absent || found.Kind == Absent:
		return false
	case f.FromRelease() && !p.want.Snapshot && !p.options.Lost: // it is the way back; pruning is for it
		return false
	}
	return found.SameContent(f)
}

// cleanUp plans the deletion of what was installed and is not wanted. Binaries of other generations stay for them, unless
// nothing at all is wanted.
func (p *planner) cleanUp() {
	comesBack := p.unitComesBack()
	p.removeFiles(false)
	if comesBack {
		p.add(Restart, systemd.KubeletService, "another unit file is in force", File{})
	}
	// The recovery goes last, when there is nothing more to recover.
	if u, _ := p.want.Unit(systemd.RecoverService); !u.Enabled && p.seen.Units[systemd.RecoverService].Enabled() {
		p.add(Disable, systemd.RecoverService, "it should not start at boot", File{})
	}
	p.removeFiles(true)
	if !p.want.Snapshot {
		return
	}
	for _, dir := range slices.Backward(p.have.Dirs) {
		if !slices.Contains(p.seen.MissingDirs, dir) && !slices.Contains(p.want.Dirs, dir) {
			p.add(RemoveDir, dir, "kubeletctl made it; it stays if anything is in it", File{})
		}
	}
}

// removeFiles plans the deletion of files, either of those that recover or of all others.
func (p *planner) removeFiles(recovery bool) {
	unitsRemoved := false
	for _, f := range p.have.Files {
		found := p.seen.Files[f.Path]
		switch {
		case IsRecovery(f.Path) != recovery || !p.concerns(f.Path):
		case p.unwanted(f):
			p.add(Remove, f.Path, "it is no longer wanted", f)
			unitsRemoved = unitsRemoved || isUnitFile(f.Path)
		case p.want.File(f.Path).Kind == Absent && found.Kind != Absent && (!f.FromRelease() || p.want.Snapshot):
			p.Kept = append(p.Kept, Conflict{Path: f.Path, Reason: "edited since it was installed"})
		}
	}
	if unitsRemoved && p.seen.Live {
		p.add(Reload, "systemd", "unit files are gone", File{})
	}
}
