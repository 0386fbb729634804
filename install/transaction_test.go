package install

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// upgrade is a bench with a kubelet, and a spec for another one.
func upgrade(t *testing.T) (*bench, spec.Spec) {
	t.Helper()
	b := newBench(t, "v1.37.1", "v1.37.2")
	b.install(b.spec("v1.37.1", nil))
	b.fake.calls = nil
	return b, b.spec("v1.37.2", map[string]any{"maxPods": 77})
}

// What somebody else did while a download was under way stays when the download fails: nothing was changed, so there is
// nothing to undo.
func TestFailedDownloadUndoesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		stopped   bool // before
		meanwhile func(b *bench)
	}{
		{name: "nothing happened", meanwhile: func(*bench) {}},
		{name: "the configuration was edited", meanwhile: func(b *bench) { b.write(hostfs.ConfigFile, 0o640, []byte("mine\n")) }},
		{name: "the link was replaced", meanwhile: func(b *bench) { b.blockLink() }},
		{name: "kubelet was stopped", meanwhile: func(b *bench) { delete(b.fake.active, systemd.KubeletService) }},
		{name: "kubelet was started", stopped: true, meanwhile: func(b *bench) { b.fake.active[systemd.KubeletService] = true }},
		{name: "kubelet was disabled", meanwhile: func(b *bench) { delete(b.fake.enabled, systemd.KubeletService) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, s := upgrade(t)
			if tt.stopped {
				delete(b.fake.active, systemd.KubeletService)
			}
			var want []string
			b.serve(http.StatusNotFound, func() {
				tt.meanwhile(b)
				want = undownloaded(b.state())
			})
			_, err := b.apply(t.Context(), b.prepare(s), time.Second)
			if err == nil || errors.As(err, new(*RolledBackError)) || errors.As(err, new(*NotRolledBackError)) {
				t.Errorf("error: %v", err)
			}
			if len(b.fake.calls) > 0 {
				t.Errorf("systemd was asked %q", b.fake.calls)
			}
			b.same(want, "after the failed download")
			if reverted, err := b.Store().History().Events(); len(reverted) > 0 || err != nil {
				t.Errorf("history tells of %v, %v", reverted, err)
			}
		})
	}
}

// The directories that were made for a download go with it when it fails, and with the kubelet at an uninstall.
func TestMadeDirectories(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	before := b.state()
	s := b.spec("v1.37.2", nil)
	s.Paths.BinDir = "/opt/kubelets/bin"
	sources := b.release
	b.serve(http.StatusNotFound, func() {
		if _, err := os.Stat(b.file(s.Paths.BinDir)); err != nil {
			t.Error(err)
		}
	})
	if _, err := b.apply(t.Context(), b.prepare(s), 0); err == nil {
		t.Error("an install without a download")
	}
	b.same(before, "after the failed download")

	b.release = sources
	b.fetched(b.prepare(s)) // killed then
	b.install(s)
	b.uninstall()
	b.same(before, "after the uninstall")

	b.fake.calls, b.fake.failAt = nil, 3
	if _, err := b.apply(t.Context(), b.prepare(s), 0); !errors.As(err, new(*RolledBackError)) {
		t.Errorf("error: %v", err)
	}
	b.fake.failAt = 0
	b.same(before, "after the rollback")
}

// An interruption after the download and before the change keeps the download, which the next run goes on with.
func TestInterruptBeforeTheChange(t *testing.T) {
	t.Parallel()
	b, s := upgrade(t)
	before := b.state()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lock := b.lock()
	_, err := b.Apply(ctx, b.prepare(s), ApplyOptions{Command: "install", Lock: lock, Release: b.release, Fetched: cancel})
	lock.Release()
	if !errors.Is(err, ErrInterrupted) || errors.As(err, new(*RolledBackError)) {
		t.Errorf("error: %v", err)
	}
	if len(b.fake.calls) > 0 || !b.unfinished() {
		t.Errorf("systemd was asked %q, unfinished: %t", b.fake.calls, b.unfinished())
	}
	after := b.state()
	if n := len(after) - len(undownloaded(slices.Clone(after))); n != 2 {
		t.Errorf("%d files of the download are left, want the record and the binary", n)
	}
	b.discard()
	b.same(before, "after all")
}

