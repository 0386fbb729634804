package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

const kubeadmLink = hostfs.DefaultBinDir + "/kubeadm"

// withKubeadm adds a kubeadm of a version to a generation.
func withKubeadm(t *testing.T, g *Generation, version string) *Generation {
	t.Helper()
	v, err := release.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	c := g.Clone()
	c.Tools = append(c.Tools, Tool{Name: release.Kubeadm, Version: v, Digest: release.Digest{Algorithm: "sha256", Hex: strings.Repeat("c", 64)}})
	c.Files = append(c.Files,
		File{Path: kubeadmLink + "-" + version, Kind: ToolBinary, Mode: 0o755, SHA256: strings.Repeat(version[len(version)-1:], 64)},
		File{Path: kubeadmLink, Kind: Link, Target: "kubeadm-" + version})
	return c
}

// A change of the tools leaves kubelet as it is, whatever differs.
func TestPlanOfTools(t *testing.T) {
	t.Parallel()
	plain := generation(t, "v1.37.2", "a: 1\n")
	old, next := withKubeadm(t, plain, "v1.37.2"), withKubeadm(t, plain, "v1.38.0")
	due := func(o *Observation) { // a restart is due, and kubelet's configuration was edited
		o.edit(hostfs.ConfigFile, "a: 9\n")
		o.Process = &Process{SHA256: strings.Repeat("f", 64)}
		o.MissingDirs = []string{"/etc/kubernetes/manifests"}
		o.Overrides = []DropIn{{Path: DropInDir + "/10-kubeadm.conf"}}
	}
	exited := func(o *Observation) {
		o.service(systemd.UnitState{ActiveState: "activating", SubState: "auto-restart", UnitFileState: "enabled"})
	}
	for _, tt := range []struct {
		name       string
		want, have *Generation
		seen       *Observation
		options    Options
		steps      []string
		conflicts  []string
	}{
		{name: "another release", want: next, have: old, seen: on(old),
			steps: []string{"download " + kubeadmLink + "-v1.38.0", "link " + kubeadmLink}},
		{name: "only the tools", want: next, have: old, seen: on(old).with(due), options: Options{OnlyTools: true},
			steps: []string{"download " + kubeadmLink + "-v1.38.0", "link " + kubeadmLink}},
		{name: "added", want: old, have: plain, seen: on(plain),
			steps: []string{"download " + kubeadmLink + "-v1.37.2", "link " + kubeadmLink}},
		{name: "removed; the binary is the way back", want: plain, have: old, seen: on(old),
			steps: []string{"remove " + kubeadmLink + " (cleanup)"}},
		{name: "lost beside a kubelet that has exited", want: old, have: old, seen: on(old).with(exited).with(func(o *Observation) { delete(o.Files, kubeadmLink) }),
			steps: []string{"link " + kubeadmLink}},
		{name: "a stranger's", want: old, have: plain, seen: on(plain).with(func(o *Observation) { o.Files[kubeadmLink] = File{Path: kubeadmLink, Kind: Text, SHA256: "other"} }),
			steps: []string{"download " + kubeadmLink + "-v1.37.2", "link " + kubeadmLink}, conflicts: []string{kubeadmLink}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := NewPlan(tt.want, tt.have, tt.seen, tt.options)
			if got := steps(p); !slices.Equal(got, tt.steps) {
				t.Errorf("steps\n got %q\nwant %q", got, tt.steps)
			}
			if got := paths(p.Conflicts); !slices.Equal(got, tt.conflicts) {
				t.Errorf("conflicts %q, want %q", got, tt.conflicts)
			}
			if !p.OnlyTools() || p.SwitchesKubelet() || p.StartsKubelet() {
				t.Error("kubelet is not left as it is")
			}
		})
	}
	edited := NewPlan(next, old, on(old).edit(hostfs.ConfigFile, "a: 9\n"), Options{})
	if edited.OnlyTools() || NewPlan(old, old, on(old), Options{}).OnlyTools() {
		t.Error("a plan for kubelet, or for nothing, is called one for tools")
	}
}

func TestToolsMakeNoOtherKubelet(t *testing.T) {
	t.Parallel()
	plain := generation(t, "v1.37.2", "a: 1\n")
	old, next := withKubeadm(t, plain, "v1.37.2"), withKubeadm(t, plain, "v1.38.0")
	if old.Installs(next) || !old.SameKubelet(next) || !old.SameKubelet(plain) || old.Fingerprint() != next.Fingerprint() {
		t.Error("what another kubeadm makes of a generation is told wrong")
	}
	if next.SameKubelet(withKubeadm(t, generation(t, "v1.37.2", "a: 2\n"), "v1.38.0")) {
		t.Error("another configuration is the same kubelet")
	}
	if got := plain.WithTools(next); !got.Installs(next) || plain.Tool(release.Kubeadm).Name != "" {
		t.Errorf("with tools: %+v", got)
	}
	if next.DigestOf(kubeadmLink+"-v1.38.0").Hex != strings.Repeat("c", 64) || !next.DigestOf(next.Binary().Path).IsZero() {
		t.Error("the digest of a binary is that of another one")
	}
	if drift := (&Observation{Files: map[string]File{}}).StartDrift(&Generation{Files: next.Files[len(next.Files)-2:]}); len(drift) > 0 {
		t.Errorf("without kubeadm kubelet would not start: %v", drift)
	}
}

func TestProgramOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"kubelet-v1.37.2": "kubelet", "kubeadm-v1.38.0-rc.1": "kubeadm", "kubectl-v1.37.2": "kubectl",
		"kubelet": "", "kubelet-config.yaml": "", "10-kubeadm.conf": "", "kubeadm-flags.env": "", "kubeletctl-recover": "",
	} {
		if got := ProgramOf(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if !IsTool(kubeadmLink) || !IsTool(kubeadmLink+"-v1.37.2") || IsTool(linkFile) || IsTool(DropInDir+"/10-kubeadm.conf") {
		t.Error("IsTool")
	}
}
