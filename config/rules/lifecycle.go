package rules

import (
	"maps"
	"math"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// shutdownGracePeriods: "shutdownGracePeriodCriticalPods %v must be <= shutdownGracePeriod %v", "must be either zero or otherwise
// >= 1 sec", "specifying shutdownGracePeriod or shutdownGracePeriodCriticalPods requires feature gate GracefulNodeShutdown".
func shutdownGracePeriods(s *Setup) {
	const whole, critical, gate = "shutdownGracePeriod", "shutdownGracePeriodCriticalPods", "GracefulNodeShutdown"
	all, known := s.duration(whole)
	last, knownToo := s.duration(critical)
	for field, d := range map[string]time.Duration{whole: all, critical: last} {
		switch _, given := s.given(field); {
		case !given || d == 0:
		case s.off(gate) && d > 0:
			s.refuse(field, "%s: needs the feature gate %s, which is off", d, gate)
		case s.on(gate) && d < time.Second:
			s.refuse(field, "%s: must be 0s, or 1s or more", d)
		}
	}
	if s.on(gate) && known && knownToo && last > all {
		s.refuse(s.oneGiven(critical, whole), "shutdownGracePeriodCriticalPods %s must not be longer than shutdownGracePeriod %s", last, all)
	}
}

// shutdownByPodPriority: "Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod at the same time",
// "Specifying shutdownGracePeriodByPodPriority requires feature gate GracefulNodeShutdownBasedOnPodPriority".
func shutdownByPodPriority(s *Setup) {
	const field, gate = "shutdownGracePeriodByPodPriority", "GracefulNodeShutdownBasedOnPodPriority"
	if len(s.list(field)) == 0 {
		return
	}
	all, _ := s.duration("shutdownGracePeriod")
	last, _ := s.duration("shutdownGracePeriodCriticalPods")
	switch {
	case s.off(gate):
		s.refuse(field, "needs the feature gate %s, which is off", gate)
	case all > 0 || last > 0:
		s.refuse(field, "cannot be used together with shutdownGracePeriod or shutdownGracePeriodCriticalPods")
	}
}

// crashLoopBackOff: "CrashLoopBackOff.MaxContainerRestartPeriod must be set between 1s and 300s", "must not be set".
func crashLoopBackOff(s *Setup) {
	const field, gate = "crashLoopBackOff.maxContainerRestartPeriod", "KubeletCrashLoopBackOffMax"
	longest, _ := s.duration(field)
	switch _, given := s.given(field); {
	case !given:
	case s.off(gate):
		s.refuse(field, "needs the feature gate %s, which is off", gate)
	case longest < time.Second || longest > 300*time.Second:
		s.refuse(field, "%s: must be between 1s and 300s", longest)
	}
}

// gatesWithoutFile: "FeatureGate KubeletCrashLoopBackOffMax not enabled, CrashLoopBackOff.MaxContainerRestartPeriod must not be set". A
// kubelet without --config fills in the fields of a gate before it reads which gates its flags turn off (seen with v1.37.2).
func gatesWithoutFile(s *Setup) {
	if _, given := s.Flags["config"]; given || s.Partial || !s.ByFlag["featureGates"] {
		return
	}
	for _, gate := range []string{"KubeletCrashLoopBackOffMax", "KubeletEnsureSecretPulledImages"} {
		if g, known := gateIn(s.Minor, gate); known && g.on && s.off(gate) {
			s.refuseFlag("feature-gates", "kubelet without --config takes %s for on where it fills in its defaults, and refuses them with the gate off", gate)
		}
	}
}

// vmodulePatterns: "Only supported for text log format", "File pattern must not be empty", "must not contain equal sign or comma".
func vmodulePatterns(s *Setup) {
	const field = "logging.vmodule"
	patterns := s.list(field)
	if format, known := s.text("logging.format"); known && len(patterns) > 0 && format == "json" {
		s.refuse(field, "works with the log format text only")
	}
	for _, entry := range patterns {
		rule, _ := entry.(map[string]any)
		pattern, _ := rule["filePattern"].(string)
		if level, _ := rule["verbosity"].(int64); level > math.MaxInt32 {
			s.refuse(field, "verbosity %d: must be at most %d", level, math.MaxInt32)
		}
		if pattern == "" || strings.ContainsAny(pattern, "=,") {
			s.refuse(field, "filePattern %q: must be a pattern without = and commas", pattern)
		}
	}
}

// loggingOptionsNeedGate: "Feature LoggingAlphaOptions is disabled".
func loggingOptionsNeedGate(s *Setup) {
	for _, format := range []string{"json", "text"} {
		options := "logging.options." + format
		size, given := s.given(options + ".infoBufferSize")
		text, _ := size.(string)
		amount := parseQuantity(text)
		wantsBuffer := given && size != int64(0) && (amount == nil || amount.Sign() != 0)
		if wantsBuffer && s.off("LoggingAlphaOptions") {
			s.refuse(options+".infoBufferSize", "needs the feature gate LoggingAlphaOptions, which is off")
		}
		if s.ByFlag[options+".splitStream"] { // what a file says of it, kubelet loses when it reads its flags
			s.needsGate(options+".splitStream", "LoggingAlphaOptions")
		}
	}
}

// tracingEndpoint: "unsupported scheme: %v.  Options are none, dns, unix, or unix-abstract".
func tracingEndpoint(s *Setup) {
	const field = "tracing.endpoint"
	value, _ := s.given(field)
	endpoint, ok := value.(string)
	if !ok || s.Minor < 34 && s.off("KubeletTracing") {
		return
	}
	if !strings.Contains(endpoint, "//") {
		endpoint = "dns://" + endpoint
	}
	parsed, err := url.Parse(endpoint)
	if err != nil || !slices.Contains([]string{"dns", "unix", "unix-abstract"}, parsed.Scheme) {
		s.refuse(field, "%q: wanted HOST:PORT, or an address that begins with dns://, unix:// or unix-abstract://", value)
	}
}

// tracingNeedsGate: "tracing should not be configured if KubeletTracing feature flag is disabled."
func tracingNeedsGate(s *Setup) {
	if _, given := s.given("tracing"); given && s.off("KubeletTracing") {
		s.refuse("tracing", "needs the feature gate KubeletTracing, which is off")
	}
}

// podLogsDir: "pod logs path %q must be absolute path", "must be normalized", "mut contains ASCII characters only".
func podLogsDir(s *Setup) {
	const field = "podLogsDir"
	value, _ := s.given(field)
	dir, ok := value.(string)
	if !ok {
		return
	}
	if path.IsAbs(dir) && path.Clean(dir) != dir { // a relative one is taken from where the file is
		s.refuse(field, "%q: wanted a path without . and .., // and a slash at its end", dir)
	}
	if strings.ContainsFunc(dir, func(r rune) bool { return r > unicode.MaxASCII }) {
		s.refuse(field, "%q: may hold ASCII characters only", dir)
	}
}

// containerLogMaxSize: "failed to parse container log max size %q". A negative one turns the rotation off.
func containerLogMaxSize(s *Setup) {
	value, given := s.given("containerLogMaxSize")
	if text, ok := value.(string); given && ok && parseQuantity(text) == nil {
		s.refuse("containerLogMaxSize", "%q: wanted a quantity such as 10Mi", text)
	}
}

// userNamespaceLength: "userNamespaces.idsPerPod must be a multiple of %d".
func userNamespaceLength(s *Setup) {
	const field, unit = "userNamespaces.idsPerPod", 65536
	if n, known := s.integer(field); known && n%unit != 0 {
		s.refuse(field, "%d: must be a multiple of %d", n, unit)
	}
}

var sysctlName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)
})

