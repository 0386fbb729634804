package rules

import (
	"math"
	"time"
)

// bounds are the smallest and the largest value of a field or, where a release has no such field, of a flag, inclusive. Those
// of a duration are in nanoseconds.
type bounds struct {
	field        string
	min, max     float64
	since, until int
	text         string // "must be between 0 and 100"
}

const (
	noMax  = math.MaxFloat64
	second = float64(time.Second)
)

var allBounds = []bounds{
	{field: "containerLogMaxFiles", min: 2, max: noMax, since: 24, text: "must be greater than 1"},
	{field: "containerLogMaxWorkers", min: 1, max: noMax, since: 30, text: "must be 1 or more"},
	{field: "containerLogMonitorInterval", min: 3 * second, max: noMax, since: 30, text: "must be 3s or more"},
	{field: "eventBurst", max: noMax, text: "must not be negative"},
	{field: "eventRecordQPS", max: noMax, text: "must not be negative"},
	{field: "healthzPort", max: 65535, text: "must be between 1 and 65535, or 0 for none"},
	{field: "imageGCHighThresholdPercent", max: 100, text: "must be between 0 and 100"},
	{field: "imageGCLowThresholdPercent", max: 100, text: "must be between 0 and 100"},
	{field: "imageMaximumGCAge", max: noMax, since: 29, text: "must not be negative"},
	{field: "imageMinimumGCAge", max: noMax, since: 36, text: "must not be negative"},
	{field: "iptablesDropBit", max: 31, text: "must be between 0 and 31"},
	{field: "iptablesMasqueradeBit", max: 31, text: "must be between 0 and 31"},
	{field: "kubeAPIBurst", max: noMax, text: "must not be negative"},
	{field: "kubeAPIQPS", max: noMax, text: "must not be negative"},
	{field: "logging.flushFrequency", min: 1, max: noMax, since: 35, text: "must be greater than 0"},
	{field: "logging.verbosity", max: math.MaxInt32, since: 23, text: "must be at most 2147483647"},
	{field: "maxOpenFiles", max: noMax, text: "must not be negative"},
	{field: "maxParallelImagePulls", min: 1, max: noMax, since: 27, text: "must be greater than 0"},
	{field: "maxPods", max: noMax, text: "must not be negative"},
	{field: "nodeLeaseDurationSeconds", min: 1, max: noMax, text: "must be greater than 0"},
	{field: "nodeStatusMaxImages", min: -1, max: noMax, text: "must be -1 or more"},
	{field: "oomScoreAdj", min: -1000, max: 1000, text: "must be between -1000 and 1000"},
	{field: "podsPerCore", max: noMax, text: "must not be negative"},
	{field: "port", min: 1, max: 65535, text: "must be between 1 and 65535"},
	{field: "readOnlyPort", max: 65535, text: "must be between 1 and 65535, or 0 for none"},
	{field: "registryBurst", max: noMax, text: "must not be negative"},
	{field: "registryPullQPS", max: noMax, text: "must not be negative"},
	{field: "syncFrequency", min: 1, max: noMax, text: "must be greater than 0"},
	{field: "tracing.samplingRatePerMillion", max: 1e6, since: 25, text: "must be between 0 and 1000000"},
	{field: "userNamespaces.idsPerPod", min: 65536, max: math.MaxUint32, since: 33, text: "must be between 65536 and 4294967295"},
}

func (b bounds) check(s *Setup) {
	value, given := s.given(b.field)
	if !given || !s.holds(b.since, b.until) {
		return
	}
	var n float64
	switch v := value.(type) {
	case int64:
		n = float64(v)
	case float64:
		n = v
	case string:
		d, err := time.ParseDuration(v)
		if err != nil {
			return
		}
		n = float64(d)
	default:
		return
	}
	if n < b.min || n > b.max {
		s.refuse(b.field, "%v: %s", value, b.text)
	}
}
