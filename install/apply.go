package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// ApplyOptions say how a plan is carried out.
type ApplyOptions struct {
	// Verb is recorded with the generation.
	Verb string
	// Release fetches the binary, if the plan needs one.
	Release *release.Client
	// Wait bounds the health gate. Zero: there is no gate, and nobody waits for kubelet.
	Wait time.Duration
	// SkipRehearsal leaves the proof to the health gate alone.
	SkipRehearsal bool
	// Queue asks for starts and does not wait for them.
	Queue bool
	// Done is called after each step; nil is fine.
	Done func(Step)
}

// Outcome is how a change ended.
type Outcome string

const (
	// Unchanged: there was nothing to do.
	Unchanged Outcome = "unchanged"
	// Healthy: kubelet runs and passed the gate.
	Healthy Outcome = "healthy"
	// WaitingForCredentials: all is in place, and kubelet starts when its kubeconfig appears.
	WaitingForCredentials Outcome = "waiting for credentials"
	// Queued: the machine is still booting, and systemd starts kubelet when its turn comes.
	Queued Outcome = "start queued"
	// Laid: the files are in place, and nobody asked for kubelet to be started or waited for.
	Laid Outcome = "installed"
	// Reverted: it did not do, and what was there before is there again.
	Reverted Outcome = "reverted"
	// Removed: what was installed is gone.
	Removed Outcome = "removed"
)

// RolledBackError tells that a change failed and that the host is again as it was before.
type RolledBackError struct {
	Cause error
	// To says what the host is back at.
	To string
}

func (e *RolledBackError) Error() string {
	return fmt.Sprintf("%v; the change was rolled back: %s", e.Cause, e.To)
}
func (e *RolledBackError) Unwrap() error { return e.Cause }

// ErrInterrupted tells that the user, or the system, asked for an end.
var ErrInterrupted = errors.New("interrupted")

// Ended says why a context ended that a run was given: an error that is ErrInterrupted, whatever it is called.
func Ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return timeIsOver{}
	}
	return ErrInterrupted
}

type timeIsOver struct{}

func (timeIsOver) Error() string        { return "the time of --timeout is over" }
func (timeIsOver) Is(target error) bool { return target == ErrInterrupted }

const (
	// undoTimeout bounds the way back, which is gone even if the user asked us to stop.
	undoTimeout = 2 * time.Minute
	// undoWait is how long the kubelet of before gets to become healthy again.
	undoWait = time.Minute
)

// Apply carries out a change. Up to the commit any failure, and the end of ctx, leads back to the host as it was: then
// the error is a *RolledBackError, unless nothing but a download had happened. The caller holds the lock.
func (h *Host) Apply(ctx context.Context, c *Change, o ApplyOptions) (Outcome, error) {
	if c.Plan.Empty() && c.Have != nil && !c.Have.Snapshot && !c.Want.Snapshot {
		if err := h.recordOnly(c); err != nil {
			return "", err
		}
		return Unchanged, h.stillWell(ctx, c, o)
	}
	n, err := h.Store().Next()
	if err != nil {
		return "", err
	}
	c.Want.stamp(n, o.Verb)
	before := h.snapshot(c.Seen, c.Want, c.Have)
	before.Number, before.Created, before.Verb = n, c.Want.Created, "before"
	before.Files = append(before.Files, c.states...)
	if c.Have != nil {
		c.Want.Dirs = slices.Clone(c.Have.Dirs)
	}
	for _, dir := range slices.Concat(h.parents, c.Seen.MissingDirs) {
		if !slices.Contains(c.Want.Dirs, dir) {
			c.Want.Dirs = append(c.Want.Dirs, dir)
		}
	}

	switched, err := h.switchTo(ctx, c, before, o)
	if err == nil {
		outcome := h.outcome(ctx, c, o)
		if err = h.commit(ctx, c, outcome); err == nil {
			return h.finish(ctx, c, o, outcome)
		}
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", Ended(ctx), err)
	}
	if stored, err := h.Store().Before(n); err == nil {
		before = stored // it has the content of what was too large to be held in memory
	}
	if switched {
		c.Want.Reason = err.Error()
	} else if kept := h.unstage(); kept != nil { // there is nothing for history to tell
		h.note("the download was not kept: %v", kept)
	}
	back := h.undo(ctx, c.Want, before, c.Have, false)
	switch {
	case back != nil:
		return "", fmt.Errorf("%w; going back failed too: %w", err, back)
	case switched:
		return "", &RolledBackError{Cause: err, To: describe(before)}
	}
	return "", err
}

