package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/release"
)

// changeOptions are the flags of every verb that changes the host.
type changeOptions struct {
	dryRun, force, yes bool
	lockWait           lockWait
	wait               time.Duration
	ignore             []string
	resetManagers      bool
	skipRehearsal      bool
	recoverBinary      string
	noRecovery         bool
	drain              drainOptions
	joins              bool // it is the change of a join
}

func (o *changeOptions) register(c *cobra.Command) {
	f := c.Flags()
	o.registerRun(f)
	f.BoolVar(&o.yes, "yes", false, "answer yes to what would be asked on a terminal")
	inGroup(f, groupChange)
}

// registerRun registers whether and when a verb runs.
func (o *changeOptions) registerRun(f *pflag.FlagSet) {
	f.BoolVar(&o.dryRun, "dry-run", false, "print the plan and the differences of every file that is written, and change nothing")
	o.lockWait.register(f)
}

// registerSwitch registers the flags of verbs that switch to another generation.
func (o *changeOptions) registerSwitch(c *cobra.Command) {
	f := c.Flags()
	o.registerGate(f, "maximum time for kubelet to become healthy before the change is rolled back; usually less, from what was measured on this host (0: do not wait, and do not roll back)",
		"switch without rehearsing the new kubelet first")
	f.BoolVar(&o.resetManagers, "reset-manager-state", false, "remove kubelet's CPU or memory manager checkpoint if the new configuration does not fit it; drain the node first")
	f.BoolVar(&o.force, "force", false, "overwrite files that somebody else wrote or edited; uninstall puts back what was there before the first install")
	f.StringVar(&o.recoverBinary, "recover-binary", "", "`FILE` with a kubeletctl for --arch, which recovers from an interrupted change in the tree of --root; default: this program")
	f.BoolVar(&o.noRecovery, "no-recovery", false, "leave out of the tree of --root what recovers from an interrupted change; the first install or upgrade on that machine adds it")
	inGroup(f, groupChange)
}

// registerIgnore registers which preflight problems are no reason to refuse a change.
func (o *changeOptions) registerIgnore(c *cobra.Command) {
	ids := preflight.Ignorable()
	c.Flags().StringSliceVar(&o.ignore, "ignore-preflight", nil, "`ID`s of preflight problems to ignore; kubeletctl help preflight lists them")
	inGroup(c.Flags(), groupChange)
	completes(c, "ignore-preflight", someOf(ids...))
}

// registerGate registers what a kubelet has to pass, in the words of the verb.
func (o *changeOptions) registerGate(f *pflag.FlagSet, wait, skipRehearsal string) {
	f.DurationVar(&o.wait, "wait", time.Minute, wait)
	f.BoolVar(&o.skipRehearsal, "skip-rehearsal", false, skipRehearsal)
}

func (o *changeOptions) check(a *app, f *pflag.FlagSet) error {
	errs := []error{o.lockWait.check(), o.drain.check(f, a.root)}
	if o.wait < 0 {
		errs = append(errs, fmt.Errorf("--wait %s is negative", o.wait))
	}
	for _, id := range o.ignore {
		if !preflight.Known(id) {
			errs = append(errs, fmt.Errorf("--ignore-preflight: unknown ID %q; the IDs are %s", id, strings.Join(preflight.Ignorable(), ", ")))
		}
	}
	named := o.recoverBinary != ""
	if named {
		if _, err := os.Stat(o.recoverBinary); err != nil {
			errs = append(errs, fmt.Errorf("--recover-binary: %w", err))
		}
	}
	if named && o.noRecovery {
		errs = append(errs, errors.New("--recover-binary cannot be combined with --no-recovery"))
	}
	if (named || o.noRecovery) && a.root == "/" {
		errs = append(errs, errors.New("--recover-binary and --no-recovery are for the tree of another system: --root DIR"))
	}
	return errors.Join(append(errs, refuseEmpty(f, "recover-binary"))...)
}

