package status

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/observe"
)

// A kubeconfig that is there and cannot be used is another thing than none.
func TestKubeconfigOfTheHost(t *testing.T) {
	tree := hostfs.At(t.TempDir())
	file := filepath.Join(tree.Root(), config.KubeadmKubeconfig)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	const names = "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster: {server: https://192.0.2.1:6443}\ncontexts:\n- name: x\n  context: {cluster: c, user: u}\n" +
		"current-context: x\nusers:\n- name: u\n  user: {client-certificate: /none.pem, client-key: /none.pem}\n"
	for _, tt := range []struct {
		name, content   string
		missing, usable bool
	}{
		{"none", "", true, false},
		{"no YAML", names + "  {{\n", false, false},
		{"a token", "abcdef.0123456789abcdef\n", false, false},
		{"a certificate that is not there", names, false, false},
	} {
		if tt.content != "" {
			if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		m := Reader{Observer: observe.Observer{Tree: tree}}.Subject(nil).Host
		path, _, err := m.Kubeconfig()
		if path != config.KubeadmKubeconfig || errors.Is(err, fs.ErrNotExist) != tt.missing || (err == nil) != tt.usable {
			t.Errorf("%s: %s, %v", tt.name, path, err)
		}
	}
}
