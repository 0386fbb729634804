package rules

import (
	"fmt"
	"slices"
	"strings"
)

// choice are the only values that a field may have.
type choice struct {
	field        string
	values       []string
	since, until int
	gate         string // it counts only while this one is on
}

var allChoices = []choice{
	{field: "authorization.mode", values: []string{"AlwaysAllow", "Webhook"}},
	{field: "configMapAndSecretChangeDetectionStrategy", values: []string{"Get", "Cache", "Watch"}},
	{field: "cpuManagerPolicy", values: []string{"none", "static"}, since: 16, until: 26, gate: "CPUManager"},
	{field: "cpuManagerPolicy", values: []string{"none", "static"}, since: 26},
	{field: "hairpinMode", values: []string{"promiscuous-bridge", "hairpin-veth", "none"}},
	{field: "imagePullCredentialsVerificationPolicy", since: 33, gate: "KubeletEnsureSecretPulledImages",
		values: []string{"NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify"}},
	{field: "logging.format", values: []string{"text", "json"}, since: 19},
	{field: "memoryManagerPolicy", values: []string{"None", "Static"}, since: 21, until: 32, gate: "MemoryManager"},
	{field: "memoryManagerPolicy", values: []string{"None", "Static"}, since: 32},
	{field: "memoryReservationPolicy", values: []string{"None", "TieredReservation"}, since: 36},
	{field: "memorySwap.swapBehavior", values: []string{"", "LimitedSwap", "UnlimitedSwap"}, since: 22, until: 30, gate: "NodeSwap"},
	{field: "memorySwap.swapBehavior", values: []string{"", "LimitedSwap", "NoSwap"}, since: 30, gate: "NodeSwap"},
	{field: "tlsMinVersion", values: []string{"", "VersionTLS10", "VersionTLS11", "VersionTLS12"}, until: 15},
	{field: "tlsMinVersion", values: []string{"", "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"}, since: 15},
	{field: "topologyManagerPolicy", values: []string{"none", "best-effort", "restricted", "single-numa-node"}, since: 16},
	{field: "topologyManagerScope", values: []string{"container", "pod"}, since: 20},
}

func (c choice) check(s *Setup) {
	value, given := s.given(c.field)
	text, ok := value.(string)
	switch {
	case !given || !ok || !s.holds(c.since, c.until):
	case c.gate != "" && !s.on(c.gate):
	case !slices.Contains(c.values, text):
		s.refuse(c.field, "%q: must be %s", text, oneOf(c.values))
		s.violations[len(s.violations)-1].Hint = nearest(text, c.values)
	}
}

// oneOf lists values as in "a, b or c".
func oneOf(values []string) string {
	shown := make([]string, 0, len(values))
	for _, v := range values {
		if v == "" {
			v = `""`
		}
		shown = append(shown, v)
	}
	last := len(shown) - 1
	if last == 0 {
		return shown[0]
	}
	return strings.Join(shown[:last], ", ") + " or " + shown[last]
}

// nearest asks for the value that text differs from in case, dashes and blanks only.
func nearest(text string, values []string) string {
	plain := strings.NewReplacer("-", "", "_", "", " ", "").Replace
	for _, v := range values {
		if v != "" && strings.EqualFold(plain(v), plain(text)) {
			return fmt.Sprintf("did you mean %s?", v)
		}
	}
	return ""
}
