package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// Begin records a generation that is about to be applied and the host as it is before, and marks the change as pending. The
// very first one also records generation 0. Everything is on the disk when it returns. The record must have this layout:
// see Convert.
func (s Store) Begin(want, before *plan.Generation) error {
	n := before.Number
	w := s.write()
	defer w.Discard()
	current, err := s.Current()
	if err != nil {
		return err
	}
	if current == nil {
		origin := before.Clone()
		origin.Number = 0
		if err := w.generation(origin); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		name string
		g    *plan.Generation
	}{{previousFile, before}, {targetFile, want}} {
		if err := errors.Join(w.texts(n, file.g), w.whole(n, file.name, file.g)); err != nil {
			return err
		}
	}
	if err := w.WriteFile(in(formatFile), 0o644, strings.NewReader(strconv.Itoa(Format)+"\n")); err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	return s.tree.WriteFile(PendingFile, 0o644, nil, strings.NewReader(strconv.Itoa(n)+"\n"))
}

// batch is a part of the record that is written as one.
type batch struct {
	*hostfs.Batch
	store Store
}

func (s Store) write() batch { return batch{s.tree.Batch(), s} }

// generation adds a generation: first the texts, by digest, then what is for root only, then the record that completes it.
func (w batch) generation(g *plan.Generation) error {
	if err := w.texts(g.Number, g); err != nil {
		return err
	}
	return w.record(g)
}

func (w batch) record(g *plan.Generation) error {
	for _, file := range []struct {
		name string
		mode fs.FileMode
		data any
	}{{specFile, 0o600, secret{Args: g.Args, Spec: g.Spec}}, {recordFile, 0o644, g}} {
		content, err := encode(file.data)
		if err != nil {
			return err
		}
		if err := w.WriteFile(path.Join(dirOf(g.Number), file.name), file.mode, content); err != nil {
			return err
		}
	}
	return nil
}

// whole adds a generation with its secrets, as one file.
func (w batch) whole(n int, name string, g *plan.Generation) error {
	content, err := encode(whole{g, secret{Args: g.Args, Spec: g.Spec}})
	if err != nil {
		return err
	}
	return w.WriteFile(path.Join(dirOf(n), name), 0o600, content)
}

