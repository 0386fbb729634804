// Package plan decides what has to be done to a host, and why. It is pure: it opens no file, asks no network and no clock.
//
// A [Generation] is a whole installation: every file and the state of every unit, with digests. An [Observation] is what a
// host really has. [NewPlan] compares three things: the generation that is wanted, the one that was installed last, and the
// observation. The result is a [Plan], a list of steps, each with its reason. For each file:
//
//	observed == wanted     nothing to do
//	observed == installed  ours to change
//	otherwise              somebody edited it: a conflict, which only force overwrites, after a backup
//
// Whatever shapes a plan is an argument of NewPlan; nobody edits a plan afterwards. Going back after a failure is a plan,
// too: towards [Observation.Snapshot].
package plan

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Action is what a step does.
type Action string

const (
	MakeDir   Action = "mkdir"    // make a directory
	Stage     Action = "download" // give the verified binary its name, beside the others
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
	Label     Action = "label"  // change the labels of the Node, through the API server
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

	// File is what the target shall be, for Stage, Write, SetLink, SetOwner and SetMode.
	File File `json:"-"`
}

// Conflict is a place where a plan meets what somebody else has put there.
type Conflict struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
	// Stays is set when the file itself stays as it is: what needs consent is what becomes of its effect.
	Stays bool `json:"stays,omitempty"`
}

// Plan is the way from what was observed to what is wanted.
type Plan struct {
	Steps []Step `json:"steps"`
	// Conflicts are files that are neither what was installed nor what is wanted, and what else needs consent.
	Conflicts []Conflict `json:"conflicts,omitempty"`
	// Blocked are places where something is that cannot be recorded and so never is replaced: a directory, a device. The plan
	// has no step for them.
	Blocked []Conflict `json:"blocked,omitempty"`
	// Kept are files that belong to nobody's plan any more but that were edited, so they stay.
	Kept []Conflict `json:"kept,omitempty"`

	diffs [][]byte
}

// Options are what shapes a plan beside the three things that it compares.
type Options struct {
	// TakeOver is the unit file of a kubelet of somebody else's that is adopted: that needs consent even when no file is
	// overwritten. Empty for none.
	TakeOver string
	// Checkpoints of resource managers with which the wanted kubelet would refuse to start: they are removed while kubelet
	// is stopped.
	Checkpoints []Checkpoint
	// LeaveOverrides leaves drop-ins of somebody else's that set kubelet's command line as they are.
	LeaveOverrides bool
	// Revive starts a kubelet that has exited at once, which systemd would only do later.
	Revive bool
	// NoStart leaves kubelet as it is, running or stopped, until the next boot or a repair.
	NoStart bool
	// Restore says that what is wanted was installed before, so that its binary was ours, whatever is there now.
	Restore bool
	// Lost says that the record of what was installed is lost, so that nothing can be gone back to.
	Lost bool
	// OnlyTools leaves kubelet as it is, whatever differs: only the tools, and what recovers, become what is wanted.
	OnlyTools bool
	// Restart starts kubelet anew, and does nothing else; see Observation.StartDrift for what is in its way.
	Restart bool
}

// Checkpoint is what a resource manager of kubelet has written down, and why it cannot stay.
type Checkpoint struct {
	File   File
	Reason string
}

// Empty reports that there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 }

// Downloads reports whether a binary has to be fetched.
func (p *Plan) Downloads() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Action == Stage })
}

// Diff is a unified diff of every text and link that the plan writes; of what goes the path says enough. It may hold secrets.
func (p *Plan) Diff() []byte { return bytes.Join(p.diffs, nil) }

// Has reports whether the plan does this to that.
func (p *Plan) Has(a Action, target string) bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Action == a && s.Target == target })
}

// Targets are the names of what the plan does something to.
func (p *Plan) Targets() (names []string) {
	for _, s := range p.Steps {
		if name := path.Base(s.Target); s.Action != Reload && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Disturbs reports whether the plan does anything but clean up.
func (p *Plan) Disturbs() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return !s.Cleanup })
}

// StartsKubelet reports whether kubelet runs anew after the plan.
func (p *Plan) StartsKubelet() bool {
	return p.Has(Start, systemd.KubeletService) || p.Has(Restart, systemd.KubeletService)
}

// SwitchesKubelet reports whether kubelet, when it is started the next time, is another one than it is now.
func (p *Plan) SwitchesKubelet() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool {
		switch s.Action {
		case Stage, Write, SetLink:
			return !IsRecovery(s.Target) && !IsTool(s.Target) && path.Base(s.Target) != systemd.KubeletPath
		case Start, Restart:
			return s.Target == systemd.KubeletService
		}
		return false
	})
}

// Restarts is how often systemd has started kubelet again by itself, by the time when the plan has been carried out and no
// kubelet has died meanwhile: a start by hand begins to count anew.
func (p *Plan) Restarts(seen *Observation) int {
	if p.StartsKubelet() {
		return 0
	}
	return seen.Units[systemd.KubeletService].Restarts
}

// planner is a plan in the making.
type planner struct {
	*Plan
	want, have *Generation
	seen       *Observation
	options    Options

	changed      []string // what a running kubelet would not have noticed
	unitsChanged bool     // systemd has to read unit files again
	cleanup      bool     // steps that are added now come after the commit
}

