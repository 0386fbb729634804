package hostfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"
)

// onBoth runs a test on an image and on the host itself, in an empty directory. at maps a path of the tree to this machine.
func onBoth(t *testing.T, test func(t *testing.T, tree Tree, dir string, at func(p string) string)) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "a[b*") // no pattern
	must(t, os.MkdirAll(image+"/dir", 0o755))
	t.Run("image", func(t *testing.T) {
		test(t, At(image), "/dir", func(p string) string { return image + p })
	})
	t.Run("host", func(t *testing.T) {
		test(t, At("/"), t.TempDir(), func(p string) string { return p })
	})
}

func TestWriteFile(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	onBoth(t, func(t *testing.T, tree Tree, dir string, at func(string) string) {
		p := dir + "/file"
		for _, mode := range []fs.FileMode{0o600, 0o644, 0o444, 0o755 | fs.ModeSetuid, 0o750 | fs.ModeSetgid} {
			for range 2 {
				must(t, tree.WriteFile(p, mode, nil, content(mode.String())))
			}
			data, err := tree.ReadFile(p)
			info, err2 := os.Lstat(at(p))
			if err != nil || err2 != nil || string(data) != mode.String() || info.Mode() != mode {
				t.Errorf("%s: got %q, %v, %v, %v", mode, data, info.Mode(), err, err2)
			}
		}
		wantNames(t, tree, dir, "file")
	})
}

func TestWriteFileForAnOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	onBoth(t, func(t *testing.T, tree Tree, dir string, at func(string) string) {
		p, mode := dir+"/file", 0o755|fs.ModeSetuid
		// The content is read when the file has its owner and its mode, but not setuid yet.
		early := readerFunc(func([]byte) (int, error) {
			left, err := tree.Temporary(p)
			if err != nil || len(left) != 1 {
				t.Fatal(left, err)
			}
			wantOwner(t, at(left[0]), 12, 34, 0o755)
			return 0, io.EOF
		})
		must(t, tree.WriteFile(p, mode, &Owner{12, 34}, io.MultiReader(content("x"), early)))
		wantOwner(t, at(p), 12, 34, mode)
		must(t, tree.Lchown(p, nil))
		wantOwner(t, at(p), 0, os.Getegid(), 0o755)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func wantOwner(t *testing.T, name string, uid, gid int, mode fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(name)
	must(t, err)
	if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != uid || int(st.Gid) != gid || info.Mode() != mode {
		t.Errorf("%s belongs to %d:%d with %s, want %d:%d with %s", name, st.Uid, st.Gid, info.Mode(), uid, gid, mode)
	}
}

// When writing fails, there is the old file, and nothing else.
func TestWriteFileFails(t *testing.T) {
	onBoth(t, func(t *testing.T, tree Tree, dir string, _ func(string) string) {
		p, broken := dir+"/file", errors.New("broken")
		must(t, tree.WriteFile(p, 0o600, nil, content("old")))
		err := tree.WriteFile(p, 0o600, nil, io.MultiReader(content("new"), iotest.ErrReader(broken)))
		if err != broken {
			t.Errorf("the error of the content became %v", err)
		}
		source := &fs.PathError{Op: "read", Path: "/another", Err: unix.EIO}
		if err := tree.WriteFile(p, 0o600, nil, iotest.ErrReader(source)); err != source {
			t.Errorf("the error of the content became %v", err)
		}
		if data, err := tree.ReadFile(p); string(data) != "old" {
			t.Errorf("the file is %q, %v", data, err)
		}
		must(t, tree.Mkdir(dir+"/taken", 0o755))
		if err := tree.WriteFile(dir+"/taken", 0o600, nil, content("x")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("in the place of a directory: %v", err)
		}
		if err := tree.Symlink("x", dir+"/taken"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a link in the place of a directory: %v", err)
		}
		wantNames(t, tree, dir, "file", "taken")
	})
}

// Errors name the path that the caller gave, and nothing of this machine.
func TestErrorsNameThePathOfTheHost(t *testing.T) {
	for name, use := range accesses {
		// These return paths of this machine, or a file that names itself.
		if slices.Contains([]string{"Path", "PathFollowed", "Open", "Rename"}, name) {
			continue
		}
		for _, p := range []string{"/dir", "/missing/x", "/loop", "/loop/x"} {
			tree := At(t.TempDir())
			must(t, os.MkdirAll(tree.root+"/dir/full", 0o755))
			must(t, os.Symlink("loop", tree.root+"/loop"))
			if learned := use(tree, p); strings.Contains(learned, tree.root) {
				t.Errorf("%s of %s: %s", name, p, learned)
			}
		}
	}
	tree := At(t.TempDir())
	must(t, os.Symlink("loop", tree.root+"/loop"))
	loop, missing := unix.ELOOP.Error(), unix.ENOENT.Error()
	for want, err := range map[string]error{
		"open /loop: " + loop:            errOf(tree.Open("/loop")),
		"read /missing/x: " + missing:    errOf(tree.ReadDir("/missing/x")),
		"resolve /loop/x/y: " + loop:     errOf(tree.Path("/loop/x/y")),
		"write /missing/x: " + missing:   tree.WriteFile("/missing/x", 0o600, nil, content("x")),
		"rename /missing /x: " + missing: tree.Rename("/missing", "/x"),
		"rename /loop /loop/x: " + loop:  tree.Rename("/loop", "/loop/x"),
		"chmod /loop: " + loop:           tree.Chmod("/loop", 0o600),
		"stat /loop/x: " + loop:          errOf(tree.MissingDirs("/loop/x")),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestReadRegular(t *testing.T) {
	onBoth(t, func(t *testing.T, tree Tree, dir string, at func(string) string) {
		must(t, tree.WriteFile(dir+"/file", 0o600, nil, content("12345")))
		must(t, unix.Mkfifo(at(dir+"/pipe"), 0o600))
		if data, err := tree.ReadRegular(dir+"/file", 5); string(data) != "12345" {
			t.Errorf("%q, %v", data, err)
		}
		if data, err := tree.ReadRegular(dir+"/file", 4); err == nil || data != nil {
			t.Errorf("more than 4 bytes: %q", data)
		}
		for _, p := range []string{dir, dir + "/pipe"} {
			if _, err := tree.ReadRegular(p, 5); !errors.Is(err, errIrregular) {
				t.Errorf("%s: %v", p, err)
			}
		}
	})
}

func TestDirectories(t *testing.T) {
	onBoth(t, func(t *testing.T, tree Tree, dir string, at func(string) string) {
		deep := dir + "/a/b/c"
		missing, err := tree.MissingDirs(deep)
		if want := []string{dir + "/a", dir + "/a/b", deep}; err != nil || !slices.Equal(missing, want) {
			t.Errorf("missing: %v, %v", missing, err)
		}
		must(t, tree.Writable(deep))
		for range 2 {
			must(t, tree.MkdirAll(deep, 0o755))
			must(t, tree.Mkdir(deep, 0o700))
		}
		if info, err := os.Stat(at(deep)); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%v, %v", info, err)
		}
		if missing, err := tree.MissingDirs(deep); err != nil || len(missing) > 0 {
			t.Errorf("missing: %v, %v", missing, err)
		}
		if err := tree.Rmdir(dir + "/a"); !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, fs.ErrExist) {
			t.Errorf("removing a directory that is not empty: %v", err)
		}
		must(t, tree.Rmdir(deep))
		if err := tree.Rmdir(deep); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removing it twice: %v", err)
		}
		for range 2 {
			must(t, tree.RemoveAll(dir+"/a"))
		}
		wantNames(t, tree, dir)
	})
}

func TestObstacles(t *testing.T) {
	onBoth(t, func(t *testing.T, tree Tree, dir string, at func(string) string) {
		must(t, tree.WriteFile(dir+"/file", 0o600, nil, content("x")))
		must(t, tree.Symlink(dir+"/nowhere", dir+"/dangling"))
		must(t, tree.Symlink(dir, dir+"/again"))
		for _, p := range []string{"/file", "/file/x", "/dangling", "/dangling/x"} {
			if missing, err := tree.MissingDirs(dir + p); err == nil {
				t.Errorf("%s: %v is missing", p, missing)
			}
			if err := tree.MkdirAll(dir+p, 0o755); err == nil {
				t.Errorf("%s was made", p)
			}
			if err := tree.Writable(dir + p + "/x"); err == nil {
				t.Errorf("%s is writable", p)
			}
		}
		if err := tree.Mkdir(dir+"/file", 0o755); !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("a directory in the place of a file: %v", err)
		}
		for _, p := range []string{"/file", "/dangling", "/again"} {
			if err := tree.Rmdir(dir + p); !errors.Is(err, unix.ENOTDIR) {
				t.Errorf("%s was removed as a directory: %v", p, err)
			}
		}
		must(t, tree.Writable(dir+"/file"))
		must(t, tree.Writable(dir+"/again/x"))
		if err := tree.Chmod(dir+"/again", 0o700); !errors.Is(err, unix.ELOOP) {
			t.Errorf("the mode of a link: %v", err)
		}
		must(t, tree.Chmod(dir+"/file", 0o751|fs.ModeSetgid))
		if info, err := tree.Stat(dir + "/file"); err != nil || info.Mode() != 0o751|fs.ModeSetgid {
			t.Errorf("%v, %v", info, err)
		}
	})
}

