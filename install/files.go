package install

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// writeAtomic replaces a file: beside its target, mode before content, fsync, rename, fsync of the directory. A reader
// sees the old file or the new one, also after a power cut.
func writeAtomic(name string, mode fs.FileMode, owner *Owner, content io.Reader) error {
	t, err := renameio.NewPendingFile(name, renameio.WithTempDir(filepath.Dir(name)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return err
	}
	defer t.Cleanup() // does nothing once the file is in place
	if owner != nil {
		if err := t.Chown(owner.UID, owner.GID); err != nil {
			return err
		}
	}
	if _, err := io.Copy(t, content); err != nil {
		return err
	}
	if mode&^fs.ModePerm != 0 { // a new owner and new content take setuid away
		if err := t.Chmod(mode); err != nil {
			return err
		}
	}
	if err := t.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// readCache reads what writeCache has written, and tells whether it was there and made sense.
func readCache(t Tree, file string, content any) bool {
	name, err := t.Locate(file)
	if err != nil {
		return false
	}
	if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() { // reading a pipe may not come to an end
		return false
	}
	data, err := os.ReadFile(name)
	return err == nil && json.Unmarshal(data, content) == nil
}

// writeCache writes what can be had again: in place, without waiting for the disk, and not through a symlink, which in a tree
// may lead out of it. That it could not be written is nobody's concern.
func writeCache(t Tree, file string, content any) {
	name, err := t.Locate(file)
	if err != nil {
		return
	}
	data, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return
	}
	_, _ = f.Write(append(data, '\n'))
	_ = f.Close()
}

// writeText puts the content of a Text at name.
func writeText(name string, mode fs.FileMode, owner *Owner, f File) error {
	content, err := f.open()
	if err != nil {
		return err
	}
	defer content.Close()
	return writeAtomic(name, mode, owner, content)
}

// linkAtomic replaces whatever is at name by a symlink.
func linkAtomic(target, name string) error {
	if err := renameio.Symlink(target, name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes renames and deletions in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// removeFile deletes a file; one that is gone already is no error.
func removeFile(name string) error {
	if err := os.Remove(name); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return syncDir(filepath.Dir(name))
}

// sumFile computes the digest of a file, in hexadecimal.
func sumFile(name string, h hash.Hash) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
