package install

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
)

// execute runs a program of the bench as kubelet's main process, until the test ends. It waits for its configuration.
func (b *bench) execute(program string) {
	b.t.Helper()
	fifo := filepath.Join(b.t.TempDir(), "config")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		b.t.Fatal(err)
	}
	c := exec.Command(b.file(program), "--config="+fifo)
	if err := c.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	b.fake.pid = c.Process.Pid
}

// A binary that is lost, and that no source has any more, is taken from the kubelet that runs, if that is the same one.
func TestLostBinaryOfTheRunningKubelet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, runs string
		put        bool
	}{
		{"the same runs", kubeletTwo, true},
		{"another one runs", kubeletOne, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "v1.37.1", "v1.37.2")
			b.install(b.spec("v1.37.1", nil))
			b.install(b.spec("v1.37.2", nil))
			recorded, err := b.Store().Current()
			if err != nil {
				t.Fatal(err)
			}
			b.execute(tt.runs)
			if err := errors.Join(os.Remove(b.file(kubeletTwo)), os.RemoveAll(b.upstream)); err != nil {
				t.Fatal(err)
			}
			a, client, err := b.RestoreArtifacts(t.Context(), recorded, func() (*release.Client, error) { return b.release, nil })
			if err != nil {
				t.Fatal(err)
			}
			c, err := b.PrepareRestore(t.Context(), recorded, a, PrepareOptions{})
			if err != nil || !c.Plan.Has(plan.Stage, kubeletTwo) {
				t.Fatalf("%q, %v", steps(c.Plan), err)
			}
			lock := b.lock()
			_, err = b.Apply(t.Context(), c, ApplyOptions{Command: "repair", Lock: lock, Release: client})
			lock.Release()
			if !tt.put {
				if missing := (*release.NotFoundError)(nil); !errors.As(err, &missing) || b.Observer().Has(recorded.Binary()) {
					t.Errorf("error: %v", err)
				}
				return
			}
			if err != nil || !b.Observer().Has(recorded.Binary()) {
				t.Errorf("the binary is not there again: %v", err)
			}
			if current, err := b.Store().Current(); err != nil || current.URL != recorded.URL || current.Digest != recorded.Digest || current.Trust != recorded.Trust {
				t.Errorf("the record is %+v, %v", current, err)
			}
		})
	}
}