func TestRenameAndRemove(t *testing.T) {
	onBoth(t, func(t *testing.T, tree Tree, dir string, _ func(string) string) {
		must(t, tree.MkdirAll(dir+"/sub", 0o755))
		must(t, tree.WriteFile(dir+"/file", 0o600, nil, content("x")))
		for _, target := range []string{"nowhere", "file"} { // the second call replaces
			must(t, tree.Symlink(target, dir+"/link"))
			if found, err := tree.Readlink(dir + "/link"); found != target {
				t.Errorf("the link says %q, %v", found, err)
			}
		}
		must(t, tree.Rename(dir+"/link", dir+"/sub/link"))
		if info, err := tree.Lstat(dir + "/sub/link"); err != nil || info.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("%v, %v", info, err)
		}
		if err := tree.Rename(dir+"/link", dir+"/sub/link"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("renaming twice: %v", err)
		}
		for range 2 {
			must(t, tree.Remove(dir+"/sub/link"))
			must(t, tree.Remove(dir+"/missing/link"))
		}
		wantNames(t, tree, dir+"/sub")
		wantNames(t, tree, dir, "file", "sub")
	})
}

func TestTemporary(t *testing.T) {
	onBoth(t, func(t *testing.T, tree Tree, dir string, at func(string) string) {
		var want []string
		for _, name := range []string{".f[1", ".f[18446744073709551615", ".f[", ".f[1x", ".f", "f[1", ".g1", ".f[12"} {
			must(t, os.WriteFile(at(dir+"/"+name), nil, 0o600))
		}
		want = []string{dir + "/.f[1", dir + "/.f[12", dir + "/.f[18446744073709551615"}
		if left, err := tree.Temporary(dir + "/f["); err != nil || !slices.Equal(left, want) {
			t.Errorf("got %q, %v", left, err)
		}
		if left, err := tree.Temporary(dir + "/missing/f"); err != nil || len(left) > 0 {
			t.Errorf("got %q, %v", left, err)
		}
		b := tree.Batch()
		must(t, b.WriteFile(dir+"/mine", 0o600, content("x")))
		if left, err := tree.Temporary(dir + "/mine"); err != nil || len(left) != 1 {
			t.Errorf("of a batch: %q, %v", left, err)
		}
		b.Discard()
	})
}

