package cmd

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/install/store"
)

func upgradeCommand(a *app) *cobra.Command {
	o := newInstallOptions()
	c := &cobra.Command{
		Use:   "upgrade [--version VERSION]",
		Short: "Install a newer kubelet release, keeping the recorded configuration",
		Long: `Upgrade installs another release with the recorded spec: the same sources, flags and fields as the last time, carried
over to what the new release accepts. Flags given here are added to the spec. What the new release has dropped is left
out with a word why, or refused where that would change what kubelet does.

The new kubelet is rehearsed before anything is switched, and has to prove itself afterwards: otherwise the former one
is put back and started. A release that is older than the installed one is refused, however it was named.`,
		Example: `  kubeletctl upgrade --version v1.37.2 --dry-run
  kubeletctl upgrade --version v1.37.2
  kubeletctl upgrade --version 1.37`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error { return endedEarly(c.Context(), upgrade(a, c, o)) },
	}
	o.registerVersion(c)
	o.registerSpec(c)
	o.registerChange(c)
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
	current, recorded, err := w.recorded()
	if err != nil {
		return err
	}
	if o.spec.Version == "" {
		recorded.Version = "" // the newest stable one
	}
	w.upgradeFrom = current.Version
	if err := w.readSpec(c, &recorded); err != nil {
		return &usageError{err}
	}
	if version, exact := w.request().Exact(); exact && version.Compare(current.Version) < 0 && !o.allowDowngrade {
		return &downgradeError{to: version, from: current.Version, exact: true}
	}
	if hasSpecFile(a) {
		a.note(fmt.Sprintf("upgrade does not read %s; update it, too, or the next kubeletctl install applies it", hostfs.SpecFile))
	}
	return w.run(c.Context())
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
