package store

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
)

// holdFile and holdPID make this test program one that holds a lock on a file, and writes its pid into it.
const holdFile, holdPID = "TEST_HOLD_FILE", "TEST_HOLD_PID"

func TestMain(m *testing.M) {
	if file := os.Getenv(holdFile); file != "" {
		if err := hold(file, os.Getenv(holdPID) != ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// hold holds the lock until nobody listens any more.
func hold(file string, writePID bool) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if writePID {
		if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
			return err
		}
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// holder starts another process that holds the lock, and returns its pid.
func holder(t *testing.T, s Store, writePID bool) int {
	t.Helper()
	file := filepath.Join(s.tree.Root(), lockFile)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), holdFile+"="+file)
	if writePID {
		c.Env = append(c.Env, holdPID+"=1")
	}
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}
	return c.Process.Pid
}

func newStore(t *testing.T) Store {
	t.Helper()
	return In(hostfs.At(t.TempDir()))
}

func TestLock(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	unlock, err := s.Lock()
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Lock()
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("a second lock: %v", err)
	}
	if pid, busy := s.Busy(); !busy || pid != os.Getpid() {
		t.Errorf("busy: %d, %t", pid, busy)
	}
	if info, err := s.tree.Lstat(lockFile); err != nil || info.Mode() != 0o600 {
		t.Errorf("the lock may be opened by others: %v, %v", info.Mode(), err)
	}
	unlock()
	if !s.Empty() {
		t.Error("a lock that nothing came of left something behind")
	}
	if pid, busy := s.Busy(); busy {
		t.Errorf("busy after unlocking: %d", pid)
	}
	if unlock, err = s.Lock(); err != nil {
		t.Fatalf("after unlocking: %v", err)
	}
	unlock()
}

// A process that is just being started has a copy of each descriptor: the lock is given up all the same.
func TestUnlockWithACopy(t *testing.T) {
	s := newStore(t)
	commit(t, s, 1) // without a generation the file would go with the lock
	unlock, err := s.Lock()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.tree.Root(), lockFile)
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	found := slices.IndexFunc(links, func(link string) bool {
		target, err := os.Readlink(link)
		return err == nil && target == file
	})
	if found < 0 {
		t.Fatal("no descriptor of the lock")
	}
	fd, err := strconv.Atoi(filepath.Base(links[found]))
	if err != nil {
		t.Fatal(err)
	}
	copied, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(copied) }()
	unlock()
	other, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("still locked: %v", err)
	}
}

// The lock must not be taken twice by runs that come and go while its file is made and removed.
func TestLockUnderContention(t *testing.T) {
	s := newStore(t)
	const runs, tries = 8, 200
	inside := make(chan struct{}, 1)
	done := make(chan int)
	for range runs {
		go func() {
			got := 0
			for range tries {
				unlock, err := s.Lock()
				if err != nil {
					var locked *LockedError
					if !errors.As(err, &locked) {
						t.Errorf("not a LockedError: %v", err)
					}
					continue
				}
				select {
				case inside <- struct{}{}:
					got++
					<-inside
				default:
					t.Error("two runs hold the lock")
				}
				unlock()
			}
			done <- got
		}()
	}
	total := 0
	for range runs {
		total += <-done
	}
	if total == 0 {
		t.Error("nobody ever got the lock")
	}
}

// A lock that no kubeletctl holds is passed by: any user who may open a file may hold its lock.
func TestForeignLock(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	holder(t, s, false)
	unlock, err := s.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if pid, busy := s.Busy(); !busy || pid != os.Getpid() {
		t.Errorf("busy: %d, %t", pid, busy)
	}
	if _, err := s.Lock(); !errors.As(err, new(*LockedError)) {
		t.Errorf("a second lock: %v", err)
	}
}

// Another kubeletctl has written its pid into the lock.
func TestLockOfAnotherRun(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	pid := holder(t, s, true)
	_, err := s.Lock()
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != pid {
		t.Errorf("error: %v, want one that names pid %d", err, pid)
	}
	if got, busy := s.Busy(); !busy || got != pid {
		t.Errorf("busy: %d, %t, want %d", got, busy, pid)
	}
}

