package hosttest

import (
	"testing"
	"time"
)

// A kubelet that is healthy and unhealthy in turns never is for as long as it has to be: it is given up within bounds, and the
// former one is back.
func TestFlappingKubelet(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.1")...)
	before := h.ours()
	// A process that is stopped answers nobody, and is as well as before when it goes on.
	h.must("systemd-run", "-q", "--collect", "--unit=flapping", "sh", "-c", `while :; do
		pid=$(pgrep -f '^/usr/local/bin/kubelet ') && [ "$(readlink /proc/$pid/exe)" = /usr/local/bin/kubelet-v1.37.2 ] || { sleep 0.1; continue; }
		sleep 1; kill -STOP $pid; sleep 3; kill -CONT $pid
	done`)
	began := time.Now()
	r := h.exits(8, "kubeletctl", "upgrade", "--version", "v1.37.2", "--wait", "15s", "--skip-rehearsal")
	took := time.Since(began)
	contains(t, r.Stderr, "kubelet was healthy, but did not stay healthy: .*/healthz")
	contains(t, r.Stderr, `kubelet v1\.37\.1 is in place again`)
	h.must("systemctl", "stop", "flapping.service")
	h.running("v1.37.1")
	if after := h.kept(); after != before {
		t.Errorf("files changed:\n%s", difference(before, after))
	}
	// What --wait allows, twice what a relapse may take, and the way back.
	if most := 50 * time.Second; took > most {
		t.Errorf("given up and rolled back after %s, more than %s", took, most)
	}
	t.Logf("given up and rolled back after %.1f s", took.Seconds())
}

// A new kubelet that ignores SIGTERM does not hold up the way back: what runs then has failed already, and is killed.
func TestWayBackFromAStubbornKubelet(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.1")...)
	before := h.ours()
	h.must("sh", "-c", "echo 'v1.37.2 stubborn' >/run/standin")
	const wait = 10 * time.Second
	upgrade := h.begin("kubeletctl", "upgrade", "--version", "v1.37.2", "--wait", wait.String(), "--skip-rehearsal")
	h.eventually("the new kubelet hangs", func() bool {
		return h.show("ActiveState") == "activating" && h.try("pgrep", "-f", "^/usr/local/bin/kubelet ").ExitCode == 0
	})
	stop := h.poll()
	began := time.Now()
	r := upgrade.exits(8)
	took, down := time.Since(began), stop()
	contains(t, r.Stderr, "not healthy within 10s")
	contains(t, r.Stderr, "kubelet.service does not stop; it is killed")
	contains(t, r.Stderr, `kubelet v1\.37\.1 is in place again`)
	h.running("v1.37.1")
	if after := h.kept(); after != before {
		t.Errorf("files changed:\n%s", difference(before, after))
	}
	if most := 15 * time.Second; down-wait > most {
		t.Errorf("no healthy kubelet for %s, of which %s were --wait: the way back took more than %s", down, wait, most)
	}
	t.Logf("no healthy kubelet for %.1f s with --wait %s; rolled back after %.1f s", down.Seconds(), wait, took.Seconds())
}
