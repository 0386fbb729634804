package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubeletctl/kubeletctl/cmd"
)

var tested = rel{"v0.1.0", time.Unix(1700000000, 0).UTC()}

// Every command and every topic has its page, and a page says all flags.
func TestPagesAreComplete(t *testing.T) {
	pages := tested.manPages()
	if !maps.Equal(pages, tested.manPages()) {
		t.Error("the pages are others the second time")
	}
	all := reference()
	n := 0
	each(cmd.Commands(), func(c *cobra.Command) {
		n++
		page := pages["man/"+pageOf(c)+".1"]
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && (!strings.Contains(page, escape("--"+f.Name)) || !strings.Contains(all, "--"+f.Name)) {
				t.Errorf("--%s of %s is missing", f.Name, c.CommandPath())
			}
		})
		if !strings.Contains(all, "\n## "+c.CommandPath()+"\n") {
			t.Errorf("the reference has no %s", c.CommandPath())
		}
	})
	for _, topic := range cmd.Topics() {
		n++
		if page := pages["man/kubeletctl-"+topic.Name+".7"]; !strings.Contains(page, escape(topic.Title)) {
			t.Errorf("the page about %s has no title", topic.Name)
		}
	}
	if len(pages) != n {
		t.Errorf("%d pages of %d commands and topics", len(pages), n)
	}
}

// man finds nothing to complain of in a page, and it fits a terminal.
func TestPagesAreReadable(t *testing.T) {
	man, err := exec.LookPath("man")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	if err := tested.write(dir); err != nil {
		t.Fatal(err)
	}
	pages, _ := filepath.Glob(filepath.Join(dir, "man", "*"))
	if len(pages) == 0 {
		t.Fatal("no pages")
	}
	for _, page := range pages {
		c := exec.Command(man, "--warnings", "-E", "UTF-8", "-l", page)
		c.Env = append(os.Environ(), "MANWIDTH=80", "MAN_KEEP_FORMATTING=", "GROFF_NO_SGR=1", "MANPAGER=cat")
		var out, errs bytes.Buffer
		c.Stdout, c.Stderr = &out, &errs
		if err := c.Run(); err != nil || errs.Len() > 0 {
			t.Errorf("%s: %v: %s", filepath.Base(page), err, &errs)
		}
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimRight(line, "\n"); utf8.RuneCountInString(line) > 80 {
				t.Errorf("%s: wider than 80 columns: %s", filepath.Base(page), line)
			}
		}
	}
}

func TestRoff(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a paragraph", "one\ntwo", ".PP\none two\n"},
		{"a line that is no request", ".TH", ".PP\n\\&.TH\n"},
		{"emphasis", "**Bold.** `--x`", ".PP\n\\fBBold.\\fR \\fB\\-\\-x\\fR\n"},
		{"code", "a:\n\n    b -c\n      d\n\ne", ".PP\na:\n.PP\n.nf\n.in 9n\nb \\-c\n  d\n.in\n.fi\n.PP\ne\n"},
		{"fenced", "```\na\n\nb\n```", ".PP\n.nf\n.in 9n\na\n\nb\n.in\n.fi\n"},
		{"items", "- one\n  more\n- two", ".IP \\(bu 2\none more\n.IP \\(bu 2\ntwo\n"},
		{"a heading", "## It's", ".SH IT\\(aqS\n"},
	}
	for _, tt := range tests {
		if got := roff(tt.text); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
