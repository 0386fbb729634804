package config

import (
	"cmp"
	"maps"
	"slices"
)

// pin sets each default that would change to its old value: for a field the former kubelet's default, and for a flag that
// kubeletctl would give the one of kubelet itself. What the release does not accept stays Changed.
func (m *migrator) pin(in MigrateInput) {
	for i, item := range m.out.Items {
		if item.Outcome != Changed || item.field == "" {
			continue
		}
		fields, _ := tidy(m.out.Fields).(map[string]any)
		path, _ := SplitPath(item.field)
		var value any // null takes back what kubeletctl sets
		if item.Old != unset {
			var err error
			if value, err = parseValue(item.Old, holdsText(path)); err != nil {
				continue
			}
		}
		if SetField(fields, path, value) == nil && m.renderAgain(in.Input, m.out.Flags, fields) {
			m.out.Items[i] = Item{Position: item.Position, Item: item.field + ": " + item.Old, Outcome: Pinned, Why: item.New + " is " + item.Why}
		}
	}
	from := cmp.Or(in.From, m.target)
	for _, name := range slices.Sorted(maps.Keys(kubeletFlags)) {
		now, given := Argument(m.out.Rendered.Args, name)
		if _, asked := m.out.Flags[name]; asked || !given {
			continue
		}
		for _, d := range kubeletFlags[name] {
			holds := span{d.since, d.until}.holds
			flags := maps.Clone(m.out.Flags)
			flags[name] = d.value
			if d.value != now && holds(from) && holds(m.target) && m.renderAgain(in.Input, flags, m.out.Fields) {
				m.out.Items = append(m.out.Items, Item{Item: show(name, d.value), Outcome: Pinned, Why: "kubeletctl gives " + show(name, now)})
			}
		}
	}
}

// renderAgain takes other flags and fields, unless the release does not.
func (m *migrator) renderAgain(in Input, flags map[string]string, fields map[string]any) bool {
	in.Flags, in.Config = flags, fields
	rendered, err := Render(in)
	if err != nil {
		return false
	}
	m.out.Rendered, m.out.Flags, m.out.Fields = rendered, flags, fields
	return true
}

// kubeletFlags is what kubelet does without the flags that flagDefaults gives (k8s.io/kubernetes/cmd/kubelet/app/options). A
// default does not outlive the release that changes what it means: from 1.24 on there is no dockershim, and until 1.26 the
// endpoint was empty.
var kubeletFlags = map[string][]struct {
	value        string
	since, until Minor
}{
	"container-runtime":            {{value: "docker", until: 24}},
	"container-runtime-endpoint":   {{value: "unix:///var/run/dockershim.sock", until: 24}, {value: "unix:///run/containerd/containerd.sock", since: 27}},
	"image-pull-progress-deadline": {{value: "1m0s"}},
	"network-plugin":               {{value: ""}},
	"register-node":                {{value: "true"}},
	"v":                            {{value: "0"}},
}
