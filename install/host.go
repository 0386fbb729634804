package install

import (
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/rehearsal"
	"github.com/kubeletctl/kubeletctl/install/status"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Manager is what this package needs of the service manager; systemd.Conn and systemd.Offline have it. Every method may be
// called twice.
type Manager interface {
	Reload(ctx context.Context) error
	Enable(ctx context.Context, unit string) error
	Disable(ctx context.Context, unit string) error
	Start(ctx context.Context, unit string) error
	Restart(ctx context.Context, unit string) error
	Stop(ctx context.Context, unit string) error
	// Kill ends the main process of a unit at once; the pods of a kubelet are not its main process.
	Kill(ctx context.Context, unit string) error
	// Queue asks for a restart, or a start, and does not wait for it.
	Queue(ctx context.Context, unit string) error
	// Arm makes systemd start the recovery again and again; see systemd.Conn.
	Arm(ctx context.Context, every time.Duration) error
	Disarm(ctx context.Context) error
	ResetFailed(ctx context.Context, unit string) error
	State(ctx context.Context, unit string) (systemd.UnitState, error)
	Booting(ctx context.Context) bool
}

// Host is a machine, or the tree of one, and the means to change it.
type Host struct {
	Tree  hostfs.Tree
	Units Manager
	// Live reports that Units is a systemd that runs, so that there are services to start, stop and ask.
	Live bool
	// Unvouched reports that the tree itself says where binaries come from: then none is executed on this machine for whose
	// digest nobody else vouches.
	Unvouched bool
	// Rehearse tries a kubelet where it can do no harm; nil for none. See package rehearsal.
	Rehearse func(context.Context, rehearsal.Trial) (ignored []string, err error)
	// Ask asks a kubelet about flags and a configuration without starting it in earnest; nil asks none. See package rehearsal.
	Ask func(context.Context, rehearsal.Question) (rehearsal.Answer, error)
	// AskRuntime reports, as an error, that no container runtime answers at an endpoint; nil asks nobody. See package cri.
	AskRuntime func(ctx context.Context, endpoint string) error
	// Note gets one line for people, now and then; nil is fine.
	Note func(string)
	// Log gets one line for each change that begins, and one for how it ended; nil is fine.
	Log func(string)
}

func (h *Host) log(format string, args ...any) {
	if h.Log != nil {
		h.Log(fmt.Sprintf(format, args...))
	}
}

func (h *Host) note(format string, args ...any) {
	if h.Note != nil {
		h.Note(fmt.Sprintf(format, args...))
	}
}

// Store is the record of what was installed there.
func (h *Host) Store() store.Store { return store.In(h.Tree) }

// Observer looks at the host.
func (h *Host) Observer() observe.Observer {
	return observe.Observer{Tree: h.Tree, Units: h.Units, Live: h.Live}
}

// Installed is the current generation. That there is none is said with what is here instead.
func (h *Host) Installed() (*plan.Generation, error) { return h.Observer().Installed() }

// Status is how the kubelet of this host is.
func (h *Host) Status(ctx context.Context) (*status.Status, error) {
	return h.reader().Read(ctx)
}

func (h *Host) reader() status.Reader {
	r := status.Reader{Observer: h.Observer(), AskRuntime: h.AskRuntime}
	if h.AskRuntime != nil {
		r.RuntimeVersion = cri.Version
	}
	return r
}

// Lock is the lock on the record, held by a run that changes the host.
type Lock struct {
	host   *Host
	unlock func()
	// parents are directories above the record that were made for it, outermost first.
	parents []string
}

// Lock takes the lock on the record; see store.Store.Lock.
func (h *Host) Lock() (*Lock, error) {
	if err := preflight.CheckStateDir(h.Tree); err != nil {
		return nil, err
	}
	parents, err := h.Tree.MissingDirs(path.Dir(hostfs.StateDir))
	if err != nil {
		return nil, err
	}
	unlock, err := h.Store().Lock()
	if err != nil {
		return nil, unchanged(err)
	}
	if len(parents) == 0 { // what an earlier run has made goes when this one takes all of it away
		if have, err := h.have(); err == nil && have != nil {
			parents = recordParents(have)
		}
	}
	return &Lock{h, unlock, parents}, nil
}

// Release gives the lock up; nil is none. When nothing is left of the record, the directories that were made for it go, too.
func (l *Lock) Release() {
	if l == nil {
		return
	}
	l.unlock()
	for _, dir := range slices.Backward(l.parents) {
		_ = l.host.Tree.Rmdir(dir) // it stays when anything is in it
	}
}
