package config

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/config/rules"
)

// accepted are the sizes of the flag lists that were read from each release's
// sources; 1.36 and 1.37 also from the binaries' --help.
var accepted = map[Minor]int{
	13: 176, 14: 175, 15: 175, 16: 177, 17: 178, 18: 178, 19: 178, 20: 183, 21: 184, 22: 185, 23: 185, 24: 164, 25: 164,
	26: 154, 27: 152, 28: 153, 29: 153, 30: 154, 31: 152, 32: 152, 33: 152, 34: 150, 35: 149, 36: 149, 37: 131,
}

func TestFlagsOf(t *testing.T) {
	for m := Oldest; m <= Newest; m++ {
		if got := len(FlagsOf(m)); got != accepted[m] {
			t.Errorf("%s has %d flags, want %d", m, got, accepted[m])
		}
	}
}

func TestLookup(t *testing.T) {
	flag, ok := LookupFlag("container_runtime")
	if !ok || !flag.AcceptedBy(26) || flag.AcceptedBy(27) {
		t.Errorf("container_runtime: %v %+v", ok, flag)
	}
	field, ok := LookupField("enableServer")
	if !ok || field.AcceptedBy(18) || !field.AcceptedBy(19) {
		t.Errorf("enableServer: %v %+v", ok, field)
	}
	if _, ok := LookupField("enableserver"); ok {
		t.Error("field names have a case")
	}
}

// TestTableFits: what the code relies on.
func TestTableFits(t *testing.T) {
	tab := table()
	for name, f := range tab.flags {
		if f.Since < Oldest || f.Removed != 0 && f.Removed <= f.Since {
			t.Errorf("--%s: since %d, removed %d", name, f.Since, f.Removed)
		}
		if _, ok := tab.flags[f.ReplacedBy]; f.ReplacedBy != "" && !ok {
			t.Errorf("--%s is replaced by --%s, which is not in the table", name, f.ReplacedBy)
		}
		field, ok := tab.fields[f.Field]
		if f.Field != "" && (!ok || field.Since != f.FieldSince || field.Removed != f.FieldRemoved) {
			t.Errorf("--%s: the field %s is %+v", name, f.Field, field)
		}
	}
	known := map[string]bool{"object": true, "taint": true}
	for _, scalar := range []string{"bool", "string", "int32", "int64", "uint32", "float64", "duration", "quantity"} {
		known[scalar] = true
	}
	for path, f := range tab.fields {
		plain := strings.TrimPrefix(strings.TrimPrefix(f.Type, "map[string]"), "[]")
		if !known[plain] {
			t.Errorf("%s has the type %s, which check.go does not know", path, f.Type)
		}
	}
	for _, names := range [][]string{retiredAnyValue, retiredSameValue} {
		for _, name := range names {
			if f, ok := tab.flags[name]; !ok || f.Removed == 0 {
				t.Errorf("retired.go names --%s, which no release removed", name)
			}
		}
	}
	for name := range retiredValues {
		if f, ok := tab.flags[name]; !ok || f.Removed == 0 {
			t.Errorf("retired.go names --%s, which no release removed", name)
		}
		if slices.Contains(retiredAnyValue, name) {
			t.Errorf("retired.go names --%s twice", name)
		}
	}
}

// possible are values of flags that may not be anything.
var possible = flags{
	"authorization-mode": "Webhook", "cloud-provider": "external", "container-log-max-size": "10Mi", "cpu-cfs-quota-period": "100ms", "cpu-manager-policy": "none",
	"cpu-manager-policy-options": "full-pcpus-only=true", "enforce-node-allocatable": "pods", "eviction-minimum-reclaim": "memory.available=1Gi",
	"eviction-soft-grace-period": "memory.available=30s", "feature-gates": "AllAlpha=false", "hairpin-mode": "none", "image-gc-high-threshold": "95",
	"kube-reserved": "cpu=1", "logging-format": "text", "memory-manager-policy": "None", "node-ip": "10.0.0.1", "qos-reserved": "memory=50%", "reserved-cpus": "0-1",
	"system-reserved": "cpu=1", "tls-cipher-suites": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "tls-min-version": "VersionTLS12",
	"topology-manager-policy": "none", "topology-manager-policy-options": "prefer-closest-numa-nodes=true", "topology-manager-scope": "container",
}

