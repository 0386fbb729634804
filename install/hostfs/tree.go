// Package hostfs owns every access to the files of a host.
//
// A host is a [Tree]: the machine itself ("/"), or the directory of an image that is being baked. Every method takes paths
// of the host, "/etc/kubeletctl/spec.yaml", and errors name those; only [Tree.Path] and [Tree.PathFollowed] say where one
// lies on this machine, for programs that have to be given a path.
//
// # Links
//
// An image is somebody else's work, and the machine that bakes it works on it as root. So a symlink in a tree, absolute or
// not, is resolved inside of the tree, as chroot would: a link to /etc/shadow is the image's /etc/shadow. That takes two
// steps. First the links are read and resolved, which yields a path without any; then the operation goes through [os.Root]
// on that path, so that a link that appears between the two cannot lead out either. What /proc says of a link is only text
// here: /proc/self/root is the root of the tree. Links that lead in a circle are the error ELOOP.
//
// What reads follows links to the end. What writes follows them in the directories of a path, but not the last element: a
// link there is replaced or removed itself.
//
// A device leads out of a tree, too, and a pipe or a socket to whoever is at its other end: in a tree none of them is
// opened, but for /dev/null, with which units are masked.
//
// On the machine itself all of that is the kernel's business, and the methods are the calls of package os.
//
// # Durability
//
// What writes has reached the disk when it returns, unless its comment says otherwise: content before its name, and the
// directory that holds the name. A file has its old content or its new one at any time, also after a power cut. [Batch] does
// that for several files at once.
package hostfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"
)

// Tree is a file tree that looks like a host's: the host itself, or an image being baked. Its methods may be called at the
// same time. Paths are cleaned first: "/a/../b/" is "/b". Errors of the operating system are a *[fs.PathError], unless said
// otherwise. It has a method for each call of package os that a host needs, and so many of them.
type Tree struct{ root string }

// At returns the tree below a directory, whose path is absolute and clean; "/" is the host itself.
func At(root string) Tree { return Tree{root} }

// Root returns the directory of this machine that is the tree's "/".
func (t Tree) Root() string { return t.root }

// Whole reports whether the tree is the host itself.
func (t Tree) Whole() bool { return t.root == "/" }

// calls are the file operations of *os.Root, which never leave its directory, or of package os.
type calls interface {
	OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error)
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	Readlink(name string) (string, error)
	Mkdir(name string, mode fs.FileMode) error
	Symlink(target, name string) error
	Rename(old, new string) error
	Remove(name string) error
	RemoveAll(name string) error
	Lchown(name string, uid, gid int) error
	Close() error
}

// machine is the host itself.
type machine struct{}

func (machine) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, mode)
}
func (machine) Stat(name string) (fs.FileInfo, error)     { return os.Stat(name) }
func (machine) Lstat(name string) (fs.FileInfo, error)    { return os.Lstat(name) }
func (machine) Readlink(name string) (string, error)      { return os.Readlink(name) }
func (machine) Mkdir(name string, mode fs.FileMode) error { return os.Mkdir(name, mode) }
func (machine) Symlink(target, name string) error         { return os.Symlink(target, name) }
func (machine) Rename(old, new string) error              { return os.Rename(old, new) }
func (machine) Remove(name string) error                  { return os.Remove(name) }
func (machine) RemoveAll(name string) error               { return os.RemoveAll(name) }
func (machine) Lchown(name string, uid, gid int) error    { return os.Lchown(name, uid, gid) }
func (machine) Close() error                              { return nil }

// do calls f with the name of p for the calls that it is given: links in its directories are resolved, the last element is
// not followed.
func (t Tree) do(op, p string, f func(in calls, name string) error) error {
	return t.call(op, p, t.Path, f)
}

// follow is do with the last element followed, too.
func (t Tree) follow(op, p string, f func(in calls, name string) error) error {
	return t.call(op, p, t.PathFollowed, f)
}

