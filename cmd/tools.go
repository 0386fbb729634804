package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
)

// registerWith registers the flag that says what is installed beside kubelet.
func (o *installOptions) registerWith(c *cobra.Command) {
	c.Flags().StringSliceVar(&o.with, "with", nil, "`PROGRAMS` of the same release to install beside kubelet: kubeadm, kubectl; kubeletctl set --unset with.kubectl removes one")
	completes(c, "with", someOf(release.Tools()...))
	inGroup(c.Flags(), groupRelease)
}

// mergeTools takes over what the command line says of the programs beside kubelet.
func (o *installOptions) mergeTools(f *pflag.FlagSet, s *spec.Spec) error {
	if f.Changed("with") && len(o.with) == 0 {
		return errors.New("--with is empty")
	}
	for _, name := range o.with {
		if !slices.Contains(release.Tools(), name) {
			return fmt.Errorf("--with %s: unknown program: there are %s", name, strings.Join(release.Tools(), " and "))
		}
		s.AddTool(name)
	}
	return nil
}

// withoutSettings are flags beside --with that ask for nothing of kubelet.
var withoutSettings = []string{"with", "source", "ca-file", "require-trust", "connections", "splay"}

// addsTools reports whether an install asks for programs beside kubelet and for nothing of kubelet itself.
func (o *installOptions) addsTools(a *app, c *cobra.Command) bool {
	adds := len(o.with) > 0 && !hasSpecFile(a)
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		asks := slices.Contains([]string{groupRelease, groupNode, groupConfig}, groupOf(f)) && !slices.Contains(withoutSettings, f.Name)
		adds = adds && !(asks && f.Changed)
	})
	return adds
}

// recordedIfAny makes the recorded spec the one to begin with where a kubelet is installed, and returns it; nil where none is.
func (w *work) recordedIfAny(ctx context.Context) (*spec.Spec, error) {
	current, err := w.host.Store().Current()
	if err != nil || current == nil || current.Snapshot {
		return nil, err
	}
	_, recorded, err := w.recorded(ctx)
	return &recorded, err
}

// toolNames lists tools with their releases.
func toolNames(tools []plan.Tool) string {
	var names []string
	for _, t := range tools {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

// registerOnly registers the flag that limits an upgrade.
func (o *installOptions) registerOnly(c *cobra.Command) {
	programs := append([]string{release.Kubelet}, release.Tools()...)
	c.Flags().StringSliceVar(&o.only, "only", nil, "`PROGRAMS` to upgrade, and no others: "+strings.Join(programs, ", "))
	completes(c, "only", someOf(programs...))
	inGroup(c.Flags(), groupRelease)
}

// moves reports whether the release that is asked for is also that of a program.
func (o *installOptions) moves(program string) bool {
	return len(o.only) == 0 || slices.Contains(o.only, program)
}

// checkOnly finds what of --only is not installed, or makes no sense beside other flags.
func (o *installOptions) checkOnly(f *pflag.FlagSet, installed *plan.Generation) error {
	if f.Changed("only") && len(o.only) == 0 {
		return errors.New("--only is empty")
	}
	for _, name := range o.only {
		switch {
		case name == release.Kubelet:
		case !slices.Contains(release.Tools(), name):
			return fmt.Errorf("--only %s: unknown program: there are %s", name, strings.Join(append([]string{release.Kubelet}, release.Tools()...), ", "))
		case installed.Tool(name).Name == "":
			return withHint(fmt.Errorf("--only %s: it is not installed beside kubelet", name), "to install it: kubeletctl install --with "+name)
		}
	}
	if !o.moves(release.Kubelet) && (f.Changed("sha256") || f.Changed("sha512")) {
		return errors.New("--sha256 and --sha512 are the digest of a kubelet, and --only leaves that as it is")
	}
	return nil
}

// upgradesFrom is the newest installed release of what an upgrade is about.
func (o *installOptions) upgradesFrom(installed *plan.Generation) release.Version {
	from := release.Version{}
	if o.moves(release.Kubelet) {
		return installed.Version
	}
	for _, t := range installed.Tools {
		if o.moves(t.Name) && t.Version.Compare(from) > 0 {
			from = t.Version
		}
	}
	return from
}

// shareOut says which programs an upgrade brings to a release, and returns that of kubelet. A tool that is newer stays.
func (w *work) shareOut(target release.Version) (kubelet release.Version) {
	if w.current == nil {
		return target
	}
	for _, t := range w.current.Tools {
		if w.want.moves(t.Name) && (t.Version.Compare(target) < 0 || w.want.allowDowngrade) {
			w.spec.With[t.Name] = target.String()
		}
	}
	if w.want.moves(release.Kubelet) {
		return target
	}
	return w.current.Version
}

// warnOlder tells what is older than what is installed.
func (w *work) warnOlder(d *spec.Draft, have *plan.Generation) {
	if d.Version.Compare(have.Version) < 0 {
		w.app.Warn(fmt.Sprintf("kubelet %s is older than %s, which is installed", d.Version, have.Version))
	}
	for _, t := range d.Generation.Tools {
		if old := have.Tool(t.Name); old.Name != "" && t.Version.Compare(old.Version) < 0 {
			w.app.Warn(fmt.Sprintf("%s is older than %s, which is installed", t, old.Version))
		}
	}
}

// noteKubeadm says of an upgrade what comes before it, or after it, on a node that kubeadm set up.
func (w *work) noteKubeadm(d *spec.Draft) {
	if w.current == nil {
		return
	}
	old, now := w.current.Tool(release.Kubeadm), d.Tool(release.Kubeadm)
	switch {
	case old.Name == "":
	case !w.want.moves(release.Kubelet) && w.want.moves(release.Kubeadm) && d.Version.Compare(now.Version) < 0:
		w.next = fmt.Sprintf("next: kubeadm upgrade node (kubeadm upgrade apply %s on the first control plane node), then kubeletctl upgrade --version %s", now.Version, now.Version)
	case d.Spec.Profile == config.Kubeadm && w.want.moves(release.Kubelet) && old.Version.Minor() < d.Version.Minor():
		w.app.Note(fmt.Sprintf("kubeadm %s comes before kubelet: kubeletctl upgrade --version %s --only kubeadm, then kubeadm upgrade node", d.Version, d.Version))
	}
}
