package testhost

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// Sweep removes what is left of hosts whose owner ended without closing them: a
// test that ran into its timeout, or was killed. Hosts that were started with
// Keep have no owner and stay. It takes on no further host after ten seconds;
// the rest is for the next call.
func Sweep() error {
	if _, err := os.Stat(hostsDir()); err != nil {
		return nil // never a host here
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	locked, err := lock(ctx, hostsDir()+".lock")
	if err != nil {
		return err
	}
	defer locked.Close()

	// A directory without a record is one whose removal was interrupted.
	entries, err := os.ReadDir(hostsDir())
	if err != nil {
		return err
	}
	known := map[string]*Host{}
	hosts, err := List()
	if err != nil {
		return err
	}
	for _, h := range hosts {
		known[h.dir] = h
	}
	var errs []error
	for _, e := range entries {
		if time.Since(start) > 10*time.Second {
			break
		}
		h := known[filepath.Join(hostsDir(), e.Name())]
		if h == nil {
			h = &Host{dir: filepath.Join(hostsDir(), e.Name())}
		}
		if h.state.Kept || h.state.Owner.alive() {
			continue
		}
		errs = append(errs, h.Close())
	}
	return errors.Join(errs...)
}
