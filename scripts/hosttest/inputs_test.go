package hosttest

import "testing"

// What kubelet reads beside its own file, and only when it starts, makes a restart due when it changes.
func TestRestartDue(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("sh", "-c", "mkdir -p /etc/kubelet.d/more /opt/providers && echo 'kind: CredentialProviderConfig' >/etc/providers.yaml && "+
		"echo 'maxPods: 60' >/etc/kubelet.d/10-pods.conf && echo 'maxPods: 70' >/etc/kubelet.d/more/20-pods.conf")
	h.must("kubeletctl", h.install("v1.37.2", "--kubelet-flag", "config-dir=/etc/kubelet.d",
		"--kubelet-flag", "image-credential-provider-config=/etc/providers.yaml", "--kubelet-flag", "image-credential-provider-bin-dir=/opt/providers")...)
	for name, do := range map[string]string{
		"/etc/kubelet.d/10-pods.conf":      "echo 'maxPods: 61' >/etc/kubelet.d/10-pods.conf",
		"/etc/kubelet.d/more/20-pods.conf": "echo 'maxPods: 71' >/etc/kubelet.d/more/20-pods.conf",
		"/etc/kubelet.d/more":              "rm /etc/kubelet.d/more/20-pods.conf",
		"/etc/providers.yaml":              "touch /etc/providers.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			h := h.in(t)
			h.must("sh", "-c", "test -e /etc/kubelet.d/more/20-pods.conf || echo >/etc/kubelet.d/more/20-pods.conf")
			h.must("kubeletctl", "repair")
			h.must("kubeletctl", "diff")
			pid := h.show("MainPID")
			h.must("sh", "-c", do)
			contains(t, h.exits(5, "kubeletctl", "diff").Stdout, "(?m)^kubelet.service: restart due: changed since the process was started: "+name+"$")
			h.must("kubeletctl", "repair")
			h.must("kubeletctl", "diff")
			if h.show("MainPID") == pid {
				t.Error("kubelet was not restarted")
			}
		})
	}

	// The first drop-in of the unit, which systemd does not notice by itself.
	h.must("sh", "-c", `mkdir /etc/systemd/system/kubelet.service.d && printf '[Service]\nEnvironment=NEW=1\n' >/etc/systemd/system/kubelet.service.d/30-new.conf`)
	contains(t, h.exits(5, "kubeletctl", "diff").Stdout, "(?m)restart due: .*/30-new.conf$")
	h.must("kubeletctl", "repair")
	h.must("sh", "-c", "tr '\\0' '\\n' </proc/"+h.show("MainPID")+"/environ | grep -x NEW=1")
	h.must("kubeletctl", "diff")

	// Without a container runtime a kubelet that runs is not taken down.
	pid := h.show("MainPID")
	h.must("systemctl", "stop", "containerd.service")
	contains(t, h.exits(7, "kubeletctl", "restart").Stderr, "(?m)^kubeletctl: error: runtime: ")
	if h.show("MainPID") != pid {
		t.Error("kubelet was restarted without a container runtime")
	}
}
