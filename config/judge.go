package config

import (
	"github.com/kubeletctl/kubeletctl/config/rules"
)

// judged is a setup to be held against the rules of a release: what a kubelet refuses although names and types are right.
type judged struct {
	minor   Minor // may be newer than the tables
	fields  map[string]any
	flags   map[string]string
	byFlag  map[string]string // field -> the flag that says what it is
	written bool              // those fields are written to the file, where a zero is no value
	partial bool              // there is a configuration file that is not known
}

// problems are what the release refuses. Their paths are "kubeletConfiguration.FIELD" or "flag --NAME"; they have no position.
func (j judged) problems() Problems {
	minor := min(j.minor, Newest)
	fields, _ := tidy(j.fields).(map[string]any) // a copy
	withoutNulls(fields)
	setup := rules.Setup{
		Minor: int(minor), Fields: fields, Flags: j.flags, Partial: j.partial, ByFlag: map[string]bool{},
		Default: func(field string) string {
			f, _ := LookupField(field)
			if !f.AcceptedBy(minor) {
				return ""
			}
			return f.DefaultIn(minor)
		},
	}
	for field := range j.byFlag {
		setup.ByFlag[field] = !j.written
	}
	var all Problems
	for _, v := range rules.Check(setup) {
		if v.Unknown && j.minor > Newest {
			continue // it may be a gate that the tables do not know yet
		}
		p := Problem{Path: j.place(v), Message: v.Message, Hint: v.Hint, Since: Minor(v.Since), Removed: Minor(v.Removed)}
		if v.Unknown {
			path, _ := SplitPath(v.Field)
			p.Hint = DidYouMean(path[len(path)-1], rules.GatesOf(int(minor)))
		}
		all = append(all, p)
	}
	all.sort()
	return all
}

// place is where the user wrote what a rule complains of.
func (j judged) place(v rules.Violation) string {
	if v.Flag != "" {
		return "flag --" + v.Flag
	}
	for field := v.Field; field != ""; field = field[:max(lastSeparator(field), 0)] {
		if name, ok := j.byFlag[field]; ok {
			return "flag --" + name
		}
	}
	return root + "." + v.Field
}
