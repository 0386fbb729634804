package observe

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// What only systemd knows of the flags of a kubelet of kubeadm's is not taken for a value.
func TestReadKubeadmKnowsWhatSystemdExpands(t *testing.T) {
	t.Parallel()
	o := Observer{Tree: hostfs.At(t.TempDir())}
	dropIn := filepath.Join(o.Tree.Root(), plan.DropInDir, "20-name.conf")
	if err := os.MkdirAll(filepath.Dir(dropIn), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dropIn, []byte("[Service]\nEnvironment=\"KUBELET_EXTRA_ARGS=--hostname-override=%H --v=4\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	unit := systemd.KubeletUnit{Binary: "/usr/local/bin/kubelet", Kubeadm: true}
	g := &plan.Generation{Kubeadm: true, Files: []plan.File{
		plan.TextFile(hostfs.UnitDir+"/"+systemd.KubeletService, 0o644, unit.Service()),
		plan.TextFile(plan.DropInDir+"/"+systemd.KubeadmDropIn, 0o644, unit.DropIn(systemd.KubeadmFiles{
			Config: "/c.yaml", Flags: "/flags.env", Kubeconfig: "/k", BootstrapKubeconfig: "/b",
		})),
	}}
	for range 2 { // reading it again adds nothing
		if _, err := o.ReadKubeadm(g); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"hostname-override"}; !slices.Equal(g.Expanded, want) {
		t.Errorf("expanded: %q, want %q", g.Expanded, want)
	}
	want := []string{"--bootstrap-kubeconfig=/b", "--kubeconfig=/k", "--config=/c.yaml", "--v=4"}
	if known := g.KnownArgs(); !slices.Equal(known, want) {
		t.Errorf("known: %q, want %q", known, want)
	}
}
