package install

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// Action is what a step does.
type Action string

const (
	MakeDir   Action = "mkdir"    // make a directory
	Stage     Action = "download" // fetch the binary, verify it, put it beside the others
	Write     Action = "write"    // replace a file
	SetLink   Action = "link"     // replace a symlink
	SetMode   Action = "chmod"    // change only the mode
	SetOwner  Action = "chown"    // change only the owner
	Reload    Action = "reload"   // make systemd read the unit files
	Enable    Action = "enable"
	Disable   Action = "disable"
	Start     Action = "start"
	Restart   Action = "restart"
	Stop      Action = "stop"
	Remove    Action = "remove" // delete a file
	RemoveDir Action = "rmdir"  // delete a directory when nothing is left in it
)

// Step is one change of the host. Carrying it out twice is the same as once.
type Step struct {
	Action Action `json:"action"`
	// Target is a path, or the name of a unit.
	Target string `json:"target"`
	Reason string `json:"reason"`
	// Cleanup steps delete what the new generation has no use for, and so come after its commit.
	Cleanup bool `json:"cleanup,omitempty"`

	file     File // for Stage, Write, SetLink and SetMode: what the target shall be
	replaces bool // for Stage: a file is there already
}

// Conflict is a file that is neither what was installed nor what is wanted: somebody else wrote it.
type Conflict struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Plan is the way from what was seen to what is wanted.
type Plan struct {
	Steps     []Step     `json:"steps"`
	Conflicts []Conflict `json:"conflicts,omitempty"`
	// Blocked are places where something is that can not be recorded and so never is replaced: a directory, a device.
	Blocked []Conflict `json:"blocked,omitempty"`
	// Kept are files that belong to nobody's plan any more but that were edited, so they stay.
	Kept []Conflict `json:"kept,omitempty"`

	diffs [][]byte
}

// Empty tells that there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 }

// Downloads tells whether a binary has to be fetched.
func (p *Plan) Downloads() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Action == Stage })
}

// Diff is a unified diff of every text and link that the plan changes.
func (p *Plan) Diff() []byte { return bytes.Join(p.diffs, nil) }

// has tells whether the plan does this to that.
func (p *Plan) has(a Action, target string) bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Action == a && s.Target == target })
}

// NewPlan compares what is wanted with what was last installed (nil: nothing) and with what was seen, and says what to
// do, in order, and why. It is pure: no clock, no disk, no network.
//
// The order is what makes a plan safe to break off: first what disturbs nobody (the binary beside the old one,
// directories), then the files, then systemd. Deletions are last, marked as Cleanup.
func NewPlan(want, have *Generation, seen *Seen) *Plan {
	p := &Plan{Steps: []Step{}}
	for _, f := range want.Files {
		if found := seen.Files[f.Path]; found.Kind == Other {
			p.Blocked = append(p.Blocked, Conflict{f.Path, foreign(found) + " is there"})
		}
	}
	if len(p.Blocked) > 0 {
		return p
	}
	var changed []string // what a running kubelet would not have noticed
	unitsChanged := false

	// A run that is killed during a download leaves no more directories than it needs.
	above := func(dir string) bool { return strings.HasPrefix(want.binary().Path, dir+"/") }
	mkdirs := func(needed bool) {
		for _, dir := range seen.MissingDirs {
			if above(dir) == needed {
				p.add(MakeDir, dir, "it does not exist", File{})
			}
		}
	}
	mkdirs(true)
	for _, f := range want.Files {
		if f.Kind == Binary {
			p.stage(f, have.file(f.Path), seen)
		}
	}
	mkdirs(false)
	if p.recovery(want, have, seen) {
		unitsChanged = true
	}
	p.stopUnwanted(want, have, seen)
	for _, f := range want.Files {
		if f.Kind == Binary || isRecovery(f.Path) || !p.place(f, have.file(f.Path), seen.Files[f.Path]) {
			continue
		}
		if isUnitFile(f.Path) {
			unitsChanged = true
		}
		// A process that was started with what is put back runs with it, whatever the file said meanwhile.
		if path.Base(f.Path) != systemd.KubeletPath && !(seen.proven(have) && f.same(have.file(f.Path))) {
			changed = append(changed, path.Base(f.Path))
		}
	}
	if unitsChanged && seen.Live {
		p.add(Reload, "systemd", "unit files changed", File{})
	} else if seen.needReload() {
		unitsChanged = true
		p.add(Reload, "systemd", "unit files changed since systemd read them", File{})
	}
	for _, u := range want.Units {
		if !isRecovery(u.Name) {
			p.runUnit(u, want, have, seen, changed)
		}
	}
	p.cleanUp(want, have, seen)
	return p
}

