package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/release"
)

// adoption is what --adopt found on the host; its zero value is none.
type adoption struct {
	found *install.Found
	spec  *install.Spec
	// pinned is what a digest of spec was given for.
	pinned release.Version
}

// findToAdopt reads the kubelet of this host and carries it over. On a host that kubeletctl looks after already it
// begins with what was installed there last.
func (a *app) findToAdopt(ctx context.Context, h *install.Host, o *installOptions) (adoption, error) {
	current, err := h.Store().Current()
	if err != nil {
		return adoption{}, err
	}
	if current != nil && !current.Snapshot {
		return adoption{spec: current.Spec, pinned: current.Version}, nil
	}
	found, err := h.Find(ctx)
	if err != nil {
		return adoption{}, withHint(err, "without --adopt, install begins anew")
	}
	to := found.Version
	if o.spec.Version != "" {
		if to, err = install.TargetVersion(o.spec.Version); err != nil {
			return adoption{}, &usageError{fmt.Errorf("--adopt needs an exact --version: %w", err)}
		}
	}
	if to.IsZero() {
		return adoption{}, &usageError{withHint(errors.New("the version of the kubelet on this host is not known"), "name it: --version v1.36.3")}
	}
	m, err := found.Adopt(to, o.spec.Profile)
	if err != nil {
		return adoption{}, err
	}
	a.note("adopting the kubelet of " + found.Unit)
	if a.talks() {
		printItems(a.err, to.String(), m.Items)
	}
	for _, setting := range found.Lost {
		a.note("not taken over: " + setting + "; a drop-in in kubelet.service.d can bring it back")
	}
	if impossible := m.Impossible(); len(impossible) > 0 && o.specFile == "" {
		refusal := &install.PreflightError{}
		for _, i := range impossible {
			refusal.Problems = append(refusal.Problems, install.Problem{ID: "adopt", Severity: install.Failure, Message: i.Item + ": " + i.Why,
				Hint: "decide about it: kubeletctl config migrate prints a spec without it, for install --adopt -f"})
		}
		return adoption{}, refusal
	}
	spec := m.Spec
	return adoption{found: found, spec: spec}, nil
}

// confirm makes the takeover something to be asked about, even when no file is overwritten.
func (x adoption) confirm(p *install.Plan) {
	if x.found == nil || p.Empty() {
		return
	}
	for _, c := range p.Conflicts {
		if c.Path == x.found.Unit {
			return
		}
	}
	p.Conflicts = append(p.Conflicts, install.Conflict{Path: x.found.Unit, Reason: "the kubelet that it runs is taken over"})
}
