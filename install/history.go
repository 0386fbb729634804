package install

import (
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

// History lists what was installed, and what was tried and taken back, newest first.
func (h *Host) History() ([]Release, error) {
	current, err := h.Store().Current()
	if err != nil {
		return nil, err
	}
	all, err := h.Store().List()
	if err != nil {
		return nil, err
	}
	reverted, err := h.Store().Reverted()
	if err != nil {
		return nil, err
	}
	for _, g := range reverted {
		g.Outcome = Reverted
	}
	all = append(all, reverted...)
	slices.SortFunc(all, func(a, b *Generation) int { return b.Number - a.Number })
	list := []Release{}
	for _, g := range all {
		r := Release{Number: g.Number, Current: current != nil && current.Number == g.Number, Created: g.Created,
			Version: g.Version, Verb: g.Verb, By: g.By, Trust: g.Trust, Outcome: g.Outcome, Reason: g.Reason}
		if binary := g.binary(); binary.Path != "" {
			r.Binary = path.Base(binary.Path)
		}
		list = append(list, r)
	}
	return list, nil
}
