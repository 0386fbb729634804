package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// closest is the candidate that name was probably meant to be, or "".
func closest(name string, candidates []string) string {
	limit := max(1, len(name)/4) // one typo in a short word, a few in a long one
	best, bestDistance := "", limit+1
	for _, c := range candidates {
		d := levenshtein.Distance(strings.ToLower(name), strings.ToLower(c), nil)
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// otherCase is the candidate that differs from name in case only, or "".
func otherCase(name string, candidates []string) string {
	for _, c := range candidates {
		if c != name && strings.EqualFold(c, name) {
			return c
		}
	}
	return ""
}

// DidYouMean is a question about the candidate that name was probably meant to
// be, or "".
func DidYouMean(name string, candidates []string) string {
	if c := otherCase(name, candidates); c != "" {
		return fmt.Sprintf("did you mean %s? (case)", c)
	}
	if c := closest(name, candidates); c != "" {
		return fmt.Sprintf("did you mean %s?", c)
	}
	return ""
}

// suggestField says what an unknown key under parent was probably meant to be:
// a sibling, a flag's name, or a field of the same name elsewhere.
func suggestField(parent, name string, m Minor) string {
	if hint := DidYouMean(name, fieldsOf(parent, m)); hint != "" {
		return hint
	}
	if f, ok := LookupFlag(name); ok {
		if field := f.fieldIn(m); field != "" {
			return fmt.Sprintf("did you mean %s?", field)
		}
		if f.AcceptedBy(m) {
			return fmt.Sprintf("it is a flag: --%s", f.Name)
		}
	}
	var elsewhere []string
	t := table()
	for above := range t.children {
		if above == parent || strings.Contains(above, "[]") {
			continue
		}
		path := below(above, name)
		if f, ok := t.fields[path]; ok && f.AcceptedBy(m) {
			elsewhere = append(elsewhere, path)
		}
	}
	const most = 3 // more would be a guess
	if n := len(elsewhere); n == 0 || n > most {
		return ""
	}
	slices.Sort(elsewhere)
	return fmt.Sprintf("did you mean %s?", strings.Join(elsewhere, " or "))
}

// suggestFlag says what an unknown flag was probably meant to be.
func suggestFlag(name string, m Minor) string {
	t := table()
	for _, n := range t.flagNames {
		f := t.flags[n]
		// the field's name was given: cgroupDriver for cgroup-driver
		if f.AcceptedBy(m) && (strings.EqualFold(f.Field, name) || strings.EqualFold(strings.ReplaceAll(n, "-", ""), strings.ReplaceAll(name, "-", ""))) {
			return fmt.Sprintf("did you mean --%s?", n)
		}
	}
	if f, ok := LookupField(name); ok && f.AcceptedBy(m) {
		return fmt.Sprintf("it is a field: --set %s=...", name)
	}
	var accepted []string
	for _, f := range FlagsOf(m) {
		accepted = append(accepted, f.Name)
	}
	if c := closest(name, accepted); c != "" {
		return fmt.Sprintf("did you mean --%s?", c)
	}
	return ""
}
