package hosttest

import "testing"

// A damaged record costs only what it holds: what runs is told, and what is intact can be gone back to, past the gate.
func TestDamagedRecord(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.1")...)
	h.must("kubeletctl", "upgrade", "--version", "v1.37.2")
	h.must("sh", "-c", "echo '{' >/var/lib/kubeletctl/generations/2/record.json")
	said := h.exits(1, "kubeletctl", "status").Stdout
	contains(t, said, `(?m)^error damaged-record: reading generation 2: /var/lib/kubeletctl/generations/2/record\.json: `)
	contains(t, said, `(?m)^  running +v1\.37\.2 \(sha256:`)
	contains(t, said, `(?m)^  service +kubelet\.service: active \(running\), enabled`)
	contains(t, said, `(?m)^  health +ok in `)
	h.must("kubeletctl", "rollback", "--to", "1")
	h.running("v1.37.1")
	h.must("kubeletctl", "upgrade", "--version", "v1.37.2", "--set", "maxPods=50")

	// The way back from a change that fails leads to what was there, although its record is damaged.
	h.must("sh", "-c", "echo '{' >/var/lib/kubeletctl/generations/4/record.json")
	before := h.ours()
	h.must("sh", "-c", "echo 'v1.37.1 sick' >/run/standin")
	h.exits(8, "kubeletctl", "rollback", "--to", "3", "--wait", "4s", "--skip-rehearsal")
	h.running("v1.37.2")
	if after := h.ours(); after != before {
		t.Errorf("the files are\n%s\nwere\n%s", after, before)
	}
	contains(t, h.exits(1, "kubeletctl", "status").Stdout, `damaged-record: reading generation 4: `)

	// Without any record it is another's kubelet, which is taken over.
	h.must("rm", "-r", "/var/lib/kubeletctl")
	said = h.exits(4, "kubeletctl", "status").Stdout
	contains(t, said, `(?m)^error lost-record: `)
	contains(t, said, `(?m)^  running +v1\.37\.2 \(sha256:`)
	contains(t, h.exits(4, "kubeletctl", "upgrade").Stderr, `hint: kubeletctl install --adopt`)
	h.must("kubeletctl", "install", "--adopt", "--yes", "--version", "v1.37.2", "--source", h.source)
	h.running("v1.37.2")
	h.must("grep", "^maxPods: 50$", "/var/lib/kubelet/kubelet-config.yaml")
	h.must("kubeletctl", "uninstall")
	h.must("sh", "-c", "! ls -d /usr/local/bin/kubelet /usr/local/bin/kubelet-v* /usr/local/bin/kubeletctl-recover /etc/systemd/system/kubelet*")
	if state := h.show("ActiveState"); state != "inactive" {
		t.Errorf("after the uninstall kubelet is %s", state)
	}
}
