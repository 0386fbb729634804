package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/scripts/gobuild"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

// canary is in every file outside of the tree, and in a name.
const canary = "c4n4ry"

// outsider has trees with hostile links, and beside them files that nobody may touch through those.
type outsider struct {
	program, release, arch string
	trees                  string // the trees as they are before anything hostile is done to them
	tree, outside          string
	watch                  int // an inotify descriptor for all that is outside
	before                 string
	links                  int // in the tree, by place
}

// recoverBinary is the name of what recovers in a tree of another architecture, beside the releases.
const recoverBinary = "kubeletctl-recover"

// mostLinks is how many links a tree may have at once: each leads to a file, or a directory, of its own.
const mostLinks = 8

// hostileVerbs are the verbs, with the tree that each works on. VERSION 1.37.1 is what is installed there.
var hostileVerbs = []struct {
	tree string
	args string
}{
	{"fresh", "install --version v1.37.2"},
	{"foreign", "install --version v1.37.2 --force"},
	{"foreign", "install --version v1.37.2 --adopt --yes"},
	{"installed", "install --set maxPods=60"}, // the rest is in its spec file
	{"installed", "upgrade --version v1.37.2"},
	{"installed", "rollback"},
	{"installed", "repair"},
	{"installed", "diff"},
	{"installed", "status"},
	{"installed", "history"},
	{"installed", "releases"},
	{"installed", "uninstall"},
	{"installed", "uninstall --purge --yes"},
	{"pending", "recover"},
	{"pending", "upgrade --version v1.37.2"},
	{"pending", "status"},
}

// absent are paths that a verb may read or write and that no tree has.
var absent = strings.Fields(`
	/var/lib/kubeletctl/download /var/lib/kubeletctl/recovered /var/lib/kubeletctl/markers.json /var/lib/kubeletctl/generations/3
	/var/lib/kubelet/bootstrap-kubeconfig /var/lib/kubelet/cpu_manager_state /var/lib/kubelet/memory_manager_state
	/usr/local/bin/kubelet-v1.37.2 /etc/systemd/system/service.d /etc/systemd/system/kubelet.service.d/10-kubeadm.conf
	/run/systemd/system /usr/local/lib/systemd/system /lib/systemd/system /lib/systemd/system/kubelet.service.d`)

// Whatever links a tree has, wherever they stand and whatever they say: no verb reads or writes anything outside of it, and
// none says what is there.
func TestHostileLinks(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some time")
	}
	o := newOutsider(t)
	n := 0
	const share = 3 // of the verbs meet a path, so that this does not take minutes; with 1 it is each of them
	for v, verb := range hostileVerbs {
		for p, path := range o.paths(t, verb.tree) {
			if (v+p)%share != 0 {
				continue
			}
			kind := linkKinds[(v/share+p)%len(linkKinds)] // each verb meets every kind, and each path several
			name := fmt.Sprintf("%s (%s), with a link that is %s at %s", verb.args, verb.tree, kind.name, path)
			o.rebuild(t, verb.tree)
			o.place(t, path, kind.target)
			o.run(t, name, nil, strings.Fields(verb.args))
			n++
		}
		if t.Failed() && n > 100 {
			t.Fatal("and so on")
		}
	}
	t.Logf("%d runs", n)
}

// No file outside of the tree is opened for writing.
func TestHostileLinksTraced(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil || exec.Command(strace, "-o", os.DevNull, "true").Run() != nil {
		t.Skip("there is no strace, or it may not trace")
	}
	o := newOutsider(t)
	paths := strings.Fields(`
		/var/lib/kubeletctl/lock /var/lib/kubeletctl/generations /var/lib/kubeletctl/verified.json /var/lib/kubelet/kubelet-config.yaml
		/etc/systemd/system/kubelet.service /usr/local/bin /etc/systemd/system/multi-user.target.wants /etc/kubeletctl/spec.yaml`)
	for v, verb := range hostileVerbs {
		o.rebuild(t, verb.tree)
		for i, path := range paths {
			if i != v%len(paths) { // those that a verb goes on with
				o.place(t, path, linkKinds[(v+i)%2].target)
			}
		}
		o.place(t, paths[v%len(paths)], linkKinds[v%len(linkKinds)].target) // and one that perhaps ends it
		log := filepath.Join(t.TempDir(), "log")
		o.run(t, verb.args+" under strace", []string{strace, "-f", "-y", "-qq", "-e", "signal=none", "-e", "trace=openat,openat2,open,creat", "-o", log}, strings.Fields(verb.args))
		o.checkLog(t, verb.args, log)
	}
}

