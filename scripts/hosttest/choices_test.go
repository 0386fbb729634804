package hosttest

import (
	"strings"
	"testing"
)

// Defaults that depend on the host are chosen once, for a new installation, told and recorded; they change only on demand.
func TestDefaultsOfTheHost(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("sh", "-c", "mkdir -p /run/crio /run/systemd/resolve /usr/libexec && touch /run/systemd/resolve/resolv.conf && "+
		"mount --bind /usr/libexec /usr/libexec && mount -o remount,ro,bind /usr/libexec")
	h.must("systemd-run", "--unit", "systemd-resolved.service", "sleep", "infinity")
	h.must("systemd-run", "--unit", "second-runtime", "socat", "UNIX-LISTEN:/run/crio/crio.sock,fork", "UNIX-CONNECT:/run/containerd/containerd.sock")
	h.eventually("two runtimes answer", func() bool { return h.try("test", "-S", "/run/crio/crio.sock").ExitCode == 0 })
	before := h.ours()
	contains(t, h.exits(7, "kubeletctl", h.install("v1.37.1")...).Stderr,
		"(?m)^kubeletctl: error: runtime: several container runtimes answer: unix:///var/run/containerd/containerd.sock, unix:///var/run/crio/crio.sock$")
	if after := h.ours(); after != before {
		t.Errorf("a refused install left:\n%s", after)
	}

	h.must("systemctl", "stop", "second-runtime")
	h.must("mv", "-f", "/run/containerd/containerd.sock", "/run/crio/crio.sock") // it goes on listening
	install := h.install("v1.37.1")
	dry := h.must("kubeletctl", append(install, "--dry-run")...)
	contains(t, dry, `(?m)^Changed defaults:$`)
	contains(t, dry, `(?m)^  container-runtime-endpoint +.* -> unix:///var/run/crio/crio.sock `)
	contains(t, dry, `(?m)^  resolvConf +/etc/resolv.conf -> /run/systemd/resolve/resolv.conf `)
	contains(t, dry, `(?m)^  volumePluginDir .* -> /var/lib/kubelet/volumeplugins `)
	h.must("kubeletctl", install...)
	h.running("v1.37.1")
	if mode := strings.TrimSpace(h.must("stat", "-c", "%a", "/etc/systemd/system/kubelet.service")); mode != "600" {
		t.Errorf("the unit has the mode %s", mode)
	}
	config := h.must("cat", "/var/lib/kubelet/kubelet-config.yaml")
	contains(t, config, `(?m)^resolvConf: /run/systemd/resolve/resolv.conf$`)
	contains(t, config, `(?m)^volumePluginDir: /var/lib/kubelet/volumeplugins$`)
	contains(t, h.must("kubeletctl", "config", "show", "-o", "json"), `"kubeletConfiguration.resolvConf": "host"`)

	// The host changes; the kubelet does not.
	h.must("systemctl", "stop", "systemd-resolved.service")
	pid := h.show("MainPID")
	again := h.exits(0, "kubeletctl", install...)
	contains(t, again.Stdout, "nothing to do")
	contains(t, again.Stderr, `(?m)^kubeletctl: kept: resolvConf \(host\)$`)
	if now := h.show("MainPID"); now != pid {
		t.Errorf("kubelet was restarted: pid %s, then %s", pid, now)
	}
	h.must("kubeletctl", "set", "--refresh-defaults")
	if config := h.must("cat", "/var/lib/kubelet/kubelet-config.yaml"); strings.Contains(config, "resolvConf") {
		t.Errorf("a default that was taken anew is still there:\n%s", config)
	}
	contains(t, h.must("kubeletctl", "config", "show"), "volumePluginDir: /var/lib/kubelet/volumeplugins")
}
