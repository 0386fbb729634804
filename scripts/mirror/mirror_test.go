package mirror

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "built")
	if err := os.WriteFile(file, []byte("abc"), 0o755); err != nil {
		t.Fatal(err)
	}
	// The second call must not forget the releases of the first.
	for _, r := range []Release{
		{Version: "v1.36.3", Arch: "amd64", Binary: []byte("abc")},
		{Version: "1.36.10", Arch: "arm64", Path: file},
		{Version: "v1.35.9", Arch: "amd64", Binary: []byte("abc")},
		{Version: "v1.37.0-rc.1", Arch: "amd64", Binary: []byte("abc")},
		{Version: "v1.36.3", Arch: "amd64", Binary: []byte("abc")},
	} {
		if err := WriteTree(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ name, want string }{
		{"stable.txt", "v1.36.10"},
		{"stable-1.txt", "v1.36.10"},
		{"stable-1.35.txt", "v1.35.9"},
		{"latest.txt", "v1.37.0-rc.1"},
		{"latest-1.36.txt", "v1.36.10"},
		{"v1.36.10/bin/linux/arm64/kubelet", "abc"},
		{"v1.36.10/bin/linux/arm64/kubelet.sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	} {
		got, err := os.ReadFile(filepath.Join(dir, test.name))
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "stable-1.37.txt")); err == nil {
		t.Error("a pre-release is called stable")
	}
}
