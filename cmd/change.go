package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/release"
)

// changeOptions are the flags of every verb that changes the host.
type changeOptions struct {
	dryRun, force, yes bool
	wait               time.Duration
	ignore             []string
	resetManagers      bool
	skipRehearsal      bool
}

func (o *changeOptions) register(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "print the plan and the differences of every file, and change nothing")
	f.BoolVar(&o.yes, "yes", false, "answer yes to what would be asked on a terminal")
	inGroup(f, groupChange)
}

// registerSwitch registers the flags of verbs that switch to another generation.
func (o *changeOptions) registerSwitch(c *cobra.Command) {
	f := c.Flags()
	f.DurationVar(&o.wait, "wait", time.Minute, "how long to wait for a healthy kubelet before going back (0: do not wait, and do not go back)")
	f.BoolVar(&o.skipRehearsal, "skip-rehearsal", false, "switch without trying the new kubelet first where it can do no harm")
	f.BoolVar(&o.resetManagers, "reset-manager-state", false, "remove kubelet's CPU or memory manager checkpoint if the new configuration does not fit it; drain the node first")
	f.BoolVar(&o.force, "force", false, "overwrite files that somebody else wrote or edited; uninstall puts back what was there before the first install")
	inGroup(f, groupChange)
}

func (o *changeOptions) check() error {
	if o.wait < 0 {
		return fmt.Errorf("--wait %s is negative", o.wait)
	}
	return nil
}

// lock takes the lock and brings an interrupted change to an end; a dry run does neither, since it writes nothing.
func (a *app) lock(ctx context.Context, h *install.Host, dryRun bool) (func(), error) {
	if dryRun {
		return func() {}, nil
	}
	if err := h.Writable(nil); err != nil {
		return nil, err
	}
	unlock, err := h.Lock()
	if err != nil {
		return nil, err
	}
	if left := h.Left(); left != "" {
		a.note(left)
	}
	done, err := h.Recover(ctx, false)
	if err == nil {
		err = h.Told()
	}
	if err != nil {
		unlock()
		return nil, err
	}
	if done != "" {
		a.note(done)
	}
	return unlock, nil
}

// preflight notes warnings and refuses for failures that are not ignored. A host that needs no change is not refused.
func (a *app) preflight(problems []install.Problem, plan *install.Plan, ignore []string) error {
	var refused []install.Problem
	for _, p := range problems {
		switch {
		case p.Severity == install.Failure && !slices.Contains(ignore, p.ID) && !plan.Empty():
			p.Hint += "; or go on all the same: --ignore-preflight " + p.ID
			refused = append(refused, p)
		case p.Severity == install.Info:
			if !plan.Empty() && !slices.Contains(ignore, p.ID) {
				a.note(fmt.Sprintf("%s: %s; to change that: %s", p.ID, p.Message, p.Hint))
			}
		default:
			a.note(fmt.Sprintf("%s: %s", p.ID, p.Message))
		}
	}
	if len(refused) > 0 {
		return &install.PreflightError{Problems: refused}
	}
	return nil
}

// managers plans the reset of what kubelet's resource managers remember, where the change needs it and the user allows it.
func (a *app) managers(h *install.Host, c *install.Change, o changeOptions) error {
	stale, err := h.StaleStates(c)
	if err != nil || len(stale) == 0 || c.Plan.Empty() {
		return err
	}
	if o.resetManagers {
		c.Reset(stale)
		return nil
	}
	refusal := &install.PreflightError{}
	for _, s := range stale {
		refusal.Problems = append(refusal.Problems, install.Problem{ID: "manager-state", Severity: install.Failure,
			Message: fmt.Sprintf("kubelet would refuse to start with %s: %s", s.Path, s.Reason),
			Hint:    "drain the node, since containers lose the CPUs and memory that were set aside for them, then add --reset-manager-state"})
	}
	return refusal
}

// changeResult is the document of a verb that changes the host.
type changeResult struct {
	Result     install.Outcome `json:"result"`
	DryRun     bool            `json:"dryRun,omitempty"`
	Version    string          `json:"version,omitempty"`
	Generation int             `json:"generation,omitempty"`
	Trust      release.Trust   `json:"trust,omitempty"`
	Digest     string          `json:"digest,omitempty"`
	Plan       *install.Plan   `json:"plan"`
	Diff       string          `json:"diff,omitempty"`
	Defaults   []config.Item   `json:"defaults,omitempty"` // that change although nobody asked for it
	Notes      []string        `json:"notes,omitempty"`
}

// change shows a plan and, unless it is a dry run, carries it out.
func (a *app) change(ctx context.Context, h *install.Host, c *install.Change, o changeOptions, apply install.ApplyOptions, p *progress) error {
	if len(c.Plan.Blocked) > 0 { // there is no plan to show
		return &conflictError{conflicts: c.Plan.Blocked, blocked: true}
	}
	doc := changeResult{DryRun: o.dryRun, Version: c.Want.Version.String(), Trust: c.Want.Trust, Digest: c.Want.Digest.String(), Plan: c.Plan, Defaults: c.ChangedDefaults()}
	if o.dryRun {
		doc.Result, doc.Diff = "planned", string(c.Plan.Diff())
		if c.Plan.Empty() {
			doc.Result = install.Unchanged
		}
		a.printPlan(a.out, c, o.force)
		if a.output.structured() {
			doc.Notes = a.notes
			a.print(doc)
		} else {
			fmt.Fprint(a.out, doc.Diff)
		}
		return nil
	}
	if a.talks() && !c.Plan.Empty() {
		a.printPlan(a.err, c, o.force)
		if a.verbose {
			fmt.Fprintf(a.err, "%s", c.Plan.Diff())
		}
	}
	if err := h.Writable(c.Plan.Steps); err != nil {
		return err
	}
	if err := a.settle(ctx, c.Plan.Conflicts, o); err != nil {
		return err
	}
	apply.SkipRehearsal = o.skipRehearsal
	apply.Done = func(s install.Step) {
		if s.Action == install.Stage {
			p.finish()
		}
		if a.verbose {
			a.note(fmt.Sprintf("done: %s %s", s.Action, s.Target))
		}
	}
	outcome, err := h.Apply(ctx, c, apply)
	p.finish()
	if err != nil {
		return err
	}
	doc.Result, doc.Generation, doc.Notes = outcome, c.Want.Number, a.notes
	if a.output.structured() {
		a.print(doc)
		return nil
	}
	fmt.Fprintln(a.out, conclusion(outcome, c))
	for _, k := range c.Plan.Kept {
		fmt.Fprintf(a.out, "kept %s: %s\n", k.Path, k.Reason)
	}
	return nil
}