// partners are flags without which one is refused.
var partners = map[string]flags{
	"cpu-manager-policy-options":      {"cpu-manager-policy": "static", "kube-reserved": "cpu=1", "feature-gates": "CPUManagerPolicyOptions=true,CPUManagerPolicyAlphaOptions=true"},
	"eviction-soft":                   {"eviction-soft-grace-period": "memory.available=30s"},
	"exit-on-lock-contention":         {"lock-file": "/run/kubelet.lock"},
	"log-json-info-buffer-size":       {"feature-gates": "LoggingAlphaOptions=true"},
	"log-json-split-stream":           {"feature-gates": "LoggingAlphaOptions=true"},
	"log-text-info-buffer-size":       {"feature-gates": "LoggingAlphaOptions=true"},
	"log-text-split-stream":           {"feature-gates": "LoggingAlphaOptions=true"},
	"seccomp-default":                 {"feature-gates": "SeccompDefault=true"},
	"system-cgroups":                  {"cgroup-root": "/"},
	"topology-manager-policy-options": {"feature-gates": "TopologyManagerPolicyOptions=true"},
}

// plausible is a value that a kubelet could take.
func plausible(f Flag) string {
	if value, ok := possible[f.Name]; ok {
		return value
	}
	switch f.Type {
	case "bool":
		return "true"
	case "int", "int32", "int64", "uint64", "float64":
		return "7"
	case "duration":
		return "30s"
	case "quantity":
		return "1Mi"
	case "ip":
		return "127.0.0.1"
	case typeEviction:
		return "memory.available<1Gi"
	case typeMap:
		return "a=b"
	case typeHeaders:
		return "a:b"
	case typeTaints:
		return "a=b:NoSchedule"
	case typeNUMA:
		return "0:memory=1Gi"
	case typeVModule:
		return "a=1"
	}
	return "text"
}

// TestRenderEveryFlag: whatever flag at whatever minor, the result is a
// problem or something that this minor accepts in full.
func TestRenderEveryFlag(t *testing.T) {
	rendered, refused := 0, 0
	for m := Oldest; m <= Newest; m++ {
		for name, f := range table().flags {
			for _, standalone := range []bool{false, true} {
				given := flags{name: plausible(f)}
				if f.AcceptedBy(m) {
					for partner, value := range partners[name] {
						given[partner] = knownGates(m, value)
					}
				}
				out, err := Render(Input{Minor: m, Flags: given, Standalone: standalone})
				if err != nil {
					refused++
					if f.AcceptedBy(m) && !slices.Contains([]string{"config", "config-dir", "help", "version", "container-runtime", "runonce",
						"kubeconfig", "bootstrap-kubeconfig", "experimental-bootstrap-kubeconfig", "image-credential-provider-config", "image-credential-provider-bin-dir"}, name) {
						t.Errorf("%s --%s: %v", m, name, err)
					}
					continue
				}
				rendered++
				checkAccepted(t, m, name, out)
				if _, stays := argOf(out, name); f.AcceptedBy(m) && !stays && len(out.Notes) != len(given) {
					t.Errorf("%s --%s: neither an argument nor a note: %v", m, name, out.Notes)
				}
			}
		}
	}
	t.Logf("%d rendered, %d refused", rendered, refused)
}

// knownGates leaves out the gates that a release does not know.
func knownGates(m Minor, value string) string {
	known := slices.DeleteFunc(strings.Split(value, ","), func(pair string) bool {
		name, on, _ := strings.Cut(pair, "=")
		return on == "true" && rules.CheckGate(int(m), name, true) != nil
	})
	return strings.Join(known, ",")
}

func argOf(out *Rendered, name string) (string, bool) {
	for _, arg := range out.Args {
		if n, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "="); n == name {
			return value, true
		}
	}
	return "", false
}

func checkAccepted(t *testing.T, m Minor, what string, out *Rendered) {
	t.Helper()
	var names []string
	for _, arg := range out.Args {
		name, _, _ := strings.Cut(arg, "=")
		names = append(names, name)
	}
	if !slices.IsSorted(names) {
		t.Errorf("%s --%s: not sorted: %q", m, what, out.Args)
	}
	for _, arg := range out.Args {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if f, ok := LookupFlag(name); !ok || !f.AcceptedBy(m) {
			t.Errorf("%s --%s: rendered %s", m, what, arg)
		}
	}
	var back map[string]any
	if err := yaml.Unmarshal(out.Config, &back); err != nil {
		t.Errorf("%s --%s: %v in\n%s", m, what, err, out.Config)
	}
	for _, fields := range []any{back, out.Fields} {
		c := checker{minor: m}
		c.config(tidy(fields).(map[string]any))
		if len(c.problems) > 0 {
			t.Errorf("%s --%s: %v", m, what, c.problems)
		}
	}
}

func BenchmarkTable(b *testing.B) {
	for b.Loop() {
		if _, err := parseTables(flagsJSON, fieldsJSON); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	for b.Loop() {
		if _, err := Render(Input{Minor: 37}); err != nil {
			b.Fatal(err)
		}
	}
}
