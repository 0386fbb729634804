package spec

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/plan"
)

func TestChanges(t *testing.T) {
	t.Parallel()
	with := func(flags, fields map[string]any) Spec { return Spec{Flags: flags, KubeletConfiguration: fields} }
	fifty := with(map[string]any{"node-labels": "disk=ssd"}, map[string]any{"maxPods": 50})
	tests := []struct {
		name                string
		oldVersion, version string
		old, new            Spec
		want                []string
	}{
		{name: "the first", version: "v1.37.2", new: fifty, want: []string{"v1.37.2"}},
		{name: "another version", oldVersion: "v1.36.4", old: fifty, version: "v1.37.2", new: fifty, want: []string{"v1.36.4 -> v1.37.2"}},
		{name: "another value", oldVersion: "v1.37.2", old: fifty, version: "v1.37.2", new: with(fifty.Flags, map[string]any{"maxPods": 61}),
			want: []string{"maxPods=61"}},
		{name: "both", oldVersion: "v1.37.1", old: fifty, version: "v1.37.2", new: with(map[string]any{"node-labels": "disk=hdd"}, fifty.KubeletConfiguration),
			want: []string{"v1.37.1 -> v1.37.2", "node-labels=disk=hdd"}},
		{name: "what is gone", oldVersion: "v1.37.2", old: fifty, version: "v1.37.2", new: with(nil, map[string]any{"maxPods": 50, "podPidsLimit": 100}),
			want: []string{"removed node-labels", "podPidsLimit=100"}},
		{name: "a long value", oldVersion: "v1.37.2", old: fifty, version: "v1.37.2",
			new:  with(map[string]any{"node-labels": strings.Repeat("disk=ssd,", 20)}, fifty.KubeletConfiguration),
			want: []string{"node-labels"}},
		{name: "a list", oldVersion: "v1.37.2", version: "v1.37.2", new: with(nil, map[string]any{"clusterDNS": []any{"10.96.0.10"}}),
			want: []string{`clusterDNS=["10.96.0.10"]`}},
		{name: "a secret", oldVersion: "v1.37.2", version: "v1.37.2", new: with(nil, map[string]any{"staticPodURLHeader": map[string]any{"X-Token": []any{"hunter2"}}}),
			want: []string{"staticPodURLHeader.X-Token=(hidden)"}},
		{name: "nothing", oldVersion: "v1.37.2", old: fifty, version: "v1.37.2", new: fifty},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var have *plan.Generation
			if tt.oldVersion != "" {
				have = buildFor(t, tt.oldVersion, tt.old, nil).Generation
			}
			if got := Changes(have, buildFor(t, tt.version, tt.new, nil).Generation); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// With the same settings it is the files that tell, such as a unit of another kubeletctl.
func TestChangesOfFiles(t *testing.T) {
	t.Parallel()
	have, want := buildFor(t, "v1.37.2", Spec{}, nil).Generation, buildFor(t, "v1.37.2", Spec{}, nil).Generation
	last := len(want.Files) - 1
	want.Files[last] = plan.TextFile(want.Files[last].Path, 0o644, []byte("[Path]\n"))
	if got := Changes(have, want); !slices.Equal(got, []string{"kubelet.path"}) {
		t.Errorf("got %q", got)
	}
}

func TestChangesHideSecrets(t *testing.T) {
	t.Parallel()
	header := func(token string) Spec {
		return Spec{KubeletConfiguration: map[string]any{"staticPodURL": "http://localhost/pods", "staticPodURLHeader": map[string]any{"Authorization": []any{token}}}}
	}
	have, want := buildFor(t, "v1.37.2", header("t0ken"), nil).Generation, buildFor(t, "v1.37.2", header("t1ken"), nil).Generation
	got := Changes(have, want)
	if len(got) != 1 || !strings.HasPrefix(got[0], "staticPodURLHeader.Authorization") || strings.Contains(got[0], "t1ken") {
		t.Errorf("got %q", got)
	}
}
