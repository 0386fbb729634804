package hosttest

import "testing"

// kubeadm beside a kubelet that runs comes, changes, goes back and is repaired without a restart of that.
func TestToolsBesideAKubelet(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	before := h.ours()
	h.must("kubeletctl", h.install("v1.37.1")...)
	h.running("v1.37.1")
	h.must("sh", "-c", "echo '# mine' >>/var/lib/kubelet/kubelet-config.yaml") // which a change of kubelet would have to overwrite
	pid := h.show("MainPID")
	kubeadm := func(want string) {
		t.Helper()
		contains(t, h.must("kubeadm", "version", "-o", "json"), `"gitVersion": "`+want+`"`)
		if now := h.show("MainPID"); now != pid {
			t.Errorf("kubelet was restarted: pid %s, then %s", pid, now)
		}
	}
	contains(t, h.must("kubeletctl", "install", "--with", "kubeadm"), `^added kubeadm v1\.37\.1 .*; kubelet v1\.37\.1 was left as it is`)
	kubeadm("v1.37.1")
	h.must("kubeletctl", "upgrade", "--version", "v1.37.2", "--only", "kubeadm")
	kubeadm("v1.37.2")
	h.must("kubeletctl", "rollback")
	kubeadm("v1.37.1")
	contains(t, h.must("cat", "/var/lib/kubelet/kubelet-config.yaml"), `# mine`)

	h.must("kubeletctl", "repair") // of the configuration
	pid = h.show("MainPID")
	h.must("rm", "/usr/local/bin/kubeadm-v1.37.1")
	if s := h.status(0); len(s.Drift) != 1 || s.State != "healthy" {
		t.Errorf("without kubeadm: %s, %v", s.State, s.Drift)
	}
	h.must("kubeletctl", "repair")
	kubeadm("v1.37.1")

	h.must("kubeletctl", "upgrade", "--version", "v1.37.2")
	h.running("v1.37.2")
	pid = h.show("MainPID")
	kubeadm("v1.37.2")
	h.must("kubeletctl", "uninstall", "--yes")
	if after := h.ours(); after != before {
		t.Errorf("the host is another one than before:\n%s", difference(before, after))
	}
}
