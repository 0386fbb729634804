package cmd

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
)

// What is recorded is read with the lock held, or another run that waits as well would read the same, and one of the two
// changes would be lost. Only --splay lets others go first.
func TestRecordedIsReadWithTheLockHeld(t *testing.T) {
	t.Parallel()
	for splay, held := range map[time.Duration]bool{0: true, time.Minute: false} {
		a := &app{Output: terminal.Output{Out: io.Discard, Err: io.Discard}, root: t.TempDir()}
		o := newInstallOptions()
		o.fetch.splay = splay
		w := newWork(a, o, "set")
		done, err := w.open()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.recorded(t.Context()); !errors.Is(err, store.ErrNotInstalled) {
			t.Errorf("error: %v", err)
		}
		if (w.lock != nil) != held {
			t.Errorf("splay %s: the lock is held: %t", splay, w.lock != nil)
		}
		done()
		if w.lock != nil {
			t.Error("it is held for ever")
		}
	}
}

// Between the look at what is recorded and the lock, with --splay, another run may have changed it.
func TestChangeBeforeTheLock(t *testing.T) {
	t.Parallel()
	a := &app{Output: terminal.Output{Out: io.Discard, Err: io.Discard}, root: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(a.root, "var/lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	v, err := release.ParseVersion("v1.37.2")
	if err != nil {
		t.Fatal(err)
	}
	g := &plan.Generation{Number: 1, Version: v, Spec: json.RawMessage(`{"version": "v1.37.2"}`)}
	record := store.In(hostfs.At(a.root))
	if err := errors.Join(record.Pending().Begin(g, &plan.Generation{Number: 1, Snapshot: true}, nil), record.Commit(g), record.Pending().Settle(1)); err != nil {
		t.Fatal(err)
	}
	for _, changed := range []bool{false, true} {
		o := newInstallOptions()
		o.fetch.splay = 1
		w := newWork(a, o, "set")
		done, err := w.open()
		if err != nil {
			t.Fatal(err)
		}
		if _, w.spec, err = w.recorded(t.Context()); err != nil {
			t.Fatal(err)
		}
		if changed {
			g.Spec = json.RawMessage(`{"version": "v1.37.2", "keepGenerations": 7}`)
			if err := record.Commit(g); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.lockLater(t.Context()); errors.As(err, new(*overtakenError)) != changed || err != nil && !changed {
			t.Errorf("changed: %t, error: %v", changed, err)
		}
		done()
	}
}
