package hosttest

import (
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

// A mirror that was made on one machine is carried to another one, which has no network at all, and is installed from.
func TestAirGap(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(mirror.Handler(tools.release))
	defer web.Close()
	dir := t.TempDir()
	for _, args := range [][]string{
		{tools.kubeletctl, "mirror", filepath.Join(dir, "mirror"), "--version", "v1.37.1", "--channel", "stable", "--arch", runtime.GOARCH, "--source", web.URL + "/release"},
		{"tar", "-C", dir, "-cf", filepath.Join(dir, "mirror.tar"), "mirror"},
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	h := start(t, tools.release)
	if err := h.Copy(filepath.Join(dir, "mirror.tar"), "/root/mirror.tar", 0o644); err != nil {
		t.Fatal(err)
	}
	h.must("tar", "-C", "/srv", "-xf", "/root/mirror.tar")
	if routes := h.must("ip", "route"); routes != "" {
		t.Fatalf("the host has a way out: %s", routes)
	}
	h.must("kubeletctl", "mirror", "--check", "/srv/mirror")
	contains(t, h.must("kubeletctl", "releases", "--source", "file:///srv/mirror"), `(?m)^v1\.37\.2 +mirror +linux/`)
	h.source = "file:///srv/mirror"
	h.must("kubeletctl", h.install("v1.37.1")...)
	h.running("v1.37.1")
	h.must("kubeletctl", "upgrade", "--version", "stable")
	h.running("v1.37.2")
}
