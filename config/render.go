package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Input is what the user wants of a kubelet, for one release.
type Input struct {
	Minor      Minor
	Version    string            // as the user knows it, "v1.37.2"; only for the words
	ConfigPath string            // the value of --config
	Flags      map[string]string // by name without dashes; they override the defaults
	Expand     []string          // names of Flags in whose values systemd expands specifiers and variables
	Config     map[string]any    // KubeletConfiguration fields, nested; a null takes a default back
	Positions  Positions         // of "flags.NAME" and "kubeletConfiguration.PATH"; may be nil
	Standalone bool              // no API server
	Profile    Profile           // of the defaults; "" is Hardened
	Kubeconfig string            // the default of --kubeconfig; not used when Standalone
	// Accepted are the flags that the binary itself lists, when it was asked: they
	// count more than the tables for a release that is newer than those.
	Accepted map[string]bool
}

// Note is something that Render did with a flag of the user's.
type Note struct {
	Item string  `json:"item"` // "--network-plugin=cni"
	What Outcome `json:"what"` // Moved, Dropped or Replaced
	Why  string  `json:"why"`

	flag string // its name, as the user wrote it
	by   string // the flag that takes the same value, if that is what replaced it
}

func (n Note) String() string { return n.Item + " " + string(n.What) + ": " + n.Why }

// Rendered is what a kubelet of the release gets.
type Rendered struct {
	Args     []string       // for ExecStart: "--name=value", sorted by name
	Expanded []string       // those of Args in the notation of systemd, which expands them
	Config   []byte         // the KubeletConfiguration file
	Fields   map[string]any // the same as data, with apiVersion and kind
	Notes    []Note
	Warnings []Problem

	wished map[string]any // the fields without the defaults
}

// Render decides where each flag and field lands for in.Minor. An error is
// Problems: everything that the user has to change, at once.
func Render(in Input) (*Rendered, error) {
	in.ConfigPath = cmp.Or(in.ConfigPath, defaultConfigPath)
	in.Kubeconfig = cmp.Or(in.Kubeconfig, defaultKubeconfig)
	asked := cmp.Or(in.Version, in.Minor.String())
	if in.Minor < Oldest {
		return nil, Problems{{Path: "version", Message: fmt.Sprintf("%s is not known: the oldest release is %s", asked, Oldest)}}
	}

	r := newRenderer(in)
	if in.Minor > Newest {
		r.warn("version", "", "%s is newer than the tables of this kubeletctl: flags and fields are those of %s", asked, Newest)
	}
	if in.Profile == Kubeadm {
		return r.forKubeadm()
	}
	r.userConfig()
	r.userFlags()
	if given, missing, found := halfPair(r.minor, r.args); found {
		r.problem(given, "", "%s", missesPartner(missing))
	}
	r.warnDeprecatedFields("", r.fields)
	r.rules()
	if err := r.problems.err(); err != nil {
		return nil, err
	}

	wished, _ := tidy(r.fields).(map[string]any) // a copy
	delete(wished, "apiVersion")
	delete(wished, "kind")
	reasons := r.defaultFields()
	r.defaultFlags()
	withoutNulls(r.fields)
	r.rules() // the defaults may not go together with what the user wants
	if err := r.problems.err(); err != nil {
		return nil, err
	}
	delete(r.fields, "apiVersion")
	delete(r.fields, "kind")
	data, err := marshal(r.fields, reasons)
	if err != nil {
		return nil, err
	}
	r.fields["apiVersion"], r.fields["kind"] = apiVersion, kind

	_, expanded := r.splitArgs()
	out := &Rendered{Args: words(r.args), Expanded: words(expanded), Config: data, Fields: r.fields, Notes: r.notes, Warnings: r.warnings, wished: wished}
	slices.SortStableFunc(out.Notes, func(a, b Note) int { return cmp.Compare(a.Item, b.Item) })
	Problems(out.Warnings).sort()
	return out, nil
}

