package spec

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
)

// What was said when the installed generation was rendered is not said again, and what is new is.
func TestNotesAreGivenOnce(t *testing.T) {
	t.Parallel()
	flags := func(pairs ...string) Spec {
		s := Spec{Flags: map[string]any{}}
		for _, pair := range pairs {
			name, value, _ := strings.Cut(pair, "=")
			s.Flags[name] = value
		}
		return s
	}
	ttl := config.Positions{"flags.minimum-container-ttl-duration": {File: "spec.yaml", Line: 4}}
	const dropped, moved, warned = "--container-runtime=remote: dropped", "--max-pods=33: moved", "flag --minimum-container-ttl-duration: deprecated"
	tests := []struct {
		name      string
		former    string // empty: nothing is installed
		had       Spec
		version   string
		want      Spec
		positions config.Positions
		said      []string
	}{
		{name: "the first install", version: "v1.37.2", want: flags("container-runtime=remote", "max-pods=33"), said: []string{dropped, moved}},
		{name: "the next patch", former: "v1.37.1", had: flags("container-runtime=remote", "max-pods=33"),
			version: "v1.37.2", want: flags("container-runtime=remote", "max-pods=33")},
		{name: "the next minor", former: "v1.36.4", had: flags("container-runtime=remote"), version: "v1.37.2", want: flags("container-runtime=remote")},
		{name: "the first minor that drops it", former: "v1.26.0", had: flags("container-runtime=remote"),
			version: "v1.27.0", want: flags("container-runtime=remote"), said: []string{dropped}},
		{name: "another value", former: "v1.37.1", had: flags("container-runtime=remote", "max-pods=44"),
			version: "v1.37.1", want: flags("container-runtime=remote", "max-pods=33"), said: []string{moved}},
		{name: "a warning, with its place", version: "v1.37.2", want: flags("minimum-container-ttl-duration=1s"), positions: ttl,
			said: []string{"spec.yaml:4: " + warned}},
		{name: "the same warning at another place", former: "v1.37.1", had: flags("minimum-container-ttl-duration=1s"),
			version: "v1.37.2", want: flags("minimum-container-ttl-duration=1s"), positions: ttl},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var have *plan.Generation
			if tt.former != "" {
				have = buildFor(t, tt.former, tt.had, nil).Generation
			}
			got := buildFor(t, tt.version, tt.want, tt.positions).Notes(have)
			if !slices.EqualFunc(got, tt.said, func(r Remark, beginning string) bool {
				return strings.HasPrefix(r.Line, beginning) && r.Warning == strings.Contains(beginning, warned)
			}) {
				t.Errorf("it said\n%+v, want\n%q", got, tt.said)
			}
		})
	}
}

func buildFor(t *testing.T, version string, s Spec, positions config.Positions) *Draft {
	t.Helper()
	v, err := release.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	digest := release.Digest{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}
	d, err := Build(s, positions, Resolution{Artifact: release.Artifact{Version: v, Arch: "amd64", Digest: digest, Trust: release.Given}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
