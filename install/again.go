package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/kubeletctl/kubeletctl/release"
)

// ErrNotInstalled tells that there is nothing of kubeletctl's on the host to work with.
var ErrNotInstalled = errors.New("kubeletctl has installed no kubelet here")

// NoGenerationError tells that there is no such generation to go back to.
type NoGenerationError struct {
	// Number is the one that was asked for; 0 for any before the current one.
	Number int
}

func (e *NoGenerationError) Error() string {
	if e.Number == 0 {
		return "there is no generation before the current one that differs from it"
	}
	return fmt.Sprintf("there is no generation %d to go back to", e.Number)
}

// Hint says what to do about it.
func (e *NoGenerationError) Hint() string {
	if e.Number == 0 {
		return "kubeletctl uninstall goes back to what was there before the first install"
	}
	return "kubeletctl history lists those that are there"
}

// PrepareRollback plans the way to an earlier generation; 0 is the newest before the current one that is another one: what
// a repair put back is no change to go back from. It changes nothing.
func (h *Host) PrepareRollback(ctx context.Context, to int) (*Change, error) {
	current, err := h.Store().Installed()
	if err != nil {
		return nil, err
	}
	all, err := h.Store().List()
	if err != nil {
		return nil, err
	}
	var target *Generation
	for _, g := range all {
		if g.Number == to || to == 0 && g.Number < current.Number && !g.installs(current) {
			target = g
		}
	}
	if target == nil {
		return nil, &NoGenerationError{to}
	}
	return h.prepareAgain(ctx, target, current)
}

// installs tells whether two generations put the same on a host, but for what recovers.
func (g *Generation) installs(other *Generation) bool {
	for _, f := range slices.Concat(g.Files, other.Files) {
		if !isRecovery(f.Path) && f.Kind != Program && !g.file(f.Path).same(other.file(f.Path)) {
			return false
		}
	}
	for _, u := range slices.Concat(g.Units, other.Units) {
		mine, _ := g.unit(u.Name)
		theirs, _ := other.unit(u.Name)
		if !isRecovery(u.Name) && mine != theirs {
			return false
		}
	}
	return true
}

// PrepareRepair plans the way back to what was installed last. It changes nothing.
func (h *Host) PrepareRepair(ctx context.Context) (*Change, error) {
	current, err := h.Store().Installed()
	if err != nil {
		return nil, err
	}
	return h.prepareAgain(ctx, current, current)
}

// prepareAgain plans the way to a generation that was installed before, with the bytes that were written then.
func (h *Host) prepareAgain(ctx context.Context, g, have *Generation) (*Change, error) {
	for _, f := range g.Files {
		if f.Kind != Text || f.source != "" || textFile(f.Path, f.Mode, f.Content).SHA256 == f.SHA256 {
			continue
		}
		if len(f.Content) == 0 {
			return nil, fmt.Errorf("reading what generation %d has for %s: %w", g.Number, f.Path, fs.ErrPermission)
		}
		return nil, damaged("what generation %d has for %s is not what was recorded", g.Number, f.Path)
	}
	want := *g
	want.Files, want.Units, want.Dirs = slices.Clone(g.Files), slices.Clone(g.Units), nil
	c, err := h.prepareOver(ctx, &Built{Generation: &want}, have)
	if err != nil {
		return nil, err
	}
	// Identified by the digest of then; where to get it is asked only if it has to be fetched.
	c.Artifact = release.Artifact{Version: g.Version, Arch: g.Arch, Digest: g.Digest, Trust: g.Trust, From: g.DigestFrom}
	return c, nil
}
