package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/status"
)

func leaveCommand(a *app) *cobra.Command {
	var o changeOptions
	c := &cobra.Command{
		Use:   "leave",
		Short: "Take the installed kubelet out of its cluster, and keep it installed",
		Long: `Leave stops kubelet and removes its kubeconfigs, the certificates that it had from the cluster, and what join wrote and recorded.
kubelet stays installed and waits for credentials. The Node object stays in the cluster until an administrator deletes it, and
containers go on running: kubeletctl drain first.`,
		Example: `  kubeletctl drain && kubeletctl leave --yes
  kubeletctl leave --dry-run`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error { return endedEarly(c.Context(), leave(a, c, o)) },
	}
	o.register(c)
	c.Flags().BoolVar(&o.skipRehearsal, "skip-rehearsal", false, "take the settings back without rehearsing kubelet first")
	inGroup(c.Flags(), groupChange)
	return c
}

// leaveResult is the document of a leave.
type leaveResult struct {
	Result  string   `json:"result"` // left, unchanged or planned
	Node    string   `json:"node"`
	Server  string   `json:"server,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

func leave(a *app, c *cobra.Command, o changeOptions) error {
	if err := o.check(a, c.Flags()); err != nil {
		return &usageError{err}
	}
	w := newWork(a, &installOptions{recorded: true, change: o}, "leave")
	done, err := w.open()
	if err != nil {
		return err
	}
	defer done()
	return w.leave(c.Context())
}

func (w *work) leave(ctx context.Context) error {
	a, h := w.app, w.host
	if !h.Live && !w.options.dryRun {
		return preflight.Failed(string(status.Offline), "no kubelet runs in the tree of --root", "run kubeletctl leave on the host itself; here it takes --dry-run")
	}
	current, recorded, err := w.recorded(ctx)
	if err != nil {
		return err
	}
	if err := install.CheckLeave(current); err != nil {
		return err
	}
	r := leaveResult{Result: "left", Node: node.RegisteredName(current), Removed: h.Cluster().CredentialFiles(current)}
	if member, err := h.Cluster().Member(current); err == nil { // credentials that cannot be read can be removed all the same
		r.Server = member.Server
	}
	if w.spec, err = recorded.WithoutCluster(); err != nil {
		return err
	}
	w.positions, w.spec.FromTree = config.Positions{}, true
	if w.options.dryRun {
		r.Result = "planned"
		return w.printLeave(r)
	}
	if yes, err := w.agree(ctx, r.Removed); !yes || err != nil {
		return err
	}
	a.detach()
	if _, err := h.Cluster().Leave(ctx, current); err != nil {
		return err
	}
	change, err := w.prepare(ctx)
	if err != nil {
		return err
	}
	if change.Plan.Empty() && len(r.Removed) == 0 {
		r.Result = "unchanged"
	}
	if err := w.consent(ctx, change); err != nil {
		return err
	}
	if _, err := w.apply(ctx, change); err != nil {
		return err
	}
	if err := h.Cluster().RemoveCA(); err != nil {
		return err
	}
	return w.printLeave(r)
}

// agree asks whether credentials may be removed, where there is somebody to ask.
func (w *work) agree(ctx context.Context, files []string) (bool, error) {
	if len(files) == 0 || w.options.yes || !w.app.asks() {
		return true, nil
	}
	return w.app.ask(ctx, "Stop kubelet and remove "+strings.Join(files, ", ")+"?")
}

func (w *work) printLeave(r leaveResult) error {
	a := w.app
	if a.Structured() {
		r.Notes = a.Notes()
		a.Print(r)
		return nil
	}
	switch {
	case r.Result == "unchanged":
		terminal.Say(a.Out, "this host is joined to no cluster: nothing to do")
		return nil
	case r.Result == "planned" && len(r.Removed) == 0:
		terminal.Say(a.Out, "would remove no credentials: there are none")
		return nil
	case r.Result == "planned":
		terminal.Say(a.Out, "would stop kubelet and remove %s", strings.Join(r.Removed, ", "))
	default:
		for _, file := range r.Removed {
			terminal.Say(a.Out, "removed %s", file)
		}
		terminal.Say(a.Out, "%s", strings.TrimSpace(fmt.Sprintf("this host has left the cluster %s", r.Server))+"; kubelet is installed and waits for credentials")
	}
	terminal.Say(a.Out, "the Node object stays until an administrator deletes it: kubectl delete node %s", r.Node)
	return nil
}
