package hostfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// secret is in the content of every file outside of the tree, and in a name.
const secret = "s3cr3t"

// outsideSize is the size in bytes of every file outside; no file in the tree has it.
const outsideSize = 4999

// hostile is a tree beside files that nobody may touch through it.
type hostile struct {
	Tree
	outside string
	watch   int // an inotify descriptor for all of them
	// file and dir are descriptors of two of them, as a program may have open that is led to /proc/self/fd.
	file, dir *os.File
}

func newHostile(t *testing.T) *hostile {
	base := t.TempDir()
	h := &hostile{Tree: At(filepath.Join(base, "tree")), outside: filepath.Join(base, "outside")}
	if os.Geteuid() == 0 {
		newMountNamespace(t)
		mount(t, "tmpfs", base, "tmpfs", 0) // no waiting for the disk, thousands of times
	}
	for _, dir := range []string{h.root, h.outside, h.outside + "/dir", h.outside + "/dir/empty"} {
		must(t, os.Mkdir(dir, 0o755))
	}
	for _, name := range []string{"canary", "dir/x", "dir/" + secret} {
		must(t, os.WriteFile(filepath.Join(h.outside, name), fmt.Appendf(nil, "%-*s", outsideSize, `{"k":"`+secret+`"}`), 0o644))
	}
	must(t, os.Symlink(secret, h.outside+"/dir/link"))
	h.file, h.dir = mustOpen(t, h.outside+"/canary"), mustOpen(t, h.outside+"/dir")
	if os.Geteuid() == 0 { // what /proc says of links is text in a tree, also when it is mounted there
		must(t, os.Mkdir(h.root+"/proc", 0o755))
		mount(t, "/proc", h.root+"/proc", "", unix.MS_BIND)
	}
	var err error
	if h.watch, err = unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(h.watch) })
	for _, name := range []string{"", "dir", "dir/empty", "canary", "dir/x", "dir/" + secret} {
		if _, err := unix.InotifyAddWatch(h.watch, filepath.Join(h.outside, name), unix.IN_ALL_EVENTS); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// targets are what the links of a hostile tree say.
func (h *hostile) targets() map[string]string {
	up := strings.Repeat("../", 40)
	return map[string]string{
		"absolute file":        h.outside + "/canary",
		"absolute directory":   h.outside + "/dir",
		"empty directory":      h.outside + "/dir/empty",
		"relative file":        "../../outside/canary",
		"relative directory":   "../../outside/dir",
		"up to /":              up + h.outside[1:] + "/canary",
		"dangling":             h.outside + "/new",
		"dangling relative":    "../../outside/new",
		"dangling, then up":    "missing/../../../outside/canary",
		"loop":                 "link",
		"longer loop":          "../d/loop",
		"link to a link":       "chain",
		"/proc/self/root":      "/proc/self/root",
		"/proc/self/root file": "/proc/self/root" + h.outside + "/canary",
		"/proc/self/fd":        fmt.Sprintf("/proc/self/fd/%d", h.file.Fd()),
		"/proc/self/fd, dir":   fmt.Sprintf("/proc/self/fd/%d", h.dir.Fd()),
		"/proc/self/fd/x":      fmt.Sprintf("/proc/self/fd/%d/x", h.dir.Fd()),
	}
}

// rebuild makes the tree anew, with a link at /d/link that says target.
func (h *hostile) rebuild(t *testing.T, target string) {
	t.Helper()
	entries, err := os.ReadDir(h.root)
	must(t, err)
	for _, e := range entries {
		if e.Name() != "proc" {
			must(t, os.RemoveAll(filepath.Join(h.root, e.Name())))
		}
	}
	must(t, os.Mkdir(h.root+"/d", 0o755))
	must(t, os.WriteFile(h.root+"/mine", []byte("mine"), 0o644))
	must(t, os.Symlink(target, h.root+"/d/link"))
	must(t, os.Symlink("link", h.root+"/d/loop"))
	must(t, os.Symlink("../.."+"/outside/canary", h.root+"/d/chain"))
}

// events says what was done outside since it was asked last.
func (h *hostile) events(t *testing.T) (done []string) {
	t.Helper()
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(h.watch, buf)
		if errors.Is(err, unix.EAGAIN) {
			return done
		}
		must(t, err)
		done = append(done, fmt.Sprintf("%x", buf[:min(n, 48)]))
	}
}

