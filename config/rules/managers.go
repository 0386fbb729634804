package rules

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"time"
)

// cpuCFSQuotaPeriod: "cpuCFSQuotaPeriod (--cpu-cfs-quota-period) %v requires feature gate CustomCPUCFSQuotaPeriod", "must be
// between 1ms and 1sec, inclusive".
func cpuCFSQuotaPeriod(s *Setup) {
	const field = "cpuCFSQuotaPeriod"
	period, known := s.duration(field)
	if _, given := s.given(field); !given || !known {
		return
	}
	least := time.Millisecond
	if s.Minor < 26 {
		least = time.Microsecond
	}
	switch {
	case s.Minor >= 20 && s.off(quotaGate) && period != 100*time.Millisecond:
		s.refuse(field, "%s: needs the feature gate %s, which is off", period, quotaGate)
	case s.on(quotaGate) && (period < least || period > time.Second):
		s.refuse(field, "%s: must be between %s and 1s", period, least)
	}
}

// staticCPUPolicyNeedsReservation: "the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero".
func staticCPUPolicyNeedsReservation(s *Setup) {
	policy, _ := s.given("cpuManagerPolicy")
	if policy != "static" || !s.on("CPUManager") && s.Minor < 26 || s.isSet("reservedSystemCPUs") || !s.complete("reservedSystemCPUs") {
		return
	}
	if total, known := s.reserved("cpu"); known && total.Sign() == 0 {
		s.refuse("cpuManagerPolicy", "static needs CPUs that are reserved: kubeReserved.cpu, systemReserved.cpu or reservedSystemCPUs")
	}
}

// reserved is the sum of what kubeReserved and systemReserved set aside; false when it is not known.
func (s *Setup) reserved(kind string) (*big.Rat, bool) {
	total := new(big.Rat)
	for _, field := range []string{"kubeReserved", "systemReserved"} {
		text, given := s.mapping(field)[kind].(string)
		if !given {
			if !s.complete(field) {
				return nil, false
			}
			continue
		}
		amount := parseQuantity(text)
		if amount == nil {
			return nil, false
		}
		total.Add(total, amount)
	}
	return total, true
}

// option is an option of a policy, and how ripe it is from a minor on: "", which needs no gate, Alpha or Beta.
type option struct {
	name     string
	ripeness []ripeness
}

type ripeness struct {
	since int
	level string
}

var cpuOptions = []option{
	{"full-pcpus-only", []ripeness{{22, ""}, {23, "Beta"}, {33, ""}}},
	{"distribute-cpus-across-numa", []ripeness{{23, "Alpha"}, {33, "Beta"}}},
	{"align-by-socket", []ripeness{{25, "Alpha"}}},
	{"distribute-cpus-across-cores", []ripeness{{31, "Alpha"}}},
	{"strict-cpu-reservation", []ripeness{{32, "Alpha"}, {33, "Beta"}, {35, ""}}},
	{"prefer-align-cpus-by-uncorecache", []ripeness{{32, "Alpha"}, {34, "Beta"}, {36, ""}}},
}

var topologyOptions = []option{
	{"prefer-closest-numa-nodes", []ripeness{{26, "Alpha"}, {28, "Beta"}, {32, ""}}},
	{"max-allowable-numa-nodes", []ripeness{{31, "Beta"}, {35, ""}}},
}

// checkOption refuses an option that the minor does not know, or whose gate is off.
func (s *Setup) checkOption(options []option, field, name, gatePrefix string) {
	level, known := "", false
	var names []string
	for _, o := range options {
		for _, r := range o.ripeness {
			if r.since <= s.Minor && o.name == name {
				level, known = r.level, true
			}
		}
		if o.ripeness[0].since <= s.Minor {
			names = append(names, o.name)
		}
	}
	switch gate := gatePrefix + level + "Options"; {
	case !known:
		s.refuse(join(field, name), "unknown option in 1.%d; there are %s", s.Minor, oneOf(names))
	case level != "" && s.off(gate):
		s.refuse(join(field, name), "needs the feature gate %s, which is off", gate)
	}
}

// cpuManagerPolicyOptions: "CPU Manager policy options %v require feature gates %q, %q enabled", "None policy: received unsupported options=%v", "unknown CPU Manager Policy option: %q", "bad value
// for option %q", "static policy options %s and %s can not be used at the same time".
func cpuManagerPolicyOptions(s *Setup) {
	const field = "cpuManagerPolicyOptions"
	options := s.mapping(field)
	policy, known := s.text("cpuManagerPolicy")
	if len(options) == 0 || !known {
		return
	}
	if s.Minor < 33 && s.off("CPUManagerPolicyOptions") {
		s.refuse(field, "needs the feature gate CPUManagerPolicyOptions, which is off")
		return
	}
	if policy == "none" || policy == "" {
		s.refuse(field, "the policy none has no options; set cpuManagerPolicy: static")
		return
	}
	isOn := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		s.checkOption(cpuOptions, field, name, "CPUManagerPolicy")
		text, _ := options[name].(string)
		on, err := strconv.ParseBool(text)
		if err != nil {
			s.refuse(join(field, name), "%q: wanted true or false", text)
		}
		isOn[name] = on
	}
	for _, pair := range []struct {
		a, b  string
		since int
	}{
		{"full-pcpus-only", "distribute-cpus-across-cores", 31},
		{"distribute-cpus-across-numa", "distribute-cpus-across-cores", 31},
		{"prefer-align-cpus-by-uncorecache", "distribute-cpus-across-cores", 32},
		{"prefer-align-cpus-by-uncorecache", "distribute-cpus-across-numa", 32},
	} {
		if s.Minor >= pair.since && isOn[pair.a] && isOn[pair.b] {
			s.refuse(join(field, pair.b), "cannot be used together with %s", pair.a)
		}
	}
	if topology, known := s.text("topologyManagerPolicy"); known && topology == "single-numa-node" && isOn["align-by-socket"] {
		s.refuse(join(field, "align-by-socket"), "cannot be used together with topologyManagerPolicy single-numa-node")
	}
}