// renderer is the work of one Render: first the user's wishes, then defaults
// where the user left room.
type renderer struct {
	in    Input
	minor Minor // of the table: in.Minor, or Newest when that is newer

	args   map[string]string // what stays a flag
	fields map[string]any    // what goes to the file
	movers map[string]string // field -> the user's flag that says the same, with its value

	notes    []Note
	warnings Problems
	problems Problems
}

func newRenderer(in Input) *renderer {
	fields, _ := tidy(in.Config).(map[string]any)
	if fields == nil {
		fields = map[string]any{}
	}
	return &renderer{
		in: in, minor: min(in.Minor, Newest),
		args: map[string]string{}, fields: fields, movers: map[string]string{},
	}
}

// words are flags as a command line has them, by name.
func words(flags map[string]string) (words []string) {
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		words = append(words, "--"+name+"="+flags[name])
	}
	return words
}

// splitArgs tells the flags whose values are known here from those that systemd expands.
func (r *renderer) splitArgs() (known, expanded map[string]string) {
	known, expanded = maps.Clone(r.args), map[string]string{}
	for _, written := range r.in.Expand {
		name := FlagName(written)
		if value, given := known[name]; given {
			delete(known, name)
			expanded[name] = value
		}
	}
	return known, expanded
}

func (r *renderer) userConfig() {
	c := checker{minor: r.minor, positions: r.in.Positions}
	c.config(r.fields)
	r.problems = append(r.problems, c.problems...)
}

// warnDeprecatedFields speaks of fields that the release still takes, but that
// have lost their effect.
func (r *renderer) warnDeprecatedFields(parent string, level map[string]any) {
	for key, value := range level {
		f, ok := LookupField(below(parent, key))
		if !ok {
			continue
		}
		if f.Deprecated != 0 && f.Deprecated <= r.minor && f.AcceptedBy(r.minor) && value != nil {
			r.warn(root+"."+f.Path, f.Notes, "deprecated since %s", f.Deprecated)
		}
		if deeper, ok := value.(map[string]any); ok {
			r.warnDeprecatedFields(f.Path, deeper)
		}
	}
}

// rules holds what there is by now against the rules of the release.
func (r *renderer) rules() {
	byFlag := map[string]string{}
	for field, shown := range r.movers {
		name, _, _ := strings.Cut(strings.TrimPrefix(shown, "--"), "=")
		byFlag[field] = name
	}
	flags, _ := r.splitArgs()
	setup := judged{minor: r.in.Minor, fields: r.fields, flags: flags, byFlag: byFlag, written: true, partial: r.in.Profile == Kubeadm}
	for _, p := range setup.problems() {
		path := p.Path
		if name, ok := strings.CutPrefix(path, "flag --"); ok {
			path = below("flags", name)
		}
		p.Position = r.in.Positions.of(path)
		if !slices.ContainsFunc(r.problems, func(q Problem) bool { return isBelow(p.Path, q.Path) || isBelow(q.Path, p.Path) }) {
			r.problems = append(r.problems, p)
		}
	}
}

func (r *renderer) userFlags() {
	written := map[string]string{} // canonical name -> as the user wrote it
	for _, name := range slices.Sorted(maps.Keys(r.in.Flags)) {
		canonical := FlagName(name)
		if twin, twice := written[canonical]; twice {
			r.problem(name, "", "given twice, as %s and as %s", twin, name)
			continue
		}
		written[canonical] = name
		r.userFlag(name, canonical, r.in.Flags[name])
	}
}

func (r *renderer) userFlag(written, name, value string) {
	f, known := LookupFlag(name)
	switch {
	case !known && r.in.Accepted[name]:
		r.args[name] = value // newer than the tables
	case !known:
		r.unknownFlag(written, name)
	case r.minor < f.Since:
		r.problem(written, "", "appears in %s, this is %s", f.Since, r.minor)
	case strings.ContainsFunc(value, unicode.IsControl):
		r.problem(written, "", "the value holds a line break or another control character")
	case !utf8.ValidString(value):
		r.problem(written, "", "the value is not UTF-8")
	case slices.Contains(r.in.Expand, written):
		if !r.accepts(f) {
			r.problem(written, "", "not a flag of %s, and what systemd expands in its value is not known here", r.minor)
			return
		}
		r.keep(written, f, value)
	case !r.accepts(f):
		r.retiredFlag(written, f, value)
	default:
		parsed, err := parseFlag(f, value)
		if err != nil {
			r.problem(written, "", "%s", err)
			return
		}
		if err := r.refuses(name, value, parsed); err != nil {
			r.problem(written, "", "%s", err)
			return
		}
		r.place(written, f, value, parsed, Moved)
	}
}

