package plan

import (
	"slices"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/systemd"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	const binary = hostfs.DefaultBinDir + "/kubelet-v1.37.1"
	tests := []struct {
		name   string
		change func(g *Generation)
		want   []Difference
		diff   string
	}{
		{name: "nothing", change: func(*Generation) {}, want: []Difference{}},
		{
			name:   "a text",
			change: func(g *Generation) { g.Files[1] = TextFile(hostfs.ConfigFile, 0o600, []byte("a: 2\n")) },
			want:   []Difference{{hostfs.ConfigFile, "removed a: 1, added a: 2"}},
			diff:   "--- a" + hostfs.ConfigFile + "\n+++ b" + hostfs.ConfigFile + "\n@@ -1,1 +1,1 @@\n-a: 1\n+a: 2\n",
		},
		{
			name:   "a mode",
			change: func(g *Generation) { g.Files[1].Mode = 0o644 },
			want:   []Difference{{hostfs.ConfigFile, "its mode is 0600, want 0644"}},
		},
		{
			name:   "a digest of the same version",
			change: func(g *Generation) { g.Files[0].SHA256 = "f00" },
			want:   []Difference{{binary, "another digest"}},
		},
		{
			name: "a link, and its target's",
			change: func(g *Generation) {
				g.Files[2].Target = "kubelet-v1.37.2"
			},
			want: []Difference{{linkFile, "from kubelet-v1.37.1 to kubelet-v1.37.2"}},
			diff: "--- a" + linkFile + "\n+++ b" + linkFile + "\n@@ -1,1 +1,1 @@\n--> kubelet-v1.37.1\n+-> kubelet-v1.37.2\n",
		},
		{
			name: "what only one has",
			change: func(g *Generation) {
				g.Files = slices.Delete(g.Files, 3, 4)
				g.Units = nil
			},
			want: []Difference{{unitFile, "only in generation 1"}, {systemd.KubeletService, "not enabled, was enabled and running"}},
			diff: "--- a" + unitFile + "\n+++ b" + unitFile + "\n@@ -1,2 +0,0 @@\n-[Service]\n-ExecStart=/usr/local/bin/kubelet\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from, to := generation(t, "v1.37.1", "a: 1\n"), generation(t, "v1.37.1", "a: 1\n")
			to.Number = 2
			tt.change(to)
			list, text := Compare(from, to)
			if !slices.Equal(list, tt.want) || string(text) != tt.diff {
				t.Errorf("got %q\n%s", list, text)
			}
		})
	}
}
