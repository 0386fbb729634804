package rules

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

type (
	tree = map[string]any
	list = []any
)

// defaults are those that the tests need, of a recent release.
var defaults = map[string]string{
	"cgroupsPerQOS": "true", "cpuManagerPolicy": "none", "enableSystemLogHandler": "true", "imageGCHighThresholdPercent": "85", "imageGCLowThresholdPercent": "80",
	"imageMaximumGCAge": "0s", "imageMinimumGCAge": "2m", "iptablesDropBit": "15", "iptablesMasqueradeBit": "14", "shutdownGracePeriod": "0s",
	"shutdownGracePeriodCriticalPods": "0s", "topologyManagerPolicy": "none",
}

func setup(minor int, fields tree) Setup {
	return Setup{Minor: minor, Fields: fields, Default: func(field string) string { return defaults[field] }}
}

func gatesOn(names ...string) tree {
	on := tree{}
	for _, name := range names {
		on[name] = true
	}
	return on
}

var ruleTests = []struct {
	name   string
	minor  int
	fields tree
	want   []string // the beginning of "FIELD: MESSAGE" each
}{
	{"nothing", 37, tree{}, nil},
	{"a number below its range", 37, tree{"maxPods": int64(-5)}, []string{"maxPods: -5: must not be negative"}},
	{"a number above its range", 20, tree{"oomScoreAdj": int64(1001)}, []string{"oomScoreAdj: 1001: must be between -1000 and 1000"}},
	{"a port of a file that is 0 is the default", 37, tree{"port": int64(0), "maxPods": int64(0)}, nil},
	{"a port out of range", 37, tree{"port": int64(70000), "readOnlyPort": int64(-1)}, []string{"port: 70000", "readOnlyPort: -1"}},
	{"a duration below its range", 30, tree{"containerLogMonitorInterval": "2s"}, []string{"containerLogMonitorInterval: 2s: must be 3s or more"}},
	{"a range that came later", 29, tree{"containerLogMonitorInterval": "2s"}, nil},
	{"ids of a pod", 37, tree{"userNamespaces": tree{"idsPerPod": int64(65537)}}, []string{"userNamespaces.idsPerPod: 65537: must be a multiple"}},
	{"too few ids of a pod", 37, tree{"userNamespaces": tree{"idsPerPod": int64(1)}}, []string{"userNamespaces.idsPerPod: 1: must be between", "userNamespaces.idsPerPod: 1: must be a multiple"}},
	{"a sampling rate", 30, tree{"tracing": tree{"samplingRatePerMillion": int64(1000001)}}, []string{"tracing.samplingRatePerMillion: 1000001"}},

	{"a policy that does not exist", 37, tree{"topologyManagerPolicy": "best_effort"}, []string{`topologyManagerPolicy: "best_effort": must be none, best-effort, restricted or single-numa-node`}},
	{"an empty policy is the default", 37, tree{"topologyManagerPolicy": "", "hairpinMode": ""}, nil},
	{"an authorization mode", 13, tree{"authorization": tree{"mode": "RBAC"}}, []string{`authorization.mode: "RBAC"`}},
	{"a CPU policy before 1.16 falls back", 15, tree{"cpuManagerPolicy": "statiic"}, nil},
	{"a CPU policy", 16, tree{"cpuManagerPolicy": "statiic"}, []string{`cpuManagerPolicy: "statiic": must be none or static`}},
	{"a memory policy with a small letter", 34, tree{"memoryManagerPolicy": "static"}, []string{`memoryManagerPolicy: "static": must be None or Static`}},
	{"swap behaviour of another release", 30, tree{"memorySwap": tree{"swapBehavior": "UnlimitedSwap"}}, []string{`memorySwap.swapBehavior: "UnlimitedSwap"`}},
	{"swap behaviour without its gate", 29, tree{"memorySwap": tree{"swapBehavior": "LimitedSwap"}}, []string{"memorySwap.swapBehavior: needs the feature gate NodeSwap"}},
	{"a log format", 36, tree{"logging": tree{"format": "yaml"}}, []string{`logging.format: "yaml": must be text or json`}},
	{"TLS 1.3 before kubelet knew it", 14, tree{"tlsMinVersion": "VersionTLS13"}, []string{"tlsMinVersion:"}},

	{"image thresholds: the high one below the default of the low one", 36, tree{"imageGCHighThresholdPercent": int64(70)}, []string{"imageGCHighThresholdPercent: imageGCLowThresholdPercent 80 must be less than imageGCHighThresholdPercent 70"}},
	{"image thresholds: equal", 13, tree{"imageGCHighThresholdPercent": int64(70), "imageGCLowThresholdPercent": int64(70)}, []string{"imageGCHighThresholdPercent: "}},
	{"image age", 30, tree{"imageMaximumGCAge": "1m"}, []string{"imageMaximumGCAge: imageMaximumGCAge 1m0s must be greater than imageMinimumGCAge 2m0s"}},
	{"image age without its gate", 29, tree{"imageMaximumGCAge": "24h"}, []string{"imageMaximumGCAge: needs the feature gate"}},
	{"parallel pulls one by one", 36, tree{"serializeImagePulls": true, "maxParallelImagePulls": int64(3)}, []string{"maxParallelImagePulls: 3: cannot be larger than 1 unless"}},
	{"parallel pulls", 36, tree{"maxParallelImagePulls": int64(3)}, nil},
	{"image verification without its gate", 33, tree{"imagePullCredentialsVerificationPolicy": "AlwaysVerify"}, []string{"imagePullCredentialsVerificationPolicy: needs the feature gate"}},
	{"image verification", 36, tree{"imagePullCredentialsVerificationPolicy": "Never"}, []string{`imagePullCredentialsVerificationPolicy: "Never"`}},
	{"a list of images without its policy", 36, tree{"preloadedImagesVerificationAllowlist": list{"a.example/b"}}, []string{"preloadedImagesVerificationAllowlist: needs imagePullCredentialsVerificationPolicy"}},
	{"patterns of images", 36, tree{"imagePullCredentialsVerificationPolicy": "NeverVerifyAllowlistedImages", "preloadedImagesVerificationAllowlist": list{"a.example/b", "a.example/*", "a/b:1", "*/b", " a"}},
		[]string{"preloadedImagesVerificationAllowlist[2]", "preloadedImagesVerificationAllowlist[3]", "preloadedImagesVerificationAllowlist[4]"}},

	{"system cgroups without a root", 36, tree{"systemCgroups": "/system"}, []string{"systemCgroups: needs cgroupRoot"}},
	{"system cgroups with a root", 36, tree{"systemCgroups": "/system", "cgroupRoot": "/"}, nil},
	{"enforced without cgroups", 36, tree{"enforceNodeAllocatable": list{"pods", "kube-reserved", "system-reserved"}}, []string{"enforceNodeAllocatable: kube-reserved needs kubeReservedCgroup", "enforceNodeAllocatable: system-reserved needs systemReservedCgroup"}},
	{"enforced twice", 31, tree{"enforceNodeAllocatable": list{"pods", "pods"}}, []string{"enforceNodeAllocatable: pods is there twice"}},
	{"enforced twice before 1.31", 30, tree{"enforceNodeAllocatable": list{"pods", "pods"}}, nil},
	{"enforced, and none", 36, tree{"enforceNodeAllocatable": list{"none", "pods"}}, []string{"enforceNodeAllocatable: none may not stand beside others"}},
	{"enforced: unknown", 36, tree{"enforceNodeAllocatable": list{"pod"}}, []string{`enforceNodeAllocatable: "pod": must be pods`}},
	{"enforced: compressible before 1.32", 31, tree{"kubeReservedCgroup": "/k", "enforceNodeAllocatable": list{"kube-reserved-compressible"}}, []string{"enforceNodeAllocatable: "}},
	{"enforced: both forms", 32, tree{"kubeReservedCgroup": "/k", "enforceNodeAllocatable": list{"kube-reserved", "kube-reserved-compressible"}}, []string{"enforceNodeAllocatable: kube-reserved and its -compressible form"}},
	{"enforced by default, without cgroups per QoS", 36, tree{"cgroupsPerQOS": false}, []string{"cgroupsPerQOS: enforceNodeAllocatable"}},
	{"nothing enforced, without cgroups per QoS", 36, tree{"cgroupsPerQOS": false, "enforceNodeAllocatable": list{}}, nil},
	{"none enforced, without cgroups per QoS", 36, tree{"cgroupsPerQOS": false, "enforceNodeAllocatable": list{"none"}}, nil},
	{"none enforced, without cgroups per QoS, before 1.31", 30, tree{"cgroupsPerQOS": false, "enforceNodeAllocatable": list{"none"}}, []string{"enforceNodeAllocatable: "}},
	{"reserved CPUs that are none", 36, tree{"reservedSystemCPUs": "3-1"}, []string{`reservedSystemCPUs: "3-1": wanted CPUs`}},
	{"reserved CPUs and a cgroup", 36, tree{"reservedSystemCPUs": "0-1,3", "kubeReservedCgroup": "/k"}, []string{"reservedSystemCPUs: cannot be used together with kubeReservedCgroup"}},
	{"reserved memory", 36, tree{"reservedMemory": list{tree{"numaNode": int64(0), "limits": tree{"cpu": "1", "memory": "0"}}, tree{"numaNode": int64(0), "limits": tree{"memory": "1Gi"}}}},
		[]string{`reservedMemory[0]: "cpu": only memory`, "reservedMemory[0]: memory is zero", "reservedMemory[1]: memory of this NUMA node is reserved twice"}},
	{"reservations", 36, tree{"kubeReserved": tree{"cpu": "half", "gpu": "1", "memory": "-1Gi", "pid": "100", "ephemeral-storage": "1e9"}},
		[]string{`kubeReserved.cpu: "half"`, "kubeReserved.gpu: only cpu", `kubeReserved.memory: "-1Gi": must not be negative`}},
	{"QoS reservations", 36, tree{"featureGates": gatesOn("QOSReserved"), "qosReserved": tree{"memory": "150%", "cpu": "1%"}}, []string{"qosReserved.cpu: only memory", `qosReserved.memory: "150%"`}},
	{"eviction thresholds", 36, tree{"evictionHard": tree{"memory.available": "lots", "memory.avail": "1Gi", "nodefs.available": "0", "imagefs.available": "101%", "nodefs.inodesFree": "5%"}},
		[]string{`evictionHard.imagefs\.available: "101%"`, `evictionHard.memory\.avail: there is no such eviction signal`, `evictionHard.memory\.available: "lots"`, `evictionHard.nodefs\.available: "0"`}},
	{"a signal that came later", 28, tree{"evictionHard": tree{"containerfs.available": "1Gi"}}, []string{`evictionHard.containerfs\.available`}},
	{"soft eviction without a grace period", 36, tree{"evictionSoft": tree{"memory.available": "1Gi"}}, []string{`evictionSoft.memory\.available: needs a grace period`}},
	{"soft eviction with a negative period", 36, tree{"evictionSoft": tree{"memory.available": "1Gi"}, "evictionSoftGracePeriod": tree{"memory.available": "-1s"}}, []string{`evictionSoftGracePeriod.memory\.available: "-1s"`}},
	{"minimum reclaim", 36, tree{"evictionMinimumReclaim": tree{"memory.available": "0%", "nodefs.available": "-1", "imagefs.available": "0"}},
		[]string{`evictionMinimumReclaim.memory\.available`, `evictionMinimumReclaim.nodefs\.available`}},

	{"a quota period without its gate", 35, tree{"cpuCFSQuotaPeriod": "10ms"}, []string{"cpuCFSQuotaPeriod: 10ms: needs the feature gate CustomCPUCFSQuotaPeriod"}},
	{"a quota period that is too short", 36, tree{"cpuCFSQuotaPeriod": "10us"}, []string{"cpuCFSQuotaPeriod: 10µs: must be between 1ms and 1s"}},
	{"static CPUs without a reservation", 36, tree{"cpuManagerPolicy": "static"}, []string{"cpuManagerPolicy: static needs CPUs that are reserved"}},
	{"static CPUs with nothing reserved", 36, tree{"cpuManagerPolicy": "static", "kubeReserved": tree{"cpu": "0"}}, []string{"cpuManagerPolicy: "}},
	{"static CPUs with a reservation", 36, tree{"cpuManagerPolicy": "static", "systemReserved": tree{"cpu": "500m"}}, nil},
	{"static CPUs with a list", 36, tree{"cpuManagerPolicy": "static", "reservedSystemCPUs": "0"}, nil},
	{"options of no policy", 36, tree{"cpuManagerPolicyOptions": tree{"full-pcpus-only": "true"}}, []string{"cpuManagerPolicyOptions: the policy none has no options"}},
	{"options of a policy", 36, tree{"cpuManagerPolicy": "static", "kubeReserved": tree{"cpu": "1"}, "cpuManagerPolicyOptions": tree{"full-pcpus": "true", "full-pcpus-only": "yes", "align-by-socket": "true"}},
		[]string{"cpuManagerPolicyOptions.align-by-socket: needs the feature gate CPUManagerPolicyAlphaOptions", "cpuManagerPolicyOptions.full-pcpus: unknown option", `cpuManagerPolicyOptions.full-pcpus-only: "yes"`}},
	{"options that exclude each other", 36, tree{"featureGates": gatesOn("CPUManagerPolicyAlphaOptions"), "cpuManagerPolicy": "static", "kubeReserved": tree{"cpu": "1"},
		"cpuManagerPolicyOptions": tree{"full-pcpus-only": "true", "distribute-cpus-across-cores": "true"}}, []string{"cpuManagerPolicyOptions.distribute-cpus-across-cores: cannot be used together with full-pcpus-only"}},
	{"static memory without a reservation", 36, tree{"memoryManagerPolicy": "Static"}, []string{"memoryManagerPolicy: Static needs memory in reservedMemory"}},
	{"static memory of another sum", 36, tree{"memoryManagerPolicy": "Static", "kubeReserved": tree{"memory": "1Gi"}, "reservedMemory": list{tree{"numaNode": int64(0), "limits": tree{"memory": "1Gi"}}}},
		[]string{"reservedMemory: the memory in it, 1073741824 bytes, must be that of kubeReserved, systemReserved and evictionHard together, 1178599424 bytes"}},
	{"static memory", 36, tree{"memoryManagerPolicy": "Static", "kubeReserved": tree{"memory": "1Gi"}, "reservedMemory": list{tree{"numaNode": int64(0), "limits": tree{"memory": "1124Mi"}}}}, nil},
	{"topology options", 36, tree{"topologyManagerPolicy": "restricted", "topologyManagerPolicyOptions": tree{"prefer-closest-numa-nodes": "1", "max-allowable-numa-nodes": "4", "x": "y"}},
		[]string{"topologyManagerPolicyOptions.max-allowable-numa-nodes", "topologyManagerPolicyOptions.x: unknown option"}},
	{"a topology without its gate", 17, tree{"topologyManagerPolicy": "restricted"}, []string{"topologyManagerPolicy: restricted needs the feature gate TopologyManager"}},
	{"a throttling factor", 36, tree{"memoryThrottlingFactor": 1.5}, []string{"memoryThrottlingFactor: 1.5: must be greater than 0"}},
	{"a throttling factor without its gate", 37, tree{"featureGates": tree{"MemoryQoS": false}, "memoryThrottlingFactor": 0.5}, []string{"memoryThrottlingFactor: needs the feature gate MemoryQoS"}},
	{"a memory reservation without its gate", 36, tree{"memoryReservationPolicy": "TieredReservation"}, []string{"memoryReservationPolicy: TieredReservation needs"}},

	{"shutdown: the critical pods take longer", 36, tree{"shutdownGracePeriod": "10s", "shutdownGracePeriodCriticalPods": "20s"}, []string{"shutdownGracePeriodCriticalPods: shutdownGracePeriodCriticalPods 20s must not be longer"}},
	{"shutdown: less than a second", 36, tree{"shutdownGracePeriod": "500ms"}, []string{"shutdownGracePeriod: 500ms: must be 0s, or 1s or more"}},
	{"shutdown without its gate", 20, tree{"shutdownGracePeriod": "10s"}, []string{"shutdownGracePeriod: 10s: needs the feature gate GracefulNodeShutdown"}},
	{"shutdown in two ways", 36, tree{"shutdownGracePeriod": "10s", "shutdownGracePeriodByPodPriority": list{tree{"priority": int64(0), "shutdownGracePeriodSeconds": int64(1)}}}, []string{"shutdownGracePeriodByPodPriority: cannot be used together"}},
	{"a restart period without its gate", 34, tree{"crashLoopBackOff": tree{"maxContainerRestartPeriod": "10s"}}, []string{"crashLoopBackOff.maxContainerRestartPeriod: needs"}},
	{"a restart period", 36, tree{"featureGates": gatesOn("KubeletCrashLoopBackOffMax"), "crashLoopBackOff": tree{"maxContainerRestartPeriod": "10m"}}, []string{"crashLoopBackOff.maxContainerRestartPeriod: 10m0s: must be between"}},

	{"server certificates without their gate", 36, tree{"serverTLSBootstrap": true, "featureGates": tree{"RotateKubeletServerCertificate": false}}, []string{"serverTLSBootstrap: true needs the feature gate"}},
	{"cipher suites", 36, tree{"tlsCipherSuites": list{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"}}, []string{`tlsCipherSuites[1]: 1.36 has no cipher suite "ECDHE-RSA-AES128-GCM-SHA256"`}},
	{"a cipher suite that came later", 17, tree{"tlsCipherSuites": list{"TLS_AES_128_GCM_SHA256"}}, []string{"tlsCipherSuites[0]"}},
	{"curves", 36, tree{"tlsCurvePreferences": list{int64(23), int64(23), int64(5)}}, []string{"tlsCurvePreferences[1]: 23 is there twice", "tlsCurvePreferences[2]: 5: there is no such curve"}},
	{"seccomp without its gate", 24, tree{"seccompDefault": true}, []string{"seccompDefault: true needs"}},
	{"taints", 36, tree{"registerWithTaints": list{tree{"key": "a/b", "effect": "NoSchedule"}, tree{"key": "a b", "value": "c/d", "effect": "Never", "timeAdded": "x"}}},
		[]string{"registerWithTaints[1]: \"a b\"", "registerWithTaints[1]: \"c/d\"", "registerWithTaints[1]: wanted the effect", "registerWithTaints[1]: timeAdded"}},
	{"run-once", 32, tree{"runOnce": true}, []string{"runOnce: true is refused"}},
	{"run-once before", 31, tree{"runOnce": true}, nil},

	{"levels of files with JSON", 36, tree{"logging": tree{"format": "json", "vmodule": list{tree{"filePattern": "a=b", "verbosity": int64(1)}}}}, []string{"logging.vmodule: works with the log format text only", `logging.vmodule: filePattern "a=b"`}},
	{"a log buffer without its gate", 36, tree{"logging": tree{"options": tree{"json": tree{"infoBufferSize": "64k", "splitStream": true}, "text": tree{"infoBufferSize": "0"}}}},
		[]string{"logging.options.json.infoBufferSize: needs"}},
	{"tracing", 36, tree{"tracing": tree{"endpoint": "http://localhost:4317"}}, []string{`tracing.endpoint: "http://localhost:4317": wanted HOST:PORT`}},
	{"tracing to a host", 36, tree{"tracing": tree{"endpoint": "localhost:4317"}}, nil},
	{"tracing without its gate", 25, tree{"tracing": tree{}}, []string{"tracing: needs the feature gate KubeletTracing"}},
	{"hidden metrics", 36, tree{"showHiddenMetricsForVersion": "1.34"}, []string{"showHiddenMetricsForVersion: only 1.35 is allowed"}},
	{"log queries without the handler", 36, tree{"enableSystemLogQuery": true, "enableSystemLogHandler": false}, []string{"enableSystemLogQuery: true needs enableSystemLogHandler"}},
	{"log queries without their gate", 29, tree{"enableSystemLogQuery": true}, []string{"enableSystemLogQuery: true needs the feature gate NodeLogQuery"}},
	{"a directory of logs", 36, tree{"podLogsDir": "/var/log/pods/"}, []string{"podLogsDir:"}},
	{"a directory of logs in another alphabet", 36, tree{"podLogsDir": "/var/журнал"}, []string{"podLogsDir:"}},
	{"a size of logs", 36, tree{"containerLogMaxSize": "abc"}, []string{`containerLogMaxSize: "abc": wanted a quantity`}},
	{"sysctls", 37, tree{"featureGates": gatesOn("DefaultPodSysctls"), "defaultPodSysctls": tree{"net.core.somaxconn": "1", "net/core/somaxconn": "1", "vm.swappiness": "1", "Net": "1"}},
		[]string{"defaultPodSysctls.Net: not the name", "defaultPodSysctls.net/core/somaxconn: there twice", `defaultPodSysctls.vm\.swappiness: not known`}},
	{"packet marks", 27, tree{"iptablesDropBit": int64(14)}, []string{"iptablesDropBit: iptablesMasqueradeBit and iptablesDropBit are both 14"}},

	{"a gate of no release", 37, tree{"featureGates": gatesOn("NodeSwaps")}, []string{"featureGates.NodeSwaps: no release has a feature gate NodeSwaps"}},
	{"a gate that is gone", 36, tree{"featureGates": gatesOn("KubeletCredentialProviders")}, []string{"featureGates.KubeletCredentialProviders: the feature gate KubeletCredentialProviders is gone since 1.28"}},
	{"a gate that is not there yet", 20, tree{"featureGates": gatesOn("NodeSwap")}, []string{"featureGates.NodeSwap: the feature gate NodeSwap appears in 1.22, this is 1.20"}},
	{"a locked gate", 27, tree{"featureGates": tree{"CPUManager": false}}, []string{"featureGates.CPUManager: the feature gate CPUManager is locked to true in 1.27"}},
	{"a locked gate at its default", 27, tree{"featureGates": tree{"CPUManager": true}}, nil},
	{"a gate that needs another one", 37, tree{"featureGates": gatesOn("DRAWorkloadResourceClaims")}, []string{"featureGates.DRAWorkloadResourceClaims: the feature gate DRAWorkloadResourceClaims is on, but needs GenericWorkload"}},
	{"a gate that others need", 37, tree{"featureGates": tree{"GracefulNodeShutdown": false}},
		[]string{"featureGates.GracefulNodeShutdown: the feature gate GracefulNodeShutdownBasedOnPodPriority is on", "featureGates.GracefulNodeShutdown: the feature gate WindowsGracefulNodeShutdown is on"}},
}

func TestRules(t *testing.T) {
	for _, tt := range ruleTests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, v := range Check(setup(tt.minor, tt.fields)) {
				got = append(got, v.Field+": "+v.Message)
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(tt.want))
			if !slices.EqualFunc(got, want, strings.HasPrefix) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func TestFlagRules(t *testing.T) {
	tests := []struct {
		name, flag, value string
		minor             int
		want              string // empty when it is fine
	}{
		{"labels", "node-labels", "a=b,example.com/c=,d", 36, ""},
		{"a label with a slash in its value", "node-labels", "foo/bar=baz/qux", 36, `"baz/qux": a value has`},
		{"a label with two signs", "node-labels", "a=b=c", 36, `"b=c": a value has`},
		{"a domain in upper case", "node-labels", "A_b.c/d=x", 36, `"A_b.c/d": before the /`},
		{"before 1.25 the API server judged", "node-labels", "a=b=c", 24, ""},
		{"labels of Kubernetes", "node-labels", "node-role.kubernetes.io/worker=", 36, "since 1.16 a kubelet may not give itself node-role.kubernetes.io/worker"},
		{"labels of Kubernetes before 1.16", "node-labels", "node-role.kubernetes.io/worker=", 15, ""},
		{"aws in time", "cloud-provider", "aws", 26, ""},
		{"aws", "cloud-provider", "aws", 27, "the cloud provider aws is gone since 1.27"},
		{"azure that is off", "cloud-provider", "azure", 29, "the cloud provider azure is off since 1.29"},
		{"gce", "cloud-provider", "gce", 31, "the cloud provider gce is gone since 1.31"},
		{"a provider that never was", "cloud-provider", "hetzner", 13, `there is no cloud provider "hetzner"`},
		{"external", "cloud-provider", "external", 37, ""},
		{"a lock without a file", "exit-on-lock-contention", "true", 36, "needs --lock-file as well"},
		{"no lock", "exit-on-lock-contention", "false", 36, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := setup(tt.minor, nil)
			s.Flags = map[string]string{tt.flag: tt.value}
			got := ""
			for _, v := range Check(s) {
				got += v.Message
				if v.Flag != tt.flag {
					t.Errorf("it is said of --%s%s", v.Flag, v.Field)
				}
			}
			if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The real kubelets 1.34 and 1.37 say the same.
func TestGatesWithoutFile(t *testing.T) {
	for _, tt := range []struct {
		name   string
		minor  int
		change func(*Setup)
		want   int
	}{
		{"by a flag", 37, nil, 1},
		{"before it was on", 34, nil, 0},
		{"in a file", 37, func(s *Setup) { s.ByFlag = nil }, 0},
		{"beside a file", 37, func(s *Setup) { s.Flags = map[string]string{"config": "/c"} }, 0},
		{"of a part of a setup", 37, func(s *Setup) { s.Partial = true }, 0},
		{"on", 37, func(s *Setup) { s.Fields["featureGates"] = gatesOn("KubeletCrashLoopBackOffMax") }, 0},
	} {
		s := setup(tt.minor, tree{"featureGates": tree{"KubeletCrashLoopBackOffMax": false}})
		s.ByFlag = map[string]bool{"featureGates": true}
		if tt.change != nil {
			tt.change(&s)
		}
		if got := Check(s); len(got) != tt.want || tt.want > 0 && got[0].Flag != "feature-gates" {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// Every check has to refuse something in these tests: one that cannot is wrong, or its tests are.
func TestEveryCheckRefuses(t *testing.T) {
	byFlags := map[string]bool{"gatesWithoutFile": true, "nodeLabels": true, "cloudProvider": true, "lockContentionNeedsFile": true} // see TestFlagRules, TestGatesWithoutFile
	for _, c := range checks {
		name := runtime.FuncForPC(reflect.ValueOf(c.check).Pointer()).Name()
		name = name[strings.LastIndexByte(name, '.')+1:]
		refuses := slices.ContainsFunc(ruleTests, func(tt struct {
			name   string
			minor  int
			fields tree
			want   []string
		}) bool {
			s := setup(tt.minor, tt.fields)
			s.gates = gatesIn(tt.fields)
			if c.since > tt.minor || c.until != 0 && tt.minor >= c.until {
				return false
			}
			c.check(&s)
			return len(s.violations) > 0
		})
		if !refuses && !byFlags[name] {
			t.Errorf("%s refuses nothing", name)
		}
	}
}

// Where the rest of a setup is not known nothing is said about what it may have.
func TestPartial(t *testing.T) {
	for _, fields := range []tree{
		{"imageGCHighThresholdPercent": int64(70)}, {"cpuManagerPolicy": "static"}, {"memoryManagerPolicy": "Static"}, {"systemCgroups": "/s"},
		{"enforceNodeAllocatable": list{"kube-reserved"}}, {"shutdownGracePeriod": "10s"}, {"cgroupsPerQOS": false}, {"imageMaximumGCAge": "1m"},
		{"evictionSoft": tree{"memory.available": "1Gi"}}, {"cpuCFSQuotaPeriod": "10ms"},
	} {
		s := setup(20, fields)
		s.Partial = true
		if found := Check(s); len(found) > 0 {
			t.Errorf("%v: %v", fields, found)
		}
	}
}

// A flag is taken at its word where a zero in a file is no value.
func TestZeroOfAFlag(t *testing.T) {
	s := setup(36, tree{"port": int64(0)})
	s.ByFlag = map[string]bool{"port": true}
	if found := Check(s); len(found) != 1 {
		t.Errorf("%v", found)
	}
}

// Kubelet forgets what its file says of this when it reads its flags.
func TestSplitStream(t *testing.T) {
	for _, byFlag := range []bool{true, false} {
		s := setup(36, tree{"logging": tree{"options": tree{"json": tree{"splitStream": true}}}})
		s.ByFlag = map[string]bool{"logging.options.json.splitStream": byFlag}
		if found := Check(s); (len(found) == 1) != byFlag {
			t.Errorf("by a flag: %t: %v", byFlag, found)
		}
	}
}

// known are gates as https://kubernetes.io/docs/reference/command-line-tools-reference/feature-gates has them.
func TestGates(t *testing.T) {
	for _, tt := range []struct {
		name         string
		minor        int
		known        bool
		on, locked   bool
		withoutIsSet bool
	}{
		{"CPUManager", 13, true, true, false, false},
		{"CPUManager", 32, true, true, true, false},
		{"CPUManager", 33, false, false, false, true},
		{"NodeSwap", 21, false, false, false, false},
		{"NodeSwap", 22, true, false, false, false},
		{"ContextualLogging", 30, true, true, false, false},
		{"WatchListClient", 35, true, true, false, false},
		{"AllAlpha", 13, true, false, false, false},
		{"ComponentSLIs", 26, true, false, false, false},
		{"DynamicKubeletConfig", 26, false, false, false, false},
	} {
		g, known := gateIn(tt.minor, tt.name)
		if known != tt.known || known && (g.on != tt.on || g.locked != tt.locked) {
			t.Errorf("%s in 1.%d: known %t, %+v", tt.name, tt.minor, known, g)
		}
		if got := GateWithoutEffect(tt.minor, tt.name, true); got != tt.withoutIsSet {
			t.Errorf("%s=true in 1.%d has no effect: %t", tt.name, tt.minor, got)
		}
	}
}

// The table has to be read in next to no time: kubeletctl needs it in most of its runs.
func TestGatesLoadQuickly(t *testing.T) {
	best := time.Hour
	for range 20 {
		began := time.Now()
		if n := len(readGates()); n < 500 {
			t.Fatalf("%d gates", n)
		}
		best = min(best, time.Since(began))
	}
	if best > 2*time.Millisecond {
		t.Errorf("%s", best)
	}
}

func TestQuantities(t *testing.T) {
	for text, want := range map[string]string{
		"1": "1.000", "1.5": "1.500", ".5": "0.500", "1Ki": "1024.000", "1k": "1000.000", "100m": "0.100", "2Gi": "2147483648.000", "1e3": "1000.000", "1E": "1000000000000000000.000",
		"-1": "-1.000", "1u": "0.000", "1Mi": "1048576.000", "": "", "1KB": "", "Gi": "", "1 Gi": "", "0x10": "",
	} {
		got := ""
		if n := parseQuantity(text); n != nil {
			got = n.FloatString(3)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func ExampleCheck() {
	fmt.Println(Check(Setup{Minor: 37, Fields: map[string]any{"maxPods": int64(-5)}, Default: func(string) string { return "" }})[0].Message)
	// Output: -5: must not be negative
}
