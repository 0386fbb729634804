package install

import (
	"context"
	"fmt"

	"github.com/kubeletctl/kubeletctl/install/plan"
)

// RecoverVerb is the verb with which systemd.RecoverService runs the copy of kubeletctl.
const RecoverVerb = "recover"

// recovery ends a change that a killed run, or a power cut, left in the middle.
type recovery struct {
	host *Host
	// queue asks for kubelet's start and does not wait for it: at boot it waits for us.
	queue bool
}

// Recover ends a change that was left in the middle: one that was committed goes on to its end, any other is undone. It
// returns a line that says what it did, or nothing. What could not be undone is a *NotRolledBackError. The caller holds the
// lock.
func (h *Host) Recover(ctx context.Context, queue bool) (string, error) {
	n, pending, err := h.Store().Pending().Number()
	if err == nil && !pending {
		h.comeBack(ctx, queue)
		h.Cluster().settleJoin()
		return "", reclaim(h)
	}
	if err != nil {
		return "", err
	}
	if err := h.Store().Pending().DropTemporary(n); err != nil {
		return "", err
	}
	done, err := recovery{h, queue}.run(ctx, n)
	if err != nil {
		return "", err
	}
	h.disarm(ctx)
	h.comeBack(ctx, queue)
	h.Cluster().settleJoin()
	return done, nil
}

// reclaim keeps a binary that a run of an older kubeletctl has named and not installed.
func reclaim(h *Host) error {
	current, err := h.Store().Current()
	if err != nil {
		return err
	}
	return h.Store().Downloads().Reclaim(current, h.Observer().Has)
}

func (r recovery) run(ctx context.Context, n int) (string, error) {
	current, err := r.host.Store().Current()
	if err != nil {
		return "", err
	}
	switch {
	case current != nil && current.Snapshot:
		return r.uninstall(ctx)
	case current != nil && (current.Number == n || r.host.Store().Directory(n).IsEvent()):
		return "", r.cleanUp(ctx, current, n)
	}
	return r.undo(ctx, n, current)
}

// uninstall goes on with an uninstall that was committed.
func (r recovery) uninstall(ctx context.Context) (string, error) {
	c, err := r.host.PrepareUninstall(ctx, false)
	if err != nil {
		return "", err
	}
	if err := (attempt{host: r.host, change: c}).finish(ctx, plan.Removed); err != nil {
		return "", err
	}
	return "an uninstall was interrupted; it is done now", nil
}

// cleanUp goes on with a change that was committed: what earlier generations installed, and the current one does not want,
// goes.
func (r recovery) cleanUp(ctx context.Context, current *plan.Generation, n int) error {
	all, err := r.host.Store().List()
	if err != nil {
		return err
	}
	c, err := r.host.prepare(ctx, current, plan.Merge(current, all), plan.Options{})
	if err != nil {
		return err
	}
	c.number = n
	for _, g := range all {
		if g.Number < current.Number {
			c.Have = g // so that prune keeps the one before
		}
	}
	return attempt{host: r.host, change: c}.finish(ctx, current.Outcome)
}

// undo goes back from a change that was not committed.
func (r recovery) undo(ctx context.Context, n int, current *plan.Generation) (string, error) {
	before, err := r.host.Store().Directory(n).Previous()
	if err != nil {
		return "", err
	}
	tried, err := r.host.Store().Directory(n).Target()
	if err != nil {
		return "", err
	}
	tried.Reason = "kubeletctl was interrupted"
	back := wayBack{host: r.host, tried: tried, before: before, current: current, queue: r.queue}
	if left := back.take(ctx); len(left) > 0 {
		return "", &NotRolledBackError{Cause: fmt.Errorf("an earlier run was interrupted while it changed this host (generation %d)", n), Left: left}
	}
	return fmt.Sprintf("an earlier run was interrupted while it changed this host; undone: %s", describe(before)), nil
}
