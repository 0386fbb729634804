package plan

import (
	"path"
	"slices"
	"time"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// Observation is what a host really has, of all that some generations speak of.
type Observation struct {
	// Live reports that a systemd runs there.
	Live  bool
	Files map[string]File
	Units map[string]systemd.UnitState
	// MissingDirs are directories that the wanted files need, outermost first.
	MissingDirs []string
	// Credentials reports whether kubelet has what it needs to reach its API server, or needs none.
	Credentials bool
	// Joined reports that it has credentials of its own, so that its node is registered.
	Joined bool
	// NodeLabels are those of the Node, as the API server has them; nil if they are not known.
	NodeLabels map[string]string
	// Process is the kubelet that runs; nil when none does, or when this user may not look at it.
	Process *Process
	// Overrides are the drop-ins in force, of somebody else's, that set ExecStart=.
	Overrides []DropIn
	// Time is when it was looked at: what is dated later tells nothing.
	Time time.Time
	// Inputs are the files beside its own that kubelet has read when it was started; none when no kubelet runs.
	Inputs []Input
	// Partial has the wanted binaries, by path, that an earlier run has fetched, or a part of them, and not given their names.
	Partial map[string]bool
	// Unreadable says what could not be read, and why.
	Unreadable map[string]error
}

// DropIn is a drop-in of kubelet.service.
type DropIn struct {
	// Path is where it lies; of drop-ins with one name the one that systemd reads.
	Path string
	// Line is how it sets ExecStart=, with where that is written.
	Line string
}

// Input is a file, or a directory of files, that kubelet reads only when it starts.
type Input struct {
	Path     string
	Modified time.Time
}

// Name is what a drop-in is masked by.
func (d DropIn) Name() string { return path.Base(d.Path) }

// Process is a kubelet that runs.
type Process struct {
	PID int
	// Invocation is systemd's name of this run; see systemd.UnitState.
	Invocation string
	Started    time.Time
	// SHA256 is of the file that it executes, which need not be the one that has its name by now.
	SHA256 string
	// Args are the arguments that it was started with.
	Args []string
}

// Executes reports whether the process executes what a file is to be: then its bytes are on this host, also when no name
// leads to them any more.
func (o *Observation) Executes(f File) bool {
	return o.Process != nil && f.SHA256 != "" && f.SHA256 == o.Process.SHA256
}

func (o *Observation) needReload() bool {
	if !o.Live {
		return false
	}
	for _, u := range o.Units {
		if u.NeedReload {
			return true
		}
	}
	return false
}

// newDropIn reports whether a drop-in of the unit came, or was changed, since kubelet was started. Up to 254, systemd does not
// notice by itself that a unit got its first one.
func (o *Observation) newDropIn() bool {
	return o.Live && o.Process != nil && slices.ContainsFunc(o.late(), func(file string) bool { return path.Base(path.Dir(file)) == systemd.KubeletService+".d" })
}

// late are the inputs that were changed since the process has read them. What is dated in the future tells nothing.
func (o *Observation) late() []string {
	var late []string
	for _, in := range o.Inputs {
		if in.Modified.After(o.Process.Started) && !in.Modified.After(o.Time) {
			late = append(late, in.Path)
		}
	}
	return late
}

// startedBy reports whether the process is the one that was started with a generation when that was installed, so that it
// runs with just that, whatever was done to the files since.
func (o *Observation) startedBy(g *Generation) bool {
	return g != nil && o.Process != nil && g.Invocation != "" && g.Invocation == o.Process.Invocation
}

// Snapshot turns what was observed into a generation: the host as it is, to come back to. A versioned binary of ours that
// is there at all counts as wanted, so that going back never brings a damaged one back; one that is not there is not wanted.
// The same goes for the copy of kubeletctl. extra are further files of the host, with their content.
func (o *Observation) Snapshot(want, have *Generation, extra ...File) *Generation {
	before := &Generation{Snapshot: true, Command: "before"}
	if have != nil {
		before.Version, before.HealthURL, before.Credentials, before.Requires = have.Version, have.HealthURL, have.Credentials, have.Requires
		before.Args, before.RootDir, before.Spec, before.Took = have.Args, have.RootDir, have.Spec, have.Took
		before.Dirs = have.Dirs
	}
	for _, g := range []*Generation{want, have} {
		if g == nil {
			continue
		}
		for _, f := range g.Files {
			found := o.Files[f.Path]
			if found.Kind == Absent || found.Kind == Other || before.File(f.Path).Kind != Absent {
				continue
			}
			switch {
			case !f.IsProgram():
			case have.File(f.Path).Kind == Absent && !found.SameContent(f):
				found.Kind, found.Source = Text, f.Path // somebody else's, to be put back
			default:
				found = f
			}
			before.Files = append(before.Files, found)
		}
		for _, u := range g.Units {
			if _, done := before.Unit(u.Name); !done {
				before.Units = append(before.Units, o.unit(u.Name))
			}
		}
	}
	before.Files = append(before.Files, extra...)
	return before
}

// unit is the state that a unit was observed in, as one to be wanted.
func (o *Observation) unit(name string) Unit {
	state, run := o.Units[name], AsIs
	if o.Live {
		run = Stopped
		if state.Up() {
			run = Running
		}
	}
	return Unit{Name: name, Enabled: state.Enabled(), Run: run}
}
