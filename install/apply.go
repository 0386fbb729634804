package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kubeletctl/kubeletctl/install/diagnose"
	"github.com/kubeletctl/kubeletctl/install/drain"
	"github.com/kubeletctl/kubeletctl/install/health"
	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// ApplyOptions say how a plan is carried out.
type ApplyOptions struct {
	// Command is recorded with the generation.
	Command string
	// Lock is held by the caller.
	Lock *Lock
	// Release fetches the binary, if the plan needs one.
	Release *release.Client
	// Wait bounds the health gate. Zero: there is no gate, and nobody waits for kubelet.
	Wait time.Duration
	// SkipRehearsal leaves the proof to the health gate alone.
	SkipRehearsal bool
	// Drain moves the pods of the node elsewhere before anything is switched; nil leaves them.
	Drain *drain.Options
	// Fetched is called when the binary has been fetched, Phase when a phase begins, Done after each step. nil is fine.
	Fetched func()
	Phase   func(Phase)
	Done    func(plan.Step)

	always bool // it is rehearsed also when nothing has to be switched
}

// RolledBackError reports that a change failed and that the host is again as it was before.
type RolledBackError struct {
	Cause error
	// To says what the host is back at.
	To string
	// Ill says why the former kubelet, which runs again, is not healthy; nil when it is.
	Ill error
}

func (e *RolledBackError) Error() string {
	text := fmt.Sprintf("%v; the change was rolled back: %s", e.Cause, e.To)
	if e.Ill != nil {
		text += fmt.Sprintf("; it runs but is not healthy: %v", e.Ill)
	}
	return text
}
func (e *RolledBackError) Unwrap() error { return e.Cause }

// NotRolledBackError reports that a change failed and that not all of it could be undone. The change stays pending.
type NotRolledBackError struct {
	// Cause is why the change failed.
	Cause error
	// Left says what could not be put back, and why.
	Left []error
}

func (e *NotRolledBackError) Error() string {
	return fmt.Sprintf("%v; the change could not be rolled back fully: %v", e.Cause, lines(e.Left))
}
func (e *NotRolledBackError) Unwrap() error { return e.Cause }

// Hint says what to do about it.
func (e *NotRolledBackError) Hint() string {
	return "remove what is in the way; then kubeletctl install, or " + systemd.RecoverService + " by itself, tries again to go back"
}

func lines(errs []error) string {
	var list []string
	for _, err := range errs {
		list = append(list, err.Error())
	}
	return strings.Join(list, "; ")
}

// Apply carries out a change. It has two halves. In the first the binary is fetched, checked and rehearsed: nothing of the
// host changes, and a failure leaves nothing but a download to go on with. The second begins by observing and planning again,
// since minutes may have passed; from then on any failure up to the commit, and the end of ctx, leads back to the host as it
// was, with a *RolledBackError, or a *NotRolledBackError for what could not be put back. The caller holds the lock.
func (h *Host) Apply(ctx context.Context, c *Change, o ApplyOptions) (plan.Outcome, error) {
	return attempt{h, c, o}.run(ctx)
}

// attempt is one change that is being carried out, as the user wants it. A firstHalf is one of which nothing is done yet, a
// transaction one that can be undone.
type attempt struct {
	host    *Host
	change  *Change
	options ApplyOptions
}

func (a attempt) run(ctx context.Context) (plan.Outcome, error) {
	h, c, o := a.host, a.change, a.options
	if err := c.Refused(); err != nil {
		return "", err
	}
	if c.Plan.Empty() && c.Have != nil && !c.Have.Snapshot && !c.Want.Snapshot {
		if err := c.recordOnly(h.Store(), o.Command); err != nil {
			return "", err
		}
		return plan.Unchanged, a.stillWell(ctx)
	}
	if err := a.checkDirectories(); err != nil {
		return "", err
	}
	if err := a.mayDrain(ctx); err != nil {
		return "", Interrupted(ctx, err)
	}
	t, err := firstHalf{a}.run(ctx)
	if err == nil {
		err = c.renewRecovery(h)
	}
	if err == nil {
		err = a.stepAside(ctx)
	}
	if err == nil {
		err = a.planAgain(ctx)
	}
	if err != nil {
		a.comeBack(ctx, err)
		return "", Interrupted(ctx, unchanged(err))
	}
	o.enter(Switching)
	outcome, err := a.transact(ctx, t)
	a.comeBack(ctx, err)
	if err != nil {
		h.log("%s ended: %v", o.Command, err)
		return outcome, err
	}
	h.log("%s ended: %s", o.Command, outcome)
	if c.Plan.OnlyTools() {
		return outcome, nil
	}
	return outcome, a.foreignDropIns(ctx)
}

