package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Drift is one way in which the host is not what was installed.
type Drift struct {
	Target string `json:"target"`
	Reason string `json:"reason"`
	// Kept reports that it is an administrator's, which repair leaves alone.
	Kept bool `json:"kept,omitempty"`
}

// DriftFrom lists how the host differs from a generation: what is on the disk, what systemd has loaded, and what runs.
func (o *Observation) DriftFrom(g *Generation) []Drift {
	list := []Drift{}
	for _, f := range g.Files {
		found, looked := o.Files[f.Path]
		if reason := fileDrift(f, found); looked && reason != "" {
			list = append(list, Drift{Target: f.Path, Reason: reason})
		}
	}
	overrides := o.ForeignOverrides(g)
	for _, u := range g.Units {
		for _, reason := range o.unitDrift(u) {
			// What a drop-in makes of kubelet, no repair can start.
			kept := reason == notRunning && u.Name == systemd.KubeletService && len(overrides) > 0
			list = append(list, Drift{Target: u.Name, Reason: reason, Kept: kept})
		}
	}
	if g.Runs() {
		for _, reason := range o.processDrift(g, g) {
			list = append(list, Drift{Target: systemd.KubeletService, Reason: reason})
		}
	}
	return append(append(list, o.overrideDrift(g)...), o.NodeDrift(g)...)
}

// StartDrift lists what would make a start of kubelet another one than that of a generation: a file with another content, a
// program that cannot be executed, a drop-in that sets the command line.
func (o *Observation) StartDrift(g *Generation) (list []Drift) {
	for _, f := range g.Files {
		found := o.Files[f.Path]
		if reason := fileDrift(f, found); reason != "" && !IsTool(f.Path) && !(f.Kind == Text && f.SameContent(found)) {
			list = append(list, Drift{Target: f.Path, Reason: reason})
		}
	}
	return append(list, o.overrideDrift(g)...)
}

// overrideDrift lists the drop-ins that set kubelet's command line.
func (o *Observation) overrideDrift(g *Generation) (list []Drift) {
	for _, name := range o.ForeignOverrides(g) {
		list = append(list, Drift{Target: name, Reason: "a drop-in that sets kubelet's command line; it is not kubeletctl's", Kept: true})
	}
	return list
}

const notRunning = "not running"

func (o *Observation) unitDrift(u Unit) (reasons []string) {
	state, looked := o.Units[u.Name]
	if !looked {
		return nil
	}
	if u.Enabled && !state.Enabled() {
		reasons = append(reasons, "not enabled")
	}
	if !o.Live {
		return reasons
	}
	file := path.Join(hostfs.UnitDir, u.Name)
	switch {
	case state.NeedReload:
		reasons = append(reasons, "systemd has not read the changed unit file")
	case state.FragmentPath != "" && state.FragmentPath != file && o.Files[file].Kind == Text:
		reasons = append(reasons, fmt.Sprintf("systemd has loaded %s instead", state.FragmentPath))
	}
	if u.Run == Running && !state.Up() && (o.Credentials || u.Name != systemd.KubeletService) {
		reasons = append(reasons, notRunning)
	}
	return reasons
}

// FilesDiff is a unified diff from what was installed to what is there. It may hold secrets.
func (o *Observation) FilesDiff(g *Generation) []byte {
	p := &Plan{}
	for _, f := range g.Files {
		if there, looked := o.Files[f.Path]; looked && !f.SameContent(there) {
			p.diff(f.Path, f, there)
		}
	}
	return p.Diff()
}

// fileDrift says how a file differs from what was installed; nothing when it does not.
func fileDrift(f, found File) string {
	switch {
	case f.Same(found):
		return ""
	case found.Kind == Absent:
		return "missing"
	case f.SameContent(found) && !f.sameOwner(found):
		return ownerReason(f, found)
	case f.SameContent(found):
		return modeReason(f, found)
	case f.Kind == Link && found.Kind == Link:
		return fmt.Sprintf("points to %s instead of %s", found.Target, f.Target)
	case f.Kind == Link:
		return "is " + describe(found) + " instead of a symlink"
	case found.regular():
		return "edited: " + editReason(f, found)
	}
	return "is " + describe(found)
}

func editReason(want, found File) string {
	if want.Kind != Text || len(want.Content) == 0 {
		return "another digest"
	}
	return changeReason(want, found)
}

// processDrift says in which ways the process that runs is not the kubelet that the files describe, although they may be as
// they should: what was replaced under it, and what was written after it had read it.
func (o *Observation) processDrift(want, have *Generation) []string {
	if o.Process == nil {
		return nil
	}
	reasons := o.OtherProcess(want)
	late := o.late()
	if !o.startedBy(have) { // otherwise it has read what was written for it
		late = append(late, o.lateFiles(want)...)
	}
	if len(late) > 0 {
		reasons = append(reasons, "restart due: changed since the process was started: "+strings.Join(late, ", "))
	}
	if len(o.ForeignOverrides(want)) > 0 {
		reasons = nil // another start would bring the same process
	}
	return reasons
}

// lateFiles are the files of a generation that were written as they are after the process had read them.
func (o *Observation) lateFiles(want *Generation) []string {
	var late []string
	for _, f := range want.Files {
		found := o.Files[f.Path]
		if f.Kind == Text && readByKubelet(f.Path) && f.SameContent(found) && found.Modified.After(o.Process.Started) {
			late = append(late, path.Base(f.Path))
		}
	}
	return late
}

// OtherProcess says in which ways the process that runs is another one than a generation starts: its executable by digest,
// its arguments as they were rendered. Nothing when it is that one, or when that cannot be known.
func (o *Observation) OtherProcess(want *Generation) (reasons []string) {
	if o.Process == nil {
		return nil
	}
	if sum := want.Binary().SHA256; sum != "" && o.Process.SHA256 != "" && o.Process.SHA256 != sum {
		reasons = append(reasons, "the process runs another binary")
	}
	// What kubeadm or an administrator has changed of the arguments since is no other kubelet: a restart is due then.
	if !want.Kubeadm && want.Args != nil && o.Process.Args != nil && !slices.EqualFunc(want.startArgs(want.Args), want.startArgs(o.Process.Args), want.becomes) {
		reasons = append(reasons, "the process was started with other arguments")
	}
	return reasons
}

// becomes reports whether an argument of a unit is what a process has been given.
func (g *Generation) becomes(arg, given string) bool {
	if !g.expands(arg) {
		return arg == given
	}
	name, _, _ := strings.Cut(arg, "=")
	return strings.HasPrefix(given, name+"=")
}

// readByKubelet reports whether what a file holds counts when kubelet starts.
func readByKubelet(p string) bool {
	return p == hostfs.ConfigFile || path.Base(p) == systemd.KubeletService || path.Dir(p) == DropInDir
}