// switchTo does all steps before the commit and waits at the health gate. switched tells whether anything that counts
// was changed.
func (h *Host) switchTo(ctx context.Context, c *Change, before *Generation, o ApplyOptions) (switched bool, err error) {
	armed := false
	arm := func() error {
		if armed {
			return nil
		}
		if err := h.Units.Arm(ctx, recoverEvery); err != nil {
			return fmt.Errorf("arming the recovery: %w", err)
		}
		armed = true
		return nil
	}
	record := func() error {
		if c.Seen.Units[systemd.RecoverService].LoadState == "loaded" { // else it is laid first of all
			if err := arm(); err != nil {
				return err
			}
		}
		if err := h.Store().Begin(c.Want, before); err != nil {
			return fmt.Errorf("recording the change: %w", err)
		}
		// A download and a rehearsal take their time; what kubelet did meanwhile is not this change's doing.
		if now, err := h.Units.State(ctx, systemd.KubeletService); err == nil {
			c.Seen.Units[systemd.KubeletService] = now
		}
		return nil
	}
	deadline, consulted := time.Now().Add(o.Wait), false
	var was *membership
	for _, s := range c.Plan.Steps {
		if s.Cleanup {
			break
		}
		if s.Action == Start || s.Action == Restart {
			deadline = time.Now().Add(o.Wait) // the wait for the job and for kubelet's health are one
		}
		if ctx.Err() != nil {
			return switched, fmt.Errorf("before %s %s", s.Action, s.Target)
		}
		if !consulted && s.Action != MakeDir && s.Action != Stage {
			if err := h.consult(ctx, c); err != nil {
				return switched, err
			}
			if err := h.rehearse(ctx, c, o); err != nil {
				return switched, err
			}
			was = h.joined(ctx, c, o)
			consulted = true
		}
		if !switched && (s.Action != MakeDir && s.Action != Stage || s.replaces) {
			if err := record(); err != nil {
				return false, err
			}
			switched = true
		}
		if switched && !isRecovery(s.Target) {
			if err := arm(); err != nil {
				return switched, err
			}
		}
		if err := h.do(ctx, s, c, o); err != nil {
			return switched, err
		}
		if o.Done != nil {
			o.Done(s)
		}
	}
	if !switched {
		if err := record(); err != nil {
			return false, err
		}
	}
	if h.gated(c, o) {
		restarts := c.Plan.restarts(c.Seen)
		if c.Seen.Units[systemd.KubeletService].Restarting() && !c.Plan.startsKubelet() {
			// It died while what is put back was on its way.
			if err := h.do(ctx, Step{Action: Restart, Target: systemd.KubeletService}, c, o); err != nil {
				return switched, err
			}
			restarts = 0
		}
		return switched, h.gate(ctx, c.Want, o.Wait, deadline, was, restarts)
	}
	return switched, ctx.Err()
}

// stillWell looks whether the kubelet of a host that needs no change is well, or on its way there: a provisioning tool
// takes success for a working kubelet.
func (h *Host) stillWell(ctx context.Context, c *Change, o ApplyOptions) error {
	if !h.gated(c, o) || h.up(ctx) && (c.Want.HealthURL == "" || Probe(ctx, c.Want.HealthURL).OK) {
		return nil
	}
	if err := h.gate(ctx, c.Want, o.Wait, time.Now().Add(o.Wait), nil, c.Plan.restarts(c.Seen)); err != nil {
		return fmt.Errorf("there is nothing to change, but kubelet is not well: %w", err)
	}
	return nil
}

// commit makes the change final. An interruption from here on does not undo it; Recover goes on with it.
func (h *Host) commit(ctx context.Context, c *Change, outcome Outcome) error {
	if c.Want.Snapshot {
		if err := h.Store().point(0); err != nil {
			return fmt.Errorf("recording the uninstall: %w", err)
		}
		return nil
	}
	c.Want.Outcome, c.Want.Reason = outcome, ""
	if state, err := h.Units.State(ctx, systemd.KubeletService); err == nil && state.Up() {
		c.Want.Invocation = state.InvocationID
	}
	if err := h.Store().Commit(c.Want); err != nil {
		return fmt.Errorf("committing generation %d: %w", c.Want.Number, err)
	}
	return nil
}