func (w batch) texts(n int, g *plan.Generation) error {
	dir := path.Join(dirOf(n), textDir)
	if err := w.store.tree.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range g.Files {
		if f.Kind != plan.Text {
			continue
		}
		blob := path.Join(dir, f.SHA256)
		if _, err := w.store.tree.Lstat(blob); err == nil {
			continue // named by its content, and complete since it was renamed into place
		}
		content, err := w.store.Open(f)
		if err != nil {
			return err
		}
		err = w.WriteFile(blob, 0o600, content)
		_ = content.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// Open returns the content of a Text for reading.
func (s Store) Open(f plan.File) (io.ReadCloser, error) {
	if f.Source != "" {
		return s.tree.Open(f.Source)
	}
	if plan.Sum(f.Content) != f.SHA256 {
		return nil, damaged("the recorded content of %s is missing or damaged", f.Path)
	}
	return io.NopCloser(bytes.NewReader(f.Content)), nil
}

// Commit makes a generation the current one. From here on an interruption no longer undoes it; the change is pending until
// Settle.
func (s Store) Commit(g *plan.Generation) error {
	if err := s.Update(g); err != nil {
		return err
	}
	return s.point(g.Number)
}

// Update records what is known anew of a generation.
func (s Store) Update(g *plan.Generation) error {
	w := s.write()
	defer w.Discard()
	if err := w.generation(g); err != nil {
		return err
	}
	return w.Commit()
}

// CommitEvent records a repair or a restart, and what it left of the generation. From here on an interruption no longer
// undoes it; the change is pending until Settle.
func (s Store) CommitEvent(event, repaired *plan.Generation) error {
	w := s.write()
	defer w.Discard()
	content, err := encode(event)
	if err == nil {
		err = w.generation(repaired)
	}
	if err == nil {
		err = w.WriteFile(path.Join(dirOf(event.Number), eventFile), 0o644, content)
	}
	if err != nil {
		return err
	}
	return w.Commit()
}

// CommitUninstall makes the host of before the first install the current generation.
func (s Store) CommitUninstall() error { return s.point(0) }

// point moves current.
func (s Store) point(n int) error {
	return s.tree.Symlink(path.Join("generations", strconv.Itoa(n)), in("current"))
}

// Settle ends a change that was committed. Settling twice is the same as once.
func (s Store) Settle(n int) error {
	if err := s.Downloads().Discard(); err != nil {
		return err
	}
	if err := s.tree.Remove(PendingFile); err != nil {
		return err
	}
	return s.removeFile(n, targetFile)
}

func (s Store) removeFile(n int, name string) error {
	for _, name := range []string{name, legacyNames[name]} {
		if name == "" {
			continue
		}
		file := path.Join(dirOf(n), name)
		if _, err := s.tree.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := s.tree.RemoveAll(file); err != nil {
			return err
		}
	}
	return nil
}

// ClearPending ends a change of which there is nothing left to recover.
func (s Store) ClearPending() error { return s.tree.Remove(PendingFile) }

// Abandon ends a change that was undone, also if its commit had half happened, and keeps of it what history tells, if there
// is a reason to; current is the generation that counts, nil for none: then nothing is kept.
func (s Store) Abandon(tried, current *plan.Generation) error {
	n := tried.Number
	if target, err := s.tree.Readlink(in("current")); err == nil && path.Base(target) == strconv.Itoa(n) {
		if current == nil {
			err = s.tree.Remove(in("current"))
		} else {
			err = s.point(current.Number)
		}
		if err != nil {
			return err
		}
	}
	kept := false
	if current != nil && tried.Reason != "" {
		left := *tried
		left.Files, left.Units, left.Dirs = nil, nil, nil
		content, err := encode(&left)
		// A full disk must not keep the host from being as before.
		kept = err == nil && s.tree.WriteFile(path.Join(dirOf(n), revertedFile), 0o644, nil, content) == nil
	}
	if err := s.ClearPending(); err != nil {
		return err
	}
	if !kept {
		return s.Remove(n)
	}
	for _, name := range []string{recordFile, specFile, targetFile, previousFile, textDir} {
		if err := s.removeFile(n, name); err != nil {
			return err
		}
	}
	return nil
}

// Remove forgets a generation. First goes what makes it complete: a half removed one must not be taken for one to go back to.
func (s Store) Remove(n int) error {
	for _, name := range []string{recordFile, revertedFile, eventFile} {
		if err := s.removeFile(n, name); err != nil {
			return err
		}
	}
	return s.tree.RemoveAll(dirOf(n))
}

// DropUnfinished forgets what was begun by runs that were killed before anything was changed.
func (s Store) DropUnfinished(current int) error {
	numbers, err := s.numbers()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n == 0 || n == current || s.lost(n) || s.has(n, recordFile) || s.has(n, revertedFile) || s.has(n, eventFile) {
			continue
		}
		if err := s.tree.RemoveAll(dirOf(n)); err != nil {
			return err
		}
	}
	return nil
}

// Erase removes the whole record, after an uninstall, in an order that makes sense wherever it is cut off: what is left last
// is the symlink to generation 0, with which the next run goes on. The rest goes when the lock is released.
func (s Store) Erase() error {
	if err := errors.Join(s.ClearPending(), s.Downloads().Discard()); err != nil {
		return err
	}
	numbers, err := s.numbers()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n > 0 {
			if err := s.Remove(n); err != nil {
				return err
			}
		}
	}
	return s.tree.Remove(in("current"))
}

// DropTemporary deletes what a run that was killed while it changed generation n had not renamed yet: of the record, and
// beside the files of the change.
func (s Store) DropTemporary(n int) error {
	var files []string
	for _, name := range []string{recordFile, specFile, previousFile, targetFile, revertedFile} {
		files = append(files, path.Join(dirOf(n), name), path.Join(dirOf(n), legacyName(name)))
	}
	for _, read := range []func(int) (*plan.Generation, error){s.Previous, s.Target} {
		if g, err := read(n); err == nil {
			for _, f := range g.Files {
				files = append(files, f.Path, path.Join(dirOf(n), textDir, f.SHA256))
			}
		}
	}
	return dropTemporary(s.tree, files)
}

func dropTemporary(tree hostfs.Tree, files []string) error {
	for _, file := range files {
		left, err := tree.Temporary(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("looking for what was left beside %s: %w", file, err)
		}
		for _, name := range left {
			if err := tree.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	return nil
}
