package spec

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
)

// draftWith is a draft of a kubelet with programs of these versions beside it, as "kubeadm=v1.37.2".
func draftWith(t *testing.T, s Spec, version string, tools ...string) *Draft {
	t.Helper()
	parse := func(text string) release.Version {
		v, err := release.ParseVersion(text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	digest := release.Digest{Algorithm: "sha512", Hex: strings.Repeat("a", 128)}
	a := Resolution{Artifact: release.Artifact{Version: parse(version), Arch: "amd64", Digest: digest, Trust: release.Checksum}}
	for _, tool := range tools {
		name, v, _ := strings.Cut(tool, "=")
		artifact := release.Artifact{Program: name, Version: parse(v), Arch: "amd64", Digest: digest, Trust: release.Checksum, From: "there"}
		a.Tools = append(a.Tools, Resolution{Artifact: artifact})
	}
	d, err := Build(s, nil, a)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestBuildWithTools(t *testing.T) {
	t.Parallel()
	d := draftWith(t, Spec{With: map[string]string{"kubeadm": ""}, Paths: Paths{BinDir: "/opt/bin"}}, "v1.37.2", "kubeadm=v1.38.0")
	binary, link := d.File("/opt/bin/kubeadm-v1.38.0"), d.File("/opt/bin/kubeadm")
	if binary.Kind != plan.ToolBinary || binary.Mode != 0o755 || binary.SHA512 == "" || link.Target != "kubeadm-v1.38.0" {
		t.Errorf("binary %+v, link %+v", binary, link)
	}
	if tool := d.Tool("kubeadm"); tool.Version.String() != "v1.38.0" || tool.Trust != release.Checksum || tool.DigestFrom != "there" || len(d.Tools) != 1 {
		t.Errorf("tool %+v, artifacts %+v", tool, d.Tools)
	}
	if got := d.Binary().Path; got != "/opt/bin/kubelet-v1.37.2" {
		t.Errorf("the binary is %s", got)
	}
	recorded, err := Recorded(d.Generation)
	if err != nil || !maps.Equal(recorded.With, map[string]string{"kubeadm": "v1.38.0"}) {
		t.Errorf("recorded is %v, %v", recorded.With, err)
	}
}

func TestChangesOfTools(t *testing.T) {
	t.Parallel()
	fifty := Spec{KubeletConfiguration: map[string]any{"maxPods": 50}}
	plain := draftWith(t, Spec{}, "v1.37.2")
	old, both := draftWith(t, Spec{}, "v1.37.2", "kubeadm=v1.37.2"), draftWith(t, Spec{}, "v1.37.2", "kubeadm=v1.38.0", "kubectl=v1.37.2")
	for _, tt := range []struct {
		name       string
		have, want *Draft
		changes    []string
		onlyTools  bool
	}{
		{"nothing", old, old, nil, false},
		{"upgraded and added", old, both, []string{"kubeadm v1.37.2 -> v1.38.0", "added kubectl v1.37.2"}, true},
		{"removed", both, plain, []string{"removed kubeadm", "removed kubectl"}, true},
		{"with a setting", old, draftWith(t, fifty, "v1.37.2"), []string{"removed kubeadm", "maxPods=50"}, false},
		{"with kubelet", old, draftWith(t, Spec{}, "v1.38.0", "kubeadm=v1.38.0"), []string{"v1.37.2 -> v1.38.0", "kubeadm v1.37.2 -> v1.38.0"}, false},
	} {
		if got := Changes(tt.have.Generation, tt.want.Generation); !slices.Equal(got, tt.changes) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.changes)
		}
		if got := tt.want.OnlyTools(tt.have.Generation); got != tt.onlyTools {
			t.Errorf("%s: only tools: %t", tt.name, got)
		}
	}
	if got := Changes(nil, old.Generation); !slices.Equal(got, []string{"v1.37.2", "added kubeadm v1.37.2"}) {
		t.Errorf("the first: %q", got)
	}
}

// Which programs are beside kubelet is a setting; of which release they are is none, as it is of kubelet.
func TestReconcileTools(t *testing.T) {
	t.Parallel()
	with := func(by Origin, tools ...string) Spec {
		s := Spec{HasFile: by == ByFile}
		for _, tool := range tools {
			name, v, _ := strings.Cut(tool, "=")
			s.AddTool(name)
			s.With[name] = v
		}
		if err := s.Attribute(Spec{}, by); err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, tt := range []struct {
		name                     string
		said, recorded           Spec
		want                     map[string]string
		kept, dropped, forgotten int
	}{
		{"the release is what is asked for", with(ByFlags, "kubeadm"), with(BySet, "kubeadm=v1.38.0"), map[string]string{"kubeadm": ""}, 0, 0, 0},
		{"also against what flags asked for", with(ByFile, "kubeadm"), with(ByFlags, "kubeadm=v1.38.0"), map[string]string{"kubeadm": ""}, 0, 0, 0},
		{"one of set stays", with(ByFlags, "kubeadm"), with(BySet, "kubectl=v1.38.0"), map[string]string{"kubeadm": "", "kubectl": "v1.38.0"}, 1, 0, 0},
		{"not repeated", with(ByFlags), with(ByFlags, "kubeadm=v1.38.0"), nil, 0, 0, 1},
		{"no longer in the file", with(ByFile), with(ByFile, "kubeadm=v1.38.0"), nil, 0, 1, 0},
	} {
		r, err := tt.said.Reconcile(tt.recorded, false)
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(r.Spec.With, tt.want) || len(r.Kept) != tt.kept || len(r.Dropped) != tt.dropped || len(r.Forgotten) != tt.forgotten {
			t.Errorf("%s: %v; kept %v, dropped %v, forgotten %v", tt.name, r.Spec.With, r.Kept, r.Dropped, r.Forgotten)
		}
	}
}
