package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/label"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/install/status"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Change is a planned change: what is wanted, what it starts from, and the way.
type Change struct {
	Want *plan.Generation
	// Have is what was installed last; nil on a host without.
	Have *plan.Generation
	Seen *plan.Observation
	Plan *plan.Plan
	// Artifacts are where binaries that have to be fetched come from.
	Artifacts Artifacts
	// Draft is what Want was built from; nil for what was installed before.
	Draft *spec.Draft

	// Recorded are the settings that were recorded although nothing of the host had to change for them.
	Recorded []string
	// Missing is what an uninstall cannot put back.
	Missing []error

	options plan.Options
	repair  bool // Want is the current generation: a repair, or a restart
	resets  bool // checkpoints that do not fit are removed
	joins   bool // see PrepareOptions
	number  int  // of the change, once it has begun
	// program is the file of this machine whose copy recovers on the host; empty when nothing has to be copied.
	program string
}

// PrepareOptions shape a change.
type PrepareOptions struct {
	// TakeOver is the unit file of a kubelet that is adopted; empty for none.
	TakeOver string
	// Adopted is the drop-in with what is kept of that unit; nil for none.
	Adopted []byte
	// LeaveOverrides leaves drop-ins of somebody else's that set kubelet's command line, which otherwise are masked, with
	// consent.
	LeaveOverrides bool
	// OnlyTools leaves kubelet as it is, whatever differs: see spec.Draft.OnlyTools.
	OnlyTools bool
	// Joins says that a join follows, which writes hostfs.ClusterCA.
	Joins bool
	// ResetManagers removes checkpoints of resource managers that do not fit what is wanted; without it they are a problem.
	ResetManagers bool
	// RecoverBinary is a file of this machine with a kubeletctl for the host's architecture, which recovers there; this
	// program when it is empty.
	RecoverBinary string
	// NoRecovery leaves out what undoes an interrupted change.
	NoRecovery bool

	revive  bool // a kubelet that has exited is started at once
	restore bool // the generation was installed before
	lost    bool // the record of what was installed is lost
	noStart bool // kubelet is left as it is
}

// Prepare plans the way to a generation that was built. It changes nothing.
func (h *Host) Prepare(ctx context.Context, d *spec.Draft, o PrepareOptions) (*Change, error) {
	have, err := h.have()
	if err != nil {
		return nil, err
	}
	if have == nil {
		if have = h.lostInstallation(); have != nil {
			have.Files = slices.DeleteFunc(have.Files, func(f plan.File) bool { // what nobody asks for stays
				return plan.IsTool(f.Path) && d.Tool(plan.ToolOf(f.Path)).Name == ""
			})
			o.lost, o.TakeOver = true, cmp.Or(o.TakeOver, path.Join(hostfs.UnitDir, systemd.KubeletService))
		}
	}
	if o.OnlyTools {
		d.Generation = have.WithTools(d.Generation)
	}
	o.noStart = d.Spec.NoStart
	c, err := preparation{h, d.Generation, have, o}.plan(ctx)
	if err != nil {
		return nil, err
	}
	c.Artifacts, c.Draft = Artifacts{d.Artifact, d.Tools}, d
	return c, nil
}

// have is what a change starts from: the current generation, or all that is left when an uninstall did not get to its end.
func (h *Host) have() (*plan.Generation, error) {
	have, err := h.Store().Current()
	if err != nil || have == nil {
		return nil, err
	}
	if have.Damage != nil {
		h.recognize(have)
	}
	h.complete(have)
	if !have.Snapshot {
		return have, nil
	}
	all, err := h.Store().List()
	if err != nil {
		return nil, err
	}
	return plan.Merge(have, all), nil
}

// complete adds what kubeadm says of a generation that is kubeadm's. What cannot be read of it is said where it matters: by
// preflight, and by a status.
func (h *Host) complete(g *plan.Generation) { _, _ = h.Observer().ReadKubeadm(g) }

// recognize adds to a stand-in what is on the host and is surely of the generation that it stands for: a text of which that
// keeps the bytes, and the link to another kubelet beside the one that is known; and where it answers. What else is there counts as somebody else's.
func (h *Host) recognize(standIn *plan.Generation) {
	standIn.HealthURL = status.HealthURL(h.Observer())
	for i, f := range standIn.Files {
		found, err := h.Observer().Look(f)
		if err != nil {
			continue
		}
		text := f.Kind == plan.Text && found.Kind == plan.Text && h.Store().Directory(standIn.Number).HasText(found.SHA256)
		link := f.Kind == plan.Link && found.IsActive()
		if text || link {
			standIn.Files[i] = found
		}
	}
}

