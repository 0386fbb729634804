package hosttest

import (
	"strings"
	"testing"
)

// What is rehearsed is what a repair leaves behind, not what it has come to mend.
func TestRepairOfABinary(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	for _, tt := range []struct{ name, damage string }{
		{"not executable", "chmod 644 $bin"},
		{"for nobody", "chmod 0 $bin"},
		{"of another owner", "chown 65534:65534 $bin; chmod 600 $bin"},
		{"damaged", "echo >>$bin"},
		{"link that leads nowhere", "ln -sfn kubelet-v1.0.0 /usr/local/bin/kubelet"},
		{"not executable and no configuration", "chmod 644 $bin; rm /var/lib/kubelet/kubelet-config.yaml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := h.in(t)
			h.must("sh", "-ec", "systemctl stop kubelet; bin=/usr/local/bin/kubelet-v1.37.2; "+tt.damage)
			h.must("kubeletctl", "repair")
			h.running("v1.37.2")
			h.must("kubeletctl", "diff")
			if names := h.must("ls", "-A", "/usr/local/bin"); strings.Contains(names, ".part-") {
				t.Errorf("it left a copy:\n%s", names)
			}
		})
	}

	// A digest that is wrong disturbs nobody.
	pid := h.show("MainPID")
	r := h.exits(6, "kubeletctl", h.install("v1.37.2", "--sha256", strings.Repeat("0", 64))...)
	if strings.Contains(r.Stderr, "damaged") || h.show("MainPID") != pid {
		t.Errorf("the intact kubelet was disturbed:\n%s", r.Stderr)
	}
	h.must("kubeletctl", "diff")
	h.running("v1.37.2")
	said := h.must("kubeletctl", "status")
	contains(t, said, `(?m)^  installed .*\(sha256:[0-9a-f]{12}\.\.\.\)$`)
}
