package hosttest

import (
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/kubeletctl/kubeletctl/scripts/gobuild"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

// A mirror that was made on one machine is carried to another one, which has no network at all, and is installed from, with
// the trust in what upstream published: here that is the test's release tree, whose digests scripts/published adds to the
// table of the kubeletctl that is used.
func TestAirGap(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(mirror.Handler(tools.release))
	defer web.Close()
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	table, program := filepath.Join(dir, "published.txt"), filepath.Join(dir, "kubeletctl")
	run("cp", "../../release/published.txt", table)
	run("../published", "--source", web.URL+"/release", "--table", table, "v1.37.1", "v1.37.2")
	if err := gobuild.WithTable(program, table); err != nil {
		t.Fatal(err)
	}
	made := run(program, "mirror", filepath.Join(dir, "mirror"), "--version", "v1.37.1", "--channel", "stable", "--arch", runtime.GOARCH,
		"--source", web.URL+"/release", "--require-trust", "published")
	contains(t, made, `(?m)^v1\.37\.2 .* published `)
	run("tar", "-C", dir, "-cf", filepath.Join(dir, "mirror.tar"), "mirror")

	h := start(t, tools.release)
	for from, to := range map[string]string{program: "/usr/bin/kubeletctl", filepath.Join(dir, "mirror.tar"): "/root/mirror.tar"} {
		if err := h.Copy(from, to, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.must("tar", "-C", "/srv", "-xf", "/root/mirror.tar")
	if routes := h.must("ip", "route"); routes != "" {
		t.Fatalf("the host has a way out: %s", routes)
	}
	h.must("kubeletctl", "mirror", "--check", "/srv/mirror", "--require-trust", "published")
	contains(t, h.must("kubeletctl", "releases", "--source", "file:///srv/mirror"), `(?m)^v1\.37\.2 +mirror +linux/`)
	h.source = "file:///srv/mirror"
	h.must("kubeletctl", h.install("v1.37.1", "--require-trust", "published")...)
	h.running("v1.37.1")
	h.must("kubeletctl", "upgrade", "--version", "stable")
	h.running("v1.37.2")
	if s := h.status(0); s.Trust != "published" {
		t.Errorf("the trust is %q", s.Trust)
	}
	// What is in the mirror is held against the table, whatever its own checksum files say.
	h.must("sh", "-c", "cd /srv/mirror/v1.37.1/bin/linux/*/ && cp ../../../../v1.37.2/bin/linux/*/* .")
	h.exits(6, "kubeletctl", "mirror", "--check", "/srv/mirror")
	h.must("kubeletctl", "uninstall")
	contains(t, h.exits(6, "kubeletctl", h.install("v1.37.1")...).Stderr, "table of published digests")
}
