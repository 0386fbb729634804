package cmd

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section is the part of a text below a heading.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("there is no section %q", heading)
	}
	part, _, _ := strings.Cut(rest, "\n## ")
	return part
}

// rows are the cells of a table, without its heading.
func rows(part string) [][]string {
	var all [][]string
	for line := range strings.Lines(part) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "|") {
			var cells []string
			for _, cell := range strings.Split(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			all = append(all, cells)
		}
	}
	return all[min(len(all), 2):]
}

func TestReadmeIsShort(t *testing.T) {
	const most = 200
	if lines := strings.Count(readme(t), "\n"); lines > most {
		t.Errorf("README.md has %d lines, more than %d", lines, most)
	}
}

func TestReadmeHasTheExitCodes(t *testing.T) {
	var want [][]string
	for _, e := range exitCodes {
		want = append(want, []string{fmt.Sprint(e.code), e.meaning})
	}
	if got := rows(section(t, readme(t), "Exit codes")); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("README.md has the exit codes\n%q, the help has\n%q", got, want)
	}
}

func TestReadmeHasEveryCommand(t *testing.T) {
	var got, want []string
	for _, row := range rows(section(t, readme(t), "Commands")) {
		got = append(got, strings.Trim(row[0], "`"))
	}
	root := (&app{Output: terminal.Output{Out: io.Discard}}).rootCommand()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if !c.Hidden {
			want = append(want, c.Name())
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the commands of README.md are\n%q, there are\n%q", got, want)
	}
}

func TestReadmeNamesEveryTopic(t *testing.T) {
	links := regexp.MustCompile(`(?m)^- \[(\w+)\]\(cmd/topics/(\w+)\.md\): `).FindAllStringSubmatch(section(t, readme(t), "More"), -1)
	var got, want []string
	for _, link := range links {
		got = append(got, link[1])
		if link[1] != link[2] {
			t.Errorf("the link of %s leads to %s", link[1], link[2])
		}
	}
	for _, topic := range Topics() {
		want = append(want, topic.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("README.md names the topics\n%q, there are\n%q", got, want)
	}
}

// What a text in Markdown refers to is there: files by their links, commands and topics by their names.
func TestTextsReferToWhatIsThere(t *testing.T) {
	texts := []string{"../README.md", "../scripts/README.md"}
	for _, topic := range Topics() {
		texts = append(texts, "topics/"+topic.Name+".md")
	}
	named := 0
	for _, name := range texts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), string(link[1]))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, words := range regexp.MustCompile(`(?m)(?:^    (?:# )?|\x60)kubeletctl ([a-z]+)(?: ([a-z]+))?`).FindAllStringSubmatch(indentFences(string(text)), -1) {
			checkCommand(t, name, words[1], words[2])
			named++
		}
	}
	if named < 50 { // else the expression finds nothing any more
		t.Errorf("the texts name only %d commands", named)
	}
}

// indentFences makes fenced code like indented code.
func indentFences(text string) string {
	var b strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		} else if fenced {
			b.WriteString("    ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// checkCommand checks a command that a text names, with the word that follows.
func checkCommand(t *testing.T, text, verb, next string) {
	t.Helper()
	root := (&app{Output: terminal.Output{Out: io.Discard}}).rootCommand()
	root.InitDefaultHelpCmd()
	c, _, err := root.Find([]string{verb})
	if err != nil {
		t.Errorf("%s: kubeletctl %s: there is no such command", text, verb)
		return
	}
	if verb == "help" && next != "" && !slices.ContainsFunc(Topics(), func(topic Topic) bool { return topic.Name == next }) {
		t.Errorf("%s: kubeletctl help %s: there is no such topic", text, next)
	}
	if sub, _, _ := root.Find([]string{verb, next}); c.HasSubCommands() && next != "" && sub == c {
		t.Errorf("%s: kubeletctl %s %s: there is no such command", text, verb, next)
	}
}

// A topic is read in a terminal. Help of a command of its name is the topic, which then leads to the flags.
func TestTopicsAreReadable(t *testing.T) {
	const widest = 80
	root := (&app{Output: terminal.Output{Out: io.Discard}}).rootCommand()
	for _, topic := range Topics() {
		if c, _, err := root.Find([]string{topic.Name}); err == nil && c != root {
			if hint := "kubeletctl " + topic.Name + " --help"; !strings.Contains(topic.Text, hint) {
				t.Errorf("%s is a command, too, and the topic does not name %s", topic.Name, hint)
			}
		}
		if !strings.HasPrefix(topic.Text, "# ") || !strings.HasSuffix(topic.Text, "\n") {
			t.Errorf("%s begins with no heading, or does not end with a line", topic.Name)
		}
		n := 0
		for line := range strings.Lines(topic.Text) {
			n++
			if len(strings.TrimSuffix(line, "\n")) > widest {
				t.Errorf("topics/%s.md:%d is wider than %d columns", topic.Name, n, widest)
			}
		}
	}
}