// outcome says how a change that is about to be committed ended.
func (h *Host) outcome(ctx context.Context, c *Change, o ApplyOptions) Outcome {
	service, _ := c.Want.unit(systemd.KubeletService)
	switch {
	case c.Want.Snapshot:
		return Removed
	case !c.Seen.Live || service.Run != Running:
		return Laid
	case !c.Seen.Credentials && !h.up(ctx):
		return WaitingForCredentials
	case o.Wait == 0:
		return Laid
	case !h.up(ctx):
		return Queued
	}
	return Healthy
}

// finish deletes what a committed change left over.
func (h *Host) finish(ctx context.Context, c *Change, o ApplyOptions, outcome Outcome) (Outcome, error) {
	h.rememberPrograms(c.Want)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	for _, s := range c.Plan.Steps {
		if !s.Cleanup {
			continue
		}
		if outcome == Removed && isRecovery(s.Target) {
			// Nothing is left to recover, and soon there is nothing to do it with.
			if err := h.Store().clearPending(); err != nil {
				return "", err
			}
		}
		if err := h.do(ctx, s, c, o); err != nil {
			return "", fmt.Errorf("cleaning up after the change, which itself is done: %w", err)
		}
		if o.Done != nil {
			o.Done(s)
		}
	}
	h.dropPartials(c)
	if outcome == Removed {
		if err := h.Store().Erase(); err != nil {
			return "", err
		}
	} else {
		if err := h.prune(ctx, c); err != nil {
			h.note("old generations could not be pruned: %v", err)
		}
		if err := h.Store().Settle(c.Want.Number); err != nil {
			return "", err
		}
	}
	h.disarm(ctx)
	return outcome, nil
}

// disarm ends the timer of the recovery. One that stays finds nothing to do.
func (h *Host) disarm(ctx context.Context) {
	if err := h.Units.Disarm(ctx); err != nil {
		h.note("stopping %s: %v", systemd.RecoverTimer, err)
	}
}

func (h *Host) up(ctx context.Context) bool {
	state, err := h.Units.State(ctx, systemd.KubeletService)
	return err == nil && state.ActiveState == "active"
}

// recordOnly updates the record of a host that already is what is wanted: the spec or the trust may be said differently
// now, with the same result.
func (h *Host) recordOnly(c *Change) error {
	c.Want.Number, c.Want.Created, c.Want.Verb, c.Want.By = c.Have.Number, c.Have.Created, c.Have.Verb, c.Have.By
	c.Want.Dirs, c.Want.URL, c.Want.Outcome, c.Want.Invocation = c.Have.Dirs, c.Have.URL, c.Have.Outcome, c.Have.Invocation
	old, err := json.Marshal(c.Have)
	if err != nil {
		return err
	}
	new, err := json.Marshal(c.Want)
	if err != nil || bytes.Equal(old, new) {
		return err
	}
	return h.Store().Commit(c.Want)
}

// undo leads back to a snapshot, and the record to the generation that was current; nil for none. With queue it does not
// wait for kubelet.
func (h *Host) undo(ctx context.Context, from, before, current *Generation, queue bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if h.Live { // what systemd says of units that were just enabled or disabled is what it read last
		if err := h.Units.Reload(ctx); err != nil {
			return err
		}
	}
	h.keepPrograms(before, current)
	c, err := h.prepare(ctx, before, from)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(c.Plan.Steps, func(s Step) bool { return isCheckpoint(s.Target) }) && h.Live {
		// The kubelet that runs would write its own over it.
		if err := h.Units.Stop(ctx, systemd.KubeletService); err != nil {
			return err
		}
		if c, err = h.prepare(ctx, before, from); err != nil {
			return err
		}
	}
	for _, s := range c.Plan.Steps {
		if s.Action == Stage { // the way back asks no source
			h.note("%s is damaged, and was before: kubeletctl repair fetches it again", s.Target)
			continue
		}
		if err := h.do(ctx, s, c, ApplyOptions{Wait: undoWait, Queue: queue}); err != nil {
			return err
		}
	}
	if service, _ := before.unit(systemd.KubeletService); service.Run == Running && c.Plan.disturbs() && !queue {
		if err := h.gate(ctx, before, undoWait, time.Now().Add(undoWait), nil, c.Plan.restarts(c.Seen)); err != nil {
			h.note("the former kubelet runs again but is not healthy: %v", err)
		}
	}
	from.Number = before.Number
	if err := h.Store().Abandon(from, current); err != nil {
		return err
	}
	if err := h.forgetDownload(); err != nil {
		return err
	}
	h.disarm(ctx)
	return nil
}