// topologyManagerPolicyOptions: "topology manager policy options %v require feature gates %q enabled", "unknown Topology Manager
// Policy option: %q", "the minimum value of %q should not be less than %v".
func topologyManagerPolicyOptions(s *Setup) {
	const field, gate, leastNodes = "topologyManagerPolicyOptions", "TopologyManagerPolicyOptions", 8
	options := s.mapping(field)
	policy, known := s.text("topologyManagerPolicy")
	switch {
	case len(options) == 0:
		return
	case s.Minor < 35 && s.off(gate):
		s.refuse(field, "needs the feature gate %s, which is off", gate)
		return
	case !known || policy == "none" || policy == "": // nobody reads them then
		return
	}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		s.checkOption(topologyOptions, field, name, "TopologyManagerPolicy")
		text, _ := options[name].(string)
		switch name {
		case "prefer-closest-numa-nodes":
			if _, err := strconv.ParseBool(text); err != nil {
				s.refuse(join(field, name), "%q: wanted true or false", text)
			}
		case "max-allowable-numa-nodes":
			if n, err := strconv.Atoi(text); err != nil || n < leastNodes {
				s.refuse(join(field, name), "%q: wanted a number of %d or more", text, leastNodes)
			}
		}
	}
}

// topologyNeedsGate: "topologyManagerPolicy %v requires feature gate TopologyManager".
func topologyNeedsGate(s *Setup) {
	for field, without := range map[string]string{"topologyManagerPolicy": "none", "topologyManagerScope": "container"} {
		if value, given := s.given(field); given && value != without && s.off("TopologyManager") {
			s.refuse(field, "%v needs the feature gate TopologyManager, which is off", value)
		}
	}
}

// staticMemoryPolicyNeedsReservation: "you should specify the system reserved memory", "the total amount %q of type %q is not
// equal to the value %q determined by Node Allocatable feature", which is what is reserved and what evictionHard keeps free.
func staticMemoryPolicyNeedsReservation(s *Setup) {
	policy, _ := s.given("memoryManagerPolicy")
	if policy != "Static" || s.Minor < 32 && !s.on("MemoryManager") || !s.complete("reservedMemory") {
		return
	}
	set := new(big.Rat)
	for _, entry := range s.list("reservedMemory") {
		node, _ := entry.(map[string]any)
		limits, _ := node["limits"].(map[string]any)
		if amount := parseQuantity(fmt.Sprint(limits["memory"])); amount != nil {
			set.Add(set, amount)
		}
	}
	if set.Sign() == 0 {
		s.refuse("memoryManagerPolicy", "Static needs memory in reservedMemory")
		return
	}
	total, known := s.reserved("memory")
	kept, alsoKnown := s.keptFree()
	if !known || !alsoKnown {
		return
	}
	if total.Add(total, kept); total.Cmp(set) != 0 {
		s.refuse("reservedMemory", "the memory in it, %s bytes, must be that of kubeReserved, systemReserved and evictionHard together, %s bytes",
			set.FloatString(0), total.FloatString(0))
	}
}

// keptFree is the memory that evictionHard keeps free; false when it depends on the machine.
func (s *Setup) keptFree() (*big.Rat, bool) {
	const byDefault = "100Mi"
	value, given := s.given("evictionHard")
	thresholds, _ := value.(map[string]any)
	text, _ := thresholds["memory.available"].(string)
	switch {
	case !given && s.Partial:
		return nil, false
	case !given, text == "" && s.isTrue("mergeDefaultEvictionSettings"):
		text = byDefault
	case text == "", text == "0%", text == "100%":
		return new(big.Rat), true
	}
	amount := parseQuantity(text)
	return amount, amount != nil
}

// memorySwapNeedsGate: "memorySwap.swapBehavior cannot be set when NodeSwap feature flag is disabled".
func memorySwapNeedsGate(s *Setup) {
	if s.isSet("memorySwap.swapBehavior") && s.off("NodeSwap") {
		s.refuse("memorySwap.swapBehavior", "needs the feature gate NodeSwap, which is off")
	}
}

// memoryThrottlingFactor: "memoryThrottlingFactor %v must be greater than 0 and less than or equal to 1.0", "memoryThrottlingFactor
// must not be set when MemoryQoS feature gate is disabled".
func memoryThrottlingFactor(s *Setup) {
	const field, formerDefault = "memoryThrottlingFactor", 0.9
	value, given := s.given(field)
	if !given {
		return
	}
	var factor float64
	switch n := value.(type) {
	case int64:
		factor = float64(n)
	case float64:
		factor = n
	}
	switch {
	case factor <= 0 || factor > 1:
		s.refuse(field, "%v: must be greater than 0 and at most 1", value)
	case s.Minor >= 37 && s.off("MemoryQoS") && factor != formerDefault:
		s.refuse(field, "needs the feature gate MemoryQoS, which is off")
	}
}

// memoryReservationNeedsGate: "memoryReservationPolicy %q requires MemoryQoS feature gate to be enabled".
func memoryReservationNeedsGate(s *Setup) {
	if policy, _ := s.given("memoryReservationPolicy"); policy == "TieredReservation" && s.off("MemoryQoS") {
		s.refuse("memoryReservationPolicy", "TieredReservation needs the feature gate MemoryQoS, which is off")
	}
}
