package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/scripts/gobuild"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
	"github.com/kubeletctl/kubeletctl/systemd"
)

const (
	unitFile   = hostfs.UnitDir + "/" + systemd.KubeletService
	pathFile   = hostfs.UnitDir + "/" + systemd.KubeletPath
	linkFile   = hostfs.DefaultBinDir + "/kubelet"
	kubeletOne = hostfs.DefaultBinDir + "/kubelet-v1.37.1"
	kubeletTwo = hostfs.DefaultBinDir + "/kubelet-v1.37.2"
)

// fakeSystemd keeps unit states as systemd would and records what was asked of it. It can fail the n-th request.
type fakeSystemd struct {
	tree    hostfs.Tree
	calls   []string
	failAt  int // counted from 1; 0: never
	enabled map[string]bool
	active  map[string]bool
	armed   bool
	gone    func() // called at every request
	waiting bool   // kubelet has ended, and systemd is about to start it again
	deaths  int    // how often it has done so since the last start by hand
	slow    bool   // a start takes longer than anybody waits
	stuck   bool   // kubelet ignores that it is to stop
	fails   bool   // a start of kubelet fails
	pid     int    // kubelet's main process; 0 for one that nobody can look at
}

func newFake(tree hostfs.Tree) *fakeSystemd {
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
	if f.fails && u == systemd.KubeletService {
		return &systemd.JobError{Verb: "starting", Unit: u, Result: "failed"}
	}
	return f.call("start", u, func() { f.active[u], f.waiting, f.deaths = true, false, 0 })
}
func (f *fakeSystemd) Restart(_ context.Context, u string) error {
	return f.call("restart", u, func() { f.active[u], f.waiting, f.deaths = true, false, 0 })
}
func (f *fakeSystemd) Stop(ctx context.Context, u string) error {
	if f.stuck {
		<-ctx.Done()
		return fmt.Errorf("stopping %s: %w", u, ctx.Err())
	}
	return f.call("stop", u, func() { delete(f.active, u); f.waiting = false })
}
func (f *fakeSystemd) Kill(_ context.Context, u string) error {
	return f.call("kill", u, func() { f.stuck = false })
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
	if _, err := f.tree.Stat(hostfs.UnitDir + "/" + u); err == nil {
		s.LoadState, s.UnitFileState = "loaded", "disabled"
	}
	if f.enabled[u] {
		s.UnitFileState = "enabled"
	}
	if f.active[u] {
		s.ActiveState, s.SubState = "active", "running"
	}
	if u == systemd.KubeletService {
		s.Restarts = f.deaths
		if f.active[u] {
			s.MainPID = f.pid
		}
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
	t        *testing.T
	fake     *fakeSystemd
	upstream string // the release tree
	release  *release.Client
	healthy  bool
	health   string // an address that answers like /healthz
}

func newBench(t *testing.T, versions ...string) *bench {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{hostfs.UnitDir, hostfs.DefaultBinDir, "/var/lib"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := &bench{t: t, healthy: true, upstream: t.TempDir()}
	b.fake = newFake(hostfs.At(root))
	b.Host = &Host{Tree: hostfs.At(root), Units: b.fake, Live: true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !b.healthy {
			http.Error(w, "sick", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "ok")
	}))
	t.Cleanup(server.Close)
	b.health = server.Listener.Addr().String()

	var releases []mirror.Release
	for _, v := range versions {
		releases = append(releases, mirror.Release{Version: v, Arch: "amd64", Path: standinFor(t, v)})
	}
	if err := mirror.WriteTree(b.upstream, releases...); err != nil {
		t.Fatal(err)
	}
	b.release = &release.Client{Sources: []string{"file://" + b.upstream}}
	return b
}

// file is where a path of the host lies on this machine.
func (b *bench) file(path string) string { return filepath.Join(b.Tree.Root(), path) }

func (b *bench) write(path string, mode fs.FileMode, content []byte) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.file(path)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.file(path), content, mode); err != nil {
		b.t.Fatal(err)
	}
}

// linked is what the link to the active kubelet says; empty when it is none.
func (b *bench) linked() string {
	target, _ := os.Readlink(b.file(linkFile))
	return target
}

// blockLink puts a directory with a file in it in the place of the link to the active kubelet.
func (b *bench) blockLink() {
	if err := errors.Join(os.RemoveAll(b.file(linkFile)), os.MkdirAll(b.file(linkFile+"/mine"), 0o755)); err != nil {
		b.t.Error(err)
	}
}