func (r *renderer) unknownFlag(written, name string) {
	if n, ok := table().never[name]; ok {
		r.problem(written, n.Notes, "no kubelet from %s on has it: %s", Oldest, n.Status)
		return
	}
	r.problem(written, suggestFlag(name, r.minor), "unknown flag in %s", r.minor)
}

// place puts a flag that the release accepts where it belongs.
func (r *renderer) place(written string, f Flag, value string, parsed any, what Outcome) {
	field := f.fieldIn(r.minor)
	if field == "" {
		r.keep(written, f, value)
		return
	}
	parsed = fieldForm(f, parsed, r.minor)
	path, _ := SplitPath(field)
	shown := show(f.Name, value)
	if old, said := get(r.fields, path); said && !sameField(field, old, parsed) {
		other := "kubeletConfiguration." + field
		if mover, ok := r.movers[field]; ok {
			other = mover
		}
		r.problem(written, "keep one of them", "%s contradicts %s, which is %s", shown, other, describeAt(field, old))
		return
	}
	if isNodeFlag(f.Name) && r.accepts(f) {
		r.keep(written, f, value)
		return
	}
	if err := SetField(r.fields, path, parsed); err != nil {
		return // the checker has reported what stands in the way
	}
	r.movers[field] = shown
	r.note(written, shown, what, "to "+field+" in the configuration file")
}

func (r *renderer) keep(written string, f Flag, value string) {
	r.args[f.Name] = value
	if f.toBeRemoved(r.minor) {
		r.warn("flags."+written, f.Notes, "deprecated since %s, will be removed", f.Deprecated)
	}
}

// retiredFlag deals with a flag that this release has no more.
func (r *renderer) retiredFlag(written string, f Flag, value string) {
	shown, gone := show(f.Name, value), "removed in "+f.Removed.String()
	if f.AcceptedBy(r.minor) {
		gone = "not a flag of " + cmp.Or(r.in.Version, r.in.Minor.String()) + " any more"
	}
	if f.fieldIn(r.minor) != "" {
		parsed, err := parseFlag(f, value)
		if err != nil {
			r.problem(written, "", "%s", err)
			return
		}
		r.place(written, f, value, parsed, Replaced)
		return
	}
	switch retire(f, value) {
	case dropped:
		r.note(written, shown, Dropped, because(gone, f.Notes))
	case renamed:
		if other, given := r.flag(f.ReplacedBy); given && other != value {
			r.problem(written, "keep one of them", "%s contradicts %s", shown, show(f.ReplacedBy, other))
			return
		}
		r.note(written, shown, Replaced, gone+": --"+f.ReplacedBy+" takes the same value")
		r.notes[len(r.notes)-1].by = f.ReplacedBy
		r.userFlag(written, f.ReplacedBy, value)
	default:
		if f.Name == "register-schedulable" && r.unschedulable(written, shown, gone, value) {
			return
		}
		hint := f.Notes
		if f.ReplacedBy != "" {
			hint = because("see --"+f.ReplacedBy, f.Notes)
		}
		r.problem(written, hint, "%s, and %s changed what the kubelet does", gone, shown)
	}
}

// accepts reports whether the target takes the flag: by the tables, and for a
// release that is newer than those by what the binary says.
func (r *renderer) accepts(f Flag) bool {
	return f.AcceptedBy(r.minor) && (r.in.Accepted == nil || r.in.Accepted[f.Name])
}

