package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install"
)

func diagnoseCommand(a *app) *cobra.Command {
	var from string
	c := &cobra.Command{
		Use:   "diagnose",
		Short: "Say why kubelet does not run or is not healthy, and what to do",
		Long: `Diagnose reads what kubelet and systemd logged in the last run of kubelet.service, and says what the cause is, in which
words kubelet says so, which flag or line of a file these speak of, what was looked at to be sure, and what to do, as commands. A
kubelet that is healthy and whose node is not Ready, or whose pods cannot start, is not well either. It works for a kubelet that
kubeletctl has not installed, too, and changes nothing. A failure that it does not know is shown in kubelet's own words; what
nothing confirms is called likely.

--from reads the journal of another host: a file with what journalctl -u kubelet prints, as text, with -o json or -o export; - is
standard input.

Exit codes: 0 kubelet is healthy, 3 it is not, 4 this host has no kubelet.`,
		Example: `  kubeletctl diagnose
  kubeletctl diagnose -o json
  ssh node7 journalctl -u kubelet -n 1000 -o export | kubeletctl diagnose --from -`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := diagnosis(c, a, from)
			if err != nil {
				return err
			}
			if a.Structured() {
				a.Print(d)
			} else {
				printDiagnosis(a, d)
			}
			if !d.Healthy {
				return &exitError{exitUnhealthy}
			}
			return nil
		},
	}
	c.Flags().StringVar(&from, "from", "", "read the journal in this `FILE` instead of that of this host; - is standard input")
	return c
}

func diagnosis(c *cobra.Command, a *app, from string) (*install.Diagnosis, error) {
	if c.Flags().Changed("from") {
		journal, err := a.read(c.Context(), from)
		if err != nil {
			return nil, err
		}
		d, ok := install.DiagnoseLog(journal)
		if !ok {
			return nil, withHint(fmt.Errorf("--from %s has nothing of a kubelet", from), "journalctl -u kubelet -n 1000 prints what is needed")
		}
		return d, nil
	}
	if a.root != "/" {
		return nil, &usageError{fmt.Errorf("--root %s: no kubelet runs in a tree; --from reads a journal", a.root)}
	}
	h, done, err := a.host()
	if err != nil {
		return nil, err
	}
	defer done()
	return h.Diagnose(c.Context())
}

// mostWords is how much of kubelet's words is printed, in characters: two lines.
const mostWords = 200

// shorten leaves out the middle of what is longer than most characters: the reason is at the end.
func shorten(text string, most int) string {
	words := []rune(text)
	if len(words) <= most {
		return text
	}
	head := most / 4
	return strings.TrimRight(string(words[:head]), " ") + " ... " + strings.TrimLeft(string(words[len(words)-most+head:]), " ")
}

func printDiagnosis(a *app, d *install.Diagnosis) {
	w, mood := a.Out, terminal.Red
	if d.Healthy {
		mood = terminal.Green
	}
	terminal.Say(w, "%s", terminal.Paint(w, mood, d.State))
	var rows [][]string
	add := func(name, text string) {
		if !a.Wide {
			text = shorten(text, mostWords)
		}
		if text != "" {
			rows = append(rows, row(name, "%s", text))
		}
	}
	switch {
	case d.Cause != "":
		rows = append(rows, row("cause", "%s (%s)", d.Says(), d.Rule))
	case !d.Healthy:
		add("cause", "not known")
	}
	add("log", d.Words)
	for _, text := range d.Errors {
		add("error", text)
	}
	add("at", d.Place)
	for _, text := range d.Checked {
		add("checked", text)
	}
	for _, text := range d.Notes {
		add("note", text)
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
		a.Table(w, terminal.Sentences(0), rows)
	}
	if d.Healthy {
		return
	}
	fmt.Fprintln(w, "\nWhat to do:")
	for _, line := range d.Remedy {
		fmt.Fprintln(w, "  "+line)
	}
}
