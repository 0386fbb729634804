package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/release"
)

func uninstallCommand(a *app) *cobra.Command {
	var o changeOptions
	var purge bool
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove what was installed, and nothing else",
		Long: `Uninstall stops and disables kubelet and removes exactly the files that kubeletctl recorded. Files that
were edited since, kubelet's data and credentials in ` + hostfs.KubeletDir + ` stay, and are named. Files that an
install with --force replaced are put back.

With --purge kubelet's data goes, too: its pods are removed from the container runtime, everything that is mounted below
its root directory is unmounted, and what is in that is deleted, credentials included. If a mount cannot be unmounted
nothing is deleted. Images and /var/log/pods stay. After an uninstall, --purge deletes what that has left in
` + hostfs.KubeletDir + `.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error { return endedEarly(c.Context(), uninstall(a, c, o, purge)) },
	}
	o.register(c)
	o.registerDrain(c)
	c.Flags().BoolVar(&purge, "purge", false, "delete kubelet's data, too: everything in its root directory")
	return c
}

func uninstall(a *app, c *cobra.Command, o changeOptions, withData bool) error {
	ctx := c.Context()
	if err := o.check(a, c.Flags()); err != nil {
		return &usageError{err}
	}
	h, done, err := a.host()
	if err != nil {
		return err
	}
	defer done()
	if h.Store().Empty() && !withData {
		return nothingInstalled(a, h)
	}
	o.wait = time.Minute
	x := &changer{app: a, host: h, options: o, verb: "uninstall"}
	if err := x.takeLock(ctx); err != nil {
		return err
	}
	defer x.lock.Release()
	change, err := h.PrepareUninstall(ctx, withData)
	if err != nil {
		return err
	}
	if change == nil {
		if err := x.discardDownload(); err != nil {
			return err
		}
		if withData {
			return x.purgeRest(ctx)
		}
		return nothingInstalled(a, h)
	}
	for _, missing := range change.Missing {
		a.Warn(fmt.Sprintf("%v: what was here before the first install is not put back", missing))
	}
	var data *install.Purge
	if withData { // planned, checked and asked for as a whole, and destroyed last
		if data, err = h.PreparePurge(ctx); err != nil {
			return err
		}
		defer data.Close()
	}
	if err := x.consentPurge(ctx, data); err != nil {
		return err
	}
	if err := x.consent(ctx, change); err != nil || o.dryRun {
		return err
	}
	if data == nil && len(change.Plan.Conflicts) == 0 { // else it was asked for already
		if err := x.confirmUninstall(ctx, change.Have); err != nil {
			return err
		}
	}
	return x.uninstall(ctx, change, data)
}

// purgeRest deletes the data of a kubelet that was uninstalled before. Nothing is recorded any more of where that was.
func (x *changer) purgeRest(ctx context.Context) error {
	a, h := x.app, x.host
	if err := lostRecord(h); err != nil {
		return err
	}
	data, err := h.PreparePurge(ctx)
	if err != nil {
		return err
	}
	defer data.Close()
	if data.Dir == nil || data.Dir.Entries == 0 {
		return nothingInstalled(a, h)
	}
	a.Note(fmt.Sprintf("kubeletctl has not installed a kubelet, and no record tells where one had its data: %s is the default", hostfs.KubeletDir))
	if err := x.consentPurge(ctx, data); err != nil {
		return err
	}
	result := changeResult{Result: "planned", DryRun: true, Plan: &plan.Plan{Steps: []plan.Step{}}}
	text := "the data of a former kubelet would be deleted: " + data.Dir.Path
	if !x.options.dryRun {
		a.detach()
		if err := runPurge(ctx, data); err != nil {
			return err
		}
		if err := data.Dir.Remove(); err != nil {
			return err
		}
		nameKubeadm(a, h)
		result.Result, result.DryRun = plan.Removed, false
		text = "the data of a former kubelet is deleted: " + data.Dir.Path
	}
	if result.Notes = a.Notes(); a.Structured() {
		a.Print(result)
		return nil
	}
	fmt.Fprintln(a.Out, text)
	return nil
}

// confirmUninstall asks once, where there is somebody to ask: scripts go on, and so does an uninstall that was interrupted.
func (x *changer) confirmUninstall(ctx context.Context, have *plan.Generation) error {
	if x.options.yes || have.Snapshot || !x.app.asks() {
		return nil
	}
	return x.app.mustAgree(ctx, "uninstall", fmt.Sprintf("Uninstall kubelet %s?", have.Version))
}

// mustAgree asks, and refuses to go on without a yes.
func (a *app) mustAgree(ctx context.Context, id, question string) error {
	yes, err := a.ask(ctx, question)
	if err == nil && !yes {
		err = preflight.Failed(id, "not confirmed; nothing was changed", "")
	}
	return err
}

// uninstall carries out what was planned and agreed to: first the purge, if there is one.
func (x *changer) uninstall(ctx context.Context, change *install.Change, data *install.Purge) (err error) {
	if data != nil {
		x.app.detach()
		if err := runPurge(ctx, data); err != nil {
			return err
		}
		if change, err = x.host.PrepareUninstall(ctx, true); err != nil { // kubelet is stopped by now, and its files are gone
			return err
		}
	}
	outcome, err := x.apply(ctx, change)
	if err == nil && data != nil && data.Dir != nil {
		err = data.Dir.Remove()
	}
	if err != nil {
		return err
	}
	if data == nil {
		nameData(x.app, x.host)
	} else {
		nameKubeadm(x.app, x.host)
	}
	if kept := x.host.Store().Unclaimed(); kept != "" {
		x.app.Warn("kept " + kept + ": files of before the first install, of which the record is lost")
	}
	x.printResult(change, outcome)
	return nil
}

// discardDownload deletes what a run left that has fetched a binary and installed nothing.
func (x *changer) discardDownload() error {
	downloads := x.host.Store().Downloads()
	if unfinished, err := downloads.Unfinished(); err != nil || len(unfinished) == 0 || x.options.dryRun {
		return err
	}
	if err := downloads.Discard(); err != nil {
		return err
	}
	x.app.Note("deleted a download that was not finished")
	return nil
}

// consentPurge says what a purge deletes, and asks whether that is wanted.
func (x *changer) consentPurge(ctx context.Context, data *install.Purge) error {
	a, o := x.app, x.options
	if data == nil {
		return nil
	}
	for _, line := range data.Lines() {
		a.Note("purge: " + line)
	}
	if o.dryRun || o.yes {
		return nil
	}
	if !a.asks() {
		return preflight.Failed("purge", "deleting data needs confirmation, and this is not a terminal", "confirm with --yes")
	}
	if a.Quiet { // otherwise it is told above
		for _, line := range data.Lines() {
			terminal.Say(a.Err, "purge: %s", line)
		}
	}
	return a.mustAgree(ctx, "purge", "Delete all of that?")
}

// purge deletes kubelet's data.
func runPurge(ctx context.Context, data *install.Purge) error {
	err := data.Run(ctx)
	if ctx.Err() != nil {
		return withHint(fmt.Errorf("%w while kubelet's data was being deleted", install.ContextError(ctx)), "run this again to go on")
	}
	return err
}

// lostRecord reports, as an error, that a kubelet of ours is here and nothing is recorded of it.
func lostRecord(h *install.Host) error {
	_, err := h.Installed()
	if lost := (*observe.NotInstalledError)(nil); errors.As(err, &lost) && lost.Lost {
		return err
	}
	return nil
}

// nothingInstalled is the result on a host without a kubelet of ours; one whose record is lost cannot be uninstalled.
func nothingInstalled(a *app, h *install.Host) error {
	if err := lostRecord(h); err != nil {
		return err
	}
	if a.Structured() {
		a.Print(changeResult{Result: plan.Unchanged, Plan: &plan.Plan{Steps: []plan.Step{}}, Notes: a.Notes()})
		return nil
	}
	fmt.Fprintln(a.Out, "nothing to do: kubeletctl has not installed a kubelet")
	return nil
}

// nameData tells what is left on purpose.
func nameData(a *app, h *install.Host) {
	entries, err := h.Tree.ReadDir(hostfs.KubeletDir)
	if err == nil && len(entries) > 0 {
		a.Note(fmt.Sprintf("kept %s: kubelet's data and credentials (%s)", hostfs.KubeletDir, release.FormatCount(len(entries), "entry", "entries")))
	}
}

// nameKubeadm tells what a purge leaves, since it is not kubelet's.
func nameKubeadm(a *app, h *install.Host) {
	entries, err := h.Tree.ReadDir(config.KubeadmDir)
	if err == nil && len(entries) > 0 {
		a.Note(fmt.Sprintf("kept %s (%s): kubeadm reset removes what kubeadm wrote there", config.KubeadmDir, release.FormatCount(len(entries), "entry", "entries")))
	}
}
