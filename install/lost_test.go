package install

import (
	"os"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
)

// What kubeletctl has installed counts as its own when the record of it is lost, also where the change fails that takes it over:
// an uninstall leaves nothing of it, and no kubelet that runs.
func TestLostRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1", "v1.37.2")
	before := b.state()
	b.install(b.spec("v1.37.1", nil))
	if err := os.RemoveAll(b.file(hostfs.StateDir)); err != nil {
		t.Fatal(err)
	}
	b.failEach("with a lost record", b.spec("v1.37.2", map[string]any{"maxPods": 50}))
	if target := b.linked(); target != "kubelet-v1.37.2" {
		t.Errorf("the active kubelet is %s", target)
	}
	if _, err := os.Lstat(b.file("/usr/local/bin/kubelet-v1.37.1")); err == nil {
		t.Error("a kubelet is left that nothing leads back to")
	}
	b.uninstall()
	b.same(before, "after uninstall")
}