func TestBatch(t *testing.T) {
	onBoth(t, func(t *testing.T, tree Tree, dir string, at func(string) string) {
		must(t, tree.Mkdir(dir+"/sub", 0o755))
		b := tree.Batch()
		must(t, b.WriteFile(dir+"/one", 0o640, content("1")))
		must(t, b.WriteFile(dir+"/sub/two", 0o600, content("2")))
		if err := b.WriteFile(dir+"/three", 0o600, iotest.ErrReader(unix.EIO)); err != unix.EIO {
			t.Errorf("the error of a content became %v", err)
		}
		must(t, b.WriteFile(dir+"/one", 0o644, content("again")))
		for _, p := range []string{"/one", "/sub/two"} {
			if _, err := os.Lstat(at(dir + p)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is there before the commit", p)
			}
		}
		for range 2 {
			must(t, b.Commit())
			b.Discard()
		}
		if data, err := tree.ReadFile(dir + "/one"); string(data) != "again" {
			t.Errorf("%q, %v", data, err)
		}
		if info, err := tree.Stat(dir + "/one"); err != nil || info.Mode() != 0o644 {
			t.Errorf("%v, %v", info, err)
		}
		wantNames(t, tree, dir, "one", "sub")
		wantNames(t, tree, dir+"/sub", "two")
	})
}

// Files get their names in the order of the calls: what comes after one that cannot have its name is not there.
func TestBatchOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, tree Tree, dir string, _ func(string) string) {
		b := tree.Batch()
		for _, name := range []string{"z", "taken", "a"} {
			must(t, b.WriteFile(dir+"/"+name, 0o600, content(name)))
		}
		must(t, tree.Mkdir(dir+"/taken", 0o755))
		if err := b.Commit(); !errors.Is(err, fs.ErrExist) {
			t.Errorf("committed: %v", err)
		}
		wantNames(t, tree, dir, "taken", "z")
	})
}

func TestBatchDiscard(t *testing.T) {
	onBoth(t, func(t *testing.T, tree Tree, dir string, _ func(string) string) {
		b := tree.Batch()
		must(t, b.WriteFile(dir+"/file", 0o600, content("x")))
		b.Discard()
		b.Discard()
		must(t, b.Commit())
		wantNames(t, tree, dir)
	})
}

func TestOpenLock(t *testing.T) {
	in := map[string]func(p string) error{
		"nothing":    func(string) error { return nil },
		"its own":    func(p string) error { return os.WriteFile(p, []byte("1\n"), 0o644) },
		"a link":     func(p string) error { return os.Symlink("target", p) },
		"a pipe":     func(p string) error { return unix.Mkfifo(p, 0o644) },
		"a dir":      func(p string) error { return os.Mkdir(p, 0o755) },
		"a hardlink": func(p string) error { return os.Link(filepath.Dir(p)+"/target", p) },
	}
	for name, put := range in {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, tree Tree, dir string, at func(string) string) {
				must(t, os.WriteFile(at(dir+"/target"), []byte("keep"), 0o644))
				must(t, put(at(dir+"/lock")))
				f, err := tree.OpenLock(dir + "/lock")
				must(t, err)
				defer f.Close()
				must(t, f.Truncate(0))
				info, err := os.Lstat(at(dir + "/lock"))
				if err != nil || info.Mode() != 0o600 {
					t.Errorf("%v, %v", info, err)
				}
				again, err := tree.OpenLock(dir + "/lock")
				must(t, err)
				defer again.Close()
				if ours, _ := again.Stat(); !os.SameFile(ours, info) {
					t.Error("the second call opened another file")
				}
				if data, _ := os.ReadFile(at(dir + "/target")); string(data) != "keep" {
					t.Errorf("something else was emptied: %q", data)
				}
				wantMode(t, at(dir+"/target"), 0o644)
			})
		})
	}
	tree := At(t.TempDir())
	must(t, tree.MkdirAll("/lock/full", 0o755))
	if _, err := tree.OpenLock("/lock"); err == nil {
		t.Error("a directory that is not empty was opened")
	}
}

