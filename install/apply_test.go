package install

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/scripts/gobuild"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// fakeSystemd keeps unit states as systemd would and records what was asked of it. It can fail the n-th request.
type fakeSystemd struct {
	tree    Tree
	calls   []string
	failAt  int // counted from 1; 0: never
	enabled map[string]bool
	active  map[string]bool
	armed   bool
	gone    func() // called at every request
	waiting bool   // kubelet has ended, and systemd is about to start it again
	deaths  int    // how often it has done so since the last start by hand
	slow    bool   // a start takes longer than anybody waits
}

func newFake(tree Tree) *fakeSystemd {
	return &fakeSystemd{tree: tree, enabled: map[string]bool{}, active: map[string]bool{}}
}

func (f *fakeSystemd) call(verb, unit string, effect func()) error {
	f.calls = append(f.calls, strings.TrimSpace(verb+" "+unit))
	if f.gone != nil {
		f.gone()
	}
	if f.failAt == len(f.calls) {
		return errors.New("the bus is on fire")
	}
	effect()
	return nil
}

func (f *fakeSystemd) Reload(context.Context) error { return f.call("reload", "", func() {}) }
func (f *fakeSystemd) Enable(_ context.Context, u string) error {
	return f.call("enable", u, func() { f.enabled[u] = true })
}
func (f *fakeSystemd) Disable(_ context.Context, u string) error {
	return f.call("disable", u, func() { delete(f.enabled, u) })
}
func (f *fakeSystemd) Start(ctx context.Context, u string) error {
	if f.slow {
		<-ctx.Done()
		return fmt.Errorf("starting %s: %w", u, ctx.Err())
	}
	return f.call("start", u, func() { f.active[u], f.waiting, f.deaths = true, false, 0 })
}
func (f *fakeSystemd) Restart(_ context.Context, u string) error {
	return f.call("restart", u, func() { f.active[u], f.waiting, f.deaths = true, false, 0 })
}
func (f *fakeSystemd) Stop(_ context.Context, u string) error {
	return f.call("stop", u, func() { delete(f.active, u) })
}
func (f *fakeSystemd) Queue(ctx context.Context, u string) error { return f.Restart(ctx, u) }
func (f *fakeSystemd) Arm(context.Context, time.Duration) error {
	return f.call("arm", "", func() { f.armed = true })
}
func (f *fakeSystemd) Disarm(context.Context) error              { f.armed = false; return nil }
func (f *fakeSystemd) ResetFailed(context.Context, string) error { return nil }
func (f *fakeSystemd) Booting(context.Context) bool              { return false }
func (f *fakeSystemd) State(_ context.Context, u string) (systemd.UnitState, error) {
	s := systemd.UnitState{Name: u, LoadState: "not-found", ActiveState: "inactive", SubState: "dead"}
	if name, err := f.tree.Locate(UnitDir + "/" + u); err == nil {
		if _, err := os.Stat(name); err == nil {
			s.LoadState, s.UnitFileState = "loaded", "disabled"
		}
	}
	if f.enabled[u] {
		s.UnitFileState = "enabled"
	}
	if f.active[u] {
		s.ActiveState, s.SubState = "active", "running"
	}
	if u == systemd.KubeletService {
		s.Restarts = f.deaths
		if f.waiting {
			s.ActiveState, s.SubState, s.Result, s.ExitStatus = "activating", "auto-restart", "exit-code", 203
		}
	}
	return s, nil
}

// standin builds the stand-in kubelet, once for each version.
var standin = struct {
	sync.Mutex
	built map[string]string
	dir   string
}{built: map[string]string{}}

