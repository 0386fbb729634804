package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Severity of a Finding.
type Severity string

const (
	// Error: the kubelet does not start with it, or ignores it.
	Error Severity = "error"
	// Warning: it works in this release.
	Warning Severity = "warning"
)

// Finding is something that validation has to say.
type Finding struct {
	Severity Severity `json:"severity"`
	Problem
}

// SortFindings sorts by place: file, line, column.
func SortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int { return compareProblems(a.Problem, b.Problem) })
}

// ValidateArgs holds flags of a kubelet against the table of m. What a whole
// command line lacks, MissingFlags tells.
func ValidateArgs(m Minor, args []Arg) []Finding {
	v := validation{minor: min(m, Newest)}
	last := map[string]Arg{}
	for _, a := range args {
		f, known := LookupFlag(a.Name)
		if first, twice := last[a.Name]; twice && known && !collects(f) && first.Value != a.Value {
			v.add(Warning, a, Problem{Message: "given twice; the last one counts"})
		}
		last[a.Name] = a
		v.arg(a, f, known)
	}
	v.rules(m, args)
	return v.findings
}

// MissingFlags finds what a kubelet of m does not start without, although args
// are all the flags that it gets.
func MissingFlags(m Minor, args []Arg) []Finding {
	v := validation{minor: min(m, Newest)}
	last := map[string]Arg{}
	for _, a := range args {
		last[a.Name] = a
	}
	if given, missing, found := halfPair(m, last); found {
		v.add(Error, last[given], Problem{Message: missesPartner(missing)})
	}
	if _, given := last["container-runtime-endpoint"]; len(args) > 0 && !given && m >= 24 && m < 27 {
		v.add(Error, Arg{Name: "container-runtime-endpoint", Position: Position{File: args[0].File}},
			Problem{Message: "missing: " + m.String() + " has no default for it", Hint: "as in --container-runtime-endpoint=" + defaultEndpoint})
	}
	return v.findings
}

// rules holds a command line against the rules of m, which may be newer than the tables.
func (v *validation) rules(m Minor, args []Arg) {
	flags, unknown, positions := flagMap(args)
	fields := map[string]any{}
	byFlag := overrideFields(v.minor, fields, flags, unknown)
	setup := judged{minor: m, fields: fields, flags: flags, byFlag: byFlag, partial: flags["config"] != "" || flags["config-dir"] != ""}
	for _, p := range setup.problems() {
		name := strings.TrimPrefix(p.Path, "flag --")
		p.Position, p.Path = positions.of(below("flags", name)), "--"+name
		if !slices.ContainsFunc(v.findings, func(f Finding) bool { return f.Severity == Error && f.Path == p.Path }) {
			v.findings = append(v.findings, Finding{Error, p})
		}
	}
}

// overrideFields sets the fields of which flags say what they are, as a kubelet
// of m does it. It returns the flag of each field.
func overrideFields(m Minor, fields map[string]any, flags map[string]string, unknown []string) (byFlag map[string]string) {
	byFlag = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		f, known := LookupFlag(name)
		if !known || f.Field == "" || !f.AcceptedBy(m) || slices.Contains(unknown, name) {
			continue
		}
		path, _ := SplitPath(f.Field)
		if parsed, err := parseFlag(f, flags[name]); err == nil && SetField(fields, path, parsed) == nil {
			byFlag[f.Field] = name
		}
	}
	return byFlag
}

// ValidateWritten holds a KubeletConfiguration that another program has written
// against the table and the rules of m; args are the flags that the kubelet gets
// beside it, which ValidateArgs validates. Errors are what the kubelet refuses,
// and warnings are values that it ignores, since it does not know their fields.
// The other arguments are those of ValidateConfig; m is at most Newest.
func ValidateWritten(m Minor, fields map[string]any, positions Positions, args []Arg) []Finding {
	tidied, _ := tidy(fields).(map[string]any)
	c := checker{minor: m, positions: positions, written: true}
	c.config(tidied)
	var problems, warnings Problems
	for _, p := range c.problems {
		if p.Ignored {
			warnings = append(warnings, p)
		} else {
			problems = append(problems, p)
		}
	}
	flags, unknown, _ := flagMap(args)
	setup := judged{minor: m, fields: tidied, flags: flags, partial: flags["config-dir"] != ""}
	gates, _ := tidied["featureGates"].(map[string]any)
	if setup.byFlag = overrideFields(m, tidied, flags, unknown); setup.byFlag["featureGates"] != "" { // which add up
		more, _ := tidied["featureGates"].(map[string]any)
		tidied["featureGates"] = MergeFields(gates, more)
	}
	for _, p := range setup.problems() {
		p.Position = positions.of(p.Path)
		overlaps := func(q Problem) bool { return isBelow(p.Path, q.Path) || isBelow(q.Path, p.Path) }
		if isBelow(p.Path, root) && !slices.ContainsFunc(c.problems, overlaps) {
			problems = append(problems, p)
		}
	}
	return findings(problems, warnings)
}

