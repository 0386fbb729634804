package config

import (
	"fmt"
	"strings"
)

var escapeKey = strings.NewReplacer(`\`, `\\`, `.`, `\.`)

// below is the path of key under parent, with the key's dots escaped.
func below(parent, key string) string {
	key = escapeKey.Replace(key)
	if parent == "" {
		return key
	}
	return parent + "." + key
}

// item is the path of the i-th item of a list.
func item(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// lastSeparator is the index where the last part of path begins with an
// unescaped dot or a bracket; -1 when path is one part.
func lastSeparator(path string) int {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '[' || path[i] == '.' && (len(path[:i])-len(strings.TrimRight(path[:i], `\`)))%2 == 0 {
			return i
		}
	}
	return -1
}

// isBelow reports whether path is that of above, or of something in it.
func isBelow(path, above string) bool {
	rest, ok := strings.CutPrefix(path, above)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// SplitPath undoes JoinPath: "a.b\.c" is {"a", "b.c"}.
func SplitPath(path string) ([]string, error) {
	var parts []string
	var part strings.Builder
	flush := func() error {
		if part.Len() == 0 {
			return fmt.Errorf("%q has an empty part", path)
		}
		parts = append(parts, part.String())
		part.Reset()
		return nil
	}
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '\\':
			if i++; i == len(path) {
				return nil, fmt.Errorf("%q ends in a backslash", path)
			}
			part.WriteByte(path[i])
		case '.':
			if err := flush(); err != nil {
				return nil, err
			}
		default:
			part.WriteByte(path[i])
		}
	}
	return parts, flush()
}

// get finds the value at path in nested maps. A null on the way counts as
// found: it is the user's way to say "not this".
func get(config map[string]any, path []string) (any, bool) {
	var value any = config
	for _, key := range path {
		level, ok := value.(map[string]any)
		if !ok {
			return nil, value == nil
		}
		if value, ok = level[key]; !ok {
			return nil, false
		}
	}
	return value, true
}