// /proc/locks names an inode, which may be that of a file on another file system: a process that holds that one did not write
// its pid into our lock.
func TestHolders(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	pid := holder(t, s, false)
	file := filepath.Join(s.tree.Root(), lockFile)
	info, err := os.Lstat(file)
	if err != nil {
		t.Fatal(err)
	}
	if pids, known := holdersOf(info); !known || len(pids) != 1 || pids[0] != pid {
		t.Errorf("holders %v, %t, want %d", pids, known, pid)
	}
	for _, text := range []string{"", "1\n", strconv.Itoa(os.Getpid()) + "\n", "garbage"} { // a run of before left it, or nobody
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, busy := s.Busy(); busy {
			t.Errorf("with %q in the lock, which pid %d holds: busy with %d", text, pid, got)
		}
	}
	free := filepath.Join(s.tree.Root(), "free")
	if err := os.WriteFile(free, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err = os.Lstat(free); err != nil {
		t.Fatal(err)
	}
	if pids, known := holdersOf(info); known || len(pids) > 0 {
		t.Errorf("holders of a file that nobody holds: %v, %t", pids, known)
	}
}

const (
	secretArg, secretText, secretSpec = "arg-s3cr3t", "text-s3cr3t", "spec-s3cr3t"
	strangersText                     = "the host's own s3cr3t"
)

func generation(n int) *plan.Generation {
	v, err := release.ParseVersion("v1.37.2")
	if err != nil {
		panic(err)
	}
	return &plan.Generation{
		Number: n, Command: "install", Version: v,
		Files: []plan.File{plan.TextFile(hostfs.ConfigFile, 0o600, fmt.Appendf(nil, "# %d\nstaticPodURLHeader: %s\n", n, secretText))},
		Args:  []string{"--token=" + secretArg}, Spec: json.RawMessage(`{"flags":{"token":"` + secretSpec + `"}}`),
	}
}

// before is a host with a file of somebody else's.
func before(n int) *plan.Generation {
	return &plan.Generation{Number: n, Snapshot: true, Args: []string{"--token=" + secretArg},
		Files: []plan.File{plan.TextFile(hostfs.ConfigFile, 0o644, []byte(strangersText))}}
}

func commit(t *testing.T, s Store, n int) {
	t.Helper()
	if err := errors.Join(s.Pending().Begin(generation(n), before(n), nil), s.Commit(generation(n)), s.Pending().Settle(n)); err != nil {
		t.Fatal(err)
	}
}

// What may hold a secret is for root only, at any moment; the rest is for everybody, so that status works.
func TestModes(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	reverted := generation(2)
	reverted.Reason = "it failed"
	stages := []struct {
		name string
		do   func() error
		// public and secret are files that have to be there.
		public, secret []string
	}{
		{"begun", func() error { return s.Pending().Begin(generation(1), before(1), nil) },
			[]string{"format", "pending", "generations/0/record.json"},
			[]string{"generations/0/spec.json", "generations/1/previous.json", "generations/1/target.json"}},
		{"committed", func() error { return s.Commit(generation(1)) },
			[]string{"generations/1/record.json"}, []string{"generations/1/spec.json", "generations/1/previous.json"}},
		{"settled", func() error { return s.Pending().Settle(1) }, []string{"generations/1/record.json"}, []string{"generations/1/spec.json"}},
		{"another begun", func() error { return s.Pending().Begin(generation(2), before(2), nil) }, nil, []string{"generations/2/target.json"}},
		{"and undone", func() error { return s.Pending().Abandon(reverted, generation(1)) }, []string{"generations/2/reverted.json"}, nil},
	}
	for _, tt := range stages {
		if err := tt.do(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for mode, files := range map[fs.FileMode][]string{0o644: tt.public, 0o600: tt.secret} {
			for _, file := range files {
				if info, err := s.tree.Lstat(in(file)); err != nil || info.Mode() != mode {
					t.Errorf("%s: %s: %v, %v, want %v", tt.name, file, info, err, mode)
				}
			}
		}
		found := 0
		err := filepath.WalkDir(filepath.Join(s.tree.Root(), hostfs.StateDir), func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			info, err := d.Info()
			if strings.Contains(string(content), "s3cr3t") {
				found++
				if info.Mode() != 0o600 {
					t.Errorf("%s: %s holds a secret and has the mode %v", tt.name, name, info.Mode())
				}
			}
			return err
		})
		if err != nil || found == 0 {
			t.Errorf("%s: %d files with a secret, %v", tt.name, found, err)
		}
	}
	g, err := s.Directory(1).Load()
	if err != nil || !strings.Contains(g.Args[0], secretArg) || !strings.Contains(string(g.Spec), secretSpec) || !strings.Contains(string(g.Files[0].Content), secretText) {
		t.Errorf("loaded: %+v, %v", g, err)
	}
}

func TestDamagedRecordIsAClearError(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	commit(t, s, 1)
	if err := os.WriteFile(filepath.Join(s.tree.Root(), in("generations/1/record.json")), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	var damage *DamagedError
	if _, err := s.Installed(); !errors.As(err, &damage) || damage.Hint() == "" {
		t.Errorf("a damaged record was read: %v", err)
	}
}

// A generation that lacks the content of a file is listed all the same, and says what it lacks.
func TestMissingBlob(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(blob string) error{
		"missing": os.Remove,
		"damaged": func(blob string) error { return os.WriteFile(blob, []byte("?"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			commit(t, s, 1)
			commit(t, s, 2)
			if err := damage(filepath.Join(s.tree.Root(), dirOf(1), textDir, generation(1).Files[0].SHA256)); err != nil {
				t.Fatal(err)
			}
			list, _, err := s.History().List(0)
			if err != nil || len(list) != 2 || list[1].Number != 1 {
				t.Errorf("history: %+v, %v", list, err)
			}
			all, err := s.List()
			if err != nil || len(all) != 2 {
				t.Fatalf("list: %v, %v", all, err)
			}
			err = s.Directory(1).Verify(all[0])
			if !errors.As(err, new(*DamagedError)) || !strings.Contains(err.Error(), "generation 1 has for "+hostfs.ConfigFile) {
				t.Errorf("generation 1: %v", err)
			}
			if err := s.Directory(2).Verify(all[1]); err != nil {
				t.Errorf("generation 2: %v", err)
			}
			if content, err := s.Open(all[0].Files[0]); err == nil {
				content.Close()
				t.Error("content that is not what was recorded can be read")
			}
		})
	}
}

// A record that a newer kubeletctl has written is neither read nor changed.
func TestNewerFormat(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	commit(t, s, 1)
	if err := os.WriteFile(filepath.Join(s.tree.Root(), in(formatFile)), []byte("4\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func() error{
		"Current": func() error { _, err := s.Current(); return err },
		"Lock":    func() error { _, err := s.Lock(); return err },
		"List":    func() error { _, err := s.List(); return err },
		"History": func() error { _, _, err := s.History().List(0); return err },
		"Next":    func() error { _, err := s.Next(); return err },
		"Convert": func() error { return s.Convert(generation(2)) },
		"Begin":   func() error { return s.Pending().Begin(generation(2), before(2), nil) },
	} {
		var newer *NewerFormatError
		if err := ask(); !errors.As(err, &newer) || newer.Format != 4 || newer.Hint() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.tree.Lstat(lockFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a lock was made: %v", err)
	}
	if _, err := s.tree.Lstat(in("generations/2")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a generation was begun: %v", err)
	}
}

// The end of a change is the end of a download that it does not need, wherever that lies.
func TestSettleDiscardsTheDownload(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := In(hostfs.At(root))
	if err := os.MkdirAll(filepath.Join(root, hostfs.StateDir), 0o755); err != nil {
		t.Fatal(err)
	}
	file := plan.File{Path: "/opt/kube/bin/kubelet-v1.37.2", Kind: plan.Binary, Mode: 0o755}
	d := NewDownload(file, release.Digest{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}, []string{"/opt/kube", "/opt/kube/bin"})
	err := s.Downloads().Begin(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "/opt/kube/bin"), 0o755), os.WriteFile(filepath.Join(root, d.Partial), []byte("x"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := s.Pending().Settle(1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(root, "/opt/kube")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory of the download is still there: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(root, "/opt")); err != nil {
		t.Errorf("a directory that was not made for it is gone: %v", err)
	}
}

// The downloads of a change are recorded one document each: a single one as it always was.
func TestDownloadsOfAChange(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := In(hostfs.At(root))
	if err := os.MkdirAll(filepath.Join(root, hostfs.StateDir), 0o755); err != nil {
		t.Fatal(err)
	}
	download := func(name string, dirs ...string) Download {
		d := NewDownload(plan.File{Path: "/usr/local/bin/" + name}, release.Digest{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}, dirs)
		if err := errors.Join(os.MkdirAll(filepath.Join(root, "/usr/local/bin"), 0o755), os.WriteFile(filepath.Join(root, d.Partial), []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	there := func(d Download) bool {
		_, err := os.Lstat(filepath.Join(root, d.Partial))
		return err == nil
	}
	kubelet, kubeadm, other := download("kubelet-v1.37.2", "/usr/local", "/usr/local/bin"), download("kubeadm-v1.37.2"), download("kubectl-v1.37.2")
	if err := s.Downloads().Begin(kubelet, other); err != nil {
		t.Fatal(err)
	}
	// The next run wants another one: what it has in common is gone on with, and the directories stay known.
	kubelet.Dirs = nil
	if err := s.Downloads().Begin(kubelet, kubeadm); err != nil {
		t.Fatal(err)
	}
	list, err := s.Downloads().Unfinished()
	if err != nil || len(list) != 2 || list[1].Partial != kubeadm.Partial || !slices.Equal(list[0].Dirs, []string{"/usr/local", "/usr/local/bin"}) {
		t.Errorf("unfinished: %+v, %v", list, err)
	}
	if !there(kubelet) || !there(kubeadm) || there(other) {
		t.Error("the wrong download was deleted")
	}
	if err := os.Remove(filepath.Join(root, kubelet.Partial)); err != nil {
		t.Fatal(err)
	}
	if err := s.Downloads().Forget(); err != nil || !there(kubeadm) {
		t.Errorf("what is left of one was forgotten: %v", err)
	}
	if err := s.Downloads().Discard(); err != nil || there(kubeadm) {
		t.Errorf("a download is left: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(root, "/usr/local")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

// A record has the layout that an older kubeletctl knows until it has programs that such a one does not know.
func TestFormatFollowsTheTools(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	commit(t, s, 1)
	plain, with := generation(2), generation(2)
	with.Tools = []plan.Tool{{Name: release.Kubeadm}}
	if n, err := formatOf(s.tree); err != nil || n != 2 || s.Outdated(plain) || !s.Outdated(with) {
		t.Errorf("format %d, %v", n, err)
	}
	if err := s.Convert(with); err != nil {
		t.Fatal(err)
	}
	commit(t, s, 3) // without any
	if n, err := formatOf(s.tree); err != nil || n != 3 || s.Outdated(with) {
		t.Errorf("format %d, %v", n, err)
	}
}
