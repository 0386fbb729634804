package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/purge"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Purge is all that a kubelet has left on a host beside what was installed.
type Purge struct {
	// Dir is its root directory; nil when there is none.
	Dir *purge.Dir
	// Pods are what it made in the container runtime.
	Pods []string

	host    *Host
	runtime *cri.Runtime
}

// Lines say what is deleted, for people.
func (p *Purge) Lines() []string {
	if p.Dir == nil {
		return []string{"kubelet's root directory does not exist"}
	}
	line := fmt.Sprintf("all of %s is deleted: %s", p.Dir.Path, release.FormatCount(p.Dir.Entries, "entry", "entries"))
	if p.Dir.Credentials {
		line += ", kubelet's credentials among them"
	}
	if p.Dir.Stays != "" {
		line += "; the directory itself stays, since " + p.Dir.Stays
	}
	lines := []string{line}
	if n := len(p.Dir.Mounts); n > 0 {
		lines = append(lines, fmt.Sprintf("%s unmounted first: %s", release.FormatCount(n, "mount below it is", "mounts below it are"), shortList(p.Dir.Mounts)))
	}
	if n := len(p.Pods); n > 0 {
		lines = append(lines, release.FormatCount(n, "pod is", "pods are")+" removed from the container runtime; images and /var/log/pods stay")
	}
	return lines
}

