package rules

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	nameRE      = regexp.MustCompile(`^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$`)
	subdomainRE = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

const (
	longestName      = 63
	longestSubdomain = 253
)

// CheckName says what is wrong with the key of a label or a taint, such as example.com/name; "" for nothing.
func CheckName(key string) string {
	domain, name, found := strings.Cut(key, "/")
	if !found {
		domain, name = "", key
	}
	switch {
	case found && (!subdomainRE.MatchString(domain) || len(domain) > longestSubdomain):
		return fmt.Sprintf("%q: before the / there has to be a domain in lower case, such as example.com", key)
	case !nameRE.MatchString(name) || len(name) > longestName:
		return fmt.Sprintf("%q: a name has 1 to 63 letters, digits, -, _ or ., and begins and ends with a letter or a digit", key)
	}
	return ""
}

// CheckLabelValue says what is wrong with the value of a label or a taint; "" for nothing.
func CheckLabelValue(value string) string {
	if value != "" && !nameRE.MatchString(value) || len(value) > longestName {
		return fmt.Sprintf("%q: a value has at most 63 letters, digits, -, _ or ., and begins and ends with a letter or a digit", value)
	}
	return ""
}

// CheckTaintEffect says what is wrong with the effect of a taint; "" for nothing.
func CheckTaintEffect(effect string) string {
	effects := []string{"NoSchedule", "PreferNoSchedule", "NoExecute"}
	if slices.Contains(effects, effect) {
		return ""
	}
	return fmt.Sprintf("wanted the effect %s, got %q", oneOf(effects), effect)
}

// invalidTaints: "invalid taint: %v", "taint.TimeAdded is not nil".
func invalidTaints(s *Setup) {
	const field = "registerWithTaints"
	for i, entry := range s.list(field) {
		taint, _ := entry.(map[string]any)
		key, _ := taint["key"].(string)
		value, _ := taint["value"].(string)
		effect, _ := taint["effect"].(string)
		at := fmt.Sprintf("%s[%d]", field, i)
		problems := []string{CheckName(key), CheckLabelValue(value)}
		if effect != "" {
			problems = append(problems, CheckTaintEffect(effect))
		}
		if taint["timeAdded"] != nil {
			problems = append(problems, "timeAdded must not be set")
		}
		for _, p := range problems {
			if p != "" {
				s.refuse(at, "%s", p)
			}
		}
	}
}

// Since 1.16 a node may not give itself other labels of Kubernetes' own namespaces: a stolen kubelet credential could else
// pull workloads to it.
var (
	ownLabels = []string{
		"kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os",
		"beta.kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type",
		"failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
		"topology.kubernetes.io/zone", "topology.kubernetes.io/region",
	}
	ownNamespaces = []string{"kubelet.kubernetes.io", "node.kubernetes.io"}
)

