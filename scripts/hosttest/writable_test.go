package hosttest

import (
	"strings"
	"testing"
)

// A kubelet whose directory became read-only goes on for as long as nobody starts it anew, so a change that would is refused
// before it has touched anything: neither the new kubelet nor the former one could be started.
func TestReadOnlyKubeletDir(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	remount := func(how string) { h.must("mount", "-o", "remount,bind,"+how, "/var/lib/kubelet") }
	if !strings.Contains(h.must("cat", "/proc/self/mountinfo"), " /var/lib/kubelet ") {
		h.must("mount", "--bind", "/var/lib/kubelet", "/var/lib/kubelet")
	}
	refused := func(t *testing.T, args ...string) {
		h := h.in(t)
		remount("ro")
		defer remount("rw")
		before, pid := h.ours(), h.show("MainPID")
		r := h.exits(7, "kubeletctl", args...)
		contains(t, r.Stderr, "(?m)^kubeletctl: error: kubelet-dir: kubelet has to write to /var/lib/kubelet and cannot: read-only file system$")
		contains(t, r.Stderr, "(?m)^kubeletctl: hint: mount it writable")
		if after := h.ours(); after != before {
			t.Errorf("files changed:\n%s", difference(before, after))
		}
		if now := h.show("MainPID"); now != pid {
			t.Errorf("kubelet was restarted: pid %s, then %s", pid, now)
		}
	}
	h.must("kubeletctl", h.install("v1.37.1")...)
	t.Run("upgrade", func(t *testing.T) { refused(t, "upgrade", "--version", "v1.37.2") })
	h.must("kubeletctl", "upgrade", "--version", "v1.37.2")
	t.Run("rollback", func(t *testing.T) { refused(t, "rollback") })
	t.Run("repair without a restart", func(t *testing.T) {
		h := h.in(t)
		h.must("systemctl", "disable", "kubelet.service")
		remount("ro")
		defer remount("rw")
		pid := h.show("MainPID")
		h.must("kubeletctl", "repair")
		if now := h.show("MainPID"); now != pid {
			t.Errorf("kubelet was restarted: pid %s, then %s", pid, now)
		}
		h.running("v1.37.2")
	})
	t.Run("repair with a restart", func(t *testing.T) {
		h := h.in(t)
		h.must("sh", "-ec", `bin=/usr/local/bin/kubelet-v1.37.2
			cp /release/v1.37.1/bin/linux/amd64/kubelet $bin.new; chmod 755 $bin.new; mv $bin.new $bin; systemctl restart kubelet.service`)
		refused(t, "repair")
		h.must("kubeletctl", "repair")
		h.running("v1.37.2")
	})
}
