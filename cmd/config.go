package cmd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/document"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
)

func configCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Validate, migrate and render kubelet configuration for any release; show what is recorded",
	}
	c.AddCommand(validateCommand(a), migrateCommand(a), renderCommand(a), showCommand(a), schemaCommand(a))
	return c
}

const sourcesHelp = `A FILE is a KubeletConfiguration, a kubeletctl spec, a systemd unit or drop-in, an environment file such as
kubeadm-flags.env, or a text with a command line; - is standard input. A command line may also stand behind --.`

func validateCommand(a *app) *cobra.Command {
	var version, kubelet string
	c := &cobra.Command{
		Use:   "validate {--version VERSION | --kubelet FILE} FILE... | -- COMMAND LINE",
		Short: "Find what a kubelet of a release would refuse or ignore",
		Long: `Validate names every unknown, misspelt, duplicate, wrongly typed, deprecated or removed flag and field, with the place
where it is written; values that kubelet refuses, alone or together; feature gates that the release does not have or has
locked; and each line that systemd skips. A kubelet exits at an unknown flag; of an unknown field of its configuration file it
logs one line and goes on without it. Files that are given together are one setup.

` + sourcesHelp + `

--kubelet names a kubelet that is asked as well. It runs as nobody, without credentials and without a runtime, and ends when it
has read its flags and its configuration. What it says about this machine is no error.

It exits with 1 when there are errors; warnings alone are fine.`,
		Example: `  kubeletctl config validate --version v1.37.2 /var/lib/kubelet/config.yaml
  kubeletctl config validate --version 1.36 kubelet.service.d/*.conf
  kubeletctl config validate --version 1.37 -- kubelet --network-plugin=cni
  kubeletctl config validate --kubelet ./kubelet /var/lib/kubelet/config.yaml`,
		RunE: func(c *cobra.Command, args []string) error {
			v, err := optionalVersion(version)
			if err != nil {
				return &usageError{err}
			}
			files, err := documents(a, c, args)
			if err != nil {
				return err
			}
			return validateFiles(c.Context(), a, v, kubelet, files)
		},
	}
	c.Flags().StringVar(&kubelet, "kubelet", "", "ask this kubelet, a `FILE`, as well, and check for its release")
	c.Flags().StringVar(&version, "version", "", "the `VERSION` to check for: v1.37.2, or 1.37; a spec file names its own")
	completes(c, "version", oneOf(minors()...))
	return c
}

// validateFiles prints what the tables, and a kubelet if one is named, have against files that are one setup.
func validateFiles(ctx context.Context, a *app, v release.Version, kubelet string, files []document.File) error {
	var asked judge
	var err error
	if kubelet != "" {
		if asked, err = newJudge(ctx, kubelet, v); err != nil {
			return err
		}
		v = asked.version
	}
	verdict, err := spec.Validate(v, files)
	if errors.Is(err, spec.ErrNoRelease) {
		return &usageError{withHint(err, "--version v1.37.2, or --version 1.37")}
	}
	if err != nil {
		return err
	}
	if kubelet != "" {
		found, err := asked.findings(ctx, a, files)
		if err != nil {
			return err
		}
		verdict.Findings = append(verdict.Findings, found...)
	}
	return printFindings(a, files, verdict)
}

// findingsResult is the document of config validate.
type findingsResult struct {
	Files    []readFile       `json:"files"`
	Errors   int              `json:"errors"`
	Warnings int              `json:"warnings"`
	Findings []config.Finding `json:"findings"`
	Missing  []string         `json:"missing,omitempty"`
}

// readFile is what a file was taken for.
type readFile struct {
	Name string        `json:"name"`
	Kind document.Kind `json:"kind"`
}

func printFindings(a *app, files []document.File, verdict *spec.Verdict) error {
	doc := findingsResult{Findings: []config.Finding{}}
	for _, f := range files {
		kind, _ := f.Kind() // documents has asked, too
		doc.Files = append(doc.Files, readFile{f.Name, kind})
		if !a.Structured() && f.Name != commandLine {
			a.Note("read " + f.Name + " as " + document.Article(string(kind)))
		}
	}
	doc.Missing = verdict.Missing
	for _, name := range verdict.Missing {
		a.Note("the setup names " + name + ", which is not here; what it says is not checked")
	}
	for _, f := range verdict.Findings {
		doc.Findings = append(doc.Findings, f)
		if f.Severity == config.Error {
			doc.Errors++
		} else {
			doc.Warnings++
		}
		if !a.Structured() && (f.Severity == config.Error || !a.Quiet) {
			colour := terminal.Yellow
			if f.Severity == config.Error {
				colour = terminal.Red
			}
			terminal.Say(a.Out, "%s: %s", terminal.Paint(a.Out, colour, string(f.Severity)), f.Problem.Error())
		}
	}
	if a.Structured() {
		a.Print(doc)
	} else if a.Talks() {
		terminal.Say(a.Err, "kubeletctl: %s, %s", release.FormatCount(doc.Errors, "error", "errors"), release.FormatCount(doc.Warnings, "warning", "warnings"))
	}
	if doc.Errors > 0 {
		return &exitError{exitFailed}
	}
	return nil
}

