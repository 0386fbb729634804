package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/install/store"
)

// historyLimit is how much of the history is listed, unless more is asked for.
const historyLimit = 20

func historyCommand(a *app) *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:   "history [GENERATION]",
		Short: "List what was installed on this host, newest first; or show all of one generation",
		Long: `History lists the generations, newest first: each with what it changed and how that ended. Repairs, restarts and what was
rolled back are in it, too; kubeletctl rollback --to GENERATION puts one back. A terminal that is too narrow gets fewer
columns; --wide prints all.

With a number it shows all that is recorded of that one: where its binary came from and how it was verified, who made it and
how that ended, its files with their digests, and its spec without secrets. The spec and the arguments are for root only.`,
		Example: `  kubeletctl history
  kubeletctl history 3
  kubeletctl history 3 -o json`,
		Args: takesUpTo("GENERATION"),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case limit < 0:
				return &usageError{fmt.Errorf("--limit %d is negative", limit)}
			case len(args) == 0:
				return listHistory(a, limit)
			case c.Flags().Changed("limit"):
				return &usageError{errors.New("--limit cannot be combined with a GENERATION")}
			}
			return showGeneration(a, args[0])
		},
		ValidArgsFunction: a.completeHistory,
	}
	c.Flags().IntVar(&limit, "limit", historyLimit, "list at most the newest `NUMBER`; 0: all")
	return c
}

func listHistory(a *app, limit int) error {
	list, older, err := a.record().History().List(limit) // the record alone: no systemd is needed
	if err != nil {
		return err
	}
	if a.Structured() {
		a.Print(list)
		return nil
	}
	if len(list) == 0 {
		fmt.Fprintln(a.Out, "kubeletctl has not installed a kubelet")
		return nil
	}
	var rows [][]string
	for _, r := range list {
		mark, when := string(r.Outcome), r.Created.Local().Format(time.DateTime)
		if r.Damaged {
			mark, when = "damaged", "-"
		}
		if r.Current {
			mark += " (current)"
		}
		if r.Reason != "" {
			mark += ": " + strings.Join(strings.Fields(r.Reason), " ")
		}
		rows = append(rows, []string{strconv.Itoa(r.Number), when, r.Version.String(), r.Command, r.User, string(r.Trust), orDash(strings.Join(r.Changes, ", ")), mark})
	}
	a.Table(a.Out, []terminal.Column{{Title: "GENERATION"}, {Title: "WHEN"}, {Title: "VERSION", Fit: terminal.Spare}, {Title: "COMMAND"}, {Title: "USER", Fit: terminal.Spare},
		{Title: "TRUST", Fit: terminal.Spare}, {Title: "CHANGES", Fit: terminal.Cuttable}, {Title: "RESULT", Fit: terminal.Cuttable}}, rows)
	if older {
		a.Note("there are older ones; --limit 0 lists all")
	}
	return nil
}

// generationResult is the document of one generation.
type generationResult struct {
	store.Entry
	Arch        string                 `json:"arch,omitempty"`
	Digest      string                 `json:"digest,omitempty"`
	DigestFrom  string                 `json:"digestFrom,omitempty"`
	URL         string                 `json:"url,omitempty"`
	Tools       []plan.Tool            `json:"tools,omitempty"`       // beside kubelet
	TookSeconds float64                `json:"tookSeconds,omitempty"` // until it was healthy
	Files       []plan.File            `json:"files"`
	Units       []plan.Unit            `json:"units"`
	Args        []string               `json:"args,omitempty"`
	Spec        *spec.Spec             `json:"spec,omitempty"`
	Origins     map[string]spec.Origin `json:"origins,omitempty"`
	Notes       []string               `json:"notes,omitempty"`
}

func showGeneration(a *app, arg string) error {
	n, err := generationNumber(arg)
	if err != nil {
		return err
	}
	entry, g, err := a.record().History().Find(n)
	if err != nil {
		return err
	}
	doc := generationResult{Entry: entry, Arch: g.Arch, Digest: g.Digest.String(), DigestFrom: g.DigestFrom, URL: g.URL, Tools: g.Tools,
		TookSeconds: g.Took.Seconds(), Files: append([]plan.File{}, g.Files...), Units: append([]plan.Unit{}, g.Units...)}
	for _, arg := range g.Args {
		doc.Args = append(doc.Args, string(config.HideSecrets([]byte(arg))))
	}
	switch recorded, err := spec.Recorded(g); {
	case err == nil:
		masked := recorded.Masked()
		doc.Spec, doc.Origins = &masked, recorded.Origins
	case errors.Is(err, fs.ErrPermission):
		a.Note("the spec and the arguments are for root only")
	case entry.IsGeneration():
		a.Note(err.Error())
	}
	if a.Structured() {
		doc.Notes = a.Notes()
		a.Print(doc)
		return nil
	}
	return printGeneration(a, doc)
}

// generationNumber reads the number of a generation.
func generationNumber(arg string) (int, error) {
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 {
		return 0, &usageError{withHint(fmt.Errorf("%q is not the number of a generation", arg), "kubeletctl history lists them")}
	}
	return n, nil
}

func printGeneration(a *app, g generationResult) error {
	w := a.Out
	what := "generation " + strconv.Itoa(g.Number)
	if !g.IsGeneration() {
		what = fmt.Sprintf("%d, which is not a generation", g.Number)
	}
	if g.Current {
		what += " (current)"
	}
	fmt.Fprintf(w, "%s: kubelet %s for linux/%s\n\n", what, g.Version, g.Arch)
	rows := [][]string{{"  when", g.Created.Local().Format(time.DateTime)}, {"  command", g.Command + ", by " + g.User}, {"  result", string(g.Outcome)}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{"  " + name, value})
		}
	}
	add("changes", strings.Join(g.Changes, ", "))
	add("reason", g.Reason)
	if g.TookSeconds > 0 {
		add("took", fmt.Sprintf("%.1f s until it was healthy", g.TookSeconds))
	}
	add("digest", g.Digest)
	add("trust", fmt.Sprintf("%s, from %s", g.Trust, g.DigestFrom))
	add("source", g.URL)
	for _, t := range g.Tools {
		add("tool", fmt.Sprintf("%s, %s, trust %s, from %s", t, t.Digest, t.Trust, t.DigestFrom))
	}
	for _, f := range g.Files {
		value := f.Path + " -> " + f.Target
		if f.Target == "" {
			value = fmt.Sprintf("%s %04o sha256:%s", f.Path, f.Mode.Perm(), f.SHA256)
		}
		add("file", value)
	}
	for _, u := range g.Units {
		add("unit", u.Name+", "+enabled(u.Enabled))
	}
	for _, arg := range g.Args {
		add("argument", arg)
	}
	a.Table(w, terminal.Sentences(0), rows)
	if g.Spec == nil {
		return nil
	}
	text, err := specYAML(g.Spec)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s", text)
	return nil
}