// What came into conflict during the download is refused before anything is changed, although the plan allowed the rest.
func TestConflictDuringTheDownload(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		meanwhile func(b *bench)
		path      string
		blocked   bool
	}{
		{"a directory in the link's place", (*bench).blockLink, linkFile, true},
		{"an edit", func(b *bench) { b.write(hostfs.ConfigFile, 0o600, []byte("mine\n")) }, hostfs.ConfigFile, false},
		{"another kubelet's command line", func(b *bench) {
			b.write(plan.DropInDir+"/10-kubeadm.conf", 0o644, []byte("[Service]\nExecStart=\nExecStart=/usr/bin/kubelet\n"))
		}, plan.DropInDir + "/10-kubeadm.conf", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, s := upgrade(t)
			var want []string
			b.serve(http.StatusOK, func() {
				tt.meanwhile(b)
				want = undownloaded(b.state())
			})
			_, err := b.apply(t.Context(), b.prepare(s), time.Second)
			var conflict *ConflictError
			if !errors.As(err, &conflict) || conflict.Blocked != tt.blocked || !conflict.Late || !slices.Equal(paths(conflict.Conflicts), []string{tt.path}) {
				t.Errorf("error: %v", err)
			}
			if len(b.fake.calls) > 0 || !b.unfinished() {
				t.Errorf("systemd was asked %q, unfinished: %t", b.fake.calls, b.unfinished())
			}
			b.discard()
			b.same(want, "after the refusal")
		})
	}
}

// A plan with a place that is never replaced is refused before the download.
func TestBlockedPlanIsRefused(t *testing.T) {
	t.Parallel()
	b, s := upgrade(t)
	b.blockLink()
	before := b.state()
	b.serve(http.StatusOK, func() { t.Error("the binary was asked for") })
	_, err := b.apply(t.Context(), b.prepare(s), 0)
	var conflict *ConflictError
	if !errors.As(err, &conflict) || !conflict.Blocked || !slices.Equal(paths(conflict.Conflicts), []string{linkFile}) {
		t.Errorf("error: %v", err)
	}
	b.same(before, "after the refusal")
}

// What cannot be put back is told, the rest is put back, and the change stays pending until the recovery succeeds.
func TestIncompleteUndo(t *testing.T) {
	t.Parallel()
	b, s := upgrade(t)
	before := b.state()
	b.fake.gone = func() {
		if len(b.fake.calls) > 0 && b.fake.calls[len(b.fake.calls)-1] == "restart kubelet.service" {
			b.blockLink()
			b.fake.failAt = len(b.fake.calls)
		}
	}
	_, err := b.apply(t.Context(), b.prepare(s), 0)
	b.fake.gone, b.fake.failAt = nil, 0
	var not *NotRolledBackError
	if !errors.As(err, &not) || len(not.Left) != 1 || !strings.HasPrefix(not.Left[0].Error(), linkFile+": ") || errors.As(err, new(*RolledBackError)) {
		t.Errorf("error: %v", err)
	}
	if !strings.Contains(err.Error(), "the bus is on fire") {
		t.Errorf("no word of the cause: %v", err)
	}
	pending := func(want bool) {
		t.Helper()
		if n, pending, err := b.Store().Pending().Number(); err != nil || pending != want || want && n != 2 {
			t.Errorf("pending is %d, %t, %v", n, pending, err)
		}
		if b.fake.armed != want {
			t.Errorf("the recovery is armed: %t", b.fake.armed)
		}
	}
	pending(true)
	if content, err := os.ReadFile(b.file(hostfs.ConfigFile)); err != nil || strings.Contains(string(content), "maxPods: 77") {
		t.Errorf("the configuration was not put back: %v\n%s", err, content)
	}
	if _, err := os.Stat(b.file(linkFile + "/mine")); err != nil {
		t.Errorf("what was in the way: %v", err)
	}
	if said, err := b.recover(); !errors.As(err, &not) || said != "" {
		t.Errorf("recovery with the directory still there: %q, %v", said, err)
	}
	pending(true)
	if err := os.RemoveAll(b.file(linkFile)); err != nil {
		t.Fatal(err)
	}
	if said, err := b.recover(); err != nil || !strings.Contains(said, "kubelet v1.37.1 is in place again") {
		t.Errorf("recovery: %q, %v", said, err)
	}
	pending(false)
	b.discard()
	b.same(before, "after the recovery")
}

