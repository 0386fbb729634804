package install

import (
	"errors"
	"path"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

const (
	lostRecord = "kubeletctl has installed the kubelet that is here, and its record in " + hostfs.StateDir + " is lost"
	adoptHint  = "kubeletctl install --adopt takes it over"
)

// recordLost reports whether what is here was installed by kubeletctl, although nothing is recorded: what recovers and a
// kubelet are here, which no uninstall leaves together.
func (h *Host) recordLost() bool {
	if _, pending, err := h.Store().Pending().Number(); pending || err != nil {
		return false
	}
	for _, unit := range []string{systemd.RecoverService, systemd.KubeletService} {
		if _, err := h.Tree.Lstat(path.Join(hostfs.UnitDir, unit)); err != nil {
			return false
		}
	}
	return true
}

// NotInstalledError is store.ErrNotInstalled on a host that has a kubelet all the same.
type NotInstalledError struct {
	// Lost reports that it was installed by kubeletctl, whose record is lost.
	Lost bool
}

func (e *NotInstalledError) Error() string {
	if e.Lost {
		return lostRecord
	}
	return store.ErrNotInstalled.Error() + ", and another one is here"
}

func (e *NotInstalledError) Unwrap() error { return store.ErrNotInstalled }

// Hint says what to do about it.
func (e *NotInstalledError) Hint() string { return adoptHint }

// Installed is the current generation. That there is none is said with what is here instead.
func (h *Host) Installed() (*plan.Generation, error) {
	current, err := h.Store().Installed()
	if errors.Is(err, store.ErrNotInstalled) {
		err = h.notInstalledError(current)
	}
	h.complete(current)
	return current, err
}

func (h *Host) notInstalledError(current *plan.Generation) error {
	if current != nil { // an uninstall did not finish
		return store.ErrNotInstalled
	}
	_, err := h.Tree.Lstat(path.Join(hostfs.UnitDir, systemd.KubeletService))
	if lost := h.recordLost(); lost || err == nil {
		return &NotInstalledError{lost}
	}
	return store.ErrNotInstalled
}
