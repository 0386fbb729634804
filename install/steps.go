package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/label"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// executor carries out steps.
type executor struct {
	host   *Host
	change *Change
	// wait bounds how long a start may take; 0 is five seconds.
	wait time.Duration
	// soft says that a start that fails is only noted: systemd goes on trying, and nobody wanted to wait for it.
	soft bool
	// queue asks for starts and does not wait for them.
	queue bool
	// kill ends a process that ignores that it is to stop.
	kill bool
}

// do carries out one step. Carrying it out twice is the same as once.
func (e executor) do(ctx context.Context, s plan.Step) error {
	err := e.act(ctx, s)
	if err == nil {
		return nil
	}
	var job *systemd.JobError
	if errors.As(err, &job) {
		return e.host.explain(ctx, e.change.Want, err)
	}
	return fmt.Errorf("%s %s: %w", s.Action, s.Target, err)
}

func (e executor) act(ctx context.Context, s plan.Step) error {
	units := e.host.Units
	switch s.Action {
	case plan.Reload:
		return units.Reload(ctx)
	case plan.Enable:
		if err := units.Enable(ctx, s.Target); err != nil {
			return err
		}
		return units.Reload(ctx)
	case plan.Disable:
		if err := units.Disable(ctx, s.Target); err != nil {
			return err
		}
		return units.Reload(ctx)
	case plan.Start, plan.Restart:
		return e.start(ctx, s)
	case plan.Stop:
		return e.stop(ctx, s.Target)
	case plan.Label:
		label.Labelling{Tree: e.host.Tree, Have: e.change.Have, Want: e.change.Want, Note: func(line string) { e.host.note("%s", line) }}.Run(ctx)
		return nil
	}
	return e.file(s)
}

// file carries out a step that changes a file.
func (e executor) file(s plan.Step) error {
	tree, f := e.host.Tree, s.File
	switch s.Action {
	case plan.MakeDir:
		return makeDir(tree, s.Target)
	case plan.Stage:
		partial := store.PartialName(f.Path, e.change.Want.DigestOf(f.Path))
		if err := tree.Chmod(partial, f.Mode); err != nil {
			return err
		}
		return tree.Rename(partial, f.Path)
	case plan.Write:
		content, err := e.open(f)
		if err != nil {
			return err
		}
		defer content.Close()
		return tree.WriteFile(f.Path, f.Mode, f.Owner, content)
	case plan.SetLink:
		return tree.Symlink(f.Target, f.Path)
	case plan.SetOwner:
		return tree.Lchown(s.Target, f.Owner)
	case plan.SetMode:
		return tree.Chmod(s.Target, f.Mode)
	case plan.Remove:
		return tree.Remove(s.Target)
	case plan.RemoveDir:
		_ = tree.Rmdir(s.Target) // it stays when something is in it, or when it became a symlink
		return nil
	}
	return errors.New("no such action")
}

// open returns the content that a file shall have.
func (e executor) open(f plan.File) (io.ReadCloser, error) {
	if f.Kind == plan.Program {
		return os.Open(e.change.program) // a file of this machine, not of the tree
	}
	return e.host.Store().Open(f)
}

// makeDir makes one directory. kubelet's own is for root and its group only, as kubelet itself makes it (0750).
func makeDir(tree hostfs.Tree, dir string) error {
	mode := fs.FileMode(0o755)
	if dir == hostfs.KubeletDir {
		mode = 0o750
	}
	return tree.Mkdir(dir, mode)
}

const (
	// jobWait bounds a job for which nobody wants to wait long.
	jobWait = 5 * time.Second
	// killAfter is how long a process gets to end before it is killed, on the way back: what runs then is a kubelet that has
	// failed, and its pods survive it.
	killAfter = 4 * time.Second
)

// start starts or restarts a unit and waits as long as it may. A start that is still under way then is not a failure of the
// step: the gate judges it.
func (e executor) start(ctx context.Context, s plan.Step) error {
	units := e.host.Units
	if e.queue {
		return units.Queue(ctx, s.Target)
	}
	_ = units.ResetFailed(ctx, s.Target) // fails when systemd does not know the unit yet
	start := units.Start
	if s.Action == plan.Restart {
		start = units.Restart
		if e.kill {
			if err := e.stop(ctx, s.Target); err != nil {
				return err
			}
			start = units.Start
		}
	}
	wait := e.wait
	if wait == 0 {
		wait = jobWait
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := start(bounded, s.Target)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	var job *systemd.JobError
	if e.soft && errors.As(err, &job) {
		e.host.note("%v", err)
		return nil
	}
	return err
}

// stop stops a unit.
func (e executor) stop(ctx context.Context, unit string) error {
	units := e.host.Units
	if !e.kill {
		return units.Stop(ctx, unit)
	}
	bounded, cancel := context.WithTimeout(ctx, killAfter)
	defer cancel()
	err := units.Stop(bounded, unit)
	if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e.host.note("%s does not stop; it is killed", unit)
	if err := units.Kill(ctx, unit); err != nil {
		return err
	}
	return units.Stop(ctx, unit)
}