func optionalVersion(s string) (release.Version, error) {
	if s == "" {
		return release.Version{}, nil
	}
	return spec.TargetVersion(s)
}

type migrateOptions struct {
	from                 []string
	to, fromVersion, out string
	profile              string
}

func migrateCommand(a *app) *cobra.Command {
	var o migrateOptions
	c := &cobra.Command{
		Use:   "migrate --to VERSION [--from FILE]... [-- COMMAND LINE]",
		Short: "Migrate a kubelet's setup to another release, and report what became of each flag and field",
		Long: `Migrate takes a setup as it is - a unit, drop-ins, a KubeletConfiguration, a command line as ps shows it - and prints the
spec, the configuration file and the unit for another release, and what became of each flag and field. What nobody asked
for but changes all the same, a default, is listed too.

` + sourcesHelp + `

It exits with 1 when something is impossible: a person has to decide about it first.`,
		Example: `  kubeletctl config migrate --to v1.37.2 --from kubelet.service
  kubeletctl config migrate --to 1.37 --from-version 1.23 \
    -- /usr/bin/kubelet --network-plugin=cni --max-pods=50
  kubeletctl config migrate --to 1.37 --from kubelet.service --out new/`,
		RunE: func(c *cobra.Command, args []string) error { return migrate(a, c, args, &o) },
	}
	f := c.Flags()
	f.StringVar(&o.to, "to", "", "the `VERSION` to go to: v1.37.2, or 1.37")
	f.StringArrayVar(&o.from, "from", nil, "a `FILE` of the setup; repeat it for drop-ins and what they name")
	f.StringVar(&o.fromVersion, "from-version", "", "the `VERSION` that the setup ran, so that changed defaults are known")
	f.StringVar(&o.profile, "profile", "", "defaults of the configuration file: `PROFILE` hardened or upstream")
	f.StringVar(&o.out, "out", "", "write the spec and the files below this `DIR` instead of printing them")
	completes(c, "to", oneOf(minors()...))
	completes(c, "from-version", oneOf(minors()...))
	completes(c, "profile", oneOf(config.Profiles()...))
	return c
}

// migrateResult is the document of config migrate.
type migrateResult struct {
	To       string            `json:"to"`
	Items    []config.Item     `json:"items"`
	Warnings []config.Problem  `json:"warnings,omitempty"`
	Missing  []string          `json:"missing,omitempty"`
	Spec     *spec.Spec        `json:"spec"`
	Files    map[string]string `json:"files"`
}

func migrate(a *app, c *cobra.Command, args []string, o *migrateOptions) error {
	if o.to == "" {
		return &usageError{withHint(errors.New("--to is missing"), "name the release to go to: --to v1.37.2")}
	}
	to, err := spec.TargetVersion(o.to)
	if err != nil {
		return &usageError{fmt.Errorf("--to: %w", err)}
	}
	from, err := optionalVersion(o.fromVersion)
	if err != nil {
		return &usageError{fmt.Errorf("--from-version: %w", err)}
	}
	sources, err := migrationSources(a, c, o.from, args)
	if err != nil {
		return err
	}
	setup, err := spec.ReadSetup(sources)
	if err != nil {
		return err
	}
	m, err := setup.Migrate(to, from, config.Profile(o.profile))
	if err != nil {
		return err
	}
	m.Spec.Version = spec.TargetName(o.to)
	text, err := specYAML(m.Spec)
	if err != nil {
		return err
	}
	doc := migrateResult{To: m.Spec.Version, Items: m.Items, Warnings: append(setup.Ignored, m.Rendered.Warnings...), Missing: setup.Missing, Spec: m.Spec, Files: map[string]string{}}
	doc.Warnings = append(doc.Warnings, missingVariables(m)...)
	for _, f := range m.Files {
		doc.Files[f.Path] = string(f.Content)
	}
	files := append([]plan.File{{Path: hostfs.SpecFile, Content: text, Mode: 0o600}}, m.Files...)
	switch {
	case o.out != "":
		err = writeFiles(a, o.out, files)
	case !a.Structured():
		printFiles(a.Out, files)
	}
	if err != nil {
		return err
	}
	if a.Structured() {
		a.Print(doc)
	} else if !a.Quiet {
		printMigration(a, a.Err, doc)
	}
	if len(m.Impossible()) > 0 {
		if a.Quiet && !a.Structured() {
			a.printItems(a.Err, doc.To, m.Impossible())
		}
		return &exitError{exitFailed}
	}
	return nil
}

// missingVariables are flags with a variable that a drop-in has to set.
func missingVariables(m *spec.Migration) (problems []config.Problem) {
	for _, name := range m.Expand {
		if strings.Contains(m.Flags[name], "${") {
			problems = append(problems, config.Problem{Path: "flag --" + name,
				Message: m.Flags[name] + " needs a variable that the unit does not set", Hint: "give the unit a drop-in with its EnvironmentFile="})
		}
	}
	return problems
}

