package install

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
)

// Release is one version as the host has it: see History.
type Release struct {
	Number  int             `json:"generation"`
	Current bool            `json:"current"`
	Created time.Time       `json:"created"`
	Version release.Version `json:"version"`
	Verb    string          `json:"verb"`
	By      string          `json:"by,omitempty"`
	Trust   release.Trust   `json:"trust"`
	Binary  string          `json:"binary,omitempty"`
	// Outcome is how the change to it ended: healthy, reverted ...; Reason says why it was reverted.
	Outcome Outcome `json:"outcome,omitempty"`
	Reason  string  `json:"reason,omitempty"`
}

// History lists what was installed, and what was tried and taken back, newest first: at most so many, 0 for all. older
// tells that there are more.
func (h *Host) History(most int) (list []Release, older bool, err error) {
	current, err := h.Store().Current()
	if err != nil {
		return nil, false, err
	}
	numbers, err := h.Store().numbers()
	if err != nil {
		return nil, false, err
	}
	list = []Release{}
	for _, n := range slices.Backward(numbers) {
		if n == 0 {
			break
		}
		g, err := h.Store().read(n, "generation.json", false)
		if errors.Is(err, fs.ErrNotExist) {
			if g, err = h.Store().read(n, "reverted.json", false); err == nil {
				g.Outcome = Reverted
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // its change did not get to its end
		}
		if err != nil {
			return nil, false, err
		}
		if most > 0 && len(list) == most {
			return list, true, nil
		}
		r := Release{Number: g.Number, Current: current != nil && current.Number == g.Number, Created: g.Created,
			Version: g.Version, Verb: g.Verb, By: g.By, Trust: g.Trust, Outcome: g.Outcome, Reason: g.Reason}
		if binary := g.binary(); binary.Path != "" {
			r.Binary = path.Base(binary.Path)
		}
		list = append(list, r)
	}
	return list, false, nil
}