// access is one way to use a tree; what it returns is all that a caller would learn of what is at p.
type access func(tree Tree, p string) string

var content = strings.NewReader

// accesses are those of every method of Tree; the first word of the name is the method.
var accesses = map[string]access{
	"Open": func(tree Tree, p string) string { return readAll(tree.Open(p)) },
	"ReadFile": func(tree Tree, p string) string {
		data, err := tree.ReadFile(p)
		return fmt.Sprintf("%s %v", data, err)
	},
	"ReadRegular": func(tree Tree, p string) string {
		data, err := tree.ReadRegular(p, 1<<20)
		return fmt.Sprintf("%s %v", data, err)
	},
	"ReadDir": func(tree Tree, p string) string {
		entries, err := tree.ReadDir(p)
		return fmt.Sprint(entries, err)
	},
	"Stat":  func(tree Tree, p string) string { return describe(tree.Stat(p)) },
	"Lstat": func(tree Tree, p string) string { return describe(tree.Lstat(p)) },
	"Readlink": func(tree Tree, p string) string {
		target, err := tree.Readlink(p)
		return fmt.Sprint(target, err)
	},
	"WriteFile": func(tree Tree, p string) string {
		return fmt.Sprint(tree.WriteFile(p, 0o600, nil, content("mine")))
	},
	"Symlink":  func(tree Tree, p string) string { return fmt.Sprint(tree.Symlink("mine", p)) },
	"Mkdir":    func(tree Tree, p string) string { return fmt.Sprint(tree.Mkdir(p, 0o700)) },
	"MkdirAll": func(tree Tree, p string) string { return fmt.Sprint(tree.MkdirAll(p, 0o700)) },
	"Rename": func(tree Tree, p string) string {
		return fmt.Sprint(tree.Rename(p, "/taken"), readAll(tree.Open("/taken")))
	},
	"Rename to": func(tree Tree, p string) string { return fmt.Sprint(tree.Rename("/mine", p)) },
	"Remove":    func(tree Tree, p string) string { return fmt.Sprint(tree.Remove(p)) },
	"RemoveAll": func(tree Tree, p string) string { return fmt.Sprint(tree.RemoveAll(p)) },
	"Rmdir":     func(tree Tree, p string) string { return fmt.Sprint(tree.Rmdir(p)) },
	"Chmod":     func(tree Tree, p string) string { return fmt.Sprint(tree.Chmod(p, 0o777)) },
	"Lchown":    func(tree Tree, p string) string { return fmt.Sprint(tree.Lchown(p, nil)) },
	"SyncDir":   func(tree Tree, p string) string { return fmt.Sprint(tree.SyncDir(p)) },
	"OpenLock": func(tree Tree, p string) string {
		f, err := tree.OpenLock(p)
		if err != nil {
			return err.Error()
		}
		defer f.Close()
		found, err := io.ReadAll(f)
		_, werr := f.Write([]byte("mine"))
		return fmt.Sprint(string(found), err, werr)
	},
	"Path": func(tree Tree, p string) string {
		name, err := tree.Path(p)
		return inside(tree, filepath.Dir(name), err)
	},
	"PathFollowed": func(tree Tree, p string) string {
		name, err := tree.PathFollowed(p)
		return inside(tree, name, err) + readAll(os.Open(name))
	},
	"Temporary": func(tree Tree, p string) string {
		left, err := tree.Temporary(p + "/s3cr3")
		return fmt.Sprint(left, err)
	},
	"MissingDirs": func(tree Tree, p string) string {
		_, err := tree.MissingDirs(p)
		return inTheWay(err)
	},
	"Writable": func(tree Tree, p string) string { return inTheWay(tree.Writable(p + "/x")) },
	"ReadCache": func(tree Tree, p string) string {
		found := map[string]string{}
		return fmt.Sprint(tree.ReadCache(p, &found), found)
	},
	"WriteCache": func(tree Tree, p string) string {
		tree.WriteCache(p, "mine")
		return ""
	},
	"LoadDigests": func(tree Tree, p string) string {
		known := tree.LoadDigests(p)
		known.Save(tree, p)
		return fmt.Sprint(known)
	},
	"Batch": func(tree Tree, p string) string {
		b := tree.Batch()
		defer b.Discard()
		return fmt.Sprint(b.WriteFile("/first", 0o600, content("mine")), b.WriteFile(p, 0o600, content("mine")), b.Commit())
	},
	"Batch discarded": func(tree Tree, p string) string {
		b := tree.Batch()
		defer b.Discard()
		return fmt.Sprint(b.WriteFile(p, 0o600, content("mine")))
	},
}

