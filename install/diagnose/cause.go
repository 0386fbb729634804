// Package diagnose finds out what makes a kubelet end, from its last words and from what it was started with: a flag, a line of
// its configuration, or one of somebody else's in the unit.
package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Cause looks for what the words of a kubelet of ours speak of: a flag that it was given, or a line of its configuration files, by
// the name of its field or by its value. Of equals the first is named; empty when they do not tell.
func Cause(o observe.Observer, words string, ours *plan.Generation) string {
	if cause := kubeadmCause(o, words, ours); cause != "" {
		return cause
	}
	return locate(words, ours.Args, configFiles(o, ours))
}

// kubeadmCause is the line of an environment file with the flag that a kubelet of kubeadm's complains of.
func kubeadmCause(o observe.Observer, words string, ours *plan.Generation) string {
	if !ours.Kubeadm {
		return ""
	}
	args, err := o.KubeadmArgs(ours)
	if err != nil {
		return ""
	}
	finder := newFinder(words)
	for _, a := range args {
		place := o.Line(systemd.Position(a.Position))
		finder.consider("--"+a.Name, place)
		finder.consider(a.Value, place)
	}
	return finder.place
}

func locate(words string, args []string, files []plan.File) string {
	finder := newFinder(words)
	for _, arg := range args {
		finder.considerArg(arg, arg)
	}
	for _, f := range files {
		finder.considerLines(f)
	}
	return finder.place
}

// configFiles are the files that kubelet makes its configuration of, the one that counts most first.
func configFiles(o observe.Observer, g *plan.Generation) []plan.File {
	files := append([]plan.File{g.ConfigFile()}, o.ConfigDropIns(g)...)
	slices.Reverse(files)
	return files
}

// ForeignCause is the line, of a file that is not ours, with what kubelet complains of: FILE:LINE: TEXT, without secrets.
// Where its words do not tell, it is the line of a drop-in that sets the command line. Empty when all of that is ours.
func ForeignCause(o observe.Observer, words string, ours *plan.Generation) string {
	dropIns, err := o.DropIns()
	if err != nil {
		return ""
	}
	finder := newFinder(words)
	for _, w := range commandLine(o, dropIns) {
		if ours.File(w.File).Kind == plan.Absent {
			finder.considerArg(w.Text, o.Line(w.Position))
		}
	}
	if finder.place != "" {
		return finder.place
	}
	for _, d := range dropIns {
		if line := d.Command(); line != nil && ours.File(d.Path).Kind == plan.Absent {
			finder.place = o.Line(line.Position)
		}
	}
	return finder.place
}

// commandLine is how the unit starts kubelet, word by word; empty where that cannot be read, which systemd tells.
func commandLine(o observe.Observer, dropIns []observe.DropIn) []systemd.Word {
	unit, _, err := o.UnitFile()
	if err != nil || unit == nil {
		return nil
	}
	command, _ := o.UnitCommand(unit, dropIns)
	return command.Args
}

// anyPlace is the line that the words of a kubelet speak of which kubeletctl has not installed: of its unit, of what that reads, or of
// its configuration file. Empty when they do not tell.
func (s Subject) anyPlace(words string) string {
	dropIns, _ := s.DropIns()
	finder := newFinder(words)
	for _, w := range commandLine(s.Observer, dropIns) {
		finder.considerArg(w.Text, s.Line(w.Position))
		if name, value, _ := strings.Cut(w.Text, "="); name == "--config" {
			file, _ := s.Look(plan.File{Path: value, Kind: plan.Text})
			finder.considerLines(file)
		}
	}
	return finder.place
}

// ForeignHint says what to do about the line of ForeignCause, which kubeletctl leaves as it is.
const ForeignHint = "fix or remove that line, then: systemctl daemon-reload && systemctl restart " + systemd.KubeletService

// finder finds out which of several places kubelet's words speak of. Of several the most specific, which is the longest text,
// is the one.
type finder struct {
	words string // in lower case
	place string
	best  int
}

func newFinder(words string) *finder {
	return &finder{words: strings.ToLower(words), best: 4} // what is shorter than that says nothing
}

func (f *finder) consider(text, place string) {
	text = strings.ToLower(strings.Trim(text, `"'`))
	if len(text) > f.best && containsWord(f.words, text) {
		f.best, f.place = len(text), place
	}
}

// considerArg considers the name and the value of an argument.
func (f *finder) considerArg(arg, place string) {
	name, value, _ := strings.Cut(arg, "=")
	f.consider(name, place)
	f.consider(value, place)
}

// considerLines considers the keys and the values of a configuration file.
func (f *finder) considerLines(file plan.File) {
	number := 0
	for line := range strings.Lines(string(file.Content)) {
		number++
		text := strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "- "))
		if strings.HasPrefix(text, "#") || strings.HasPrefix(text, "apiVersion:") || strings.HasPrefix(text, "kind:") {
			continue
		}
		place := fmt.Sprintf("%s:%d: %s", file.Path, number, text)
		key, value, found := strings.Cut(text, ":")
		if !found {
			value = key
		} else {
			f.consider(key, place)
		}
		value = strings.TrimSpace(value)
		f.consider(value, place)
		if strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[") { // a map or a list in one line
			for _, part := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(`{}[],:"' `, r) }) {
				f.consider(part, place)
			}
		}
	}
}

// containsWord reports whether text holds word with nothing of a word right before or behind it.
func containsWord(text, word string) bool {
	letter := func(c byte) bool { return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' }
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		before, behind := i == 0 || !letter(text[i-1]), i+len(word) == len(text) || !letter(text[i+len(word)])
		if before && behind {
			return true
		}
		from = i + 1
	}
}
