package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/drain"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
)

// drainTimeout is how long pods get to go, unless the user says otherwise.
const drainTimeout = 10 * time.Minute

// drainOptions say whether and how the node is drained before a change.
type drainOptions struct {
	wanted bool
	how    drain.Options
}

// registerDrain registers the flags of verbs that may drain the node first.
func (o *changeOptions) registerDrain(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&o.drain.wanted, "drain", false, "cordon the node and move its pods elsewhere before anything is switched, with kubelet's own credentials; it is uncordoned again")
	o.drain.register(f, "drain-timeout", "drain-force")
	inGroup(f, groupChange)
}

func (o *drainOptions) register(f *pflag.FlagSet, timeout, force string) {
	f.DurationVar(&o.how.Timeout, timeout, drainTimeout, "maximum time for the pods to go (0: no limit)")
	f.IntVar(&o.how.GracePeriod, "grace-period", -1, "`SECONDS` that a pod gets to end; negative: what it asks for")
	f.BoolVar(&o.how.DeleteEmptyDir, "delete-emptydir-data", false, "evict also pods that lose the data of an emptyDir volume")
	f.BoolVar(&o.how.Force, force, false, "evict also pods that nothing starts elsewhere, since they have no controller")
}

// options are those of the drain before a change; nil for none.
func (o *drainOptions) options(tell func(string)) *drain.Options {
	if !o.wanted {
		return nil
	}
	o.how.Tell = tell
	return &o.how
}

// check refuses flags that mean nothing.
func (o *drainOptions) check(f *pflag.FlagSet, root string) error {
	switch {
	case o.wanted && root != "/":
		return fmt.Errorf("--drain is for a node, and not for a tree (--root %s)", root)
	case o.how.Timeout < 0:
		return fmt.Errorf("a drain cannot take %s", o.how.Timeout)
	}
	for _, name := range []string{"drain-timeout", "grace-period", "delete-emptydir-data", "drain-force"} {
		if f.Lookup("drain") != nil && f.Changed(name) && !o.wanted {
			return fmt.Errorf("--%s is for a drain: --drain", name)
		}
	}
	return nil
}

// hint names the flags with which a change is not refused for its drain.
func (o *drainOptions) hint(err error) error {
	var refused *drain.RefusedError
	if !errors.As(err, &refused) {
		return err
	}
	return withHint(err, evictHint(refused, "--drain-force"))
}

func drainCommand(a *app) *cobra.Command {
	var o drainOptions
	c := &cobra.Command{
		Use:   "drain",
		Short: "Cordon the node of this host and move its pods elsewhere, with kubelet's own credentials",
		Long: `Drain cordons the node of this host, so that no new pods are scheduled to it, and evicts its pods: as kubectl drain does, but with
nothing but the credentials of its kubelet. Pod disruption budgets hold: an eviction that one does not allow is tried again
until the time is over. Pods of a DaemonSet, mirrors of static pods and pods that have ended stay.

Where pods would be lost nothing is changed, and the flags that evict them all the same are named. The node stays cordoned
until kubeletctl uncordon, also when not all pods went in time.

Exit codes: 0 all pods went, 1 not all of them, 7 refused before anything was changed.`,
		Example: `  kubeletctl drain
  kubeletctl drain --timeout 30m --delete-emptydir-data`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error { return runDrain(a, c, &o) },
	}
	o.register(c.Flags(), "timeout", "force")
	return c
}

func uncordonCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "uncordon",
		Short: "Let pods be scheduled to the node of this host again",
		Long:  `Uncordon takes back what kubeletctl drain, or an administrator, has said of the node of this host, with the credentials of its kubelet.`,
		Args:  takes(),
		RunE:  func(c *cobra.Command, _ []string) error { return uncordon(a, c) },
	}
}

// drainResult is the document of drain and uncordon.
type drainResult struct {
	Result string   `json:"result"` // drained, uncordoned or unchanged
	Node   string   `json:"node"`
	Notes  []string `json:"notes,omitempty"`
}