// nodeLabels: "unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels", "invalid node labels".
func nodeLabels(s *Setup) {
	labels := map[string]string{}
	for pair := range strings.SplitSeq(s.Flags["node-labels"], ",") {
		if key, value, _ := strings.Cut(pair, "="); pair != "" {
			labels[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	var reserved []string
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		namespace, _, found := strings.Cut(label, "/")
		if found && within(namespace, "kubernetes.io", "k8s.io") && !slices.Contains(ownLabels, label) && !within(namespace, ownNamespaces...) {
			reserved = append(reserved, label)
		}
		if s.Minor < 25 {
			continue
		}
		for _, problem := range []string{CheckName(label), CheckLabelValue(labels[label])} {
			if problem != "" {
				s.refuseFlag("node-labels", "%s", problem)
			}
		}
	}
	if s.Minor >= 16 && len(reserved) > 0 {
		s.refuseFlag("node-labels", "since 1.16 a kubelet may not give itself %s; label the node through the API server (kubectl label node)", strings.Join(reserved, ", "))
	}
}

// within reports whether namespace is one of domains or below one.
func within(namespace string, domains ...string) bool {
	return slices.ContainsFunc(domains, func(d string) bool {
		return namespace == d || strings.HasSuffix(namespace, "."+d)
	})
}

// providers are the cloud providers that were part of kubelet, with the minor that has them no more.
var providers = map[string]int{"aws": 27, "azure": 30, "cloudstack": 16, "gce": 31, "openstack": 26, "ovirt": 16, "photon": 16, "vsphere": 30}

// cloudProvider: "unknown cloud provider %q", "cloud provider %q was specified, but built-in cloud providers are disabled".
func cloudProvider(s *Setup) {
	const disabled = 29 // the gate DisableCloudProviders is on
	name := s.Flags["cloud-provider"]
	removed, known := providers[name]
	problem := ""
	switch {
	case name == "" || name == "external":
		return
	case !known:
		problem = fmt.Sprintf("there is no cloud provider %q in 1.%d", name, s.Minor)
	case s.Minor >= removed:
		problem = fmt.Sprintf("the cloud provider %s is gone since 1.%d", name, removed)
	case s.on("DisableCloudProviders"):
		problem = fmt.Sprintf("the cloud provider %s is off since 1.%d, unless the feature gate DisableCloudProviders is off", name, disabled)
	default:
		return
	}
	s.violations = append(s.violations, Violation{Flag: "cloud-provider", Message: problem, Hint: "use external, and a cloud controller manager"})
}

// cipherSuites are the names that every release knows; newer ones know more of them.
var (
	cipherSuites = strings.Fields(`
		TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
		TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305
		TLS_ECDHE_ECDSA_WITH_RC4_128_SHA TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA
		TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA
		TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305 TLS_ECDHE_RSA_WITH_RC4_128_SHA
		TLS_RSA_WITH_3DES_EDE_CBC_SHA TLS_RSA_WITH_AES_128_CBC_SHA TLS_RSA_WITH_AES_128_CBC_SHA256 TLS_RSA_WITH_AES_128_GCM_SHA256
		TLS_RSA_WITH_AES_256_CBC_SHA TLS_RSA_WITH_AES_256_GCM_SHA384 TLS_RSA_WITH_RC4_128_SHA`)
	cipherSuites19 = []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
	cipherSuites20 = []string{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"}
)

// tlsCipherSuites: "Cipher suite %s not supported or doesn't exist".
func tlsCipherSuites(s *Setup) {
	known := slices.Clone(cipherSuites)
	if s.Minor >= 19 {
		known = append(known, cipherSuites19...)
	}
	if s.Minor >= 20 {
		known = append(known, cipherSuites20...)
	}
	for i, entry := range s.list("tlsCipherSuites") {
		if name, _ := entry.(string); !slices.Contains(known, name) {
			s.refuse(fmt.Sprintf("tlsCipherSuites[%d]", i), "1.%d has no cipher suite %q", s.Minor, name)
			s.violations[len(s.violations)-1].Hint = nearest(name, known)
		}
	}
}

// tlsCurvePreferences: "curve preference %d is out of range", "duplicate curve preference %d", "is not supported by the current
// Go version".
func tlsCurvePreferences(s *Setup) {
	const field = "tlsCurvePreferences"
	known := []int64{23, 24, 25, 29, 4587, 4588, 4589}
	seen := map[int64]bool{}
	for i, entry := range s.list(field) {
		id, _ := entry.(int64)
		switch {
		case id <= 0 || id > math.MaxUint16 || !slices.Contains(known, id):
			s.refuse(fmt.Sprintf("%s[%d]", field, i), "%d: there is no such curve; there are %s", id, strings.Trim(fmt.Sprint(known), "[]"))
		case seen[id]:
			s.refuse(fmt.Sprintf("%s[%d]", field, i), "%d is there twice", id)
		}
		seen[id] = true
	}
}

// hiddenMetricsVersion: "must be omitted or have the value '%v'; only the previous minor version is allowed".
func hiddenMetricsVersion(s *Setup) {
	const field = "showHiddenMetricsForVersion"
	if allowed := fmt.Sprintf("1.%d", s.Minor-1); s.isSet(field) && !s.hasText(field, allowed) {
		s.refuse(field, "only %s is allowed, the minor before", allowed)
	}
}

// flagIsTrue reports whether a switch is given and on.
func (s *Setup) flagIsTrue(name string) bool {
	on, err := strconv.ParseBool(s.Flags[name])
	return err == nil && on
}
