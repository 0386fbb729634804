package install

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/label"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/store"
)

// Difference is how a host differs from the current generation.
type Difference struct {
	Generation int
	Drift      []plan.Drift
	// Text is a unified diff from what was installed to what is there. It may hold secrets.
	Text []byte
	// Unchecked are what could not be looked at, each with the reason.
	Unchecked []string
}

// Diff compares the host with the current generation; nil when nothing is installed.
func (h *Host) Diff(ctx context.Context) (*Difference, error) {
	current, err := h.Installed()
	if err == store.ErrNotInstalled { //nolint:errorlint // with nothing here that would have to be said
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	seen, err := h.Observer().Observe(ctx, current)
	if err != nil {
		return nil, err
	}
	if h.Live {
		seen.NodeLabels = label.OfNode(ctx, h.Tree, current)
	}
	d := &Difference{Generation: current.Number, Drift: seen.DriftFrom(current), Text: seen.FilesDiff(current)}
	for _, name := range slices.Sorted(maps.Keys(seen.Unreadable)) {
		d.Unchecked = append(d.Unchecked, fmt.Sprintf("%s: %v", name, hostfs.Pathless(seen.Unreadable[name])))
	}
	return d, nil
}