// opened is an open that succeeded, as strace -y prints it: its flags and the path that was opened.
var opened = regexp.MustCompile(`open(?:at2?)?\((.*)\) = \d+<(.*)>$`)

func (o *outsider) checkLog(t *testing.T, verb, log string) {
	t.Helper()
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		m := opened.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		n++
		if !strings.Contains(m[1], "O_WRONLY") && !strings.Contains(m[1], "O_RDWR") && !strings.Contains(m[1], "O_CREAT") {
			continue
		}
		inside := slices.ContainsFunc([]string{o.tree + "/", "/proc/", "/sys/", "/dev/null"}, func(p string) bool { return strings.HasPrefix(m[2], p) })
		if !inside || strings.HasPrefix(m[2], o.outside) {
			t.Errorf("%s opens %s for writing: %s", verb, m[2], lines.Text())
		}
	}
	if n < 3 {
		t.Errorf("%s: only %d opens in the log of strace", verb, n)
	}
}

// linkKinds are kinds of links by what they say: place gives each the path outside that it is for, which is a directory
// where the tree has one. "there" links lead to what the tree itself had at that place, as long as nothing leaves the tree.
var linkKinds = []struct {
	name   string
	target func(o *outsider, there func(string), path, out string) string
}{
	{"absolute, and there in the tree, too", func(_ *outsider, there func(string), _, out string) string { there(out); return out }},
	{"relative, and there in the tree, too", func(_ *outsider, there func(string), _, out string) string {
		there(out)
		return strings.Repeat("../", 40) + out[1:]
	}},
	{"absolute", func(_ *outsider, _ func(string), _, out string) string { return out }},
	{"relative", func(o *outsider, _ func(string), path, out string) string {
		return strings.Repeat("../", strings.Count(path, "/")) + strings.TrimPrefix(out, filepath.Dir(o.tree)+"/")
	}},
	{"into /proc/self/root, and there in the tree, too", func(_ *outsider, there func(string), _, out string) string {
		there("/proc/self/root" + out)
		return "/proc/self/root" + out
	}},
	{"into /proc/self/root", func(_ *outsider, _ func(string), _, out string) string { return "/proc/self/root" + out }},
	{"dangling", func(o *outsider, _ func(string), _, _ string) string { return o.outside + "/new" }},
	{"a loop", func(_ *outsider, _ func(string), path, _ string) string { return filepath.Base(path) }},
	{"of another kind", func(o *outsider, _ func(string), _, out string) string {
		if strings.HasPrefix(out, o.outside+"/dir") {
			return o.outside + "/file0"
		}
		return o.outside + "/dir0"
	}},
}

func newOutsider(t *testing.T) *outsider {
	t.Helper()
	o := &outsider{arch: "arm64"} // no kubelet of another architecture is executed, so some bytes will do for one
	if runtime.GOARCH == o.arch {
		o.arch = "amd64"
	}
	base := t.TempDir()
	if fast, err := os.MkdirTemp("/dev/shm", "links"); err == nil { // no waiting for the disk, hundreds of times
		t.Cleanup(func() { _ = os.RemoveAll(fast) })
		base = fast
	}
	o.program, o.release = filepath.Join(base, "kubeletctl"), filepath.Join(base, "release")
	o.trees, o.tree, o.outside = filepath.Join(base, "trees"), filepath.Join(base, "tree"), filepath.Join(base, "outside")
	if err := gobuild.Static(o.program, "cmd/kubeletctl"); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"v1.37.1", "v1.37.2"} {
		binary := append(elfHeader(o.arch), v...)
		if err := mirror.WriteTree(o.release, mirror.Release{Version: v, Arch: o.arch, Binary: binary}); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(o.release, recoverBinary), string(goProgram(o.arch, "github.com/kubeletctl/kubeletctl/cmd/kubeletctl")))
	o.makeOutside(t)
	o.makeTrees(t)
	return o
}

// goProgram is as much of a Go program as tells its architecture and its main package (debug/buildinfo).
func goProgram(arch, mainPackage string) []byte {
	const headers, frame = 64 + 56, "0123456789abcdef" // the module data has one on either side
	module := frame + "path\t" + mainPackage + "\n" + frame
	info := append([]byte("\xff Go buildinf:\x08\x02"), make([]byte, 16)...)
	for _, text := range []string{"go1.26", module} {
		info = append(binary.AppendUvarint(info, uint64(len(text))), text...)
	}
	program := elfHeader(arch)
	program[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	le := binary.LittleEndian
	le.PutUint64(program[32:], 64) // where the program header is, its size, and how many there are
	le.PutUint16(program[54:], 56)
	le.PutUint16(program[56:], 1)
	segment := elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: headers, Vaddr: 1 << 16, Filesz: uint64(len(info)), Memsz: uint64(len(info))}
	program, _ = binary.Append(program, le, segment) // a fixed size
	return append(program, info...)
}

