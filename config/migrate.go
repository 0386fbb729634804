package config

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/kubeletctl/kubeletctl/config/rules"
)

// Outcome says what became of something that a kubelet was run with.
type Outcome string

const (
	Kept       Outcome = "kept"
	Moved      Outcome = "moved"      // from a flag to a field
	Replaced   Outcome = "replaced"   // by something that does the same
	Dropped    Outcome = "dropped"    // it had no effect, or none that is left
	Impossible Outcome = "impossible" // nothing takes its place; a person has to decide
	Changed    Outcome = "changed"    // nobody asked for it: a default differs
	Pinned     Outcome = "pinned"     // a default differs, and is asked for as it was
)

// Item is one line of a migration: a flag or a field and what became of it.
type Item struct {
	Position
	Item    string  `json:"item"`
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why,omitempty"`
	// For what Changed:
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`

	field string // the path of what Changed, when a value of it says what Old says
}

// Migration is a setup carried over to another release.
type Migration struct {
	Items []Item
	// Flags and Fields are what is left of the user's own wishes: what a spec
	// for the new release says.
	Flags    map[string]string
	Expand   []string // names of Flags: see Input
	Fields   map[string]any
	Rendered *Rendered
}

// Impossible lists what a person has to decide.
func (m *Migration) Impossible() []Item {
	var items []Item
	for _, i := range m.Items {
		if i.Outcome == Impossible {
			items = append(items, i)
		}
	}
	return items
}

// MigrateInput is a setup and where it shall go.
type MigrateInput struct {
	Input // Minor and Version are the target; Config and Positions those of the setup
	Args  []Arg
	// From is the release that the setup ran; 0 when it is not known.
	From Minor
	// NoConfigFile is set when the setup had no --config: such a kubelet has other
	// defaults.
	NoConfigFile bool
	// UnknownConfigFile is set when what was in force is not known: the file is
	// not here, or nobody knows whether there was one.
	UnknownConfigFile bool
	// Pin asks for each default that differs as it was, so that nothing changes.
	Pin bool
}

// Migrate carries what people have over to another release. Nothing of the
// setup is lost without a word: every flag and field is an Item. What cannot be
// carried over is left out of the result and is an Impossible item. It returns
// an error only when the target itself cannot be rendered.
func Migrate(in MigrateInput) (*Migration, error) {
	m := &migrator{target: min(in.Minor, Newest), out: &Migration{}}
	fields, _ := tidy(in.Config).(map[string]any)
	if fields == nil {
		fields = map[string]any{}
	}
	flags, unknown, positions := flagMap(in.Args)
	maps.Copy(positions, in.Positions)
	m.positions = positions

	if file, given := flags["config"]; given {
		delete(flags, "config")
		if own := cmp.Or(in.ConfigPath, defaultConfigPath); file != own {
			m.item("flags.config", "--config="+file, Replaced, "kubeletctl writes "+own+" with what it said")
		} else {
			m.item("flags.config", "--config="+file, Kept, "")
		}
	}
	if version, given := flags["version"]; given && version == "false" {
		delete(flags, "version")
	}
	m.unknownFields("", root, fields)
	m.expand(flags, unknown, fields)
	m.flagsWin(flags, fields)
	m.goneGates(flags, fields)

	in.Expand = m.out.Expand
	in.Flags, in.Config, in.Positions = flags, fields, positions
	rendered, err := m.render(&in.Input)
	if err != nil {
		return nil, err
	}
	m.out.Rendered = rendered
	m.account(in.Input)
	m.out.Expand = slices.DeleteFunc(m.out.Expand, func(name string) bool { _, left := m.out.Flags[name]; return !left })
	m.changes(in)
	if in.Pin {
		m.pin(in)
	}
	slices.SortStableFunc(m.out.Items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Item, b.Item))
	})
	return m.out, nil
}

type migrator struct {
	target    Minor
	positions Positions
	out       *Migration
}

func (m *migrator) item(path, shown string, outcome Outcome, why string) {
	m.out.Items = append(m.out.Items, Item{Position: m.positions.of(path), Item: shown, Outcome: outcome, Why: why})
}

// unknownFields drops what no kubelet ever knew: it had no effect.
func (m *migrator) unknownFields(path, shown string, level map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(level)) {
		f, known := LookupField(below(path, key))
		if !known {
			why := "no kubelet knows it; it never had an effect"
			if hint := suggestField(path, key, m.target); hint != "" {
				why += "; " + hint
			}
			m.item(below(shown, key), below(strings.TrimPrefix(strings.TrimPrefix(shown, root), "."), key), Dropped, why)
			delete(level, key)
			continue
		}
		if deeper, ok := level[key].(map[string]any); ok && f.Type == "object" {
			m.unknownFields(f.Path, below(shown, key), deeper)
		}
	}
}

// neverExpanded are flags of which kubeletctl has to know the value.
var neverExpanded = []string{"config", "config-dir", "root-dir", "kubeconfig", "bootstrap-kubeconfig", "container-runtime-endpoint"}

// CanExpand reports whether a flag may have a value that systemd expands.
func CanExpand(name string) bool { return !slices.Contains(neverExpanded, FlagName(name)) }

// expand keeps flags of which the value is not known here: systemd expands it,
// as it did before.
func (m *migrator) expand(flags map[string]string, unknown []string, fields map[string]any) {
	for _, name := range unknown {
		if _, given := flags[name]; !given {
			continue
		}
		if !CanExpand(name) {
			m.item("flags."+name, show(name, flags[name]), Impossible, "only systemd knows the value, and kubeletctl has to")
			delete(flags, name)
			continue
		}
		m.out.Expand = append(m.out.Expand, name)
		f, _ := LookupFlag(name)
		path, _ := SplitPath(f.Field)
		if _, said := get(fields, path); said && f.Field != "" {
			m.item(root+"."+f.Field, f.Field, Dropped, show(name, flags[name])+" overrode it")
			remove(fields, path)
		}
	}
}

// flagsWin removes the fields that a flag of the same setup overrode. Feature
// gates are merged, as the kubelet does it.
func (m *migrator) flagsWin(flags map[string]string, fields map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		f, ok := LookupFlag(name)
		if !ok || f.Field == "" {
			continue
		}
		path, _ := SplitPath(f.Field)
		old, said := get(fields, path)
		if !said || old == nil {
			continue
		}
		parsed, err := parseFlag(f, flags[name])
		if err != nil {
			continue // a problem that Render tells
		}
		gates, ok := old.(map[string]any)
		if over, isMap := parsed.(map[string]any); ok && isMap && f.Type == typeGates {
			maps.Copy(gates, over)
			m.item("flags."+name, show(name, flags[name]), Moved, "to "+f.Field+", together with those of the file")
			delete(flags, name)
			continue
		}
		if !sameField(f.Field, old, fieldForm(f, parsed, m.target)) {
			m.item(root+"."+f.Field, f.Field, Dropped, fmt.Sprintf("%s overrode it", show(name, flags[name])))
			remove(fields, path)
		}
	}
}

// goneGates drops the feature gates that the target does not know any more, where it does without them what they asked for.
func (m *migrator) goneGates(flags map[string]string, fields map[string]any) {
	drop := func(place, name string, on bool) bool {
		if !rules.GateWithoutEffect(int(m.target), name, on) {
			return false
		}
		why := rules.CheckGate(int(m.target), name, on).Message
		m.item(place, fmt.Sprintf("%s=%t", name, on), Dropped, why+", and it is what the kubelet does")
		return true
	}
	if gates, ok := fields["featureGates"].(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(gates)) {
			if on, ok := gates[name].(bool); ok && drop(root+"."+below("featureGates", name), name, on) {
				delete(gates, name)
			}
		}
		if len(gates) == 0 {
			delete(fields, "featureGates")
		}
	}
	var kept []string
	for _, pair := range splitList(flags["feature-gates"]) {
		name, value, _ := strings.Cut(pair, "=")
		if on, err := strconv.ParseBool(strings.TrimSpace(value)); err != nil || !drop("flags.feature-gates", strings.TrimSpace(name), on) {
			kept = append(kept, pair)
		}
	}
	if flags["feature-gates"] = strings.Join(kept, ","); len(kept) == 0 {
		delete(flags, "feature-gates")
	}
}

// render renders the input, and takes out of the input what stands in the way, until
// nothing does.
func (m *migrator) render(in *Input) (*Rendered, error) {
	for range 1 + len(in.Flags) + countLeaves(in.Config) {
		out, err := Render(*in)
		if err == nil {
			return out, nil
		}
		progress := false
		for _, p := range Unjoin(err) {
			why := p.Message
			if p.Hint != "" {
				why += "; " + p.Hint
			}
			if name, ok := strings.CutPrefix(p.Path, "flag --"); ok {
				value, given := in.Flags[name]
				if !given {
					continue
				}
				delete(in.Flags, name)
				m.item(below("flags", name), show(name, value), Impossible, why)
				progress = true
				continue
			}
			if path, ok := strings.CutPrefix(p.Path, root+"."); ok {
				if shown, ok := removeAt(in.Config, path); ok {
					m.item(p.Path, shown, Impossible, why)
					progress = true
				}
			}
		}
		if !progress {
			return nil, err
		}
	}
	return Render(*in)
}

// account says of everything that is left where it is now.
func (m *migrator) account(in Input) {
	m.out.Flags, m.out.Fields = map[string]string{}, map[string]any{}
	said := map[string]bool{}
	for _, n := range m.out.Rendered.Notes {
		said[n.flag] = true
		m.item(below("flags", n.flag), n.Item, n.What, n.Why)
		if n.by != "" {
			m.out.Flags[n.by] = in.Flags[n.flag]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Flags)) {
		if !said[name] {
			m.out.Flags[name] = in.Flags[name]
			why := ""
			if slices.Contains(m.out.Expand, name) {
				why = "systemd expands it"
			}
			m.item(below("flags", name), show(name, in.Flags[name]), Kept, why)
		}
	}
	m.out.Fields = m.out.Rendered.wished
	walkLeaves("", in.Config, func(path string, value any) {
		m.item(root+"."+path, path+": "+compact(maskAt(path, value)), Kept, "")
	})
}

// changes lists what nobody asked for: defaults that differ between the
// releases, between a kubelet with and one without a configuration file, and
// between the kubelet and kubeletctl.
func (m *migrator) changes(in MigrateInput) {
	from := in.From
	if from == 0 {
		from = m.target
	}
	before := func(f Field) string {
		if in.UnknownConfigFile {
			return "not known"
		}
		if in.NoConfigFile {
			if legacy, ok := legacyDefaults[f.Path]; ok && legacy.since <= from {
				return legacy.value
			}
		}
		return f.DefaultIn(from)
	}
	for _, f := range AllFields() {
		path := f.Path
		parts, _ := SplitPath(path)
		if !f.isSetting() || !f.AcceptedBy(m.target) {
			continue
		}
		if value, asked := get(m.out.Fields, parts); asked {
			for _, r := range reread {
				if r.field == path && r.value == value && from < r.since && r.since <= m.target {
					m.out.Items = append(m.out.Items, Item{Position: m.positions.of(root + "." + path), field: path,
						Item: path + ": " + compact(maskAt(path, value)), Outcome: Changed, Old: r.old, New: r.new, Why: "since " + r.since.String()})
				}
			}
			continue
		}
		if name := table().flagOfField[path]; name != "" {
			if _, asked := in.Flags[name]; asked {
				continue
			}
		}
		now, why := f.DefaultIn(m.target), "the default of "+m.target.String()
		value, written := get(m.out.Rendered.Fields, parts)
		if written {
			now, why = compact(maskAt(path, value)), "kubeletctl sets it; --profile upstream does not"
		}
		if (f.addsNothingTo(from) || in.UnknownConfigFile) && !written {
			continue
		}
		if _, legacy := legacyDefaults[path]; legacy && in.NoConfigFile && !written {
			why = "the default with a configuration file"
		}
		m.out.Items = append(m.out.Items, changedDefault(f, before(f), now, why)...)
	}
	if _, given := FlagValue(in.Args, "container-runtime"); in.From != 0 && in.From < 24 && !given && m.target >= 24 {
		m.out.Items = append(m.out.Items, Item{Item: "--container-runtime", Outcome: Changed, Old: "docker", New: "remote",
			Why: "1.24 speaks only CRI: the containers of Docker stay behind; drain the node first"})
	}
}

// ChangedDefaults lists what differs between what was rendered for two releases although nobody asked for it.
func ChangedDefaults(old *Rendered, from Minor, new *Rendered, to Minor) []Item {
	from, to = min(from, Newest), min(to, Newest)
	effective := func(r *Rendered, f Field, m Minor, path []string) string {
		if value, written := get(r.Fields, path); written {
			return compact(maskAt(f.Path, value))
		}
		return f.DefaultIn(m)
	}
	var items []Item
	for _, f := range AllFields() {
		path, _ := SplitPath(f.Path)
		if _, asked := get(new.wished, path); asked || !f.isSetting() || !f.AcceptedBy(to) {
			continue
		}
		_, written := get(new.Fields, path)
		if f.addsNothingTo(from) && !written {
			continue
		}
		why := "the default of " + to.String()
		if written {
			why = "kubeletctl sets it"
		}
		items = append(items, changedDefault(f, effective(old, f, from, path), effective(new, f, to, path), why)...)
	}
	return items
}

// changedDefault is the item about a default, and none when the two are the same.
func changedDefault(f Field, old, now, why string) []Item {
	if sameText(f, old, now) {
		return nil
	}
	return []Item{{Item: f.Path, Outcome: Changed, Old: cmp.Or(old, unset), New: cmp.Or(now, unset), Why: why, field: f.Path}}
}

// unset says that a field has no default.
const unset = "unset"

// reread are values that a later release takes for something else.
var reread = []struct {
	field    string
	value    any
	since    Minor
	old, new string
}{
	{"eventRecordQPS", int64(0), 37, "50", "unlimited"},
}

// FlagValue is the value of the last arg of that name.
func FlagValue(args []Arg, name string) (string, bool) {
	for _, a := range slices.Backward(args) {
		if a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

// sameText compares two defaults in words.
func sameText(f Field, a, b string) bool {
	none := func(s string) string {
		switch s {
		case "nil", "null", "[]", unset, `""`:
			return ""
		}
		return s
	}
	a, b = none(a), none(b)
	return a == b || sameField(f.Type, a, b)
}

func compact(value any) string {
	switch v := value.(type) {
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = compact(item)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, key+": "+compact(v[key]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(value)
}

// walkLeaves visits every value that is not a mapping of fields.
func walkLeaves(path string, level map[string]any, visit func(path string, value any)) {
	for _, key := range slices.Sorted(maps.Keys(level)) {
		at := below(path, key)
		deeper, isMap := level[key].(map[string]any)
		if f, ok := LookupField(at); isMap && ok && f.Type == "object" {
			walkLeaves(at, deeper, visit)
			continue
		}
		visit(at, level[key])
	}
}

func countLeaves(fields map[string]any) int {
	n := 0
	walkLeaves("", fields, func(string, any) { n++ })
	return n
}

// remove deletes the value at path, and the mappings that it leaves empty.
func remove(fields map[string]any, path []string) {
	if len(path) == 0 {
		return
	}
	if deeper, ok := fields[path[0]].(map[string]any); ok && len(path) > 1 {
		if remove(deeper, path[1:]); len(deeper) > 0 {
			return
		}
	}
	delete(fields, path[0])
}

// removeAt deletes what a problem's path points at, or the nearest thing around
// it that exists, and returns how to show it.
func removeAt(fields map[string]any, path string) (string, bool) {
	for path != "" {
		if !strings.HasSuffix(path, "]") {
			if parts, err := SplitPath(path); err == nil {
				if value, ok := get(fields, parts); ok && !reflect.DeepEqual(value, fields) {
					remove(fields, parts)
					return path + ": " + compact(maskAt(path, value)), true
				}
			}
		}
		path = path[:max(lastSeparator(path), 0)]
	}
	return "", false
}