func readAll(f *os.File, err error) string {
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	names, _ := f.Readdirnames(-1)
	return fmt.Sprintf("%s %v %v", data, err, names)
}

func describe(info fs.FileInfo, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %d bytes", info.Mode(), info.Size())
}

// inTheWay says the secret when an error tells of a file, of which there is none where the links lead in the tree.
func inTheWay(err error) string {
	if err != nil && strings.HasSuffix(err.Error(), "is not a directory") {
		return secret + ": " + err.Error()
	}
	return ""
}

// inside says the secret when a path is not inside of the tree, with its links resolved by the kernel.
func inside(tree Tree, name string, err error) string {
	if err != nil {
		return err.Error()
	}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	if name != tree.root && !strings.HasPrefix(name, tree.root+"/") {
		return secret + ": " + name + " is outside"
	}
	return ""
}

func TestEveryMethodIsTried(t *testing.T) {
	methods := reflect.TypeFor[Tree]()
	for i := range methods.NumMethod() {
		if name := methods.Method(i).Name; accesses[name] == nil && name != "Root" && name != "Whole" {
			t.Errorf("TestNothingLeadsOut does not try %s", name)
		}
	}
}

// Whatever a link of a tree says, and wherever it stands in a path, nothing outside is opened, learned or changed.
func TestNothingLeadsOut(t *testing.T) {
	for name, use := range accesses {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			before := snapshot(t, h.outside)
			for link, target := range h.targets() {
				for _, p := range []string{"/d/link", "/d/link/x", "/d/link/link", "/d/link/empty", "/d/link/new/x"} {
					h.rebuild(t, target)
					h.events(t)
					// The name of the directory is a number that may have that of the size in it.
					learned := strings.ReplaceAll(use(h.Tree, p), strings.TrimPrefix(filepath.Dir(h.outside), "/"), "")
					if strings.Contains(learned, secret) || strings.Contains(learned, fmt.Sprint(outsideSize)) {
						t.Errorf("%s, %s: learned %.100q", link, p, learned)
					}
					if done := h.events(t); len(done) > 0 {
						t.Errorf("%s, %s: something outside was touched: %s", link, p, done)
					}
				}
				if after := snapshot(t, h.outside); after != before {
					t.Fatalf("%s: outside is\n%s, was\n%s", link, after, before)
				}
			}
		})
	}
}

// A link that appears after the others have been resolved does not lead out either.
func TestLateLinksDoNotLeadOut(t *testing.T) {
	h := newHostile(t)
	before := snapshot(t, h.outside)
	unresolved := func(p string) (string, error) { return filepath.Join(h.root, p), nil }
	for link, target := range h.targets() {
		for _, p := range []string{"/d/link", "/d/link/x"} {
			h.rebuild(t, target)
			h.events(t)
			_ = h.call("try", p, unresolved, func(in calls, name string) error {
				if f, err := open(in, name, checkInside); err == nil {
					f.Close()
				}
				if f, err := in.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600); err == nil {
					_, _ = f.Write([]byte("mine"))
					f.Close()
				}
				_ = in.Remove(name)
				return syncDir(in, name)
			})
			if done := h.events(t); len(done) > 0 {
				t.Errorf("%s, %s: something outside was touched: %s", link, p, done)
			}
		}
	}
	if after := snapshot(t, h.outside); after != before {
		t.Errorf("outside is\n%s, was\n%s", after, before)
	}
}

