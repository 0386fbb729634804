package hosttest

import (
	"strconv"
	"strings"
	"testing"
)

// A restart brings up what was installed, and says so when that is not healthy: there is nothing to go back to.
func TestRestart(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	pid := h.show("MainPID")
	contains(t, h.must("kubeletctl", "restart", "--dry-run"), `(?m)^  restart +kubelet\.service +it was asked for$`)
	if now := h.show("MainPID"); now != pid {
		t.Fatal("a dry run restarted kubelet")
	}
	contains(t, h.must("kubeletctl", "restart"), `^kubelet v1\.37\.2 \(generation 1\) is healthy`)
	if now := h.show("MainPID"); now == pid {
		t.Error("it was not restarted")
	}
	h.running("v1.37.2")
	contains(t, h.must("kubeletctl", "history"), `(?m)^2 .* restart .*healthy$`)

	// What was edited, or has to be loaded anew, comes to its right: the one by a repair, the other by the restart.
	pid = h.show("MainPID")
	h.must("sh", "-c", "echo 'maxPods: 7' >>/var/lib/kubelet/kubelet-config.yaml")
	contains(t, h.exits(7, "kubeletctl", "restart").Stderr, `kubelet-config\.yaml: edited: added maxPods: 7`)
	if now := h.show("MainPID"); now != pid {
		t.Error("a refused restart restarted kubelet")
	}
	h.must("kubeletctl", "repair")
	h.must("sh", "-c", "mkdir -p /etc/systemd/system/kubelet.service.d; printf '[Service]\nEnvironment=MINE=1\n' >/etc/systemd/system/kubelet.service.d/mine.conf")
	h.must("kubeletctl", "restart")
	contains(t, h.must("sh", "-c", "tr '\\0' '\\n' </proc/$(systemctl show -P MainPID kubelet)/environ"), "(?m)^MINE=1$")
	h.must("systemctl", "stop", "kubelet.service")
	h.must("kubeletctl", "restart")
	h.running("v1.37.2")

	// A kubelet that fails its rehearsal keeps running; one that fails afterwards is what there is.
	h.must("sh", "-c", "echo 'v1.37.2 hang' >/run/standin")
	r := h.exits(1, "kubeletctl", "restart", "--wait", "4s", "-o", "json")
	contains(t, r.Stdout, `"error": "restarting kubelet: kubelet was not healthy within 4s: `)
	contains(t, r.Stdout, `"exitCode": 1`)
	h.exits(3, "kubeletctl", "status")
	h.must("sh", "-c", "echo 'v1.37.2 crash' >/run/standin")
	r = h.exits(1, "kubeletctl", "restart")
	contains(t, r.Stderr, `error: restarting kubelet: .*told to crash`)
	contains(t, h.must("kubeletctl", "history"), `(?m)restart .*unhealthy: .*told to crash`)
	h.must("rm", "/run/standin")
	h.must("kubeletctl", "restart")
	h.running("v1.37.2")
	if s := h.status(0); s.Generation != 1 || len(s.Drift) != 0 {
		t.Errorf("status: %+v", s)
	}
}

// kubeletctl is killed while kubelet starts: the recovery ends the change, and kubelet runs.
func TestKilledRestart(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	h.must("sh", "-c", "echo 'v1.37.2 late 3s' >/run/standin")
	former := h.show("MainPID")
	running := h.Command(t.Context(), "kubeletctl", "restart")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	h.eventually("another kubelet runs", func() bool { return h.show("ActiveState") == "active" && h.show("MainPID") != former })
	pid, err := strconv.Atoi(strings.TrimSpace(h.must("cat", "/var/lib/kubeletctl/lock")))
	if err != nil {
		t.Fatal(err)
	}
	h.must("kill", "-KILL", strconv.Itoa(pid))
	_ = running.Wait()
	h.eventually("the recovery has ended it", func() bool { return h.try("test", "-e", "/var/lib/kubeletctl/pending").ExitCode != 0 })
	h.eventually("kubelet is healthy", func() bool { return h.try("kubeletctl", "status").ExitCode == 0 })
	h.running("v1.37.2")
	contains(t, h.must("kubeletctl", "history"), `(?m)^2 .* restart .*reverted: kubeletctl was interrupted$`)
}