// migrationSources are the files that --from names, and what the command line or, without either, stdin has.
func migrationSources(a *app, c *cobra.Command, files, args []string) ([]document.File, error) {
	sources, err := readDocuments(a, c, files)
	if err != nil || len(args) == 0 && len(sources) > 0 {
		return sources, err
	}
	more, err := documents(a, c, args)
	return append(sources, more...), err
}

func specYAML(s *spec.Spec) ([]byte, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(data)
}

// printMigration tells what became of each item, and what changes although nobody asked for it.
func printMigration(a *app, w io.Writer, doc migrateResult) {
	a.printItems(w, doc.To, doc.Items)
	for _, p := range doc.Warnings {
		a.Note("warning: " + p.Error())
	}
	for _, name := range doc.Missing {
		a.Note("the setup names " + name + ", which is not here; add --from " + name)
	}
}

func (a *app) printItems(w io.Writer, to string, items []config.Item) {
	var rows [][]string
	var changed []config.Item
	for _, i := range items {
		if i.Outcome == config.Changed {
			changed = append(changed, i)
			continue
		}
		rows = append(rows, []string{"  " + string(i.Outcome), i.Item, i.Why})
	}
	fmt.Fprintf(w, "For %s:\n", to)
	a.Table(w, terminal.Sentences(1), rows)
	a.printChanged(w, changed)
}

// printChanged tells which defaults differ.
func (a *app) printChanged(w io.Writer, changed []config.Item) {
	if len(changed) == 0 {
		return
	}
	fmt.Fprintln(w, "Changed defaults:")
	var rows [][]string
	for _, i := range changed {
		rows = append(rows, []string{"  " + i.Item, i.Old + " -> " + i.New, i.Why})
	}
	a.Table(w, terminal.Sentences(1), rows)
}

func renderCommand(a *app) *cobra.Command {
	var out, only string
	o := newInstallOptions()
	c := &cobra.Command{
		Use:   "render [--version VERSION] [-f SPEC] [flags of install]",
		Short: "Print what install would write, on any machine",
		Long: `Render prints the configuration file and the units that install would write for these flags and this spec, and touches
nothing. The flags are those of spec.`,
		Example: `  kubeletctl config render --version v1.37.2 --set maxPods=50
  kubeletctl config render -f spec.yaml --out image/
  kubeletctl config render --version 1.36 --only kubelet.service`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			w := newWork(a, o, "render")
			if err := w.readSpec(c, nil); err != nil {
				return &usageError{err}
			}
			v, err := spec.TargetVersion(w.spec.Version)
			if err != nil {
				return &usageError{withHint(fmt.Errorf("--version: %w", err), "use an exact version or a minor; render does not contact a server")}
			}
			files, err := spec.RenderFiles(w.spec, v, w.positions)
			if err != nil {
				return &usageError{err}
			}
			return printRendered(a, files, out, only)
		},
	}
	o.registerVersion(c)
	o.registerSpec(c)
	a.completesSettings(c)
	completes(c, "version", oneOf(minors()...))
	o.registerFile(c)
	c.Flags().StringVar(&out, "out", "", "write the files below this `DIR`")
	c.Flags().StringVar(&only, "only", "", "print just this `FILE`: kubelet-config.yaml, kubelet.service or kubelet.path")
	return c
}

// printRendered prints files, or the only one of that name, or writes them below a directory.
func printRendered(a *app, files []plan.File, out, only string) error {
	if only != "" && (out != "" || a.Structured()) {
		return &usageError{errors.New("--only prints one file as it is: leave --out and -o away")}
	}
	if only != "" {
		for _, f := range files {
			if path.Base(f.Path) == only || f.Path == only {
				_, err := a.Out.Write(f.Content)
				return err
			}
		}
		return &usageError{fmt.Errorf("--only %s: no such file is rendered", only)}
	}
	if out != "" {
		return writeFiles(a, out, files)
	}
	if a.Structured() {
		doc := map[string]string{}
		for _, f := range files {
			doc[f.Path] = string(f.Content)
		}
		a.Print(doc)
		return nil
	}
	printFiles(a.Out, files)
	return nil
}

func printFiles(w io.Writer, files []plan.File) {
	for i, f := range files {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "==> %s (%04o) <==\n%s", f.Path, f.Mode.Perm(), f.Content)
	}
}

// writeFiles writes the files below dir, and never over another one.
func writeFiles(a *app, dir string, files []plan.File) error {
	var there []error
	for _, f := range files {
		name := filepath.Join(dir, f.Path)
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			there = append(there, cmp.Or(err, fmt.Errorf("%s: %w", name, fs.ErrExist)))
		}
	}
	if len(there) > 0 {
		return withHint(errors.Join(there...), "nothing was written; name an empty directory")
	}
	for _, f := range files {
		name := filepath.Join(dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, f.Content, f.Mode); err != nil {
			return err
		}
		a.Note("wrote " + name)
	}
	return nil
}
