// Package verdicts holds what kubeletctl says of configurations, command lines and environment files against what real
// kubelets say: the same verdict, accepted or refused, of the same input.
package verdicts

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/document"
)

// input is something that kubeletctl and a kubelet are asked about.
type input struct {
	// of are the fields and flags that it is about.
	of       []string
	document document.File
	args     []string
	config   []byte
}

// sweepInputs is how many inputs of the sweep there are for each release: every field and every flag with each of its values, and
// pairs of them.
const sweepInputs = 5000

// inputs are count of those for a release, the same at every run.
func inputs(m config.Minor, count int) []input {
	random := rand.New(rand.NewPCG(uint64(m), 1))
	all := append(fieldInputs(m), flagInputs()...)
	for len(all) < max(count, sweepInputs) {
		all = append(all, pair(m, random))
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:count]
}

// leaves are the fields that hold values: no objects, nothing inside of lists.
func leaves() []config.Field {
	return slices.DeleteFunc(config.AllFields(), func(f config.Field) bool {
		return f.Type == "object" || strings.Contains(f.Path, "[]") || f.Path == "apiVersion" || f.Path == "kind"
	})
}

func fieldInputs(m config.Minor) []input {
	var all []input
	for _, f := range leaves() {
		for _, value := range fieldValues(f) {
			fields := base(m)
			set(fields, f.Path, value)
			all = append(all, configInput(fields, f.Path))
		}
	}
	return all
}