// endedEarly says of an interrupted run what became of it.
func endedEarly(ctx context.Context, err error) error {
	var back *install.RolledBackError
	if err == nil || ctx.Err() == nil {
		return err
	}
	if !errors.Is(err, install.ErrInterrupted) {
		err = fmt.Errorf("%w: %w", install.Ended(ctx), err)
	}
	var hinted *hintedError
	if errors.As(err, &back) || errors.As(err, &hinted) {
		return err
	}
	return withHint(err, "nothing was changed; a download goes on where it was when this is run again")
}

// conclusion is the last line of a run.
func conclusion(outcome install.Outcome, c *install.Change) string {
	kubelet := fmt.Sprintf("kubelet %s (generation %d)", c.Want.Version, c.Want.Number)
	switch outcome {
	case install.Unchanged:
		return kubelet + ": nothing to do"
	case install.Healthy:
		return kubelet + " is healthy"
	case install.WaitingForCredentials:
		return kubelet + " is installed and waiting for credentials: it starts as soon as one of these exists: " + strings.Join(c.Want.Credentials, ", ")
	case install.Queued:
		return kubelet + " is installed; systemd starts it when the boot gets that far"
	case install.Laid:
		return kubelet + " is installed"
	case install.Removed:
		if len(c.Want.Files) > 0 {
			var back []string
			for _, f := range c.Want.Files {
				back = append(back, f.Path)
			}
			return "kubelet is uninstalled; what was there before the first install is there again: " + strings.Join(back, ", ")
		}
		return "kubelet is uninstalled"
	}
	return string(outcome)
}

// printPlan shows the steps and why each is needed, for people.
func (a *app) printPlan(w io.Writer, c *install.Change, forced bool) {
	if a.output.structured() {
		return
	}
	if c.Plan.Empty() && !c.Want.Snapshot {
		fmt.Fprintf(w, "kubelet %s: nothing to do\n", c.Want.Version)
		return
	}
	if !c.Want.Version.IsZero() && !c.Want.Snapshot {
		fmt.Fprintf(w, "kubelet %s for linux/%s, %s (trust: %s, from %s)\n", c.Want.Version, c.Want.Arch, short(c.Want.Digest.String()), c.Want.Trust, c.Want.DigestFrom)
	}
	fmt.Fprintln(w, "Plan:")
	var rows [][]string
	for _, s := range c.Plan.Steps {
		rows = append(rows, []string{"  " + string(s.Action), s.Target, s.Reason})
	}
	table(w, rows)
	printChanged(w, c.ChangedDefaults())
	for _, x := range c.Plan.Conflicts {
		if forced {
			fmt.Fprintf(w, "overwritten: %s: %s; what it was is kept below %s\n", x.Path, x.Reason, install.StateDir)
		} else {
			fmt.Fprintf(w, "needs --force: %s: %s\n", x.Path, x.Reason)
		}
	}
}

// conflictError refuses to overwrite what somebody else wrote.
type conflictError struct {
	conflicts []install.Conflict
	blocked   bool // --force would not help
}

func (e *conflictError) Error() string {
	var lines []string
	for _, c := range e.conflicts {
		lines = append(lines, c.Path+": "+c.Reason)
	}
	if e.blocked {
		return "not replaced, since it could not be put back: " + strings.Join(lines, "; ")
	}
	return "not overwritten without --force or --yes: " + strings.Join(lines, "; ")
}

// Hint says what to do about it.
func (e *conflictError) Hint() string {
	if e.blocked {
		return "move it away, and run this again"
	}
	return "--dry-run shows the differences; --force overwrites, and uninstall puts back what was there before the first install"
}

// settle asks about conflicts, where there is somebody to ask.
func (a *app) settle(ctx context.Context, conflicts []install.Conflict, o changeOptions) error {
	if len(conflicts) == 0 || o.force || o.yes {
		return nil
	}
	if !a.asks() {
		return &conflictError{conflicts: conflicts}
	}
	for _, c := range conflicts {
		if a.quiet { // otherwise the plan has named them
			fmt.Fprintf(a.err, "%s: %s\n", c.Path, c.Reason)
		}
	}
	yes, err := a.ask(ctx, "Overwrite?")
	if err != nil || yes {
		return err
	}
	return &conflictError{conflicts: conflicts}
}

// asks tells whether there is somebody to ask.
func (a *app) asks() bool { return terminal(a.in) && terminal(a.err) && !a.output.structured() }

func (a *app) ask(ctx context.Context, question string) (yes bool, err error) {
	fmt.Fprint(a.err, question+" [y/N] ")
	answer, err := waitFor(ctx, func() (string, error) { return bufio.NewReader(a.in).ReadString('\n') })
	if errors.Is(err, install.ErrInterrupted) {
		return false, err
	}
	return strings.EqualFold(strings.TrimSpace(answer), "y"), nil
}