// spec is a standalone kubelet whose health endpoint is the bench's.
func (b *bench) spec(version string, fields map[string]any) spec.Spec {
	host, port, _ := strings.Cut(b.health, ":")
	all := map[string]any{"healthzBindAddress": host, "healthzPort": atoi(b.t, port)}
	for k, v := range fields {
		all[k] = v
	}
	return spec.Spec{Version: version, Standalone: true, Arch: "amd64", Sources: b.release.Sources, KubeletConfiguration: all}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (b *bench) resolve(s spec.Spec) spec.Resolution {
	b.t.Helper()
	resolver := Resolver{Host: b.Host, Client: b.release}
	version, err := resolver.Version(b.t.Context(), s)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := resolver.Resolve(b.t.Context(), s, version)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) draft(s spec.Spec) *spec.Draft {
	b.t.Helper()
	d, err := spec.Build(s, nil, b.resolve(s))
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

func (b *bench) prepare(s spec.Spec) *Change {
	b.t.Helper()
	c, err := b.Prepare(context.Background(), b.draft(s), PrepareOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// lock takes the lock of the host until the test, or whoever calls the result, releases it.
func (b *bench) lock() *Lock {
	b.t.Helper()
	lock, err := b.Lock()
	if err != nil {
		b.t.Fatal(err)
	}
	return lock
}

func (b *bench) apply(ctx context.Context, c *Change, wait time.Duration) (plan.Outcome, error) {
	b.t.Helper()
	lock := b.lock()
	defer lock.Release()
	return b.Apply(ctx, c, ApplyOptions{Command: "install", Lock: lock, Release: b.release, Wait: wait})
}

func (b *bench) install(s spec.Spec) {
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
	if outcome, err := b.apply(context.Background(), u, 0); err != nil || outcome != plan.Removed {
		b.t.Fatalf("outcome %q, %v", outcome, err)
	}
}

// killed does what a run does that is killed in the middle of a change: all up to the commit, or with it.
func (b *bench) killed(c *Change, commit bool) {
	b.t.Helper()
	lock := b.lock()
	defer lock.unlock() // the kernel does that, and nothing more
	ctx, a := context.Background(), attempt{b.Host, c, ApplyOptions{Command: "install", Lock: lock, Release: b.release}}
	t, err := firstHalf{a}.run(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := a.planAgain(ctx); err != nil {
		b.t.Fatal(err)
	}
	tx, err := a.begin(ctx, t)
	if err != nil {
		b.t.Fatal(err)
	}
	if !commit {
		err = tx.switchOver(ctx)
	} else {
		_, err = tx.run(ctx)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if n, pending, err := b.Store().Pending().Number(); err != nil || !pending || n != c.Want.Number {
		b.t.Fatalf("pending is %d, %t, %v", n, pending, err)
	}
}

func (b *bench) recover() (string, error) {
	b.t.Helper()
	defer b.lock().Release()
	return b.Recover(context.Background(), false)
}

// serve makes an HTTP server of the release tree. When the binary is asked for, it calls meanwhile once and answers with
// code.
func (b *bench) serve(code int, meanwhile func()) {
	files := http.FileServer(http.Dir(b.upstream))
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/kubelet") {
			once.Do(meanwhile)
			if code != http.StatusOK {
				w.WriteHeader(code)
				return
			}
		}
		files.ServeHTTP(w, r)
	}))
	b.t.Cleanup(server.Close)
	b.release = &release.Client{Sources: []string{server.URL}, Backoff: time.Millisecond}
}

// undownloaded is a state without what a download has left of itself.
func undownloaded(state []string) []string {
	return slices.DeleteFunc(state, func(line string) bool {
		return strings.HasPrefix(line, "var/lib/kubeletctl/download ") || strings.Contains(line, "/.part-")
	})
}

// state is the whole tree and the states of the units, as lines that can be compared.
func (b *bench) state() []string {
	b.t.Helper()
	var lines []string
	err := filepath.WalkDir(b.Tree.Root(), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(b.Tree.Root(), name)
		if rel == "var/lib/kubeletctl/lock" || rel == "var/lib/kubeletctl/verified.json" {
			return nil // the one is for the moment, the other a cache
		}
		if _, err := os.Stat(filepath.Join(name, "reverted.json")); err == nil {
			return fs.SkipDir // history, which a change that was undone leaves behind
		}
		line := fmt.Sprintf("%s %s", rel, info.Mode())
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(content)
			line += " " + hex.EncodeToString(sum[:])
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
	defer b.lock().Release()
	if err := b.Store().Downloads().Discard(); err != nil {
		b.t.Fatal(err)
	}
}

// unfinished reports whether a download waits to be gone on with.
func (b *bench) unfinished() bool {
	b.t.Helper()
	d, err := b.Store().Downloads().Unfinished()
	if err != nil {
		b.t.Fatal(err)
	}
	return d != nil
}

func steps(p *plan.Plan) []string {
	list := []string{}
	for _, s := range p.Steps {
		list = append(list, fmt.Sprintf("%s %s", s.Action, s.Target))
	}
	return list
}

func paths(list []plan.Conflict) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.Path)
	}
	return out
}
