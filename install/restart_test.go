package install

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// restartable is a bench with a kubelet, before anything is asked of systemd.
func restartable(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, "v1.37.2")
	b.install(b.spec("v1.37.2", nil))
	b.fake.calls = nil
	return b
}

func (b *bench) restart(ctx context.Context, wait time.Duration) (plan.Outcome, error) {
	b.t.Helper()
	c, err := b.PrepareRestart(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	lock := b.lock()
	defer lock.Release()
	return b.Apply(ctx, c, ApplyOptions{Command: "restart", Lock: lock, Wait: wait})
}

// event asserts that the newest entry of the history is a restart, and that generation 1 is the current one and as it was.
func (b *bench) event(outcome plan.Outcome, reason string) {
	b.t.Helper()
	list, _, err := b.Store().History().List(0)
	if err != nil || len(list) != 2 {
		b.t.Fatalf("history: %+v, %v", list, err)
	}
	event, current := list[0], list[1]
	if !event.Event || event.Command != "restart" || event.Outcome != outcome || !strings.Contains(event.Reason, reason) || reason == "" && event.Reason != "" {
		b.t.Errorf("the event is %+v", event)
	}
	if !current.Current || current.Command != "install" || current.Outcome != plan.Installed && current.Outcome != plan.Healthy || current.Reason != "" {
		b.t.Errorf("the generation is %+v", current)
	}
	if _, pending, err := b.Store().Pending().Number(); pending || err != nil {
		b.t.Errorf("pending: %t, %v", pending, err)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		before  func(b *bench)
		wait    time.Duration
		calls   []string
		outcome plan.Outcome
	}{
		{"running", func(*bench) {}, 10 * time.Second, []string{"arm", "reload", "restart kubelet.service"}, plan.Healthy},
		{"stopped", func(b *bench) { delete(b.fake.active, systemd.KubeletService) }, 10 * time.Second, []string{"arm", "reload", "start kubelet.service"}, plan.Healthy},
		{"nobody waits", func(*bench) {}, 0, []string{"arm", "reload", "restart kubelet.service"}, plan.Restarted},
		{"disabled, and a mode", func(b *bench) {
			delete(b.fake.enabled, systemd.KubeletService)
			if err := os.Chmod(b.file(hostfs.ConfigFile), 0o640); err != nil {
				b.t.Error(err)
			}
		}, 0, []string{"arm", "reload", "restart kubelet.service"}, plan.Restarted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := restartable(t)
			tt.before(b)
			outcome, err := b.restart(t.Context(), tt.wait)
			if err != nil || outcome != tt.outcome {
				t.Errorf("outcome %q, %v", outcome, err)
			}
			if !slices.Equal(b.fake.calls, tt.calls) {
				t.Errorf("systemd was asked %q, want %q", b.fake.calls, tt.calls)
			}
			b.event(tt.outcome, "")
		})
	}
}

// There is no former kubelet to go back to: one that does not become healthy is left to systemd, and is not restarted again.
func TestRestartThatFails(t *testing.T) {
	t.Parallel()
	b := restartable(t)
	b.healthy = false
	_, err := b.restart(t.Context(), time.Second)
	var failed *RestartError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "kubelet was not healthy within 1s: ") || errors.As(err, new(*RolledBackError)) {
		t.Errorf("error: %v", err)
	}
	if want := []string{"arm", "reload", "restart kubelet.service"}; !slices.Equal(b.fake.calls, want) || b.fake.armed {
		t.Errorf("systemd was asked %q, want %q; armed: %t", b.fake.calls, want, b.fake.armed)
	}
	b.event(plan.Unhealthy, "not healthy within 1s")
}

// A repair that does no more than to start a kubelet that has exited has nothing to go back to either.
func TestRepairThatOnlyStarts(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	b.install(b.spec("v1.37.2", nil))
	b.fake.waiting, b.healthy = true, false
	current, err := b.Store().Installed()
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.PrepareRestore(t.Context(), current, Artifacts{Kubelet: b.resolve(b.spec("v1.37.2", nil)).Artifact}, PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.apply(t.Context(), c, time.Second)
	var failed *RestartError
	if !errors.As(err, &failed) || errors.As(err, new(*RolledBackError)) || !strings.Contains(failed.Hint(), "remove the cause") {
		t.Errorf("error: %v", err)
	}
	if history, _, err := b.Store().History().List(0); err != nil || history[0].Outcome != plan.Unhealthy || !history[0].Event {
		t.Errorf("history: %+v, %v", history, err)
	}
}

// Nobody knows whether a kubelet is healthy when the wait for it was interrupted.
func TestRestartInterrupted(t *testing.T) {
	t.Parallel()
	b := restartable(t)
	b.healthy = false
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := b.restart(ctx, time.Minute)
	if !errors.As(err, new(*RestartError)) || !errors.Is(err, ErrInterrupted) {
		t.Errorf("error: %v", err)
	}
	b.event(plan.Restarted, "timed out")
}

// A run that was killed leaves a pending change of the same generation: whatever systemd had got to, kubelet runs afterwards.
func TestRecoverRestart(t *testing.T) {
	t.Parallel()
	for name, stopped := range map[string]bool{"started again": false, "stopped in the middle": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := restartable(t)
			before := b.state()
			c, err := b.PrepareRestart(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b.killed(c, false)
			if stopped {
				delete(b.fake.active, systemd.KubeletService)
			}
			b.fake.calls = nil
			done, err := b.recover()
			if err != nil || !strings.Contains(done, "kubelet v1.37.2 is in place again") {
				t.Errorf("recovery: %q, %v", done, err)
			}
			if started := slices.Contains(b.fake.calls, "start kubelet.service"); started != stopped {
				t.Errorf("systemd was asked %q", b.fake.calls)
			}
			b.same(before, "after the recovery")
		})
	}
}

