package store

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"strconv"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

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
		if old, err := w.store.tree.ReadRegular(blob, maxText); err == nil && plan.Sum(old) == f.SHA256 || f.Source == blob {
			continue
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
// Pending.Settle.
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
// undoes it; the change is pending until Pending.Settle.
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

// CommitUninstall makes the host of before the first install the current generation. Of what was damaged of its record only
// what can be put back is recorded from here on.
func (s Store) CommitUninstall(origin *plan.Generation) error {
	if _, missing, err := s.Origin(); err != nil {
		return err
	} else if len(missing) > 0 {
		record := origin.Clone()
		record.Number = 0
		if err := errors.Join(s.Directory(0).Forget(), s.Update(record)); err != nil {
			return err
		}
	}
	return s.point(0)
}

// point moves current.
func (s Store) point(n int) error {
	return s.tree.Symlink(path.Join("generations", strconv.Itoa(n)), in("current"))
}

// DropUnfinished forgets what was begun by runs that were killed before anything was changed.
func (s Store) DropUnfinished(current int) error {
	numbers, err := s.numbers()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		d := s.Directory(n)
		if n == 0 || n == current || d.lost() || d.complete() {
			continue
		}
		if err := s.tree.RemoveAll(d.path()); err != nil {
			return err
		}
	}
	return nil
}

// Erase removes the whole record, after an uninstall, in an order that makes sense wherever it is cut off: what is left last
// is the symlink to generation 0, with which the next run goes on. The rest goes when the lock is released.
func (s Store) Erase() error {
	if err := errors.Join(s.Pending().Clear(), s.Downloads().Discard(), s.Cordon().Drop(), s.Joining().Drop(), s.keepUnclaimed()); err != nil {
		return err
	}
	numbers, err := s.numbers()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n > 0 {
			if err := s.Directory(n).Remove(); err != nil {
				return err
			}
		}
	}
	return s.tree.Remove(in("current"))
}
