package hosttest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// machine is all that a rehearsal could leave behind on a host, or change there.
func (h *host) machine() string {
	h.t.Helper()
	return h.must("sh", "-c", `processes=$(ps -eo comm=)
		cut -d' ' -f4- /proc/self/mountinfo | sort
		find /sys/fs/cgroup -type d | grep -v '/session\|\.scope' | sort
		find /run /tmp /var/log /var/lib/kubelet /var/lib/cni /etc /usr/libexec -xdev ! -path '/run/systemd/*' ! -path '/run/log/*' ! -path '/var/log/journal*' ! -name '*.db' ! -path '/etc/systemd/*' -printf '%p %y %m %s\n' | sort
		sysctl -a 2>/dev/null | grep -E '^(kernel\.(panic|keys)|vm\.(over|panic)|net\.ipv4\.ip_forward)' | sort
		systemctl list-units --all --plain --no-legend --type=service,slice,mount,socket | awk '{print $1,$2,$3,$4}' | grep -v 'kubeletctl-recover\|systemd-\|run-' | sort
		ip addr; ip route; nft list ruleset 2>/dev/null | sed 's/packets [0-9]* bytes [0-9]*//'; echo "$processes" | grep -v 'kworker\|^ps$\|^sh$\|systemd-' | sort | uniq -c`)
}

// What a kubelet would die of is found while the former one goes on, and leaves no trace.
func TestRehearsal(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	h := start(t, dir)
	from := given(t, dir, "v1.36.3")
	h.must("kubeletctl", h.install("v1.36.3", from...)...)
	h.running("v1.36.3")
	pid, before, files := h.show("MainPID"), h.machine(), h.ours()
	to := given(t, dir, "v1.37.2")
	tests := []struct {
		name  string
		flags []string
		words string
	}{
		{"no client CA", []string{"--set", "authentication.x509.clientCAFile=/etc/none.crt", "--ignore-preflight", "client-ca"}, `open /etc/none.crt: no such file or directory.*clientCAFile: /etc/none.crt\)`},
		{"a CPU that this machine has not", []string{"--set", "reservedSystemCPUs=4000", "--reset-manager-state"}, `reserved-cpus: 4000 is not a subset of online-cpus`},
		{"no certificate", []string{"--set", "tlsCertFile=/etc/none.crt", "--set", "tlsPrivateKeyFile=/etc/none.key", "--ignore-preflight", "tls-cert"}, `open /etc/none.crt: no such file`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := h.in(t)
			r := h.exits(7, "kubeletctl", append(h.install("v1.37.2", to...), tt.flags...)...)
			contains(t, r.Stderr, "kubelet v1.37.2 did not start in the rehearsal: .*"+tt.words)
			t.Log(strings.TrimSpace(r.Stderr[strings.LastIndex(r.Stderr, "error:"):]))
		})
	}
	if now := h.show("MainPID"); now != pid {
		t.Errorf("kubelet was restarted: pid %s, then %s", pid, now)
	}
	if after := h.machine(); after != before {
		t.Errorf("the machine changed:\n%s", difference(before, after))
	}
	if after := h.kept(); after != files {
		t.Errorf("files changed:\n%s", difference(files, after))
	}
	for _, version := range []string{"v1.34.4", "v1.36.3", "v1.37.2"} {
		began := time.Now()
		h.must("kubeletctl", h.install(version, given(t, dir, version)...)...)
		t.Logf("%s: installed and healthy after %.1f s", version, time.Since(began).Seconds())
	}
}

// difference lists the lines that only one of two texts has.
func difference(before, after string) string {
	var b strings.Builder
	count := map[string]int{}
	for line := range strings.Lines(before) {
		count[line]--
	}
	for line := range strings.Lines(after) {
		count[line]++
	}
	for line, n := range count {
		if n != 0 {
			fmt.Fprintf(&b, "%+d %s", n, line)
		}
	}
	return b.String()
}
