package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/config/rules"
)

const (
	apiVersion = "kubelet.config.k8s.io/v1beta1"
	kind       = "KubeletConfiguration"
	root       = "kubeletConfiguration" // what problems and positions call the user's fields
)

// checker holds a KubeletConfiguration against the table of one minor.
//
// What a kubelet does not know in this file has no effect, and no more than a
// line in its log says so ("Using lenient decoding as strict decoding failed").
type checker struct {
	minor     Minor
	positions Positions
	problems  Problems
	// written says that a program has written the file, with all the fields of
	// its release: one that has no value asks for nothing.
	written bool
}

func (c *checker) problem(path, hint, format string, args ...any) {
	c.problems = append(c.problems, Problem{
		Position: c.positions.of(path), Path: path, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// config checks the whole file.
func (c *checker) config(config map[string]any) {
	c.object("", root, config)
}

// object checks the keys of value against the fields below path. shown is the
// same place in the words of the user's file: it has "[0]" where path has "[]".
func (c *checker) object(path, shown string, value map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(value)) {
		at := below(shown, key)
		f, known := LookupField(below(path, key))
		if known && f.AcceptedBy(c.minor) {
			c.value(f, at, value[key])
			continue
		}
		if c.written && isBlank(value[key]) {
			continue
		}
		switch {
		case !known:
			c.problem(at, suggestField(path, key, c.minor), "unknown field in %s", c.minor)
		case c.minor < f.Since:
			c.problem(at, insteadOfField(f.Path, c.minor), "appears in %s, this is %s", f.Since, c.minor)
		default:
			c.problem(at, f.Notes, "removed in %s", f.Removed)
			c.problems[len(c.problems)-1].Removed = f.Removed
		}
		last := &c.problems[len(c.problems)-1]
		last.Ignored, last.Since = true, f.Since
	}
}

// isBlank reports whether a value is what a program writes for a field that
// nobody has set.
func isBlank(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == "" || v == "0" || v == "0s"
	case int64:
		return v == 0
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, inner := range v {
			if !isBlank(inner) {
				return false
			}
		}
		return true
	}
	return false
}

// insteadOfField names the flag that does the same where the field is missing.
func insteadOfField(path string, m Minor) string {
	f, ok := LookupFlag(table().flagOfField[path])
	if !ok || !f.AcceptedBy(m) {
		return ""
	}
	return fmt.Sprintf("use the flag --%s", f.Name)
}

func (c *checker) value(f Field, at string, value any) {
	if value == nil {
		return // null leaves the default
	}
	switch f.Path {
	case "apiVersion":
		c.exactly(at, apiVersion, value)
		return
	case "kind":
		c.exactly(at, kind, value)
		return
	case flushFrequency:
		if _, number := value.(int64); number {
			return
		}
		if c.minor < flushFrequencyText {
			c.wrong(at, "a number of nanoseconds (a duration from "+flushFrequencyText.String()+" on)", value)
			return
		}
	}
	c.typed(f.Type, f.Path, at, value)
}

func (c *checker) exactly(at, want string, value any) {
	if value != want {
		c.problem(at, "", "wanted %q, got %s", want, describeAt(at, value))
	}
}

// typed checks value against a type of the table, all the way down.
func (c *checker) typed(fieldType, path, at string, value any) {
	if itemType, isList := strings.CutPrefix(fieldType, "[]"); isList {
		list, ok := value.([]any)
		if !ok {
			c.wrong(at, wantedType(fieldType), value)
			return
		}
		for i, v := range list {
			c.typed(itemType, path+"[]", item(at, i), v)
		}
		return
	}
	if valueType, isMap := strings.CutPrefix(fieldType, "map[string]"); isMap {
		m, ok := value.(map[string]any)
		if !ok {
			c.wrong(at, wantedType(fieldType), value)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if whole := dotted(key, m[key]); whole != key && isScalar(valueType) {
				field := strings.TrimPrefix(at, root+".")
				c.problem(below(at, key), fmt.Sprintf("if the key is %s: --set '%s=...'", whole, below(field, whole)), "wanted %s, got a mapping", wantedType(valueType))
			} else if m[key] != nil {
				c.typed(valueType, path, below(at, key), m[key])
			}
		}
		return
	}
	if fieldType == "object" || fieldType == "taint" {
		if m, ok := value.(map[string]any); ok {
			c.object(path, at, m)
		} else if value != nil {
			c.wrong(at, "a mapping", value)
		}
		return
	}
	if !scalarFits(fieldType, value) {
		c.wrong(at, wantedType(fieldType), value)
	}
}

// dotted is the key that somebody probably meant who has a mapping where a key has dots in it.
func dotted(key string, value any) string {
	for {
		inner, ok := value.(map[string]any)
		if !ok || len(inner) == 0 {
			return key
		}
		first := slices.Min(slices.Collect(maps.Keys(inner)))
		key, value = key+"."+first, inner[first]
	}
}

// isScalar reports whether a type of the table is neither a list nor a mapping.
func isScalar(fieldType string) bool {
	return !strings.HasPrefix(fieldType, "[]") && !strings.HasPrefix(fieldType, "map[string]") && fieldType != "object" && fieldType != "taint"
}

func (c *checker) wrong(at, wanted string, value any) {
	hint := ""
	switch v := value.(type) {
	case bool, int64, float64:
		if wanted == wantedType("string") {
			hint = "put it in quotes"
		}
		if n, number := v.(int64); number && wanted == wantedType("duration") {
			hint = fmt.Sprintf("it needs a unit: %ds", n)
		}
	case string:
		if _, err := strconv.ParseUint(v, 10, 64); err == nil && wanted == wantedType("duration") {
			hint = "it needs a unit: " + v + "s"
		}
	}
	c.problem(at, hint, "wanted %s, got %s", wanted, describeAt(at, value))
}

var intRange = map[string][2]float64{
	"int32":  {math.MinInt32, math.MaxInt32},
	"int64":  {math.MinInt64, math.MaxInt64},
	"uint32": {0, math.MaxUint32},
}

func scalarFits(fieldType string, value any) bool {
	switch fieldType {
	case "bool":
		_, ok := value.(bool)
		return ok
	case "string":
		_, ok := value.(string)
		return ok
	case "float64":
		switch value.(type) {
		case int64, float64:
			return true
		}
		return false
	case "duration":
		s, ok := value.(string)
		if !ok {
			return false
		}
		_, err := time.ParseDuration(s)
		return err == nil
	case "quantity":
		switch v := value.(type) {
		case string:
			return rules.IsQuantity(v)
		case int64, float64:
			return true
		}
		return false
	}
	if limits, ok := intRange[fieldType]; ok {
		i, ok := value.(int64)
		return ok && float64(i) >= limits[0] && float64(i) <= limits[1]
	}
	return true // a type that this code does not know is the kubelet's to judge
}

func wantedType(fieldType string) string {
	switch fieldType {
	case "bool":
		return "true or false"
	case "string":
		return "a string"
	case "int32", "int64":
		return "a whole number (" + strings.TrimPrefix(fieldType, "int") + " bit)"
	case "uint32", "uint64":
		return "a whole number (" + strings.TrimPrefix(fieldType, "uint") + " bit, not negative)"
	case "float64":
		return "a number"
	case "duration":
		return `a duration like "1m30s"`
	case "quantity":
		return `a quantity like "200Mi"`
	case "object", "taint":
		return "a mapping"
	}
	if itemType, ok := strings.CutPrefix(fieldType, "[]"); ok {
		return "a list, each " + wantedType(itemType)
	}
	if valueType, ok := strings.CutPrefix(fieldType, "map[string]"); ok {
		return "a mapping, each value " + wantedType(valueType)
	}
	return fieldType
}
