package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Hidden stands where a secret was.
const Hidden = "(hidden)"

// What may hold a secret. This is the only list: notes, problems, plans, diffs and logs are all masked by it.
var (
	// secretFields hold secrets in all that is below them.
	secretFields = []string{"staticPodURLHeader"}
	// secretFlags have a secret for a value.
	secretFlags = []string{"manifest-url-header", "storage-driver-password"}
	// secretWords make a secret of whatever the tables do not know: environment variables, flags and fields of a newer
	// release, HTTP headers.
	secretWords = regexp.MustCompile(`(?i)token|passw(or)?d|secret|^(proxy-)?authorization$|key-?data$|(api|access|private)[-_]?key$`)
	// secretSigns are what a line has somewhere, in lower case, that holds any secret of these lists.
	secretSigns = []string{"token", "passw", "secret", "authorization", "header", "://", "podurl", "manifest", "proxy", "bearer", "basic",
		"key", "eyj"}
	// urlNames have a URL for a value; a user, a password and a query in it are secrets. Those in URLs anywhere else are as
	// well.
	urlNames = regexp.MustCompile(`(?i)^(staticPodURL|manifest[-_]url|[a-z]+_proxy)$`)
)

// tableNames are the names of all flags and fields, without their paths.
var tableNames = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for _, f := range table().flagNames {
		names[f] = true
	}
	for path := range table().fields {
		for _, part := range strings.Split(path, ".") {
			names[strings.TrimSuffix(part, "[]")] = true
		}
	}
	return names
})

// isSecret reports whether what has this name may not be shown. A boolean may: it is the switch of a feature that is named
// after secrets.
func isSecret(name, value string) bool {
	flag := FlagName(name)
	switch {
	case slices.Contains(secretFields, topOf(name)), slices.Contains(secretFlags, flag):
		return true
	case tableNames()[name], tableNames()[flag], booleanRE().MatchString(value):
		return false
	}
	return secretWords.MatchString(name)
}

// topOf is the field at the top that a path is below of.
func topOf(path string) string {
	if i := strings.IndexAny(path, ".["); i > 0 {
		return path[:i]
	}
	return path
}

// booleanRE matches a boolean, or gates, and what may come behind that in a line: nothing, another flag or another key.
var booleanRE = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\s*["']?(true|false)(,\w+=(true|false))*["']?(,?[\s\\}]*$|\s+["']?--[a-z]|\s*,\s*["'])`)
})

// maskFlag is the value of a flag as it may be shown.
func maskFlag(name, value string) string {
	switch {
	case value == "":
		return ""
	case isSecret(name, value):
		return Hidden
	case urlNames.MatchString(name):
		return hideURL(value)
	}
	return hideURLs(value)
}

// MaskFields is a copy of fields, or of flags, as it may be shown. A field that is a secret has a text for a value, whatever
// type it is of.
func MaskFields(fields map[string]any) map[string]any {
	if fields == nil {
		return nil
	}
	masked := maps.Clone(fields)
	for name, value := range masked {
		masked[name] = maskValue(name, tidy(value))
	}
	return masked
}

func maskValue(name string, value any) any {
	switch v := value.(type) {
	case nil, bool:
		return v
	case string:
		return maskFlag(name, v)
	}
	if isSecret(name, "") {
		return Hidden
	}
	switch v := value.(type) {
	case map[string]any:
		return MaskFields(v)
	case []any:
		for i := range v { // a copy already
			v[i] = maskValue("", v[i])
		}
	}
	return value
}

// maskAt is the value at a path of a KubeletConfiguration as it may be shown.
func maskAt(path string, value any) any {
	path = strings.TrimPrefix(path, root+".")
	if top := topOf(path); value != nil && top != path && slices.Contains(secretFields, top) {
		return Hidden
	}
	return maskValue(path[lastSeparator(path)+1:], tidy(value))
}

// describeAt is describe for the value at a path, which may be a secret.
func describeAt(path string, value any) string {
	switch value.(type) {
	case map[string]any, []any:
		return describe(value)
	}
	return describe(maskAt(path, value))
}

var urlRE = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"]*`)
})

// hideURLs hides what is secret in the URLs of a text.
func hideURLs(text string) string { return urlRE().ReplaceAllStringFunc(text, hideURL) }

// hideURL hides the user, the password and the query of a text that is a URL, or is meant to be one. In a password there may
// be anything, another @ for example.
func hideURL(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if scheme += "://"; !found {
		scheme, rest = "", text
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = Hidden + rest[i:]
	}
	if before, query, found := strings.Cut(rest, "?"); found && query != "" {
		rest = before + "?" + Hidden
	}
	return scheme + rest
}
