package cmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/release"
)

func (a *app) rollbackCommand() *cobra.Command {
	var o againOptions
	var to int
	c := &cobra.Command{
		Use:   "rollback [--to GENERATION]",
		Short: "Put an earlier generation back",
		Long: `Rollback puts back what was installed before: the binary, the configuration and the units, byte for byte as they
were. It is a new generation itself, so a second rollback undoes the first. kubeletctl history lists the generations.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("to") && to < 1 {
				return &usageError{withHint(errors.New("--to is the number of a generation, 1 or more"), "kubeletctl history lists them; kubeletctl uninstall goes back to the host before the first install")}
			}
			return endedEarly(c.Context(), a.again(c, o, "rollback", func(h *install.Host) (*install.Change, error) {
				return h.PrepareRollback(c.Context(), to)
			}))
		},
	}
	c.Flags().IntVar(&to, "to", 0, "`GENERATION` to go back to; default: the one before the current")
	o.register(c)
	return c
}

func (a *app) repairCommand() *cobra.Command {
	var o againOptions
	c := &cobra.Command{
		Use:   "repair",
		Short: "Put back what differs from what was installed",
		Long: `Repair makes this host again what was installed last: files that were edited, damaged or removed, units that were
disabled or not reloaded, a kubelet that is stopped or runs something else. Kubelet is restarted only when it runs with
what it should not. What repair overwrites is kept below ` + install.StateDir + `. Drop-ins of an administrator are named and stay.

kubeletctl diff shows what repair would mend.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.force = true
			return endedEarly(c.Context(), a.again(c, o, "repair", func(h *install.Host) (*install.Change, error) {
				return h.PrepareRepair(c.Context())
			}))
		},
	}
	o.register(c)
	return c
}

// againOptions are the flags of verbs that install a generation that was installed before.
type againOptions struct {
	changeOptions
	sources []string
	caFile  string
}

func (o *againOptions) register(c *cobra.Command) {
	o.changeOptions.register(c)
	o.registerSwitch(c)
	registerSources(c.Flags(), &o.sources, &o.caFile)
}

// client asks the recorded sources, unless others were named this once. Only a binary that has to be fetched needs them.
func (o *againOptions) client(a *app, c *cobra.Command, change *install.Change) (*release.Client, *progress, error) {
	if !change.Plan.Downloads() {
		return &release.Client{}, nil, nil
	}
	sources, caFile := named(c, o.sources, o.caFile, change.Want.Spec)
	client, p, err := a.client(sources, caFile, fetchOptions{})
	if err != nil {
		return nil, nil, withHint(err, "put it back, or name another: --ca-file")
	}
	return client, p, client.CheckSources()
}

// again installs a generation that was installed before.
func (a *app) again(c *cobra.Command, o againOptions, verb string, prepare func(*install.Host) (*install.Change, error)) error {
	ctx := c.Context()
	if err := errors.Join(o.check(), checkNamed(c, o.sources)); err != nil {
		return &usageError{err}
	}
	h, done, err := a.host()
	if err != nil {
		return err
	}
	defer done()
	unlock, err := a.lock(ctx, h, o.dryRun)
	if err != nil {
		return err
	}
	defer unlock()
	change, err := prepare(h)
	if err != nil {
		return err
	}
	if err := a.managers(h, change, o.changeOptions); err != nil {
		return err
	}
	client, p, err := o.client(a, c, change)
	if err != nil {
		return err
	}
	return a.change(ctx, h, change, o.changeOptions, install.ApplyOptions{Verb: verb, Release: client, Wait: o.wait}, p)
}
