package spec

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The default installation of the oldest and of the newest release, to the byte.
func TestGoldenInstallations(t *testing.T) {
	classic := map[string]any{"container-runtime": "remote", "network-plugin": "cni", "image-pull-progress-deadline": "2m"}
	tests := []struct {
		name    string
		version string
		spec    Spec
	}{
		{"v1.13.0", "v1.13.0", Spec{}},
		{"v1.37.2", "v1.37.2", Spec{}},
		// Naming the classic flags gives the same files as leaving them to the defaults, at both ends.
		{"v1.13.0", "v1.13.0", Spec{Flags: classic}},
		{"v1.37.2", "v1.37.2", Spec{Flags: classic}},
		{"v1.37.2-standalone", "v1.37.2", Spec{Standalone: true}},
		{"v1.37.2-node", "v1.37.2", Spec{
			Paths: Paths{BinDir: "/opt/bin"},
			Flags: map[string]any{"bootstrap-kubeconfig": "/var/lib/kubelet/bootstrap-kubeconfig", "register-node": false,
				"node-labels": "a=b,c=d", "lock-file": "/run/a b", "container-runtime-endpoint": "unix:///var/run/crio/crio.sock", "cgroup-driver": "cgroupfs"},
			KubeletConfiguration: map[string]any{"maxPods": 50, "healthzPort": 0, "evictionHard": map[string]any{"memory.available": "200Mi"}},
		}},
		{"v1.13.0-kubeadm", "v1.13.0", Spec{Profile: config.Kubeadm}},
		{"v1.24.17-kubeadm", "v1.24.17", Spec{Profile: config.Kubeadm}},
		{"v1.36.3-kubeadm", "v1.36.3", Spec{Profile: config.Kubeadm, Flags: map[string]any{"node-ip": "192.0.2.1", "node-labels": "a=b,c=d", "lock-file": "/run/a b"}}},
		{"v1.37.2-kubeadm", "v1.37.2", Spec{Profile: config.Kubeadm, Paths: Paths{BinDir: "/opt/bin"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := buildFor(t, tt.version, tt.spec, nil)
			var b strings.Builder
			for _, f := range g.Files {
				b.WriteString("==> " + f.Path + " " + string(f.Kind) + " " + f.Mode.String() + "\n")
				b.WriteString(shown(f))
			}
			for _, u := range g.Units {
				b.WriteString("==> " + u.Name + " " + string(u.Run) + "\n")
			}
			b.WriteString("==> health " + g.HealthURL + "\n")
			golden := filepath.Join("testdata", tt.name+".golden")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("differs from %s:\n%s", golden, b.String())
			}
		})
	}
}

// A file of ours is known by its first line, also when the record is lost.
func TestTextsAreMarked(t *testing.T) {
	v, err := release.ParseVersion("v1.37.2")
	if err != nil {
		t.Fatal(err)
	}
	files, err := RenderFiles(Spec{}, v, nil)
	if err != nil || len(files) != 3 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for _, f := range append(files, plan.TextFile("/x", 0, systemd.RecoverUnit([]string{"/pending"}, "/recover"))) {
		if !f.Marked() {
			t.Errorf("%s: %.60s", f.Path, f.Content)
		}
	}
}

// shown is what a golden file has of a file.
func shown(f plan.File) string {
	switch f.Kind {
	case plan.Text:
		return string(f.Content)
	case plan.Link:
		return "-> " + f.Target + "\n"
	}
	return "(a file)\n"
}

func TestRecordedSpecHoldsNoSecrets(t *testing.T) {
	s := Spec{Sources: []string{"https://user:hunter2@mirror.example/release"}}
	v, err := release.ParseVersion("v1.37.2")
	if err != nil {
		t.Fatal(err)
	}
	if r := s.recorded(v); strings.Contains(r.Sources[0], "hunter2") {
		t.Errorf("the record says %s", r.Sources[0])
	}
	if !strings.Contains(s.Sources[0], "hunter2") {
		t.Error("the spec itself lost its password")
	}
}

func TestSpecCheckFindsAllAtOnce(t *testing.T) {
	s := Spec{Version: "banana", Arch: "vax", SHA256: "abc", Sources: []string{"ftp://x/y"}, Paths: Paths{BinDir: "bin"},
		Flags: map[string]any{"v": []any{1}}}
	err := s.Check()
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range []string{"banana", "vax", "sha256", "ftp", "bin", "flags.v"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("nothing about %s in: %v", word, err)
		}
	}
}

func TestHealthURL(t *testing.T) {
	tests := []struct {
		name   string
		fields map[string]any
		want   string
	}{
		{"default", nil, "http://127.0.0.1:10248/healthz"},
		{"off", map[string]any{"healthzPort": 0}, ""},
		{"port", map[string]any{"healthzPort": 1234}, "http://127.0.0.1:1234/healthz"},
		{"any address", map[string]any{"healthzBindAddress": "0.0.0.0"}, "http://127.0.0.1:10248/healthz"},
		{"IPv6", map[string]any{"healthzBindAddress": "::1"}, "http://[::1]:10248/healthz"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := HealthURL(tt.fields); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A kubelet that gives no sign of life must not be asked for one: systemd would kill it again and again.
func TestWatchdogFollowsTheKubelet(t *testing.T) {
	tests := []struct {
		name, minor string
		gates       map[string]any
		want        bool
	}{
		{"too old", "1.31", nil, false},
		{"the first", "1.32", nil, true},
		{"turned off", "1.32", map[string]any{"SystemdWatchdog": false}, false},
		{"turned off with the rest", "1.34", map[string]any{"AllBeta": false}, false},
		{"turned on without the rest", "1.34", map[string]any{"AllBeta": false, "SystemdWatchdog": true}, true},
		{"no choice any more", "1.35", map[string]any{"AllBeta": false}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Spec{}
			if tt.gates != nil {
				s.KubeletConfiguration = map[string]any{"featureGates": tt.gates}
			}
			files, err := RenderFiles(s, version(t, tt.minor), nil)
			if err != nil {
				t.Fatal(err)
			}
			got := false
			for _, f := range files {
				got = got || strings.Contains(string(f.Content), "\nWatchdogSec=")
			}
			if got != tt.want {
				t.Errorf("watched: %t", got)
			}
		})
	}
}
