package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/install/status"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

func TestInstallUpgradeUninstall(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	before := b.state()

	c := b.prepare(b.spec("v1.37.1", nil))
	b.same(before, "planning")
	outcome, err := b.apply(context.Background(), c, 10*time.Second)
	if err != nil || outcome != plan.Healthy {
		t.Fatalf("outcome %q, %v", outcome, err)
	}
	if want := []string{"enable kubeletctl-recover.service", "reload", "arm", "reload", "enable kubelet.service", "reload", "start kubelet.service"}; !slices.Equal(b.fake.calls, want) {
		t.Errorf("systemd was asked %q, want %q", b.fake.calls, want)
	}
	if c := b.prepare(b.spec("v1.37.1", nil)); !c.Plan.Empty() {
		t.Errorf("a second install would do %q", steps(c.Plan))
	}

	b.install(b.spec("v1.37.2", nil))
	if target := b.linked(); target != "kubelet-v1.37.2" {
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
	b.failEach("first install", b.spec("v1.37.1", nil))
	b.failEach("upgrade", b.spec("v1.37.2", map[string]any{"maxPods": 50}))
}

// failEach installs again and again, each time with another request to systemd that fails, until none does.
func (b *bench) failEach(name string, s spec.Spec) {
	b.t.Helper()
	before := b.state()
	for i := 1; ; i++ {
		b.fake.calls, b.fake.failAt = nil, i
		_, err := b.apply(context.Background(), b.prepare(s), 0)
		b.fake.failAt = 0
		if err == nil {
			if i < 2 {
				b.t.Fatalf("%s: no request was failed", name)
			}
			b.t.Logf("%s: %d requests failed, one after the other", name, i-1)
			return
		}
		var back *RolledBackError
		if !errors.As(err, &back) && b.fake.calls[i-1] != "arm" { // which comes before anything is changed
			b.t.Errorf("%s, request %d: %v is not a rollback", name, i, err)
		}
		b.discard()
		b.same(before, fmt.Sprintf("%s, request %d", name, i))
		if i > 30 {
			b.t.Fatal("it never came to an end")
		}
	}
}

// The user interrupts after each step: files and units are those of before. What was downloaded is kept when it is all that
// was done.
func TestInterruptAfterEachStepLeadsBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	sweep := func(name string, s spec.Spec) {
		before := b.state()
		for i := 1; ; i++ {
			c := b.prepare(s)
			if i > len(c.Plan.Steps) {
				return
			}
			ctx, cancel := context.WithCancel(context.Background())
			lock, done := b.lock(), 0
			_, err := b.Apply(ctx, c, ApplyOptions{Command: "install", Lock: lock, Release: b.release, Wait: time.Minute, Done: func(plan.Step) {
				if done++; done == i {
					cancel()
				}
			}})
			lock.Release()
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
	edition := func(version string) spec.Spec { // a host on which a directory of static pods was made, and is empty
		s := b.spec(version, nil)
		s.HostDefaults = 1
		return s
	}
	b.install(edition("v1.37.1"))
	before := b.state()
	c := b.prepare(edition("v1.37.2"))
	b.healthy = false
	switched := false
	b.fake.gone = func() { // the former kubelet is well again once it is back
		switched = switched || b.linked() == "kubelet-v1.37.2"
		b.healthy = switched && b.linked() == "kubelet-v1.37.1"
	}
	_, err := b.apply(context.Background(), c, time.Second)
	var back *RolledBackError
	if !errors.As(err, &back) || !strings.Contains(err.Error(), "sick") || !strings.Contains(err.Error(), "v1.37.1 is in place again") {
		t.Errorf("error: %v", err)
	}
	if !b.unfinished() {
		b.t.Error("what was fetched is gone: another try would fetch it again")
	}
	b.discard()
	b.same(before, "after the rollback")
}

// A kubelet that systemd had to start again at some time is no sicker than before when what it has lost is put back, and one
// that ends for want of it is started with it.
func TestRepairAfterDeaths(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"kubelet-v1.37.2", "kubelet", plan.RecoverProgram} {
		for _, waiting := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,waiting=%t", lost, waiting), func(t *testing.T) {
				t.Parallel()
				b := newBench(t, "v1.37.2")
				b.install(b.spec("v1.37.2", nil))
				b.fake.deaths, b.fake.waiting = 3, waiting
				if err := os.Remove(filepath.Join(b.Tree.Root(), hostfs.DefaultBinDir, lost)); err != nil {
					t.Fatal(err)
				}
				b.fake.calls = nil
				outcome, err := b.apply(t.Context(), b.prepare(b.spec("v1.37.2", nil)), 10*time.Second)
				if err != nil || outcome != plan.Healthy {
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
	programs := []string{"kubelet-v1.37.2", "kubelet", plan.RecoverProgram}
	for _, lost := range programs {
		if err := os.Remove(filepath.Join(b.Tree.Root(), hostfs.DefaultBinDir, lost)); err != nil {
			t.Fatal(err)
		}
	}
	b.healthy = false
	if _, err := b.apply(t.Context(), b.prepare(b.spec("v1.37.2", nil)), time.Second); err == nil {
		t.Error("a sick kubelet passed the gate")
	}
	for _, lost := range programs {
		if _, err := os.Stat(filepath.Join(b.Tree.Root(), hostfs.DefaultBinDir, lost)); err != nil {
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
			if err := os.Remove(filepath.Join(b.Tree.Root(), hostfs.DefaultBinDir, "kubelet-v1.37.2")); err != nil {
				t.Fatal(err)
			}
			b.release.Progress = func(release.Progress) { b.fake.deaths, b.fake.waiting = 2, waiting }
			b.fake.calls = nil
			outcome, err := b.apply(t.Context(), b.prepare(b.spec("v1.37.2", nil)), 10*time.Second)
			if err != nil || outcome != plan.Healthy || slices.Contains(b.fake.calls, "restart kubelet.service") != waiting {
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
	former := filepath.Join(b.Tree.Root(), hostfs.DefaultBinDir, "kubelet-v1.37.1")
	if err := os.WriteFile(former, []byte("damaged"), 0o755); err != nil {
		t.Fatal(err)
	}
	var notes []string
	b.Note = func(line string) { notes = append(notes, line) }
	c := b.prepare(b.spec("v1.37.2", nil))
	b.healthy = false
	b.fake.gone = func() {
		b.healthy = b.linked() == "kubelet-v1.37.1"
	}
	_, err := b.apply(t.Context(), c, time.Second)
	if back := (*RolledBackError)(nil); !errors.As(err, &back) {
		t.Errorf("error: %v", err)
	}
	if target := b.linked(); target != "kubelet-v1.37.1" {
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
	for _, tt := range []struct{ name, version string }{{"first install", "v1.37.1"}, {"upgrade", "v1.37.2"}} {
		before := b.state()
		b.killed(b.prepare(b.spec(tt.version, nil)), false)
		said, err := b.recover()
		if err != nil || !strings.Contains(said, "interrupted") {
			t.Errorf("%s: %q, %v", tt.name, said, err)
		}
		b.discard()
		b.same(before, tt.name)
		b.install(b.spec(tt.version, nil))
	}
}

// Whatever a stranger had at our paths is back after an uninstall, to the byte.
func TestStrangersFilesComeBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	b.write(unitFile, 0o600, []byte("[Service]\nExecStart=/opt/kubelet\n"))
	b.write(linkFile, 0o711, bytes.Repeat([]byte("kubelet "), 1<<18)) // 2 MiB: too large to be held in memory
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
	if err := b.Store().CommitUninstall(&plan.Generation{Snapshot: true}); err != nil { // all that the commit of an uninstall does
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
	look := func() *status.Status {
		t.Helper()
		s, err := b.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ids := func(s *status.Status) (list []string) {
		for _, p := range s.Problems {
			list = append(list, p.ID)
		}
		return list
	}
	if s := look(); s.Installed || s.State != status.NotInstalled {
		t.Errorf("on an empty host: %+v", s)
	}
	b.install(b.spec("v1.37.2", nil))
	s := look()
	if !s.Installed || s.Version != "v1.37.2" || s.Trust != "checksum" || s.State != status.Healthy || !s.Health.OK || len(s.Drift) != 0 || len(s.Problems) != 0 {
		t.Errorf("healthy: %+v", s)
	}
	b.healthy = false
	if s := look(); s.State != status.Unhealthy || s.Health.OK || !slices.Equal(ids(s), []string{"unhealthy"}) {
		t.Errorf("unhealthy: %+v", s)
	}
	b.healthy = true
	if err := os.WriteFile(filepath.Join(b.Tree.Root(), hostfs.ConfigFile), []byte("mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if s := look(); len(s.Drift) != 1 || s.Drift[0].Target != hostfs.ConfigFile || !slices.Equal(ids(s), []string{"drift"}) {
		t.Errorf("drifted: %+v", s)
	}
	delete(b.fake.active, systemd.KubeletService)
	if s := look(); s.State != status.Stopped {
		t.Errorf("stopped: %+v", s)
	}
}

// What the next start would lack is no mere drift, although the kubelet that runs is healthy.
func TestStatusOfWhatCannotStart(t *testing.T) {
	t.Parallel()
	link, binary := path.Join(hostfs.DefaultBinDir, "kubelet"), path.Join(hostfs.DefaultBinDir, "kubelet-v1.37.2")
	tests := []struct {
		name, file, id, reason string
		lose                   func(file string) error
	}{
		{"binary", binary, "binary-missing", "missing", os.Remove},
		{"execute bit", binary, "cannot-start", "not executable", func(file string) error { return os.Chmod(file, 0o644) }},
		{"link", link, "cannot-start", "missing", os.Remove},
		{"target of the link", link, "cannot-start", "a symlink to nothing", func(file string) error {
			return errors.Join(os.Remove(file), os.Symlink("kubelet-v1.30.0", file))
		}},
		{"configuration", hostfs.ConfigFile, "cannot-start", "missing", os.Remove},
		{"unit", path.Join(hostfs.UnitDir, systemd.KubeletService), "cannot-start", "missing", os.Remove},
		{"unit is a directory", path.Join(hostfs.UnitDir, systemd.KubeletService), "cannot-start", "not a file", func(file string) error {
			return errors.Join(os.Remove(file), os.Mkdir(file, 0o755))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "v1.37.2")
			b.install(b.spec("v1.37.2", nil))
			if err := tt.lose(b.file(tt.file)); err != nil {
				t.Fatal(err)
			}
			s, err := b.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Problems) == 0 {
				t.Fatalf("there is no problem: %+v", s)
			}
			lost := s.Problems[0]
			if s.State != status.Unhealthy || lost.ID != tt.id || lost.Message != tt.file+" is "+tt.reason+": kubelet cannot be started" {
				t.Errorf("%s: %+v", s.State, s.Problems)
			}
		})
	}
}

// The same of a kubelet that kubeadm configures: of what kubeadm writes nothing is put back by a repair.
func TestStatusOfWhatKubeadmsCannotStart(t *testing.T) {
	t.Parallel()
	dropIn := path.Join(plan.DropInDir, systemd.KubeadmDropIn)
	for file, message := range map[string]string{
		"":                   "",
		config.KubeadmConfig: config.KubeadmConfig + " is missing: kubelet cannot be started",
		dropIn:               dropIn + " is missing: kubelet would start without its flags",
	} {
		b := newBench(t, "v1.37.2")
		host, port, _ := strings.Cut(b.health, ":")
		b.write(config.KubeadmConfig, 0o644, fmt.Appendf(nil, "healthzBindAddress: %s\nhealthzPort: %s\n", host, port))
		b.write(config.KubeadmKubeconfig, 0o600, []byte("x"))
		b.install(spec.Spec{Version: "v1.37.2", Arch: "amd64", Sources: b.release.Sources, Profile: config.Kubeadm})
		if file != "" {
			if err := os.Remove(b.file(file)); err != nil {
				t.Fatal(err)
			}
		}
		s, err := b.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found := ""
		for _, p := range s.Problems {
			if p.ID == "cannot-start" {
				found = p.Message
			}
		}
		if found != message || file != "" && s.State != status.Unhealthy {
			t.Errorf("without %q: %s: %+v", file, s.State, s.Problems)
		}
	}
}

// A commit that fails is undone like any other step.
func TestFailedCommitLeadsBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	for n, version := range []string{"v1.37.1", "v1.37.2"} {
		before := b.state()
		b.fake.gone = func() { // nothing can be renamed over a directory
			blocker := filepath.Join(b.Tree.Root(), hostfs.StateDir, "generations", fmt.Sprint(n+1), "record.json", "x")
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
		b.discard()
		b.same(before, version)
		b.install(b.spec(version, nil))
	}
}

// Success is a working kubelet, also where there is nothing to change.
func TestNothingToDoButNotWell(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	b.install(b.spec("v1.37.2", nil))
	if outcome, err := b.apply(context.Background(), b.prepare(b.spec("v1.37.2", nil)), time.Second); err != nil || outcome != plan.Unchanged {
		t.Fatalf("well: %q, %v", outcome, err)
	}
	b.healthy = false
	_, err := b.apply(context.Background(), b.prepare(b.spec("v1.37.2", nil)), time.Second)
	var gate *GateError
	if !errors.As(err, &gate) || !strings.Contains(err.Error(), "nothing to change, but kubelet is not healthy") {
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
	if err := os.Remove(filepath.Join(b.Tree.Root(), hostfs.StateDir, "current")); err != nil {
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
	if err := os.Symlink(filepath.Join(b.Tree.Root(), "nowhere"), filepath.Join(b.Tree.Root(), "var/lib/kubelet")); err != nil {
		t.Fatal(err)
	}
	before := b.state()
	d := b.draft(b.spec("v1.37.2", nil))
	if _, err := b.Prepare(t.Context(), d, PrepareOptions{}); err == nil || !strings.Contains(err.Error(), "/var/lib/kubelet is a symlink to") {
		t.Errorf("error: %v", err)
	}
	b.same(before, "after all")
}

func TestStatusWhileAnotherRunHoldsTheLock(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	b.install(b.spec("v1.37.2", nil))
	lock := b.lock()
	s, err := b.Status(context.Background())
	if err != nil || s.State != status.Healthy || s.Problems[0].ID != "busy" || !strings.Contains(s.Problems[0].Message, fmt.Sprint(os.Getpid())) {
		t.Errorf("before the change has begun: %+v, %v", s, err)
	}
	b.write(store.PendingFile, 0o644, []byte("2\n"))
	s, err = b.Status(context.Background())
	if err := os.Remove(b.file(store.PendingFile)); err != nil {
		t.Fatal(err)
	}
	lock.Release()
	if err != nil || s.State != status.Changing || s.Problems[0].ID != "changing" || !strings.Contains(s.Problems[0].Message, fmt.Sprint(os.Getpid())) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := b.Status(context.Background()); err != nil || s.State != status.Healthy {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
}

func TestStatusOfADamagedRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	b.install(b.spec("v1.37.2", nil))
	for _, file := range []string{"pending", "generations/1/record.json"} {
		if err := os.WriteFile(filepath.Join(b.Tree.Root(), hostfs.StateDir, file), []byte("garbage"), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := b.Status(context.Background())
		if err != nil || s.Service.ActiveState != "active" || s.Problems[0].ID != "damaged-record" || s.Problems[0].Hint == "" {
			t.Errorf("%s: %+v, %v", file, s, err)
		}
	}
}

// A run that is killed between the download and the record of the change leaves a download under a name for now: the next
// run goes on with it, without a request, and an uninstall deletes it.
func TestDownloadOfAKilledRun(t *testing.T) {
	t.Parallel()
	for _, next := range []string{"install", "uninstall"} {
		t.Run(next, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "v1.37.2")
			c := b.prepare(b.spec("v1.37.2", nil))
			b.fetched(c)
			if said, err := b.recover(); said != "" || err != nil {
				t.Fatalf("recover: %q, %v", said, err)
			}
			if _, err := os.Stat(b.file(c.Want.Binary().Path)); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("the binary: %v", err)
			}
			if !b.unfinished() {
				t.Fatal("the download is forgotten")
			}
			switch next {
			case "install":
				b.release = &release.Client{Sources: []string{"file://" + t.TempDir()}} // there is nothing in it
				s := b.spec("v1.37.2", nil)
				s.SHA512 = c.Want.Digest.Hex
				b.install(s)
			case "uninstall":
				b.discard()
				if left, err := os.ReadDir(b.file(hostfs.DefaultBinDir)); err != nil || len(left) > 0 {
					t.Errorf("left: %v %v", left, err)
				}
			}
			if b.unfinished() {
				t.Errorf("a download is unfinished after the %s", next)
			}
		})
	}
}

// fetched does what a run does that is killed right after the download.
func (b *bench) fetched(c *Change) {
	b.t.Helper()
	lock := b.lock()
	defer lock.unlock() // the kernel does that, and nothing more
	if _, err := (firstHalf{attempt{b.Host, c, ApplyOptions{Lock: lock, Release: b.release}}}).run(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// A binary of somebody else's that has the name of ours is a conflict, whatever a killed run left beside it.
func TestSomebodyElsesBinaryBesideADownload(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	b.fetched(b.prepare(b.spec("v1.37.2", nil)))
	b.write(kubeletTwo, 0o755, []byte("mine"))
	if _, err := b.recover(); err != nil {
		t.Fatal(err)
	}
	if c := b.prepare(b.spec("v1.37.2", nil)); !slices.Equal(paths(c.Plan.Conflicts), []string{kubeletTwo}) {
		t.Errorf("conflicts: %v", c.Plan.Conflicts)
	}
	if content, err := os.ReadFile(b.file(kubeletTwo)); string(content) != "mine" || err != nil {
		t.Errorf("the binary is %.20q, %v", content, err)
	}
}
