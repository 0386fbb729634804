package hosttest

import (
	"strconv"
	"strings"
	"testing"
)

// Every upgrade of the systemd package executes PID 1 anew, which closes all connections to it. A change of kubelet that is
// under way then goes on as if nothing was.
func TestReexecDuringChanges(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	const drift = "sed -i s/RestartSec=5s/RestartSec=9s/ /etc/systemd/system/kubelet.service; systemctl daemon-reload; systemctl restart kubelet.service"
	verbs := []struct {
		name, before string
		command      []string
		version      string
	}{
		{name: "install", command: h.install("v1.37.1"), version: "v1.37.1"},
		{name: "upgrade", command: []string{"upgrade", "--version", "v1.37.2"}, version: "v1.37.2"},
		{name: "rollback", command: []string{"rollback"}, version: "v1.37.1"},
		{name: "repair", before: drift, command: []string{"repair", "--yes"}, version: "v1.37.1"},
		{name: "upgrade after a repair", command: []string{"upgrade", "--version", "v1.37.2"}, version: "v1.37.2"},
	}
	for _, v := range verbs {
		t.Run(v.name, func(t *testing.T) {
			h := h.in(t)
			if v.before != "" {
				h.must("sh", "-ec", v.before)
			}
			stop := h.reexec()
			r := h.try("kubeletctl", v.command...)
			times := stop()
			if r.ExitCode != 0 {
				t.Fatalf("exit code %d after %d times daemon-reexec\n%s%s", r.ExitCode, times, r.Stdout, r.Stderr)
			}
			if times < 3 {
				t.Errorf("systemd was executed anew only %d times", times)
			}
			h.running(v.version)
			h.must("kubeletctl", "diff")
			if s := h.status(0); s.Service.Restarts != 0 {
				t.Errorf("kubelet was started again %d times", s.Service.Restarts)
			}
			if timer := h.must("systemctl", "list-units", "--all", "--no-legend", "kubeletctl-recover.timer"); timer != "" {
				t.Errorf("the recovery is still armed: %s", timer)
			}
			t.Logf("%d times daemon-reexec", times)
		})
	}
}

// reexec has systemd execute itself anew every 300 ms, until stop is called, which tells how often it did.
func (h *host) reexec() (stop func() int) {
	h.t.Helper()
	h.must("sh", "-c", `rm -f /run/reexecs; touch /run/reexecuting; (for i in $(seq 400); do
		sleep 0.3
		[ -e /run/reexecuting ] || break
		systemctl daemon-reexec && echo $i >>/run/reexecs
	done; touch /run/reexecuted) >/dev/null 2>&1 </dev/null &`)
	return func() int {
		h.t.Helper()
		h.must("rm", "-f", "/run/reexecuting")
		h.eventually("systemd is left alone", func() bool { return h.try("rm", "/run/reexecuted").ExitCode == 0 })
		h.must("sh", "-c", "until systemctl is-system-running --wait; do [ $? = 1 ] && break; sleep 0.1; done")
		n, err := strconv.Atoi(strings.TrimSpace(h.must("sh", "-c", "cat /run/reexecs 2>/dev/null | wc -l")))
		if err != nil {
			h.t.Fatal(err)
		}
		return n
	}
}
