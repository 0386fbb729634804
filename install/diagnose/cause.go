// Package diagnose finds out what makes a kubelet end, from its last words and from what it was started with: a flag, a line of
// its configuration, or one of somebody else's in the unit.
package diagnose

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Cause looks for what the words of a kubelet of ours speak of: a flag that it was given, or a line of its configuration files, by
// the name of its field or by its value. Of equals the first is named; empty when they do not tell.
func Cause(o observe.Observer, words string, ours *plan.Generation) string {
	files := configFiles(o, ours)
	if place := configPlace(words, files); place != "" {
		return place
	}
	return ownWord(o, words, ours, files)
}

// ownWord is the flag of ours, or the line of its configuration files, with a word that the words speak of; empty when they do not tell.
func ownWord(o observe.Observer, words string, ours *plan.Generation, files []plan.File) string {
	if cause := kubeadmCause(o, words, ours); cause != "" {
		return cause
	}
	return locate(words, ours.Args, files)
}

// configPlace is the line of a configuration file, or just the file, where the words are that kubelet cannot decode it, and name the
// file; empty for other words. A rehearsal has another name for the file that is not a drop-in, which is the last.
func configPlace(words string, files []plan.File) string {
	m := regexp.MustCompile(`(?:config|dropin) file, path: ([^\s,]+),(.*)`).FindStringSubmatch(words)
	if m == nil || len(files) == 0 || strings.Contains(m[2], "no such file or directory") {
		return ""
	}
	i := slices.IndexFunc(files, func(f plan.File) bool { return f.Path == m[1] })
	if i < 0 {
		i = len(files) - 1
	}
	file, place := files[i], files[i].Path
	lines := strings.Split(strings.TrimRight(string(file.Content), "\n"), "\n")
	if line := regexp.MustCompile(`\bline (\d+)`).FindStringSubmatch(m[2]); line != nil {
		n, _ := strconv.Atoi(line[1])
		n = max(1, min(n, len(lines))) // the end of the file is counted as a line
		return fmt.Sprintf("%s:%d: %s", place, n, strings.TrimSpace(lines[n-1]))
	}
	if field := regexp.MustCompile(`Go struct field \w+\.([\w.]+) of type`).FindStringSubmatch(m[2]); field != nil {
		for n, path := range fieldPaths(lines) {
			if strings.HasSuffix("."+path, "."+field[1]) {
				return fmt.Sprintf("%s:%d: %s", place, n+1, strings.TrimSpace(lines[n]))
			}
		}
	}
	if kind := regexp.MustCompile(`no kind "(\w+)"|apiVersion/kind: .*Kind=(\w+)`).FindStringSubmatch(m[2]); kind != nil {
		key := "kind:"
		if kind[1]+kind[2] == "KubeletConfiguration" {
			key = "apiVersion:"
		}
		if n := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, key) }); n >= 0 {
			return fmt.Sprintf("%s:%d: %s", place, n+1, lines[n])
		}
	}
	return place
}