func wantMode(t *testing.T, name string, mode fs.FileMode) {
	t.Helper()
	if info, err := os.Lstat(name); err != nil || info.Mode() != mode {
		t.Errorf("%s: %v, %v, want %v", name, info, err, mode)
	}
}

// What lies where it cannot be replaced is found out before, as root as well.
func TestWritable(t *testing.T) {
	newMountNamespace(t)
	for _, at := range []string{"/", t.TempDir()} {
		tree, dir := At(at), "/dir"
		if at == "/" {
			dir = t.TempDir()
		}
		must(t, tree.MkdirAll(dir+"/mounted", 0o755))
		must(t, tree.WriteFile(dir+"/file", 0o600, nil, content("x")))
		must(t, tree.Writable(dir+"/mounted/x"))
		must(t, tree.Writable(dir+"/file"))
		name := strings.TrimSuffix(at, "/") + dir
		mount(t, name+"/mounted", name+"/mounted", "", unix.MS_BIND)
		must(t, unix.Mount("", name+"/mounted", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		mount(t, "/proc/self/status", name+"/file", "", unix.MS_BIND)
		for p, want := range map[string]error{
			"/mounted/x": unix.EROFS, "/mounted/new/x": unix.EROFS, "/file": unix.EBUSY, "/mounted": nil, "/new": nil,
		} {
			if err := tree.Writable(dir + p); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", p, err, want)
			} else if err != nil && !strings.Contains(err.Error(), " "+dir) {
				t.Errorf("%s: %v", p, err)
			}
		}
	}
}

func TestWritableImmutable(t *testing.T) {
	tree := At(t.TempDir())
	must(t, tree.WriteFile("/file", 0o600, nil, content("x")))
	f := mustOpen(t, tree.root+"/file")
	const immutable = 0x10 // FS_IMMUTABLE_FL of linux/fs.h
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, immutable); err != nil {
		t.Skip("no file can be made immutable here: ", err)
	}
	defer unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0)
	if err := tree.Writable("/file"); !errors.Is(err, unix.EPERM) || err.Error() != "replace /file: operation not permitted" {
		t.Errorf("an immutable file: %v", err)
	}
}

func TestCache(t *testing.T) {
	in := map[string]func(p string) error{
		"nothing":    func(string) error { return nil },
		"its own":    func(p string) error { return os.WriteFile(p, []byte(`["much longer than the new one"]`), 0o600) },
		"a link":     func(p string) error { return os.Symlink("target", p) },
		"a pipe":     func(p string) error { return unix.Mkfifo(p, 0o644) },
		"a hardlink": func(p string) error { return os.Link(filepath.Dir(p)+"/target", p) },
	}
	for name, put := range in {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, tree Tree, dir string, at func(string) string) {
				must(t, os.WriteFile(at(dir+"/target"), []byte(`["keep"]`), 0o644))
				must(t, put(at(dir+"/cache")))
				var found []string
				if read := tree.ReadCache(dir+"/cache", &found); read != (name == "its own" || name == "a hardlink") {
					t.Errorf("read: %v, %q", read, found)
				}
				for _, want := range []string{"old", "new"} {
					tree.WriteCache(dir+"/cache", []string{want})
					found = nil
					if !tree.ReadCache(dir+"/cache", &found) || !slices.Equal(found, []string{want}) {
						t.Errorf("got %q, want %q", found, want)
					}
				}
				if data, _ := os.ReadFile(at(dir + "/target")); string(data) != `["keep"]` {
					t.Errorf("something else was written to: %q", data)
				}
				wantMode(t, at(dir+"/cache"), 0o644)
			})
		})
	}
}

