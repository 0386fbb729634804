package config

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Flag is a kubelet command line flag. Minors are 0 where there is none.
type Flag struct {
	Name  string `json:"name"`
	Type  string `json:"type"`  // as in the table: "bool", "map[string]string (k=v,...)"; see convert.go
	Group string `json:"group"` // kubelet, config, container-runtime, cadvisor, klog, logging, credential-provider, global

	Since        Minor  `json:"since"`
	Deprecated   Minor  `json:"deprecated"`
	Deprecation  string `json:"deprecation"` // use-config-file is a warning only; the others announce removal
	Undeprecated Minor  `json:"undeprecated"`
	Removed      Minor  `json:"removed"`

	// Field is the KubeletConfiguration field that takes the same value.
	Field        string `json:"field"`
	FieldSince   Minor  `json:"fieldSince"`
	FieldRemoved Minor  `json:"fieldRemoved"`

	ReplacedBy string `json:"replacedBy"` // the flag to look at instead; the value need not be the same
	Notes      string `json:"notes"`
}

// AcceptedBy reports whether a kubelet of m starts with the flag.
func (f Flag) AcceptedBy(m Minor) bool { return span{f.Since, f.Removed}.holds(m) }

// fieldIn returns the field that says the same in m, or "".
func (f Flag) fieldIn(m Minor) string {
	if f.Field == "" || !(span{f.FieldSince, f.FieldRemoved}).holds(m) {
		return ""
	}
	return f.Field
}

// toBeRemoved reports whether m announces that the flag will go.
func (f Flag) toBeRemoved(m Minor) bool {
	return f.Deprecation != "" && f.Deprecation != "use-config-file" && span{f.Deprecated, f.Undeprecated}.holds(m)
}

// Field is a KubeletConfiguration field.
type Field struct {
	Path       string `json:"path"`
	Type       string `json:"type"`
	Since      Minor  `json:"since"`
	Deprecated Minor  `json:"deprecated"`
	Removed    Minor  `json:"removed"`
	Default    string `json:"default"` // of the newest release, in words; empty when it is none or not documented
	// History are the defaults by release, oldest first, where they changed.
	History []FieldDefault `json:"history"`
	Notes   string         `json:"notes"`
}

// FieldDefault is what a field was by default from a release on.
type FieldDefault struct {
	Since   Minor  `json:"since"`
	Default string `json:"default"`
}

// DefaultIn is the field's default in m, in words; empty when none is documented. A switch came first
// with the effect that its absence had: that is the default of an m without it.
func (f Field) DefaultIn(m Minor) string {
	if f.Type == "bool" && len(f.History) > 0 && !f.AcceptedBy(m) {
		return f.History[0].Default
	}
	value := f.Default
	for _, d := range f.History {
		if d.Since <= m {
			value = d.Default
		}
	}
	return value
}

// AcceptedBy reports whether m has the field.
func (f Field) AcceptedBy(m Minor) bool { return span{f.Since, f.Removed}.holds(m) }

// addsNothingTo reports whether m does not have the field, and did what is the field's default.
func (f Field) addsNothingTo(m Minor) bool {
	return !f.AcceptedBy(m) && (f.Type != "bool" || len(f.History) == 0)
}

// isSetting reports whether the field has a default that can be held against that of another release.
func (f Field) isSetting() bool {
	return f.Type != "object" && !strings.Contains(f.Path, "[]") && f.Path != "apiVersion" && f.Path != "kind"
}

// neverFlag is a name that people ask for and that no kubelet of the table has.
type neverFlag struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Notes  string `json:"notes"`
}

var (
	//go:embed data/flags.json
	flagsJSON []byte
	//go:embed data/fields.json
	fieldsJSON []byte
)

type tables struct {
	flags       map[string]Flag
	flagNames   []string // sorted
	never       map[string]neverFlag
	fields      map[string]Field
	children    map[string][]string // parent path ("" is the top) -> names, sorted
	flagOfField map[string]string   // the newest flag that says what the field says
}

// table parses the embedded data once, at the first question.
var table = sync.OnceValue(func() tables {
	t, err := parseTables(flagsJSON, fieldsJSON)
	if err != nil {
		panic(fmt.Sprintf("the tables of package config: %v", err)) // they are part of the binary
	}
	return t
})

func parseTables(flagData, fieldData []byte) (tables, error) {
	var flagFile struct {
		Flags []Flag      `json:"flags"`
		Never []neverFlag `json:"never"`
	}
	if err := json.Unmarshal(flagData, &flagFile); err != nil {
		return tables{}, fmt.Errorf("flags: %w", err)
	}
	var fields []Field
	if err := json.Unmarshal(fieldData, &fields); err != nil {
		return tables{}, fmt.Errorf("fields: %w", err)
	}

	t := tables{
		flags:       make(map[string]Flag, len(flagFile.Flags)),
		never:       make(map[string]neverFlag, len(flagFile.Never)),
		fields:      make(map[string]Field, len(fields)),
		children:    make(map[string][]string),
		flagOfField: make(map[string]string),
	}
	for _, f := range flagFile.Flags {
		t.flags[f.Name] = f
		if old, taken := t.flagOfField[f.Field]; f.Field != "" && (!taken || t.flags[old].Removed != 0) {
			t.flagOfField[f.Field] = f.Name
		}
	}
	t.flagNames = slices.Sorted(maps.Keys(t.flags))
	for _, n := range flagFile.Never {
		t.never[n.Name] = n
	}
	for _, f := range fields {
		t.fields[f.Path] = f
		parent, name := "", f.Path
		if i := strings.LastIndexByte(f.Path, '.'); i >= 0 {
			parent, name = f.Path[:i], f.Path[i+1:]
		}
		t.children[parent] = append(t.children[parent], name)
	}
	for _, names := range t.children {
		slices.Sort(names)
	}
	return t, nil
}

// FlagName is the name of a flag as the table has it: kubelet takes `_` for `-`.
func FlagName(name string) string {
	return strings.ReplaceAll(strings.TrimLeft(name, "-"), "_", "-")
}

// LookupFlag finds a flag by its name without dashes, in whatever minor it existed.
func LookupFlag(name string) (Flag, bool) {
	f, ok := table().flags[FlagName(name)]
	return f, ok
}

// LookupField finds a field by its dotted path, in whatever minor it existed.
func LookupField(path string) (Field, bool) {
	f, ok := table().fields[path]
	return f, ok
}

// AllFields lists the fields of every release, sorted by path.
func AllFields() []Field {
	t := table()
	all := make([]Field, 0, len(t.fields))
	for _, path := range slices.Sorted(maps.Keys(t.fields)) {
		all = append(all, t.fields[path])
	}
	return all
}

// FlagsOf lists the flags that a kubelet of m accepts, sorted by name.
func FlagsOf(m Minor) []Flag {
	t := table()
	var flags []Flag
	for _, name := range t.flagNames {
		if f := t.flags[name]; f.AcceptedBy(m) {
			flags = append(flags, f)
		}
	}
	return flags
}

// fieldsOf lists the names below parent ("" is the top) that m has.
func fieldsOf(parent string, m Minor) []string {
	t := table()
	var names []string
	for _, name := range t.children[parent] {
		if t.fields[below(parent, name)].AcceptedBy(m) {
			names = append(names, name)
		}
	}
	return names
}
