package rules

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// enforceNodeAllocatable: "systemReservedCgroup (--system-reserved-cgroup) must be specified when %q included in
// enforceNodeAllocatable", "may not contain additional enforcements when %q is specified", "option %q specified for ...",
// "cgroupsPerQOS (--cgroups-per-qos) must be set to true when %q contained in ...".
func enforceNodeAllocatable(s *Setup) {
	const field = "enforceNodeAllocatable"
	cgroupOf := map[string]string{"system-reserved": "systemReservedCgroup", "kube-reserved": "kubeReservedCgroup"}
	known := []string{"pods", "system-reserved", "kube-reserved", "none"}
	if s.Minor >= 32 {
		cgroupOf["system-reserved-compressible"], cgroupOf["kube-reserved-compressible"] = "systemReservedCgroup", "kubeReservedCgroup"
		known = append(known, "system-reserved-compressible", "kube-reserved-compressible")
	}
	list := s.list(field)
	_, given := s.given(field)
	if !given && !s.Partial {
		list = []any{"pods"}
	}
	seen := map[any]bool{}
	for _, value := range list {
		level, _ := value.(string)
		cgroup := cgroupOf[level]
		switch {
		case !slices.Contains(known, level):
			s.refuse(field, "%q: must be %s", level, oneOf(known))
		case s.Minor >= 31 && seen[level]:
			s.refuse(field, "%s is there twice", level)
		case level == "none" && len(list) > 1:
			s.refuse(field, "none may not stand beside others")
		case cgroup != "" && s.Minor >= 15 && s.complete(cgroup) && !s.isSet(cgroup):
			s.refuse(field, "%s needs %s as well", level, cgroup)
		case seen[strings.TrimSuffix(level, "-compressible")] && strings.HasSuffix(level, "-compressible"), seen[level+"-compressible"]:
			s.refuse(field, "%s and its -compressible form exclude each other", strings.TrimSuffix(level, "-compressible"))
		}
		seen[value] = true
	}
	if s.isFalse("cgroupsPerQOS") && len(list) > 0 && (s.Minor < 31 || !seen["none"]) {
		s.refuse(s.oneGiven(field, "cgroupsPerQOS"), "enforceNodeAllocatable %v needs cgroupsPerQOS: true", list)
	}
}

// reservedSystemCPUs: "can't use reservedSystemCPUs (--reserved-cpus) with systemReservedCgroup or kubeReservedCgroup",
// "unable to parse reservedSystemCPUs".
func reservedSystemCPUs(s *Setup) {
	const field = "reservedSystemCPUs"
	if !s.isSet(field) {
		return
	}
	text, _ := s.text(field)
	if !isCPUSet(text) {
		s.refuse(field, "%q: wanted CPUs such as 0-3,8", text)
	}
	for _, cgroup := range []string{"systemReservedCgroup", "kubeReservedCgroup"} {
		if s.isSet(cgroup) {
			s.refuse(field, "cannot be used together with %s", cgroup)
		}
	}
}

func isCPUSet(text string) bool {
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		if err != nil {
			return false
		}
		if isRange {
			if to, err := strconv.Atoi(last); err != nil || from > to {
				return false
			}
		}
	}
	return true
}

// reservedMemoryLimits: "the limit type %q for NUMA node %d is not supported", "reserved memory may not be zero", "has a
// duplicate value".
func reservedMemoryLimits(s *Setup) {
	const field = "reservedMemory"
	seen := map[string]bool{}
	for i, entry := range s.list(field) {
		node, _ := entry.(map[string]any)
		limits, _ := node["limits"].(map[string]any)
		at := fmt.Sprintf("%s[%d]", field, i)
		for _, kind := range slices.Sorted(maps.Keys(limits)) {
			key := fmt.Sprint(node["numaNode"], kind)
			amount := parseQuantity(fmt.Sprint(limits[kind]))
			switch {
			case kind != "memory" && !strings.HasPrefix(kind, "hugepages-"):
				s.refuse(at, "%q: only memory and hugepages-SIZE can be reserved", kind)
			case amount != nil && amount.Sign() == 0:
				s.refuse(at, "%s is zero", kind)
			case seen[key]:
				s.refuse(at, "%s of this NUMA node is reserved twice", kind)
			}
			seen[key] = true
		}
	}
}