func standinFor(t *testing.T, version string) string {
	t.Helper()
	standin.Lock()
	defer standin.Unlock()
	if file := standin.built[version]; file != "" {
		return file
	}
	file := filepath.Join(standin.dir, "kubelet-"+version)
	if err := gobuild.Standin(file, version); err != nil {
		t.Fatal(err)
	}
	standin.built[version] = file
	return file
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "standin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	standin.dir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// bench is a host in a temporary directory, with a systemd of ours and a release tree beside it.
type bench struct {
	*Host
	t       *testing.T
	fake    *fakeSystemd
	release *release.Client
	healthy bool
	health  string // an address that answers like /healthz
}

func newBench(t *testing.T, versions ...string) *bench {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{UnitDir, DefaultBinDir, "/var/lib"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := &bench{t: t, healthy: true}
	b.fake = newFake(Tree{Root: root})
	b.Host = &Host{Tree: Tree{Root: root}, Units: b.fake, Live: true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !b.healthy {
			http.Error(w, "sick", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "ok")
	}))
	t.Cleanup(server.Close)
	b.health = server.Listener.Addr().String()

	upstream := t.TempDir()
	var releases []mirror.Release
	for _, v := range versions {
		releases = append(releases, mirror.Release{Version: v, Arch: "amd64", Path: standinFor(t, v)})
	}
	if err := mirror.WriteTree(upstream, releases...); err != nil {
		t.Fatal(err)
	}
	b.release = &release.Client{Sources: []string{"file://" + upstream}}
	return b
}

// spec is a standalone kubelet whose health endpoint is the bench's.
func (b *bench) spec(version string, fields map[string]any) Spec {
	host, port, _ := strings.Cut(b.health, ":")
	all := map[string]any{"healthzBindAddress": host, "healthzPort": atoi(b.t, port)}
	for k, v := range fields {
		all[k] = v
	}
	return Spec{Version: version, Standalone: true, Arch: "amd64", Sources: b.release.Sources, KubeletConfiguration: all}
}

func (b *bench) resolve(s Spec) Resolved {
	b.t.Helper()
	version, err := b.Version(b.t.Context(), s, b.release)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := b.Resolve(b.t.Context(), s, version, "the test", b.release)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) prepare(s Spec) *Change {
	b.t.Helper()
	ctx := context.Background()
	artifact := b.resolve(s)
	built, err := Build(s, nil, artifact)
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := b.Prepare(ctx, built)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bench) apply(ctx context.Context, c *Change, wait time.Duration) (Outcome, error) {
	unlock, err := b.Store().Lock()
	if err != nil {
		b.t.Fatal(err)
	}
	defer unlock()
	return b.Apply(ctx, c, ApplyOptions{Verb: "install", Release: b.release, Wait: wait})
}

func (b *bench) install(s Spec) {
	b.t.Helper()
	if _, err := b.apply(context.Background(), b.prepare(s), 0); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) uninstall() {
	b.t.Helper()
	u, err := b.PrepareUninstall(context.Background(), false)
	if err != nil {
		b.t.Fatal(err)
	}
	if outcome, err := b.apply(context.Background(), u, 0); err != nil || outcome != Removed {
		b.t.Fatalf("outcome %q, %v", outcome, err)
	}
}

// state is the whole tree and the states of the units, as lines that can be compared.
func (b *bench) state() []string {
	b.t.Helper()
	var lines []string
	err := filepath.WalkDir(b.Tree.Root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(b.Tree.Root, name)
		if rel == "var/lib/kubeletctl/lock" {
			return nil
		}
		if _, err := os.Stat(filepath.Join(name, "reverted.json")); err == nil {
			return fs.SkipDir // history, which a change that was undone leaves behind
		}
		line := fmt.Sprintf("%s %s", rel, info.Mode())
		switch {
		case info.Mode().IsRegular():
			sum, err := sumFile(name, sha256.New())
			if err != nil {
				return err
			}
			line += " " + sum
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(name)
			line += " -> " + target
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, u := range []string{systemd.KubeletService, systemd.KubeletPath} {
		lines = append(lines, fmt.Sprintf("%s enabled=%t active=%t", u, b.fake.enabled[u], b.fake.active[u]))
	}
	return lines
}

func (b *bench) same(before []string, what string) {
	b.t.Helper()
	after := b.state()
	for _, line := range after {
		if !slices.Contains(before, line) {
			b.t.Errorf("%s: new or changed: %s", what, line)
		}
	}
	for _, line := range before {
		if !slices.Contains(after, line) {
			b.t.Errorf("%s: gone: %s", what, line)
		}
	}
}

// discard deletes a download that was kept for another try.
func (b *bench) discard() {
	b.t.Helper()
	unlock, err := b.Store().Lock()
	if err != nil {
		b.t.Fatal(err)
	}
	defer unlock()
	if err := b.Discard(); err != nil {
		b.t.Fatal(err)
	}
}

func TestInstallUpgradeUninstall(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	before := b.state()

	c := b.prepare(b.spec("v1.37.1", nil))
	b.same(before, "planning")
	outcome, err := b.apply(context.Background(), c, 10*time.Second)
	if err != nil || outcome != Healthy {
		t.Fatalf("outcome %q, %v", outcome, err)
	}
	if want := []string{"enable kubeletctl-recover.service", "reload", "arm", "reload", "enable kubelet.service", "reload", "start kubelet.service"}; !slices.Equal(b.fake.calls, want) {
		t.Errorf("systemd was asked %q, want %q", b.fake.calls, want)
	}
	if c := b.prepare(b.spec("v1.37.1", nil)); !c.Plan.Empty() {
		t.Errorf("a second install would do %q", steps(c.Plan))
	}

	b.install(b.spec("v1.37.2", nil))
	target, _ := os.Readlink(filepath.Join(b.Tree.Root, linkFile))
	if target != "kubelet-v1.37.2" {
		t.Errorf("the active kubelet is %s", target)
	}
	current, err := b.Store().Current()
	if err != nil || current.Number != 2 || current.Version.String() != "v1.37.2" {
		t.Errorf("current is %+v, %v", current, err)
	}

	b.uninstall()
	b.same(before, "after uninstall")
}

// Every request to systemd fails once, in a first install and in an upgrade: files and units are those of before.
func TestEveryFailedRequestLeadsBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	sweep := func(name string, s Spec) {
		before := b.state()
		for i := 1; ; i++ {
			b.fake.calls, b.fake.failAt = nil, i
			_, err := b.apply(context.Background(), b.prepare(s), 0)
			b.fake.failAt = 0
			if err == nil {
				if i < 2 {
					t.Fatalf("%s: no request was failed", name)
				}
				t.Logf("%s: %d requests failed, one after the other", name, i-1)
				return
			}
			var back *RolledBackError
			if !errors.As(err, &back) && b.fake.calls[i-1] != "arm" { // which comes before anything is changed
				t.Errorf("%s, request %d: %v is not a rollback", name, i, err)
			}
			b.discard()
			b.same(before, fmt.Sprintf("%s, request %d", name, i))
			if i > 30 {
				t.Fatal("it never came to an end")
			}
		}
	}
	sweep("first install", b.spec("v1.37.1", nil))
	sweep("upgrade", b.spec("v1.37.2", map[string]any{"maxPods": 50}))
}

// The user interrupts after each step: files and units are those of before. What was downloaded is kept when it is all that
// was done.
func TestInterruptAfterEachStepLeadsBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	sweep := func(name string, s Spec) {
		before := b.state()
		for i := 1; ; i++ {
			c := b.prepare(s)
			if i > len(c.Plan.Steps) {
				return
			}
			ctx, cancel := context.WithCancel(context.Background())
			unlock, err := b.Store().Lock()
			if err != nil {
				t.Fatal(err)
			}
			done := 0
			_, err = b.Apply(ctx, c, ApplyOptions{Verb: "install", Release: b.release, Wait: time.Minute, Done: func(Step) {
				if done++; done == i {
					cancel()
				}
			}})
			unlock()
			cancel()
			if !errors.Is(err, ErrInterrupted) {
				t.Errorf("%s, step %d: %v", name, i, err)
			}
			b.discard()
			b.same(before, fmt.Sprintf("%s, after step %d (%s %s)", name, i, c.Plan.Steps[i-1].Action, c.Plan.Steps[i-1].Target))
		}
	}
	sweep("first install", b.spec("v1.37.1", nil))
	b.install(b.spec("v1.37.1", nil))
	sweep("upgrade", b.spec("v1.37.2", map[string]any{"maxPods": 50}))
}

func TestUnhealthyKubeletLeadsBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	b.install(b.spec("v1.37.1", nil))
	before := b.state()
	c := b.prepare(b.spec("v1.37.2", nil))
	b.healthy = false
	switched := false
	b.fake.gone = func() { // the former kubelet is well again once it is back
		target, _ := os.Readlink(filepath.Join(b.Tree.Root, linkFile))
		switched = switched || target == "kubelet-v1.37.2"
		b.healthy = switched && target == "kubelet-v1.37.1"
	}
	_, err := b.apply(context.Background(), c, time.Second)
	var back *RolledBackError
	if !errors.As(err, &back) || !strings.Contains(err.Error(), "sick") || !strings.Contains(err.Error(), "v1.37.1 is in place again") {
		t.Errorf("error: %v", err)
	}
	b.same(before, "after the rollback")
}

