package main

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubeletctl/kubeletctl/cmd"
)

// manPages are the pages by the name of their file: section 1 for commands, 7 for topics.
func (r rel) manPages() map[string]string {
	pages := map[string]string{}
	each(cmd.Commands(), func(c *cobra.Command) {
		name := pageOf(c)
		pages["man/"+name+".1"] = r.page(name, "1", c.Short, commandText(c))
	})
	for _, topic := range cmd.Topics() {
		name := "kubeletctl-" + topic.Name
		_, text, _ := strings.Cut(topic.Text, "\n")
		pages["man/"+name+".7"] = r.page(name, "7", topic.Title, ".SH DESCRIPTION\n"+roff(text)+seeAlso("kubeletctl(1)"))
	}
	return pages
}

// pageOf is the name of a command's page.
func pageOf(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func (r rel) page(name, section, title, text string) string {
	return fmt.Sprintf(".TH %s %s %s \"kubeletctl %s\" \"kubeletctl\"\n.nh\n.ad l\n.SH NAME\n%s \\- %s\n%s",
		escape(strings.ToUpper(name)), section, r.date.Format("2006\\-01\\-02"), escape(r.version), escape(name), escape(title), text)
}

// commandText is what the page of a command has after its name.
func commandText(c *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".SH SYNOPSIS\n%s\n.SH DESCRIPTION\n%s", escape(useLine(c)), roff(strings.TrimSpace(cmp.Or(c.Long, c.Short))))
	var also []string
	if c.HasParent() {
		also = append(also, pageOf(c.Parent())+"(1)")
	}
	if c.HasAvailableSubCommands() {
		b.WriteString(".SH COMMANDS\n")
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				fmt.Fprintf(&b, ".TP\n\\fB%s\\fR(1)\n%s\n", escape(pageOf(sub)), escape(sub.Short))
			}
		}
	}
	for _, group := range cmd.FlagGroups(c) {
		fmt.Fprintf(&b, ".SH %s\n", escape(strings.ToUpper(group.Name)))
		group.Flags.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				b.WriteString(flagText(f))
			}
		})
	}
	if c.HasExample() {
		b.WriteString(".SH EXAMPLES\n" + roff(c.Example))
	}
	if !c.HasParent() {
		for _, topic := range cmd.Topics() {
			also = append(also, "kubeletctl-"+topic.Name+"(7)")
		}
	}
	return b.String() + seeAlso(also...)
}

func flagText(f *pflag.Flag) string {
	value, usage := pflag.UnquoteUsage(f)
	names := "\\fB" + escape("--"+f.Name) + "\\fR"
	if f.Shorthand != "" {
		names = "\\fB" + escape("-"+f.Shorthand) + "\\fR, " + names
	}
	if value != "" {
		names += " \\fI" + escape(value) + "\\fR"
	}
	if f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" {
		usage += " (default " + f.DefValue + ")"
	}
	return fmt.Sprintf(".TP\n%s\n%s\n", names, escape(usage))
}

func seeAlso(pages ...string) string {
	if len(pages) == 0 {
		return ""
	}
	for i, page := range pages {
		name, section, _ := strings.Cut(page, "(")
		pages[i] = "\\fB" + escape(name) + "\\fR(" + section
	}
	return ".SH SEE ALSO\n" + strings.Join(pages, ",\n") + "\n"
}

// roff turns the Markdown of topics, or the text of a help, into roff: headings, paragraphs, items, code that is indented or
// fenced, bold and code in a line. The texts are plain enough that all else would only bring escapes of its own.
func roff(text string) string {
	var b strings.Builder
	var paragraph, code []string
	mark, fenced := ".PP", false
	flush := func() {
		if len(paragraph) > 0 {
			fmt.Fprintf(&b, "%s\n%s\n", mark, inline(strings.Join(paragraph, " ")))
		}
		b.WriteString(verbatim(code))
		paragraph, code, mark = nil, nil, ".PP"
	}
	for line := range strings.SplitSeq(text, "\n") {
		indented := strings.HasPrefix(line, "  ") && mark == ".PP"
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
			flush()
		case fenced || indented || len(code) > 0 && line == "":
			if len(paragraph) > 0 {
				flush()
			}
			code = append(code, line)
		case line == "":
			flush()
		case strings.HasPrefix(line, "## "):
			flush()
			fmt.Fprintf(&b, ".SH %s\n", escape(strings.ToUpper(line[3:])))
		case strings.HasPrefix(line, "- "):
			flush()
			mark, paragraph = ".IP \\(bu 2", []string{line[2:]}
		default:
			if len(code) > 0 {
				flush()
			}
			paragraph = append(paragraph, strings.TrimSpace(line))
		}
	}
	flush()
	return b.String()
}

// verbatim are lines as they stand, less what all of them are indented by. Wide ones begin further left than a paragraph does, so
// that they fit a terminal of 80 columns.
func verbatim(lines []string) string {
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return ""
	}
	const columns, usual = 78, 9 // of man on such a terminal; two more than a paragraph
	margin, width := columns, 0
	for _, line := range lines {
		if line != "" {
			margin = min(margin, len(line)-len(strings.TrimLeft(line, " ")))
		}
		width = max(width, utf8.RuneCountInString(line))
	}
	var b strings.Builder
	fmt.Fprintf(&b, ".PP\n.nf\n.in %dn\n", max(0, min(usual, columns-(width-margin))))
	for _, line := range lines {
		b.WriteString(escape(line[min(margin, len(line)):]) + "\n")
	}
	b.WriteString(".in\n.fi\n")
	return b.String()
}

// inline sets what stands between ** or backquotes in bold.
func inline(text string) string {
	var b strings.Builder
	for i, part := range strings.Split(strings.ReplaceAll(text, "**", "`"), "`") {
		if i%2 == 1 {
			part = "\\fB" + escape(part) + "\\fR"
		} else {
			part = escapeInside(part)
		}
		b.WriteString(part)
	}
	return guard(b.String())
}

var escapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "\\(ga", "^", `\(ha`, "~", `\(ti`)

// escape keeps roff from reading anything into a line.
func escape(line string) string { return guard(escapeInside(line)) }

func escapeInside(text string) string { return escapes.Replace(text) }

// guard keeps a line that begins with a dot from being a request.
func guard(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}
