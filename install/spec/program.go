package spec

import (
	"path"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// program is a command line with kubelet in it.
type program struct {
	binary  string // kubelet itself
	args    []systemd.Word
	wrapper string // what runs it, if anything does: a shell, systemd-inhibit
}

var shells = []string{"sh", "bash", "dash", "ash"}

// findKubelet finds kubelet's own command line in one that may run it by way of something else.
func findKubelet(binary string, args []systemd.Word) program {
	as := program{binary: binary, args: args}
	if strings.Contains(path.Base(binary), "kubelet") {
		return as
	}
	if slices.Contains(shells, path.Base(binary)) {
		if words := ofShell(args); words != nil {
			args = words
		}
	}
	for i, w := range args {
		if isKubelet(w.Text) && (i == 0 || !takesValue(args[i-1].Text)) {
			return program{w.Text, args[i+1:], binary}
		}
	}
	return as
}

func isKubelet(word string) bool {
	base := path.Base(word)
	return !strings.HasPrefix(word, "-") && !strings.HasSuffix(word, "/") && (base == "kubelet" || strings.HasPrefix(base, "kubelet-v"))
}

// takesValue reports whether the next word is the value of this one.
func takesValue(word string) bool {
	f, known := config.LookupFlag(word)
	return known && strings.HasPrefix(word, "-") && f.Type != "bool"
}

// ofShell are the words of what a shell is told to run with -c, up to the end of the first command with kubelet in it; nil when
// it is told nothing. What the shell would expand is not known here.
func ofShell(args []systemd.Word) []systemd.Word {
	c := slices.IndexFunc(args, func(w systemd.Word) bool {
		return strings.HasPrefix(w.Text, "-") && !strings.HasPrefix(w.Text, "--") && strings.HasSuffix(w.Text, "c")
	})
	if c < 0 || c+1 == len(args) {
		return nil
	}
	script := args[c+1]
	first, words, err := systemd.SplitCommandLine(script.File, script.Text)
	if err != nil {
		return nil
	}
	words = append([]systemd.Word{{Text: first}}, words...)
	found := false
	for i := range words {
		w := &words[i]
		w.Position, w.Unknown = script.Position, strings.ContainsAny(w.Text, "$`")
		found = found || isKubelet(w.Text)
		if operator := strings.TrimRight(w.Text, ";"); found && (operator != w.Text || slices.Contains([]string{"&", "&&", "||", "|"}, operator)) {
			if w.Text = operator; strings.Trim(operator, "&|") == "" {
				return words[:i]
			}
			return words[:i+1]
		}
	}
	return words
}