type validation struct {
	minor    Minor
	findings []Finding
}

func (v *validation) add(s Severity, a Arg, p Problem) {
	p.Position, p.Path = a.Position, "--"+a.Name
	v.findings = append(v.findings, Finding{s, p})
}

func (v *validation) arg(a Arg, f Flag, known bool) {
	if !known {
		if n, ok := table().never[a.Name]; ok {
			v.add(Error, a, Problem{Message: fmt.Sprintf("no kubelet from %s on has it: %s", Oldest, n.Status), Hint: n.Notes})
			return
		}
		v.add(Error, a, Problem{Message: "unknown flag in " + v.minor.String(), Hint: suggestFlag(a.Name, v.minor)})
		return
	}
	instead := f.replacement(v.minor)
	if v.minor < f.Since {
		v.add(Error, a, Problem{Message: fmt.Sprintf("appears in %s, this is %s", f.Since, v.minor), Since: f.Since})
		return
	}
	if !f.AcceptedBy(v.minor) {
		v.add(Error, a, Problem{
			Message: fmt.Sprintf("removed in %s; the kubelet does not start with it", f.Removed), Hint: orNotes(instead, f.Notes),
			Since: f.Since, Removed: f.Removed, Replacement: instead,
		})
		return
	}
	if err := v.value(a, f); err != nil {
		v.add(Error, a, Problem{Message: err.Error()})
		return
	}
	if f.Deprecated != 0 && (span{f.Deprecated, f.Undeprecated}).holds(v.minor) && !isNodeFlag(f.Name) {
		message := fmt.Sprintf("deprecated since %s", f.Deprecated)
		switch {
		case f.Removed != 0:
			message += fmt.Sprintf(", removed in %s", f.Removed)
		case f.Deprecation != "use-config-file":
			message += ", will be removed"
		}
		v.add(Warning, a, Problem{Message: message, Hint: orNotes(instead, f.Notes), Since: f.Deprecated, Removed: f.Removed, Replacement: instead})
	}
}

// value checks the value of a flag that the release has.
func (v *validation) value(a Arg, f Flag) error {
	if a.Unknown {
		return nil
	}
	parsed, err := parseFlag(f, a.Value)
	if err != nil {
		return err
	}
	return kubeletRefuses(v.minor, f.Name, a.Value, parsed)
}

// replacement is what to use in m instead of a flag: a field or another flag.
func (f Flag) replacement(m Minor) string {
	if field := f.fieldIn(m); field != "" {
		return field
	}
	if other, ok := LookupFlag(f.ReplacedBy); ok && other.AcceptedBy(m) {
		return "--" + other.Name
	}
	return ""
}

func orNotes(replacement, notes string) string {
	if replacement == "" {
		return notes
	}
	if replacement[0] == '-' {
		return because("see "+replacement, notes)
	}
	return "use the field " + replacement
}

// ValidateConfig holds a KubeletConfiguration, without apiVersion and kind,
// against the table of m. Positions are those of LoadKubeletConfiguration.
func ValidateConfig(m Minor, fields map[string]any, positions Positions) []Finding {
	tidied, _ := tidy(fields).(map[string]any)
	r := newRenderer(Input{Minor: m, Config: tidied, Positions: positions})
	r.userConfig()
	r.rules()
	r.warnDeprecatedFields("", r.fields)
	return findings(r.problems, r.warnings)
}

// ValidateInput holds what a spec asks for against the table of a release:
// unlike a command line, a spec may name flags that Render drops or moves.
func ValidateInput(in Input) []Finding {
	out, err := Render(in)
	if err != nil {
		return findings(Unjoin(err), nil)
	}
	warnings := Problems(out.Warnings)
	for _, n := range out.Notes {
		warnings = append(warnings, Problem{Position: in.Positions.of(below("flags", n.flag)), Path: n.Item, Message: string(n.What) + ": " + n.Why})
	}
	return findings(nil, warnings)
}

func findings(problems, warnings Problems) []Finding {
	var all []Finding
	for _, p := range problems {
		all = append(all, Finding{Error, p})
	}
	for _, p := range warnings {
		all = append(all, Finding{Warning, p})
	}
	SortFindings(all)
	return all
}

// Unjoin lists the Problems in err; an error of another kind becomes one.
func Unjoin(err error) Problems {
	switch e := err.(type) {
	case nil:
		return nil
	case Problems:
		return e
	case Problem:
		return Problems{e}
	case interface{ Unwrap() []error }:
		var all Problems
		for _, inner := range e.Unwrap() {
			all = append(all, Unjoin(inner)...)
		}
		return all
	}
	return Problems{{Message: err.Error()}}
}

func compareProblems(a, b Problem) int {
	return cmp.Or(
		cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
		cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
}
