package cmd

import (
	"embed"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// topicFiles are the texts of kubeletctl help TOPIC, in Markdown that is readable as it is.
//
//go:embed topics/*.md
var topicFiles embed.FS

// A Topic is a text about something that concerns several commands.
type Topic struct {
	Name  string
	Title string // the heading that the text begins with
	Text  string // in Markdown: paragraphs, headings, code that is indented
}

// Topics lists the topics by name.
func Topics() []Topic {
	entries, err := topicFiles.ReadDir("topics")
	if err != nil {
		panic(err) // the files are part of the program
	}
	var all []Topic
	for _, entry := range entries {
		text, err := topicFiles.ReadFile("topics/" + entry.Name())
		if err != nil {
			panic(err)
		}
		heading, _, _ := strings.Cut(string(text), "\n")
		all = append(all, Topic{strings.TrimSuffix(entry.Name(), ".md"), strings.TrimPrefix(heading, "# "), string(text)})
	}
	return all
}

// helpCommand takes the place of cobra's, which knows no topics and exits with 0 when it has no help to show.
func helpCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "help [COMMAND | TOPIC]",
		Short:             "Show the help of a command, or a text about a topic",
		ValidArgsFunction: completeHelp,
		RunE: func(c *cobra.Command, args []string) error {
			for _, t := range Topics() {
				if len(args) == 1 && args[0] == t.Name {
					_, err := io.WriteString(a.Out, t.Text)
					return err
				}
			}
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noHelp(about, args, rest)
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// noHelp is the error about words of which the last ones, the rest, are no command below c and no topic.
func noHelp(c *cobra.Command, args, rest []string) error {
	known := commandNames(c)
	if !c.HasParent() {
		for _, t := range Topics() {
			known = append(known, t.Name)
		}
	}
	err := orRather(fmt.Errorf("no help for %q", strings.Join(args, " ")), rest[0], known)
	return &usageError{withHint(err, "kubeletctl help lists the commands and the topics")}
}

// completeHelp lists what help knows about: the commands below those that were named, or the topics, too.
func completeHelp(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	about, rest, err := c.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, sub := range about.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
		}
	}
	if about == c.Root() {
		for _, t := range Topics() {
			names = append(names, cobra.CompletionWithDesc(t.Name, t.Title))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