// fieldPaths are the whole paths of the fields of a YAML document in block style, line by line: authentication.x509.clientCAFile; empty
// for a line without a field.
func fieldPaths(lines []string) []string {
	type parent struct {
		indent int
		key    string
	}
	var parents []parent
	paths := make([]string, len(lines))
	for n, line := range lines {
		text := strings.TrimLeft(line, " ")
		key, _, found := strings.Cut(text, ":")
		if !found || strings.ContainsAny(key, "#{[") {
			continue
		}
		indent := len(line) - len(text)
		if item := strings.TrimLeft(key, "- "); item != key {
			indent, key = indent+1, item
		}
		parents = slices.DeleteFunc(parents, func(p parent) bool { return p.indent >= indent })
		parents = append(parents, parent{indent, strings.Trim(key, `"'`)})
		for i, p := range parents {
			if i > 0 {
				paths[n] += "."
			}
			paths[n] += p.key
		}
	}
	return paths
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
		finder.considerArg("--"+a.Name+"="+a.Value, place)
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

// configFiles are those files as they are on the host.
func (s Subject) configFiles() []plan.File {
	files := configFiles(s.Observer, s.Ours)
	for i, f := range files {
		if content, err := s.Tree.ReadFile(f.Path); err == nil {
			files[i].Content = content
		}
	}
	return files
}

// ForeignCause is the line, of a file that is not ours, with what kubelet complains of: FILE:LINE: TEXT, without secrets.
// Where its words do not tell, it is the line of a drop-in that sets the command line. Empty when all of that is ours.
func ForeignCause(o observe.Observer, words string, ours *plan.Generation) string {
	dropIns, err := o.DropIns()
	if err != nil {
		return ""
	}
	if place := foreignWord(o, words, ours, dropIns); place != "" {
		return place
	}
	place := ""
	for _, d := range dropIns {
		if line := d.Command(); line != nil && ours.File(d.Path).Kind == plan.Absent {
			place = o.Line(line.Position)
		}
	}
	return place
}

// foreignWord is the line of a file that is not ours with a word of the command line that the words speak of; empty when they do not
// tell.
func foreignWord(o observe.Observer, words string, ours *plan.Generation, dropIns []observe.DropIn) string {
	finder := newFinder(words)
	for _, w := range commandLine(o, dropIns) {
		if ours.File(w.File).Kind == plan.Absent {
			finder.considerArg(w.Text, o.Line(w.Position))
		}
	}
	return finder.place
}

// locate finds the place that the words speak of, and reports whether that is in a file that is not ours. Of words of which no rule
// knows the cause it is, at last, the line of a drop-in that sets the command line.
func (s Subject) locate(words string, ended, known bool) (place string, foreign bool) {
	files := s.configFiles()
	if place := configPlace(words, files); place != "" {
		return place, false
	}
	if ended || !known {
		dropIns, _ := s.DropIns()
		if place := foreignWord(s.Observer, words, s.Ours, dropIns); place != "" {
			return place, true
		}
	}
	if place := ownWord(s.Observer, words, s.Ours, files); place != "" || known || s.Ours.Kubeadm {
		return place, false
	}
	place = ForeignCause(s.Observer, words, s.Ours)
	return place, place != ""
}

// Flag is the value of a flag in the unit of kubelet; empty where that has none, or cannot be read.
func Flag(o observe.Observer, name string) (value string) {
	dropIns, _ := o.DropIns()
	for _, w := range commandLine(o, dropIns) {
		if text, found := strings.CutPrefix(w.Text, "--"+name+"="); found {
			value = text
		}
	}
	return value
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
			content, _ := s.Tree.ReadFile(value)
			file := plan.TextFile(value, 0, content)
			if place := configPlace(words, []plan.File{file}); place != "" {
				return place
			}
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

// specific reports whether a text of a configuration is one that words do not have by chance: a path, an address, or a name that is no
// plain word, such as maxPods. Plain words, numbers and durations say nothing.
func specific(text string) bool {
	text = strings.Trim(text, `"'`)
	if address, err := netip.ParseAddr(text); err == nil {
		return !address.IsUnspecified() && !address.IsLoopback()
	}
	if text == "" || !unicode.IsLetter(rune(text[0])) && text[0] != '/' && text[0] != '-' {
		_, err := netip.ParsePrefix(text)
		return err == nil
	}
	return strings.ContainsAny(text[1:], "/.:_-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}

// considerArg considers the name and the value of an argument.
func (f *finder) considerArg(arg, place string) {
	name, value, _ := strings.Cut(arg, "=")
	f.consider(name, place)
	f.considerValue(value, place)
}

// considerValue considers a value or a key that is specific, or that the words have in quotes.
func (f *finder) considerValue(text, place string) {
	text = strings.Trim(text, `"'`)
	if specific(text) || strings.Contains(f.words, `"`+strings.ToLower(text)+`"`) {
		f.consider(text, place)
	}
}

// considerLines considers the keys, with their whole paths, and the values of a configuration file.
func (f *finder) considerLines(file plan.File) {
	lines := strings.Split(string(file.Content), "\n")
	paths := fieldPaths(lines)
	for n, line := range lines {
		text := strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "- "))
		if strings.HasPrefix(text, "#") || strings.HasPrefix(text, "apiVersion:") || strings.HasPrefix(text, "kind:") {
			continue
		}
		place := fmt.Sprintf("%s:%d: %s", file.Path, n+1, text)
		key, value, found := strings.Cut(text, ":")
		if !found {
			value = key
		} else {
			f.considerValue(key, place)
			if strings.Contains(paths[n], ".") {
				f.consider(paths[n], place)
			}
		}
		value = strings.TrimSpace(value)
		f.considerValue(value, place)
		if strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[") { // a map or a list in one line
			for _, part := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(`{}[],:"' `, r) }) {
				f.considerValue(part, place)
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
