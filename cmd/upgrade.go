package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
)

func upgradeCommand(a *app) *cobra.Command {
	o := newInstallOptions()
	c := &cobra.Command{
		Use:   "upgrade [--version VERSION]",
		Short: "Install a newer kubelet release, keeping the recorded configuration",
		Long: `Upgrade installs another release with the recorded spec: the same sources, flags and fields as the last time, carried
over to what the new release accepts. Flags given here are added to the spec. What the new release has dropped is left
out with a word why, or refused where that would change what kubelet does.

Without --version it installs the newest patch of the installed minor, and mentions a newer minor. If there is no newer
patch, flags given here are applied to the installed release.

What was installed by --with is upgraded as well, unless it is as new; --only limits an upgrade to what it names. On a node
of kubeadm, kubeadm comes first: upgrade --only kubeadm, kubeadm upgrade node, and then upgrade.

With --drain the node is cordoned and its pods are moved elsewhere once the new kubelet was rehearsed, with the credentials
of the kubelet that runs. It is uncordoned however the upgrade ends, unless somebody else has cordoned it.

The new kubelet is rehearsed before anything is switched, and has to prove itself afterwards: otherwise the former one
is put back and started. A release that is older than the installed one is refused, however it was named.`,
		Example: `  kubeletctl upgrade
  kubeletctl upgrade --version v1.37.2 --dry-run
  kubeletctl upgrade --version v1.37.2
  kubeletctl upgrade --version cluster --drain
  kubeletctl upgrade --version v1.38.0 --only kubeadm`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error { return endedEarly(c.Context(), upgrade(a, c, o)) },
	}
	o.registerVersion(c)
	o.registerOnly(c)
	o.registerSpec(c)
	c.Flags().Lookup("version").Usage = versionForms + ", or cluster: the minor release of the API server; default: the newest patch of the installed minor"
	completes(c, "version", a.completeVersion)
	a.completesSettings(c)
	o.registerChange(c)
	o.change.registerDrain(c)
	c.Flags().BoolVar(&o.allowDowngrade, "allow-downgrade", false, "install the release also when it is older than the installed one")
	inGroup(c.Flags(), groupChange)
	return c
}

func upgrade(a *app, c *cobra.Command, o *installOptions) error {
	w := newWork(a, o, "upgrade")
	done, err := w.open()
	if err != nil {
		return err
	}
	defer done()
	current, recorded, err := w.recorded(c.Context())
	if err != nil {
		return err
	}
	if err := o.checkOnly(c.Flags(), current); err != nil {
		return &usageError{err}
	}
	w.current, w.upgradeFrom = current, o.upgradesFrom(current)
	if err := w.ofCluster(c.Context(), current); err != nil {
		return err
	}
	if o.spec.Version == "" {
		recorded.Version = fmt.Sprintf("1.%d", w.upgradeFrom.Minor())
	}
	if err := w.readSpec(c, &recorded); err != nil {
		return &usageError{err}
	}
	if version, exact := w.request().Exact(); exact && version.Compare(w.upgradeFrom) < 0 && !o.allowDowngrade {
		return &downgradeError{to: version, from: w.upgradeFrom, exact: true}
	}
	if hasSpecFile(a) {
		a.Note(fmt.Sprintf("upgrade does not read %s; update it, too, or the next kubeletctl install applies it", hostfs.SpecFile))
	}
	return w.run(c.Context())
}

// ofCluster makes "cluster" the minor release of the API server that the installed kubelet has joined.
func (w *work) ofCluster(ctx context.Context, current *plan.Generation) (err error) {
	if w.want.spec.Version != "cluster" {
		return nil
	}
	if w.want.spec.Version, err = w.host.Cluster().Minor(ctx, current); err != nil {
		return preflight.Failed("cluster-version", fmt.Sprintf("--version cluster: %v", err), "name a release: kubeletctl releases lists them")
	}
	return nil
}

// staysInMinor reports whether this is an upgrade that was not told to which release: to the newest patch, then.
func (w *work) staysInMinor() bool { return !w.upgradeFrom.IsZero() && w.want.spec.Version == "" }

// askBriefly is how long an answer may take that is only nice to have.
const askBriefly = 5 * time.Second

// noteNewerMinor mentions the newest stable release when it is of a newer minor than the installed one. A source that cannot
// say is no error.
func (w *work) noteNewerMinor(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askBriefly)
	defer cancel()
	quick := *w.client
	quick.Retries, quick.Note = 1, nil
	newest, err := quick.Resolve(ctx, release.Request{}) // stable
	if err == nil && newest.Minor() > w.upgradeFrom.Minor() {
		w.app.Note(fmt.Sprintf("%s is the newest stable release; to install it: kubeletctl upgrade --version %s", newest, newest))
	}
}

// recordedSpec is the spec of a generation; a record without one is damaged.
func recordedSpec(g *plan.Generation) (spec.Spec, error) {
	s, err := spec.Recorded(g)
	if errors.Is(err, fs.ErrPermission) {
		return s, fmt.Errorf("generation %d: %w", g.Number, err)
	}
	if err != nil {
		return s, &store.DamagedError{Err: fmt.Errorf("generation %d: %w", g.Number, err)}
	}
	return s, nil
}