// recovery plans what undoes an interrupted change, and that before all that could be interrupted. It tells whether
// systemd has to read its unit again.
func (p *Plan) recovery(want, have *Generation, seen *Seen) (reload bool) {
	for _, f := range want.Files {
		if f.Kind == Program && want.Snapshot {
			continue // one that is there will do, whatever it was before
		}
		if isRecovery(f.Path) && p.place(f, have.file(f.Path), seen.Files[f.Path]) {
			reload = reload || isUnitFile(f.Path)
		}
	}
	if u, known := want.unit(systemd.RecoverService); known {
		p.runUnit(u, want, have, seen, nil)
	}
	return reload
}

// isRecovery tells whether a path, or the name of a unit, is a part of the recovery.
func isRecovery(target string) bool {
	name := path.Base(target)
	return name == recoverName || name == systemd.RecoverService
}

func (p *Plan) add(a Action, target, reason string, f File) {
	p.Steps = append(p.Steps, Step{Action: a, Target: target, Reason: reason, file: f})
}

// stage plans the download of a binary. A versioned binary that differs from its record is damaged: nobody edits a
// kubelet, and its proper bytes are known, so this is never a conflict when the record is ours.
func (p *Plan) stage(want, have File, host *Seen) {
	seen := host.Files[want.Path]
	switch {
	case want.same(seen):
	case want.sameContent(seen):
		p.attributes(want, seen)
	case seen.Kind == Absent && host.Partial:
		p.add(Stage, want.Path, "an earlier run has fetched it, or a part of it", want)
	case seen.Kind == Absent:
		p.add(Stage, want.Path, "it is not on this host yet", want)
	case have.Kind == Binary && have.sameContent(want):
		p.add(Stage, want.Path, "the file there is not what was installed", want)
	case have.Kind == Binary && have.sameContent(seen):
		p.add(Stage, want.Path, "another digest is wanted for this version", want)
	default:
		p.Conflicts = append(p.Conflicts, Conflict{want.Path, foreign(seen) + " is there, with another digest"})
		p.add(Stage, want.Path, "another file is in its place", want)
		p.Steps[len(p.Steps)-1].replaces = true
	}
}

// attributes plans what is wrong with a file of which the content is right.
func (p *Plan) attributes(want, seen File) {
	if !want.sameOwner(seen) { // first: a change of owner takes setuid away
		p.add(SetOwner, want.Path, ownerReason(want, seen), want)
	}
	if want.Mode != seen.Mode {
		p.add(SetMode, want.Path, modeReason(want, seen), want)
	}
}

// place plans one text or link and tells whether it changes.
func (p *Plan) place(want, have, seen File) bool {
	action := Write
	if want.Kind == Link {
		action = SetLink
	}
	switch {
	case want.same(seen):
		return false
	case want.sameContent(seen):
		p.attributes(want, seen)
		return false
	case seen.Kind == Absent && have.Kind == Absent:
		p.add(action, want.Path, "new", want)
	case seen.Kind == Absent:
		p.add(action, want.Path, "it is missing", want)
	case have.Kind != Absent && seen.sameContent(have):
		p.add(action, want.Path, changeReason(seen, want), want)
	case have.Kind != Absent:
		p.Conflicts = append(p.Conflicts, Conflict{want.Path, "edited since it was installed"})
		p.add(action, want.Path, "it was edited: "+changeReason(seen, want), want)
	default:
		p.Conflicts = append(p.Conflicts, Conflict{want.Path, foreign(seen) + " is there that kubeletctl did not write"})
		p.add(action, want.Path, "replaces "+foreign(seen), want)
	}
	p.diff(want.Path, seen, want)
	return true
}

// stopUnwanted plans to stop and disable what is not wanted, before its files change or go.
func (p *Plan) stopUnwanted(want, have *Generation, seen *Seen) {
	names := map[string]Unit{}
	if have != nil {
		for _, u := range have.Units {
			names[u.Name] = Unit{Name: u.Name, Run: Stopped}
		}
	}
	for _, u := range want.Units {
		names[u.Name] = u
	}
	// The path unit first: it must not start kubelet again.
	for _, name := range []string{systemd.KubeletPath, systemd.KubeletService} {
		u, known := names[name]
		state := seen.Units[name]
		if !known {
			continue
		}
		if u.Run == Stopped && state.Up() {
			p.add(Stop, name, "it is not wanted to run", File{})
		}
		switch {
		case !state.Enabled():
		case !u.Enabled:
			p.add(Disable, name, "it is not wanted at boot", File{})
		case enabledElsewhere(name, want, seen):
			p.add(Disable, name, "its [Install] section changes", File{})
		}
	}
}