// A kubelet that systemd had to start again at some time is no sicker than before when what it has lost is put back, and one
// that ends for want of it is started with it.
func TestRepairAfterDeaths(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"kubelet-v1.37.2", "kubelet", recoverName} {
		for _, waiting := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,waiting=%t", lost, waiting), func(t *testing.T) {
				t.Parallel()
				b := newBench(t, "v1.37.2")
				b.install(b.spec("v1.37.2", nil))
				b.fake.deaths, b.fake.waiting = 3, waiting
				if err := os.Remove(filepath.Join(b.Tree.Root, DefaultBinDir, lost)); err != nil {
					t.Fatal(err)
				}
				b.fake.calls = nil
				outcome, err := b.apply(t.Context(), b.prepare(b.spec("v1.37.2", nil)), 10*time.Second)
				if err != nil || outcome != Healthy {
					t.Errorf("outcome %q, %v", outcome, err)
				}
				if got := slices.Contains(b.fake.calls, "restart kubelet.service"); got != waiting && lost != "kubelet" {
					t.Errorf("systemd was asked %q", b.fake.calls)
				}
			})
		}
	}
}

// A repair that fails at the gate does not take away again what the host had lost.
func TestFailedRepairKeepsTheBinary(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	b.install(b.spec("v1.37.2", nil))
	programs := []string{"kubelet-v1.37.2", "kubelet", recoverName}
	for _, lost := range programs {
		if err := os.Remove(filepath.Join(b.Tree.Root, DefaultBinDir, lost)); err != nil {
			t.Fatal(err)
		}
	}
	b.healthy = false
	if _, err := b.apply(t.Context(), b.prepare(b.spec("v1.37.2", nil)), time.Second); err == nil {
		t.Error("a sick kubelet passed the gate")
	}
	for _, lost := range programs {
		if _, err := os.Stat(filepath.Join(b.Tree.Root, DefaultBinDir, lost)); err != nil {
			t.Error(err)
		}
	}
}

