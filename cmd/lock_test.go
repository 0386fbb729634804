package cmd

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install/store"
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
