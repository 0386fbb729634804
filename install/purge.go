package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/purge"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Purge is all that a kubelet has left on a host beside what was installed.
type Purge struct {
	// Dir is its root directory; nil when there is none.
	Dir *purge.Dir
	// Pods are what it made in the container runtime.
	Pods []string

	host    *Host
	runtime *purge.Runtime
}

// Lines say what is deleted, for people.
func (p *Purge) Lines() []string {
	if p.Dir == nil {
		return []string{"kubelet's root directory does not exist"}
	}
	line := fmt.Sprintf("all of %s is deleted: %d entries, kubelet's credentials among them", p.Dir.Path, p.Dir.Entries)
	if p.Dir.Stays != "" {
		line += "; the directory itself stays, since " + p.Dir.Stays
	}
	lines := []string{line}
	if n := len(p.Dir.Mounts); n > 0 {
		lines = append(lines, fmt.Sprintf("%d mounts below it are unmounted first: %s", n, shortList(p.Dir.Mounts)))
	}
	if n := len(p.Pods); n > 0 {
		lines = append(lines, fmt.Sprintf("%d pods are removed from the container runtime; images and /var/log/pods stay", n))
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
	if err != nil {
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
	if !h.Live {
		if p.Dir != nil && len(p.Dir.Mounts) > 0 {
			return nil, &purge.RefusedError{Path: p.Dir.Path, Reason: "something is mounted below it: " + shortList(p.Dir.Mounts)}
		}
		return p, nil
	}
	if current.Snapshot { // nothing is left that would say which runtime it was, nor of its pods
		return p, nil
	}
	endpoint, err := endpoint(current)
	if err != nil || endpoint == "" {
		return p, err
	}
	if p.runtime, err = purge.Dial(endpoint); err != nil {
		return nil, err
	}
	if p.Pods, err = p.runtime.Pods(ctx); err != nil {
		h.note("%v; its pods stay", err)
	}
	return p, nil
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
// again after an interruption it goes on. The record stays until the uninstall that follows.
func (p *Purge) Run(ctx context.Context) error {
	h := p.host
	if h.Live {
		for _, unit := range []string{systemd.KubeletPath, systemd.KubeletService} {
			state, err := h.Units.State(ctx, unit)
			if err != nil {
				return err
			}
			if state.LoadState == "not-found" {
				continue
			}
			if state.Enabled() { // a boot before the end must not start it on an empty directory
				if err := h.Units.Disable(ctx, unit); err != nil {
					return fmt.Errorf("disabling %s: %w", unit, err)
				}
			}
			if err := h.Units.Stop(ctx, unit); err != nil {
				return err
			}
		}
		if err := h.Units.Reload(ctx); err != nil {
			return err
		}
	}
	for _, id := range p.Pods {
		if err := p.runtime.Remove(ctx, id); err != nil {
			return err
		}
	}
	if p.Dir == nil {
		return nil
	}
	// The pods have taken some of their mounts with them.
	dir, err := purge.Look(h.Tree.Root(), p.Dir.Path)
	if err != nil || dir == nil {
		return err
	}
	if err := dir.Unmount(ctx); err != nil {
		return err
	}
	if h.Live && !purge.PodsRun() { // those of a runtime that does not answer go on
		if state, err := h.Units.State(ctx, purge.PodSlice); err == nil && state.Up() {
			if err := h.Units.Stop(ctx, purge.PodSlice); err != nil { // systemd would make the groups again
				h.note("stopping %s: %v", purge.PodSlice, err)
			}
		}
		purge.RemoveCgroups()
	}
	if err := dir.Empty(ctx); err != nil {
		return fmt.Errorf("emptying %s: %w", p.Dir.Path, err)
	}
	return nil
}

// endpoint is the CRI endpoint that a generation's kubelet speaks to.
func endpoint(g *plan.Generation) (string, error) {
	if endpoint, ok := g.Arg("container-runtime-endpoint"); ok {
		return endpoint, nil
	}
	fields, err := preflight.Fields(g)
	endpoint, _ := fields["containerRuntimeEndpoint"].(string)
	return endpoint, err
}
