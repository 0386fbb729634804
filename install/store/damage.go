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

// damagedGeneration is damage of what one generation is recorded in.
func damagedGeneration(n int, err error) error {
	return damagedText(n, fmt.Errorf("reading generation %d: %w", n, err))
}

// damagedText is damagedGeneration in other words.
func damagedText(n int, err error) error {
	return &DamagedError{Err: err, Generation: n, Way: "the others in kubeletctl history are not affected; to go back to this one, restore " + dirOf(n) + " from a backup"}
}

// unreadable is an error of reading a file of a generation: damage, unless it only is that this user may not read it.
func unreadable(n int, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("reading generation %d: %w", n, err)
	}
	return damagedGeneration(n, err)
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

// lost reports whether a generation has lost the record that completes it: one that never was complete has no spec either.
func (s Store) lost(n int) bool {
	return n > 0 && !s.has(n, recordFile) && !s.has(n, revertedFile) && !s.has(n, eventFile) && s.has(n, specFile)
}

// Damaged says what is damaged, for each generation where something is, oldest first: of generation 0 and at most so many of
// the newest, 0 for all, since all of their files are read.
func (s Store) Damaged(most int) ([]*DamagedError, error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, err
	}
	if older := len(numbers) - most; most > 0 && older > 1 {
		numbers = slices.Delete(numbers, 1, older) // the first is 0
	}
	pending, isPending, err := s.Pending()
	if err != nil {
		return nil, err
	}
	var list []*DamagedError
	for _, n := range numbers {
		var damage *DamagedError
		if !(isPending && n == pending) && errors.As(s.check(n), &damage) {
			list = append(list, damage)
		}
	}
	return list, nil
}

// check reads all of a generation, or of what is in the history instead of one.
func (s Store) check(n int) error {
	if !s.has(n, recordFile) && !s.lost(n) {
		_, err := summary(s, n)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // its change did not get to its end
		}
		return err
	}
	g, err := s.Load(n)
	if err == nil {
		err = s.Verify(g)
	}
	if err == nil && path.Base(s.fileOf(n, recordFile)) == recordFile {
		_, err = s.readSecret(n)
	}
	return err
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
	known, _ := s.readSecret(n)
	g.Spec = known.Spec
	return g, nil
}

// HasText reports whether a generation keeps a text, as its own or as one of before.
func (s Store) HasText(n int, sum string) bool {
	_, err := s.tree.Lstat(path.Join(dirOf(n), textDir, sum))
	return isSum(sum) && err == nil
}

// Forget forgets the damaged record of a generation that is about to be recorded anew.
func (s Store) Forget(n int) error {
	return errors.Join(s.removeFile(n, recordFile), s.removeFile(n, specFile))
}

// damagedFormat is damage of the number of the format, without which nothing may be changed: a newer kubeletctl may have.
func damagedFormat(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &DamagedError{Err: err, Way: fmt.Sprintf("if no newer kubeletctl has changed this host, write %d into it; otherwise restore it from a backup", Format)}
}
