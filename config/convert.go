package config

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/config/rules"
)

// The types of flags, as the table writes them.
const (
	typeStringList = "stringList (comma separated)"
	typeMap        = "map[string]string (k=v,...)"
	typeEviction   = "map[string]string (k<v,...)"
	typeGates      = "map[string]bool (k=true,...)"
	typeHeaders    = "map[string][]string (k:v,...)"
	typeTaints     = "taintList (key=value:effect,...)"
	typeNUMA       = "list (numa:type=quantity;...)"
	typeVModule    = "string (pattern=N,...)"
)

// parseFlag reads a flag's value as the kubelet would, and returns it in the
// form that the equivalent field takes. It also serves to check the value of a
// flag that stays a flag.
func parseFlag(f Flag, value string) (any, error) {
	parse, known := flagParsers[f.Type]
	switch {
	case f.Name == "v":
		return parseVerbosity(value)
	case f.Name == "node-labels":
		return parseLabels(value)
	case known:
		return parse(value)
	}
	return value, nil // the kinds of string
}

var flagParsers = map[string]func(value string) (any, error){
	"bool":         parseBool,
	"int":          parseInt64,
	"int32":        parseInt32,
	"int64":        parseInt64,
	"uint64":       parseUint64,
	"float64":      parseFloat64,
	"duration":     parseDuration,
	"quantity":     parseQuantity,
	"ip":           parseIP,
	typeStringList: parseStringList,
	typeMap:        parseMap,
	typeEviction:   parseEviction,
	typeGates:      parseGates,
	typeHeaders:    parseHeaders,
	typeTaints:     parseTaints,
	typeNUMA:       parseReservedMemory,
	typeVModule:    parseVModule,
}

func parseBool(value string) (any, error) {
	b, err := strconv.ParseBool(value)
	if err != nil {
		return nil, fmt.Errorf("wanted true or false, got %q", value)
	}
	return b, nil
}

func parseInt32(value string) (any, error) { return parseInt(value, 32) }
func parseInt64(value string) (any, error) { return parseInt(value, 64) }

func parseInt(value string, bits int) (any, error) {
	i, err := strconv.ParseInt(value, 0, bits)
	if err != nil {
		return nil, fmt.Errorf("wanted %s, got %q", wantedType("int"+strconv.Itoa(bits)), value)
	}
	return i, nil
}

// parseVerbosity reads a level of logging, which since 1.23 may not be negative.
func parseVerbosity(value string) (any, error) {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("wanted a whole number from 0 to %d, got %q", math.MaxInt32, value)
	}
	return int64(n), nil
}

func parseUint64(value string) (any, error) {
	u, err := strconv.ParseUint(value, 0, 64)
	if err != nil {
		return nil, fmt.Errorf("wanted %s, got %q", wantedType("uint64"), value)
	}
	return tidy(u), nil
}

func parseFloat64(value string) (any, error) {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return nil, fmt.Errorf("wanted a number, got %q", value)
	}
	return tidy(n), nil
}

func parseDuration(value string) (any, error) {
	if _, err := time.ParseDuration(value); err != nil {
		return nil, fmt.Errorf("wanted %s, got %q", wantedType("duration"), value)
	}
	return value, nil
}

func parseQuantity(value string) (any, error) {
	if !rules.IsQuantity(value) {
		return nil, fmt.Errorf("wanted %s, got %q", wantedType("quantity"), value)
	}
	return value, nil
}

// parseIP takes "" for the kubelet's own default, as that does.
func parseIP(value string) (any, error) {
	if value != "" && net.ParseIP(value) == nil {
		return nil, fmt.Errorf("wanted an IP address, got %q", value)
	}
	return value, nil
}

func parseStringList(value string) (any, error) {
	list := []any{}
	if value == "" {
		return list, nil
	}
	words, err := csv.NewReader(strings.NewReader(value)).Read()
	if err != nil {
		return nil, fmt.Errorf("wanted values with commas between them, got %q: %w", value, errors.Unwrap(err))
	}
	for _, s := range words {
		list = append(list, s)
	}
	return list, nil
}

func parseMap(value string) (any, error)      { return parsePairs(value, "=", "KEY=VALUE,...") }
func parseEviction(value string) (any, error) { return parsePairs(value, "<", "SIGNAL<QUANTITY,...") }

// parseLabels takes a label without an equals sign for one with an empty value,
// as the kubelet does.
func parseLabels(value string) (any, error) {
	labels := map[string]any{}
	for name, value := range ParseLabels(value) {
		labels[name] = value
	}
	return labels, nil
}

