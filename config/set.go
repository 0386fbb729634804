package config

import (
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// ParseSet reads FIELD=VALUE, as in `evictionHard.memory\.available=200Mi`.
//
// FIELD is a dotted path; a dot inside a key is escaped with a backslash. VALUE
// is a YAML scalar or flow: 110, true, "text", [a, b], {k: v}; null takes a
// default back. Where the field is known to hold text, 1 stays the text "1".
func ParseSet(expr string) (path []string, value any, err error) {
	field, text, found := strings.Cut(expr, "=")
	if !found {
		return nil, nil, fmt.Errorf("%q: want FIELD=VALUE", HideSecrets([]byte(expr)))
	}
	field = strings.TrimSpace(field)
	if strings.ContainsAny(field, "[]") {
		return nil, nil, fmt.Errorf("%q: a list cannot be set by index; give the whole list, as in %s=[a, b]",
			fmt.Sprintf("%s=%v", field, maskAt(field, text)), field[:strings.IndexAny(field, "[]")])
	}
	if path, err = SplitPath(field); err != nil {
		return nil, nil, err
	}
	if hint := dottedKey(path); hint != "" {
		return nil, nil, fmt.Errorf("%s: a dot in a key of a map is written with a backslash: %s", field, hint)
	}
	if value, err = parseValue(text, holdsText(path)); err != nil {
		return nil, nil, fmt.Errorf("%s: %q is not a YAML value (quote it if it is text)", field, maskAt(field, text))
	}
	return path, value, nil
}

// dottedKey is the path that is meant by one that goes on below a key of a map
// of single values; empty when this one is right.
func dottedKey(path []string) string {
	for i := 1; i < len(path)-1; i++ {
		f, ok := LookupField(JoinPath(path[:i]))
		if ok && strings.HasPrefix(f.Type, "map[string]") && f.Type != "map[string]object" {
			return JoinPath(append(path[:i:i], strings.Join(path[i:], ".")))
		}
	}
	return ""
}

func parseValue(text string, isText bool) (any, error) {
	var value any
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = DecodeJSON(asJSON, &value)
	}
	if err != nil {
		if isText && !startsWithAny(text, `"'[{`) {
			return text, nil
		}
		return nil, err
	}
	switch value.(type) {
	case string:
		return value, nil
	case nil:
		if strings.TrimSpace(text) == "" && isText {
			return "", nil
		}
		return nil, nil
	case map[string]any, []any:
		// "a: b" is a mapping to YAML, but on a command line it is text
		if !startsWithAny(text, "[{") {
			return text, nil
		}
	default:
		if isText {
			return strings.TrimSpace(text), nil
		}
	}
	return tidy(value), nil
}

func startsWithAny(text, chars string) bool {
	text = strings.TrimSpace(text)
	return text != "" && strings.IndexByte(chars, text[0]) >= 0
}

// holdsText reports whether the field at path is a string or a value in a map of
// strings.
func holdsText(path []string) bool {
	if f, ok := LookupField(JoinPath(path)); ok {
		return isString(f.Type)
	}
	if len(path) < 2 {
		return false
	}
	f, ok := LookupField(JoinPath(path[:len(path)-1]))
	return ok && strings.HasPrefix(f.Type, "map[string]") && isString(strings.TrimPrefix(f.Type, "map[string]"))
}

func isString(fieldType string) bool {
	return fieldType == "string" || fieldType == "duration" || fieldType == "quantity"
}

// JoinPath is the dotted path of a field; a dot or a backslash in a key is escaped with a backslash.
func JoinPath(path []string) string {
	joined := ""
	for _, key := range path {
		joined = below(joined, key)
	}
	return joined
}

// SetField puts value at path, making the maps on the way. It replaces what is
// there, but never a value by a map of values: that is a mistake in the path.
func SetField(config map[string]any, path []string, value any) error {
	if config == nil {
		return errors.New("no configuration to set a field in")
	}
	if len(path) == 0 {
		return errors.New("no field to set")
	}
	level := config
	for i, key := range path[:len(path)-1] {
		next, ok := level[key].(map[string]any)
		if !ok {
			if old := level[key]; old != nil {
				return fmt.Errorf("%s is %s, it has no fields", JoinPath(path[:i+1]), describeAt(JoinPath(path[:i+1]), old))
			}
			next = map[string]any{}
			level[key] = next
		}
		level = next
	}
	level[path[len(path)-1]] = value
	return nil
}

// MergeFields merges maps, as a kubelet does it with a drop-in of --config-dir:
// where both have a value, top's counts, and a list replaces a list.
func MergeFields(base, top map[string]any) map[string]any {
	for key, value := range top {
		below, ok1 := base[key].(map[string]any)
		above, ok2 := value.(map[string]any)
		if ok1 && ok2 {
			value = MergeFields(below, above)
		}
		if base == nil {
			base = map[string]any{}
		}
		base[key] = value
	}
	return base
}