func TestDigests(t *testing.T) {
	onBoth(t, func(t *testing.T, tree Tree, dir string, at func(string) string) {
		p, cache := dir+"/file", dir+"/verified.json"
		known := tree.LoadDigests(cache)
		sum := func() string {
			t.Helper()
			f, err := tree.Open(p)
			must(t, err)
			defer f.Close()
			first, err := known.Sum(f)
			must(t, err)
			if second, err := known.Sum(f); second != first {
				t.Errorf("the second time it is %s, %v", second, err)
			}
			return first
		}
		must(t, tree.WriteFile(p, 0o600, nil, content("one")))
		if got, want := sum(), "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"; got != want {
			t.Errorf("got %s", got)
		}
		settle()
		one := sum()
		known.Save(tree, cache)
		known = tree.LoadDigests(cache)
		if len(known) != 1 {
			t.Fatalf("saved and loaded: %v", known)
		}
		for key := range known { // shows that it is not hashed again
			known[key] = "remembered"
		}
		if got := sum(); got != "remembered" {
			t.Errorf("it was hashed again: %s", got)
		}
		info, err := os.Stat(at(p))
		must(t, err)
		must(t, os.WriteFile(at(p), []byte("two"), 0o600)) // as long, and with the time of before
		must(t, os.Chtimes(at(p), info.ModTime(), info.ModTime()))
		if got := sum(); got == one || got == "remembered" {
			t.Errorf("a changed file was not hashed again: %s", got)
		}
		settle()
		info, err = os.Stat(at(p))
		must(t, err)
		known.Remember(info, "given")
		if got := sum(); got != "given" {
			t.Errorf("what was given is not remembered: %s", got)
		}
	})
}

// A file that could be written again in the tick of its change time is not remembered.
func TestFreshDigestsAreNotRemembered(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	for range 100 {
		must(t, os.WriteFile(name, []byte("new"), 0o600))
		known := Digests{}
		f := mustOpen(t, name)
		_, err := known.Sum(f)
		must(t, err)
		info, err := f.Stat()
		must(t, err)
		known.Remember(info, "given")
		if st := info.Sys().(*syscall.Stat_t); time.Since(time.Unix(st.Ctim.Unix())) > clockTick { // it took too long to tell
			continue
		}
		if len(known) > 0 {
			t.Errorf("remembered: %v", known)
		}
		return
	}
	t.Skip("this machine is too slow")
}

// settle waits until a file that was just written has settled.
func settle() { time.Sleep(2 * clockTick) }

func TestDamagedDigests(t *testing.T) {
	tree := At(t.TempDir())
	for i, text := range []string{"", "{", "null", "[]", `{"a": 1}`, strings.Repeat(" ", maxCache) + `{"a": "b"}`} {
		must(t, os.WriteFile(tree.root+"/verified.json", []byte(text), 0o600))
		if known := tree.LoadDigests("/verified.json"); known == nil || len(known) > 0 {
			t.Errorf("%d: %v", i, known)
		}
	}
}

func TestRootsAndPaths(t *testing.T) {
	if tree := At("/"); !tree.Whole() || tree.Root() != "/" {
		t.Error("the host is not whole")
	}
	if name, err := At("/").Path("/a/../b/"); name != "/b" || err != nil {
		t.Errorf("got %q, %v", name, err)
	}
	for _, root := range []string{"", "relative"} { // a Tree that nobody has set is not the host
		if name, err := At(root).Path("/etc/passwd"); err == nil {
			t.Errorf("the root %q led to %s", root, name)
		}
	}
	// An image, lest a test that fails empties the host.
	if err := At(t.TempDir()).RemoveAll("/."); !errors.Is(err, unix.EBUSY) {
		t.Errorf("removing everything: %v", err)
	}
	if _, err := At("/nonexistent").MissingDirs("/a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a root that is not there: %v", err)
	}
}

func TestIsProtected(t *testing.T) {
	for dir, want := range map[string]bool{
		"/": true, "/etc/": true, "/var/lib/../lib": true, StateDir: true, KubeletDir: false, "/data/kubelet": false,
	} {
		if IsProtected(dir) != want {
			t.Errorf("%s: %v", dir, !want)
		}
	}
}

// wantNames compares what is in a directory, hidden files included.
func wantNames(t *testing.T, tree Tree, dir string, want ...string) {
	t.Helper()
	entries, err := tree.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("in %s are %v, want %v (%v)", dir, names, want, fmt.Sprint(err))
	}
}
