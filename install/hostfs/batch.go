package hostfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"
)

// Batch writes several files as one durable unit: all contents reach the disk before the first file gets its name, and each
// directory is synced once, which takes far less time than to wait for one file after the other. The names are given in the
// order of the calls, so what says that the rest is complete comes last; that order survives a power cut on one file system.
//
// A Batch keeps its files open, so it is for dozens, not for thousands. It is for one goroutine.
type Batch struct {
	tree  Tree
	files []pendingFile
}

// pendingFile is a file that has a name for now. Both paths are of the host.
type pendingFile struct {
	*os.File
	path, temporary string
}

// Batch starts a batch.
func (t Tree) Batch() *Batch { return &Batch{tree: t} }

// WriteFile writes a file that gets its name at Commit; the rest is as with [Tree.WriteFile]. After an error the batch is as
// before. When two calls name one file, the later content wins.
func (b *Batch) WriteFile(p string, mode fs.FileMode, content io.Reader) error {
	return b.write(p, mode, nil, content)
}

func (b *Batch) write(p string, mode fs.FileMode, owner *Owner, content io.Reader) error {
	return b.tree.do("write", p, func(in calls, name string) error {
		f, err := writeTemporary(in, name, mode, owner, content)
		if err == nil {
			p := path.Clean("/" + p)
			b.files = append(b.files, pendingFile{f, p, path.Join(path.Dir(p), path.Base(f.Name()))})
		}
		return err
	})
}

// Commit waits until all contents are on the disk, gives the files their names, and syncs their directories. The first
// rename that fails ends it: files before it are there, those after it are as before, and nothing temporary is left. A
// second call does nothing; the batch can be used anew.
func (b *Batch) Commit() error {
	defer b.Discard()
	errs := make([]error, len(b.files))
	var all sync.WaitGroup
	for i, f := range b.files { // at once: a journal commits many files as fast as one
		all.Go(func() { errs[i] = named("sync", f.path, f.Sync()) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var dirs []string
	for len(b.files) > 0 {
		f := b.files[0]
		if err := b.tree.rename(f.temporary, f.path); err != nil {
			return named("write", f.path, err)
		}
		_ = f.Close() // its content is on the disk
		b.files = b.files[1:]
		if dir := path.Dir(f.path); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range dirs {
		if err := b.tree.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// Discard deletes what has not got its name. After Commit, and when called again, it does nothing.
func (b *Batch) Discard() {
	for _, f := range b.files {
		_ = f.Close()
		_ = b.tree.do("remove", f.temporary, calls.Remove) // a stale one does no harm, and Temporary lists it
	}
	b.files = nil
}