// A run that is killed right after the commit leaves what it had no use for any more; the recovery deletes it.
func TestRecoverContinuesTheCleanup(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	before := b.state()
	joined := b.spec("v1.37.2", nil)
	joined.Standalone = false
	b.install(joined)
	if _, err := os.Stat(b.file(pathFile)); err != nil {
		t.Fatal(err)
	}
	standalone := b.spec("v1.37.2", nil)
	b.killed(b.prepare(standalone), true)
	if _, err := os.Stat(b.file(pathFile)); err != nil {
		t.Fatal("the cleanup was done already:", err)
	}
	if said, err := b.recover(); err != nil || said != "" {
		t.Errorf("recovery: %q, %v", said, err)
	}
	if _, err := os.Lstat(b.file(pathFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", pathFile, err)
	}
	if _, pending, err := b.Store().Pending().Number(); pending || err != nil || b.fake.armed {
		t.Errorf("pending %t, %v, armed %t", pending, err, b.fake.armed)
	}
	if c := b.prepare(standalone); !c.Plan.Empty() || c.Have.Number != 2 {
		t.Errorf("generation %d, still to do: %q", c.Have.Number, steps(c.Plan))
	}
	if g, err := b.RollbackTarget(0); err != nil || g.Number != 1 {
		t.Errorf("the generation before is %+v, %v", g, err)
	}
	b.uninstall()
	b.same(before, "after the uninstall")
}

// A file of a stranger's that is too large to be held in memory is put back by a failed change, too, and by the recovery.
func TestLargeFileComesBackAfterAFailure(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		b := newBench(t, "v1.37.2")
		b.write(linkFile, 0o711, bytes.Repeat([]byte("kubelet "), 1<<18)) // 2 MiB
		b.fake.active[systemd.KubeletService] = true
		b.write(unitFile, 0o600, []byte("[Service]\nExecStart=/opt/kubelet\n"))
		before := b.state()
		if killed {
			b.killed(b.prepare(b.spec("v1.37.2", nil)), false)
			if _, err := b.recover(); err != nil {
				t.Error(err)
			}
		} else {
			b.healthy = false
			b.fake.gone = func() { b.healthy = b.linked() == "" }
			if _, err := b.apply(t.Context(), b.prepare(b.spec("v1.37.2", nil)), time.Second); !errors.As(err, new(*RolledBackError)) {
				t.Errorf("error: %v", err)
			}
		}
		b.same(before, map[bool]string{false: "after the rollback", true: "after the recovery"}[killed])
	}
}

// A healthy kubelet that is not the one that was installed does not pass the gate.
func TestAnotherKubeletDoesNotPass(t *testing.T) {
	t.Parallel()
	b, s := upgrade(t)
	before := b.state()
	b.fake.gone = func() {
		b.fake.pid = 0
		if b.linked() == "kubelet-v1.37.2" {
			b.fake.pid = os.Getpid() // healthy, but no kubelet
		}
	}
	_, err := b.apply(t.Context(), b.prepare(s), 10*time.Second)
	if !errors.As(err, new(*RolledBackError)) || !strings.Contains(err.Error(), "it is not the one that was installed: the process runs another binary") {
		t.Errorf("error: %v", err)
	}
	b.discard()
	b.same(before, "after the rollback")
}

