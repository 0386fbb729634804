package install

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/preflight/facts"
	"github.com/kubeletctl/kubeletctl/install/spec"
)

// Preflight looks for what speaks against a change to a generation that was installed before, before anything is touched: what is
// so with any release has been accepted then. Of a change without steps, or to the same release, there is nothing to say.
func (h *Host) Preflight(ctx context.Context, c *Change) []preflight.Problem {
	if c.Plan.Empty() || c.sameRelease() {
		return nil
	}
	problems, _ := h.surroundings(c)
	if problem := h.skew(ctx, c); problem != nil {
		problems = append(problems, *problem)
	}
	return problems
}

// PreflightHost looks for what would keep this host from running the kubelet of a draft. Of a change without steps only the
// container runtime is looked at, since a host that needs none is not refused; unless all is asked for, as by a user who wants
// to know.
func (h *Host) PreflightHost(ctx context.Context, c *Change, all bool) []preflight.Problem {
	if c.Plan.Empty() && !all {
		return h.runtimeOnly(ctx, c)
	}
	var problems []preflight.Problem
	k := preflight.Of(c.Draft, c.Seen)
	k.Joins = c.joins
	switch {
	case h.Live:
		k.Booting, k.Back = h.Units.Booting(ctx), c.back()
		where := k.Where(h.Observer())
		where.AskRuntime = h.AskRuntime != nil
		if all || !c.sameMinor() {
			where.Kubeconfig = c.Want.Kubeconfig()
		}
		problems = preflight.Check(k, facts.Collect(ctx, where))
	case all: // what its configuration alone tells
		problems = preflight.Check(k, &facts.Facts{})
	}
	if c.options.TakeOver != "" {
		accept(problems)
	}
	if c.sameRelease() && !all {
		return problems
	}
	more, known := h.surroundings(c)
	if known { // the API server of this node, which counts
		problems = slices.DeleteFunc(problems, func(p preflight.Problem) bool { return p.ID == preflight.Skew })
	}
	return append(problems, more...)
}

// PreflightDraft is PreflightHost with all for a draft, and returns the change that would lead to it; nil when it cannot be
// planned. What refuses the change is among the problems.
func (h *Host) PreflightDraft(ctx context.Context, d *spec.Draft) (*Change, []preflight.Problem, error) {
	c, err := h.Prepare(ctx, d, PrepareOptions{})
	var failed *preflight.FailedError
	if err == nil {
		return c, h.PreflightHost(ctx, c, true), nil
	}
	if !errors.As(err, &failed) {
		return nil, nil, err
	}
	c = &Change{Want: d.Generation, Draft: d, Plan: &plan.Plan{}}
	if c.Have, err = h.have(); err == nil {
		c.Seen, err = h.Observer().Observe(ctx, c.Want, c.Have)
	}
	if err != nil {
		return nil, nil, err
	}
	return nil, append(h.PreflightHost(ctx, c, true), failed.Problems...), nil
}

// runtimeOnly looks at the container runtime of a host that needs no change.
func (h *Host) runtimeOnly(ctx context.Context, c *Change) []preflight.Problem {
	endpoint, err := preflight.Endpoint(c.Want)
	if !h.Live || err != nil {
		return nil
	}
	if problem := preflight.CheckRuntime(ctx, endpoint, config.Minor(c.Want.Version.Minor()), h.AskRuntime); problem != nil {
		return []preflight.Problem{*problem}
	}
	return nil
}

func (c *Change) sameRelease() bool { return c.Have != nil && c.Have.Version == c.Want.Version }

func (c *Change) sameMinor() bool {
	return c.Have != nil && c.Have.Version.Minor() == c.Want.Version.Minor()
}

// surroundings are what kubeadm, the API server of this node and the packages of the distribution have to do with a change to
// another release. known reports whether there is such an API server.
func (h *Host) surroundings(c *Change) (problems []preflight.Problem, known bool) {
	problems = preflight.CheckKubeadmNode(h.Observer(), c.Want, c.Have)
	own, known := preflight.CheckControlPlane(h.Observer(), c.Want, c.back())
	if own != nil && !c.sameMinor() {
		problems = append(problems, *own)
	}
	if problem := preflight.CheckPackages(h.Tree); problem != nil {
		problems = append(problems, *problem)
	}
	if c.options.TakeOver != "" {
		accept(problems)
	}
	return problems, known
}

// accept makes warnings of errors: what runs already with them is no reason to refuse it.
func accept(problems []preflight.Problem) {
	for i := range problems {
		if problems[i].Severity == preflight.Failure {
			problems[i].Severity = preflight.Warning
		}
	}
}

// back reports whether a kubelet of a newer minor release is installed, or one that is taken over as it is.
func (c *Change) back() bool {
	return c.options.TakeOver != "" || c.Have != nil && c.Have.Version.Minor() > c.Want.Version.Minor()
}

// skew holds a kubelet of another minor release against the API server that it is joined to. One that does not answer says nothing
// against it.
func (h *Host) skew(ctx context.Context, c *Change) *preflight.Problem {
	file := c.Want.Kubeconfig()
	if _, known := preflight.CheckControlPlane(h.Observer(), c.Want, false); known || c.sameMinor() || !h.Live || file == "" {
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
	return preflight.CheckSkew(c.Want.Version, server.Minor, "the API server, which is "+server.Version, c.back())
}
