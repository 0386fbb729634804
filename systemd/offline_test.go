package systemd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestOffline(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "etc/systemd/system")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o := Offline{Locate: func(p string) (string, error) { return filepath.Join(root, p), nil }}
	ctx := context.Background()
	state := func() UnitState {
		t.Helper()
		s, err := o.State(ctx, KubeletService)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := state(); s.LoadState != "not-found" || s.Enabled() {
		t.Errorf("without a file: %+v", s)
	}
	if err := os.WriteFile(filepath.Join(dir, KubeletService), KubeletUnit{Binary: "/k"}.Service(), 0o644); err != nil {
		t.Fatal(err)
	}
	if s := state(); s.LoadState != "loaded" || s.Enabled() {
		t.Errorf("before enabling: %+v", s)
	}
	for range 2 { // the second call must find nothing to do
		if err := o.Enable(ctx, KubeletService); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "multi-user.target.wants", KubeletService)
	if target, err := os.Readlink(link); err != nil || target != "/etc/systemd/system/kubelet.service" {
		t.Errorf("the symlink leads to %q, %v", target, err)
	}
	if !state().Enabled() {
		t.Error("not enabled after enabling")
	}
	for range 2 {
		if err := o.Disable(ctx, KubeletService); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(filepath.Dir(link)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the empty .wants directory is still there: %v", err)
	}
	if err := o.Start(ctx, KubeletService); err == nil {
		t.Error("a tree started a service")
	}
}
