package rules

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed data/gates.txt
var gatesText string

// A gate is a feature gate in one minor.
type gate struct {
	minor    int    // from which on
	maturity string // Alpha, Beta, GA, Deprecated or PreAlpha; "" when it is gone
	on       bool   // by default
	locked   bool   // to the default
	needs    []string
}

// gates are the gates of all minors by name, each with its history, oldest first.
var gates = sync.OnceValue(readGates)

func readGates() map[string][]gate {
	all := make(map[string][]gate, 600)
	for line := range strings.Lines(gatesText) {
		name, history, _ := strings.Cut(strings.TrimSpace(line), " ")
		for entry := range strings.SplitSeq(history, " ") {
			all[name] = append(all[name], parseGate(entry))
		}
	}
	return all
}

// parseGate reads "36:Beta=false!<A,B" or "37:gone".
func parseGate(entry string) gate {
	minor, text, _ := strings.Cut(entry, ":")
	n, _ := strconv.Atoi(minor)
	if text == "gone" {
		return gate{minor: n}
	}
	text, needs, _ := strings.Cut(text, "<")
	maturity, value, _ := strings.Cut(text, "=")
	g := gate{minor: n, maturity: maturity, on: strings.HasPrefix(value, "true"), locked: strings.HasSuffix(value, "!")}
	if needs != "" {
		g.needs = strings.Split(needs, ",")
	}
	return g
}

// gateIn finds what a gate is in a minor.
func gateIn(minor int, name string) (gate, bool) {
	for _, g := range slices.Backward(gates()[name]) {
		if g.minor <= minor {
			return g, g.maturity != ""
		}
	}
	return gate{}, false
}

// gateNames are the names of all gates, sorted.
var gateNames = sync.OnceValue(func() []string { return slices.Sorted(maps.Keys(gates())) })

// GatesOf lists the names of the gates that a kubelet of a minor knows, sorted.
func GatesOf(minor int) []string {
	var names []string
	for _, name := range gateNames() {
		if _, known := gateIn(minor, name); known {
			names = append(names, name)
		}
	}
	return names
}

// CheckGate says what is wrong with setting a gate in a minor; nil for nothing.
func CheckGate(minor int, name string, on bool) *Violation {
	history := gates()[name]
	if len(history) == 0 {
		return &Violation{Message: fmt.Sprintf("no release has a feature gate %s", name), Unknown: true}
	}
	g, known := gateIn(minor, name)
	switch {
	case !known && minor < history[0].minor:
		return &Violation{Message: fmt.Sprintf("the feature gate %s appears in 1.%d, this is 1.%d", name, history[0].minor, minor), Since: history[0].minor}
	case !known:
		gone, last := lastOf(minor, history)
		return &Violation{Message: fmt.Sprintf("the feature gate %s is gone since 1.%d", name, gone), Hint: last.afterlife(), Since: history[0].minor, Removed: gone}
	case g.locked && g.on != on:
		return &Violation{Message: fmt.Sprintf("the feature gate %s is locked to %t in 1.%d", name, g.on, minor)}
	case g.maturity == "PreAlpha":
		return &Violation{Message: fmt.Sprintf("the feature gate %s cannot be set yet in 1.%d", name, minor)}
	}
	return nil
}

// lastOf is the minor since which a gate is gone, and what it was before.
func lastOf(minor int, history []gate) (gone int, last gate) {
	for _, g := range history {
		switch {
		case g.minor > minor:
			return gone, last
		case g.maturity == "":
			gone = g.minor
		default:
			last = g
		}
	}
	return gone, last
}

// afterlife says what became of what a gate that is gone was for.
func (g gate) afterlife() string {
	switch {
	case g.maturity == "GA" && g.on:
		return "leave it out: what it was for is always on"
	case !g.on:
		return "leave it out: what it was for is gone, too"
	}
	return "leave it out"
}

// GateWithoutEffect reports whether a gate that is gone said what a kubelet of the minor does without it.
func GateWithoutEffect(minor int, name string, on bool) bool {
	if _, known := gateIn(minor, name); known {
		return false
	}
	gone, last := lastOf(minor, gates()[name])
	return gone != 0 && last.on == on
}

// enabled reports whether a gate is on, given those that are set.
func enabled(minor int, set map[string]bool, name string) bool {
	if on, said := set[name]; said {
		return on
	}
	g, known := gateIn(minor, name)
	if all, said := set["All"+g.maturity]; known && said && (g.maturity == "Alpha" || g.maturity == "Beta") {
		return all
	}
	return g.on
}

// gateNeeds: "%s is enabled, but depends on features that are disabled".
func gateNeeds(s *Setup) {
	if len(s.gates) == 0 { // the defaults go together
		return
	}
	for _, name := range gateNames() {
		g, _ := gateIn(s.Minor, name)
		if len(g.needs) == 0 || !s.on(name) {
			continue
		}
		for _, needed := range g.needs {
			if s.on(needed) {
				continue
			}
			culprit := name
			if _, set := s.gates[name]; !set { // it is on by default
				culprit = needed
			}
			if _, set := s.gates[culprit]; !set {
				culprit = "AllAlpha"
			}
			s.refuse("featureGates."+culprit, "the feature gate %s is on, but needs %s, which is off", name, needed)
		}
	}
}
