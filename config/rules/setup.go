package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Setup is what a kubelet makes of its command line and its configuration.
type Setup struct {
	Minor int
	// Fields are those of the KubeletConfiguration, nested, with what flags say in their place. Values are nil, bool, string,
	// int64, float64, []any or map[string]any, and have the types of their fields.
	Fields map[string]any
	// ByFlag reports which fields have their value from a flag.
	ByFlag map[string]bool
	// Flags are those that are given, whether they are fields or not.
	Flags map[string]string
	// Partial is set when the rest of the setup is not known: a field that is not in Fields may have any value.
	Partial bool
	// Default is the default of a field, in words.
	Default func(field string) string

	gates      map[string]bool
	violations []Violation
}

// Violation is something that a kubelet refuses.
type Violation struct {
	Field, Flag    string // where: the dotted path of a field, or the name of a flag
	Message, Hint  string
	Unknown        bool // no release has the name
	Since, Removed int  // the minors, where they matter
}

// Check finds what a kubelet refuses in a setup whose names and types are right.
func Check(s Setup) []Violation {
	s.gates = gatesIn(s.Fields)
	for name, on := range s.gates {
		if v := CheckGate(s.Minor, name, on); v != nil {
			v.Field = join("featureGates", name)
			s.violations = append(s.violations, *v)
		}
	}
	for _, b := range allBounds {
		b.check(&s)
	}
	for _, c := range allChoices {
		c.check(&s)
	}
	for _, c := range checks {
		if s.holds(c.since, c.until) {
			c.check(&s)
		}
	}
	return s.violations
}

// gatesIn are the feature gates that fields set.
func gatesIn(fields map[string]any) map[string]bool {
	set := map[string]bool{}
	values, _ := fields["featureGates"].(map[string]any)
	for name, value := range values {
		if on, ok := value.(bool); ok {
			set[name] = on
		}
	}
	return set
}

// check is a rule for several fields or flags, from a minor on and before another one (0: for ever).
type check struct {
	since, until int
	check        func(*Setup)
}

// holds reports whether a rule holds that is from a minor on and before another one (0: for ever).
func (s *Setup) holds(since, until int) bool {
	return since <= s.Minor && (until == 0 || s.Minor < until)
}

func (s *Setup) refuse(field, format string, args ...any) {
	s.violations = append(s.violations, Violation{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (s *Setup) refuseFlag(flag, format string, args ...any) {
	s.violations = append(s.violations, Violation{Flag: flag, Message: fmt.Sprintf(format, args...)})
}

// on reports whether a feature gate is on.
func (s *Setup) on(gate string) bool { return enabled(s.Minor, s.gates, gate) }

// off reports whether a feature gate exists and is off for certain.
func (s *Setup) off(gate string) bool {
	_, set := s.gates[gate]
	return !s.on(gate) && (set || s.complete("featureGates"))
}

// given is the value of a field that somebody has set. In a file, a zero value of most fields is as good as none.
func (s *Setup) given(field string) (any, bool) {
	var value any = s.Fields
	for name := range strings.SplitSeq(field, ".") {
		level, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value = level[name]; value == nil {
			return nil, false
		}
	}
	if zeroIsUnset[field] && !s.ByFlag[field] && isZero(value) {
		return nil, false
	}
	return value, true
}

func isZero(value any) bool {
	switch v := value.(type) {
	case string:
		if v == "" {
			return true
		}
		d, err := time.ParseDuration(v)
		return err == nil && d == 0
	case int64:
		return v == 0
	case float64:
		return v == 0
	}
	return false
}

// complete reports whether it is known what a field is, be it its default.
func (s *Setup) complete(field string) bool {
	_, given := s.given(field)
	return given || !s.Partial
}

// integer is the value of a field that holds a number, or its default; false when it is not known.
func (s *Setup) integer(field string) (int64, bool) {
	value, given := s.given(field)
	if given {
		n, ok := value.(int64)
		return n, ok
	}
	n, err := strconv.ParseInt(s.Default(field), 10, 64)
	return n, err == nil && !s.Partial
}

// text is the value of a field that holds text, or its default; false when it is not known.
func (s *Setup) text(field string) (string, bool) {
	value, given := s.given(field)
	if given {
		text, ok := value.(string)
		return text, ok
	}
	return s.Default(field), !s.Partial
}

// isTrue reports whether a field is true for certain.
func (s *Setup) isTrue(field string) bool { return s.is(field, true) }

// isFalse reports whether a field is false for certain.
func (s *Setup) isFalse(field string) bool { return s.is(field, false) }

func (s *Setup) is(field string, want bool) bool {
	value, given := s.given(field)
	if given {
		return value == want
	}
	return !s.Partial && (s.Default(field) == "true") == want
}

// duration is the value of a field that holds a duration, or its default; 0 without one. It is false when it is not known.
func (s *Setup) duration(field string) (time.Duration, bool) {
	text, known := s.text(field)
	if !known || text == "" {
		return 0, known
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}

// list is what a field that holds a list has been set to.
func (s *Setup) list(field string) []any {
	value, _ := s.given(field)
	list, _ := value.([]any)
	return list
}

// mapping is what a field that holds a mapping has been set to.
func (s *Setup) mapping(field string) map[string]any {
	value, _ := s.given(field)
	mapping, _ := value.(map[string]any)
	return mapping
}

// isSet reports whether a field holds a text that is not empty.
func (s *Setup) isSet(field string) bool {
	value, given := s.given(field)
	return given && value != ""
}

// hasText reports whether a field has been set to text.
func (s *Setup) hasText(field, text string) bool {
	value, _ := s.given(field)
	return value == text
}

// zeroIsUnset are the fields of which a zero in a file is replaced by the default.
var zeroIsUnset = func() map[string]bool {
	set := map[string]bool{}
	for _, field := range []string{
		"authorization.mode", "cgroupDriver", "configMapAndSecretChangeDetectionStrategy", "containerLogMaxSize", "containerRuntimeEndpoint",
		"cpuManagerPolicy", "eventBurst", "hairpinMode", "imageMinimumGCAge", "imagePullCredentialsVerificationPolicy", "kubeAPIBurst",
		"logging.flushFrequency", "logging.format", "maxOpenFiles", "maxPods", "memoryManagerPolicy", "memoryReservationPolicy",
		"nodeLeaseDurationSeconds", "podLogsDir", "port", "registryBurst", "syncFrequency", "topologyManagerPolicy",
		"topologyManagerScope",
	} {
		set[field] = true
	}
	return set
}()