// keepPrograms adds to a snapshot the programs of the current generation, and the link to them, that the host had lost when
// the snapshot was taken, and has again: a way back is none to a kubelet without its binary.
func (h *Host) keepPrograms(before, current *Generation) {
	if current == nil {
		return
	}
	known := loadFingerprints(h.Tree)
	for _, f := range current.Files {
		if f.Kind == Text || before.file(f.Path).Kind != Absent {
			continue
		}
		if found, err := h.lookAt(f, known); err == nil && found.sameContent(f) {
			before.Files = append(before.Files, f)
		}
	}
}

// describe says what a snapshot is, for people.
func describe(before *Generation) string {
	if before.Version.IsZero() {
		return "the host is as it was before the install"
	}
	return fmt.Sprintf("kubelet %s is in place again", before.Version)
}

// do carries out one step.
func (h *Host) do(ctx context.Context, s Step, c *Change, o ApplyOptions) error {
	if err := h.act(ctx, s, c, o); err != nil {
		var job *systemd.JobError
		if errors.As(err, &job) {
			return h.explain(ctx, err)
		}
		return fmt.Errorf("%s %s: %w", s.Action, s.Target, err)
	}
	return nil
}

func (h *Host) act(ctx context.Context, s Step, c *Change, o ApplyOptions) error {
	switch s.Action {
	case Reload:
		return h.Units.Reload(ctx)
	case Enable:
		if err := h.Units.Enable(ctx, s.Target); err != nil {
			return err
		}
		return h.Units.Reload(ctx)
	case Disable:
		if err := h.Units.Disable(ctx, s.Target); err != nil {
			return err
		}
		return h.Units.Reload(ctx)
	case Start, Restart:
		if o.Queue {
			return h.Units.Queue(ctx, s.Target)
		}
	}
	switch s.Action {
	case Start:
		_ = h.Units.ResetFailed(ctx, s.Target) // fails when systemd does not know the unit yet
		return h.startJob(ctx, s.Target, o, h.Units.Start)
	case Restart:
		_ = h.Units.ResetFailed(ctx, s.Target)
		return h.startJob(ctx, s.Target, o, h.Units.Restart)
	case Stop:
		return h.Units.Stop(ctx, s.Target)
	}
	name, err := h.Tree.Locate(s.Target)
	if err != nil {
		return err
	}
	switch s.Action {
	case MakeDir:
		return makeDir(name, s.Target)
	case Stage:
		return h.stage(ctx, s.file, name, c, o)
	case Write:
		return writeText(name, s.file.Mode, s.file.Owner, s.file)
	case SetLink:
		return linkAtomic(s.file.Target, name)
	case SetOwner:
		owner := s.file.Owner
		if owner == nil {
			owner = &Owner{UID: os.Geteuid(), GID: os.Getegid()}
		}
		return os.Lchown(name, owner.UID, owner.GID)
	case SetMode:
		return os.Chmod(name, s.file.Mode)
	case Remove:
		return removeFile(name)
	case RemoveDir:
		_ = syscall.Rmdir(name) // it stays when something is in it, or when it became a symlink
		return nil
	}
	return fmt.Errorf("no such action")
}

// startJob waits for a start as long as the options allow. A start that is still under way then is not a failure of the
// step: the gate judges it.
func (h *Host) startJob(ctx context.Context, unit string, o ApplyOptions, start func(context.Context, string) error) error {
	wait := o.Wait
	if wait == 0 {
		wait = 5 * time.Second
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := start(bounded, unit)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	var job *systemd.JobError
	if o.Wait == 0 && errors.As(err, &job) {
		h.note("%v", err) // nobody wanted to wait for it, and systemd goes on trying
		return nil
	}
	return err
}

// makeDir makes one directory. kubelet's own is for root and its group only, as kubelet itself makes it (0750).
func makeDir(name, target string) error {
	mode := os.FileMode(0o755)
	if target == KubeletDir {
		mode = 0o750
	}
	if err := os.Mkdir(name, mode); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// rememberPrograms notes the digests of what was just proved, so that the next run need not read it again: kubelet, this
// program and its copy.
func (h *Host) rememberPrograms(g *Generation) {
	known := loadFingerprints(h.Tree)
	remember := func(name, sum string) {
		if info, err := os.Stat(name); err == nil && sum != "" {
			if key := inodeKey(info); key != "" {
				known[key] = sum
			}
		}
	}
	for _, f := range g.Files {
		if name, err := h.Tree.Locate(f.Path); err == nil && (f.Kind == Binary || f.Kind == Program) {
			remember(name, f.SHA256)
		}
		if f.Kind == Program {
			remember(self, f.SHA256)
		}
	}
	known.save(h.Tree)
}
