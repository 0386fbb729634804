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
	around := circumstances{h, c}
	problems, _ := around.surroundings()
	if problem := around.skew(ctx); problem != nil {
		problems = append(problems, *problem)
	}
	return problems
}

// PreflightHost looks for what would keep this host from running the kubelet of a draft. Of a change without steps only the
// container runtime is looked at, since a host that needs none is not refused; unless all is asked for, as by a user who wants
// to know.
func (h *Host) PreflightHost(ctx context.Context, c *Change, all bool) []preflight.Problem {
	if c.Plan.Empty() && !all {
		return circumstances{h, c}.runtimeOnly(ctx)
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
	more, known := circumstances{h, c}.surroundings()
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

// circumstances are those of a change on a host.
type circumstances struct {
	host   *Host
	change *Change
}

// runtimeOnly looks at the container runtime of a host that needs no change.
func (c circumstances) runtimeOnly(ctx context.Context) []preflight.Problem {
	endpoint, err := preflight.Endpoint(c.change.Want)
	if !c.host.Live || err != nil {
		return nil
	}
	if problem := preflight.CheckRuntime(ctx, endpoint, config.Minor(c.change.Want.Version.Minor()), c.host.AskRuntime); problem != nil {
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
func (c circumstances) surroundings() (problems []preflight.Problem, known bool) {
	problems = preflight.CheckKubeadmNode(c.host.Observer(), c.change.Want, c.change.Have)
	own, known := preflight.CheckControlPlane(c.host.Observer(), c.change.Want, c.change.back())
	if own != nil && !c.change.sameMinor() {
		problems = append(problems, *own)
	}
	if problem := preflight.CheckPackages(c.host.Tree); problem != nil {
		problems = append(problems, *problem)
	}
	if c.change.options.TakeOver != "" {
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
func (c circumstances) skew(ctx context.Context) *preflight.Problem {
	file := c.change.Want.Kubeconfig()
	if _, known := preflight.CheckControlPlane(c.host.Observer(), c.change.Want, false); known || c.change.sameMinor() || !c.host.Live || file == "" {
		return nil
	}
	server, err := node.ReleaseFor(ctx, c.host.Tree, file)
	switch {
	case errors.Is(err, fs.ErrNotExist): // not joined yet
		return nil
	case err != nil:
		c.host.note("the API server could not be asked whether kubelet %s fits it: %v", c.change.Want.Version, err)
		return nil
	}
	return preflight.CheckSkew(c.change.Want.Version, server.Minor, "the API server, which is "+server.Version, c.change.back())
}
