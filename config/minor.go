package config

import "strconv"

// Minor is a Kubernetes minor release: 37 is Kubernetes 1.37.
type Minor int

// The range of the tables.
const (
	Oldest Minor = 13
	Newest Minor = 37
)

func (m Minor) String() string { return "1." + strconv.Itoa(int(m)) }

// MarshalText makes documents say "1.37"; the tables, which are only read, have the bare number.
func (m Minor) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// span is the range of minors that accept something: from since on, up to but
// without removed (0: never removed).
type span struct{ since, removed Minor }

func (s span) holds(m Minor) bool {
	return s.since <= m && (s.removed == 0 || m < s.removed)
}
