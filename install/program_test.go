package install

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// A host that was made from an image without the recovery: nothing misses it or arms it. The next install adds it.
func TestRecoveryLeftOut(t *testing.T) {
	t.Parallel()
	b := newBench(t, "v1.37.1")
	before := b.state()
	recovers := func() bool {
		return slices.ContainsFunc(b.fake.calls, func(call string) bool { return call == "arm" || strings.Contains(call, "kubeletctl-recover") })
	}
	s := b.spec("v1.37.1", nil)
	c, err := b.Prepare(t.Context(), b.draft(s), PrepareOptions{NoRecovery: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.apply(context.Background(), c, 0); err != nil || recovers() {
		t.Fatalf("%v, systemd was asked %q", err, b.fake.calls)
	}

	repair := func() *Change {
		current, err := b.Store().Installed()
		if err != nil {
			t.Fatal(err)
		}
		c, err := b.PrepareRestore(t.Context(), current, Artifacts{Kubelet: b.resolve(s).Artifact}, PrepareOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := repair(); !c.Plan.Empty() {
		t.Errorf("a repair would do %q", steps(c.Plan))
	}
	if err := os.Remove(b.file(hostfs.ConfigFile)); err != nil {
		t.Fatal(err)
	}
	b.fake.calls = nil
	if _, err := b.apply(context.Background(), repair(), 0); err != nil || recovers() {
		t.Errorf("%v, systemd was asked %q", err, b.fake.calls)
	}

	c = b.prepare(s)
	if !c.Plan.Has(plan.Write, hostfs.DefaultBinDir+"/"+plan.RecoverProgram) {
		t.Errorf("the next install would do %q", steps(c.Plan))
	}
	if _, err := b.apply(context.Background(), c, 0); err != nil || !recovers() {
		t.Errorf("%v, systemd was asked %q", err, b.fake.calls)
	}
	b.uninstall()
	b.same(before, "after uninstall")
}
