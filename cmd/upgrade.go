package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/release"
)

func (a *app) upgradeCommand() *cobra.Command {
	o := newInstallOptions()
	c := &cobra.Command{
		Use:   "upgrade [--version VERSION]",
		Short: "Take this host to another kubelet release, with all that it was told",
		Long: `Upgrade installs another release with the recorded spec: the same sources, flags and fields as the last time, carried
over to what the new release accepts. Flags given here are added to the spec. What the new release has dropped is left
out with a word why, or refused where that would change what kubelet does.

The new kubelet is rehearsed before anything is switched, and has to prove itself afterwards: otherwise the former one
is put back and started.`,
		Example: `  kubeletctl upgrade --version v1.37.2 --dry-run
  kubeletctl upgrade --version v1.37.2
  kubeletctl upgrade --version 1.37`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return endedEarly(c.Context(), a.upgrade(c, o)) },
	}
	o.registerSpec(c)
	o.registerChange(c)
	return c
}

func (a *app) upgrade(c *cobra.Command, o *installOptions) error {
	ctx := c.Context()
	h, done, err := a.host()
	if err != nil {
		return err
	}
	defer done()
	// Before the lock for the sake of --splay; lockLater sees to it that nothing has changed since. Without it the lock comes
	// first, and with it what a run that was cut off has left to be done.
	unlock := func() {}
	if o.fetch.splay == 0 {
		if unlock, err = a.lock(ctx, h, o.change.dryRun); err != nil {
			return err
		}
	}
	defer func() { unlock() }()
	current, err := h.Store().Installed()
	if err != nil {
		return err
	}
	recorded := *current.Spec
	if o.spec.Version == "" {
		recorded.Version = "" // the newest stable one
	}
	o.recorded, o.pinned = true, current.Version
	spec, positions, err := a.readSpec(c, o, &recorded)
	if err != nil {
		return &usageError{err}
	}
	if o.fetch.splay > 0 {
		if unlock, err = a.lockLater(ctx, h, spec, o); err != nil {
			unlock = func() {}
			return err
		}
	}
	if request, err := release.ParseRequest(spec.Version); err == nil {
		if v, exact := request.Exact(); exact && v.Compare(current.Version) < 0 {
			return &usageError{withHint(fmt.Errorf("%s is older than %s, which is installed", v, current.Version),
				"kubeletctl rollback goes back to what was installed before; kubeletctl install --version "+v.String()+" installs any version")}
		}
	}
	if file := a.defaultSpec(); file != "" {
		a.note(fmt.Sprintf("%s is not read by upgrade; change it, too, or the next kubeletctl install goes by what it says", install.SpecFile))
	}
	return a.converge(ctx, h, spec, positions, adoption{}, o, "upgrade")
}