// A kubelet that dies while its lost binary is being fetched is started with it, and its death is not the change's doing.
func TestDeathDuringTheDownload(t *testing.T) {
	t.Parallel()
	for _, waiting := range []bool{false, true} {
		t.Run(fmt.Sprintf("waiting=%t", waiting), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "v1.37.2")
			b.install(b.spec("v1.37.2", nil))
			if err := os.Remove(filepath.Join(b.Tree.Root, DefaultBinDir, "kubelet-v1.37.2")); err != nil {
				t.Fatal(err)
			}
			b.release.Progress = func(release.Progress) { b.fake.deaths, b.fake.waiting = 2, waiting }
			b.fake.calls = nil
			outcome, err := b.apply(t.Context(), b.prepare(b.spec("v1.37.2", nil)), 10*time.Second)
			if err != nil || outcome != Healthy || slices.Contains(b.fake.calls, "restart kubelet.service") != waiting {
				t.Errorf("outcome %q, %v, systemd was asked %q", outcome, err, b.fake.calls)
			}
		})
	}
}

// The binary to go back to is damaged: the way back goes on without it, since nobody can be asked for another one.
func TestDamagedBinaryOnTheWayBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	b.install(b.spec("v1.37.1", nil))
	former := filepath.Join(b.Tree.Root, DefaultBinDir, "kubelet-v1.37.1")
	if err := os.WriteFile(former, []byte("damaged"), 0o755); err != nil {
		t.Fatal(err)
	}
	var notes []string
	b.Note = func(line string) { notes = append(notes, line) }
	c := b.prepare(b.spec("v1.37.2", nil))
	b.healthy = false
	b.fake.gone = func() {
		target, _ := os.Readlink(filepath.Join(b.Tree.Root, linkFile))
		b.healthy = target == "kubelet-v1.37.1"
	}
	_, err := b.apply(t.Context(), c, time.Second)
	if back := (*RolledBackError)(nil); !errors.As(err, &back) {
		t.Errorf("error: %v", err)
	}
	if target, _ := os.Readlink(filepath.Join(b.Tree.Root, linkFile)); target != "kubelet-v1.37.1" {
		t.Errorf("the link leads to %q", target)
	}
	if text := strings.Join(notes, "\n"); !strings.Contains(text, "kubelet-v1.37.1 is damaged, and was before") {
		t.Errorf("notes: %s", text)
	}
}

