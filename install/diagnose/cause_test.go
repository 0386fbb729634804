package diagnose

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

func TestLocate(t *testing.T) {
	t.Parallel()
	const config = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
# maxPods: a comment
authentication:
  x509:
    clientCAFile: /etc/none.crt
evictionHard:
  memory.available: abc
featureGates:
  NoSuchGate: true
maxPods: -5
tlsCipherSuites:
- TLS_WISHFUL
v: true
kubeReserved: {cpu: 100m, gates: [InOneLine]}
`
	args := []string{"--config=/var/lib/kubelet/kubelet-config.yaml", "--node-ip=1.2.3", "--v=2", "--kubeconfig=/etc/k.conf"}
	tests := []struct{ words, want string }{
		{"", ""},
		{"something else", ""},
		{`invalid configuration: maxPods (--max-pods) -5 must not be a negative number, path: &TypeMeta{Kind:,APIVersion:,}`, ":11: maxPods: -5"},
		{"panic: unrecognized feature gate: NoSuchGate", ":10: NoSuchGate: true"},
		{"open /etc/none.crt: no such file or directory", ":6: clientCAFile: /etc/none.crt"},
		{"Cipher suite TLS_WISHFUL not supported", ":13: TLS_WISHFUL"},
		{"Cipher suite TLS_WISHFUL_2 not supported", ""},
		{`invalid kubeconfig: error loading config file "/etc/k.conf"`, "--kubeconfig=/etc/k.conf"},
		{`bad --node-ip "1.2.3"`, "--node-ip=1.2.3"},
		{"a true statement, version 2", ""},
		{"unrecognized feature gate: InOneLine", ":15: kubeReserved: {cpu: 100m, gates: [InOneLine]}"},
	}
	for _, tt := range tests {
		got := locate(tt.words, args, []plan.File{plan.TextFile(hostfs.ConfigFile, 0, []byte(config))})
		want := tt.want
		if want != "" && want[0] == ':' {
			want = hostfs.ConfigFile + want
		}
		if got != want {
			t.Errorf("%q: %q, want %q", tt.words, got, want)
		}
	}
}

// What kubelet cannot decode is in the configuration file, whatever names that file, and nothing is found by a plain word.
func TestPlaceOnANode(t *testing.T) {
	t.Parallel()
	const config = `apiVersion: kubelet.config.k8s.io/v1
kind: KubeletConfiguration
authentication:
  anonymous:
    enabled: false
failSwapOn: nope
port: 10250
logging:
  format: text
evictionSoftGracePeriod:
  memory.available: 1m30s
  {{ foo
`
	const file = "/var/lib/kubelet/config.yaml"
	s := Subject{Observer: observe.Observer{Tree: hostfs.At(t.TempDir())}}
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(s.Tree.Root(), name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write(file, config)
	write("etc/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet\n")
	write("etc/systemd/system/kubelet.service.d/10-kubeadm.conf", "[Service]\nExecStart=\nExecStart=/usr/bin/kubelet --config="+file+"\n")
	ours := &plan.Generation{Kubeadm: true, KubeadmConfig: plan.TextFile(file, 0, []byte("maxPods: 1\n"))}
	load := "failed to load kubelet config file, path: " + file + ", error: failed to load Kubelet config file " + file + ", error "
	for _, tt := range []struct{ words, want string }{
		{load + `failed to decode: no kind "KubeletConfiguration" is registered for version "kubelet.config.k8s.io/v1" in scheme "x"`, file + ":1: apiVersion: kubelet.config.k8s.io/v1"},
		{load + "failed to decode: yaml: line 13: could not find expected ':'", file + ":12: {{ foo"},
		{load + `kubelet config file "` + file + `" was empty`, file},
		{load + "failed to decode: json: cannot unmarshal string into Go struct field KubeletConfiguration.failSwapOn of type bool", file + ":6: failSwapOn: nope"},
		{load + "failed to decode: json: cannot unmarshal string into Go struct field KubeletConfiguration.authentication.anonymous.enabled of type bool", file + ":5: enabled: false"},
		{"Container runtime network not ready: networkReady=NetworkReady=false reason:NetworkPluginNotReady", ""},
		{"something enabled a port 10250 of text after 1m30s", ""},
		{"invalid configuration: memory.available is unknown", file + ":11: memory.available: 1m30s"},
	} {
		for _, s.Ours = range []*plan.Generation{nil, ours} {
			run := Run{Log: []kubeletlog.Entry{{Severity: kubeletlog.Error, Message: "command failed", Err: tt.words}}}
			if d := s.Explain(t.Context(), run); d.Place != tt.want || d.Foreign {
				t.Errorf("ours %t, %q: %q, want %q", s.Ours != nil, tt.words, d.Place, tt.want)
			}
		}
		staged := &plan.Generation{Files: []plan.File{plan.TextFile(hostfs.ConfigFile, 0, []byte(config))}}
		want := strings.Replace(tt.want, file, hostfs.ConfigFile, 1)
		if got := Cause(observe.Observer{Tree: hostfs.At(t.TempDir())}, tt.words, staged); got != want {
			t.Errorf("rehearsal, %q: %q, want %q", tt.words, got, want)
		}
	}
}

// A drop-in that sets the same field counts more than the file, and so is the one that is named.
func TestCauseInADropIn(t *testing.T) {
	t.Parallel()
	o := observe.Observer{Tree: hostfs.At(t.TempDir())}
	dir := filepath.Join(o.Tree.Root(), "etc/kubelet.d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"10-a.conf": "maxPods: 1", "20-b.conf": "kind: KubeletConfiguration\nmaxPods: -5", "30-c.txt": "maxPods: 7"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g := &plan.Generation{Args: []string{"--config-dir=/etc/kubelet.d/"}, Files: []plan.File{plan.TextFile(hostfs.ConfigFile, 0, []byte("maxPods: 110"))}}
	got := Cause(o, "invalid configuration: maxPods -5 must not be a negative number", g)
	if want := "/etc/kubelet.d/20-b.conf:2: maxPods: -5"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
