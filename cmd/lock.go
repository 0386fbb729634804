package cmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/kubeletctl/kubeletctl/install"
)

// lockWait is for how long a verb waits for another run to end.
type lockWait time.Duration

func (w *lockWait) register(f *pflag.FlagSet) {
	f.DurationVar((*time.Duration)(w), "lock-wait", 0, "wait up to this time for another kubeletctl to end, instead of exit code 75 at once")
}

func (w lockWait) check() error {
	if w < 0 {
		return fmt.Errorf("--lock-wait %s is negative", time.Duration(w))
	}
	return nil
}

// lockPause is the time between two tries to take a lock.
const lockPause = 200 * time.Millisecond

// take takes a lock, and tries again while another run holds it and there is time left.
func (w lockWait) take(ctx context.Context, a *app, lock func() error) error {
	end := time.Now().Add(time.Duration(w))
	for told := false; ; told = true {
		err := lock()
		if w == 0 || exitCode(err) != exitLocked {
			return err
		}
		left := time.Until(end)
		if left <= 0 {
			return fmt.Errorf("%w, still after %s (--lock-wait)", err, time.Duration(w))
		}
		if !told {
			a.Note(fmt.Sprintf("%v; waiting up to %s for it to end", err, time.Duration(w)))
		}
		select {
		case <-time.After(min(left, lockPause)):
		case <-ctx.Done():
			return install.ContextError(ctx)
		}
	}
}
