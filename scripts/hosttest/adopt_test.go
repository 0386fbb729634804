package hosttest

import (
	"slices"
	"strings"
	"testing"
)

// kubeadmPackages put a kubelet on a host as kubeadm's packages do: binary, unit, drop-in.
func (h *host) kubeadmPackages(version string) {
	h.t.Helper()
	h.must("sh", "-ec", `curl -sf -o /usr/bin/kubelet `+h.source+`/`+version+`/bin/linux/amd64/kubelet && chmod 755 /usr/bin/kubelet
		mkdir -p /usr/lib/systemd/system/kubelet.service.d`)
	h.write("/usr/lib/systemd/system/kubelet.service", `[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
`)
	h.write("/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf", `[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
`)
	h.write("/etc/default/kubelet", "KUBELET_EXTRA_ARGS=--node-labels=rack=r7\n")
	h.must("sh", "-ec", "systemctl daemon-reload && systemctl enable --now kubelet.service")
}

// packaged are the files of kubeadm's packages, of kubeadm without its backups, and of an administrator.
func (h *host) packaged() string {
	h.t.Helper()
	return h.must("sh", "-c", `find /usr/bin/kubelet /usr/lib/systemd/system/kubelet.service* /etc/default/kubelet /etc/kubernetes /var/lib/kubelet/kubeadm-flags.env \
		-path /etc/kubernetes/tmp -prune -o -printf '%p %y %m %l\n' -type f -exec sha256sum {} \; | sort`)
}

// losesFiles looks what is said of a node of kubeadm's without a file of kubeadm's, and of one that was put back from a backup.
func (h *host) losesFiles() {
	t := h.t
	t.Helper()
	for _, file := range []string{"/var/lib/kubelet/config.yaml", "/etc/kubernetes/kubelet.conf"} {
		h.must("sh", "-ec", "systemctl stop kubelet.service; mv "+file+" /root/lost")
		said := h.exits(3, "kubeletctl", "status").Stdout
		contains(t, said, `error cannot-start: `+file+` is missing: kubelet cannot be started`)
		if strings.Contains(said, "kubeadm init, or kubeadm join") {
			t.Errorf("kubeadm is to set up a node that it has set up: %s", said)
		}
		contains(t, h.exits(7, "kubeletctl", "repair").Stderr, file+` is missing: kubelet cannot be started`)
		h.exits(7, "kubeletctl", "restart")
		h.must("sh", "-ec", "mv /root/lost "+file+"; systemctl start kubelet.service")
		h.status(0)
	}
	h.must("sh", "-ec", "cp -p /var/lib/kubelet/config.yaml /root/; echo 'maxPods: 55' >>/var/lib/kubelet/config.yaml; systemctl restart kubelet; cp -p /root/config.yaml /var/lib/kubelet/")
	contains(t, h.exits(5, "kubeletctl", "diff").Stdout, `restart due: changed since the process was started: /var/lib/kubelet/config\.yaml`)
	h.must("kubeletctl", "restart")
	h.exits(0, "kubeletctl", "diff")
}

// configz is the configuration that a kubelet tells, as soon as it does.
func (h *host) configz(name string, args ...string) (answer string) {
	h.t.Helper()
	h.eventually("kubelet tells its configuration", func() bool {
		r := h.try(name, args...)
		answer = r.Stdout
		return r.ExitCode == 0
	})
	return answer
}

// A node of kubeadm's is taken over while it runs, stays kubeadm's, and is given back.
func TestAdoptKubeadm(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	h := start(t, dir)
	h.alone()
	h.prepareControlPlane("v1.37.2")
	h.kubeadmPackages("v1.36.3")
	h.kubeadm("init", "--config", "/root/kubeadm.yaml", "--skip-phases=addon")
	name := h.Name()
	configz := func() string { return h.configz("sh", h.adminCurl("/api/v1/nodes/"+name+"/proxy/configz")...) }
	h.seesReady(name, "v1.36.3")
	ours, packaged, before := h.ours(), h.packaged(), configz()

	install := append([]string{"install", "--version", "v1.36.3", "--profile", "kubeadm", "--source", h.source}, given(t, dir, "v1.36.3")...)
	contains(t, h.exits(7, "kubeletctl", install...).Stderr, `not overwritten without --yes: (/usr)?/lib/systemd/system/kubelet\.service: the kubelet that it runs would be replaced`)
	h.must("kubeletctl", append([]string{"install", "--adopt", "--yes", "--source", h.source}, given(t, dir, "v1.36.3")...)...)
	h.running("v1.36.3")
	h.seesReady(name, "v1.36.3")
	if after := configz(); after != before {
		t.Errorf("another configuration is in force:\n%s", difference(before, after))
	}
	if after := h.packaged(); after != packaged {
		t.Errorf("files of others have changed:\n%s", difference(packaged, after))
	}
	h.status(0)
	h.losesFiles()

	h.must("kubeletctl", append([]string{"upgrade", "--version", "v1.37.2"}, given(t, dir, "v1.37.2")...)...)
	h.running("v1.37.2")
	h.seesReady(name, "v1.37.2")
	h.upgradeNode()
	contains(t, h.exits(5, "kubeletctl", "diff").Stdout, `restart due.*/var/lib/kubelet/config\.yaml`)
	h.must("kubeletctl", "repair")
	h.seesReady(name, "v1.37.2")
	contains(t, h.asAdmin("/api/v1/nodes/"+name), `"pods": ?"33"`)

	h.must("kubeletctl", "uninstall", "--yes")
	if after := h.ours(); after != ours {
		t.Errorf("the host is another one than before:\n%s", difference(ours, after))
	}
	if after := h.packaged(); after != packaged {
		t.Errorf("files of others have changed:\n%s", difference(packaged, after))
	}
	h.seesReady(name, "v1.36.3")
}

// Kubelet itself says that nothing is another than before when it is taken over, with a configuration file and without one.
func TestAdoptionChangesNothing(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	for _, tt := range []struct{ name, flags, config string }{
		{name: "flags alone", flags: "--fail-cgroupv1=false --fail-swap-on=false --cgroup-driver=systemd --max-pods=33"},
		{name: "configuration file", flags: "--config=/etc/kubelet.yaml --v=4", config: `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: systemd
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, dir)
			h.write("/etc/kubelet.yaml", tt.config)
			h.write("/etc/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet "+tt.flags+"\nRestart=always\n[Install]\nWantedBy=multi-user.target\n")
			h.must("sh", "-ec", `curl -sf -o /usr/bin/kubelet `+h.source+`/v1.36.3/bin/linux/amd64/kubelet && chmod 755 /usr/bin/kubelet
				systemctl daemon-reload && systemctl enable --now kubelet.service`)
			configz := func() string { return h.configz("curl", "-skf", "--max-time", "5", "https://127.0.0.1:10250/configz") }
			before := configz()
			adopt := append([]string{"install", "--adopt", "--yes", "--source", h.source}, given(t, dir, "v1.36.3")...)
			h.must("kubeletctl", adopt...)
			h.running("v1.36.3")
			if after := configz(); after != before {
				t.Errorf("another configuration is in force:\n%s\n%s", before, after)
			}
			h.must("kubeletctl", "uninstall", "--yes")
			// What is asked for is another thing.
			h.exits(0, "kubeletctl", append(slices.Clone(adopt), "--set", "maxPods=34")...)
			if after := configz(); after == before {
				t.Errorf("maxPods=34 is not in force: %s", after)
			}
		})
	}
}
