package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// membership is what a kubelet was to its cluster before a change, and has to be afterwards; nil for nothing.
type membership struct {
	kubeconfig, name string
	ready            bool
}

// member finds out, before kubelet is touched, whether the cluster hears from this host.
func (f firstHalf) member(ctx context.Context) *membership {
	h, c := f.host, f.change
	file := c.Want.Kubeconfig()
	if file == "" || !c.Plan.StartsKubelet() || !f.gated() || c.Have != nil && c.Have.Kubeconfig() != file {
		return nil
	}
	current := c.Have
	if current == nil {
		current = c.Want
	}
	n, err := node.OfHost(ctx, h.Tree, file, "", current)
	var status *node.StatusError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.As(err, &status):
		return nil // not joined yet, or not any more: there is nothing to lose
	case err != nil:
		h.note("whether this node stays joined to its cluster cannot be watched: %v", err)
		return nil
	case n.Ready == "Unknown":
		return nil
	}
	return &membership{kubeconfig: file, name: n.Name, ready: n.IsReady()}
}

// missing says what is missing of the membership, or nothing. unknown reports that nobody could say.
func (m *membership) missing(ctx context.Context, tree hostfs.Tree, g *plan.Generation, started time.Time) (what string, unknown bool) {
	if m == nil {
		return "", false
	}
	n, err := node.OfHost(ctx, tree, m.kubeconfig, m.name, g)
	var status *node.StatusError
	switch {
	case errors.As(err, &status):
		return fmt.Sprintf("kubelet is healthy, but its credentials do not lead to the node %s any more: %v", m.name, err), false
	case err != nil:
		return err.Error(), true
	case !n.HeardSince(started):
		return fmt.Sprintf("kubelet is healthy, but the API server did not hear from the node %s since it was started", m.name), false
	case m.ready && !n.IsReady():
		return fmt.Sprintf("kubelet is healthy, but the node %s is not Ready, as it was before: %s", m.name, n.Message), false
	}
	return "", false
}