// prepare says what these flags say of how a change is prepared.
func (o *changeOptions) prepare() install.PrepareOptions {
	return install.PrepareOptions{ResetManagers: o.resetManagers, RecoverBinary: o.recoverBinary, NoRecovery: o.noRecovery, Joins: o.joins}
}

// changer is one verb at work on a host.
type changer struct {
	app     *app
	host    *install.Host
	options changeOptions
	verb    string
	next    string // what the user has to do after the change; empty for nothing
	// then comes after the change, and has a document of its own; nil for nothing.
	then func(context.Context) error

	lock     *install.Lock // nil for a dry run, which writes nothing
	client   *release.Client
	progress *terminal.Progress
}

// takeLock takes the lock and brings an interrupted change to an end; a dry run does neither, since it writes nothing. What
// the recovery did is told; a quiet run leaves that to the next one.
func (x *changer) takeLock(ctx context.Context) error {
	if x.options.dryRun {
		return nil
	}
	if err := preflight.Writable(x.host.Tree, nil); err != nil {
		return err
	}
	err := x.options.lockWait.take(ctx, x.app, func() (err error) {
		x.lock, err = x.host.Lock()
		return err
	})
	if err != nil {
		return err
	}
	if err := x.recover(ctx); err != nil {
		x.unlock()
		return err
	}
	return nil
}

// unlock gives the lock up, if it is held.
func (x *changer) unlock() {
	x.lock.Release()
	x.lock = nil
}

func (x *changer) recover(ctx context.Context) error {
	a, h := x.app, x.host
	notice := h.Store().Notice().Text()
	if notice != "" {
		a.Note(notice)
	}
	if _, pending, _ := h.Store().Pending().Number(); pending {
		a.detach()
	}
	done, err := h.Recover(ctx, false)
	if err != nil {
		return err
	}
	told := a.Talks() || a.Structured()
	switch {
	case done != "" && told:
		a.Note(done)
	case done != "":
		return saveNotice(h, done)
	}
	if notice != "" && told {
		return h.Store().Notice().Clear()
	}
	return nil
}

// saveNotice keeps a line about a recovery, with its time, for the next run to tell.
func saveNotice(h *install.Host, line string) error {
	return h.Store().Notice().Save(time.Now().UTC().Format(time.RFC3339) + ": " + line)
}

// preflight notes warnings and refuses for failures that are not ignored. A host that needs no change is not refused.
func (x *changer) preflight(problems []preflight.Problem, p *plan.Plan) error {
	var refused []preflight.Problem
	for _, problem := range problems {
		ignored := preflight.Ignored(problem.ID, x.options.ignore)
		switch {
		case problem.Severity == preflight.Failure && !ignored && !p.Empty():
			if preflight.Known(problem.ID) {
				problem.Hint += "; or ignore it: --ignore-preflight " + problem.ID
			}
			refused = append(refused, problem)
		case problem.Severity == preflight.Info:
			if !p.Empty() && !ignored {
				x.app.Note(fmt.Sprintf("%s: %s; to change that: %s", problem.ID, problem.Text(), problem.Hint))
			}
		case problem.Severity == preflight.Warning && problem.Hint != "":
			x.app.Warn(fmt.Sprintf("%s: %s; %s", problem.ID, problem.Text(), problem.Hint))
		default:
			x.app.Warn(fmt.Sprintf("%s: %s", problem.ID, problem.Text()))
		}
	}
	if len(refused) > 0 {
		return &preflight.FailedError{Problems: refused}
	}
	return nil
}

// changeResult is the document of a verb that changes the host.
type changeResult struct {
	Result     plan.Outcome  `json:"result"`
	DryRun     bool          `json:"dryRun,omitempty"`
	Version    string        `json:"version,omitempty"`
	Generation int           `json:"generation,omitempty"`
	Trust      release.Trust `json:"trust,omitempty"`
	Digest     string        `json:"digest,omitempty"`
	Tools      []plan.Tool   `json:"tools,omitempty"` // beside kubelet
	Plan       *plan.Plan    `json:"plan"`
	Diff       string        `json:"diff,omitempty"`
	Defaults   []config.Item `json:"defaults,omitempty"` // that change with the minor release
	Recorded   []string      `json:"recorded,omitempty"` // settings for which nothing of the host had to change
	Notes      []string      `json:"notes,omitempty"`
}

