package install

import (
	"context"
	"errors"
	"io/fs"

	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/preflight"
)

// Preflight looks for what speaks against a change to another release, before anything is touched. Of a change without steps
// there is nothing to say.
func (h *Host) Preflight(ctx context.Context, c *Change) []preflight.Problem {
	if c.Plan.Empty() || c.Have != nil && c.Have.Version == c.Want.Version {
		return nil
	}
	problems := preflight.CheckKubeadmNode(h.Observer(), c.Want, c.Have)
	if problem := h.skew(ctx, c); problem != nil {
		problems = append(problems, *problem)
	}
	if problem := preflight.CheckPackages(h.Tree); problem != nil {
		problems = append(problems, *problem)
	}
	if c.options.TakeOver != "" { // what runs already is no reason to refuse it
		for i := range problems {
			problems[i].Severity = preflight.Warning
		}
	}
	return problems
}

// skew holds a kubelet of another minor release against the API server: that of a control plane node by its manifest, else the one
// that kubelet is joined to, which is asked. One that does not answer says nothing against it.
func (h *Host) skew(ctx context.Context, c *Change) *preflight.Problem {
	if c.Have != nil && c.Have.Version.Minor() == c.Want.Version.Minor() {
		return nil
	}
	back := c.Have != nil && c.Have.Version.Minor() > c.Want.Version.Minor()
	if problem, known := preflight.CheckControlPlane(h.Observer(), c.Want, back); known {
		return problem
	}
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
	return preflight.CheckSkew(c.Want.Version, server.Minor, "the API server, which is "+server.Version, back)
}
