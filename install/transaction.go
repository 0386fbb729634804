package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// transaction is the second half of a change: from the record that it has begun to the commit. It is the only thing that
// can be undone.
type transaction struct {
	attempt
	trial   trial
	back    wayBack
	armed   bool
	started time.Time // when the step began that starts kubelet; zero for none
}

// begin records a change that is about to be carried out, with the host as it is: whatever happens from here on can be
// undone, by this run or by the recovery.
func (a attempt) begin(ctx context.Context, t trial) (*transaction, error) {
	h, c, o := a.host, a.change, a.options
	s := h.Store()
	n, err := s.Next()
	if err != nil {
		return nil, err
	}
	stamp(c.Want, n, o.Command)
	if c.Want.Changes = spec.Changes(c.Have, c.Want); c.repair {
		c.Want.Changes = c.Plan.Targets()
	}
	c.number, c.Want.OnlyTools = n, c.options.OnlyTools
	var extra []plan.File
	for _, checkpoint := range c.options.Checkpoints {
		extra = append(extra, checkpoint.File)
	}
	before := c.Seen.Snapshot(c.Want, c.Have, extra...)
	before.Number, before.Created = n, c.Want.Created
	if c.Want.Dirs, err = c.madeDirs(s, o.Lock); err != nil {
		return nil, err
	}
	current, lost := c.Have, (*plan.Generation)(nil)
	if c.options.Lost {
		current, lost = nil, c.Have
	}
	tx := &transaction{attempt: a, trial: t,
		back: wayBack{host: h, tried: c.Want, before: before, current: current}}
	if c.Seen.Units[systemd.RecoverService].LoadState == "loaded" { // else its unit is the first that is written
		if err := tx.arm(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.Pending().Begin(c.Want, before, lost); err != nil {
		h.disarm(ctx)
		return nil, errors.Join(fmt.Errorf("recording the change: %w", err), s.Pending().Abandon(c.Want, current))
	}
	if tx.back.before, err = s.Directory(n).Previous(); err != nil { // it has the content of what was too large to be held in memory
		h.disarm(ctx)
		return nil, errors.Join(err, s.Pending().Abandon(c.Want, current))
	}
	return tx, nil
}

// madeDirs are the directories that kubeletctl has made, or is about to make, for what is wanted, outermost first.
func (c *Change) madeDirs(s store.Store, lock *Lock) (dirs []string, err error) {
	if c.Have != nil {
		dirs = slices.Clone(c.Have.Dirs)
	}
	made := c.Seen.MissingDirs
	unfinished, err := s.Downloads().Unfinished()
	if err != nil {
		return nil, err
	}
	for _, u := range unfinished {
		made = slices.Concat(u.Dirs, made)
	}
	if lock != nil {
		made = slices.Concat(lock.parents, made)
	}
	for _, dir := range made {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// renewRecovery makes a host ready whose record has an older format: what recovers there has to know the new one before a
// change is recorded in it. Of a record that has this format nothing is left to do.
func (c *Change) renewRecovery(h *Host) error {
	s := h.Store()
	if !s.Outdated(c.Want) {
		return s.Convert(c.Want)
	}
	source := cmp.Or(c.program, self)
	sum, err := programDigest(h.Tree, source)
	if err != nil {
		return err
	}
	current, err := s.Current()
	if err != nil {
		return err
	}
	for _, g := range []*plan.Generation{current, c.Have, c.Want} {
		if g == nil || source == self && h.foreign(g.Arch) {
			continue
		}
		for i, f := range g.Files {
			if f.Kind != plan.Program || f.SHA256 == sum {
				continue
			}
			g.Files[i].SHA256 = sum
			step := plan.Step{Action: plan.Write, Target: f.Path, File: g.Files[i]}
			if err := (executor{host: h, change: &Change{program: source}}).file(step); err != nil {
				return fmt.Errorf("renewing %s: %w", f.Path, err)
			}
		}
	}
	if err := s.Convert(c.Want); err != nil || current == nil || current.Snapshot || current.Damage != nil {
		return err
	}
	return s.Update(current)
}

// arm makes systemd look again and again whether this change was left in the middle.
func (tx *transaction) arm(ctx context.Context) error {
	_, recovers := tx.change.Want.Unit(systemd.RecoverService)
	if tx.armed || !recovers && tx.change.Seen.Units[systemd.RecoverService].LoadState != "loaded" {
		return nil
	}
	if err := tx.host.Units.Arm(ctx, systemd.RecoverEvery); err != nil {
		return fmt.Errorf("arming the recovery: %w", err)
	}
	tx.armed = true
	return nil
}

// run carries the change out and commits it.
func (tx *transaction) run(ctx context.Context) (plan.Outcome, error) {
	if err := tx.switchOver(ctx); err != nil {
		return "", err
	}
	if err := tx.awaitHealthy(ctx); err != nil {
		return "", err
	}
	if ctx.Err() != nil {
		return "", errors.New("before the commit")
	}
	outcome := tx.outcome(ctx)
	return outcome, tx.commit(ctx, outcome)
}

// switchOver does all steps before the commit.
func (tx *transaction) switchOver(ctx context.Context) error {
	patience := tx.patience()
	e := executor{host: tx.host, change: tx.change, wait: patience, soft: tx.options.Wait == 0}
	for _, s := range tx.change.Plan.Steps {
		if s.Cleanup {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("before %s %s", s.Action, s.Target)
		}
		if !plan.IsRecovery(s.Target) && s.Action != plan.MakeDir && s.Action != plan.Stage { // so what recovers is in place
			if err := tx.arm(ctx); err != nil {
				return err
			}
		}
		if s.Target == systemd.KubeletService && (s.Action == plan.Start || s.Action == plan.Restart) {
			tx.started = time.Now()
		}
		if err := e.do(ctx, s); err != nil {
			return err
		}
		if tx.options.Done != nil {
			tx.options.Done(s)
		}
	}
	return nil
}

// awaitHealthy waits at the health gate, if the change has to pass one.
func (tx *transaction) awaitHealthy(ctx context.Context) error {
	h, c := tx.host, tx.change
	if !tx.gated() {
		return nil
	}
	tx.options.enter(Waiting)
	g := gate{host: h, want: c.Want, wait: tx.options.Wait, patience: tx.patience(), member: tx.trial.member, restarts: c.Plan.Restarts(c.Seen),
		foreign: len(c.Seen.ForeignOverrides(c.Want)) > 0, began: tx.started}
	if c.Seen.Units[systemd.KubeletService].Restarting() && !c.Plan.StartsKubelet() {
		// It died while what is put back was on its way.
		tx.started = time.Now()
		g.began = tx.started
		e := executor{host: h, change: c, wait: tx.patience()}
		if err := e.do(ctx, plan.Step{Action: plan.Restart, Target: systemd.KubeletService}); err != nil {
			return err
		}
		g.restarts = 0
	}
	if err := g.pass(ctx); err != nil {
		return err
	}
	switch {
	case !tx.started.IsZero():
		c.Want.Took = g.took
	case c.Have != nil: // it was not started by this change
		c.Want.Took = c.Have.Took
	}
	return nil
}

// patience is how long a kubelet gets to become healthy: by what is known of this host, and never more than the user allows.
func (tx *transaction) patience() time.Duration {
	slowest := tx.trial.took
	if have := tx.change.Have; have != nil {
		slowest = max(slowest, have.Took)
	}
	if slowest == 0 || tx.options.Wait == 0 || tx.change.options.Restart { // there is no hurry where there is no way back
		return tx.options.Wait
	}
	return min(tx.options.Wait, max(leastPatience, evidenceFactor*slowest))
}

// outcome says how a change that is about to be committed ended.
func (tx *transaction) outcome(ctx context.Context) plan.Outcome {
	c := tx.change
	switch {
	case c.Want.Snapshot:
		return plan.Removed
	case c.Plan.OnlyTools(), !c.Seen.Live || !c.Want.Runs() || c.options.NoStart:
		return plan.Installed
	case !c.Seen.Credentials && !tx.up(ctx) && c.Want.Kubeadm:
		return plan.WaitingForKubeadm
	case !c.Seen.Credentials && !tx.up(ctx):
		return plan.WaitingForCredentials
	case tx.options.Wait == 0 && c.options.Restart:
		return plan.Restarted
	case tx.options.Wait == 0:
		return plan.Installed
	case !tx.up(ctx):
		return plan.Queued
	}
	return plan.Healthy
}

// commit makes the change final. An interruption from here on does not undo it: Recover goes on with it.
func (tx *transaction) commit(ctx context.Context, outcome plan.Outcome) error {
	want, s := tx.change.Want, tx.host.Store()
	if want.Snapshot {
		if err := s.CommitUninstall(want); err != nil {
			return fmt.Errorf("recording the uninstall: %w", err)
		}
		return nil
	}
	want.Outcome = outcome
	state, err := tx.host.Units.State(ctx, systemd.KubeletService)
	switch have := tx.change.Have; {
	case tx.change.Plan.OnlyTools() && have != nil:
		want.Invocation, want.Took = have.Invocation, have.Took
	case tx.change.options.NoStart:
		want.Invocation = "" // what runs was started before
	case err == nil && state.Up():
		want.Invocation = state.InvocationID
	}
	if tx.change.repair {
		return tx.commitEvent()
	}
	if err := s.Commit(want); err != nil {
		return fmt.Errorf("committing generation %d: %w", want.Number, err)
	}
	return nil
}

// commitEvent records a repair or a restart: an event, and what it left of the current generation, which goes on to be that
// one. A restart after which kubelet was not seen healthy says nothing of the generation.
func (tx *transaction) commitEvent() error {
	want, have := tx.change.Want, tx.change.Have
	event := *want
	event.Files, event.Units, event.Dirs = nil, nil, nil
	want.Number, want.Created, want.Command, want.User, want.Changes = have.Number, have.Created, have.Command, have.User, have.Changes
	if tx.change.onlyStarts() && event.Outcome != plan.Healthy || tx.change.Plan.OnlyTools() {
		want.Outcome, want.Reason, want.Took = have.Outcome, have.Reason, have.Took
	}
	if err := tx.host.Store().CommitEvent(&event, want); err != nil {
		return fmt.Errorf("recording the %s: %w", event.Command, err)
	}
	return nil
}

// fail ends a change that failed: it leads back, but for a start of kubelet alone that has begun, before which there was the
// same kubelet.
func (tx *transaction) fail(ctx context.Context, cause error) error {
	if !tx.change.onlyStarts() || tx.started.IsZero() {
		return tx.undo(ctx, cause)
	}
	tx.change.Want.Reason = cause.Error()
	outcome := plan.Unhealthy
	if errors.Is(cause, ErrInterrupted) {
		outcome = plan.Restarted
	}
	ctx = context.WithoutCancel(ctx)
	err := tx.commit(ctx, outcome)
	if err == nil {
		err = tx.finish(ctx, outcome)
	}
	return errors.Join(&RestartError{cause}, err)
}

// undo goes back, and says so.
func (tx *transaction) undo(ctx context.Context, cause error) error {
	tx.options.enter(RollingBack)
	tx.change.Want.Reason = cause.Error()
	if !errors.Is(cause, ErrInterrupted) && !tx.change.Plan.OnlyTools() {
		tx.change.Want.Tried = tx.change.Want.Fingerprint()
	}
	if left := tx.back.take(ctx); len(left) > 0 {
		return &NotRolledBackError{Cause: cause, Left: left}
	}
	to := describe(tx.back.before)
	if tx.change.Plan.OnlyTools() {
		to = "the host is as it was before"
	}
	if tx.change.repair && tx.change.Plan.SwitchesKubelet() {
		to = "the host is as it was before the repair"
	}
	return &RolledBackError{Cause: cause, To: to, Ill: tx.back.ill}
}