// On the way back a process that does not stop is killed.
func TestStuckKubeletIsKilled(t *testing.T) {
	t.Parallel()
	b, s := upgrade(t)
	before := b.state()
	b.fake.gone = func() {
		if b.fake.calls[len(b.fake.calls)-1] == "restart kubelet.service" {
			b.fake.stuck = true
		}
		b.healthy = b.linked() == "kubelet-v1.37.1"
	}
	_, err := b.apply(t.Context(), b.prepare(s), time.Second)
	if !errors.As(err, new(*RolledBackError)) {
		t.Errorf("error: %v", err)
	}
	tail := b.fake.calls[slices.Index(b.fake.calls, "restart kubelet.service")+1:]
	if i := slices.Index(tail, "kill kubelet.service"); i < 0 || !slices.Equal(tail[i:], []string{"kill kubelet.service", "stop kubelet.service", "start kubelet.service"}) {
		t.Errorf("on the way back systemd was asked %q", tail)
	}
	b.discard()
	b.same(before, "after the rollback")
}

// A former kubelet that does not start is what it was before: everything is put back all the same, and the result says so.
func TestFormerKubeletIsIll(t *testing.T) {
	t.Parallel()
	b, s := upgrade(t)
	b.healthy, b.fake.fails = false, true
	_, err := b.apply(t.Context(), b.prepare(s), time.Second)
	var back *RolledBackError
	if !errors.As(err, &back) || back.Ill == nil || !strings.Contains(err.Error(), "it runs but is not healthy") {
		t.Errorf("error: %v", err)
	}
	if _, pending, err := b.Store().Pending().Number(); pending || err != nil {
		t.Errorf("pending: %t, %v", pending, err)
	}
	if b.linked() != "kubelet-v1.37.1" {
		t.Errorf("the link leads to %s", b.linked())
	}
}