// PrepareRestore plans the way to a generation that was installed before, with the bytes that were written then; to the
// current one it is a repair. It changes nothing.
func (h *Host) PrepareRestore(ctx context.Context, g *plan.Generation, a Artifacts, o PrepareOptions) (*Change, error) {
	have, err := h.have()
	if err != nil {
		return nil, err
	}
	if have == nil || have.Snapshot {
		return nil, h.Observer().WhyNotInstalled(have)
	}
	if err := h.Store().Directory(g.Number).Verify(g); err != nil {
		return nil, err
	}
	want := g.Clone()
	want.Dirs, o.restore, o.revive = nil, true, g.Number == have.Number
	c, err := preparation{h, want, have, o}.plan(ctx)
	if err != nil {
		return nil, err
	}
	c.Artifacts, c.repair = a, g.Number == have.Number
	return c, nil
}

// preparation is a change to a generation with a kubelet, from what was installed last, before it is planned: what surrounds
// a kubelet is added to what is wanted.
type preparation struct {
	host       *Host
	want, have *plan.Generation
	options    PrepareOptions
}

// plan completes what is wanted and plans the way to it.
func (p preparation) plan(ctx context.Context) (*Change, error) {
	h, want, have, o := p.host, p.want, p.have, p.options
	if err := preflight.CheckBinDir(h.Tree, path.Dir(want.Binary().Path)); err != nil {
		return nil, err
	}
	want.KeepComments(have)
	want.Mask(have.Masks()...) // once adopted, a kubelet is not given back before it is uninstalled
	want.KeepAdopted(have, o.Adopted)
	want.MaskDropInsOf(have)
	if !o.LeaveOverrides && !o.OnlyTools {
		dropIns, err := h.Observer().DropIns()
		if err != nil {
			return nil, err
		}
		for _, d := range dropIns {
			if d.SetsCommand() {
				want.Mask(d.Name()) // unless it has one of that name
			}
		}
	}
	if o.OnlyTools {
		h.complete(want)
	} else if err := preflight.CheckKubeadm(h.Observer(), want); err != nil {
		return nil, err
	}
	program, err := p.addRecovery()
	if err != nil {
		return nil, err
	}
	options := plan.Options{TakeOver: o.TakeOver, LeaveOverrides: o.LeaveOverrides, Restore: o.restore, Lost: o.lost, NoStart: o.noStart, Revive: o.revive,
		OnlyTools: o.OnlyTools || o.restore && !o.revive && have.Damage == nil && want.SameKubelet(have) && !want.Installs(have)}
	stale, err := preflight.StaleCheckpoints(h.Observer(), want, have)
	if err != nil {
		return nil, err
	}
	if o.ResetManagers {
		options.Checkpoints = stale
	}
	c, err := h.prepare(ctx, want, have, options)
	if err != nil {
		return nil, err
	}
	c.program, c.joins = program, o.Joins
	if c.resets = o.ResetManagers; c.resets || c.Plan.Empty() || c.Plan.OnlyTools() {
		return c, nil
	}
	return c, refuseCheckpoints(stale)
}

func refuseCheckpoints(stale []plan.Checkpoint) error {
	if len(stale) == 0 {
		return nil
	}
	refused := &preflight.FailedError{}
	for _, s := range stale {
		refused.Problems = append(refused.Problems, preflight.Problem{ID: preflight.ManagerState, Severity: preflight.Failure,
			Message: fmt.Sprintf("kubelet would refuse to start with %s: %s", s.File.Path, s.Reason),
			Hint:    "drain the node, since containers lose the CPUs and memory that were set aside for them, then add --reset-manager-state"})
	}
	return refused
}

