package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// PendingFile exists while a change is under way, or was interrupted.
var PendingFile = in("pending")

// Pending is the change that is under way, or was interrupted: from Begin, which marks it, to Settle, when it was committed, or
// to Abandon, when it was undone.
type Pending struct{ store Store }

// Pending returns that of this record.
func (s Store) Pending() Pending { return Pending{s} }

// Number returns the number of a generation whose change did not end, and whether there is one.
func (p Pending) Number() (int, bool, error) {
	text, err := p.store.tree.ReadFile(PendingFile)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, unreadableFile(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, false, damaged("%s does not hold the number of a generation", PendingFile)
	}
	return n, true, nil
}

// Begin records a generation that is about to be applied and the host as it is before, and marks the change as pending. The
// very first one also records generation 0, without what was installed when the record was lost, nil for nothing. Everything
// is on the disk when it returns. The record must have the layout that it needs: see Store.Convert.
func (p Pending) Begin(want, before, lost *plan.Generation) error {
	n := before.Number
	w := p.store.write()
	defer w.Discard()
	current, err := p.store.Current()
	if err != nil {
		return err
	}
	if current == nil {
		origin := before.Without(lost)
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
	format, err := formatOf(p.store.tree)
	if err == nil {
		err = w.format(max(format, formatFor(want)))
	}
	if err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	return p.store.tree.WriteFile(PendingFile, 0o644, nil, strings.NewReader(strconv.Itoa(n)+"\n"))
}

// Settle ends a change that was committed. Settling twice is the same as once.
func (p Pending) Settle(n int) error {
	if err := p.store.Downloads().Discard(); err != nil {
		return err
	}
	if err := p.store.tree.Remove(PendingFile); err != nil {
		return err
	}
	return p.store.Directory(n).removeFile(targetFile)
}

// Abandon ends a change that was undone, also if its commit had half happened, and keeps of it what history tells, if there
// is a reason to; current is the generation that counts, nil for none: then nothing is kept.
func (p Pending) Abandon(tried, current *plan.Generation) error {
	n, d := tried.Number, p.store.Directory(tried.Number)
	if target, err := p.store.tree.Readlink(in("current")); err == nil && path.Base(target) == strconv.Itoa(n) {
		if current == nil {
			err = p.store.tree.Remove(in("current"))
		} else {
			err = p.store.point(current.Number)
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
		kept = err == nil && p.store.tree.WriteFile(d.path(revertedFile), 0o644, nil, content) == nil
	}
	if err := p.Clear(); err != nil {
		return err
	}
	if !kept {
		return d.Remove()
	}
	for _, name := range []string{recordFile, specFile, targetFile, previousFile, textDir} {
		if err := d.removeFile(name); err != nil {
			return err
		}
	}
	return nil
}

// Clear ends a change of which there is nothing left to recover.
func (p Pending) Clear() error { return p.store.tree.Remove(PendingFile) }

// DropTemporary deletes what a run that was killed while it changed generation n had not renamed yet: of the record, and
// beside the files of the change.
func (p Pending) DropTemporary(n int) error {
	d := p.store.Directory(n)
	var files []string
	for _, name := range []string{recordFile, specFile, previousFile, targetFile, revertedFile} {
		files = append(files, d.path(name), d.path(legacyName(name)))
	}
	for _, read := range []func() (*plan.Generation, error){d.Previous, d.Target} {
		if g, err := read(); err == nil {
			for _, f := range g.Files {
				files = append(files, f.Path, d.path(textDir, f.SHA256))
			}
		}
	}
	return dropTemporary(p.store.tree, files)
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
