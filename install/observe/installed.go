package observe

import (
	"errors"
	"path"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// What is said of a kubelet that is here and not recorded.
const (
	LostRecord = "kubeletctl has installed the kubelet that is here, and its record in " + hostfs.StateDir + " is lost"
	AdoptHint  = "kubeletctl install --adopt takes it over"
)

// RecordLost reports whether what is here was installed by kubeletctl, although nothing is recorded: a unit that it has
// written is here, or what recovers and a kubelet, which no uninstall leaves together.
func (o Observer) RecordLost() bool {
	if _, pending, err := store.In(o.Tree).Pending().Number(); pending || err != nil {
		return false
	}
	unit, err := o.Look(plan.File{Path: path.Join(hostfs.UnitDir, systemd.KubeletService), Kind: plan.Text})
	if err != nil || unit.Kind == plan.Absent || unit.Marked() {
		return err == nil && unit.Marked()
	}
	_, err = o.Tree.Lstat(path.Join(hostfs.UnitDir, systemd.RecoverService))
	return err == nil
}

// NotInstalledError is store.ErrNotInstalled on a host that has a kubelet all the same.
type NotInstalledError struct {
	// Lost reports that it was installed by kubeletctl, whose record is lost.
	Lost bool
}

func (e *NotInstalledError) Error() string {
	if e.Lost {
		return LostRecord
	}
	return store.ErrNotInstalled.Error() + ", and another one is here"
}

func (e *NotInstalledError) Unwrap() error { return store.ErrNotInstalled }

// Hint says what to do about it.
func (e *NotInstalledError) Hint() string { return AdoptHint }

// Installed is the current generation. When nothing is installed, the error says what is here instead.
func (o Observer) Installed() (*plan.Generation, error) {
	current, err := store.In(o.Tree).Installed()
	if errors.Is(err, store.ErrNotInstalled) {
		err = o.WhyNotInstalled(current)
	}
	_, _ = o.ReadKubeadm(current) // what cannot be read is said where it matters: by preflight, and by a status
	return current, err
}

// WhyNotInstalled is the error for a host on which no kubelet of ours is installed; current is what is left of an uninstall that did
// not finish, nil for nothing.
func (o Observer) WhyNotInstalled(current *plan.Generation) error {
	if current != nil { // an uninstall did not finish
		return store.ErrNotInstalled
	}
	_, err := o.Tree.Lstat(path.Join(hostfs.UnitDir, systemd.KubeletService))
	if lost := o.RecordLost(); lost || err == nil {
		return &NotInstalledError{lost}
	}
	return store.ErrNotInstalled
}