func (t Tree) call(op, p string, resolve func(string) (string, error), f func(in calls, name string) error) error {
	name, err := resolve(p)
	if err != nil {
		return named(op, p, err)
	}
	if t.Whole() {
		return named(op, p, f(machine{}, name))
	}
	root, err := os.OpenRoot(t.root)
	if err != nil {
		return named(op, p, err)
	}
	defer root.Close()
	if name, err = filepath.Rel(t.root, name); err == nil {
		err = f(root, name)
	}
	return named(op, p, err)
}

// verbatimError is an error that named leaves as it is.
type verbatimError struct{ error }

// named gives an error the path of the host.
func named(op, p string, err error) error {
	for {
		switch e := err.(type) {
		case nil:
			return nil
		case verbatimError:
			return e.error
		case *fs.PathError:
			err = e.Err
		case *os.LinkError:
			err = e.Err
		default:
			return &fs.PathError{Op: op, Path: p, Err: err}
		}
	}
}

// Path returns the path on this machine of p, with every link in its directories resolved inside of the tree; the last
// element is not followed, and nothing of it needs to exist. It is for programs that have to be given a path, and good for
// as long as nobody replaces one of the directories by a link. On the host itself it is p.
func (t Tree) Path(p string) (string, error) {
	dir, base := path.Split(path.Clean("/" + p))
	name, err := t.PathFollowed(dir)
	if err != nil {
		return "", named("resolve", p, err)
	}
	return filepath.Join(name, base), nil
}

// PathFollowed is Path with the last element followed, too.
func (t Tree) PathFollowed(p string) (string, error) {
	p = path.Clean("/" + p)
	if t.Whole() {
		return p, nil
	}
	if !filepath.IsAbs(t.root) {
		return "", fmt.Errorf("the root %q is not an absolute path", t.root)
	}
	name, err := securejoin.SecureJoin(t.root, p)
	return name, named("resolve", p, err)
}

var (
	errIrregular = errors.New("not a regular file")
	errDevice    = errors.New("a device, a pipe or a socket leads out of the tree")
)

// open opens a file for reading that check likes, and waits for nobody at the other end of a pipe.
func open(in calls, name string, check func(fs.FileInfo) error) (*os.File, error) {
	info, err := in.Stat(name)
	if err == nil {
		err = check(info) // opening a device has effects, so look first
	}
	if err != nil {
		return nil, err
	}
	f, err := in.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = check(info) // it may be another one by now
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func checkRegular(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errIrregular
	}
	return nil
}

func checkInside(info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	null := ok && info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == unix.Mkdev(1, 3)
	if info.Mode().IsRegular() || info.IsDir() || null {
		return nil
	}
	return errDevice
}

// Open opens a file or a directory for reading. The name that the file knows of itself is that on this machine.
func (t Tree) Open(p string) (f *os.File, err error) {
	err = t.follow("open", p, func(in calls, name string) (err error) {
		if t.Whole() {
			f, err = in.OpenFile(name, os.O_RDONLY, 0)
		} else {
			f, err = open(in, name, checkInside)
		}
		return err
	})
	return f, err
}

// ReadFile reads a file, whatever its size.
func (t Tree) ReadFile(p string) ([]byte, error) {
	f, err := t.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	return data, named("read", p, err)
}

// ReadRegular reads a file, and refuses what is not a regular file, since a pipe might never end, or has more bytes than
// most.
func (t Tree) ReadRegular(p string, most int64) (data []byte, err error) {
	err = t.follow("read", p, func(in calls, name string) error {
		f, err := open(in, name, checkRegular)
		if err != nil {
			return err
		}
		defer f.Close()
		if data, err = io.ReadAll(io.LimitReader(f, most+1)); err == nil && int64(len(data)) > most {
			data, err = nil, fmt.Errorf("it has more than %d bytes", most)
		}
		return err
	})
	return data, err
}

// ReadDir lists a directory, sorted by name.
func (t Tree) ReadDir(p string) (entries []os.DirEntry, err error) {
	err = t.follow("read", p, func(in calls, name string) error {
		dir, err := in.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer dir.Close()
		entries, err = dir.ReadDir(-1)
		slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		return err
	})
	return entries, err
}