// prepare observes the host and plans.
func (h *Host) prepare(ctx context.Context, want, have *plan.Generation, o plan.Options) (*Change, error) {
	seen, err := h.Observer().Observe(ctx, want, have)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, file := range slices.Sorted(maps.Keys(seen.Unreadable)) {
		errs = append(errs, fmt.Errorf("looking at %s: %w", file, seen.Unreadable[file]))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if o.Revive && h.Live { // a repair puts back what somebody changed of the Node as well
		seen.NodeLabels = label.OfNode(ctx, h.Tree, want)
	}
	return &Change{Want: want, Have: have, Seen: seen, Plan: plan.NewPlan(want, have, seen, o), options: o}, nil
}

// RefuseRetry fails with a *TriedError when the same change failed on this host before and was undone.
func (h *Host) RefuseRetry(c *Change) error {
	if c.Plan.Empty() || c.Plan.OnlyTools() {
		return nil
	}
	failed, err := h.Store().History().Failed(c.Want)
	if err != nil || failed == nil {
		return err
	}
	return &TriedError{When: failed.Created, Reason: failed.Reason}
}

// TriedError refuses a change that failed before and was rolled back, so that a script that runs again and again does not
// take kubelet down again and again.
type TriedError struct {
	When   time.Time
	Reason string
}

func (e *TriedError) Error() string {
	return fmt.Sprintf("the same kubelet with the same settings was rolled back on %s: %s", e.When.Local().Format(time.DateTime), e.Reason)
}

// Hint says what to do about it.
func (e *TriedError) Hint() string {
	return "install another version or other settings; or, when the cause is removed, add --retry"
}

// NoGenerationError reports that there is no such generation to go back to.
type NoGenerationError struct {
	// Number is the one that was asked for; 0 for any before the current one.
	Number int
	// Event is what has that number instead; nil when nothing has.
	Event *store.Entry
}

func (e *NoGenerationError) Error() string {
	if e.Number == 0 {
		return "there is no generation before the current one that differs from it"
	}
	switch {
	case e.Event == nil:
		return fmt.Sprintf("there is no generation %d to go back to", e.Number)
	case e.Event.Event:
		return fmt.Sprintf("%d is a %s and not a generation: there is nothing to go back to", e.Number, e.Event.Command)
	}
	return fmt.Sprintf("generation %d was rolled back itself, so there is nothing to go back to: %s", e.Number, e.Event.Reason)
}

// Hint says what to do about it.
func (e *NoGenerationError) Hint() string {
	if e.Number == 0 {
		return "kubeletctl upgrade --version VERSION installs another release, and kubeletctl set changes settings"
	}
	return "kubeletctl history lists the generations"
}

// RollbackTarget is the generation of that number; for 0 the newest before the current one that differs from it: what a
// repair put back is no change to go back from.
func (h *Host) RollbackTarget(to int) (*plan.Generation, error) {
	s := h.Store()
	current, err := h.Installed()
	if err != nil && (current == nil || current.Damage == nil) {
		return nil, err
	}
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	for _, g := range slices.Backward(all) {
		if g.Number == to || to == 0 && g.Number < current.Number && (current.Damage != nil || !g.Installs(current)) {
			return g, nil
		}
	}
	if to == 0 && current.Damage != nil {
		return nil, current.Damage
	}
	history, _, err := s.History().List(0)
	i := slices.IndexFunc(history, func(e store.Entry) bool { return e.Number == to })
	if err != nil || i < 0 {
		return nil, &NoGenerationError{Number: to}
	}
	if history[i].Damaged {
		_, err := s.Directory(to).Load()
		return nil, err
	}
	return nil, &NoGenerationError{to, &history[i]}
}

// PrepareUninstall plans the way back to what the host was before the first install. It returns nil when nothing is
// installed. It changes nothing. For a purge no kubelet is to run afterwards, also not the one of before.
func (h *Host) PrepareUninstall(ctx context.Context, purge bool) (*Change, error) {
	s := h.Store()
	current, err := s.Current()
	if err != nil || current == nil {
		return nil, err
	}
	if current.Damage != nil { // its files would be taken for somebody else's, and stay
		return nil, current.Damage
	}
	origin, missing, err := s.Origin()
	if err != nil {
		return nil, err
	}
	for i, u := range origin.Units {
		if purge && u.Run == plan.Running {
			origin.Units[i].Run = plan.Stopped
		}
	}
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	c, err := h.prepare(ctx, origin, plan.Merge(current, all), plan.Options{})
	if err != nil {
		return nil, err
	}
	c.Missing = missing
	return c, nil
}

// recordParents are the directories above the record that kubeletctl made.
func recordParents(g *plan.Generation) []string {
	var parents []string
	for _, dir := range g.Dirs {
		if strings.HasPrefix(hostfs.StateDir, dir+"/") {
			parents = append(parents, dir)
		}
	}
	return parents
}

// Backup is where the change will keep what it overwrites at a path; empty when it keeps nothing of it.
func (h *Host) Backup(c *Change, file string) string {
	n, err := h.Store().Next()
	if err != nil {
		return "" // the change itself fails by that
	}
	if c.Have == nil {
		n = 0
	}
	return store.Backup(n, c.Seen.Snapshot(c.Want, c.Have).File(file))
}

// Refused reports, as an error, what keeps a change from being carried out at all, whatever the user allows.
func (c *Change) Refused() error {
	if len(c.Plan.Blocked) > 0 {
		return &ConflictError{Conflicts: c.Plan.Blocked, Blocked: true}
	}
	return nil
}

// ConflictError refuses to overwrite what somebody else wrote.
type ConflictError struct {
	Conflicts []plan.Conflict
	// Blocked reports that consent would not help.
	Blocked bool
	// Late reports that they appeared while the change was being prepared.
	Late bool
}

func (e *ConflictError) Error() string {
	var lines []string
	for _, c := range e.Conflicts {
		lines = append(lines, c.Path+": "+c.Reason)
	}
	list := strings.Join(lines, "; ")
	switch {
	case e.Blocked:
		return "not replaced, since it could not be put back: " + list
	case e.Late:
		return "this host was changed by somebody else meanwhile: " + list
	}
	return "not overwritten without --yes: " + list
}

// Hint says what to do about it.
func (e *ConflictError) Hint() string {
	switch {
	case e.Blocked:
		return "move it away, and run this again"
	case e.Late:
		return "nothing was changed; run this again to see the plan for what is there now"
	}
	return "--dry-run shows the differences; --yes overwrites, and uninstall puts back what was there before the first install"
}
