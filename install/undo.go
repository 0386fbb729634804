package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/systemd"
)

const (
	// undoTimeout bounds the way back, which is gone even if the user asked us to stop.
	undoTimeout = 2 * time.Minute
	// undoWait is how long the former kubelet gets to become healthy again.
	undoWait = time.Minute
)

// wayBack leads to the host as it was before a change. Only a transaction and the recovery have one.
type wayBack struct {
	host *Host
	// tried is what the change was to lead to; before is the host right before it.
	tried, before *plan.Generation
	// current is the generation that counts; nil for none.
	current *plan.Generation
	// queue asks for kubelet's start and does not wait for it.
	queue bool

	ill error // why the former kubelet is not healthy
}

// take goes back as far as that is possible, and returns what could not be put back. Then the change stays pending.
func (w *wayBack) take(ctx context.Context) (left []error) {
	h := w.host
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if h.Live { // what systemd says of units that were just enabled or disabled is what it read last
		if err := h.Units.Reload(ctx); err != nil {
			return []error{err}
		}
	}
	w.keepPrograms()
	seen, err := h.Observer().Observe(ctx, w.before, w.tried)
	if err != nil {
		return []error{err}
	}
	c := &Change{Want: w.before, Have: w.tried, Seen: seen, Plan: plan.NewPlan(w.before, w.tried, seen, plan.Options{OnlyTools: w.tried.OnlyTools})}
	for _, f := range slices.Concat(w.before.Files, w.tried.Files) {
		if err := seen.Unreadable[f.Path]; err != nil {
			left = append(left, fmt.Errorf("looking at %s: %w", f.Path, err))
			delete(seen.Unreadable, f.Path)
		}
	}
	for _, b := range c.Plan.Blocked {
		left = append(left, fmt.Errorf("%s: %s", b.Path, b.Reason))
	}
	e := executor{host: h, change: c, wait: undoWait, queue: w.queue, kill: true}
	for _, s := range c.Plan.Steps {
		if s.Action == plan.Stage { // the way back asks no source
			h.note("%s is damaged, and was before: kubeletctl repair fetches it again", s.Target)
			continue
		}
		w.keepDownload(s)
		err := e.do(ctx, s)
		var failed *GateError
		switch starts := s.Target == systemd.KubeletService && (s.Action == plan.Start || s.Action == plan.Restart); {
		case starts && errors.As(err, &failed):
			w.ill = err // it is what it was before
		case err != nil:
			left = append(left, err)
		}
	}
	if w.ill == nil && w.before.Runs() && c.Plan.Disturbs() && !c.Plan.OnlyTools() && !w.queue {
		g := gate{host: h, want: w.before, wait: undoWait, patience: undoWait, restarts: c.Plan.Restarts(c.Seen), foreign: true}
		w.ill = g.pass(ctx)
	}
	if len(left) > 0 {
		return left
	}
	return w.close(ctx)
}

// keepDownload makes the binary that a step is about to remove a download again, so that another try need not fetch it. After
// a first install nothing is to be left.
func (w *wayBack) keepDownload(s plan.Step) {
	if s.Action != plan.Remove || !s.File.FromRelease() || w.current == nil || w.current.Snapshot {
		return
	}
	if err := w.host.Store().Downloads().Reclaim(w.before, w.host.Observer().Has); err != nil {
		w.host.note("keeping the download: %v", err)
	}
}

// close ends the record of the change that was undone.
func (w *wayBack) close(ctx context.Context) (left []error) {
	h := w.host
	w.tried.Number = w.before.Number
	if err := errors.Join(w.recordProgram(), h.Store().Pending().Abandon(w.tried, w.current)); err != nil {
		return []error{err}
	}
	if err := h.Store().Downloads().Forget(); err != nil {
		return []error{err}
	}
	h.disarm(ctx)
	return nil
}

// recordProgram records that what recovers is of the kubeletctl of this change, when that has replaced it: the former one's
// bytes are nowhere any more.
func (w *wayBack) recordProgram() error {
	if w.current == nil || w.current.Snapshot || w.current.Damage != nil {
		return nil
	}
	changed := false
	for i, f := range w.current.Files {
		if now := w.tried.File(f.Path); f.Kind == plan.Program && now.SHA256 != f.SHA256 && now.Kind == plan.Program && w.host.Observer().Has(now) {
			w.current.Files[i], changed = now, true
		}
	}
	if !changed {
		return nil
	}
	return w.host.Store().Update(w.current)
}

// keepPrograms adds to a snapshot the programs of the current generation, and the link to them, that the host had lost when
// the snapshot was taken, and has again: a way back to a kubelet without its binary is none.
func (w *wayBack) keepPrograms() {
	if w.current == nil {
		return
	}
	for _, f := range w.current.Files {
		if f.Kind != plan.Text && w.before.File(f.Path).Kind == plan.Absent && w.host.Observer().Has(f) {
			w.before.Files = append(w.before.Files, f)
		}
	}
}

// describe says what a snapshot is, for people.
func describe(before *plan.Generation) string {
	if before.Version.IsZero() {
		return "the host is as it was before"
	}
	return fmt.Sprintf("kubelet %s is in place again", before.Version)
}
