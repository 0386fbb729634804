package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// diffResult is the document of diff.
type diffResult struct {
	Generation int          `json:"generation"`
	Drift      []plan.Drift `json:"drift"`
	Diff       string       `json:"diff,omitempty"`
	// Unchecked are what this user could not look at.
	Unchecked []string `json:"unchecked,omitempty"`
}

func diffCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "diff [GENERATION GENERATION]",
		Short: "Show how this host differs from what was installed, or a generation from another one",
		Long: `Diff lists every way in which this host is not as it was installed and prints a unified diff from what was
installed to what is there. It exits with 0 when nothing differs, 5 when something does, 1 when not all could be checked, and 4
when nothing is installed.

With the numbers of two generations it shows how the second one differs from the first: files, units, and with the unit
kubelet's arguments. That is no drift, so it exits with 0 whether they differ or not. Secrets are masked.`,
		Example: `  kubeletctl diff
  kubeletctl diff 2 3`,
		Args:              takesUpTo("GENERATION", "a second GENERATION"),
		ValidArgsFunction: a.completeCompared,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return compare(a, args[0], args[1])
			}
			h, done, err := a.host()
			if err != nil {
				return err
			}
			defer done()
			d, err := h.Diff(c.Context())
			if err != nil {
				return err
			}
			return printDiff(a, d)
		},
	}
}

func printDiff(a *app, d *install.Difference) error {
	switch {
	case a.Structured() && d == nil:
		a.Print(diffResult{Drift: []plan.Drift{}})
	case a.Structured():
		a.Print(diffResult{Generation: d.Generation, Drift: d.Drift, Diff: string(shown(d.Text)), Unchecked: d.Unchecked})
	case d == nil:
		fmt.Fprintln(a.Out, "kubeletctl has not installed a kubelet")
	default:
		for _, what := range d.Unchecked {
			a.Warn("could not check " + what)
		}
		for _, drift := range d.Drift {
			terminal.Say(a.Out, "%s: %s", drift.Target, drift.Reason)
		}
		fmt.Fprintf(a.Out, "%s", shown(d.Text))
		if len(d.Drift) == 0 && len(d.Unchecked) == 0 {
			fmt.Fprintf(a.Out, "no difference from generation %d\n", d.Generation)
		} else if len(d.Drift) == 0 {
			terminal.Say(a.Out, "no difference from generation %d in what could be checked; run this as root to check all", d.Generation)
		}
	}
	switch {
	case d == nil:
		return &exitError{exitNotInstalled}
	case len(d.Drift) > 0:
		return &exitError{exitDrift}
	case len(d.Unchecked) > 0:
		return &exitError{exitFailed}
	}
	return nil
}

// comparisonResult is the document of diff for two generations.
type comparisonResult struct {
	From        int               `json:"from"`
	To          int               `json:"to"`
	Differences []plan.Difference `json:"differences"`
	Diff        string            `json:"diff,omitempty"`
}

// compare shows how a generation differs from another one.
func compare(a *app, from, to string) error {
	var pair [2]*plan.Generation
	for i, arg := range []string{from, to} {
		n, err := generationNumber(arg)
		if err != nil {
			return err
		}
		record := a.record()
		if pair[i], err = record.History().FindGeneration(n); err != nil {
			return err
		}
		if err := record.Directory(n).Verify(pair[i]); err != nil {
			return err
		}
	}
	list, text := plan.Compare(pair[0], pair[1])
	doc := comparisonResult{From: pair[0].Number, To: pair[1].Number, Differences: list, Diff: string(shown(text))}
	if a.Structured() {
		a.Print(doc)
		return nil
	}
	for _, d := range list {
		fmt.Fprintf(a.Out, "%s: %s\n", d.Target, d.Reason)
	}
	fmt.Fprint(a.Out, doc.Diff)
	if len(list) == 0 {
		fmt.Fprintf(a.Out, "no difference between the generations %d and %d\n", doc.From, doc.To)
	}
	return nil
}
