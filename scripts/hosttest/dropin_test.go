package hosttest

import (
	"strings"
	"testing"
)

const (
	packageDropIn = "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
	packageMask   = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"
	localDropIn   = "/etc/systemd/system/kubelet.service.d/50-local.conf"
)

// command is a drop-in that replaces kubelet's command line, so that the package's kubelet runs with our configuration.
const command = `[Service]\nExecStart=\nExecStart=/usr/bin/kubelet --config=/var/lib/kubelet/kubelet-config.yaml\n`

// putDropIn writes a drop-in, and a /usr/bin/kubelet for it.
func (h *host) putDropIn(file, text string) {
	h.t.Helper()
	h.must("sh", "-ec", `mkdir -p "$(dirname "$1")"; printf "$2" >"$1"; install -m 755 /release/v1.37.1/bin/linux/amd64/kubelet /usr/bin/kubelet; systemctl daemon-reload`,
		"sh", file, text)
}

// refusesDropIn runs a command that has to end with 7, because of a drop-in, before anything was changed.
func (h *host) refusesDropIn(file string, args ...string) {
	h.t.Helper()
	before, pid := h.ours(), h.show("MainPID")
	contains(h.t, h.exits(7, "kubeletctl", args...).Stderr, "(?m)^kubeletctl: error: .*"+file+": it sets ExecStart=")
	if after := h.ours(); after != before {
		h.t.Errorf("files changed:\n%s", difference(before, after))
	}
	if now := h.show("MainPID"); now != pid {
		h.t.Errorf("kubelet was restarted: pid %s, then %s", pid, now)
	}
}

// masked asserts that a drop-in is masked.
func (h *host) masked(file string) {
	h.t.Helper()
	if target := strings.TrimSpace(h.must("readlink", file)); target != "/dev/null" {
		h.t.Errorf("%s leads to %s", file, target)
	}
}

// The drop-in of the kubeadm package starts the package's kubelet, whatever unit is beside it. An install says so before it
// touches anything, and masks it only when it is told to.
func TestForeignDropIn(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.putDropIn(packageDropIn, command)
	before := h.ours()
	h.refusesDropIn(packageDropIn, h.install("v1.37.2")...)
	if h.try("test", "-e", "/var/lib/kubelet/kubelet-config.yaml").ExitCode == 0 {
		t.Error("it left a configuration")
	}
	contains(t, h.must("kubeletctl", h.install("v1.37.2", "--force")...), "kubelet v1.37.2 .* is healthy")
	h.running("v1.37.2")
	h.masked(packageMask)
	h.status(0)
	contains(t, h.must("kubeletctl", h.install("v1.37.2")...), "nothing to do")
	contains(t, h.must("kubeletctl", "upgrade", "--version", "v1.37.2", "--set", "maxPods=50"), "is healthy")
	h.running("v1.37.2")
	h.must("kubeletctl", "uninstall")
	if after := h.ours(); after != before {
		t.Errorf("before the install:\n%s\nafter the uninstall:\n%s", before, after)
	}
	contains(t, h.must("cat", packageDropIn), "/usr/bin/kubelet")
}

// With the package's unit as well, and its kubelet running, that is taken over, and runs again after an uninstall.
func TestForeignDropInIsAdopted(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	theirs := strings.ReplaceAll(command, "kubelet-config.yaml", "config.yaml")
	h.putDropIn(packageDropIn, theirs)
	h.must("sh", "-ec", `printf '[Service]\nExecStart=/usr/bin/kubelet\n[Install]\nWantedBy=multi-user.target\n' >/usr/lib/systemd/system/kubelet.service
		mkdir -p /var/lib/kubelet
		printf 'apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfailCgroupV1: false\nmaxPods: 33\n' >/var/lib/kubelet/config.yaml
		systemctl daemon-reload; systemctl enable --now kubelet.service`)
	runsTheirs := func() bool {
		return strings.TrimSpace(h.try("readlink", "/proc/"+h.show("MainPID")+"/exe").Stdout) == "/usr/bin/kubelet"
	}
	h.eventually("the package's kubelet runs", runsTheirs)
	before := h.ours()
	h.refusesDropIn(packageDropIn, h.install("v1.37.2")...)
	adopt := []string{"install", "--adopt", "--version", "v1.37.2", "--source", h.source}
	h.refusesDropIn(packageDropIn, adopt...)
	contains(t, h.must("kubeletctl", append(adopt, "--yes")...), "kubelet v1.37.2 .* is healthy")
	h.running("v1.37.2")
	h.masked(packageMask)
	contains(t, h.must("cat", "/var/lib/kubelet/kubelet-config.yaml"), "(?m)^maxPods: 33$")
	h.must("kubeletctl", "uninstall")
	if after := h.ours(); after != before {
		t.Errorf("before the install:\n%s\nafter the uninstall:\n%s", before, after)
	}
	h.eventually("the package's kubelet runs again", runsTheirs)
}