// makeOutside makes what nobody may touch. What is in its directory has names that are looked for.
func (o *outsider) makeOutside(t *testing.T) {
	t.Helper()
	watched := []string{""}
	for i := range mostLinks {
		file, dir := fmt.Sprintf("file%d", i), fmt.Sprintf("dir%d", i)
		watched = append(watched, file)
		for _, name := range []string{canary, "record.json", "lock", "pending", "kubelet.service", "10-x.conf", "spec.yaml", "kubelet", "kubeconfig"} {
			watched = append(watched, filepath.Join(dir, name))
		}
		for _, name := range watched[len(watched)-10:] {
			writeFile(t, filepath.Join(o.outside, name), canary+"\n")
		}
		watched = append(watched, dir)
	}
	var err error
	if o.watch, err = unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(o.watch) })
	for _, name := range watched {
		if _, err := unix.InotifyAddWatch(o.watch, filepath.Join(o.outside, name), unix.IN_ALL_EVENTS); err != nil {
			t.Fatal(err)
		}
	}
	o.before = o.describe(t)
	o.events(t)
}

// describe tells everything of what is outside.
func (o *outsider) describe(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(o.outside, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		content, _ := os.ReadFile(name)
		fmt.Fprintln(&all, strings.TrimPrefix(name, o.outside), info.Mode(), info.ModTime(), strings.TrimSpace(string(content)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// events counts what was done outside since it was asked last.
func (o *outsider) events(t *testing.T) (n int) {
	t.Helper()
	buf := make([]byte, 64<<10)
	for {
		read, err := unix.Read(o.watch, buf)
		if errors.Is(err, unix.EAGAIN) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		n += read
	}
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// makeTrees makes the trees that the verbs work on.
func (o *outsider) makeTrees(t *testing.T) {
	t.Helper()
	work := func(args string) {
		t.Helper()
		if code, out := o.kubeletctl(t, nil, strings.Fields(args)); code != 0 {
			t.Fatalf("%s: exit code %d\n%s", args, code, out)
		}
	}
	keep := func(name string) {
		t.Helper()
		copyTree(t, o.tree, filepath.Join(o.trees, name))
	}
	for _, dir := range []string{"etc/systemd/system", "usr/local/bin", "var/lib"} {
		if err := os.MkdirAll(filepath.Join(o.tree, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	keep("fresh")
	work("install --version v1.37.1")
	work("install --version v1.37.1 --set maxPods=50")
	for name, content := range map[string]string{
		"etc/kubeletctl/spec.yaml":                             "apiVersion: kubeletctl.dev/v1alpha1\nkind: KubeletInstallation\nversion: v1.37.2\n",
		"etc/systemd/system/kubelet.service.d/20-admin.conf":   "[Service]\nNice=1\n",
		"usr/lib/systemd/system/kubelet.service.d/10-pkg.conf": "[Service]\nNice=2\n",
		"var/lib/kubelet/kubeconfig":                           "x",
		"var/lib/kubelet/pods/uid/volumes/v":                   "x",
		"usr/local/bin/.part-kubelet-v1.37.2-0123456789abcdef": "x",
	} {
		writeFile(t, filepath.Join(o.tree, name), content)
	}
	keep("installed")
	work("upgrade --version v1.37.2") // and then back to right before its commit
	state := filepath.Join(o.tree, "var/lib/kubeletctl")
	writeFile(t, filepath.Join(state, "pending"), "3\n")
	err := errors.Join(os.Rename(state+"/generations/3/record.json", state+"/generations/3/target.json"), os.Remove(state+"/generations/3/spec.json"),
		os.Remove(state+"/current"), os.Symlink("generations/2", state+"/current"))
	if err != nil {
		t.Fatal(err)
	}
	keep("pending")
	o.rebuild(t, "fresh")
	for name, content := range map[string]string{
		"etc/systemd/system/kubelet.service":                   "[Service]\nEnvironmentFile=-/etc/default/kubelet\nExecStart=/usr/bin/kubelet $ARGS $MORE\n",
		"etc/systemd/system/kubelet.service.d/20-admin.conf":   "[Service]\nEnvironmentFile=/etc/default/more\nNice=1\n",
		"usr/lib/systemd/system/kubelet.service.d/10-pkg.conf": "[Service]\nExecStart=\nExecStart=/usr/bin/kubelet $ARGS $MORE\n",
		"etc/default/kubelet":                                  "ARGS=\"--config=/var/lib/kubelet/config.yaml --kubeconfig=/var/lib/kubelet/kubeconfig\"\n",
		"etc/default/more":                                     "MORE=--node-ip=10.0.0.1\n",
		"var/lib/kubelet/config.yaml":                          "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 8\n",
		"var/lib/kubelet/kubelet-config.yaml":                  "x",
		"var/lib/kubelet/kubeconfig":                           "x",
		"usr/local/bin/kubelet":                                "x",
	} {
		writeFile(t, filepath.Join(o.tree, name), content)
	}
	keep("foreign")
}

// paths are those that a tree has, and that a verb might look for.
func (o *outsider) paths(t *testing.T, tree string) []string {
	t.Helper()
	var paths []string
	texts := map[string]bool{}
	root := filepath.Join(o.trees, tree)
	err := filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
		path := strings.TrimPrefix(name, root)
		dir := filepath.Dir(path)
		if path == "" || filepath.Base(dir) == "files" && texts[dir] { // one text of a generation stands for all
			return err
		}
		texts[dir] = true
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range absent {
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// rebuild makes the tree anew.
func (o *outsider) rebuild(t *testing.T, tree string) {
	t.Helper()
	if err := os.RemoveAll(o.tree); err != nil {
		t.Fatal(err)
	}
	copyTree(t, filepath.Join(o.trees, tree), o.tree)
	o.links = 0
}

// copyTree copies a tree, and links its large files.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(name, from)
		switch {
		case e.IsDir():
			return errors.Join(os.MkdirAll(target, 0o755), os.Chmod(target, info.Mode().Perm()))
		case e.Type()&fs.ModeSymlink != 0:
			text, err := os.Readlink(name)
			return errors.Join(err, os.Symlink(text, target))
		case info.Size() > 1<<20:
			return os.Link(name, target)
		}
		content, err := os.ReadFile(name)
		return errors.Join(err, os.WriteFile(target, content, info.Mode().Perm()))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// place puts a link at a path of the tree. What was there is where the link leads to in the tree, or gone.
func (o *outsider) place(t *testing.T, path string, target func(o *outsider, there func(string), path, out string) string) {
	t.Helper()
	name := filepath.Join(o.tree, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%s/file%d", o.outside, o.links)
	if info, err := os.Stat(name); err == nil && info.IsDir() || err != nil && filepath.Ext(name) == ".d" {
		out = fmt.Sprintf("%s/dir%d", o.outside, o.links)
	}
	o.links++
	there := func(p string) {
		if _, err := os.Lstat(name); err != nil || strings.HasPrefix(p, path+"/") {
			return
		}
		to := filepath.Join(o.tree, p)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.Rename(name, to)); err != nil {
			t.Fatal(err)
		}
	}
	text := target(o, there, path, out)
	if err := errors.Join(os.RemoveAll(name), os.Symlink(text, name)); err != nil {
		t.Fatal(err)
	}
}

// kubeletctl runs the program on the tree, perhaps by another one, and returns the exit code and all that it prints.
func (o *outsider) kubeletctl(t *testing.T, by, args []string) (int, string) {
	t.Helper()
	words := append(slices.Clone(by), o.program)
	words = append(words, args...)
	words = append(words, "--root", o.tree)
	switch args[0] {
	case "install":
		words = append(words, "--arch", o.arch, "--source", "file://"+o.release, "--recover-binary", recoverBinary)
	case "upgrade", "rollback", "repair":
		words = append(words, "--source", "file://"+o.release, "--recover-binary", recoverBinary)
	case "releases":
		words = append(words, "--source", "file://"+o.release)
	}
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Dir, c.Env = o.release, []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "TMPDIR=" + os.TempDir()}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String()
}

// run runs a verb on the tree as it is, and finds out whether anything outside was touched or told.
func (o *outsider) run(t *testing.T, name string, by, args []string) {
	t.Helper()
	code, out := o.kubeletctl(t, by, args)
	touched := o.events(t)
	switch now := o.describe(t); {
	case now != o.before:
		t.Errorf("%s: outside is\n%s, was\n%s", name, now, o.before)
		o.before = now
	case touched > 0:
		t.Errorf("%s: something outside was opened:\n%s", name, out)
	}
	o.events(t)
	if strings.Contains(out, canary) || strings.Contains(out, "goroutine ") || code < 0 {
		t.Errorf("%s: exit code %d\n%s", name, code, out)
	}
	err := filepath.WalkDir(o.tree, func(file string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if info, err := e.Info(); err != nil || info.Size() > 1<<20 {
			return err
		}
		content, err := os.ReadFile(file)
		if bytes.Contains(content, []byte(canary)) {
			t.Errorf("%s: %s has what is outside", name, file)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}
