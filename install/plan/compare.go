package plan

import (
	"fmt"
	"slices"
)

// Difference is one way in which a generation differs from another one.
type Difference struct {
	Target string `json:"target"`
	Reason string `json:"reason"`
}

// Compare lists in which files and units a generation differs from an earlier one, and returns a unified diff of their
// texts and links, which may hold secrets. Kubelet's arguments are in the text of its unit.
func Compare(from, to *Generation) (list []Difference, text []byte) {
	list = []Difference{}
	p := &Plan{}
	seen := map[string]bool{}
	for _, f := range slices.Concat(to.Files, from.Files) {
		old, new := from.File(f.Path), to.File(f.Path)
		if seen[f.Path] || old.Same(new) {
			continue
		}
		seen[f.Path] = true
		list = append(list, Difference{f.Path, compareFiles(old, new, to.Number, from.Number)})
		p.diff(f.Path, old, new)
	}
	for _, u := range slices.Concat(to.Units, from.Units) {
		old, _ := from.Unit(u.Name)
		new, _ := to.Unit(u.Name)
		if !seen[u.Name] && old != new {
			seen[u.Name] = true
			list = append(list, Difference{u.Name, fmt.Sprintf("%s, was %s", describeUnit(new), describeUnit(old))})
		}
	}
	return list, p.Diff()
}

// compareFiles says how a file differs from that of an earlier generation.
func compareFiles(old, new File, newNumber, oldNumber int) string {
	switch {
	case old.Kind == Absent:
		return fmt.Sprintf("only in generation %d", newNumber)
	case new.Kind == Absent:
		return fmt.Sprintf("only in generation %d", oldNumber)
	case old.SameContent(new) && !old.sameOwner(new):
		return ownerReason(new, old)
	case old.SameContent(new):
		return modeReason(new, old)
	case old.Kind == Text || old.Kind == Link:
		return changeReason(old, new)
	}
	return "another digest"
}

func describeUnit(u Unit) string {
	text := "not enabled"
	if u.Enabled {
		text = "enabled"
	}
	if u.Run != AsIs {
		text += " and " + string(u.Run)
	}
	return text
}