// resourceReservations: "cannot reserve %q resource", "failed to parse quantity %q", "resource quantity for %q cannot be negative".
func resourceReservations(s *Setup) {
	kinds := []string{"cpu", "memory", "ephemeral-storage"}
	if s.Minor >= 14 {
		kinds = append(kinds, "pid")
	}
	for _, field := range []string{"kubeReserved", "systemReserved"} {
		reserved := s.mapping(field)
		for _, kind := range slices.Sorted(maps.Keys(reserved)) {
			text, _ := reserved[kind].(string)
			amount := parseQuantity(text)
			switch {
			case !slices.Contains(kinds, kind):
				s.refuse(join(field, kind), "only %s can be reserved", oneOf(kinds))
			case amount == nil:
				s.refuse(join(field, kind), "%q: wanted a quantity such as 500m or 1Gi", text)
			case amount.Sign() < 0:
				s.refuse(join(field, kind), "%q: must not be negative", text)
			}
		}
	}
}

// join is the path of a key in the mapping of a field: dots in the key are escaped.
func join(field, key string) string {
	return field + "." + strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(key)
}

// qosReservedPercentages: "percentage expected, got '%s'", "percentage must be between 0 and 100", "cannot reserve %q resource".
func qosReservedPercentages(s *Setup) {
	reserved := s.mapping("qosReserved")
	for _, kind := range slices.Sorted(maps.Keys(reserved)) {
		text, _ := reserved[kind].(string)
		digits, found := strings.CutSuffix(text, "%")
		n, err := strconv.Atoi(strings.TrimRight(digits, "%"))
		switch {
		case kind != "memory":
			s.refuse(join("qosReserved", kind), "only memory can be reserved")
		case !found || err != nil || n < 0 || n > 100:
			s.refuse(join("qosReserved", kind), "%q: wanted a percentage such as 50%%", text)
		}
	}
}

// evictionThresholds: "unsupported eviction signal %v", "eviction threshold %v must be positive", "eviction percentage threshold
// %v must be >= 0%%", "grace period must be specified for the soft eviction threshold %v".
func evictionThresholds(s *Setup) {
	s.eachSignal("evictionHard", s.threshold)
	s.eachSignal("evictionSoft", s.threshold)
	s.eachSignal("evictionSoftGracePeriod", func(text string) string {
		if d, err := time.ParseDuration(text); err != nil || d < 0 {
			return "wanted a duration such as 1m30s"
		}
		return ""
	})
	s.eachSignal("evictionMinimumReclaim", func(text string) string {
		if percent, isPercent := percentage(text); isPercent {
			if percent <= 0 {
				return "must be more than 0%"
			}
			return ""
		}
		if amount := parseQuantity(text); amount == nil || amount.Sign() < 0 {
			return "wanted a quantity such as 200Mi, or a percentage such as 5%"
		}
		return ""
	})
	if !s.complete("evictionSoftGracePeriod") {
		return
	}
	graces := s.mapping("evictionSoftGracePeriod")
	for _, signal := range slices.Sorted(maps.Keys(s.mapping("evictionSoft"))) {
		if text, _ := s.mapping("evictionSoft")[signal].(string); graces[signal] == nil && text != "0%" && text != "100%" {
			s.refuse(join("evictionSoft", signal), "needs a grace period for %s in evictionSoftGracePeriod", signal)
		}
	}
}

// eachSignal checks the signals of a field, and each value with wrong, which says what is wrong with it.
func (s *Setup) eachSignal(field string, wrong func(text string) string) {
	signals := []string{
		"memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree", "allocatableMemory.available",
	}
	if s.Minor >= 14 {
		signals = append(signals, "pid.available")
	}
	if s.Minor >= 29 {
		signals = append(signals, "containerfs.available", "containerfs.inodesFree")
	}
	values := s.mapping(field)
	for _, signal := range slices.Sorted(maps.Keys(values)) {
		text, _ := values[signal].(string)
		if !slices.Contains(signals, signal) {
			s.refuse(join(field, signal), "there is no such eviction signal; there are %s", strings.Join(signals, ", "))
		} else if problem := wrong(text); problem != "" {
			s.refuse(join(field, signal), "%q: %s", text, problem)
		}
	}
}

// threshold says what is wrong with an eviction threshold.
func (s *Setup) threshold(text string) string {
	if percent, isPercent := percentage(text); isPercent {
		if percent < 0 || percent > 100 {
			return "must be between 0% and 100%"
		}
		return ""
	}
	switch amount := parseQuantity(text); {
	case amount == nil:
		return "wanted a quantity such as 200Mi, or a percentage such as 5%"
	case amount.Sign() <= 0:
		return "must be more than 0"
	}
	return ""
}

// percentage reads "5%"; what is no number counts as -1.
func percentage(text string) (percent float64, isPercent bool) {
	if !strings.HasSuffix(text, "%") {
		return 0, false
	}
	percent, err := strconv.ParseFloat(strings.TrimRight(text, "%"), 32)
	if err != nil {
		return -1, true
	}
	return percent, true
}
