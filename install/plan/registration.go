package plan

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
)

// Flags and the field that count only when kubelet registers its node: a Node that is there already keeps the labels and taints that it
// has (tryRegisterWithAPIServer in pkg/kubelet/kubelet_node_status.go; tried with v1.36.3).
const (
	labelsFlag  = "node-labels"
	taintsFlag  = "register-with-taints"
	taintsField = "registerWithTaints:"
)

// NodeLabels are the labels that a kubelet registers its node with; none when only systemd knows them.
func (g *Generation) NodeLabels() map[string]string {
	value, given := g.Arg(labelsFlag)
	if !given || g.expands("--"+labelsFlag+"=") {
		return nil
	}
	return config.ParseLabels(value)
}

// registersAs is what a generation says for the registration of its node.
func (g *Generation) registersAs() string {
	labels, _ := g.Arg(labelsFlag)
	taints, _ := g.Arg(taintsFlag)
	_, field := cutTaints(g.File(hostfs.ConfigFile).Content)
	return labels + "\n" + taints + "\n" + string(field)
}

// cutTaints takes the taints out of a kubelet's configuration as it is rendered here.
func cutTaints(text []byte) (rest, taints []byte) {
	inside := false
	for line := range bytes.Lines(text) {
		if inside = bytes.HasPrefix(line, []byte(taintsField)) || inside && bytes.ContainsAny(line[:1], " -"); inside {
			taints = append(taints, line...)
		} else {
			rest = append(rest, line...)
		}
	}
	return rest, taints
}

// onlyRegisters reports whether an argument counts only when a node is registered.
func onlyRegisters(arg string) bool {
	return strings.HasPrefix(arg, "--"+labelsFlag+"=") || strings.HasPrefix(arg, "--"+taintsFlag+"=")
}

// sameStart reports whether two texts of one file start the same kubelet, if its node is registered already.
func sameStart(a, b File) bool {
	if a.Path == hostfs.ConfigFile {
		x, _ := cutTaints(a.Content)
		y, _ := cutTaints(b.Content)
		return bytes.Equal(x, y)
	}
	words := func(f File) []string {
		return slices.DeleteFunc(strings.Fields(string(f.Content)), func(word string) bool {
			return word == `\` || onlyRegisters(strings.Trim(word, `"'`))
		})
	}
	return slices.Equal(words(a), words(b))
}

// startArgs are the arguments that count whenever the kubelet of a node is started.
func (g *Generation) startArgs(args []string) []string {
	if g.Kubeconfig() == "" {
		return args
	}
	return slices.DeleteFunc(slices.Clone(args), onlyRegisters)
}

// registered reports whether the kubelet that runs has credentials of its own, and so a registered node, and keeps them.
func (p *planner) registered() bool {
	file := p.want.Kubeconfig()
	return p.seen.Joined && p.seen.Process != nil && file != "" && p.have != nil && p.have.Kubeconfig() == file
}

// changesOnlyRegistration reports whether a file changes only in what counts when a node is registered, and this one is.
func (p *planner) changesOnlyRegistration(f File) bool {
	found := p.seen.Files[f.Path]
	return p.registered() && f.Kind == Text && found.Kind == Text && sameStart(f, found)
}

// label plans to change the labels of the Node, which no start of kubelet does.
func (p *planner) label() {
	reason := ""
	switch drift := p.seen.NodeDrift(p.want); {
	case p.want.Snapshot || !p.registered():
	case len(drift) > 0:
		reason = drift[0].Reason
	case p.have.registersAs() != p.want.registersAs():
		reason = "labels and taints count only when a node is registered, which it is"
	}
	if reason != "" {
		p.add(Label, "node", reason, File{})
	}
}

// NodeDrift lists the labels of the Node that are not those of a generation; nothing when nobody has asked for them.
func (o *Observation) NodeDrift(g *Generation) (list []Drift) {
	if o.NodeLabels == nil {
		return nil
	}
	var differ []string
	wanted := g.NodeLabels()
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		switch value, has := o.NodeLabels[name]; {
		case !has:
			differ = append(differ, fmt.Sprintf("has no label %s=%s", name, wanted[name]))
		case value != wanted[name]:
			differ = append(differ, fmt.Sprintf("has the label %s=%s, want %s", name, value, wanted[name]))
		}
	}
	if len(differ) > 0 {
		list = append(list, Drift{Target: "node", Reason: strings.Join(differ, "; ")})
	}
	return list
}
