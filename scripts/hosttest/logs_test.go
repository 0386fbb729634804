package hosttest

import (
	"strings"
	"testing"
)

// The journal is followed over starts of kubelet and a rotation that throws away what is old.
func TestLogsAreFollowed(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	h.must("sh", "-c", "systemd-run --quiet --unit=follower sh -c 'kubeletctl logs -f --since 1h >/run/followed 2>&1'")
	ends := func(n int) {
		t.Helper()
		h.must("systemctl", "restart", "kubelet.service")
		h.eventually("the end of a run is told", func() bool {
			return strings.Count(h.try("cat", "/run/followed").Stdout, "-- kubelet ended, ") == n
		})
	}
	ends(1)
	h.must("sh", "-c", "journalctl --rotate; journalctl --vacuum-size=1")
	ends(2)
	contains(t, h.must("cat", "/run/followed"), `(?s)ended, .*: it was stopped\n.*\n.*ended, `)
	h.must("systemctl", "stop", "follower.service")
	contains(t, h.must("kubeletctl", "logs", "--boot", "-o", "json"), `(?m)^\{.*"message":`)
}

// What a report of a live host has, and that a program may watch the status.
func TestReport(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	contains(t, h.must("kubeletctl", "report", "/run/report.tar.gz"), `^/run/report\.tar\.gz: \d+ files, [\d.]+ [KM]iB\n$`)
	names := h.must("tar", "-tzf", "/run/report.tar.gz")
	for _, name := range []string{"status.json", "diagnose.json", "preflight.json", "history.json", "journal-boot0.txt", "runtime.txt", "kernel.txt", "files/var/lib/kubelet/kubelet-config.yaml"} {
		if !strings.Contains(names, "/"+name+"\n") {
			t.Errorf("%s is not in it:\n%s", name, names)
		}
	}
	if strings.Contains(names, "errors.txt") {
		t.Errorf("something could not be had: %s", h.must("tar", "-xzOf", "/run/report.tar.gz", "--wildcards", "*/errors.txt"))
	}

	h.must("sh", "-c", "systemd-run --quiet --unit=watcher sh -c 'kubeletctl status --watch >/run/watched'")
	watched := func(words string) {
		t.Helper()
		h.eventually(words, func() bool { return strings.Contains(h.try("cat", "/run/watched").Stdout, words) })
	}
	watched("kubelet v1.37.2 is healthy")
	contains(t, h.exits(0, "kubeletctl", "status", "-o", "prometheus").Stdout, `(?m)^kubeletctl_kubelet_healthy 1$`)
	h.must("systemctl", "stop", "kubelet.service")
	watched("kubelet v1.37.2 is stopped")
	contains(t, h.exits(3, "kubeletctl", "status", "-o", "prometheus").Stdout, `(?m)^kubeletctl_kubelet_healthy 0$`)
	h.must("systemctl", "stop", "watcher.service")
}