// A start that is not done when its time is over is no failure of the step: the gate judges kubelet.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	b.fake.slow = true
	_, err := b.apply(t.Context(), b.prepare(b.spec("v1.37.2", nil)), time.Second)
	if gate := (*GateError)(nil); !errors.As(err, &gate) || !strings.Contains(err.Error(), "kubelet was not healthy within 1s") {
		t.Errorf("error: %v", err)
	}
}

// A run that is killed leaves the pending marker; the next one goes back first.
func TestRecover(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	for _, name := range []string{"first install", "upgrade"} {
		before := b.state()
		version := map[string]string{"first install": "v1.37.1", "upgrade": "v1.37.2"}[name]
		c := b.prepare(b.spec(version, nil))
		c.Want.stamp(c.number(t, b), "install")
		snapshot := b.snapshot(c.Seen, c.Want, c.Have)
		snapshot.Number = c.Want.Number
		c.Want.Dirs = c.Seen.MissingDirs
		unlock, err := b.Store().Lock()
		if err != nil {
			t.Fatal(err)
		}
		// switchTo without what follows it is what a killed run did.
		if _, err := b.switchTo(context.Background(), c, snapshot, ApplyOptions{Release: b.release}); err != nil {
			t.Fatal(err)
		}
		if n, pending, err := b.Store().Pending(); err != nil || !pending || n != c.Want.Number {
			t.Fatalf("%s: pending is %d, %t, %v", name, n, pending, err)
		}
		said, err := b.Recover(context.Background(), false)
		unlock()
		if err != nil || !strings.Contains(said, "interrupted") {
			t.Errorf("%s: %q, %v", name, said, err)
		}
		b.same(before, name)
		b.install(b.spec(version, nil))
	}
}

