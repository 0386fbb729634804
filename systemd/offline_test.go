package systemd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestOffline(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "etc/systemd/system")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files := &rooted{root: root}
	o := Offline{Files: files}
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
	// What enabled a unit goes also when the unit's file went first.
	if err := errors.Join(o.Enable(ctx, KubeletService), os.Remove(filepath.Join(dir, KubeletService))); err != nil {
		t.Fatal(err)
	}
	if s := state(); s.LoadState != "not-found" || !s.Enabled() {
		t.Errorf("enabled, without a file: %+v", s)
	}
	if err := o.Disable(ctx, KubeletService); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(link); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link of a unit without a file is still there: %v", err)
	}
	for _, verb := range []func(context.Context, string) error{o.Start, o.Restart, o.Stop, o.Queue, o.Kill} {
		if err := verb(ctx, KubeletService); err == nil {
			t.Error("a tree started or stopped a service")
		}
	}
}

// All that a tree's systemd is asked for goes through Files, to whose durable methods the changes are left.
func TestOfflineUsesFiles(t *testing.T) {
	const unit = "/etc/systemd/system/kubelet.service"
	files := &rooted{root: t.TempDir()}
	o := Offline{Files: files}
	write := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(files.root+unit), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(files.root+unit, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, unit string
		want       []string
	}{
		{"two targets", "[Install]\nWantedBy=a.target b.target\n", []string{
			"mkdir /etc/systemd/system/a.target.wants", "symlink /etc/systemd/system/a.target.wants/kubelet.service",
			"mkdir /etc/systemd/system/b.target.wants", "symlink /etc/systemd/system/b.target.wants/kubelet.service",
			"remove /etc/systemd/system/a.target.wants/kubelet.service", "rmdir /etc/systemd/system/a.target.wants",
			"remove /etc/systemd/system/b.target.wants/kubelet.service", "rmdir /etc/systemd/system/b.target.wants"}},
		{"a target that is a path", "[Install]\nWantedBy=../../../etc/x a/b\n", nil},
		{"another section", "[Service]\nWantedBy=a.target\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(tt.unit)
			files.changes = nil
			if err := errors.Join(o.Enable(t.Context(), KubeletService), o.Disable(t.Context(), KubeletService)); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(files.changes, tt.want) {
				t.Errorf("got  %q\nwant %q", files.changes, tt.want)
			}
		})
	}
}

// rooted are the files below a directory, and a record of all changes.
type rooted struct {
	root    string
	changes []string
}

func (r *rooted) change(what, path string) string {
	r.changes = append(r.changes, what+" "+path)
	return filepath.Join(r.root, path)
}

func (r *rooted) ReadFile(p string) ([]byte, error) { return os.ReadFile(filepath.Join(r.root, p)) }
func (r *rooted) ReadDir(p string) ([]os.DirEntry, error) {
	return os.ReadDir(filepath.Join(r.root, p))
}
func (r *rooted) Readlink(p string) (string, error)   { return os.Readlink(filepath.Join(r.root, p)) }
func (r *rooted) Lstat(p string) (os.FileInfo, error) { return os.Lstat(filepath.Join(r.root, p)) }
func (r *rooted) MkdirAll(p string, mode fs.FileMode) error {
	return os.MkdirAll(r.change("mkdir", p), mode)
}
func (r *rooted) Symlink(target, p string) error { return os.Symlink(target, r.change("symlink", p)) }
func (r *rooted) Rmdir(p string) error           { return os.Remove(r.change("rmdir", p)) }
func (r *rooted) Remove(p string) error {
	if err := os.Remove(r.change("remove", p)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
