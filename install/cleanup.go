package install

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// finish deletes what a committed change left over. A run that is killed in it is gone on with by the recovery.
func (a attempt) finish(ctx context.Context, outcome plan.Outcome) error {
	h, c, o := a.host, a.change, a.options
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if err := h.Store().KeepForeign(c.Want, c.Have); err != nil {
		return &CleanupError{fmt.Errorf("recording what was replaced: %w", err)}
	}
	c.rememberPrograms(h.Tree)
	e := executor{host: h, change: c, wait: o.Wait, soft: true}
	for _, s := range c.Plan.Steps {
		if !s.Cleanup {
			continue
		}
		if outcome == plan.Removed && plan.IsRecovery(s.Target) {
			// Nothing is left to recover, and soon there is nothing to do it with.
			if err := h.Store().Pending().Clear(); err != nil {
				return err
			}
			h.disarm(ctx)
		}
		if err := e.do(ctx, s); err != nil {
			return &CleanupError{err}
		}
		if o.Done != nil {
			o.Done(s)
		}
	}
	for _, g := range []*plan.Generation{c.Want, c.Have} {
		if binary := g.Binary(); binary.Path != "" {
			h.Store().Downloads().DropPartials(path.Dir(binary.Path))
		}
	}
	if err := c.settle(ctx, h, outcome); err != nil {
		return &CleanupError{err}
	}
	h.disarm(ctx)
	return nil
}

// CleanupError reports that a change is done, and that what it left over could not be deleted.
type CleanupError struct{ Err error }

func (e *CleanupError) Error() string {
	return fmt.Sprintf("the change is done, but cleaning up after it failed: %v", e.Err)
}
func (e *CleanupError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *CleanupError) Hint() string {
	return "the next run of kubeletctl install, or " + systemd.RecoverService + " by itself, goes on with it"
}

// settle ends the record of a change that was committed.
func (c *Change) settle(ctx context.Context, h *Host, outcome plan.Outcome) error {
	if outcome == plan.Removed {
		return h.Store().Erase()
	}
	if err := c.prune(ctx, h); err != nil {
		h.note("old generations could not be pruned: %v", err)
	}
	return h.Store().Pending().Settle(c.number)
}

// disarm ends the timer of the recovery. One that stays finds nothing to do.
func (h *Host) disarm(ctx context.Context) {
	if err := h.Units.Disarm(ctx); err != nil {
		h.note("stopping %s: %v", systemd.RecoverTimer, err)
	}
}

// prune forgets generations, and deletes their binaries, beyond those that are kept: the newest ones, and as many of the
// newest that differ from each other. The one that was just installed and the one before it always stay, and so does a binary
// that is executed at the moment.
func (c *Change) prune(ctx context.Context, h *Host) error {
	keep := spec.DefaultKeep
	if c.Want.Keep > 0 {
		keep = c.Want.Keep
	}
	s := h.Store()
	all, err := s.List()
	if err != nil {
		return err
	}
	executed := h.Observer().Executed(ctx)
	kept := map[string]bool{} // binaries, by path
	var old []*plan.Generation
	var distinct []*plan.Generation // going back and forth between two must not take away the others
	for i, g := range slices.Backward(all) {
		runs := g.Binary().Path == executed && !kept[executed] // what is executed must be known to some generation
		another := !slices.ContainsFunc(distinct, g.Installs)
		if another = another && len(distinct) < keep; another {
			distinct = append(distinct, g)
		}
		if runs || another || len(all)-i <= keep || g.Number == c.Want.Number || c.Have != nil && g.Number == c.Have.Number {
			for _, f := range g.Binaries() {
				kept[f.Path] = true
			}
		} else {
			old = append(old, g)
		}
	}
	for _, g := range old {
		// One with other bytes than were recorded is somebody else's by now, and stays.
		for _, binary := range g.Binaries() {
			if kept[binary.Path] || !h.Observer().Has(binary) {
				continue
			}
			if err := h.Tree.Remove(binary.Path); err != nil {
				return err
			}
		}
		if err := s.Directory(g.Number).Remove(); err != nil {
			return err
		}
	}
	all = slices.DeleteFunc(all, func(g *plan.Generation) bool { return slices.Contains(old, g) })
	if err := c.pruneDamaged(s, all); err != nil {
		return err
	}
	events, err := s.History().Events()
	if err != nil {
		return err
	}
	for i, n := range slices.Backward(events) {
		if len(events)-i > keep {
			if err := s.Directory(n).Remove(); err != nil {
				return err
			}
		}
	}
	return s.DropUnfinished(c.number)
}

// pruneDamaged forgets damaged generations that are older than all that are kept.
func (c *Change) pruneDamaged(s store.Store, kept []*plan.Generation) error {
	damaged, err := s.Damaged(0)
	if err != nil {
		return err
	}
	for _, d := range damaged {
		isOld := d.Generation > 0 && !slices.ContainsFunc(kept, func(g *plan.Generation) bool { return g.Number <= d.Generation })
		if isOld && (c.Have == nil || d.Generation != c.Have.Number) {
			if err := s.Directory(d.Generation).Remove(); err != nil {
				return err
			}
		}
	}
	return nil
}

// rememberPrograms notes the digests of what was just verified, so that the next run need not read it again: kubelet, this
// what recovers and its copy.
func (c *Change) rememberPrograms(tree hostfs.Tree) {
	known := tree.LoadDigests(observe.DigestsFile)
	for _, f := range c.Want.Files {
		if !f.IsProgram() || f.SHA256 == "" {
			continue
		}
		if info, err := tree.Stat(f.Path); err == nil {
			known.Remember(info, f.SHA256)
		}
		if info, err := os.Stat(c.program); err == nil && f.Kind == plan.Program {
			known.Remember(info, f.SHA256)
		}
	}
	known.Save(tree, observe.DigestsFile)
}
