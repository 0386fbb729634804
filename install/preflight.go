package install

import (
	"context"
	"errors"
	"io/fs"

	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/preflight"
)

// Preflight looks for what speaks against a change from one release to another, before anything is touched. A change without
// steps is not looked at.
func (h *Host) Preflight(ctx context.Context, c *Change) []preflight.Problem {
	if c.Plan.Empty() || !c.changesMinor() {
		return nil
	}
	if problem := h.skew(ctx, c); problem != nil {
		return []preflight.Problem{*problem}
	}
	return nil
}

// changesMinor reports whether another minor release than the installed one is wanted; also when none is installed.
func (c *Change) changesMinor() bool {
	return c.Have == nil || c.Have.Version.Minor() != c.Want.Version.Minor()
}

// skew asks the API server of a joined kubelet whether it takes the wanted one. One that does not answer says nothing against it.
func (h *Host) skew(ctx context.Context, c *Change) *preflight.Problem {
	file := c.Want.Kubeconfig()
	if !h.Live || file == "" {
		return nil
	}
	server, err := node.ReleaseFor(ctx, h.Tree, file)
	switch {
	case errors.Is(err, fs.ErrNotExist): // not joined yet
		return nil
	case err != nil:
		h.note("the API server could not be asked whether kubelet %s fits it: %v", c.Want.Version, err)
		return nil
	}
	back := c.Have != nil && c.Have.Version.Minor() > c.Want.Version.Minor()
	return preflight.CheckSkew(c.Want.Version, server.Minor, "the API server, which is "+server.Version, back)
}
