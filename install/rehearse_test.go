package install

import (
	"testing"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/rehearsal"
)

func TestLocateCause(t *testing.T) {
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
	}
	for _, tt := range tests {
		got := locateCause(&rehearsal.RefusedError{Words: tt.words}, args, config)
		want := tt.want
		if want != "" && want[0] == ':' {
			want = hostfs.ConfigFile + want
		}
		if got != want {
			t.Errorf("%q: %q, want %q", tt.words, got, want)
		}
	}
}