// How long kubelet took is known of a start. A change that starts nothing keeps what is known, and does not take the age of
// the process for it.
func TestTookIsOfAStart(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	s := b.spec("v1.37.2", nil)
	if _, err := b.apply(t.Context(), b.prepare(s), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	first, err := b.Store().Current()
	if err != nil || first.Took <= 0 || first.Took > 5*time.Second {
		t.Fatalf("it took %s, %v", first.Took, err)
	}
	if err := os.Chmod(b.file(hostfs.ConfigFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := b.apply(t.Context(), b.prepare(s), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	second, err := b.Store().Current()
	if err != nil || second.Number == first.Number || second.Took != first.Took {
		t.Errorf("generation %d took %s, %v; want %s", second.Number, second.Took, err, first.Took)
	}
}

// Checkpoints of resource managers that do not fit are refused, or removed while kubelet is stopped, and come back with the
// configuration that they belong to.
func TestResetManagers(t *testing.T) {
	t.Parallel()
	const checkpoint = hostfs.KubeletDir + "/" + plan.CPUCheckpoint
	b := newBench(t, "v1.37.2")
	b.install(b.spec("v1.37.2", nil))
	b.write(checkpoint, 0o600, []byte(`{"policyName":"none","defaultCpuSet":"","checksum":1353318690}`))
	before := b.state()
	d := func() *spec.Draft {
		return b.draft(b.spec("v1.37.2", map[string]any{"cpuManagerPolicy": "static", "reservedSystemCPUs": "0"}))
	}
	_, err := b.Prepare(t.Context(), d(), PrepareOptions{})
	var failed *preflight.FailedError
	if !errors.As(err, &failed) || failed.Problems[0].ID != preflight.ManagerState || !strings.Contains(err.Error(), checkpoint) {
		t.Errorf("error: %v", err)
	}
	apply := func() error {
		t.Helper()
		c, err := b.Prepare(t.Context(), d(), PrepareOptions{ResetManagers: true})
		if err != nil {
			t.Fatal(err)
		}
		b.fake.calls = nil
		_, err = b.apply(t.Context(), c, time.Second)
		return err
	}
	b.healthy = false
	b.fake.gone = func() {
		content, _ := os.ReadFile(b.file(hostfs.ConfigFile))
		b.healthy = !strings.Contains(string(content), "static")
	}
	if err := apply(); !errors.As(err, new(*RolledBackError)) {
		t.Errorf("error: %v", err)
	}
	b.same(before, "after the rollback")

	b.fake.gone, b.healthy = nil, true
	if err := apply(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(b.file(checkpoint)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", checkpoint, err)
	}
	if want := []string{"arm", "stop kubelet.service", "start kubelet.service"}; !slices.Equal(b.fake.calls, want) {
		t.Errorf("systemd was asked %q, want %q", b.fake.calls, want)
	}
}

// A generation that lacks the content of a file is the one to go back to, and says what it lacks: another one is not taken
// in its place.
func TestRollbackToAMissingBlob(t *testing.T) {
	t.Parallel()
	b, s := upgrade(t)
	b.install(s)
	first, err := b.Store().Directory(1).Load()
	if err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(hostfs.StateDir, "generations/1/files", first.File(hostfs.ConfigFile).SHA256)
	if err := os.Remove(b.file(blob)); err != nil {
		t.Fatal(err)
	}
	g, err := b.RollbackTarget(0)
	if err != nil || g.Number != 1 {
		t.Fatalf("the target is %+v, %v", g, err)
	}
	before := b.state()
	_, err = b.PrepareRestore(t.Context(), g, Artifacts{Kubelet: b.resolve(b.spec("v1.37.1", nil)).Artifact}, PrepareOptions{})
	if !errors.As(err, new(*store.DamagedError)) || !strings.Contains(err.Error(), "generation 1 has for "+hostfs.ConfigFile) {
		t.Errorf("error: %v", err)
	}
	b.same(before, "after all")
}

// Planning, and asking for the status, change nothing.
func TestLookingChangesNothing(t *testing.T) {
	t.Parallel()
	b, s := upgrade(t)
	cache := func() string {
		content, _ := os.ReadFile(b.file(hostfs.StateDir + "/verified.json"))
		return string(content)
	}
	b.write(hostfs.DefaultBinDir+"/kubelet-v1.37.1", 0o755, []byte("another one"))
	time.Sleep(50 * time.Millisecond) // so that its digest is worth remembering
	before, known := b.state(), cache()
	b.prepare(s)
	if _, err := b.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.same(before, "after looking")
	if cache() != known {
		t.Errorf("the cache was written without the lock:\n%s\nbefore:\n%s", cache(), known)
	}
}

// A first install that was killed while it went back, right between its commit's two ends, was not committed.
func TestFirstInstallIsKilledOnItsWayBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	before := b.state()
	b.killed(b.prepare(b.spec("v1.37.2", nil)), true)
	if err := os.Remove(b.file(hostfs.StateDir + "/current")); err != nil {
		t.Fatal(err)
	}
	if said, err := b.recover(); err != nil || !strings.Contains(said, "undone") {
		t.Errorf("recovery: %q, %v", said, err)
	}
	b.same(before, "after the recovery")
}

// A drop-in of somebody else's that an upgrade masks is given back by an uninstall, also when the upgrade was killed right
// after its commit. When the upgrade was undone, the drop-in is its owner's again, to delete as well.
func TestMaskedByAnUpgrade(t *testing.T) {
	t.Parallel()
	const dropIn = plan.DropInDir + "/99-theirs.conf"
	for _, undone := range []bool{false, true} {
		b := newBench(t, "v1.37.1", "v1.37.2")
		before := b.state()
		b.install(b.spec("v1.37.1", nil))
		b.write(dropIn, 0o644, []byte("[Service]\nExecStart=\nExecStart=/opt/kubelet\n"))
		upgrade := b.prepare(b.spec("v1.37.2", nil))
		if undone {
			b.fake.gone = func() { // nothing can be renamed over a directory
				if err := os.MkdirAll(b.file(hostfs.StateDir+"/generations/2/record.json/x"), 0o755); err != nil {
					t.Error(err)
				}
			}
			if _, err := b.apply(t.Context(), upgrade, 0); !errors.As(err, new(*RolledBackError)) {
				t.Errorf("error: %v", err)
			}
			b.fake.gone = nil
			if err := os.RemoveAll(b.file(plan.DropInDir)); err != nil {
				t.Fatal(err)
			}
			b.uninstall()
			b.same(before, "after the uninstall, the drop-in was deleted before")
			continue
		}
		b.killed(upgrade, true)
		if target, err := os.Readlink(b.file(dropIn)); err != nil || target != os.DevNull {
			t.Errorf("it is not masked: %q, %v", target, err)
		}
		if _, err := b.recover(); err != nil {
			t.Error(err)
		}
		b.uninstall()
		if text, err := os.ReadFile(b.file(dropIn)); err != nil || !strings.Contains(string(text), "/opt/kubelet") {
			t.Errorf("it was not given back: %q, %v", text, err)
		}
	}
}

// With another --bin-dir, what recovers moves along, and nothing of it stays behind.
func TestRecoveryMoves(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	before := b.state()
	b.install(b.spec("v1.37.2", nil))
	moved := b.spec("v1.37.2", nil)
	moved.Paths.BinDir = "/opt/bin"
	b.install(moved)
	for dir, want := range map[string]bool{hostfs.DefaultBinDir: false, "/opt/bin": true} {
		if _, err := os.Lstat(b.file(path.Join(dir, plan.RecoverProgram))); (err == nil) != want {
			t.Errorf("%s in %s: %v", plan.RecoverProgram, dir, err)
		}
	}
	b.uninstall()
	b.same(before, "after the uninstall")
}

// The binary of an older generation that is damaged is fetched again by a rollback: it was ours.
func TestRollbackOverADamagedBinary(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	b.install(b.spec("v1.37.1", nil))
	b.install(b.spec("v1.37.2", nil))
	b.write(kubeletOne, 0o755, []byte("damaged"))
	g, err := b.RollbackTarget(0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.PrepareRestore(t.Context(), g, Artifacts{Kubelet: b.resolve(b.spec("v1.37.1", nil)).Artifact}, PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Plan.Conflicts) > 0 || !c.Plan.Has(plan.Stage, kubeletOne) {
		t.Errorf("conflicts %v, steps %q", c.Plan.Conflicts, steps(c.Plan))
	}
	if _, err := b.apply(t.Context(), c, 0); err != nil {
		t.Error(err)
	}
	if target := b.linked(); target != "kubelet-v1.37.1" {
		t.Errorf("the active kubelet is %s", target)
	}
}

// What failed and was undone is not tried again, until something is different or the user says so.
func TestFailedChangeIsNotRetried(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	b.install(b.spec("v1.37.1", nil))
	tried := func(s spec.Spec) error { return b.RefuseRetry(b.prepare(s)) }
	upgrade := b.spec("v1.37.2", nil)
	if err := tried(upgrade); err != nil {
		t.Errorf("before: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	b.fake.gone = func() { cancel() }
	lock := b.lock()
	if _, err := b.Apply(ctx, b.prepare(upgrade), ApplyOptions{Command: "upgrade", Lock: lock, Release: b.release}); !errors.Is(err, ErrInterrupted) {
		t.Errorf("error: %v", err)
	}
	lock.Release()
	b.fake.gone = nil
	if err := tried(upgrade); err != nil {
		t.Errorf("after an interruption: %v", err)
	}

	b.healthy = false
	b.fake.gone = func() { b.healthy = b.linked() == "kubelet-v1.37.1" }
	if _, err := b.apply(t.Context(), b.prepare(upgrade), time.Second); !errors.As(err, new(*RolledBackError)) {
		t.Errorf("error: %v", err)
	}
	b.fake.gone, b.healthy = nil, true
	var refused *TriedError
	if err := tried(upgrade); !errors.As(err, &refused) || refused.Reason == "" || refused.When.IsZero() {
		t.Errorf("after a failure: %v", err)
	}
	if err := tried(b.spec("v1.37.2", map[string]any{"maxPods": 50})); err != nil {
		t.Errorf("with other settings: %v", err)
	}
	if err := tried(b.spec("v1.37.1", nil)); err != nil {
		t.Errorf("what is installed: %v", err)
	}

	b.install(upgrade) // with consent
	b.install(b.spec("v1.37.1", nil))
	if err := tried(upgrade); err != nil {
		t.Errorf("after it went well: %v", err)
	}
}