// What would start something else than what was installed is refused, and so is a restart that starts nothing.
func TestRestartRefused(t *testing.T) {
	t.Parallel()
	edit := func(path string) func(b *bench) {
		return func(b *bench) { b.write(path, 0o644, []byte("mine\n")) }
	}
	remove := func(path string) func(b *bench) {
		return func(b *bench) {
			if err := os.Remove(b.file(path)); err != nil {
				b.t.Error(err)
			}
		}
	}
	tests := []struct {
		name     string
		drift    func(b *bench)
		id, says string
	}{
		{"the configuration was edited", edit(hostfs.ConfigFile), "drift", hostfs.ConfigFile + ": edited: "},
		{"the unit was edited", edit(unitFile), "drift", unitFile + ": edited: "},
		{"the unit is missing", remove(unitFile), "drift", unitFile + ": missing"},
		{"the link is missing", remove(linkFile), "drift", linkFile + ": missing"},
		{"the binary is missing", remove(kubeletTwo), "drift", kubeletTwo + ": missing"},
		{"the binary is another one", edit(kubeletTwo), "drift", kubeletTwo + ": edited: another digest"},
		{"the binary cannot be executed", func(b *bench) {
			if err := os.Chmod(b.file(kubeletTwo), 0o644); err != nil {
				b.t.Error(err)
			}
		}, "drift", kubeletTwo + ": its mode is 0644, want 0755"},
		{"a drop-in starts another kubelet", func(b *bench) {
			b.write(plan.DropInDir+"/mine.conf", 0o644, []byte("[Service]\nExecStart=\nExecStart=/usr/bin/kubelet\n"))
		}, "drift", "/mine.conf: a drop-in that sets kubelet's command line"},
		{"a tree", func(b *bench) { b.Live = false }, "offline", "no kubelet runs in the tree of --root"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := restartable(t)
			ready, err := b.PrepareRestart(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			tt.drift(b)
			before := b.state()
			refused := func(err error) {
				t.Helper()
				var failed *preflight.FailedError
				if !errors.As(err, &failed) || len(failed.Problems) != 1 || failed.Problems[0].ID != tt.id ||
					!strings.Contains(failed.Problems[0].Message, tt.says) || failed.Problems[0].Hint == "" {
					t.Errorf("error: %v", err)
				}
			}
			_, err = b.PrepareRestart(t.Context())
			refused(err)
			_, err = b.apply(t.Context(), ready, time.Second) // it came after the restart was planned
			refused(err)
			if len(b.fake.calls) > 0 {
				t.Errorf("systemd was asked %q", b.fake.calls)
			}
			b.same(before, "after the refusals")
		})
	}
}

func TestRestartWithoutCredentials(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.2")
	if _, err := b.PrepareRestart(t.Context()); !errors.Is(err, store.ErrNotInstalled) {
		t.Errorf("error: %v", err)
	}
	s := b.spec("v1.37.2", nil)
	s.Standalone = false
	b.install(s)
	_, err := b.PrepareRestart(t.Context())
	if failed := (*preflight.FailedError)(nil); !errors.As(err, &failed) || failed.Problems[0].ID != "waiting-for-credentials" {
		t.Errorf("error: %v", err)
	}
}

// There is no former kubelet that waits to take over again, so the time is what the user allows.
func TestRestartHasNoHurry(t *testing.T) {
	t.Parallel()
	for restart, want := range map[bool]time.Duration{false: leastPatience, true: time.Minute} {
		tx := &transaction{attempt: attempt{change: &Change{Have: &plan.Generation{Took: time.Second}, options: plan.Options{Restart: restart}}, options: ApplyOptions{Wait: time.Minute}}}
		if got := tx.patience(); got != want {
			t.Errorf("restart %t: %s, want %s", restart, got, want)
		}
	}
}

// On a host that an older kubeletctl has changed last, what recovers is made anew with the record, and that is no drift.
func TestRestartWithAnOlderRecord(t *testing.T) {
	t.Parallel()
	b := restartable(t)
	current, err := b.Store().Current()
	if err != nil {
		t.Fatal(err)
	}
	const old = "an older kubeletctl"
	b.write(current.Program().Path, 0o755, []byte(old))
	dir := b.file(hostfs.StateDir)
	record := filepath.Join(dir, "generations/1/record.json")
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte(current.Program().SHA256), []byte(plan.Sum([]byte(old))))
	err = errors.Join(os.WriteFile(record, text, 0o644), os.Remove(filepath.Join(dir, "format")))
	for _, n := range []string{"0", "1"} {
		in := filepath.Join(dir, "generations", n)
		err = errors.Join(err, os.Remove(filepath.Join(in, "spec.json")), os.Rename(filepath.Join(in, "record.json"), filepath.Join(in, "generation.json")))
	}
	if err = errors.Join(err, os.Rename(filepath.Join(dir, "generations/1/previous.json"), filepath.Join(dir, "generations/1/before.json"))); err != nil {
		t.Fatal(err)
	}
	if outcome, err := b.restart(t.Context(), 10*time.Second); err != nil || outcome != plan.Healthy {
		t.Errorf("outcome %q, %v", outcome, err)
	}
	after, err := b.Store().Current()
	if err != nil || !b.Observer().Has(after.Program()) || after.Program().SHA256 != current.Program().SHA256 || b.Store().Outdated(after) {
		t.Errorf("the record is %+v, %v", after, err)
	}
	b.event(plan.Healthy, "")
}