// transact is the second half of a change.
func (a attempt) transact(ctx context.Context, t trial) (plan.Outcome, error) {
	h, c, o := a.host, a.change, a.options
	tx, err := a.begin(ctx, t)
	if err != nil {
		return "", Interrupted(ctx, unchanged(err))
	}
	if c.Want.Snapshot {
		h.log("%s begins", o.Command)
	} else {
		h.log("%s begins: kubelet %s, generation %d", o.Command, c.Want.Version, c.number)
	}
	outcome, err := tx.run(ctx)
	if err != nil {
		return "", tx.fail(ctx, Interrupted(ctx, err))
	}
	return outcome, a.finish(ctx, outcome)
}

// foreignDropIns reports, as an error, that what was installed is not what runs, although all was done that could be.
func (a attempt) foreignDropIns(ctx context.Context) error {
	h, c := a.host, a.change
	names := c.Seen.ForeignOverrides(c.Want)
	if len(names) == 0 || c.Want.Snapshot {
		return nil
	}
	var log []kubeletlog.Entry
	if state, err := h.Units.State(ctx, systemd.KubeletService); err == nil && health.ExitReason(state, 0) != "" {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		log, _ = health.Log(ctx, state) // the drop-in is to blame, whatever kubelet says
	}
	reason, _ := kubeletlog.Reason(log)
	return &ForeignDropInError{names, diagnose.ForeignCause(h.Observer(), reason.Text(), c.Want), c.Want.Version}
}

// UnchangedError reports that a change cannot be made, because a file system is full or read-only, or because a cluster does not
// take the host. Nothing was changed.
type UnchangedError struct{ Err error }

func (e *UnchangedError) Error() string { return e.Err.Error() }
func (e *UnchangedError) Unwrap() error { return e.Err }

// unchanged marks an error of before anything was changed.
func unchanged(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EDQUOT) {
		return &UnchangedError{err}
	}
	return err
}

// Interrupted adds to an error that the context has ended.
func Interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(err, ErrInterrupted) {
		return err
	}
	return &endedError{ContextError(ctx), err}
}

// endedError is what a run was doing when its context ended, and why that ended, which is said once.
type endedError struct{ why, err error }

func (e *endedError) Error() string {
	return e.why.Error() + ": " + strings.TrimSuffix(e.err.Error(), ": "+ErrInterrupted.Error())
}
func (e *endedError) Unwrap() []error { return []error{e.why, e.err} }

// checkDirectories refuses a change that stops kubelet where neither the new nor the former one could write what it has to.
func (a attempt) checkDirectories() error {
	h, c := a.host, a.change
	if !h.Live || c.Want.Snapshot || !c.Want.Runs() || !c.Plan.StartsKubelet() {
		return nil
	}
	if problems := preflight.Directories(h.Tree, c.Want); len(problems) > 0 {
		return &preflight.FailedError{Problems: problems}
	}
	return nil
}

// planAgain observes the host again, right before it is changed, and plans again. What came into conflict since is refused;
// what was allowed stays allowed.
func (a attempt) planAgain(ctx context.Context) error {
	h, c := a.host, a.change
	if !c.Want.Snapshot && !c.options.Restart && !c.Plan.OnlyTools() {
		stale, err := preflight.StaleCheckpoints(h.Observer(), c.Want, c.Have)
		if err != nil {
			return err
		}
		if !c.resets {
			err = refuseCheckpoints(stale)
			stale = nil
		}
		if c.options.Checkpoints = stale; err != nil {
			return err
		}
	}
	if err := preflight.CheckKubeadm(h.Observer(), c.Want); err != nil && !c.options.OnlyTools { // kubeadm may have been at work, too
		return err
	}
	now, err := h.prepare(ctx, c.Want, c.Have, c.options)
	if err != nil {
		return err
	}
	if c.options.Restart {
		if err := h.refuseRestart(c.Want, now.Seen); err != nil {
			return err
		}
	}
	if len(now.Plan.Blocked) > 0 {
		return &ConflictError{Conflicts: now.Plan.Blocked, Blocked: true, Late: true}
	}
	late := slices.DeleteFunc(slices.Clone(now.Plan.Conflicts), func(x plan.Conflict) bool {
		return slices.ContainsFunc(c.Plan.Conflicts, func(y plan.Conflict) bool { return x.Path == y.Path })
	})
	if len(late) > 0 {
		return &ConflictError{Conflicts: late, Late: true}
	}
	c.Seen, c.Plan = now.Seen, now.Plan
	return a.checkDirectories()
}

