package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install/plan"
)

// diffResult is the document of diff.
type diffResult struct {
	Generation int          `json:"generation"`
	Drift      []plan.Drift `json:"drift"`
	Diff       string       `json:"diff,omitempty"`
}

func diffCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "diff",
		Short: "Show how this host differs from what was installed",
		Long: `Diff lists every way in which this host is not as it was installed and prints a unified diff from what was
installed to what is there. It exits with 0 when nothing differs, 5 when something does, 4 when nothing is installed.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			h, done, err := a.host()
			if err != nil {
				return err
			}
			defer done()
			current, drift, text, err := h.Diff(c.Context())
			if err != nil {
				return err
			}
			if current == nil {
				if a.output.structured() {
					a.print(diffResult{Drift: []plan.Drift{}})
				} else {
					fmt.Fprintln(a.out, "kubeletctl has not installed a kubelet")
				}
				return &exitError{exitNotInstalled}
			}
			switch {
			case a.output.structured():
				a.print(diffResult{Generation: current.Number, Drift: drift, Diff: string(shown(text))})
			case len(drift) == 0:
				fmt.Fprintf(a.out, "no difference from generation %d\n", current.Number)
			default:
				for _, d := range drift {
					fmt.Fprintf(a.out, "%s: %s\n", d.Target, d.Reason)
				}
				fmt.Fprintf(a.out, "%s", shown(text))
			}
			if len(drift) > 0 {
				return &exitError{exitDrift}
			}
			return nil
		},
	}
}
