package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install"
)

func (a *app) uninstallCommand() *cobra.Command {
	var o changeOptions
	var purge bool
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove what was installed, and nothing else",
		Long: `Uninstall stops and disables kubelet and removes exactly the files that kubeletctl recorded. Files that
were edited since, kubelet's data and credentials in ` + install.KubeletDir + ` stay, and are named. Files that an
install with --force replaced are put back.

With --purge kubelet's data goes, too: its pods are removed from the container runtime, everything that is mounted below
its root directory is unmounted, and what is in that is deleted, credentials included. If a mount can not be unmounted
nothing is deleted. Images and /var/log/pods stay.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return endedEarly(c.Context(), a.uninstall(c, o, purge)) },
	}
	o.register(c)
	c.Flags().BoolVar(&purge, "purge", false, "delete kubelet's data, too: everything in its root directory")
	return c
}

func (a *app) uninstall(c *cobra.Command, o changeOptions, purge bool) error {
	ctx := c.Context()
	h, done, err := a.host()
	if err != nil {
		return err
	}
	defer done()
	if h.Store().Empty() {
		return a.nothingInstalled()
	}
	unlock, err := a.lock(ctx, h, o.dryRun)
	if err != nil {
		return err
	}
	defer unlock()
	var data *install.Purge
	if purge {
		if current, err := h.Store().Current(); err != nil || current == nil {
			return errors.Join(err, h.Discard(), a.nothingInstalled())
		}
		if data, err = a.purge(ctx, h, o); err != nil {
			return err
		}
	}
	change, err := h.PrepareUninstall(ctx, purge)
	if err != nil {
		return err
	}
	if change == nil {
		if h.Unfinished() && !o.dryRun {
			if err := h.Discard(); err != nil {
				return err
			}
			a.note("deleted a download that was not finished")
		}
		return a.nothingInstalled()
	}
	if err := a.change(ctx, h, change, o, install.ApplyOptions{Verb: "uninstall", Wait: time.Minute}, nil); err != nil {
		return err
	}
	switch {
	case o.dryRun:
	case data != nil && data.Dir != nil:
		return data.Dir.Remove()
	default:
		a.nameData(h)
	}
	return nil
}

// purge deletes kubelet's data, if that is really wanted.
func (a *app) purge(ctx context.Context, h *install.Host, o changeOptions) (*install.Purge, error) {
	data, err := h.PreparePurge(ctx)
	if err != nil {
		return nil, err
	}
	defer data.Close()
	for _, line := range data.Lines() {
		a.note("purge: " + line)
	}
	if o.dryRun {
		return data, nil
	}
	if !o.yes {
		if !a.asks() {
			return nil, &install.PreflightError{Problems: []install.Problem{{ID: "purge", Severity: install.Failure,
				Message: "there is nobody to ask whether that is wanted", Hint: "say that it is: --yes"}}}
		}
		if yes, err := a.ask(ctx, "Delete all of that?"); err != nil || !yes {
			return nil, errors.Join(err, &install.PreflightError{Problems: []install.Problem{{ID: "purge", Severity: install.Failure, Message: "not confirmed; nothing was changed"}}})
		}
	}
	err = h.Purge(ctx, data)
	if ctx.Err() != nil {
		return nil, withHint(fmt.Errorf("%w while kubelet's data was being deleted", install.Ended(ctx)), "run this again to go on")
	}
	return data, err
}

func (a *app) nothingInstalled() error {
	if a.output.structured() {
		a.print(changeResult{Result: install.Unchanged, Plan: &install.Plan{Steps: []install.Step{}}})
		return nil
	}
	fmt.Fprintln(a.out, "nothing to do: kubeletctl has installed no kubelet here")
	return nil
}

// nameData tells what is left on purpose.
func (a *app) nameData(h *install.Host) {
	name, err := h.Tree.Locate(install.KubeletDir)
	if err != nil {
		return
	}
	entries, err := os.ReadDir(name)
	if err == nil && len(entries) > 0 {
		a.note(fmt.Sprintf("kept %s: kubelet's data and credentials (%d entries)", install.KubeletDir, len(entries)))
	}
}
