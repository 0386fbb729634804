package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/adopt"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// adoption is what --adopt found on the host; its zero value is none.
type adoption struct {
	found  *adopt.Found
	spec   *spec.Spec
	dropIn []byte // what is kept of the former unit
	// current is the generation that is looked after already; nil for none.
	current *plan.Generation
}

// findToAdopt reads the kubelet of this host and carries it over. On a host that kubeletctl looks after already it
// begins with what was installed there last.
//
// file is the spec file, which says what is wanted in the place of what is found.
func findToAdopt(a *app, ctx context.Context, h *install.Host, o *installOptions, file spec.Spec) (adoption, error) {
	current, err := h.Store().Current()
	if err != nil {
		return adoption{}, err
	}
	if current != nil && !current.Snapshot && current.Damage == nil {
		recorded, err := recordedSpec(current)
		return adoption{spec: &recorded, current: current}, err
	}
	found, err := adopt.Find(ctx, h.Observer(), a.Note)
	if err != nil {
		if masked, ok := errors.AsType[*observe.MaskedError](err); ok {
			return adoption{}, masked
		}
		return adoption{}, withHint(err, "without --adopt, install starts from scratch")
	}
	asked := o.spec.Version
	if request, err := release.ParseRequest(file.Version); asked == "" && err == nil {
		if version, exact := request.Exact(); exact {
			asked = version.String()
		}
	}
	to, name, err := adoptedRelease(found, asked)
	if err != nil {
		return adoption{}, err
	}
	profile := cmp.Or(o.spec.Profile, file.Profile)
	if file.HasFile {
		profile = cmp.Or(profile, config.Hardened)
	}
	m, err := found.Adopt(to, profile)
	if err != nil {
		return adoption{}, err
	}
	tellAdoption(a, name, found, m)
	if !file.HasFile {
		if err := refuseImpossible(m); err != nil {
			return adoption{}, err
		}
	}
	return adoption{found: found, spec: m.Spec, dropIn: m.DropIn}, m.Spec.Attribute(spec.Spec{}, spec.ByAdoption)
}

// adoptedRelease is the release that a found kubelet goes to: the one that is asked for, or else its own.
func adoptedRelease(found *adopt.Found, asked string) (to release.Version, name string, err error) {
	to, name = found.Version, found.Version.String()
	if asked != "" {
		name = spec.TargetName(asked)
		if to, err = spec.TargetVersion(asked); err != nil {
			return to, name, &usageError{fmt.Errorf("--adopt needs an exact --version: %w", err)}
		}
	}
	if to.IsZero() {
		return to, name, &usageError{withHint(errors.New("the version of the kubelet on this host is not known"), "use --version v1.36.3")}
	}
	return to, name, nil
}

// tellAdoption says what becomes of all that a found kubelet was told.
func tellAdoption(a *app, to string, found *adopt.Found, m *adopt.Adoption) {
	a.Note("adopting the kubelet of " + found.Unit)
	if found.Version.IsZero() && !found.Kubeadm() {
		a.Note("defaults that changed since its release are not pinned: which release it is, is not known")
	}
	if a.Talks() {
		a.printItems(a.Err, to, m.Items)
	}
	if found.Kubeadm() && m.Spec.Profile != config.Kubeadm {
		a.Warn("kubeadm no longer configures this kubelet: what kubeadm upgrade node writes from now on is not read")
	}
	for _, p := range m.Ignored {
		a.Note("warning: " + p.Error())
	}
	for _, setting := range m.Kept {
		a.Note("kept in " + plan.AdoptedDropIn + ": " + setting)
	}
	for _, setting := range m.Lost {
		a.Note("not taken over: " + setting + "; a drop-in in kubelet.service.d can bring it back")
	}
}

// refuseImpossible refuses an adoption that would change what kubelet does.
func refuseImpossible(m *adopt.Adoption) error {
	refusal := &preflight.FailedError{}
	hint := "kubeletctl config migrate prints a spec without it; edit that, and use install --adopt -f SPEC"
	if m.Spec.Profile == config.Kubeadm {
		hint = "move it to KUBELET_EXTRA_ARGS in " + systemd.KubeadmExtraFiles[0] + ", or take kubelet out of kubeadm's hands with --profile upstream"
	}
	for _, i := range m.Impossible() {
		refusal.Problems = append(refusal.Problems, preflight.Problem{ID: "adopt", Severity: preflight.Failure, Message: i.Item + ": " + i.Why, Hint: hint})
	}
	if len(refusal.Problems) == 0 {
		return nil
	}
	return refusal
}
