package hosttest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// buildRelease makes a release of this commit for this machine and returns its directory.
func buildRelease(t *testing.T, dir, version string) string {
	t.Helper()
	dir = filepath.Join(dir, version)
	c := exec.CommandContext(t.Context(), "../release/build", "--arch", runtime.GOARCH, version, dir)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("scripts/release/build: %v\n%s", err, out)
	}
	return dir
}

// The way of a new user: install.sh, a kubelet, the package and a newer one while kubelet runs and changes, its removal.
func TestPackage(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	dir := t.TempDir()
	releases := []string{buildRelease(t, dir, "v0.1.0"), buildRelease(t, dir, "v0.2.0")}
	h.must("rm", "/usr/bin/kubeletctl")
	for _, release := range releases {
		files, err := os.ReadDir(release)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := h.Copy(filepath.Join(release, f.Name()), "/root/"+filepath.Base(release)+"/"+f.Name(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	deb := func(version string) string {
		return "/root/v" + version + "/kubeletctl_" + version + "_" + runtime.GOARCH + ".deb"
	}

	contains(t, h.must("sh", "-c", "KUBELETCTL_SOURCE=/root/v0.1.0 sh </root/v0.1.0/install.sh"), `^/usr/local/bin/kubeletctl: kubeletctl v0\.1\.0 `)
	h.must("kubeletctl", h.install("v1.37.1")...)
	h.running("v1.37.1")
	pid := h.show("MainPID")
	h.must("rm", "/usr/local/bin/kubeletctl")

	h.must("dpkg", "-i", deb("0.1.0"))
	if r := h.exits(0, "kubeletctl", "version"); strings.Contains(r.Stderr, "kubeletctl-recover") {
		t.Errorf("the copy that recovers is of the same version: %s", r.Stderr)
	}
	h.must("dpkg", "-i", deb("0.2.0"))
	r := h.exits(0, "kubeletctl", "version")
	contains(t, r.Stdout, `^kubeletctl v0\.2\.0 of 20..-..-.., commit [0-9a-f]{12}`)
	contains(t, r.Stderr, `kubeletctl-recover on this host is v0\.1\.0; the next change renews it`)
	if now := h.show("MainPID"); now != pid {
		t.Errorf("the package restarted kubelet: pid %s, then %s", pid, now)
	}

	// A package that comes in the middle of a change: the change keeps the lock, and is undone by the program that began it.
	h.must("sh", "-c", "echo 'v1.37.2 hang' >/run/standin")
	change := h.Command(context.Background(), "kubeletctl", h.install("v1.37.2", "--wait", "30s")...)
	if err := change.Start(); err != nil {
		t.Fatal(err)
	}
	h.eventually("the new kubelet is being started", func() bool { return h.show("ActiveState") == "activating" })
	h.must("dpkg", "-i", deb("0.1.0"))
	h.exits(75, "kubeletctl", "repair")
	if err := change.Wait(); err == nil || change.ProcessState.ExitCode() != 8 {
		t.Errorf("the change: %v, want exit code 8", err)
	}
	h.running("v1.37.1")
	h.must("rm", "/run/standin")

	h.must("dpkg", "-i", deb("0.2.0"))
	h.must("kubeletctl", h.install("v1.37.2")...)
	h.running("v1.37.2")
	if r := h.exits(0, "kubeletctl", "version"); strings.Contains(r.Stderr, "kubeletctl-recover") {
		t.Errorf("the change did not renew the copy that recovers: %s", r.Stderr)
	}
	pid = h.show("MainPID")
	r = h.exits(0, "dpkg", "-r", "kubeletctl")
	contains(t, r.Stderr, `kubelet on this host stays as it is and keeps running`)
	contains(t, r.Stderr, `now that is: /usr/local/bin/kubeletctl-recover uninstall`)
	if now := h.show("MainPID"); now != pid {
		t.Errorf("the removal restarted kubelet: pid %s, then %s", pid, now)
	}
	h.running("v1.37.2")
	h.must("/usr/local/bin/kubeletctl-recover", "uninstall")
	if left := h.must("find", "/usr/local/bin", "/etc/systemd/system", "/usr/bin", "-name", "kubelet*"); left != "" {
		t.Errorf("left:\n%s", left)
	}
}
