// Command generate writes the files of a release that are made from the program: man pages, completions for shells, a
// reference of all commands, and the list of what a binary consists of (SBOM).
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd"
)

func main() {
	version := flag.String("version", "", "`VERSION` of the release")
	epoch := flag.Int64("epoch", 0, "`SECONDS` since 1970: the date of the release")
	binary := flag.String("sbom", "", "instead print the SBOM of a `BINARY`")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: generate --version VERSION --epoch SECONDS (DIR | --sbom BINARY)")
		flag.PrintDefaults()
	}
	flag.Parse()
	r := rel{*version, time.Unix(*epoch, 0).UTC()}
	var err error
	switch {
	case *binary != "" && flag.NArg() == 0:
		err = r.sbom(os.Stdout, *binary)
	case *binary == "" && flag.NArg() == 1:
		err = r.write(flag.Arg(0))
	default:
		flag.Usage()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// rel is the release that the files belong to.
type rel struct {
	version string
	date    time.Time
}

// write writes the texts of a release below a directory: man/, completions/, reference.md.
func (r rel) write(dir string) error {
	for _, sub := range []string{"man", "completions"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	files := r.manPages()
	files["reference.md"] = reference()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	root, in := cmd.Commands(), func(name string) string { return filepath.Join(dir, "completions", name) }
	if err := root.GenBashCompletionFileV2(in("kubeletctl.bash"), true); err != nil {
		return err
	}
	if err := root.GenZshCompletionFile(in("_kubeletctl")); err != nil {
		return err
	}
	return root.GenFishCompletionFile(in("kubeletctl.fish"), true)
}

// each calls f with a command and all below it that a user sees, in the order of the help.
func each(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			each(sub, f)
		}
	}
}

// reference is all help of all commands and all topics as one text in Markdown.
func reference() string {
	var b strings.Builder
	b.WriteString("# kubeletctl: commands and topics\n")
	each(cmd.Commands(), func(c *cobra.Command) {
		fmt.Fprintf(&b, "\n## %s\n\n", c.CommandPath())
		text := strings.TrimSpace(cmp.Or(c.Long, c.Short))
		fmt.Fprintf(&b, "```\n%s\n\nUsage:\n  %s\n", text, useLine(c))
		if c.HasExample() {
			fmt.Fprintf(&b, "\nExamples:\n%s\n", c.Example)
		}
		for _, group := range cmd.FlagGroups(c) {
			fmt.Fprintf(&b, "\n%s:\n%s", group.Name, group.Flags.FlagUsagesWrapped(100))
		}
		b.WriteString("```\n")
	})
	for _, topic := range cmd.Topics() {
		fmt.Fprintf(&b, "\n%s", strings.ReplaceAll("\n"+topic.Text, "\n#", "\n##")[1:])
	}
	return b.String()
}

// useLine is how a command is called.
func useLine(c *cobra.Command) string {
	if c.HasAvailableSubCommands() {
		return c.CommandPath() + " COMMAND"
	}
	return c.UseLine()
}