// change shows a plan and, unless it is a dry run, carries it out.
func (x *changer) change(ctx context.Context, c *install.Change) error {
	if err := x.consent(ctx, c); err != nil || x.options.dryRun {
		return err
	}
	outcome, err := x.apply(ctx, c)
	if err != nil {
		return err
	}
	if x.then == nil || !x.app.Structured() {
		x.printResult(c, outcome)
	}
	if x.then == nil {
		return nil
	}
	err = x.then(ctx)
	if err != nil && !c.Plan.Empty() {
		return &afterChangeError{err}
	}
	return err
}

// apply carries out a change that was consented to.
func (x *changer) apply(ctx context.Context, c *install.Change) (plan.Outcome, error) {
	a, phases := x.app, x.app.NewPhases()
	defer phases.End()
	outcome, err := x.host.Apply(ctx, c, install.ApplyOptions{
		Command: x.verb, Lock: x.lock, Release: x.client, Wait: x.options.wait, SkipRehearsal: x.options.skipRehearsal,
		Fetched: x.progress.Finish, Drain: x.options.drain.options(a.Note),
		Phase: func(p install.Phase) {
			if p == install.Switching {
				a.detach()
			}
			phases.Begin(phaseText(p, c))
		},
		Done: func(s plan.Step) {
			if a.verbose {
				a.Note(fmt.Sprintf("done: %s %s", s.Action, s.Target))
			}
		},
	})
	x.progress.Finish()
	return outcome, x.options.drain.hint(err)
}

// phaseText says what a phase does, for people.
func phaseText(p install.Phase, c *install.Change) string {
	kubelet := fmt.Sprintf("kubelet %s", c.Want.Version)
	switch {
	case p == install.Rehearsing:
		return "rehearsing " + kubelet
	case p == install.Draining:
		return "draining the node"
	case p == install.Waiting:
		return "waiting for " + kubelet + " to be healthy"
	case p == install.RollingBack:
		return "rolling back"
	case c.Want.Snapshot:
		return "uninstalling kubelet"
	case c.IsRestart():
		return "restarting " + kubelet
	case c.Plan.OnlyTools():
		return "switching the programs beside kubelet"
	}
	return "switching to " + kubelet
}

// consent shows a plan, refuses what cannot be done, and asks for what needs to be asked. Afterwards nothing stands in the
// way of the change; a dry run ends with it.
func (x *changer) consent(ctx context.Context, c *install.Change) error {
	a := x.app
	a.plan = c.Plan
	if err := c.Refused(); err != nil {
		return err
	}
	if x.options.dryRun {
		x.printDryRun(c)
		return nil
	}
	if a.Talks() && !c.Plan.Empty() {
		x.printPlan(a.Err, c)
		if a.verbose {
			fmt.Fprintf(a.Err, "%s", shown(c.Plan.Diff()))
		}
	}
	if err := preflight.Writable(x.host.Tree, c.Plan.Steps); err != nil {
		return err
	}
	return x.confirm(ctx, c.Plan.Conflicts)
}

// shown is a diff as it is printed: without secrets, since what is printed ends up in logs.
func shown(diff []byte) []byte { return config.HideSecrets(diff) }

func resultOf(c *install.Change) changeResult {
	return changeResult{Version: c.Want.Version.String(), Trust: c.Want.Trust, Digest: c.Want.Digest.String(), Tools: c.Want.Tools, Plan: c.Plan, Defaults: changedDefaults(c)}
}

func (x *changer) printDryRun(c *install.Change) {
	a := x.app
	doc := resultOf(c)
	doc.DryRun, doc.Result, doc.Diff = true, "planned", string(shown(c.Plan.Diff()))
	if c.Plan.Empty() {
		doc.Result = plan.Unchanged
	}
	x.printPlan(a.Out, c)
	x.noteNext()
	if a.Structured() {
		doc.Notes = a.Notes()
		a.Print(doc)
	} else {
		fmt.Fprint(a.Out, doc.Diff)
	}
}