// recordOnly updates the record of a host that already is what is wanted: the spec or the trust may be said differently
// now, with the same result.
func (c *Change) recordOnly(s store.Store, command string) error {
	if c.Have.Damage != nil {
		return c.recordAnew(s, command)
	}
	c.Want.Number, c.Want.Created, c.Want.Command, c.Want.User = c.Have.Number, c.Have.Created, c.Have.Command, c.Have.User
	c.Want.Changes, c.Want.OnlyTools = c.Have.Changes, c.Have.OnlyTools
	c.Want.Dirs, c.Want.URL, c.Want.Outcome, c.Want.Invocation, c.Want.Took = c.Have.Dirs, c.Have.URL, c.Have.Outcome, c.Have.Invocation, c.Have.Took
	old, err := json.Marshal(c.Have)
	if err != nil {
		return err
	}
	wanted, err := json.Marshal(c.Want)
	if err != nil || bytes.Equal(old, wanted) && sameJSON(c.Have.Spec, c.Want.Spec) && slices.Equal(c.Have.Args, c.Want.Args) && s.Directory(c.Want.Number).Keeps(c.Want) {
		return err
	}
	if err := s.Convert(c.Want); err != nil {
		return err
	}
	c.Recorded = spec.Changes(c.Have, c.Want)
	return s.Commit(c.Want)
}

// recordAnew records the current generation, of which the record is damaged, as what the host is.
func (c *Change) recordAnew(s store.Store, command string) error {
	stamp(c.Want, c.Have.Number, command)
	c.Want.Outcome, c.Want.Dirs, c.Want.URL = plan.Installed, c.Have.Dirs, c.Have.URL
	if err := errors.Join(s.Convert(c.Want), s.Directory(c.Have.Number).Forget()); err != nil {
		return err
	}
	return s.Commit(c.Want)
}

// sameJSON reports whether two documents are the same but for white space.
func sameJSON(a, b []byte) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

// stillWell looks whether the kubelet of a host that needs no change is well, or on its way there: a provisioning tool
// takes success for a working kubelet.
func (a attempt) stillWell(ctx context.Context) error {
	h, c, o := a.host, a.change, a.options
	if err := a.foreignDropIns(ctx); err != nil {
		return err
	}
	if lost := preflight.CheckLost(h.Observer(), c.Want); len(lost) > 0 && h.Live && !a.up(ctx) {
		return &NotWellError{&preflight.FailedError{Problems: lost}}
	}
	if !a.gated() {
		return nil
	}
	if a.up(ctx) && (c.Want.HealthURL == "" || health.Probe(ctx, c.Want.HealthURL).OK) && len(c.Seen.OtherProcess(c.Want)) == 0 {
		return nil
	}
	o.enter(Waiting)
	g := gate{host: h, want: c.Want, wait: o.Wait, patience: o.Wait, restarts: c.Plan.Restarts(c.Seen)}
	if err := g.pass(ctx); err != nil {
		return &NotWellError{err}
	}
	return nil
}

// NotWellError reports that a kubelet of which nothing differs from what is wanted does not become healthy.
type NotWellError struct{ Err error }

func (e *NotWellError) Error() string {
	return fmt.Sprintf("there is nothing to change, but kubelet is not healthy: %v", e.Err)
}
func (e *NotWellError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *NotWellError) Hint() string {
	hint := "kubeletctl status shows how it is"
	if ill := (*GateError)(nil); errors.As(e.Err, &ill) {
		if hint = ill.Hint(); ill.Diagnosis.Foreign || ill.Diagnosis.Cause != "" {
			return hint
		}
	}
	return hint + "; kubeletctl restart starts it anew"
}

// ForeignDropInError reports that a drop-in of somebody else's sets kubelet's command line, which repair leaves as it is.
type ForeignDropInError struct {
	Paths []string
	// Line is what sets it.
	Line string
	// Version is what is installed.
	Version release.Version
}

func (e *ForeignDropInError) Error() string {
	verb, line := " sets", ""
	if len(e.Paths) > 1 {
		verb = " set"
	}
	if e.Line != "" {
		line = " (" + e.Line + ")"
	}
	return strings.Join(e.Paths, ", ") + verb + " kubelet's command line, so that another kubelet runs than the one that is installed" + line
}

// Hint says what to do about it.
func (e *ForeignDropInError) Hint() string { return dropInHint(e.Version) }

// dropInHint says what to do about a drop-in that sets the command line of a kubelet that is installed.
func dropInHint(installed release.Version) string {
	return fmt.Sprintf("remove the drop-in, or mask it: kubeletctl upgrade --version %s --force; uninstall gives it back", installed)
}

// up reports whether kubelet is active.
func (a attempt) up(ctx context.Context) bool {
	state, err := a.host.Units.State(ctx, systemd.KubeletService)
	return err == nil && state.ActiveState == "active"
}

// stamp fills in what only the clock and the machine know.
func stamp(g *plan.Generation, n int, command string) {
	g.Number, g.Command, g.Created = n, command, time.Now().UTC().Truncate(time.Second)
	g.Outcome, g.Reason, g.Tried, g.Invocation, g.Took = "", "", "", "", 0
	if u, err := user.Current(); err == nil {
		g.User = u.Username
		if sudo := os.Getenv("SUDO_USER"); sudo != "" {
			g.User = sudo + " (sudo)"
		}
	}
}