// unschedulable turns --register-schedulable=false into the taint that the API
// server would give such a node. It leaves a user's own taints alone.
func (r *renderer) unschedulable(written, shown, gone, value string) bool {
	if _, given := r.flag("register-with-taints"); given || !isFalse(value) {
		return false
	}
	if _, given := r.fields["registerWithTaints"]; given {
		return false
	}
	r.fields["registerWithTaints"] = []any{map[string]any{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}}
	r.note(written, shown, Replaced, gone+": by the taint node.kubernetes.io/unschedulable in registerWithTaints")
	return true
}

// flag is the user's value of a flag, however it was written.
func (r *renderer) flag(name string) (string, bool) {
	for written, value := range r.in.Flags {
		if FlagName(written) == name {
			return value, true
		}
	}
	return "", false
}

// defaultFields fills in what the user left open, and returns the reasons by
// top-level key.
func (r *renderer) defaultFields() map[string][]string {
	reasons := map[string][]string{}
	for _, d := range fieldDefaults(r.in, r.minor) {
		path, _ := SplitPath(d.field)
		if _, said := get(r.fields, path); said {
			continue
		}
		if f, ok := LookupField(d.field); ok && f.AcceptedBy(r.minor) {
			if SetField(r.fields, path, tidy(d.value)) == nil {
				reasons[path[0]] = append(reasons[path[0]], strings.Join(path[1:], ".")+": "+d.reason)
			}
			continue
		}
		if f, ok := LookupFlag(table().flagOfField[d.field]); ok && r.accepts(f) {
			if _, said := r.args[f.Name]; !said {
				r.args[f.Name] = fmt.Sprint(d.value)
			}
		}
	}
	return reasons
}

// defaultFlags fills in the flags that the user left open. A flag beats the
// file, so a default stays away when the user's file speaks of the same.
func (r *renderer) defaultFlags() {
	for name, value := range flagDefaults(r.in) {
		f, ok := LookupFlag(name)
		if !ok || !r.accepts(f) {
			continue
		}
		if _, said := r.args[name]; said {
			continue
		}
		if field := f.fieldIn(r.minor); field != "" {
			path, _ := SplitPath(field)
			if value, said := get(r.fields, path); said && value != nil {
				continue
			}
		}
		r.args[name] = value
	}
}

func (r *renderer) note(flag, item string, what Outcome, why string) {
	r.notes = append(r.notes, Note{Item: item, What: what, Why: why, flag: flag})
}

func (r *renderer) problem(flag, hint, format string, args ...any) {
	r.problems = append(r.problems, Problem{
		Position: r.in.Positions.of(below("flags", flag)), Path: "flag --" + FlagName(flag),
		Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// warn names the place as a path of the user's file: "flags.v", "version".
func (r *renderer) warn(path, hint, format string, args ...any) {
	shown := path
	if flag, ok := strings.CutPrefix(path, "flags."); ok {
		shown = "flag --" + FlagName(flag)
	}
	r.warnings = append(r.warnings, Problem{
		Position: r.in.Positions.of(path), Path: shown, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// show is a flag as it may be shown: notes end up in logs.
func show(name, value string) string { return "--" + name + "=" + maskFlag(name, value) }

func because(what, notes string) string {
	if notes == "" {
		return what
	}
	return what + ": " + strings.TrimSuffix(notes, ".")
}

func isFalse(value string) bool { return sameValue(Flag{Type: "bool"}, "false", value) }

// sameValue reports whether a flag reads both texts as the same value.
func sameValue(f Flag, a, b string) bool {
	x, errX := parseFlag(f, a)
	y, errY := parseFlag(f, b)
	if err := errors.Join(errX, errY); err != nil {
		return a == b
	}
	return sameField(f.Type, x, y)
}

// sameField compares two tidy values; durations by their length.
func sameField(fieldOrType string, a, b any) bool {
	if f, ok := LookupField(fieldOrType); ok {
		fieldOrType = f.Type
	}
	if x, ok := a.(string); ok && fieldOrType == "duration" {
		if y, ok := b.(string); ok {
			dx, errX := time.ParseDuration(x)
			dy, errY := time.ParseDuration(y)
			return x == y || errX == nil && errY == nil && dx == dy
		}
	}
	return reflect.DeepEqual(a, b)
}
