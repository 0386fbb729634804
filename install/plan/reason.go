package plan

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/release"
)

func (p *Plan) diff(name string, old, new File) {
	if new.Kind == Program || old.Kind == Program {
		return // nobody reads that
	}
	if d := unified("a"+name, "b"+name, old, new); len(d) > 0 {
		p.diffs = append(p.diffs, d)
	}
}

// unified is a unified diff, in the form that patch(1) reads; nothing when both are the same.
func unified(oldName, newName string, old, new File) []byte {
	d := diff.Diff(oldName, old.text(), newName, new.text())
	// The first line repeats the names in a form that patch does not read.
	if _, rest, ok := bytes.Cut(d, []byte("\n")); ok && bytes.HasPrefix(d, []byte("diff ")) {
		d = rest
	}
	return d
}

// text is what a diff shows of a file.
func (f File) text() []byte {
	switch f.Kind {
	case Text:
		if f.Source != "" {
			return []byte("(a file with the SHA-256 " + f.SHA256 + ")\n")
		}
		return f.Content
	case Link:
		return []byte("-> " + f.Target + "\n")
	case Binary, ToolBinary, Program, Other:
		return []byte("(" + describe(f) + ")\n")
	}
	return nil
}

// describe names what was found at a path.
func describe(f File) string {
	switch f.Kind {
	case Link:
		return "a symlink to " + f.Target
	case Text, Binary, ToolBinary, Program:
		return "a file"
	}
	return "something that is not a file"
}

// changeReason says in one line how a file changes: the first lines that differ. Secrets are masked, since reasons are
// printed and end up in logs.
func changeReason(old, new File) string {
	switch {
	case new.Kind == Link && old.Kind == Link:
		return fmt.Sprintf("from %s to %s", old.Target, new.Target)
	case new.Kind == Link || old.Kind == Link:
		return describe(old) + " is in its place"
	}
	var removed, added []string
	for line := range strings.Lines(string(config.HideSecrets(unified("a", "b", old, new)))) {
		text := strings.TrimRight(strings.TrimSpace(line[1:]), " \\") // the dashes of a flag are its own
		switch {
		case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "), text == "":
		case strings.HasPrefix(line, "-"):
			removed = append(removed, text)
		case strings.HasPrefix(line, "+"):
			added = append(added, text)
		}
	}
	// A last argument that got a successor differs only by its line continuation.
	both := func(s string) bool { return slices.Contains(removed, s) && slices.Contains(added, s) }
	var words, comments []string
	for _, change := range []struct {
		what  string
		lines []string
	}{{"removed ", removed}, {"added ", added}} {
		for _, s := range change.lines {
			switch {
			case both(s):
			case strings.HasPrefix(s, "#"):
				comments = append(comments, change.what+s)
			default:
				words = append(words, change.what+s)
			}
		}
	}
	if len(words) == 0 {
		words = comments
	}
	const most = 4
	if len(words) > most {
		words = append(words[:most], "and "+release.FormatCount(len(words)-most, "more line", "more lines"))
	}
	if len(words) == 0 {
		return "its content changes"
	}
	return strings.Join(words, ", ")
}