func (x *changer) printResult(c *install.Change, outcome plan.Outcome) {
	a := x.app
	x.noteNext()
	if a.Structured() {
		doc := resultOf(c)
		doc.Result, doc.Generation, doc.Notes = outcome, c.Want.Number, a.Notes()
		doc.Recorded = c.Recorded
		doc.Plan = a.plan // as it was before anything was fetched
		a.Print(doc)
		return
	}
	terminal.Say(a.Out, "%s", conclusion(outcome, c))
	for _, k := range c.Plan.Kept {
		terminal.Say(a.Out, "kept %s: %s", k.Path, k.Reason)
	}
}

// noteNext says what comes after the change.
func (x *changer) noteNext() {
	if x.next != "" {
		x.app.Note(x.next)
	}
}

// changedDefaults are the defaults that differ from those of the installed minor release.
func changedDefaults(c *install.Change) []config.Item {
	if c.Draft == nil {
		return nil
	}
	return c.Draft.ChangedDefaults(c.Have)
}

// endedEarly says of an interrupted run what became of it.
func endedEarly(ctx context.Context, err error) error {
	var back *install.RolledBackError
	var waits *joinWaitsError
	if err == nil || ctx.Err() == nil || errors.As(err, &waits) {
		return err
	}
	err = install.Interrupted(ctx, err)
	var (
		hinted     *hintedError
		incomplete *install.NotRolledBackError
		cleanup    *install.CleanupError
		restarted  *install.RestartError
	)
	if errors.As(err, &restarted) || errors.As(err, &back) || errors.As(err, &hinted) || errors.As(err, &incomplete) || errors.As(err, &cleanup) {
		return err
	}
	return withHint(err, "nothing was changed; run this again to go on")
}

// conclusion is the last line of a run.
func conclusion(outcome plan.Outcome, c *install.Change) string {
	kubelet := fmt.Sprintf("kubelet %s (generation %d)", c.Want.Version, c.Want.Number)
	if c.Plan.OnlyTools() && outcome == plan.Installed {
		return onlyToolsConclusion(c)
	}
	switch outcome {
	case plan.Unchanged:
		if len(c.Recorded) > 0 {
			return kubelet + ": nothing to do; recorded: " + strings.Join(c.Recorded, ", ")
		}
		return kubelet + ": nothing to do"
	case plan.Healthy:
		return kubelet + " is healthy"
	case plan.WaitingForCredentials:
		return kubelet + " is installed and waiting for credentials: it starts as soon as one of these exists: " + strings.Join(c.Want.Credentials, ", ")
	case plan.WaitingForKubeadm:
		return kubelet + " is installed and waiting for kubeadm: kubeadm init or kubeadm join starts it"
	case plan.Restarted:
		return kubelet + " was restarted"
	case plan.Queued:
		return kubelet + " is installed; systemd starts it later in this boot"
	case plan.Installed:
		switch noStart := c.Seen.Live && c.Draft != nil && c.Draft.Spec.NoStart; {
		case noStart && c.Seen.Process != nil:
			return kubelet + " is installed; the kubelet that runs goes on as it was started, until kubeletctl repair or a boot"
		case noStart:
			return kubelet + " is installed and was not started; kubeletctl repair starts it, and so does a boot"
		}
		return kubelet + " is installed"
	case plan.Removed:
		if len(c.Want.Files) > 0 {
			var back []string
			for _, f := range c.Want.Files {
				back = append(back, f.Path)
			}
			return "kubelet is uninstalled; restored, as it was before: " + strings.Join(back, ", ")
		}
		return "kubelet is uninstalled"
	}
	return string(outcome)
}

// onlyToolsConclusion says what became of the programs beside kubelet.
func onlyToolsConclusion(c *install.Change) string {
	done := fmt.Sprintf("%s (generation %d)", strings.Join(c.Want.Changes, ", "), c.Want.Number)
	if c.Have != nil && c.Have.Number == c.Want.Number {
		done = "put back: " + strings.Join(c.Plan.Targets(), ", ")
	}
	return fmt.Sprintf("%s; kubelet %s was left as it is", done, c.Want.Version)
}