// Devices and pipes are ways out, too; /dev/null is none.
func TestDevicesAreNotOpened(t *testing.T) {
	tree := At(t.TempDir())
	must(t, unix.Mkfifo(tree.root+"/pipe", 0o600))
	odd := []string{"/pipe"}
	if os.Geteuid() == 0 {
		must(t, unix.Mknod(tree.root+"/zero", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))))
		must(t, unix.Mknod(tree.root+"/null", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
		odd = append(odd, "/zero")
		if data, err := tree.ReadFile("/null"); err != nil || len(data) > 0 {
			t.Errorf("/dev/null: %q, %v", data, err)
		}
	}
	for _, p := range odd {
		if f, err := tree.Open(p); err == nil {
			f.Close()
			t.Errorf("%s was opened", p)
		}
		if _, err := tree.ReadRegular(p, 10); err == nil {
			t.Errorf("%s was read", p)
		}
		var found any
		if tree.ReadCache(p, &found) {
			t.Errorf("%s is a cache", p)
		}
		if err := tree.WriteFile(p+"/x", 0o600, nil, content("x")); !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("%s as a directory: %v", p, err)
		}
	}
}

func TestLinksAreFollowedInside(t *testing.T) {
	tree := At(t.TempDir())
	must(t, os.MkdirAll(tree.root+"/usr/lib", 0o755))
	must(t, os.WriteFile(tree.root+"/usr/lib/unit", []byte("inside"), 0o644))
	for name, target := range map[string]string{
		"lib": "/usr/lib", "unit": "/lib/unit", "up": "../../../usr/lib/unit", "proc": "usr/../usr/lib",
	} {
		must(t, os.Symlink(target, filepath.Join(tree.root, name)))
	}
	for _, p := range []string{"/unit", "/up", "/lib/unit", "/proc/unit", "/lib/../../up", "unit"} {
		data, err := tree.ReadFile(p)
		if string(data) != "inside" {
			t.Errorf("%s: %q, %v", p, data, err)
		}
		if info, err := tree.Stat(p); err != nil || info.Size() != 6 {
			t.Errorf("%s: %v", p, err)
		}
		if name, err := tree.PathFollowed(p); name != tree.root+"/usr/lib/unit" {
			t.Errorf("%s is %s, %v", p, name, err)
		}
	}
	if name, err := tree.Path("/lib/missing/x"); name != tree.root+"/usr/lib/missing/x" {
		t.Errorf("a path is %s, %v", name, err)
	}
	if name, err := tree.Path("/unit"); name != tree.root+"/unit" {
		t.Errorf("a link is %s, %v", name, err)
	}
	must(t, tree.WriteFile("/lib/new", 0o600, nil, content("new")))
	if data, _ := os.ReadFile(tree.root + "/usr/lib/new"); string(data) != "new" {
		t.Errorf("written to another directory than that of the link: %q", data)
	}
	must(t, tree.Mkdir("/lib", 0o755)) // a link to a directory is one
	must(t, tree.MkdirAll("/lib/a/b", 0o755))
	if _, err := os.Stat(tree.root + "/usr/lib/a/b"); err != nil {
		t.Error(err)
	}
	must(t, tree.WriteFile("/unit", 0o600, nil, content("replaced")))
	if data, _ := tree.ReadFile("/usr/lib/unit"); string(data) != "inside" {
		t.Errorf("written through the link: %q", data)
	}
	if info, _ := tree.Lstat("/unit"); !info.Mode().IsRegular() {
		t.Error("the link was not replaced")
	}
}

// snapshot describes a directory and everything below it.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		var st unix.Stat_t
		must(t, unix.Lstat(name, &st))
		data, _ := os.ReadFile(name)
		fmt.Fprintln(&all, strings.TrimPrefix(name, dir), info.Mode(), st.Uid, st.Gid, st.Ino, st.Nlink, info.ModTime(),
			strings.TrimSpace(string(data)))
		return nil
	}))
	return all.String()
}

// newMountNamespace gives the rest of a test mounts of its own: its thread ends with it.
func newMountNamespace(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Skip("this root may not mount: ", err)
	}
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// mount mounts until the test ends.
func mount(t *testing.T, source, target, kind string, flags uintptr) {
	t.Helper()
	must(t, unix.Mount(source, target, kind, flags, ""))
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}
