package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

func preflightCommand(a *app) *cobra.Command {
	o := newInstallOptions()
	var rehearse bool
	c := &cobra.Command{
		Use:   "preflight [--version VERSION] [-f SPEC]",
		Short: "Check whether this host would run a kubelet",
		Long: `Preflight says what would keep this host from running the kubelet that the flags and the spec ask for, what would keep it from
working as it should, and what is worth knowing; and what to do about each. It changes nothing. install and upgrade make the
same checks. kubeletctl help preflight lists them.

Without --version it is the installed kubelet, or the newest stable release where none is installed. Settings that are
not given are those that are recorded. A release that is not out yet is checked for what is known to come.

--rehearse downloads the release, verifies it and rehearses it with these settings, as an upgrade would; the download is kept.

Exit codes: 0 it would run, also with warnings; 7 it would not, or what runs does not run as it should.`,
		Example: `  kubeletctl preflight
  kubeletctl preflight --version 1.38
  kubeletctl preflight --version v1.37.2 --rehearse
  kubeletctl preflight -f spec.yaml -o json`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error { return runPreflight(c, newWork(a, o, "preflight"), rehearse) },
	}
	o.registerFile(c)
	o.registerVersion(c)
	o.registerSpec(c)
	c.Flags().Lookup("version").Usage = versionForms + "; default: what is installed, or stable"
	completes(c, "version", a.completeVersion)
	o.change.registerIgnore(c)
	c.Flags().BoolVar(&rehearse, "rehearse", false, "download the release and rehearse it")
	o.change.lockWait.register(c.Flags())
	inGroup(c.Flags(), groupChange)
	return c
}

// preflightResult is the document of preflight.
type preflightResult struct {
	Version string `json:"version"`
	// Chosen is how the release was: given, installed, stable, or known where no source answers.
	Chosen    string              `json:"chosen"`
	Runs      bool                `json:"runs"`
	Errors    int                 `json:"errors"`
	Warnings  int                 `json:"warnings"`
	Problems  []preflight.Problem `json:"problems"`
	Rehearsal *rehearsalResult    `json:"rehearsal,omitempty"`
	Notes     []string            `json:"notes,omitempty"`

	running bool // it is the release that runs already
}

// rehearsalResult is how a rehearsal went. It is not OK when it was not made, either.
type rehearsalResult struct {
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds,omitempty"`
}

func runPreflight(c *cobra.Command, w *work, rehearse bool) error {
	done, err := w.open()
	if err != nil {
		return err
	}
	defer done()
	current, err := w.readPreflight(c)
	if err != nil {
		return err
	}
	doc := preflightResult{Chosen: "given"}
	version, err := w.preflightVersion(c.Context(), &doc, current, rehearse)
	if err != nil {
		return err
	}
	change, problems, err := w.preparePreflight(c.Context(), version, rehearse)
	var failed *preflight.FailedError
	if errors.As(err, &failed) {
		problems, err = failed.Problems, nil
	}
	if err != nil {
		return err
	}
	doc.Problems = problems
	if rehearse && change != nil {
		if err := w.rehearse(c.Context(), change, &doc); err != nil {
			return err
		}
	}
	doc.running = w.runs(c.Context(), current, version)
	doc.judge(w.options.ignore)
	if w.app.Structured() {
		doc.Notes = w.app.Notes()
		w.app.Print(doc)
	} else {
		printPreflight(w.app, doc)
	}
	if !doc.Runs {
		return &exitError{exitRefused}
	}
	return nil
}

// runs reports whether a release is installed and runs.
func (w *work) runs(ctx context.Context, current *plan.Generation, version release.Version) bool {
	if !w.host.Live || current == nil || current.Version != version {
		return false
	}
	state, err := w.host.Units.State(ctx, systemd.KubeletService)
	return err == nil && state.ActiveState == "active"
}