func shortList(list []string) string {
	const most = 3
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// PreparePurge looks for what a purge deletes. It changes nothing. Close the result.
func (h *Host) PreparePurge(ctx context.Context) (*Purge, error) {
	current, err := lastInstalled(h.Store())
	h.complete(current)
	if err != nil {
		return nil, err
	}
	if err := h.refusePurge(ctx, current); err != nil {
		return nil, err
	}
	name, err := h.Tree.Path(current.KubeletRoot())
	if err != nil {
		return nil, err
	}
	p := &Purge{host: h}
	if p.Dir, err = purge.Look(h.Tree.Root(), name); err != nil {
		return nil, err
	}
	if p.Dir != nil && p.Dir.Stays == "" && current != nil && current.KubeletRoot() == hostfs.KubeletDir && !slices.Contains(current.Dirs, hostfs.KubeletDir) {
		p.Dir.Stays = "it was there before the first install"
	}
	if !h.Live {
		if p.Dir != nil && len(p.Dir.Mounts) > 0 {
			return nil, &purge.RefusedError{Path: p.Dir.Path, Reason: "something is mounted below it: " + shortList(p.Dir.Mounts)}
		}
		return p, nil
	}
	if current == nil || current.Snapshot { // nothing is left that would say which runtime it was, nor of its pods
		return p, nil
	}
	endpoint, err := preflight.Endpoint(current)
	if err != nil || endpoint == "" {
		return p, err
	}
	if p.runtime, err = cri.Dial(endpoint); err != nil {
		return nil, err
	}
	if p.Pods, err = p.runtime.Pods(ctx); err != nil {
		h.note("%v; its pods stay", err)
	}
	return p, nil
}

// refusePurge refuses to purge what was left of a kubelet of ours while there is one of somebody else's.
func (h *Host) refusePurge(ctx context.Context, current *plan.Generation) error {
	if current != nil {
		return nil
	}
	state, err := h.Observer().Unit(ctx, systemd.KubeletService)
	switch {
	case err != nil:
		return err
	case state.LoadState == "loaded" || state.Up():
		return &purge.RefusedError{Path: hostfs.KubeletDir, Reason: "a " + systemd.KubeletService + " is here that kubeletctl did not install"}
	case h.Live:
		return purge.Unused(hostfs.KubeletDir)
	}
	return nil
}

// lastInstalled is the newest generation that had a kubelet, also when an uninstall has begun to take it away.
func lastInstalled(s store.Store) (*plan.Generation, error) {
	current, err := s.Current()
	if err != nil || current == nil || !current.Snapshot {
		return current, err
	}
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	for _, g := range slices.Backward(all) {
		if !g.Snapshot {
			return g, nil
		}
	}
	return current, nil
}

// Close ends the connection to the container runtime.
func (p *Purge) Close() {
	if p.runtime != nil {
		p.runtime.Close()
	}
}

// Run stops kubelet for good, removes its pods, unmounts what is mounted below its root directory and empties that. Run
// again after an interruption it goes on. Where something cannot be unmounted, nothing is deleted, and kubelet is started
// again. The record stays until the uninstall that follows.
func (p *Purge) Run(ctx context.Context) error {
	var stopped []systemd.UnitState
	if p.host.Live {
		var err error
		if stopped, err = p.stopKubelet(ctx); err != nil {
			return p.resume(ctx, stopped, err)
		}
	}
	dir, err := p.unmount(ctx)
	if err != nil {
		return p.resume(ctx, stopped, err)
	}
	if dir == nil {
		return nil
	}
	if p.host.Live && !purge.PodsRun() { // those of a runtime that does not answer go on
		p.removePodSlice(ctx)
	}
	if err := dir.Empty(ctx); err != nil {
		return fmt.Errorf("emptying %s: %w", p.Dir.Path, err)
	}
	return nil
}

// stopKubelet stops and disables kubelet: a boot before the end must not start it on an empty directory. It returns the
// states of the units before.
func (p *Purge) stopKubelet(ctx context.Context) (stopped []systemd.UnitState, err error) {
	units := p.host.Units
	for _, unit := range []string{systemd.KubeletPath, systemd.KubeletService} {
		state, err := units.State(ctx, unit)
		if err != nil {
			return stopped, err
		}
		if state.LoadState == "not-found" {
			continue
		}
		stopped = append(stopped, state)
		if state.Enabled() {
			if err := units.Disable(ctx, unit); err != nil {
				return stopped, fmt.Errorf("disabling %s: %w", unit, err)
			}
		}
		if err := units.Stop(ctx, unit); err != nil {
			return stopped, err
		}
	}
	return stopped, units.Reload(ctx)
}

// resume makes units what they were before a purge that deleted nothing, and says so. One that was interrupted is gone on
// with by the next.
func (p *Purge) resume(ctx context.Context, stopped []systemd.UnitState, cause error) error {
	if ctx.Err() != nil || len(stopped) == 0 {
		return cause
	}
	units := p.host.Units
	for _, state := range stopped {
		var err error
		if state.Enabled() {
			err = units.Enable(ctx, state.Name)
		}
		if err == nil && state.Up() {
			err = units.Queue(ctx, state.Name)
		}
		if err != nil {
			return fmt.Errorf("%w; kubelet is stopped now, and was not started again: %w", cause, err)
		}
	}
	return fmt.Errorf("%w; kubelet is as it was before", cause)
}

// unmount removes kubelet's pods and unmounts what is below its root directory. It returns that directory, or nil when it does
// not exist.
func (p *Purge) unmount(ctx context.Context) (*purge.Dir, error) {
	for _, id := range p.Pods {
		if err := p.runtime.Remove(ctx, id); err != nil {
			return nil, err
		}
	}
	if p.Dir == nil {
		return nil, nil
	}
	// The pods have taken some of their mounts with them.
	dir, err := purge.Look(p.host.Tree.Root(), p.Dir.Path)
	if err != nil || dir == nil {
		return nil, err
	}
	return dir, dir.Unmount(ctx)
}

// removePodSlice removes the groups of the pods that ran.
func (p *Purge) removePodSlice(ctx context.Context) {
	units := p.host.Units
	if state, err := units.State(ctx, purge.PodSlice); err == nil && state.Up() {
		if err := units.Stop(ctx, purge.PodSlice); err != nil { // systemd would make the groups again
			p.host.note("stopping %s: %v", purge.PodSlice, err)
		}
	}
	purge.RemoveCgroups()
}
