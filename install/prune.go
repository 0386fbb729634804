package install

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// prune forgets generations, and deletes their binaries, beyond the newest ones that the spec keeps. The one that was
// just installed and the one before it always stay, and so does a binary that is executed at the moment.
func (h *Host) prune(ctx context.Context, c *Change) error {
	keep := DefaultKeep
	if s := c.Want.Spec; s != nil && s.KeepGenerations > 0 {
		keep = s.KeepGenerations
	}
	all, err := h.Store().List()
	if err != nil {
		return err
	}
	reverted, err := h.Store().Reverted()
	if err != nil {
		return err
	}
	kept := map[string]bool{h.executed(ctx): true} // binaries, by path
	var old []*Generation
	for i, g := range slices.Backward(all) {
		newest := len(all)-i <= keep
		if newest || g.Number == c.Want.Number || c.Have != nil && g.Number == c.Have.Number {
			kept[g.binary().Path] = true
		} else {
			old = append(old, g)
		}
	}
	for _, g := range old {
		if binary := g.binary(); binary.Path != "" && !kept[binary.Path] {
			if err := h.deleteBinary(binary); err != nil {
				return err
			}
		}
		if err := h.Store().Remove(g.Number); err != nil {
			return err
		}
	}
	for i, g := range slices.Backward(reverted) {
		if len(reverted)-i > keep {
			if err := h.Store().Remove(g.Number); err != nil {
				return err
			}
		}
	}
	return h.Store().dropUnfinished(c.Want.Number)
}

// deleteBinary deletes a kubelet of ours; one with other bytes than were recorded is somebody else's by now, and stays.
func (h *Host) deleteBinary(binary File) error {
	found, err := h.lookAt(binary, loadFingerprints(h.Tree))
	if err != nil || !found.sameContent(binary) {
		return err
	}
	name, err := h.Tree.Locate(binary.Path)
	if err != nil {
		return err
	}
	return removeFile(name)
}

// executed is the path of the binary that kubelet's process runs; empty when none runs.
func (h *Host) executed(ctx context.Context) string {
	if !h.Live {
		return ""
	}
	state, err := h.Units.State(ctx, systemd.KubeletService)
	if err != nil || state.MainPID == 0 {
		return ""
	}
	name, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", state.MainPID))
	return name
}