func (c *Change) number(t *testing.T, b *bench) int {
	t.Helper()
	n, err := b.Store().Next()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever a stranger had at our paths is back after an uninstall, to the byte.
func TestStrangersFilesComeBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	write := func(path string, mode fs.FileMode, content []byte) {
		name := filepath.Join(b.Tree.Root, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(unitFile, 0o600, []byte("[Service]\nExecStart=/opt/kubelet\n"))
	write(linkFile, 0o711, bytes.Repeat([]byte("kubelet "), 1<<18)) // 2 MiB: too large to be held in memory
	b.fake.enabled[systemd.KubeletService], b.fake.active[systemd.KubeletService] = true, true
	before := b.state()

	c := b.prepare(b.spec("v1.37.2", nil))
	if got := paths(c.Plan.Conflicts); !slices.Equal(got, []string{linkFile, unitFile}) {
		t.Errorf("conflicts %q", got)
	}
	if _, err := b.apply(context.Background(), c, 0); err != nil {
		t.Fatal(err)
	}
	b.uninstall()
	b.same(before, "after uninstall")
}

// An uninstall that was cut off after its commit goes on when it is run again, and an install finds its way, too.
func TestInterruptedUninstallGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	before := b.state()
	b.install(b.spec("v1.37.2", nil))
	if err := b.Store().point(0); err != nil { // all that the commit of an uninstall does
		t.Fatal(err)
	}
	if s, err := b.Status(context.Background()); err != nil || s.Installed || len(s.Problems) == 0 || s.Problems[0].ID != "interrupted-uninstall" {
		t.Errorf("status %+v, %v", s, err)
	}
	if c := b.prepare(b.spec("v1.37.2", map[string]any{"maxPods": 50})); len(c.Plan.Conflicts) > 0 {
		t.Errorf("an install takes our own files for a stranger's: %v", c.Plan.Conflicts)
	}
	b.uninstall()
	b.same(before, "after the second uninstall")
}

func TestStatusTellsTheTruth(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	status := func() *Status {
		t.Helper()
		s, err := b.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ids := func(s *Status) (list []string) {
		for _, p := range s.Problems {
			list = append(list, p.ID)
		}
		return list
	}
	if s := status(); s.Installed || s.State != StateNotInstalled {
		t.Errorf("on an empty host: %+v", s)
	}
	b.install(b.spec("v1.37.2", nil))
	s := status()
	if !s.Installed || s.Version != "v1.37.2" || s.Trust != "checksum" || s.State != StateHealthy || !s.Health.OK || len(s.Drift) != 0 || len(s.Problems) != 0 {
		t.Errorf("healthy: %+v", s)
	}
	b.healthy = false
	if s := status(); s.State != StateUnhealthy || s.Health.OK || !slices.Equal(ids(s), []string{"unhealthy"}) {
		t.Errorf("unhealthy: %+v", s)
	}
	b.healthy = true
	if err := os.WriteFile(filepath.Join(b.Tree.Root, ConfigFile), []byte("mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if s := status(); len(s.Drift) != 1 || s.Drift[0].Target != ConfigFile || !slices.Equal(ids(s), []string{"drift"}) {
		t.Errorf("drifted: %+v", s)
	}
	delete(b.fake.active, systemd.KubeletService)
	if s := status(); s.State != StateStopped {
		t.Errorf("stopped: %+v", s)
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A commit that fails is undone like any other step.
func TestFailedCommitLeadsBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	for n, version := range []string{"v1.37.1", "v1.37.2"} {
		before := b.state()
		b.fake.gone = func() { // nothing can be renamed over a directory
			blocker := filepath.Join(b.Tree.Root, StateDir, "generations", fmt.Sprint(n+1), "generation.json", "x")
			if err := os.MkdirAll(blocker, 0o755); err != nil {
				t.Error(err)
			}
		}
		_, err := b.apply(context.Background(), b.prepare(b.spec(version, nil)), 0)
		b.fake.gone = nil
		var back *RolledBackError
		if !errors.As(err, &back) || !strings.Contains(err.Error(), "committing generation") {
			t.Errorf("%s: %v", version, err)
		}
		b.same(before, version)
		b.install(b.spec(version, nil))
	}
}

// Success is a working kubelet, also where there is nothing to change.
func TestNothingToDoButNotWell(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	b.install(b.spec("v1.37.2", nil))
	if outcome, err := b.apply(context.Background(), b.prepare(b.spec("v1.37.2", nil)), time.Second); err != nil || outcome != Unchanged {
		t.Fatalf("well: %q, %v", outcome, err)
	}
	b.healthy = false
	_, err := b.apply(context.Background(), b.prepare(b.spec("v1.37.2", nil)), time.Second)
	var gate *GateError
	if !errors.As(err, &gate) || !strings.Contains(err.Error(), "nothing to change, but kubelet is not well") {
		t.Errorf("sick: %v", err)
	}
}

// The symlink to the current generation was lost: the newest one counts, and nothing is taken for a stranger's.
func TestLostCurrentHeals(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	before := b.state()
	b.install(b.spec("v1.37.1", nil))
	b.install(b.spec("v1.37.2", nil))
	if err := os.Remove(filepath.Join(b.Tree.Root, StateDir, "current")); err != nil {
		t.Fatal(err)
	}
	if c := b.prepare(b.spec("v1.37.2", nil)); !c.Plan.Empty() || c.Have == nil || c.Have.Number != 2 {
		t.Errorf("an install would do %q from %+v", steps(c.Plan), c.Have)
	}
	b.uninstall()
	b.same(before, "after the uninstall")
}

// A directory that is a symlink to nowhere, as of a disk that is not mounted, is not made, used or removed.
func TestDanglingDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	if err := os.Symlink(filepath.Join(b.Tree.Root, "nowhere"), filepath.Join(b.Tree.Root, "var/lib/kubelet")); err != nil {
		t.Fatal(err)
	}
	before := b.state()
	ctx := context.Background()
	artifact := b.resolve(b.spec("v1.37.2", nil))
	built, err := Build(b.spec("v1.37.2", nil), nil, artifact)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Prepare(ctx, built); err == nil || !strings.Contains(err.Error(), "/var/lib/kubelet is a symlink to") {
		t.Errorf("error: %v", err)
	}
	b.same(before, "after all")
}

func TestStatusWhileAnotherRunHoldsTheLock(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	b.install(b.spec("v1.37.2", nil))
	unlock, err := b.Store().Lock()
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Status(context.Background())
	unlock()
	if err != nil || s.State != StateChanging || s.Problems[0].ID != "changing" || !strings.Contains(s.Problems[0].Message, fmt.Sprint(os.Getpid())) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := b.Status(context.Background()); err != nil || s.State != StateHealthy {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
}

func TestStatusOfADamagedRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	b.install(b.spec("v1.37.2", nil))
	for _, file := range []string{"pending", "generations/1/generation.json"} {
		if err := os.WriteFile(filepath.Join(b.Tree.Root, StateDir, file), []byte("garbage"), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := b.Status(context.Background())
		if err != nil || s.Service.ActiveState != "active" || s.Problems[0].ID != "damaged-record" || s.Problems[0].Hint == "" {
			t.Errorf("%s: %+v, %v", file, s, err)
		}
	}
}

// A run that is killed between the download and the record of the change leaves a binary that nobody knows: the next run
// goes on with it, without a request, and an uninstall deletes it.
func TestBinaryOfAKilledRun(t *testing.T) {
	t.Parallel()
	for _, next := range []string{"install", "uninstall", "somebody else's"} {
		t.Run(next, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "v1.37.2")
			c := b.prepare(b.spec("v1.37.2", nil))
			stage := slices.IndexFunc(c.Plan.Steps, func(s Step) bool { return s.Action == Stage })
			if err := os.MkdirAll(filepath.Join(b.Tree.Root, StateDir), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := b.act(t.Context(), c.Plan.Steps[stage], c, ApplyOptions{Release: b.release}); err != nil {
				t.Fatal(err)
			}
			binary := filepath.Join(b.Tree.Root, c.Want.binary().Path)
			if next == "somebody else's" {
				if err := os.WriteFile(binary, []byte("mine"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.Recover(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(binary); (err == nil) != (next == "somebody else's") {
				t.Fatalf("the binary: %v", err)
			}
			switch next {
			case "install":
				b.release = &release.Client{Sources: []string{"file://" + t.TempDir()}} // there is nothing in it
				spec := b.spec("v1.37.2", nil)
				spec.SHA512 = c.Want.Digest.Hex
				b.install(spec)
				if b.Unfinished() {
					t.Error("a download is unfinished after the install")
				}
			case "uninstall":
				if err := b.Discard(); err != nil {
					t.Fatal(err)
				}
				if left, err := os.ReadDir(filepath.Dir(binary)); err != nil || len(left) > 0 || b.Unfinished() {
					t.Errorf("left: %v %v", left, err)
				}
			}
		})
	}
}