// base is a configuration as people have it.
func base(m config.Minor) map[string]any {
	fields := map[string]any{"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "cgroupDriver": "systemd", "clusterDNS": []any{"10.96.0.10"}, "clusterDomain": "cluster.local"}
	if m >= 31 {
		fields["failCgroupV1"] = false
	}
	return fields
}

func configInput(fields map[string]any, of ...string) input {
	data, err := yaml.Marshal(fields)
	if err != nil {
		panic(err) // they are all ours
	}
	return input{of: of, document: document.File{Name: "kubelet.yaml", Data: data}, config: data}
}

func set(fields map[string]any, path string, value any) {
	keys, err := config.SplitPath(path)
	if err == nil {
		err = config.SetField(fields, keys, value)
	}
	if err != nil {
		panic(err)
	}
}

// pair is a configuration with two fields, or a command line or an environment file with two flags, of random values.
func pair(m config.Minor, random *rand.Rand) input {
	if random.IntN(2) == 0 {
		fields, all := base(m), leaves()
		var of []string
		for range 2 {
			f := all[random.IntN(len(all))]
			values := fieldValues(f)
			set(fields, f.Path, values[random.IntN(len(values))])
			of = append(of, f.Path)
		}
		return configInput(fields, of...)
	}
	all := flags()
	var of, args []string
	for range 2 {
		f := all[random.IntN(len(all))]
		values := flagValues(f)
		of, args = append(of, "--"+f.Name), append(args, "--"+f.Name+"="+values[random.IntN(len(values))])
	}
	return flagInput(random.IntN(2) == 0, args, of...)
}

// flags are those of all releases, but for the ones with which a kubelet prints and ends, or reads files of this machine.
func flags() []config.Flag {
	var all []config.Flag
	seen := map[string]bool{"help": true, "version": true, "config": true, "config-dir": true, "kubeconfig": true, "bootstrap-kubeconfig": true,
		"experimental-bootstrap-kubeconfig": true, "container-runtime-endpoint": true, "root-dir": true, "cert-dir": true, "fail-cgroupv1": true, "log-dir": true, "log-file": true}
	for m := config.Oldest; m <= config.Newest; m++ {
		for _, f := range config.FlagsOf(m) {
			if !seen[f.Name] {
				all = append(all, f)
			}
			seen[f.Name] = true
		}
	}
	return all
}

func flagInputs() []input {
	var all []input
	for i, f := range flags() {
		for _, value := range flagValues(f) {
			all = append(all, flagInput(i%2 == 0, []string{"--" + f.Name + "=" + value}, "--"+f.Name))
		}
	}
	return all
}

// flagInput is a command line, or an environment file with the same flags.
func flagInput(asFile bool, args []string, of ...string) input {
	if asFile {
		text := `KUBELET_EXTRA_ARGS="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(strings.Join(args, " ")) + `"`
		if !strings.ContainsAny(text, "'$`") && !strings.Contains(text, `\"`) {
			return input{of: of, document: document.File{Name: "kubelet.env", Data: []byte(text + "\n")}, args: args}
		}
	}
	words := []string{"kubelet"}
	for _, arg := range args {
		words = append(words, "'"+strings.ReplaceAll(arg, "'", `'\''`)+"'")
	}
	return input{of: of, document: document.CommandLine("command line", strings.Join(words, " ")), args: args}
}

// special are values of fields that may not be anything.
var special = map[string][]any{
	"authorization.mode": {"AlwaysAllow", "Webhook", "RBAC", "webhook"},
	"cgroupDriver":       {"systemd", "cgroupfs"},
	"configMapAndSecretChangeDetectionStrategy": {"Get", "Cache", "Watch", "Poll"},
	"cpuManagerPolicy":                          {"none", "static", "statiic"},
	"cpuManagerPolicyOptions":                   {map[string]any{"full-pcpus-only": "true"}},
	"enforceNodeAllocatable":                    {[]any{}, []any{"pods"}, []any{"none"}, []any{"none", "pods"}, []any{"pods", "pods"}, []any{"kube-reserved"}, []any{"system-reserved-compressible"}, []any{"moon"}},
	"evictionHard":                              {map[string]any{"memory.available": "100Mi"}, map[string]any{"moon.phase": "5%"}, map[string]any{"memory.available": "abc"}},
	"evictionSoft":                              {map[string]any{"memory.available": "100Mi"}},
	"featureGates": {map[string]any{"NodeSwap": true}, map[string]any{"NodeSwap": false}, map[string]any{"NoSuchGate": true}, map[string]any{"KubeletCredentialProviders": true},
		map[string]any{"AllAlpha": true}, map[string]any{"AllBeta": false}, map[string]any{"AllBeta": true}, map[string]any{"GracefulNodeShutdown": false}, map[string]any{"MemoryQoS": true},
		map[string]any{"DynamicResourceAllocation": false}, map[string]any{"CustomCPUCFSQuotaPeriod": true}, map[string]any{"LoggingAlphaOptions": true}},
	"hairpinMode":                            {"promiscuous-bridge", "hairpin-veth", "none", "bridge"},
	"imagePullCredentialsVerificationPolicy": {"NeverVerify", "AlwaysVerify", "Sometimes"},
	"kubeReserved":                           {map[string]any{"cpu": "100m"}, map[string]any{"gpu": "1"}},
	"logging.format":                         {"text", "json", "yaml"},
	"logging.vmodule":                        {[]any{map[string]any{"filePattern": "kubelet", "verbosity": 3}}, []any{map[string]any{"filePattern": "a=b", "verbosity": 3}}, []any{map[string]any{"filePattern": "", "verbosity": 3}}},
	"memoryManagerPolicy":                    {"None", "Static", "static"},
	"memoryReservationPolicy":                {"None", "TieredReservation", "Hard"},
	"memorySwap.swapBehavior":                {"", "NoSwap", "UnlimitedSwap"},
	"memoryThrottlingFactor":                 {0.9, 0.8, 1, 0, 1.5, -1},
	"podLogsDir":                             {"/var/log/pods", "/var/log/pods/", "var/log", "/var/журнал", "/a/../b"},
	"preloadedImagesVerificationAllowlist":   {[]any{"a.example/b"}, []any{"a:1"}},
	"registerWithTaints": {[]any{map[string]any{"key": "a", "effect": "NoSchedule"}}, []any{map[string]any{"key": "a b", "effect": "NoSchedule"}}, []any{map[string]any{"key": "a", "value": "b/c", "effect": "NoSchedule"}},
		[]any{map[string]any{"key": "a", "effect": "Never"}}, []any{map[string]any{"key": "a"}}},
	"reservedMemory":                   {[]any{map[string]any{"numaNode": 0, "limits": map[string]any{"memory": "1Gi"}}}, []any{map[string]any{"numaNode": 0, "limits": map[string]any{"cpu": "1"}}}, []any{map[string]any{"numaNode": 0, "limits": map[string]any{"memory": "0"}}}},
	"reservedSystemCPUs":               {"0", "0-1", "3-1", "a"},
	"shutdownGracePeriodByPodPriority": {[]any{map[string]any{"priority": 1, "shutdownGracePeriodSeconds": 5}}},
	"tlsCipherSuites":                  {[]any{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}, []any{"TLS_AES_128_GCM_SHA256"}, []any{"RC4"}, []any{}},
	"tlsCurvePreferences":              {[]any{23}, []any{29, 4588}, []any{4587}, []any{1}, []any{23, 23}, []any{30}},
	"tlsMinVersion":                    {"", "VersionTLS12", "VersionTLS13", "TLS1.2"},
	"topologyManagerPolicy":            {"none", "best-effort", "best_effort", "restricted"},
	"topologyManagerPolicyOptions":     {map[string]any{"prefer-closest-numa-nodes": "true"}},
	"topologyManagerScope":             {"container", "pod", "node"},
	"tracing.endpoint":                 {"localhost:4317", "http://localhost:4317", "unix:///run/x", ":%"},
	"userNamespaces.idsPerPod":         {65536, 65537, 131072, 1, int64(1) << 33},
	"defaultPodSysctls":                {map[string]any{"net.core.somaxconn": "1"}, map[string]any{"vm.swappiness": "1"}},
	"showHiddenMetricsForVersion":      {"1.33", "1.35", "1.36", "1.0"},
	"containerRuntimeEndpoint":         {"unix:///run/x.sock"},
	"authentication.x509.clientCAFile": {""}, "tlsCertFile": {""}, "tlsPrivateKeyFile": {""},
}

// fieldValues are values of a field, some of which it cannot have.
func fieldValues(f config.Field) []any {
	if values, known := special[f.Path]; known {
		return values
	}
	switch f.Type {
	case "bool":
		return []any{true, false, "yes"}
	case "int32", "int64", "uint32":
		return []any{-1001, -1, 0, 1, 2, 31, 32, 50, 90, 101, 65535, 70000, int64(1) << 31, "7", 1.5}
	case "float64":
		return []any{-1, 0, 0.5, 2}
	case "duration":
		return []any{"0s", "1s", "500ms", "-1s", "3s", "100ms", "10m", "48h", "abc", 5}
	case "quantity":
		return []any{"0", "1Gi", "64k", "abc"}
	case "[]string":
		return []any{[]any{}, []any{"a", "b"}, "a"}
	case "map[string]string":
		return []any{map[string]any{}, map[string]any{"a": "b"}, "a"}
	case "map[string][]string":
		return []any{map[string]any{"a": []any{"b"}}}
	}
	return []any{"", "text", 5}
}

// flagValues are values of a flag, some of which it cannot have.
func flagValues(f config.Flag) []string {
	if f.Field != "" && special[f.Field] != nil {
		var values []string
		for _, v := range special[f.Field] {
			if text, ok := flagText(f, v); ok {
				values = append(values, text)
			}
		}
		if len(values) > 0 {
			return values
		}
	}
	switch kind, _, _ := strings.Cut(f.Type, " "); {
	case f.Name == "node-labels":
		return []string{"a=b", "a", "a=", "a=b=c", "foo/bar=baz/qux", "A_b.c/d=x", "a.b/c=d", "kubernetes.io/x=y", "node.kubernetes.io/x=y", ",a=b,", "topology.kubernetes.io/zone=a"}
	case f.Name == "v":
		return []string{"0", "2", "-1", "x", "3000000000"}
	case f.Name == "node-ip":
		return []string{"10.0.0.1", "::", "10.0.0.1,fd00::1"}
	case f.Name == "cloud-provider":
		return []string{"", "external"}
	case f.Name == "container-runtime":
		return []string{"remote", "docker"}
	case kind == "bool":
		return []string{"true", "false", "maybe"}
	case kind == "int", kind == "int32", kind == "int64", kind == "uint64":
		return []string{"-1", "0", "1", "2", "50", "90", "101", "70000", "0x10", "1.5", "x"}
	case kind == "float64":
		return []string{"0", "0.5", "x"}
	case kind == "duration":
		return []string{"0s", "1s", "-1s", "10m", "5", "abc"}
	case kind == "ip":
		return []string{"", "10.0.0.1", "::1", "x"}
	case kind == "stringList":
		return []string{"a,b", `"a`, ""}
	case kind == "map[string]bool":
		return []string{"AllAlpha=false", "NodeSwap=true", "NoSuchGate=true", "NodeSwap", "NodeSwap=maybe", "CPUManager=true", ""}
	case kind == "taintList":
		return []string{"a=b:NoSchedule", "a:NoSchedule", "a", "a=b/c:NoSchedule", "a:Never", "a:NoSchedule,a:NoSchedule", "a:NoSchedule-"}
	case strings.HasPrefix(kind, "map[string]string"):
		return []string{"", "a", "memory.available<100Mi", "memory=50%", "cpu=1"}
	case kind == "quantity":
		return []string{"0", "64k", "x"}
	}
	return []string{"", "text"}
}

// flagText writes the value of a field as a flag takes it.
func flagText(f config.Flag, value any) (string, bool) {
	switch v := value.(type) {
	case []any:
		var words []string
		for _, w := range v {
			text, ok := w.(string)
			if !ok {
				return "", false
			}
			words = append(words, text)
		}
		return strings.Join(words, ","), true
	case map[string]any:
		separator := "="
		if strings.Contains(f.Type, "<") {
			separator = "<"
		}
		var pairs []string
		for key, w := range v {
			pairs = append(pairs, fmt.Sprintf("%s%s%v", key, separator, w))
		}
		return strings.Join(pairs, ","), true
	}
	return fmt.Sprint(value), true
}
