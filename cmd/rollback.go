package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
)

func rollbackCommand(a *app) *cobra.Command {
	var o restoreOptions
	var to int
	c := &cobra.Command{
		Use:   "rollback [--to GENERATION]",
		Short: "Put an earlier generation back",
		Long: `Rollback puts back what was installed before: the binary, the configuration and the units, byte for byte as they
were. It is a new generation itself, so a second rollback undoes the first. kubeletctl history lists the generations.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("to") && to < 1 {
				return &usageError{withHint(errors.New("--to is the number of a generation, 1 or more"), "kubeletctl history lists them; kubeletctl uninstall goes back to the host before the first install")}
			}
			r := restoration{changer: changer{app: a, verb: "rollback"}, want: &o, target: func(h *install.Host) (*plan.Generation, error) {
				return h.RollbackTarget(to)
			}}
			return endedEarly(c.Context(), r.run(c))
		},
	}
	c.Flags().IntVar(&to, "to", 0, "`GENERATION` to go back to; default: the one before the current")
	completes(c, "to", a.completeGeneration)
	o.register(c)
	o.registerIgnore(c)
	o.registerDrain(c)
	return c
}

func repairCommand(a *app) *cobra.Command {
	var o restoreOptions
	c := &cobra.Command{
		Use:   "repair",
		Short: "Put back what differs from what was installed",
		Long: `Repair makes this host again what was installed last: files that were edited, damaged or removed, units that were
disabled or not reloaded, a kubelet that is stopped or runs something else. Kubelet is restarted only when it runs with
what it should not, or when it has exited and systemd would start it again only later. What repair overwrites is kept below
` + hostfs.StateDir + `. Drop-ins of an administrator are named and stay.

kubeletctl diff shows what repair would fix.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			o.force = true
			r := restoration{changer: changer{app: a, verb: "repair"}, want: &o, target: (*install.Host).Installed}
			return endedEarly(c.Context(), r.run(c))
		},
	}
	o.register(c)
	return c
}

// restoreOptions are the flags of verbs that install a generation that was installed before.
type restoreOptions struct {
	changeOptions
	sources []string
	caFile  string
}

func (o *restoreOptions) register(c *cobra.Command) {
	o.changeOptions.register(c)
	o.registerSwitch(c)
	registerSources(c.Flags(), &o.sources, &o.caFile)
}

// restoration is a verb that installs a generation that was installed before.
type restoration struct {
	changer
	want *restoreOptions
	// target finds the generation.
	target func(*install.Host) (*plan.Generation, error)
}

func (r *restoration) run(c *cobra.Command) error {
	o, ctx := r.want, c.Context()
	r.options = o.changeOptions
	if err := errors.Join(o.check(r.app, c.Flags()), checkNamed(c, o.sources)); err != nil {
		return &usageError{err}
	}
	h, done, err := r.app.host()
	if err != nil {
		return err
	}
	defer done()
	r.host = h
	if err := r.takeLock(ctx); err != nil {
		return err
	}
	defer r.lock.Release()
	target, err := r.target(h)
	if err != nil {
		return err
	}
	h.Unvouched = !h.Live && !c.Flags().Changed("source")
	artifacts, client, err := h.RestoreArtifacts(ctx, target, func() (*release.Client, error) { return r.connect(c, target) })
	if err != nil {
		return err
	}
	prepare := o.prepare()
	prepare.LeaveOverrides = r.verb == "repair"
	change, err := h.PrepareRestore(ctx, target, artifacts, prepare)
	if err != nil {
		return err
	}
	if err := r.preflight(h.Preflight(ctx, change), change.Plan); err != nil {
		return err
	}
	r.client = client
	return r.change(ctx, change)
}

// connect asks the recorded sources, unless others were named this once. Only a binary that has to be fetched needs them.
func (r *restoration) connect(c *cobra.Command, target *plan.Generation) (*release.Client, error) {
	recorded, err := spec.Recorded(target)
	if err != nil && !c.Flags().Changed("source") {
		r.app.Note(fmt.Sprintf("generation %d: %v; its binary is looked for where upstream publishes", target.Number, err))
	}
	sources, caFile := named(c, r.want.sources, r.want.caFile, recorded)
	client, p, err := r.app.client(sources, caFile, fetchOptions{})
	if err != nil {
		return nil, withHint(err, "put it back, or name another: --ca-file")
	}
	r.progress = p
	return client, client.CheckSources()
}
