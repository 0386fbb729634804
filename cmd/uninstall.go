package cmd

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install"
)

func (a *app) uninstallCommand() *cobra.Command {
	var o changeOptions
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove what was installed, and nothing else",
		Long: `Uninstall stops and disables kubelet and removes exactly the files that kubeletctl recorded. Files that
were edited since, kubelet's data and credentials in ` + install.KubeletDir + ` stay, and are named. Files that an
install with --force replaced are put back.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return endedEarly(c.Context(), a.uninstall(c, o)) },
	}
	o.register(c)
	return c
}

func (a *app) uninstall(c *cobra.Command, o changeOptions) error {
	ctx := c.Context()
	h, done, err := a.host()
	if err != nil {
		return err
	}
	defer done()
	if current, err := h.Store().Current(); err == nil && current == nil {
		if _, pending, err := h.Store().Pending(); err == nil && !pending {
			return a.nothingInstalled()
		}
	}
	unlock, err := a.lock(ctx, h, o.dryRun)
	if err != nil {
		return err
	}
	defer unlock()
	change, err := h.PrepareUninstall(ctx)
	if err != nil {
		return err
	}
	if change == nil {
		return a.nothingInstalled()
	}
	if err := a.change(ctx, h, change, o, install.ApplyOptions{Verb: "uninstall", Wait: time.Minute}, nil); err != nil {
		return err
	}
	if !o.dryRun {
		a.nameData(h)
	}
	return nil
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
