package hosttest

import "testing"

// The cause of what is wrong on a host, and what removes it; a status names the same.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	contains(t, h.exits(4, "kubeletctl", "diagnose").Stderr, "kubeletctl has not installed a kubelet")
	h.must("kubeletctl", h.install("v1.37.2")...)
	contains(t, h.must("kubeletctl", "diagnose"), "^kubelet is healthy\n$")

	h.must("sh", "-c", "echo 'v1.37.2 crash' >/run/standin; systemctl restart kubelet.service || true")
	h.eventually("kubelet has died", func() bool { return h.show("SubState") == "auto-restart" })
	said := h.exits(3, "kubeletctl", "diagnose").Stdout
	contains(t, said, "^kubelet exited with status 1\n")
	contains(t, said, `(?m)^  cause +not known$`)
	contains(t, said, `(?m)^  log +.*told to crash`)

	h.must("sh", "-c", "rm /run/standin; chmod -x /usr/local/bin/kubelet-v1.37.2; systemctl restart kubelet.service || true")
	h.eventually("kubelet was not started", func() bool { return h.show("ExecMainStatus") == "203" })
	said = h.exits(3, "kubeletctl", "diagnose").Stdout
	contains(t, said, `^kubelet could not be executed \(203/EXEC\)`)
	contains(t, said, `(?m)^  cause +systemd may not execute /usr/local/bin/kubelet: .* \(exec-denied\)$`)
	contains(t, h.exits(3, "kubeletctl", "status").Stdout, `(?m)^  hint: systemd may not execute /usr/local/bin/kubelet: `)
	h.must("sh", "-c", "journalctl -u kubelet.service -o export --no-pager >/run/journal")
	contains(t, h.exits(3, "kubeletctl", "diagnose", "--from", "/run/journal").Stdout, `\(exec-denied\)`)
	h.must("kubeletctl", "repair")
	contains(t, h.must("kubeletctl", "diagnose"), "^kubelet is healthy\n$")
}
