package verdicts

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// batch is how many units systemd reads at once.
const batch = 100

// notices are what systemd says of lines that it takes all the same.
var notices = regexp.MustCompile(`obsolete|deprecated|not safe|unsafe|legacy directory|consider|updating|Support for option|will be removed|no longer supported`)

// complaints are the lines that are skipped or refused, as FILE:LINE, each with why, or the whole unit.
type complaints map[string]string

const (
	whole      = "the unit"
	dropInName = "10-more.conf"
)

// Each line of a unit that systemd skips is one that we say it skips, and a unit that it refuses is one that we do: of 200 units and
// drop-ins, or of as many as KUBELETCTL_VERDICTS says.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED: there is no systemd-analyze here")
	}
	all := setups(countOf(t))
	agreed, explained, refused := 0, 0, 0
	for some := range slices.Chunk(all, batch) {
		dir := t.TempDir()
		theirs := askSystemd(t, analyze, dir, some)
		for _, s := range some {
			ours, systemds := s.byFirstLine(s.complaints()), s.byFirstLine(theirs[s.name])
			if len(systemds) > 0 {
				refused++
			}
			switch difference := compareComplaints(ours, systemds); {
			case difference == "":
				agreed++
			case s.reason(ours, systemds) != "":
				explained++
				t.Logf("%s\n%s", difference, s.reason(ours, systemds))
			default:
				t.Errorf("%s\n%s\n%s", difference, s.unit, s.dropIn)
			}
		}
	}
	t.Logf("%d units, systemd complains of %d; the same lines of %d, explained %d (%.2f %%)", len(all), refused, agreed, explained,
		100*float64(agreed+explained)/float64(len(all)))
}

// byFirstLine says of a line that was joined by backslashes where it begins: systemd names its last line, or its first.
func (s setup) byFirstLine(c complaints) complaints {
	moved := complaints{}
	for at, why := range c {
		name, number, found := strings.Cut(at, ":")
		text := s.unit
		if name != s.name {
			text = s.dropIn
		}
		lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
		n, _ := strconv.Atoi(number)
		for found && n > 1 && n-2 < len(lines) && strings.HasSuffix(lines[n-2], `\`) {
			n--
		}
		if found {
			at = name + ":" + strconv.Itoa(n)
		}
		moved[at] = why
	}
	return moved
}

// reason is why kubeletctl may say something else than systemd does.
func (s setup) reason(ours, theirs complaints) string {
	for _, why := range ours {
		if strings.HasPrefix(why, "the path of the program has") || why == "this quote is never closed" {
			return "systemd reads on behind the path of a program with a quote, to find that the service has no command"
		}
	}
	for at := range theirs {
		_, number, _ := strings.Cut(at, ":")
		n, _ := strconv.Atoi(number)
		if lines := strings.Split(s.unit, "\n"); n > 0 && n <= len(lines) && strings.Contains(lines[n-1], "%") {
			return "what a specifier stands for is not known here"
		}
	}
	return ""
}

func compareComplaints(ours, theirs complaints) string {
	var lines []string
	if len(ours) > 0 && ours[whole] == "" {
		delete(theirs, whole) // a line is why
	}
	for _, at := range slices.Sorted(maps.Keys(theirs)) {
		if _, found := ours[at]; !found {
			lines = append(lines, fmt.Sprintf("%s: systemd: %s", at, theirs[at]))
		}
	}
	for _, at := range slices.Sorted(maps.Keys(ours)) {
		if _, found := theirs[at]; !found {
			lines = append(lines, fmt.Sprintf("%s: kubeletctl: %s", at, ours[at]))
		}
	}
	return strings.Join(lines, "\n")
}

var position = regexp.MustCompile(`^(\S+?):(\d+): (.*)$`)

// askSystemd writes units below dir, has systemd read them, and returns what it complains of by unit.
func askSystemd(t *testing.T, analyze, dir string, some []setup) map[string]complaints {
	args := []string{"verify", "--man=no"}
	for _, s := range some {
		file := filepath.Join(dir, s.name)
		write(t, file, s.unit)
		if s.dropIn != "" {
			write(t, filepath.Join(file+".d", dropInName), s.dropIn)
		}
		args = append(args, file)
	}
	out, _ := exec.Command(analyze, args...).CombinedOutput() // it fails where a unit is refused
	found := map[string]complaints{}
	for line := range bytes.Lines(out) {
		text := strings.TrimSpace(string(line))
		name, at, why := "", whole, ""
		if m := position.FindStringSubmatch(text); m != nil && !notices.MatchString(text) {
			name, _, _ = strings.Cut(strings.TrimPrefix(m[1], dir+"/"), "/")
			name, at, why = strings.TrimSuffix(name, ".d"), filepath.Base(m[1])+":"+m[2], m[3]
		} else if m == nil && strings.HasSuffix(text, "Refusing.") {
			name, why, _ = strings.Cut(text, ": ")
		}
		if found[name] == nil {
			found[name] = complaints{}
		}
		found[name][at] = why
	}
	return found
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// complaints are what kubeletctl says that systemd skips or refuses. What it refuses is the last that it reads.
func (s setup) complaints() complaints {
	found, refused := complaints{}, map[string]int{} // the line, by file
	refuse := func(err error) {
		for _, e := range syntaxErrors(err) {
			found.add(e)
			if n, seen := refused[e.File]; !seen || e.Line < n {
				refused[e.File] = e.Line
			}
		}
	}
	var files []*systemd.UnitFile
	for _, f := range []struct{ name, text string }{{s.name, s.unit}, {dropInName, s.dropIn}} {
		unit, err := systemd.ParseUnit(f.name, []byte(f.text))
		refuse(err)
		for _, ignored := range unit.Ignored() {
			found.add(ignored)
			if strings.HasSuffix(ignored.Text, "systemd refuses the unit") {
				refuse(ignored)
			}
		}
		files = append(files, unit)
	}
	command, err := systemd.Combine(files...).ExecStart(systemd.Environment{Partial: true})
	for _, w := range command.Warnings {
		if strings.Contains(w.Text, "systemd ignores") || strings.Contains(w.Text, "is no escape") {
			found.add(w)
		}
	}
	refuse(err)
	maps.DeleteFunc(found, func(at, _ string) bool {
		file, number, _ := strings.Cut(at, ":")
		line, _ := strconv.Atoi(number)
		last, cut := refused[file]
		_, unit := refused[s.name]
		return cut && line > last || unit && file != s.name
	})
	if len(refused) == 0 && err != nil {
		found[whole] = err.Error()
	}
	return found
}

func (c complaints) add(err *systemd.SyntaxError) { c[err.File+":"+strconv.Itoa(err.Line)] = err.Text }

// syntaxErrors are those of a joined error. A second command is no matter of a line.
func syntaxErrors(err error) (all []*systemd.SyntaxError) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			all = append(all, syntaxErrors(one)...)
		}
		return all
	}
	if syntax := (*systemd.SyntaxError)(nil); errors.As(err, &syntax) && !strings.HasPrefix(syntax.Text, "a second ExecStart=") {
		return []*systemd.SyntaxError{syntax}
	}
	return nil
}