// Stat describes a file; of a link, what it leads to.
func (t Tree) Stat(p string) (info os.FileInfo, err error) {
	err = t.follow("stat", p, func(in calls, name string) error {
		info, err = in.Stat(name)
		return err
	})
	return info, err
}

// Lstat describes a file; of a link, the link itself.
func (t Tree) Lstat(p string) (info os.FileInfo, err error) {
	err = t.do("lstat", p, func(in calls, name string) error {
		info, err = in.Lstat(name)
		return err
	})
	return info, err
}

// Readlink returns what a link says, which is a path of the host when it is absolute.
func (t Tree) Readlink(p string) (target string, err error) {
	err = t.do("readlink", p, func(in calls, name string) error {
		target, err = in.Readlink(name)
		return err
	})
	return target, err
}

// Temporary lists what a run that was killed left behind of writing p, as paths of the host: ".", its name and digits,
// beside it. A directory that is not there has nothing left behind in it.
func (t Tree) Temporary(p string) ([]string, error) {
	dir, base := path.Split(path.Clean("/" + p))
	entries, err := t.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var left []string
	for _, e := range entries {
		number, found := strings.CutPrefix(e.Name(), "."+base)
		if found && number != "" && strings.Trim(number, "0123456789") == "" {
			left = append(left, path.Join(dir, e.Name()))
		}
	}
	return left, err
}

// MissingDirs lists the directories that have to be made so that p is one: itself and those above, outermost first. It is an
// error when something is in the way that is not a directory, a link to nowhere included. What may not be looked at counts
// as there: whoever may not look may not write either, which Writable finds out.
func (t Tree) MissingDirs(p string) ([]string, error) {
	var missing []string
	for dir := path.Clean("/" + p); ; dir = path.Dir(dir) {
		info, err := t.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return nil, fmt.Errorf("%s is not a directory", dir)
		case err == nil, errors.Is(err, fs.ErrPermission):
			slices.Reverse(missing)
			return missing, nil
		case !errors.Is(err, fs.ErrNotExist), dir == "/":
			return nil, err
		}
		if target, err := t.Readlink(dir); err == nil {
			return nil, fmt.Errorf("%s is a symlink to %s, which does not exist", dir, target)
		}
		missing = append(missing, dir)
	}
}

// inNearest calls f with a handle of the nearest directory above p that exists; direct reports whether p would lie right in
// it.
func (t Tree) inNearest(op, p string, f func(dir int, direct bool) error) error {
	p = path.Clean("/" + p)
	missing, err := t.MissingDirs(path.Dir(p))
	if err != nil {
		return err
	}
	nearest := path.Dir(append(missing, p)[0])
	return t.follow(op, nearest, func(in calls, name string) error {
		dir, err := in.OpenFile(name, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer dir.Close()
		return f(int(dir.Fd()), len(missing) == 0)
	})
}

// Writable returns why p could not be created or replaced by the user who runs this; nil if it could. It writes nothing: it
// asks for the nearest directory above p that exists, which may not be writable or lie on a read-only mount (EROFS, for root
// as well). A file that is there may also be a mount point (EBUSY) or immutable (EPERM).
func (t Tree) Writable(p string) error {
	return t.inNearest("write to", p, func(dir int, direct bool) error {
		if err := unix.Faccessat(dir, ".", unix.W_OK|unix.X_OK, 0); err != nil || !direct {
			return err
		}
		var there unix.Statx_t
		err := unix.Statx(dir, path.Base(p), unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &there)
		switch {
		case err != nil, there.Mode&unix.S_IFMT == unix.S_IFDIR: // a kernel without statx cannot say more
			return nil
		case there.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0:
			err = unix.EBUSY
		case there.Attributes&(unix.STATX_ATTR_IMMUTABLE|unix.STATX_ATTR_APPEND) != 0:
			err = unix.EPERM
		default:
			return nil
		}
		return verbatimError{&fs.PathError{Op: "replace", Path: p, Err: err}}
	})
}