// openDrain opens the node of this host with the lock held, so that no change drains it at the same time.
func openDrain(a *app) (*install.Host, *drain.Drain, func(), error) {
	if a.root != "/" {
		return nil, nil, nil, &usageError{fmt.Errorf("--root %s: no kubelet runs in a tree", a.root)}
	}
	h, closeHost, err := a.host()
	if err != nil {
		return nil, nil, nil, err
	}
	lock, err := h.Lock()
	if err != nil {
		closeHost()
		return nil, nil, nil, err
	}
	done := func() { lock.Release(); closeHost() }
	current, err := h.Installed()
	if err == nil {
		var d *drain.Drain
		if d, err = h.Cluster().OpenDrain(current); err == nil {
			return h, d, done, nil
		}
	}
	done()
	if errors.Is(err, install.ErrNotJoined) {
		err = notJoined(current)
	}
	return nil, nil, nil, err
}

// notJoined refuses a host that is no node of a cluster.
func notJoined(current *plan.Generation) error {
	hint := "kubeletctl help joining says how it joins one"
	if current.Kubeadm {
		hint = "kubeadm join"
	}
	return preflight.Failed("drain", install.ErrNotJoined.Error(), hint)
}

func runDrain(a *app, c *cobra.Command, o *drainOptions) error {
	if err := o.check(c.Flags(), a.root); err != nil {
		return &usageError{err}
	}
	h, d, done, err := openDrain(a)
	if err != nil {
		return err
	}
	defer done()
	o.how.Tell = a.Note
	if _, err := d.Check(c.Context(), o.how); err != nil {
		return refusedDrain(err)
	}
	if err := d.Cordon(c.Context(), true); err != nil {
		return fmt.Errorf("cordoning node %s: %w", d.Node, err)
	}
	if err := h.Cluster().ForgetCordon(c.Context()); err != nil { // it is this drain's from now on, and no change's
		return err
	}
	if err := d.Run(c.Context(), o.how); err != nil {
		return withHint(stillCordoned(c.Context(), err), "kubeletctl uncordon lets pods be scheduled to the node again")
	}
	printDrain(a, drainResult{Result: "drained", Node: d.Node}, "node "+d.Node+" is drained; kubeletctl uncordon lets pods be scheduled to it again")
	return nil
}

// refusedDrain says that a drain is refused where pods would be lost.
func refusedDrain(err error) error {
	var refused *drain.RefusedError
	if !errors.As(err, &refused) {
		return err
	}
	return preflight.Failed("drain", refused.Error(), evictHint(refused, "--force"))
}

// evictHint says which flags evict pods that would be lost. force is the one for those without a controller, which verbs with another
// --force call otherwise.
func evictHint(refused *drain.RefusedError, force string) string {
	var flags []string
	if len(refused.Alone) > 0 {
		flags = append(flags, force)
	}
	if len(refused.Local) > 0 {
		flags = append(flags, "--delete-emptydir-data")
	}
	return "to evict them all the same: " + strings.Join(flags, " ")
}

func stillCordoned(ctx context.Context, err error) error {
	return fmt.Errorf("%w; the node stays cordoned", install.Interrupted(ctx, err))
}

func uncordon(a *app, c *cobra.Command) error {
	h, d, done, err := openDrain(a)
	if err != nil {
		return err
	}
	defer done()
	cordoned, err := d.Cordoned(c.Context())
	if err != nil {
		return err
	}
	r, text := drainResult{Result: "unchanged", Node: d.Node}, "node "+d.Node+" is not cordoned: nothing to do"
	if cordoned {
		if err := d.Cordon(c.Context(), false); err != nil {
			return err
		}
		r.Result, text = "uncordoned", "node "+d.Node+" is uncordoned"
	}
	if err := h.Cluster().ForgetCordon(c.Context()); err != nil {
		return err
	}
	printDrain(a, r, text)
	return nil
}

func printDrain(a *app, r drainResult, text string) {
	if r.Notes = a.Notes(); a.Structured() {
		a.Print(r)
		return
	}
	terminal.Say(a.Out, "%s", text)
}
