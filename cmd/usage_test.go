package cmd

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
)

// command finds a command of a new command line by its words, with the flags that cobra adds.
func command(t *testing.T, words ...string) *cobra.Command {
	t.Helper()
	a := &app{Output: terminal.Output{Out: io.Discard, Err: io.Discard}}
	c, _, err := a.rootCommand().Find(words)
	if err != nil {
		t.Fatal(err)
	}
	c.InitDefaultHelpFlag()
	return c
}

func TestEveryFlagOfAChangeHasAGroup(t *testing.T) {
	for _, verb := range []string{"install", "upgrade", "rollback", "repair"} {
		c := command(t, verb)
		check := func(flag *pflag.Flag) {
			if group := groupOf(flag); group == noGroup {
				t.Errorf("%s: --%s is in no group", verb, flag.Name)
			} else if !slices.Contains(groupOrder, group) {
				t.Errorf("%s: --%s is in the group %q, which the help does not show", verb, flag.Name, group)
			}
		}
		c.LocalFlags().VisitAll(check)
		c.InheritedFlags().VisitAll(check)
	}
}

func TestFlagsStandInGroups(t *testing.T) {
	for _, tt := range []struct{ verb, headings string }{
		{"install", "Release and trust|Node|Configuration|How to change"},
		{"upgrade", "Release and trust|Node|Configuration|How to change"},
		{"rollback", "Release and trust|How to change"},
		{"repair", "Release and trust|How to change"},
		{"restart", "Flags"},
		{"config render", "Flags|Release and trust|Node|Configuration"},
		{"uninstall", "Flags"},
		{"mirror", "Flags"},
		{"status", "Flags"},
		{"diff", ""},
	} {
		t.Run(tt.verb, func(t *testing.T) {
			c := command(t, strings.Fields(tt.verb)...)
			var help bytes.Buffer
			printFlags(&help, c, 100)
			var headings []string
			listed := 0
			for line := range strings.Lines(help.String()) {
				if heading, found := strings.CutSuffix(line, ":\n"); found && heading == strings.TrimLeft(heading, " ") {
					headings = append(headings, heading)
				}
				if fields := strings.Fields(line); len(fields) > 0 && strings.HasPrefix(fields[0], "-") {
					listed++
				}
			}
			want := []string{"Output", "General"}
			if tt.headings != "" {
				want = append(strings.Split(tt.headings, "|"), want...)
			}
			if !slices.Equal(headings, want) {
				t.Errorf("headings %q, want %q", headings, want)
			}
			flags := 0
			count := func(*pflag.Flag) { flags++ }
			c.LocalFlags().VisitAll(count)
			c.InheritedFlags().VisitAll(count)
			if listed != flags {
				t.Errorf("%d flags are listed, there are %d:\n%s", listed, flags, help.String())
			}
		})
	}
}
