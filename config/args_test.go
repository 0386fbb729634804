package config

import (
	"slices"
	"testing"
)

func TestAddValue(t *testing.T) {
	for _, tt := range []struct{ flag, old, value, want string }{
		{"node-labels", "a=b", "c=d", "a=b,c=d"},
		{"node_labels", "", "c=d", "c=d"},
		{"feature-gates", "A=true", "B=true", "A=true,B=true"},
		{"eviction-hard", "a<1", "b<1", "a<1,b<1"},
		{"cluster-dns", "10.0.0.1", "10.0.0.2", "10.0.0.1,10.0.0.2"},
		{"register-with-taints", "a=b:NoSchedule", "c=d:NoSchedule", "c=d:NoSchedule"},
		{"max-pods", "5", "6", "6"},
		{"of-no-release", "5", "6", "6"},
	} {
		if got := AddValue(tt.flag, tt.old, tt.value); got != tt.want {
			t.Errorf("%s: %q and %q: got %q, want %q", tt.flag, tt.old, tt.value, got, tt.want)
		}
	}
}

func TestParseLabels(t *testing.T) {
	f, _ := LookupFlag("node-labels")
	got, err := parseFlag(f, "a,b=c,d=,,e = f")
	want := map[string]any{"a": "", "b": "c", "d": "", "e": "f"}
	if err != nil || !sameField(f.Type, tidy(got), want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestSetPathsWithDottedKeys(t *testing.T) {
	for _, tt := range []struct{ expr, err string }{
		{"evictionHard.memory.available=1Mi", `evictionHard.memory.available: a dot in a key of a map is written with a backslash: evictionHard.memory\.available`},
		{"evictionSoftGracePeriod.a.b.c=1m", `evictionSoftGracePeriod.a.b.c: a dot in a key of a map is written with a backslash: evictionSoftGracePeriod.a\.b\.c`},
		{`evictionHard.memory\.available=1Mi`, ""},
		{"authentication.webhook.cacheTTL=1m", ""},
	} {
		if _, _, err := ParseSet(tt.expr); err == nil && tt.err != "" || err != nil && err.Error() != tt.err {
			t.Errorf("%s: got %v, want %s", tt.expr, err, tt.err)
		}
	}
}

// A value of which only systemd knows a part stays a flag as it is written; what is known beside it is escaped.
func TestMigrateWhatSystemdExpands(t *testing.T) {
	words := []Word{
		{Text: "--node-labels=a=5"}, {Text: "--node-labels=b=%H", Unknown: true}, {Text: "--hostname-override=%H", Unknown: true},
		{Text: "--max-pods=${PODS}", Unknown: true}, {Text: "$MORE", Unknown: true}, {Text: "--root-dir=/x/%H", Unknown: true}, {Text: "--v=2"},
	}
	args, problems := ParseArgs(words)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	m, err := Migrate(MigrateInput{Input: Input{Minor: Newest, Config: map[string]any{"maxPods": 5}}, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"node-labels", "hostname-override", "max-pods"}; !slices.Equal(m.Expand, want) {
		t.Errorf("got %v, want %v", m.Expand, want)
	}
	for _, want := range []string{"--node-labels=a=5,b=%H", "--hostname-override=%H", "--max-pods=${PODS}", "--v=2"} {
		if !slices.Contains(m.Rendered.Args, want) {
			t.Errorf("no %s in %v", want, m.Rendered.Args)
		}
	}
	if _, both := m.Fields["maxPods"]; both {
		t.Error("the flag did not override the field")
	}
	if impossible := m.Impossible(); len(impossible) != 1 || impossible[0].Item != "--root-dir=/x/%H" {
		t.Errorf("impossible: %v", impossible)
	}
}

// A release that is newer than the tables may have gates that they do not know, wherever those are set.
func TestGatesOfNewerReleases(t *testing.T) {
	refused := func(findings []Finding) bool {
		return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error })
	}
	for _, minor := range []Minor{Newest, Newest + 1} {
		args := []Arg{{Name: "feature-gates", Value: "BrandNewGate=true"}}
		if found := ValidateArgs(minor, args); refused(found) != (minor == Newest) {
			t.Errorf("by flag, %s: %v", minor, found)
		}
		fields := map[string]any{"featureGates": map[string]any{"BrandNewGate": true}}
		if found := ValidateConfig(minor, fields, nil); refused(found) != (minor == Newest) {
			t.Errorf("in the file, %s: %v", minor, found)
		}
	}
}