// namespaced are the sysctls, or where they end in a dot the prefixes of them, that belong to a namespace of a pod.
var namespaced = []string{
	"fs.mqueue.", "kernel.domainname", "kernel.msg", "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shm",
	"kernel.shm_rmid_forced", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "net.", "user.",
}

func isNamespaced(sysctl string) bool {
	return slices.ContainsFunc(namespaced, func(n string) bool {
		return n == sysctl || strings.HasSuffix(n, ".") && strings.HasPrefix(sysctl, n)
	})
}

// defaultPodSysctls: "%q is not a valid sysctl name", "%q is not known to be namespaced", "duplicate sysctl %q found".
func defaultPodSysctls(s *Setup) {
	const field, gate, longest = "defaultPodSysctls", "DefaultPodSysctls", 253
	sysctls := s.mapping(field)
	if len(sysctls) > 0 && s.off(gate) {
		s.refuse(field, "needs the feature gate %s, which is off", gate)
		return
	}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(sysctls)) {
		dotted := normalSysctl(name)
		switch {
		case len(name) > longest || !sysctlName().MatchString(name):
			s.refuse(join(field, name), "not the name of a sysctl")
		case !isNamespaced(dotted):
			s.refuse(join(field, name), "not known to be a sysctl of a namespace")
		case seen[dotted]:
			s.refuse(join(field, name), "there twice, with dots and with slashes")
		}
		seen[dotted] = true
	}
}

// normalSysctl writes net/ipv4/conf/eno2.100/rp_filter with dots for slashes and slashes for dots.
func normalSysctl(name string) string {
	first := strings.IndexAny(name, "./")
	if first < 0 || name[first] == '.' {
		return name
	}
	return strings.NewReplacer(".", "/", "/", ".").Replace(name)
}
