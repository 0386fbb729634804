package config

import (
	"reflect"
	"strings"
	"testing"
)

// TestDefaultsPassTheBenchmark holds the defaults of every release against section 4.2 of the CIS Kubernetes benchmark,
// as far as nothing of the host has to come first: its client CA and serving certificates are preflight's to speak of.
func TestDefaultsPassTheBenchmark(t *testing.T) {
	checks := []struct {
		number, field string
		passes        func(value any) bool
		since         Minor // where the field has an effect only later than it exists
		until         Minor
	}{
		{"4.2.1", "authentication.anonymous.enabled", func(v any) bool { return v == false }, 0, 0},
		{"4.2.2", "authorization.mode", func(v any) bool { return v == "Webhook" }, 0, 0},
		{"4.2.4", "readOnlyPort", func(v any) bool { return v == int64(0) }, 0, 0},
		{"4.2.5", "streamingConnectionIdleTimeout", func(v any) bool { return v == "4h" }, 0, 34},
		{"4.2.6", "makeIPTablesUtilChains", func(v any) bool { return v == true }, 0, 0},
		{"4.2.8", "eventRecordQPS", func(v any) bool { n, ok := v.(int64); return ok && n > 0 }, 0, 0},
		{"4.2.10", "rotateCertificates", func(v any) bool { return v == true }, 0, 0},
		{"4.2.12", "tlsCipherSuites", strongSuites, 0, 0},
		{"4.2.13", "podPidsLimit", func(v any) bool { n, ok := v.(int64); return ok && n > 0 }, 14, 0},
		{"4.2.14", "seccompDefault", func(v any) bool { return v == true }, 25, 0},
	}
	for m := Oldest; m <= Newest; m++ {
		out, err := Render(Input{Minor: m})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range checks {
			f, known := LookupField(c.field)
			if !known {
				t.Fatalf("%s: no such field", c.field)
			}
			path, _ := SplitPath(c.field)
			value, given := get(out.Fields, path)
			if !f.AcceptedBy(m) || m < c.since || c.until != 0 && m >= c.until {
				if given {
					t.Errorf("%s: %s is written, which has no effect there", m, c.field)
				}
				continue
			}
			if !c.passes(value) {
				t.Errorf("%s: %s %s is %v", m, c.number, c.field, value)
			}
		}
		for _, arg := range out.Args {
			if strings.HasPrefix(arg, "--hostname-override") {
				t.Errorf("%s: 4.2.7: %s", m, arg)
			}
		}
	}
}

func strongSuites(value any) bool {
	suites, ok := value.([]any)
	for _, s := range suites {
		name, _ := s.(string)
		ok = ok && strings.HasPrefix(name, "TLS_ECDHE_") && strings.Contains(name, "_GCM_")
	}
	return ok && len(suites) > 0
}

// Every default has its reason above it, and upstream's profile writes none.
func TestProfiles(t *testing.T) {
	for m := Oldest; m <= Newest; m++ {
		hardened, err := Render(Input{Minor: m})
		if err != nil {
			t.Fatal(err)
		}
		text := string(hardened.Config)
		for _, line := range strings.Split(text[strings.Index(text, "kind:"):], "\n")[1:] {
			if line == "" || line[0] == '#' || line[0] == ' ' || line[0] == '-' {
				continue
			}
			if before := text[:strings.Index(text, "\n"+line)]; !strings.HasPrefix(before[strings.LastIndex(before, "\n")+1:], "# ") {
				t.Errorf("%s: no reason above %s", m, line)
			}
		}
		upstream, err := Render(Input{Minor: m, Profile: Upstream})
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]any{"apiVersion": apiVersion, "kind": kind}; !reflect.DeepEqual(upstream.Fields, want) {
			t.Errorf("%s: upstream's profile writes %v", m, upstream.Fields)
		}
	}
	out, err := Render(Input{Minor: 37, Config: map[string]any{"tlsMinVersion": "VersionTLS13"}})
	if err != nil {
		t.Fatal(err)
	}
	if suites, given := out.Fields["tlsCipherSuites"]; given {
		t.Errorf("with TLS 1.3 as the minimum cipher suites are written: %v", suites)
	}
}