// NewPlan compares what is wanted with what was last installed (nil: nothing) and with what was observed, and says what to
// do, in order, and why.
//
// The order is what makes a plan safe to break off: first what disturbs nobody (the binary beside the old one, directories),
// then what undoes an interrupted change, then the files, then systemd. Deletions are last, marked as Cleanup.
func NewPlan(want, have *Generation, seen *Observation, o Options) *Plan {
	p := &planner{Plan: &Plan{Steps: []Step{}}, want: want, have: have, seen: seen, options: o}
	if o.Restart {
		p.restart()
		return p.Plan
	}
	p.makeDirs(true)
	for _, f := range want.Binaries() {
		if p.concerns(f.Path) && !p.blocked(f) {
			p.stage(f)
		}
	}
	if !o.OnlyTools {
		p.makeDirs(false)
	}
	p.recovery()
	if !o.OnlyTools {
		p.stopUnwanted()
	}
	for _, f := range want.Files {
		if !f.FromRelease() && !IsRecovery(f.Path) && p.concerns(f.Path) && !p.blocked(f) {
			p.placeForKubelet(f)
		}
	}
	p.dropCheckpoints()
	p.reload()
	for _, u := range want.Units {
		if !IsRecovery(u.Name) && !o.OnlyTools {
			p.runUnit(u)
		}
	}
	if have != nil {
		p.cleanup = true
		if !o.OnlyTools {
			p.label()
		}
		p.cleanUp()
	}
	p.consent()
	return p.Plan
}

func (p *planner) add(a Action, target, reason string, f File) {
	p.Steps = append(p.Steps, Step{Action: a, Target: target, Reason: reason, File: f, Cleanup: p.cleanup})
}

func (p *planner) conflict(path, reason string) {
	p.Conflicts = append(p.Conflicts, Conflict{Path: path, Reason: reason})
}

// effect notes what becomes of a file of somebody else's that itself stays.
func (p *planner) effect(path, reason string) {
	p.Conflicts = append(p.Conflicts, Conflict{Path: path, Reason: reason, Stays: true})
}

// setsCommand is why a drop-in of somebody else's is in conflict with an installed kubelet; with consent it is masked.
func (o *Observation) setsCommand(name string) string {
	reason := "it sets ExecStart=, so that another kubelet would run than the one that is installed"
	for _, d := range o.Overrides {
		if d.Name() == name && d.Line != "" {
			reason += ": " + d.Line
		}
	}
	return reason
}

// consent adds what no file of the plan speaks of, and what is asked for all the same.
func (p *planner) consent() {
	if p.want.Snapshot || p.options.OnlyTools {
		return
	}
	masked := p.want.Masks()
	for _, d := range p.seen.Overrides {
		switch isMasked := slices.Contains(masked, d.Name()); {
		case !isMasked && p.options.LeaveOverrides:
		case !isMasked && p.want.hasDropIn(d.Name()): // it has another one of that name, which is what that is for
		case isMasked && path.Dir(d.Path) == DropInDir: // the link that takes its place is a conflict of its own
		default:
			p.effect(d.Path, p.seen.setsCommand(d.Name()))
		}
	}
	if file := p.strangerAtWork(); file != "" {
		p.effect(file, "the kubelet that it runs would be replaced, and nothing of how it is started would be carried over; --adopt carries it over")
	}
	named := func(c Conflict) bool { return c.Path == p.options.TakeOver }
	if p.options.TakeOver != "" && !p.Empty() && !slices.ContainsFunc(p.Conflicts, named) {
		p.effect(p.options.TakeOver, "the kubelet that it runs is taken over")
	}
}

// strangerAtWork is the unit file of a kubelet of somebody else's that runs, and that only a file of ours in another directory would hide;
// empty for none. One that is adopted is taken over with its settings.
func (p *planner) strangerAtWork() string {
	state, ours := p.seen.Units[systemd.KubeletService], path.Join(hostfs.UnitDir, systemd.KubeletService)
	if p.have != nil || p.options.TakeOver != "" || state.ActiveState != "active" || state.FragmentPath == ours {
		return ""
	}
	return state.FragmentPath
}

// ForeignOverrides are the drop-ins that would still set kubelet's command line when a generation is in place.
func (o *Observation) ForeignOverrides(want *Generation) []string {
	var list []string
	for _, d := range o.Overrides {
		if !want.hasDropIn(d.Name()) {
			list = append(list, d.Path)
		}
	}
	return list
}

// makeDirs plans the directories that are missing: first those above the binary, so that a run that is killed during a
// download leaves no more directories than it needs.
func (p *planner) makeDirs(forBinary bool) {
	for _, dir := range p.seen.MissingDirs {
		if strings.HasPrefix(p.want.Binary().Path, dir+"/") == forBinary {
			p.add(MakeDir, dir, "it does not exist", File{})
		}
	}
}

// recovery plans what undoes an interrupted change, and that before all that could be interrupted.
func (p *planner) recovery() {
	for _, f := range p.want.Files {
		if f.Kind == Program && p.want.Snapshot {
			continue // one that is there will do, whatever it was before
		}
		if IsRecovery(f.Path) && !p.blocked(f) && p.place(f) && isUnitFile(f.Path) {
			p.unitsChanged = true
		}
	}
	if u, known := p.want.Unit(systemd.RecoverService); known {
		p.runUnit(u)
	}
}

// reload makes systemd read what was written, or what it has not read yet.
func (p *planner) reload() {
	switch {
	case p.options.OnlyTools && !p.unitsChanged:
	case p.unitsChanged && p.seen.Live:
		p.add(Reload, "systemd", "unit files changed", File{})
	case p.seen.newDropIn():
		p.add(Reload, "systemd", "a drop-in may be new", File{})
	case p.seen.needReload():
		p.add(Reload, "systemd", "unit files changed since systemd read them", File{})
	}
}

func isUnitFile(p string) bool {
	return path.Dir(p) == DropInDir || path.Dir(p) == hostfs.UnitDir && (strings.HasSuffix(p, ".service") || strings.HasSuffix(p, ".path"))
}
