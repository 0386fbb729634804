package rules

import "slices"

// checks are the rules for several fields or flags at once. Each function is named after what upstream says.
var checks = []check{
	{check: gateNeeds, since: 36},

	{check: imageGCLowMustBeLessThanHigh},
	{check: imageMaximumGCAgeMustBeGreater, since: 29},
	{check: maxParallelImagePullsNeedsParallel, since: 27},
	{check: imagePullVerificationNeedsGate, since: 33},
	{check: preloadedImagesAllowlistPatterns, since: 33},

	{check: systemCgroupsNeedsCgroupRoot},
	{check: enforceNodeAllocatable},
	{check: reservedSystemCPUs, since: 17},
	{check: reservedMemoryLimits, since: 21},
	{check: resourceReservations},
	{check: qosReservedPercentages},
	{check: evictionThresholds},

	{check: cpuCFSQuotaPeriod},
	{check: staticCPUPolicyNeedsReservation, since: 13},
	{check: cpuManagerPolicyOptions, since: 22},
	{check: staticMemoryPolicyNeedsReservation, since: 21},
	{check: topologyNeedsGate, since: 16, until: 27},
	{check: topologyManagerPolicyOptions, since: 26},
	{check: memorySwapNeedsGate, since: 22},
	{check: memoryThrottlingFactor, since: 22},
	{check: memoryReservationNeedsGate, since: 36},

	{check: shutdownGracePeriods, since: 20},
	{check: shutdownByPodPriority, since: 23},
	{check: crashLoopBackOff, since: 32},
	{check: gatesWithoutFile, since: 35},

	{check: rotationNeedsGate},
	{check: tlsCipherSuites},
	{check: tlsCurvePreferences, since: 36},
	{check: seccompDefaultNeedsGate, since: 22, until: 27},
	{check: invalidTaints, since: 23},
	{check: runOnce, since: 32},

	{check: vmodulePatterns, since: 25},
	{check: loggingOptionsNeedGate, since: 25},
	{check: tracingEndpoint, since: 25},
	{check: tracingNeedsGate, since: 25, until: 34},
	{check: hiddenMetricsVersion, since: 18},
	{check: systemLogQuery, since: 27},
	{check: podLogsDir, since: 30},
	{check: containerLogMaxSize, since: 24},
	{check: userNamespaceLength, since: 33},
	{check: defaultPodSysctls, since: 37},
	{check: iptablesBitsMustDiffer, until: 28},

	{check: nodeLabels},
	{check: cloudProvider},
	{check: lockContentionNeedsFile},
}

// CPUCFSQuotaPeriod is CustomCPUCFSQuotaPeriod to a user.
const quotaGate = "CustomCPUCFSQuotaPeriod"

// systemCgroupsNeedsCgroupRoot: "systemCgroups (--system-cgroups) was specified and cgroupRoot (--cgroup-root) was not specified".
func systemCgroupsNeedsCgroupRoot(s *Setup) {
	if s.isSet("systemCgroups") && s.complete("cgroupRoot") && !s.isSet("cgroupRoot") {
		s.refuse("systemCgroups", "needs cgroupRoot as well")
	}
}

// iptablesBitsMustDiffer: "iptables-masquerade-bit and iptables-drop-bit must be different".
func iptablesBitsMustDiffer(s *Setup) {
	masquerade, known := s.integer("iptablesMasqueradeBit")
	drop, knownToo := s.integer("iptablesDropBit")
	if known && knownToo && masquerade == drop {
		s.refuse(s.oneGiven("iptablesMasqueradeBit", "iptablesDropBit"), "iptablesMasqueradeBit and iptablesDropBit are both %d; they must differ", drop)
	}
}

// oneGiven is the first of fields that somebody has set.
func (s *Setup) oneGiven(fields ...string) string {
	i := slices.IndexFunc(fields, func(f string) bool { _, given := s.given(f); return given })
	return fields[max(i, 0)]
}

// runOnce: "runOnce (--runOnce) %v, Runonce mode has been deprecated and should not be set".
func runOnce(s *Setup) {
	if s.isTrue("runOnce") {
		s.refuse("runOnce", "true is refused: run-once mode was removed in 1.32")
	}
}

// rotationNeedsGate: "serverTLSBootstrap %v requires feature gate RotateKubeletServerCertificate"; rotateCertificates had one
// of its own before 1.19.
func rotationNeedsGate(s *Setup) {
	s.needsGate("serverTLSBootstrap", "RotateKubeletServerCertificate")
	if s.Minor < 19 {
		s.needsGate("rotateCertificates", "RotateKubeletClientCertificate")
	}
}

// seccompDefaultNeedsGate: "the SeccompDefault feature gate must be enabled in order to use the SeccompDefault configuration".
func seccompDefaultNeedsGate(s *Setup) { s.needsGate("seccompDefault", "SeccompDefault") }

// needsGate refuses that a switch is on while a gate is off.
func (s *Setup) needsGate(field, gate string) {
	if s.isTrue(field) && s.off(gate) {
		s.refuse(field, "true needs the feature gate %s, which is off", gate)
	}
}

// systemLogQuery: "NodeLogQuery feature gate is required for enableSystemLogQuery", "enableSystemLogHandler is required for
// enableSystemLogQuery".
func systemLogQuery(s *Setup) {
	s.needsGate("enableSystemLogQuery", "NodeLogQuery")
	if s.isTrue("enableSystemLogQuery") && s.isFalse("enableSystemLogHandler") {
		s.refuse("enableSystemLogQuery", "true needs enableSystemLogHandler: true")
	}
}

// lockContentionNeedsFile: "cannot exit on lock file contention: no lock file specified".
func lockContentionNeedsFile(s *Setup) {
	if s.flagIsTrue("exit-on-lock-contention") && s.Flags["lock-file"] == "" {
		s.refuseFlag("exit-on-lock-contention", "needs --lock-file as well")
	}
}