// runUnit plans what has to happen to a unit after its files are in place.
func (p *Plan) runUnit(u Unit, want, have *Generation, seen *Seen, changed []string) {
	state := seen.Units[u.Name]
	reason := strings.Join(changed, ", ") + " changed"
	if len(changed) == 0 && u.Name == systemd.KubeletService {
		changed = seen.misfits(want, have)
		reason = strings.Join(changed, "; ")
	}
	switch {
	case !u.Enabled:
	case !state.Enabled():
		p.add(Enable, u.Name, "it is not started at boot yet", File{})
	case enabledElsewhere(u.Name, want, seen):
		p.add(Enable, u.Name, "its [Install] section changes", File{})
	}
	if u.Run != Running || !seen.Live {
		return
	}
	pathUnit := u.Name == systemd.KubeletPath
	switch {
	case !pathUnit && !seen.Credentials:
		if state.Up() && len(changed) > 0 {
			p.add(Restart, u.Name, reason, File{})
		}
		// Otherwise its condition would keep it from starting; the path unit waits for the credentials.
	case !state.Up():
		p.add(Start, u.Name, "it is not running", File{})
	case pathUnit && p.has(Write, UnitDir+"/"+u.Name):
		p.add(Restart, u.Name, u.Name+" changed", File{})
	case !pathUnit && len(changed) > 0:
		p.add(Restart, u.Name, reason, File{})
	case u.Name == systemd.KubeletService && state.Restarting() && !p.Empty():
		p.add(Restart, u.Name, "it ended, perhaps for want of what is put back", File{})
	}
}

// disturbs tells whether the plan does anything but clean up.
func (p *Plan) disturbs() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return !s.Cleanup })
}

// startsKubelet tells whether kubelet runs anew after the plan.
func (p *Plan) startsKubelet() bool {
	return p.has(Start, systemd.KubeletService) || p.has(Restart, systemd.KubeletService)
}

// restarts is how often systemd has started kubelet again by itself, by the time when the plan has been carried out and no
// kubelet has died meanwhile: a start by hand begins to count anew.
func (p *Plan) restarts(seen *Seen) int {
	if p.startsKubelet() {
		return 0
	}
	return seen.Units[systemd.KubeletService].Restarts
}

// enabledElsewhere tells that the unit file that is there is to be replaced by one with another [Install] section: the
// symlinks that enable it now are not those that will.
func enabledElsewhere(unit string, want *Generation, seen *Seen) bool {
	section := func(f File) string {
		_, rest, _ := strings.Cut(string(f.Content), "[Install]")
		return strings.TrimSpace(rest)
	}
	new, old := want.file(UnitDir+"/"+unit), seen.Files[UnitDir+"/"+unit]
	return new.Kind == Text && old.Kind == Text && section(new) != section(old)
}