// ParseLabels reads the value of --node-labels as the kubelet does.
func ParseLabels(value string) map[string]string {
	labels := map[string]string{}
	for _, pair := range splitList(value) {
		if name, value, _ := strings.Cut(pair, "="); pair != "" {
			labels[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return labels
}

func splitList(value string) []string {
	if value == "" {
		return nil
	}
	return strings.Split(value, ",")
}

func parsePairs(value, separator, form string) (map[string]any, error) {
	pairs := map[string]any{}
	for _, pair := range splitList(value) {
		if pair == "" {
			continue // the kubelet forgives a trailing comma
		}
		k, v, found := strings.Cut(pair, separator)
		if k = strings.TrimSpace(k); !found || k == "" {
			return nil, fmt.Errorf("wanted %s, got %q", form, pair)
		}
		pairs[k] = strings.TrimSpace(v)
	}
	return pairs, nil
}

func parseGates(value string) (any, error) {
	gates, err := parsePairs(value, "=", "GATE=true,...")
	if err != nil {
		return nil, err
	}
	for gate, text := range gates {
		on, err := strconv.ParseBool(text.(string))
		if err != nil {
			return nil, fmt.Errorf("wanted true or false for %s, got %q", gate, text)
		}
		gates[gate] = on
	}
	return gates, nil
}

func parseHeaders(value string) (any, error) {
	headers := map[string]any{}
	for _, pair := range splitList(value) {
		if pair == "" {
			continue
		}
		k, v, found := strings.Cut(pair, ":")
		if k = strings.TrimSpace(k); !found || k == "" {
			return nil, errors.New("wanted NAME:VALUE pairs, separated by commas") // without the value: headers carry tokens
		}
		values, _ := headers[k].([]any)
		headers[k] = append(values, strings.TrimSpace(v))
	}
	return headers, nil
}

// Taint is one that a kubelet registers its node with.
type Taint struct{ Key, Value, Effect string }

// ParseTaints reads the value of --register-with-taints as the kubelet does; a value that the kubelet refuses has none.
func ParseTaints(value string) (taints []Taint) {
	parsed, _ := parseTaints(value)
	list, _ := parsed.([]any)
	for _, item := range list {
		fields, _ := item.(map[string]any)
		text := func(name string) string { value, _ := fields[name].(string); return value }
		taints = append(taints, Taint{text("key"), text("value"), text("effect")})
	}
	return taints
}

func parseTaints(value string) (any, error) {
	taints := []any{}
	seen := map[string]bool{}
	for _, text := range splitList(value) {
		text, removed := strings.CutSuffix(text, "-") // kubectl's way to remove a taint, which kubelet reads and forgets
		keyValue, effect, found := strings.Cut(text, ":")
		key, v, hasValue := strings.Cut(keyValue, "=")
		problems := []string{rules.CheckName(key), rules.CheckLabelValue(v)}
		if found {
			problems = append(problems, rules.CheckTaintEffect(effect))
		}
		switch i := slices.IndexFunc(problems, func(p string) bool { return p != "" }); {
		case !found && (!removed || hasValue):
			return nil, fmt.Errorf("wanted KEY=VALUE:EFFECT,... got %q", text)
		case i >= 0:
			return nil, errors.New(problems[i])
		case removed:
			continue
		case seen[key+":"+effect]:
			return nil, fmt.Errorf("the taint %s:%s is there twice", key, effect)
		}
		seen[key+":"+effect] = true
		taint := map[string]any{"key": key, "effect": effect}
		if hasValue {
			taint["value"] = v
		}
		taints = append(taints, taint)
	}
	return taints, nil
}

// parseReservedMemory reads "0:memory=1Gi,hugepages-1Gi=2Gi;1:memory=1Gi".
func parseReservedMemory(value string) (any, error) {
	nodes := []any{}
	if value == "" {
		return nodes, nil
	}
	for text := range strings.SplitSeq(value, ";") {
		number, limits, _ := strings.Cut(text, ":")
		node, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
		if err != nil || node < 0 || limits == "" {
			return nil, fmt.Errorf("wanted NUMANODE:memory=QUANTITY,...;... got %q", text)
		}
		pairs, err := parsePairs(limits, "=", "TYPE=QUANTITY,...")
		if err != nil {
			return nil, err
		}
		for kind, q := range pairs {
			if kind != "memory" && !strings.HasPrefix(kind, "hugepages-") {
				return nil, fmt.Errorf("wanted memory or hugepages-SIZE, got %q", kind)
			}
			if !rules.IsQuantity(q.(string)) {
				return nil, fmt.Errorf("wanted %s for %s, got %q", wantedType("quantity"), kind, q)
			}
		}
		nodes = append(nodes, map[string]any{"numaNode": node, "limits": pairs})
	}
	return nodes, nil
}

func parseVModule(value string) (any, error) {
	rules := []any{}
	for _, text := range splitList(value) {
		if text == "" {
			continue
		}
		pattern, level, _ := strings.Cut(text, "=")
		n, err := strconv.ParseInt(level, 10, 32)
		if err != nil || n < 0 || pattern == "" {
			return nil, fmt.Errorf("wanted PATTERN=LEVEL,... got %q", text)
		}
		rules = append(rules, map[string]any{"filePattern": pattern, "verbosity": n})
	}
	return rules, nil
}

// fieldForm turns the parsed value of a flag into what the field of m wants.
func fieldForm(f Flag, value any, m Minor) any {
	if f.Field == flushFrequency && m < flushFrequencyText {
		if d, err := time.ParseDuration(value.(string)); err == nil {
			return int64(d)
		}
	}
	return value
}

// Until 1.27 logging.flushFrequency is a number of nanoseconds, unlike every
// other duration; from 1.28 on it may be a duration in words, too.
const (
	flushFrequency           = "logging.flushFrequency"
	flushFrequencyText Minor = 28
)
