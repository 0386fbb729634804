package hosttest

import (
	"strings"
	"testing"
)

// A drop-in that gives kubelet a flag that it does not know is beyond a repair: everything names the line, and nothing advises
// what does not help.
func TestHintsForAForeignFlag(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	for _, tt := range []struct{ name, dropIn, defaults, line string }{
		{"in ExecStart=", `[Service]\nExecStart=\nExecStart=/usr/local/bin/kubelet --config=/var/lib/kubelet/kubelet-config.yaml --chaos-token=s3cr3t\n`, "",
			localDropIn + `:3: ExecStart=/usr/local/bin/kubelet --config=/var/lib/kubelet/kubelet-config\.yaml --chaos-token=\(hidden\)`},
		{"in an environment file", `[Service]\nEnvironmentFile=/etc/default/kubelet\nExecStart=\nExecStart=/usr/local/bin/kubelet --config=/var/lib/kubelet/kubelet-config.yaml $KUBELET_EXTRA_ARGS\n`,
			"# mine\nKUBELET_EXTRA_ARGS=--no-such-flag=1\n", `/etc/default/kubelet:2: KUBELET_EXTRA_ARGS=--no-such-flag=1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := h.in(t)
			h.must("sh", "-c", `printf "$1" >/etc/default/kubelet`, "sh", tt.defaults)
			h.putDropIn(localDropIn, tt.dropIn)
			h.try("systemctl", "restart", "kubelet.service")
			h.eventually("kubelet has died", func() bool { return h.show("SubState") == "auto-restart" })
			said := h.exits(3, "kubeletctl", "status").Stdout
			contains(t, said, `(?m)^error crash-loop: kubelet exited with status 1: .*unknown flag: .*\(`+tt.line+`\)`)
			contains(t, said, `(?m)^  hint: this release of kubelet has no flag --[\w-]+: fix or remove that line, then: systemctl daemon-reload && systemctl restart kubelet\.service$`)
			repair := h.exits(1, "kubeletctl", "repair")
			contains(t, repair.Stderr, `\(`+tt.line+`\)`)
			upgrade := h.exits(7, "kubeletctl", "upgrade", "--version", "v1.37.2", "--set", "maxPods=50")
			contains(t, upgrade.Stderr, localDropIn+`: it sets ExecStart=.*: `+localDropIn+`:\d: ExecStart=/usr/local/bin/kubelet`)
			for _, text := range []string{said, repair.Stderr, upgrade.Stderr} {
				if strings.Contains(text, "kubeletctl repair") || strings.Contains(text, "s3cr3t") {
					t.Errorf("it leads in circles, or tells a secret:\n%s", text)
				}
			}
			h.must("sh", "-c", "rm -r /etc/systemd/system/kubelet.service.d; systemctl daemon-reload; systemctl restart kubelet.service")
			h.running("v1.37.2")
		})
	}
}

// A kubelet that has died, and whose cause is gone by now, is waited for by systemd; a repair starts it at once.
func TestRepairStartsWhatSystemdWaitsFor(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	h.must("sh", "-ec", `mkdir -p /run/systemd/system/kubelet.service.d; printf '[Service]\nRestartSec=1h\n' >/run/systemd/system/kubelet.service.d/slow.conf
		echo 'v1.37.2 crash' >/run/standin; systemctl daemon-reload; systemctl restart kubelet.service || true`)
	h.eventually("kubelet has died", func() bool { return h.show("SubState") == "auto-restart" })
	h.must("rm", "/run/standin")
	said := h.exits(3, "kubeletctl", "status").Stdout
	contains(t, said, `(?m)^error crash-loop: .*; systemd starts it again at \d\d:\d\d:\d\d$`)
	contains(t, said, `(?m)^  hint: journalctl -u kubelet\.service shows what it said; when the cause is removed, kubeletctl repair starts it at once$`)
	contains(t, h.must("kubeletctl", "repair"), "is healthy")
	h.running("v1.37.2")
}

// What a repair would do is not advised while another run is at work.
func TestNoHintToRepairDuringAChange(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.1")...)
	m := h.slowMirror()
	upgrade := h.begin("kubeletctl", "upgrade", "--version", "v1.37.2", "--source", m.source)
	m.await()
	h.must("systemctl", "stop", "kubelet.service")
	said := h.exits(3, "kubeletctl", "status").Stdout
	contains(t, said, `(?m)^info busy: `)
	contains(t, said, `(?m)^error stopped: kubelet is not running\n  hint: another kubeletctl is at work here: run kubeletctl status again when it is done$`)
	if strings.Contains(said, "kubeletctl repair") {
		t.Errorf("it advises a repair:\n%s", said)
	}
	m.end()
	upgrade.exits(0)
	h.running("v1.37.2")
}
