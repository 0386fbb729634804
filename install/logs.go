package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Logs reads what the journal has of kubelet.service, oldest first; an error comes last. A host that has no kubelet, nor anything that
// one has logged, is [store.ErrNotInstalled]. It ends early, without an error, when ctx does.
func (h *Host) Logs(ctx context.Context, q systemd.JournalQuery) iter.Seq2[kubeletlog.Event, error] {
	return func(yield func(kubeletlog.Event, error) bool) {
		q.Unit = systemd.KubeletService
		state, err := h.Units.State(ctx, q.Unit)
		if err == nil {
			err = journalReadable(h.Tree)
		}
		if err != nil {
			yield(kubeletlog.Event{}, err)
			return
		}
		absent := state.LoadState == "not-found"
		if absent && q.Follow {
			yield(kubeletlog.Event{}, store.ErrNotInstalled)
			return
		}
		for event, err := range kubeletlog.Read(systemd.ReadJournal(ctx, q)) {
			absent = false
			if !yield(event, err) {
				return
			}
		}
		if absent && ctx.Err() == nil {
			yield(kubeletlog.Event{}, store.ErrNotInstalled)
		}
	}
}

// JournalError reports that this user may not read the journal of the system.
type JournalError struct{ Err error }

func (e *JournalError) Error() string { return fmt.Sprintf("reading the journal: %v", e.Err) }

func (e *JournalError) Unwrap() error { return e.Err }

// Hint says who may.
func (e *JournalError) Hint() string {
	return "run this as root, or as a member of the group systemd-journal"
}

// journalReadable reports, as an error, that there are journals of the system and this user may read none of them: journalctl then
// shows nothing, as if there was nothing.
func journalReadable(tree hostfs.Tree) error {
	var refused error
	for _, dir := range []string{"/var/log/journal", "/run/log/journal"} {
		machines, _ := tree.ReadDir(dir)
		for _, machine := range machines {
			f, err := tree.Open(path.Join(dir, machine.Name(), "system.journal"))
			switch {
			case err == nil:
				f.Close()
				return nil
			case errors.Is(err, fs.ErrPermission):
				refused = &JournalError{hostfs.Pathless(err)}
			}
		}
	}
	return refused
}
