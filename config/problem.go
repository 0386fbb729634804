package config

import (
	"slices"
	"strconv"
	"strings"
)

// Position is a place in a file that the user wrote. Line and Column count from
// 1; 0 is unknown.
type Position struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String is "file:line:column" without the parts that are not known.
func (p Position) String() string {
	var parts []string
	if p.File != "" {
		parts = append(parts, p.File)
	}
	if p.Line > 0 {
		parts = append(parts, strconv.Itoa(p.Line))
		if p.Column > 0 {
			parts = append(parts, strconv.Itoa(p.Column))
		}
	}
	return strings.Join(parts, ":")
}

// Positions tells by dotted path where a value was written:
// `kubeletConfiguration.evictionHard.memory\.available`, `sources[0].url`.
type Positions map[string]Position

// of is the position of path, or of the nearest thing around it.
func (p Positions) of(path string) Position {
	for path != "" {
		if at, ok := p[path]; ok {
			return at
		}
		path = path[:max(lastSeparator(path), 0)]
	}
	return p[""]
}

// Problem is something that the user has to change.
type Problem struct {
	Position
	Path    string `json:"path,omitempty"` // what: "flag --cgroup-drivr", "kubeletConfiguration.maxPods"
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // what to do

	Since       Minor  `json:"since,omitempty"`       // the first release that has it, or that deprecates it
	Removed     Minor  `json:"removed,omitempty"`     // the first release that has it no more
	Replacement string `json:"replacement,omitempty"` // "maxPods", "--container-runtime-endpoint"

	// Ignored: it is a field that the kubelet does not know, and goes on without.
	Ignored bool `json:"-"`
}

func (p Problem) Error() string {
	var b strings.Builder
	for _, part := range []string{p.Position.String(), p.Path} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Problems is everything that is wrong, in the order of the file. Nil is fine.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.Is and errors.As each of the problems.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// err sorts the problems and is a nil error when there are none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	ps.sort()
	return ps
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, compareProblems)
}