// readPreflight puts the spec together: what is recorded, unless a file is named, and what the flags say. It returns what is
// installed; nil for nothing.
func (w *work) readPreflight(c *cobra.Command) (*plan.Generation, error) {
	current, err := w.host.Installed()
	if errors.Is(err, store.ErrNotInstalled) {
		current, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	var base *spec.Spec
	if current != nil && w.want.specFile == "" {
		recorded, err := recordedSpec(current)
		if err != nil {
			return nil, err
		}
		base, w.want.recorded = &recorded, true
	}
	w.chooses = current == nil
	if err := w.readSpec(c, base); err != nil {
		return nil, &usageError{err}
	}
	w.client, w.progress, err = w.app.client(w.spec.Sources, w.spec.CAFile, w.want.fetch)
	return current, err
}

// preflightVersion is the release to check for. Only a channel is asked for at the sources, and a minor that is to be downloaded.
func (w *work) preflightVersion(ctx context.Context, doc *preflightResult, current *plan.Generation, rehearse bool) (release.Version, error) {
	if w.want.spec.Version == "" && w.want.recorded {
		doc.Version, doc.Chosen = current.Version.String(), "installed"
		w.spec.Version = doc.Version
		return current.Version, nil
	}
	if w.spec.Version == "" {
		doc.Chosen = "stable"
	}
	if version, err := spec.TargetVersion(w.spec.Version); err == nil && !rehearse {
		doc.Version = spec.TargetName(w.spec.Version)
		return version, nil
	}
	version, err := install.Resolver{Host: w.host, Client: w.client}.Version(ctx, w.spec)
	doc.Version = version.String()
	if err != nil && doc.Chosen == "stable" && !rehearse && ctx.Err() == nil {
		w.app.Note(fmt.Sprintf("%v; checking for %s instead, the newest release that this kubeletctl knows", err, config.Newest))
		doc.Version, doc.Chosen = config.Newest.String(), "known"
		return spec.TargetVersion(doc.Version)
	}
	return version, err
}

// preparePreflight plans the change to a release, and makes the checks. The binary is looked for only when it is to be rehearsed.
func (w *work) preparePreflight(ctx context.Context, version release.Version, rehearse bool) (*install.Change, []preflight.Problem, error) {
	w.spec.With = nil // what is beside kubelet is not asked about
	if err := w.choose(ctx, version); err != nil {
		return nil, nil, err
	}
	found := spec.Resolution{Artifact: release.Artifact{Version: version, Arch: w.spec.Architecture()}}
	if rehearse {
		w.host.Unvouched = !w.host.Live && w.spec.FromTree
		if err := w.lockPreflight(ctx); err != nil {
			return nil, nil, err
		}
		r := install.Resolver{Host: w.host, Client: w.client}
		var err error
		if found, err = r.Resolve(ctx, w.spec, version); err != nil {
			return nil, nil, err
		}
		if err := r.ReadFlags(ctx, w.spec, &found); err != nil {
			return nil, nil, err
		}
	}
	draft, err := spec.Build(w.spec, w.positions, found)
	if err != nil {
		return nil, nil, &usageError{err}
	}
	return w.host.PreflightDraft(ctx, draft)
}

// lockPreflight takes the lock, since a download is recorded. Unlike a change it does not recover from an interrupted one.
func (w *work) lockPreflight(ctx context.Context) error {
	if err := preflight.Writable(w.host.Tree, nil); err != nil {
		return err
	}
	err := w.options.lockWait.take(ctx, w.app, func() (err error) {
		w.lock, err = w.host.Lock()
		return err
	})
	if err != nil {
		return err
	}
	if _, pending, _ := w.host.Store().Pending().Number(); pending {
		return preflight.Failed("interrupted-change", "a run of kubeletctl was interrupted while it changed this host", "kubeletctl repair brings that to an end")
	}
	return nil
}

// rehearse tries the kubelet of a change, and enters how that went.
func (w *work) rehearse(ctx context.Context, change *install.Change, doc *preflightResult) error {
	phases := w.app.NewPhases()
	defer phases.End()
	took, err := w.host.TryOut(ctx, change, install.ApplyOptions{Release: w.client, Fetched: w.progress.Finish,
		Phase: func(p install.Phase) { phases.Begin(phaseText(p, change)) }})
	w.progress.Finish()
	var refused *install.RehearsalError
	var flags *install.FlagsRejectedError
	if errors.As(err, &refused) || errors.As(err, &flags) {
		doc.Problems = append(doc.Problems, preflight.Problem{ID: preflight.Rehearsal, Severity: preflight.Failure, Message: err.Error(), Hint: hintOf(err)})
		err = nil
	}
	doc.Rehearsal = &rehearsalResult{OK: took > 0, Seconds: took.Round(time.Millisecond).Seconds()}
	return err
}

// judge sorts the problems by severity and counts them. An error that is ignored is a warning, and what else is ignored is left out.
func (d *preflightResult) judge(ignore []string) {
	d.Problems = slices.DeleteFunc(d.Problems, func(p preflight.Problem) bool {
		return p.Severity != preflight.Failure && preflight.Ignored(p.ID, ignore)
	})
	for i, p := range d.Problems {
		if preflight.Ignored(p.ID, ignore) {
			d.Problems[i].Severity = preflight.Warning
		}
	}
	order := []preflight.Severity{preflight.Failure, preflight.Warning, preflight.Info}
	slices.SortStableFunc(d.Problems, func(x, y preflight.Problem) int {
		return slices.Index(order, x.Severity) - slices.Index(order, y.Severity)
	})
	for _, p := range d.Problems {
		switch p.Severity {
		case preflight.Failure:
			d.Errors++
		case preflight.Warning:
			d.Warnings++
		}
	}
	if d.Problems == nil {
		d.Problems = []preflight.Problem{}
	}
	d.Runs = d.Errors == 0
}

func printPreflight(a *app, d preflightResult) {
	w := a.Out
	which := map[string]string{"installed": ", which is installed,", "stable": ", the newest stable release,"}[d.Chosen]
	verdict, mood := "would run on this host", terminal.Green
	switch {
	case d.running && d.Runs:
		verdict = "runs on this host"
	case d.running:
		verdict, mood = "runs on this host, but not as it should", terminal.Red
	case !d.Runs:
		verdict, mood = "would not run on this host", terminal.Red
	}
	terminal.Say(w, "kubelet %s%s %s: %s, %s", d.Version, which, terminal.Paint(w, mood, verdict),
		release.FormatCount(d.Errors, "error", "errors"), release.FormatCount(d.Warnings, "warning", "warnings"))
	if d.Rehearsal != nil && d.Rehearsal.OK {
		terminal.Say(w, "it was healthy in its rehearsal after %.1f s", d.Rehearsal.Seconds)
	}
	if os.Geteuid() != 0 {
		a.Note("not all could be looked at; run this as root")
	}
	if a.root != "/" {
		a.Note("of a tree only its files were looked at")
	}
	printProblems(w, d.Problems)
}