// A drop-in that appears later and takes the command line away is named by everything, and mended by nothing that was not
// told to.
func TestForeignDropInAppears(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.1")...)
	h.putDropIn(localDropIn, command)
	h.must("systemctl", "restart", "kubelet.service")

	s := h.status(3)
	if s.State == "healthy" {
		t.Errorf("status: %+v", s)
	}
	contains(t, h.exits(3, "kubeletctl", "status").Stdout, localDropIn)
	contains(t, h.exits(5, "kubeletctl", "diff").Stdout, "(?m)^"+localDropIn+": a drop-in that sets kubelet's command line")

	h.must("sh", "-c", "echo '# mine' >>/var/lib/kubelet/kubelet-config.yaml; systemctl disable kubelet.service")
	r := h.exits(1, "kubeletctl", "repair")
	contains(t, r.Stderr, "(?m)^kubeletctl: error: "+localDropIn+" sets kubelet's command line")
	contains(t, r.Stderr, "(?m)^kubeletctl: hint: remove the drop-in")
	if drift := h.status(3).Drift; len(drift) != 1 || drift[0].Target != localDropIn {
		t.Errorf("after the repair: %+v", drift)
	}
	if text := h.must("cat", "/var/lib/kubelet/kubelet-config.yaml"); strings.Contains(text, "# mine") || h.show("UnitFileState") != "enabled" {
		t.Errorf("not repaired; kubelet.service is %s\n%s", h.show("UnitFileState"), text)
	}
	contains(t, h.must("cat", localDropIn), "/usr/bin/kubelet")
	pid := h.show("MainPID")
	h.exits(1, "kubeletctl", "repair")
	if now := h.show("MainPID"); now != pid {
		t.Errorf("a second repair restarted a kubelet that it cannot put right: pid %s, then %s", pid, now)
	}

	h.refusesDropIn(localDropIn, "upgrade", "--version", "v1.37.2")
	h.refusesDropIn(localDropIn, h.install("v1.37.1")...)
	h.must("kubeletctl", "upgrade", "--version", "v1.37.2", "--force")
	h.running("v1.37.2")
	h.masked(localDropIn)
	h.must("kubeletctl", "uninstall")
	contains(t, h.must("cat", localDropIn), "/usr/bin/kubelet")
}

// One that appears after the plan was made, while the kubelet is fetched, is a conflict all the same, and one that nobody has
// consented to.
func TestDropInDuringTheDownload(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.1")...)
	for _, flags := range [][]string{nil, {"--force"}} {
		t.Run(strings.Join(append([]string{"upgrade"}, flags...), " "), func(t *testing.T) {
			h := h.in(t)
			h.must("rm", "-rf", "/etc/systemd/system/kubelet.service.d")
			h.must("sh", "-c", "systemctl daemon-reload; rm -f /usr/local/bin/.part-*")
			m := h.slowMirror()
			upgrade := h.begin("kubeletctl", append([]string{"upgrade", "--version", "v1.37.2", "--source", m.source}, flags...)...)
			m.await()
			h.putDropIn(localDropIn, command)
			before, pid := h.kept(), h.show("MainPID")
			m.end()
			r := upgrade.exits(7)
			contains(t, r.Stderr, "(?m)^kubeletctl: error: this host was changed by somebody else meanwhile: "+localDropIn+": it sets ExecStart=")
			if after := h.kept(); after != before {
				t.Errorf("files changed:\n%s", difference(before, after))
			}
			if now := h.show("MainPID"); now != pid {
				t.Errorf("kubelet was restarted: pid %s, then %s", pid, now)
			}
		})
	}
}
