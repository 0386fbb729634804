package terminal

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		width      int
		want       string
	}{
		{name: "no terminal", text: strings.Repeat("word ", 50), want: strings.Repeat("word ", 50)},
		{name: "it fits", text: "as  it is", width: 9, want: "as  it is"},
		{name: "a hanging indent", text: "kubeletctl: error: no such file", width: 20, want: "kubeletctl: error:\n  no such file"},
		{name: "more than two lines", text: "one two three four five", width: 9, want: "one two\n  three\n  four\n  five"},
		{name: "below an indent", text: "  hint: do something else", width: 15, want: "  hint: do\n    something\n    else"},
		{name: "a word that is too wide stays whole", text: "see https://example.com/a/b now", width: 12, want: "see\n  https://example.com/a/b\n  now"},
		{name: "each line by itself", text: "one two three\nfour\n", width: 8, want: "one two\n  three\nfour\n"},
		{name: "colours take no room", text: string(Red) + "failure\x1b[0m disk: full", width: 18, want: string(Red) + "failure\x1b[0m disk: full"},
	}
	for _, tt := range tests {
		if got := Wrap(tt.text, tt.width); got != tt.want {
			t.Errorf("%s:\n%q, want\n%q", tt.name, got, tt.want)
		}
	}
}

func TestRefill(t *testing.T) {
	t.Parallel()
	const text = "A paragraph of two\nlines that are short.\n\nA heading:\n  9  not all could be put back\n"
	const want = "A paragraph\nof two lines\nthat are\nshort.\n\nA heading:\n  9  not all\n    could be\n    put back\n"
	if got := Refill(text, 13); got != want {
		t.Errorf("%q, want\n%q", got, want)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	const path, reason = "/etc/systemd/system/kubelet.service", "removed --v=2, added --v=4 because of a flag"
	history := []Column{{Title: "N"}, {Title: "WHO", Fit: Spare}, {Title: "TRUST", Fit: Spare}, {Title: "RESULT", Fit: Cuttable}}
	happened := [][]string{{"2", "ubuntu (sudo)", "given", "rolled-back: kubelet exited"}, {"1", "root", "given", "healthy"}}
	tests := []struct {
		name    string
		limit   int
		columns []Column
		rows    [][]string
		want    string
	}{
		{"a plan without a terminal", 0, Sentences(1), [][]string{{"  write", path, reason}, {"  reload", "systemd", "units"}},
			"  write   " + path + "  " + reason + "\n  reload  systemd                              units\n"},
		{"a text is broken", 70, Sentences(1), [][]string{{"  write", path, reason}},
			"  write  " + path + "  removed --v=2, added\n" + strings.Repeat(" ", 46) + "--v=4 because of a flag\n"},
		{"then a path is cut", 60, Sentences(1), [][]string{{"  write", path, reason}},
			"  write  ...emd/system/kubelet.service  removed --v=2, added\n" + strings.Repeat(" ", 40) + "--v=4 because of a\n" + strings.Repeat(" ", 40) + "flag\n"},
		{"a list without a terminal", 0, history, happened,
			"N  WHO            TRUST  RESULT\n2  ubuntu (sudo)  given  rolled-back: kubelet exited\n1  root           given  healthy\n"},
		{"one column is left out", 50, history, happened,
			"N  WHO            RESULT\n2  ubuntu (sudo)  rolled-back: kubelet exited\n1  root           healthy\n"},
		{"another one, and one is cut", 25, history, happened,
			"N  RESULT\n2  rolled-back: kubele...\n1  healthy\n"},
	}
	for _, tt := range tests {
		var b strings.Builder
		WriteTable(&b, tt.limit, tt.columns, tt.rows)
		if b.String() != tt.want {
			t.Errorf("%s:\n%swant\n%s", tt.name, b.String(), tt.want)
		}
		for line := range strings.Lines(b.String()) {
			if n := columnsOf(strings.TrimSuffix(line, "\n")); tt.limit > 0 && n > tt.limit {
				t.Errorf("%s: a line has %d columns, more than %d", tt.name, n, tt.limit)
			}
		}
	}
}