// cleanUp plans the deletion of what was installed and is not wanted. Binaries of other generations stay for them,
// unless nothing at all is wanted.
func (p *Plan) cleanUp(want, have *Generation, seen *Seen) {
	if have == nil {
		return
	}
	first, serviceRemoved := len(p.Steps), false
	remove := func(recovery bool) {
		unitsRemoved := false
		for _, f := range have.Files {
			found := seen.Files[f.Path]
			switch {
			case isRecovery(f.Path) != recovery:
			case want.file(f.Path).Kind != Absent || found.Kind == Absent:
			case (f.Kind == Binary || f.Kind == Program) && !want.Snapshot:
			case !found.sameContent(f):
				p.Kept = append(p.Kept, Conflict{f.Path, "edited since it was installed"})
			default:
				p.add(Remove, f.Path, "it is no longer wanted", f)
				unitsRemoved = unitsRemoved || isUnitFile(f.Path)
				serviceRemoved = serviceRemoved || isUnitFile(f.Path) && path.Base(f.Path) != systemd.KubeletPath
				p.diff(f.Path, found, File{})
			}
		}
		if unitsRemoved && seen.Live {
			p.add(Reload, "systemd", "unit files are gone", File{})
		}
	}
	remove(false)
	if service, known := want.unit(systemd.KubeletService); known && service.Run == Running && serviceRemoved && seen.Live {
		// Behind our unit, or a masked drop-in, the host has another one. Only now is it in force, so a start before
		// would have been of ours.
		all := len(p.Steps)
		p.Steps = slices.DeleteFunc(p.Steps, func(s Step) bool {
			return s.Target == systemd.KubeletService && (s.Action == Start || s.Action == Restart)
		})
		first -= all - len(p.Steps)
		p.add(Restart, systemd.KubeletService, "another unit file is in force", File{})
	}
	// The recovery goes last, when there is nothing more to recover.
	if u, _ := want.unit(systemd.RecoverService); !u.Enabled && seen.Units[systemd.RecoverService].Enabled() {
		p.add(Disable, systemd.RecoverService, "it is not wanted at boot", File{})
	}
	remove(true)
	for _, dir := range slices.Backward(have.Dirs) {
		if want.Snapshot && !slices.Contains(seen.MissingDirs, dir) {
			p.add(RemoveDir, dir, "kubeletctl made it; it stays if anything is in it", File{})
		}
	}
	for i := first; i < len(p.Steps); i++ {
		p.Steps[i].Cleanup = true
	}
}

func (p *Plan) diff(name string, old, new File) {
	if new.Kind == Program || old.Kind == Program {
		return // nobody reads that
	}
	if d := diff.Diff("a"+name, old.text(), "b"+name, new.text()); len(d) > 0 {
		// The first line repeats the names in a form that patch does not read.
		if _, rest, ok := bytes.Cut(d, []byte("\n")); ok && bytes.HasPrefix(d, []byte("diff ")) {
			d = rest
		}
		p.diffs = append(p.diffs, d)
	}
}

// text is what a diff shows of a file.
func (f File) text() []byte {
	switch f.Kind {
	case Text:
		if f.source != "" {
			return []byte("(a file with the SHA-256 " + f.SHA256 + ")\n")
		}
		return f.Content
	case Link:
		return []byte("-> " + f.Target + "\n")
	case Binary, Program, Other:
		return []byte("(" + foreign(f) + ")\n")
	}
	return nil
}

func isUnitFile(p string) bool {
	return path.Dir(p) == dropInDir || path.Dir(p) == UnitDir && (strings.HasSuffix(p, ".service") || strings.HasSuffix(p, ".path"))
}

// foreign names what was found at a path.
func foreign(f File) string {
	switch f.Kind {
	case Link:
		return "a symlink to " + f.Target
	case Text, Binary, Program:
		return "a file"
	}
	return "something that is not a file"
}

func ownerReason(want, seen File) string {
	name := func(f File) string {
		if f.Owner == nil {
			return "0:0"
		}
		return fmt.Sprintf("%d:%d", f.Owner.UID, f.Owner.GID)
	}
	return fmt.Sprintf("its owner is %s, wanted is %s", name(seen), name(want))
}

func modeReason(want, seen File) string {
	return fmt.Sprintf("its mode is %04o, wanted is %04o", seen.Mode.Perm(), want.Mode.Perm())
}

// changeReason says in one line how a file changes: the first lines that differ.
func changeReason(old, new File) string {
	if new.Kind == Link {
		return fmt.Sprintf("from %s to %s", old.Target, new.Target)
	}
	var gone, come []string
	for line := range strings.Lines(string(diff.Diff("a", old.text(), "b", new.text()))) {
		text := strings.TrimRight(strings.TrimSpace(strings.TrimLeft(line, "+-")), " \\")
		switch {
		case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "), text == "":
		case strings.HasPrefix(line, "-"):
			gone = append(gone, text)
		case strings.HasPrefix(line, "+"):
			come = append(come, text)
		}
	}
	// A last argument that got a successor differs only by its line continuation.
	both := func(s string) bool { return slices.Contains(gone, s) && slices.Contains(come, s) }
	var words []string
	for _, s := range gone {
		if !both(s) {
			words = append(words, "-"+s)
		}
	}
	for _, s := range come {
		if !both(s) {
			words = append(words, "+"+s)
		}
	}
	const most = 4
	if len(words) > most {
		words = append(words[:most], fmt.Sprintf("and %d more lines", len(words)-most))
	}
	if len(words) == 0 {
		return "its content changes"
	}
	return strings.Join(words, ", ")
}
