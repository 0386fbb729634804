package cmd

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
)

// groupKey is the annotation of a flag that names its group in the help.
const groupKey = "kubeletctl_group"

// The groups of flags. What is in none is listed below "Flags:".
const (
	noGroup      = "Flags"
	groupRelease = "Release and trust"
	groupNode    = "Node"
	groupConfig  = "Configuration"
	groupChange  = "How to change"
	groupOutput  = "Output"
	groupGeneral = "General"
)

// groupOrder is the order of the groups in the help; the last two are of every command.
var groupOrder = []string{noGroup, groupRelease, groupNode, groupConfig, groupChange, groupOutput, groupGeneral}

// inGroup puts the flags of f that have no group yet into one. Call it after the flags of a group are registered.
func inGroup(f *pflag.FlagSet, group string) {
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Annotations[groupKey] == nil {
			flag.Annotations = map[string][]string{groupKey: {group}}
		}
	})
}

// groupOf is the group of a flag.
func groupOf(flag *pflag.Flag) string {
	if flag.Name == "help" { // cobra registers it
		return groupGeneral
	}
	if group := flag.Annotations[groupKey]; group != nil {
		return group[0]
	}
	return noGroup
}

// help prints what a command does, and how it is used.
func help(a *app, c *cobra.Command) {
	text := strings.TrimSpace(cmp.Or(c.Long, c.Short))
	if terminal.Is(a.Out) {
		text = terminal.Refill(text, helpWidth(a.Out))
	}
	fmt.Fprintf(c.OutOrStdout(), "%s\n\n", text)
	_ = usage(a, c) // a.Out remembers what could not be written
}

// usage prints how a command is used, with its flags in groups.
func usage(a *app, c *cobra.Command) error {
	var b strings.Builder
	limit := terminal.Width(a.Out)
	b.WriteString("Usage:\n")
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND\n", c.CommandPath())
	} else {
		fmt.Fprintln(&b, terminal.Wrap("  "+c.UseLine(), limit))
	}
	if c.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", terminal.Wrap(c.Example, limit))
	}
	if c.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		var rows [][]string
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				rows = append(rows, []string{"  " + sub.Name(), sub.Short})
			}
		}
		terminal.WriteTable(&b, limit, terminal.Sentences(0), rows)
	}
	if !c.HasParent() {
		b.WriteString("\nHelp topics:\n")
		var rows [][]string
		for _, t := range Topics() {
			rows = append(rows, []string{"  " + t.Name, t.Title})
		}
		terminal.WriteTable(&b, limit, terminal.Sentences(0), rows)
	}
	printFlags(&b, c, helpWidth(a.Out))
	if !c.HasParent() {
		b.WriteString("\n" + terminal.Wrap("kubeletctl COMMAND --help describes a command, kubeletctl help TOPIC a topic.", limit) + "\n")
	}
	_, err := io.WriteString(c.OutOrStdout(), b.String())
	return err
}

// A FlagGroup are flags of a command that stand together in its help.
type FlagGroup struct {
	Name  string
	Flags *pflag.FlagSet
}

// printFlags lists the flags of a command in groups.
func printFlags(w io.Writer, c *cobra.Command, width int) {
	for _, group := range FlagGroups(c) {
		fmt.Fprintf(w, "\n%s:\n%s", group.Name, group.Flags.FlagUsagesWrapped(width))
	}
}

// FlagGroups are the flags of a command in groups. One that has flags of a single group besides those of every command gets a
// plain list.
func FlagGroups(c *cobra.Command) []FlagGroup {
	c.Flags().SortFlags = false // as they were registered: the most important ones first
	groups := map[string]*pflag.FlagSet{}
	add := func(flag *pflag.Flag) {
		group := groupOf(flag)
		if groups[group] == nil {
			groups[group] = pflag.NewFlagSet(group, pflag.ContinueOnError)
			groups[group].SortFlags = false
		}
		groups[group].AddFlag(flag)
	}
	c.LocalFlags().VisitAll(add)
	c.InheritedFlags().VisitAll(add)
	var own []string
	for _, group := range groupOrder[1 : len(groupOrder)-2] {
		if groups[group] != nil {
			own = append(own, group)
		}
	}
	if len(own) == 1 {
		plain := groups[own[0]]
		plain.AddFlagSet(groups[noGroup])
		groups[noGroup] = plain
		delete(groups, own[0])
	}
	var ordered []FlagGroup
	for _, group := range groupOrder {
		if flags := groups[group]; flags != nil && flags.HasAvailableFlags() {
			ordered = append(ordered, FlagGroup{group, flags})
		}
	}
	return ordered
}

// helpWidth is the number of columns that the help takes at most.
func helpWidth(out io.Writer) int {
	const most = 100
	return min(cmp.Or(terminal.Width(out), most), most)
}
