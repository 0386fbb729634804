package preflight

import (
	"testing"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
)

func TestCheckPackages(t *testing.T) {
	t.Parallel()
	entry := func(name, status string) string {
		return "Package: " + name + "\nStatus: " + status + "\nVersion: 1.37.2-1.1\n\n"
	}
	const loose, held = "install ok installed", "hold ok installed"
	bash := entry("bash", loose)
	tests := []struct {
		name, status string
		lists        []string
		want         string // the hint; empty for no problem
	}{
		{"no dpkg", "", nil, ""},
		{"none of them", bash, nil, ""},
		{"kubelet", bash + entry("kubelet", loose), []string{"kubelet"}, "apt-mark hold kubelet"},
		{"both", entry("kubeadm", loose) + bash + entry("kubelet", loose), []string{"kubelet", "kubeadm"}, "apt-mark hold kubelet kubeadm"},
		{"one on hold", entry("kubeadm", loose) + entry("kubelet", held), []string{"kubelet", "kubeadm"}, "apt-mark hold kubeadm"},
		{"both on hold", entry("kubeadm", held) + entry("kubelet", held), []string{"kubelet", "kubeadm"}, ""},
		{"removed, with its configuration left", entry("kubelet", "deinstall ok config-files"), []string{"kubelet"}, ""},
		{"a list without an entry", bash, []string{"kubelet"}, ""},
	}
	for _, tt := range tests {
		tree := hostfs.At(t.TempDir())
		write(t, tree, "/var/lib/dpkg/status", tt.status)
		for _, name := range tt.lists {
			write(t, tree, "/var/lib/dpkg/info/"+name+".list", "/.\n")
		}
		got := ""
		if p := CheckPackages(tree); p != nil {
			got = p.Hint
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