// printPlan shows the steps and why each is needed, for people.
func (x *changer) printPlan(w io.Writer, c *install.Change) {
	o := x.options
	if x.app.Structured() {
		return
	}
	if c.Plan.Empty() && !c.Want.Snapshot {
		terminal.Say(w, "kubelet %s: nothing to do", c.Want.Version)
		return
	}
	if !c.Want.Version.IsZero() && !c.Want.Snapshot {
		x.printBinaries(w, c)
	}
	fmt.Fprintln(w, "Plan:")
	var rows [][]string
	for _, s := range c.Plan.Steps {
		rows = append(rows, []string{"  " + string(s.Action), x.app.place(s.Target), s.Reason})
	}
	x.app.Table(w, terminal.Sentences(1), rows)
	x.app.printChanged(w, changedDefaults(c))
	for _, conflict := range c.Plan.Conflicts {
		line := x.app.place(conflict.Path) + ": " + conflict.Reason
		switch consented := o.force || o.yes; {
		case !consented:
			line = "needs --yes: " + line
		case conflict.Stays:
			line = "agreed to: " + line
		default:
			line = "overwrites " + line
			if backup := x.host.Backup(c, conflict.Path); backup != "" {
				line += "; the old content is kept in " + x.app.place(backup)
			}
		}
		terminal.Say(w, "%s", line)
	}
}

// printBinaries says how the programs of a plan are verified.
func (x *changer) printBinaries(w io.Writer, c *install.Change) {
	kubelet := c.Want.DigestFrom
	if c.Artifacts.Kubelet.Recorded {
		kubelet = "the record"
	}
	say := func(name string, v release.Version, digest release.Digest, trust release.Trust, from string) {
		terminal.Say(w, "%s %s for linux/%s, %s (trust: %s, from %s)", name, v, c.Want.Arch, x.app.Digest(digest.String()), trust, from)
	}
	if !c.Plan.OnlyTools() {
		say(release.Kubelet, c.Want.Version, c.Want.Digest, c.Want.Trust, kubelet)
	}
	targets := c.Plan.Targets()
	for _, t := range c.Want.Tools {
		if slices.Contains(targets, t.Name) || slices.Contains(targets, plan.FileName(t.Name, t.Version)) {
			say(t.Name, t.Version, t.Digest, t.Trust, t.DigestFrom)
		}
	}
}

// place is where a path of the host is on this machine: below --root. A unit, which is not a path, keeps its name.
func (a *app) place(target string) string {
	if a.root == "/" || !strings.HasPrefix(target, "/") {
		return target
	}
	return filepath.Join(a.root, target)
}

// confirm asks about conflicts, where there is somebody to ask.
func (x *changer) confirm(ctx context.Context, conflicts []plan.Conflict) error {
	a, o := x.app, x.options
	if len(conflicts) == 0 || o.force || o.yes {
		return nil
	}
	if !a.asks() {
		return &install.ConflictError{Conflicts: conflicts}
	}
	for _, c := range conflicts {
		if a.Quiet { // otherwise the plan has named them
			terminal.Say(a.Err, "%s: %s", c.Path, c.Reason)
		}
	}
	yes, err := a.ask(ctx, "Overwrite?")
	if err != nil || yes {
		return err
	}
	return &install.ConflictError{Conflicts: conflicts}
}

// asks reports whether there is somebody to ask.
func (a *app) asks() bool { return terminal.Is(a.in) && terminal.Is(a.Err) && !a.Structured() }

func (a *app) ask(ctx context.Context, question string) (yes bool, err error) {
	fmt.Fprint(a.Err, question+" [y/N] ")
	answer, err := waitFor(ctx, func() (string, error) { return bufio.NewReader(a.in).ReadString('\n') })
	if errors.Is(err, install.ErrInterrupted) {
		return false, err
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}
