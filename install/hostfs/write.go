package hostfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Owner is who owns a file.
type Owner struct {
	UID int `json:"uid"`
	GID int `json:"gid"`
}

// WriteFile writes a file anew beside its place, with its owner (nil: the user who runs this) and its mode, whatever the
// umask, before its content, and gives it its name when the content is on the disk. What had the name before is replaced, a
// link itself; a directory is an error. When it fails, the file is as before, and an error of content is returned as it is;
// only when syncing the directory fails, the new one may be there. A second call does the same again.
func (t Tree) WriteFile(p string, mode fs.FileMode, owner *Owner, content io.Reader) error {
	b := t.Batch()
	if err := b.write(p, mode, owner, content); err != nil {
		return err
	}
	return b.Commit()
}

// writeTemporary writes a file beside name that has a name for now. It has not reached the disk.
func writeTemporary(in calls, name string, mode fs.FileMode, owner *Owner, content io.Reader) (f *os.File, err error) {
	temporary, err := tryNames(name, func(temporary string) error {
		f, err = in.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := fill(f, mode, owner, content); err != nil {
		_ = f.Close()
		_ = in.Remove(temporary)
		return nil, err
	}
	return f, nil
}

func fill(f *os.File, mode fs.FileMode, owner *Owner, content io.Reader) error {
	if owner != nil {
		if err := f.Chown(owner.UID, owner.GID); err != nil {
			return err
		}
	}
	if err := f.Chmod(mode.Perm()); err != nil {
		return err
	}
	if _, err := io.Copy(f, content); err != nil {
		if own, ok := errors.AsType[*fs.PathError](err); ok && own.Path == f.Name() {
			return err
		}
		return verbatimError{err} // it is the content's
	}
	if mode&^fs.ModePerm == 0 {
		return nil
	}
	return f.Chmod(mode) // a new owner and new content take setuid away
}

// tryNames calls create with names for the time before name is replaced, until there is one that is free; see
// Tree.Temporary.
func tryNames(name string, create func(temporary string) error) (temporary string, err error) {
	dir, base := path.Split(name)
	for range 100 {
		temporary = dir + "." + base + strconv.FormatUint(rand.Uint64(), 10)
		if err = create(temporary); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return temporary, err
}

// Symlink replaces whatever is at p, but a directory, by a symlink. The target is written as it is. A second call does the
// same again.
func (t Tree) Symlink(target, p string) error {
	return t.do("symlink", p, func(in calls, name string) error {
		temporary, err := tryNames(name, func(temporary string) error { return in.Symlink(target, temporary) })
		if err != nil {
			return err
		}
		if err := in.Rename(temporary, name); err != nil {
			_ = in.Remove(temporary)
			return err
		}
		return syncDir(in, path.Dir(name))
	})
}

// Mkdir makes one directory, with a mode less the umask. A directory that exists, or a link to one inside of the tree, is
// left as it is; anything else there is the error ENOTDIR.
func (t Tree) Mkdir(p string, mode fs.FileMode) error {
	return t.do("mkdir", p, func(in calls, name string) error {
		err := in.Mkdir(name, mode)
		if errors.Is(err, fs.ErrExist) {
			info, err := t.Stat(p)
			if err != nil {
				return err
			}
			if !info.IsDir() {
				return unix.ENOTDIR
			}
		} else if err != nil {
			return err
		}
		return syncDir(in, path.Dir(name)) // also for one that a run made that was killed then
	})
}

// MkdirAll makes a directory and those above it that are missing, with the same mode less the umask. What exists is left as
// it is. Errors are those of MissingDirs and Mkdir.
func (t Tree) MkdirAll(p string, mode fs.FileMode) error {
	missing, err := t.MissingDirs(p)
	if err != nil {
		return err
	}
	for _, dir := range missing {
		if err := t.Mkdir(dir, mode); err != nil {
			return err
		}
	}
	return nil
}

// Rename gives what is at old the name new, in the place of what has it, but a directory. Links are not followed. The error
// is an *[os.LinkError] with paths of the host; a second call fails, since old is gone.
func (t Tree) Rename(old, new string) error {
	err := t.rename(old, new)
	if err == nil {
		err = t.SyncDir(path.Dir(path.Clean("/" + new)))
	}
	if dir := path.Dir(path.Clean("/" + old)); err == nil && dir != path.Dir(path.Clean("/"+new)) {
		err = t.SyncDir(dir)
	}
	return err
}

// rename renames, and does not wait for the disk.
func (t Tree) rename(old, new string) error {
	err := t.do("rename", old, func(in calls, from string) error {
		return t.do("rename", new, func(_ calls, to string) error { return in.Rename(from, to) })
	})
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return &os.LinkError{Op: "rename", Old: old, New: new, Err: e.Err}
	}
	return err
}

// Remove deletes a file, a link itself, or an empty directory. What is gone already is no error.
func (t Tree) Remove(p string) error {
	return t.delete(p, calls.Remove)
}

// RemoveAll deletes what is at p and everything below it. A link is deleted, not followed; what is mounted below is not
// spared. What is gone already is no error, and a second call deletes what the first one could not.
func (t Tree) RemoveAll(p string) error {
	if path.Clean("/"+p) == "/" {
		return &fs.PathError{Op: "remove", Path: p, Err: unix.EBUSY}
	}
	return t.delete(p, calls.RemoveAll)
}

// Rmdir deletes an empty directory. Anything else is an error: ENOTDIR for a link or a file, ENOTEMPTY, or [fs.ErrNotExist]
// for what is gone already.
func (t Tree) Rmdir(p string) error {
	return t.do("rmdir", p, func(in calls, name string) error {
		info, err := in.Lstat(name)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return unix.ENOTDIR
		}
		if err := in.Remove(name); err != nil {
			return err
		}
		return syncDir(in, path.Dir(name))
	})
}

func (t Tree) delete(p string, remove func(in calls, name string) error) error {
	return t.do("remove", p, func(in calls, name string) error {
		_, err := in.Lstat(name)
		if err == nil {
			err = remove(in, name)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return syncDir(in, path.Dir(name))
	})
}

// Chmod sets a mode, of a file that is not a link: that is the error ELOOP. It does not wait for the disk.
func (t Tree) Chmod(p string, mode fs.FileMode) error {
	return t.do("chmod", p, func(in calls, name string) error {
		f, err := in.OpenFile(name, unix.O_PATH|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil {
			return err
		} else if info.Mode()&fs.ModeSymlink != 0 {
			return unix.ELOOP
		}
		// Kernels before Linux 6.6 have no other way to change exactly this file, and not what has its name by now.
		return os.Chmod(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), mode)
	})
}

// Lchown gives a file, or a link itself, an owner; nil is the user who runs this. The kernel then takes setuid away. It does
// not wait for the disk.
func (t Tree) Lchown(p string, owner *Owner) error {
	if owner == nil {
		owner = &Owner{UID: os.Geteuid(), GID: os.Getegid()}
	}
	return t.do("chown", p, func(in calls, name string) error { return in.Lchown(name, owner.UID, owner.GID) })
}

// SyncDir makes what was created, renamed and deleted in a directory durable.
func (t Tree) SyncDir(p string) error { return t.follow("sync", p, syncDir) }

func syncDir(in calls, name string) error {
	dir, err := in.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// OpenLock opens a file to lock and to write to, and makes it when there is none, for its owner only: whoever may open a
// file may hold its lock. Anything else in its place, also a file with a second name, is removed first; a directory that is
// not empty is an error. Once opened it may already have been removed or replaced by another run, so compare it with Lstat
// after locking. It does not wait for the disk.
func (t Tree) OpenLock(p string) (f *os.File, err error) {
	err = t.do("open", p, func(in calls, name string) error {
		if info, err := in.Lstat(name); err == nil && !onlyName(info) {
			if err := in.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		f, err = in.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil && !onlyName(info) {
			err = errIrregular // it came meanwhile
		}
		if err == nil {
			err = f.Chmod(0o600)
		}
		if err != nil {
			_ = f.Close()
			f = nil
		}
		return err
	})
	return f, err
}

// onlyName reports whether a file is a regular one without a second name, which could lie outside of the tree.
func onlyName(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return info.Mode().IsRegular() && ok && st.Nlink <= 1
}
