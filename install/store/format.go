package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Format is the number of the newest layout that this program writes. Format 1 had no number, kept the spec in the record,
// which everybody could read, and no arguments. Format 3 is format 2 with programs beside kubelet, of which older programs
// know nothing: a record gets it with the first generation that has some.
const (
	Format      = 3
	plainFormat = 2
)

// formatFor is the layout in which a generation can be recorded.
func formatFor(g *plan.Generation) int {
	if len(g.Tools) > 0 {
		return Format
	}
	return plainFormat
}

const formatFile = "format"

// NewerFormatError reports that the record was written by a newer kubeletctl.
type NewerFormatError struct{ Format int }

func (e *NewerFormatError) Error() string {
	return fmt.Sprintf("the record in %s has format %d, and this kubeletctl reads only up to %d", hostfs.StateDir, e.Format, Format)
}

// Hint says what to do about it.
func (e *NewerFormatError) Hint() string {
	return "a newer kubeletctl has changed this host: use that one, or a newer one"
}

// formatOf is the number of the layout that the record on a host has; 0 for a host without a record.
func formatOf(tree hostfs.Tree) (int, error) {
	text, err := tree.ReadRegular(in(formatFile), maxText)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := tree.Lstat(in("generations")); err == nil {
			return 1, nil
		}
		return 0, nil
	}
	if err != nil {
		return 0, damagedFormat(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil || n < 1:
		return 0, damagedFormat(fmt.Errorf("%s does not hold the number of a format", in(formatFile)))
	case n > Format:
		return 0, &NewerFormatError{n}
	}
	return n, nil
}

// Outdated reports that the record has an older layout than a generation needs that is about to be recorded.
func (s Store) Outdated(want *plan.Generation) bool {
	n, err := formatOf(s.tree)
	return err == nil && n > 0 && n < formatFor(want)
}

// legacyNames are what files were called in format 1.
var legacyNames = map[string]string{recordFile: "generation.json", previousFile: "before.json", targetFile: "wanted.json"}

func legacyName(name string) string {
	if old := legacyNames[name]; old != "" {
		return old
	}
	return name
}

// addLegacy adds to a generation what format 1 kept elsewhere: the spec in the record, and the arguments only in the unit.
func addLegacy(data []byte, g *plan.Generation) {
	var old struct {
		Spec json.RawMessage `json:"spec"`
	}
	var spec struct {
		Keep int `json:"keepGenerations"`
	}
	_ = json.Unmarshal(data, &old) // it was decoded once already
	if g.Spec = old.Spec; g.Spec != nil {
		_ = json.Unmarshal(g.Spec, &spec) // what is wrong with it is told where it is needed
		g.Keep = spec.Keep
	}
	if args := argsInUnit(g); args != nil {
		g.Args = args
	}
	if dir, given := g.Arg("root-dir"); given {
		g.RootDir = path.Clean(dir)
	}
}

// argsInUnit are the arguments in the unit that a generation has recorded; nil for none.
func argsInUnit(g *plan.Generation) []string {
	file := path.Join(hostfs.UnitDir, systemd.KubeletService)
	unit := g.File(file)
	if unit.Kind != plan.Text || len(unit.Content) == 0 || g.Snapshot {
		return nil
	}
	args, err := unitArgs(file, unit.Content)
	if err != nil {
		return nil
	}
	return args
}

// unitArgs are the arguments that a rendered unit starts kubelet with.
func unitArgs(file string, content []byte) ([]string, error) {
	unit, err := systemd.ParseUnit(file, content)
	if err != nil {
		return nil, err
	}
	command, err := systemd.Combine(unit).ExecStart(systemd.Environment{})
	if err != nil {
		return nil, err
	}
	var args []string
	for _, word := range command.Args {
		args = append(args, word.Text)
	}
	return args, nil
}

// Convert gives a record the layout that a generation needs that is about to be recorded; one that has it stays. It is cut off
// without harm anywhere: until the number is written what was there counts, and what of that is left afterwards goes the next
// time.
func (s Store) Convert(want *plan.Generation) error {
	format, err := formatOf(s.tree)
	if err != nil || format == 0 {
		return err
	}
	numbers, err := s.numbers()
	if err != nil {
		return err
	}
	if next := formatFor(want); format < next {
		if err := s.write().converted(numbers, next); err != nil {
			return fmt.Errorf("converting the record in %s: %w", hostfs.StateDir, err)
		}
	}
	for _, n := range numbers {
		for name, old := range legacyNames {
			if name == recordFile && path.Base(s.Directory(n).fileOf(name)) == old {
				continue // it is damaged, and could not be converted
			}
			if _, err := s.tree.Lstat(path.Join(dirOf(n), old)); err != nil {
				continue
			}
			if err := s.tree.RemoveAll(path.Join(dirOf(n), old)); err != nil {
				return err
			}
		}
	}
	return nil
}

// converted writes each generation of format 1 in a newer layout beside the old one, then the number of the format.
func (w batch) converted(numbers []int, format int) error {
	defer w.Discard()
	for _, n := range numbers {
		for _, name := range []string{recordFile, previousFile} {
			if _, err := w.store.tree.Lstat(path.Join(dirOf(n), legacyNames[name])); err != nil {
				continue
			}
			g, err := w.store.Directory(n).read(name)
			if isDamage(err) {
				continue // it is told where it is needed
			}
			if err != nil {
				return err
			}
			put := func() error { return w.record(g) }
			if name != recordFile {
				put = func() error { return w.whole(n, name, g) }
			}
			if err := put(); err != nil {
				return err
			}
		}
	}
	if err := w.format(format); err != nil {
		return err
	}
	return w.Commit()
}

func (w batch) format(n int) error {
	return w.WriteFile(in(formatFile), 0o644, strings.NewReader(strconv.Itoa(n)+"\n"))
}
