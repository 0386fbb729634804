package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// DamagedError reports that a part of the record of what was installed cannot be made sense of.
type DamagedError struct {
	Err error
	// Generation is whose record it is, and Way what to do about that; both empty for what all generations have in common.
	Generation int
	Way        string
}

func (e *DamagedError) Error() string { return e.Err.Error() }
func (e *DamagedError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *DamagedError) Hint() string {
	if e.Way != "" {
		return e.Way
	}
	return "the record in " + hostfs.StateDir + " is damaged; restore it from a backup, or move it away and take over what runs: kubeletctl install --adopt"
}

func isDamage(err error) bool {
	var damage *DamagedError
	return errors.As(err, &damage)
}

func damaged(format string, args ...any) error {
	return &DamagedError{Err: fmt.Errorf(format, args...)}
}

// damagedLink is damage of the symlink to the current generation.
func damagedLink(format string, args ...any) error {
	return &DamagedError{Err: fmt.Errorf(format, args...), Way: "move it away, and the newest generation in " + in("generations") + " counts as the current one"}
}

// damaged is damage of what one generation is recorded in.
func (d Directory) damaged(err error) error {
	return d.damagedText(fmt.Errorf("reading generation %d: %w", d.n, err))
}

// damagedText is damaged in other words.
func (d Directory) damagedText(err error) error {
	if d.n == 0 {
		return &DamagedError{Err: err, Way: "kubeletctl uninstall cannot put back what was here before the first install; restore " + d.path() + " from a backup, or go on without it"}
	}
	return &DamagedError{Err: err, Generation: d.n, Way: "the others in kubeletctl history are not affected; to go back to this one, restore " + d.path() + " from a backup"}
}

// unreadable is an error of reading a file of a generation: damage, unless it only is that this user may not read it.
func (d Directory) unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("reading generation %d: %w", d.n, err)
	}
	return d.damaged(err)
}

// unreadableFile is the same for a file that all generations have in common.
func unreadableFile(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &DamagedError{Err: err}
}

func decode(data []byte, file string, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// Damaged says what is damaged, for each generation where something is, oldest first: of generation 0 and at most so many of
// the newest, 0 for all, since all of their files are read.
func (s Store) Damaged(most int) ([]*DamagedError, error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, err
	}
	if len(numbers) > 0 && numbers[0] != 0 {
		numbers = slices.Insert(numbers, 0, 0) // it is lost
	}
	if older := len(numbers) - most; most > 0 && older > 1 {
		numbers = slices.Delete(numbers, 1, older) // the first is 0
	}
	pending, isPending, err := s.Pending().Number()
	if err != nil {
		return nil, err
	}
	var list []*DamagedError
	for _, n := range numbers {
		var damage *DamagedError
		if !(isPending && n == pending) && errors.As(s.Directory(n).check(), &damage) {
			list = append(list, damage)
		}
	}
	return list, nil
}

// standIn is what is known of a current generation whose record is damaged: what the others have installed. Its version, its
// arguments and where its health is asked for are not known.
func (s Store) standIn(n int, damage *DamagedError) (*plan.Generation, error) {
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	g := &plan.Generation{}
	damage.Way = "kubeletctl install with all its settings records what is here anew"
	if len(all) > 0 {
		newest := all[len(all)-1]
		damage.Way = fmt.Sprintf("kubeletctl rollback --to %d goes back to the newest generation that is intact; %s", newest.Number, damage.Way)
		g = &plan.Generation{Arch: newest.Arch, Files: newest.Files, Units: newest.Units, Dirs: newest.Dirs,
			RootDir: newest.RootDir, Credentials: newest.Credentials, Keep: newest.Keep}
		g = plan.Merge(g, all)
	}
	g.Number, g.Damage = n, damage
	known, _ := s.Directory(n).readSecret()
	g.Spec = known.Spec
	return g, nil
}

// readText reads a text of a generation. Where that is damaged, the host may still have the same bytes; nothing when it has not.
func (d Directory) readText(blob string, f plan.File) []byte {
	content, err := d.tree.ReadFile(blob)
	if err == nil && plan.Sum(content) == f.SHA256 || errors.Is(err, fs.ErrPermission) {
		return content
	}
	if content, err := d.tree.ReadRegular(f.Path, maxText); err == nil && plan.Sum(content) == f.SHA256 {
		return content
	}
	return nil
}

// Keeps reports whether the texts of a generation are in the record as they were recorded.
func (d Directory) Keeps(g *plan.Generation) bool {
	for _, f := range g.Files {
		if f.Kind != plan.Text || f.Source != "" {
			continue
		}
		if content, err := d.tree.ReadRegular(d.path(textDir, f.SHA256), maxText); err != nil || plan.Sum(content) != f.SHA256 {
			return false
		}
	}
	return true
}

// Origin is generation 0, as far as it can be put back. missing says what cannot, since its record or the content of a file is
// damaged: a unit of which the file is missing is not to be started.
func (s Store) Origin() (origin *plan.Generation, missing []error, err error) {
	origin, err = s.Directory(0).Load()
	if isDamage(err) {
		return &plan.Generation{Snapshot: true}, []error{err}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, f := range slices.Clone(origin.Files) {
		only := &plan.Generation{Files: []plan.File{f}}
		err := s.Directory(0).Verify(only)
		if err == nil {
			continue
		}
		if !isDamage(err) {
			return nil, nil, err
		}
		missing = append(missing, err)
		origin.Files = slices.DeleteFunc(origin.Files, func(other plan.File) bool { return other.Path == f.Path })
		origin.Units = slices.DeleteFunc(origin.Units, func(u plan.Unit) bool { return u.Name == path.Base(f.Path) })
	}
	return origin, missing, nil
}

// unclaimed is where the texts of generation 0 are kept that an uninstall could not put back.
var unclaimed = in("before")

// Unclaimed is that place; empty when there is nothing in it.
func (s Store) Unclaimed() string {
	if _, err := s.tree.Lstat(unclaimed); err != nil {
		return ""
	}
	return unclaimed
}

// keepUnclaimed keeps the texts of generation 0 that its record does not speak of, because it was damaged.
func (s Store) keepUnclaimed() error {
	origin, err := s.Directory(0).Load()
	if err != nil {
		return err
	}
	texts := path.Join(dirOf(0), textDir)
	entries, err := s.tree.ReadDir(texts)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if slices.ContainsFunc(origin.Files, func(f plan.File) bool { return f.SHA256 == e.Name() }) {
			continue
		}
		if err := s.tree.MkdirAll(unclaimed, 0o700); err != nil {
			return err
		}
		if err := s.tree.Rename(path.Join(texts, e.Name()), path.Join(unclaimed, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// damagedFormat is damage of the number of the format, without which nothing may be changed: a newer kubeletctl may have.
func damagedFormat(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &DamagedError{Err: err, Way: fmt.Sprintf("if no newer kubeletctl has changed this host, write %d into it; otherwise restore it from a backup", Format)}
}
