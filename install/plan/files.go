package plan

import (
	"fmt"
	"path"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// blocked notes a place where something is that is never replaced, and reports whether it is one.
func (p *planner) blocked(want File) bool {
	found := p.seen.Files[want.Path]
	if found.Kind != Other {
		return false
	}
	p.Blocked = append(p.Blocked, Conflict{Path: want.Path, Reason: describe(found) + " is there"})
	return true
}

// stage plans to put a binary beside the others. A versioned binary that differs from its record is damaged: nobody edits a
// kubelet, and its proper bytes are known, so this is never a conflict when the record is ours.
func (p *planner) stage(want File) {
	have, found := p.have.File(want.Path), p.seen.Files[want.Path]
	reason := ""
	switch {
	case want.Same(found):
		return
	case want.SameContent(found):
		p.attributes(want, found)
		return
	case found.Kind == Absent && p.seen.Partial[want.Path]:
		reason = "an earlier run has fetched it, or a part of it"
	case found.Kind == Absent && p.seen.Executes(want):
		reason = "it is missing; the kubelet that runs still has it"
	case found.Kind == Absent:
		reason = "it is not on this host yet"
	case p.options.Restore || have.FromRelease() && have.SameContent(want):
		reason = "the file there is not what was installed"
	case have.FromRelease() && have.SameContent(found):
		reason = "another digest is wanted for this version"
	default:
		p.conflict(want.Path, describe(found)+" is there, with another digest")
		reason = "another file is in its place"
	}
	p.add(Stage, want.Path, reason, want)
}

// attributes plans what is wrong with a file of which the content is right.
func (p *planner) attributes(want, found File) {
	if !want.sameOwner(found) { // first: a change of owner takes setuid away
		p.add(SetOwner, want.Path, ownerReason(want, found), want)
	}
	if want.Mode != found.Mode {
		p.add(SetMode, want.Path, modeReason(want, found), want)
	}
}

// place plans one text or link and reports whether its content changes.
func (p *planner) place(want File) bool {
	have, found := p.have.File(want.Path), p.seen.Files[want.Path]
	reason := ""
	switch {
	case want.Same(found):
		return false
	case want.SameContent(found):
		p.attributes(want, found)
		return false
	case found.Kind == Absent && have.Kind == Absent:
		reason = "new"
	case found.Kind == Absent:
		reason = "it is missing"
	case have.Kind != Absent && found.SameContent(have):
		reason = changeReason(found, want)
	case have.Kind != Absent:
		p.conflict(want.Path, "edited since it was installed")
		reason = "it was edited: " + changeReason(found, want)
	case want.Masks():
		p.conflict(want.Path, p.seen.setsCommand(path.Base(want.Path)))
		reason = "masks a drop-in that sets ExecStart="
	default:
		p.conflict(want.Path, describe(found)+" is there that kubeletctl did not write")
		reason = "replaces " + describe(found)
	}
	action := Write
	if want.Kind == Link {
		action = SetLink
	}
	p.add(action, want.Path, reason, want)
	p.diff(want.Path, found, want)
	return true
}

// placeForKubelet plans a file that kubelet, or systemd for it, reads.
func (p *planner) placeForKubelet(f File) {
	state := p.seen.Units[systemd.KubeletService]
	if IsCheckpoint(f.Path) && !f.SameContent(p.seen.Files[f.Path]) && p.seen.Live && state.Up() && !p.Has(Stop, systemd.KubeletService) {
		p.add(Stop, systemd.KubeletService, "it would write its own over a checkpoint that is put back", File{})
	}
	if !p.place(f) {
		return
	}
	p.unitsChanged = p.unitsChanged || isUnitFile(f.Path)
	// A process that was started with what is put back runs with it, whatever the file said meanwhile.
	if !p.changesOnlyRegistration(f) && path.Base(f.Path) != systemd.KubeletPath && !IsTool(f.Path) && !(p.seen.startedBy(p.have) && f.Same(p.have.File(f.Path))) {
		p.changed = append(p.changed, path.Base(f.Path))
	}
}

// dropCheckpoints plans to remove what kubelet's resource managers have written down, while kubelet is stopped.
func (p *planner) dropCheckpoints() {
	if len(p.options.Checkpoints) == 0 {
		return
	}
	if p.seen.Live {
		p.add(Stop, systemd.KubeletService, "its resource managers start anew", File{})
	}
	for _, c := range p.options.Checkpoints {
		p.add(Remove, c.File.Path, c.Reason, c.File)
	}
}

func ownerReason(want, found File) string {
	name := func(f File) string {
		if f.Owner == nil {
			return "0:0"
		}
		return fmt.Sprintf("%d:%d", f.Owner.UID, f.Owner.GID)
	}
	return fmt.Sprintf("its owner is %s, want %s", name(found), name(want))
}

func modeReason(want, found File) string {
	return fmt.Sprintf("its mode is %04o, want %04o", found.Mode.Perm(), want.Mode.Perm())
}
