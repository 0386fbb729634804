package hosttest

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// kubeadmConfig is for a control plane of which etcd runs on the host itself.
const kubeadmConfig = `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: ` + kubeadmAddress + `}
bootstrapTokens: [{token: ` + kubeadmToken + `}]
nodeRegistration: {criSocket: "unix:///run/containerd/containerd.sock", imagePullPolicy: Never}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: VERSION
etcd: {external: {endpoints: ["http://127.0.0.1:2379"]}}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: systemd
`

const (
	kubeadmAddress = "192.0.2.1"
	kubeadmToken   = "abcdef.0123456789abcdef"
	adminConf      = "/etc/kubernetes/admin.conf"
)

// controlPlanePrograms are those that run as static pods.
var controlPlanePrograms = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"}

// prepareKubeadm puts kubeadm on a host, and what kubeadm init needs.
func (h *host) prepareKubeadm(version string) {
	h.t.Helper()
	programs := filepath.Join(h.dir, version, "bin", "linux", runtime.GOARCH)
	if err := h.Copy(filepath.Join(programs, "kubeadm"), "/usr/local/bin/kubeadm", 0o755); err != nil {
		h.t.Fatal(err)
	}
	h.preparePods() // the sandbox image, and a network for pods
	for _, program := range controlPlanePrograms {
		archive := filepath.Join(h.t.TempDir(), "image.tar")
		run := map[string]any{"Env": []string{"PATH=/:/usr/local/bin:/usr/bin:/bin"}}
		if err := writeImageOf(archive, filepath.Join(programs, program), run, "registry.k8s.io/"+program+":"+version); err != nil {
			h.t.Fatal(err)
		}
		if err := h.Copy(archive, "/root/image.tar", 0o644); err != nil {
			h.t.Fatal(err)
		}
		h.must("ctr", "-n", "k8s.io", "images", "import", "/root/image.tar")
		h.must("rm", "/root/image.tar")
	}
	h.write("/root/kubeadm.yaml", strings.ReplaceAll(kubeadmConfig, "VERSION", version))
	h.must("sh", "-ec", `ip link add cluster0 type veth peer name cluster1; ip addr add `+kubeadmAddress+`/24 dev cluster0
		ip link set cluster0 up; ip link set cluster1 up; ip route replace default dev cluster0`)
	h.must("systemd-run", "--quiet", "--unit=etcd-test", "etcd", "--data-dir=/run/etcd-test", "--listen-peer-urls=http://127.0.0.1:2380", "--logger=zap")
}

// kubeadm runs kubeadm with what a host of the tests cannot have ignored.
func (h *host) kubeadm(args ...string) string {
	h.t.Helper()
	return h.must("kubeadm", append(args, "--ignore-preflight-errors=all")...)
}

// nodeReady is the release that the API server knows of a node, and whether it is Ready.
func (h *host) nodeReady(name string) (version string, ready bool) {
	h.t.Helper()
	var object struct {
		Status struct {
			NodeInfo   struct{ KubeletVersion string }
			Conditions []struct{ Type, Status string }
		}
	}
	r := h.try("sh", "-ec", `key() { grep "$1-data" `+adminConf+` | sed 's/.*: //' | base64 -d >/run/$1.pem; }
		key client-certificate; key client-key
		exec curl -sf --max-time 5 --cacert /etc/kubernetes/pki/ca.crt --cert /run/client-certificate.pem --key /run/client-key.pem "https://`+kubeadmAddress+`:6443/api/v1/nodes/$1"`,
		"sh", name)
	if r.ExitCode != 0 {
		return "", false
	}
	if err := json.Unmarshal([]byte(r.Stdout), &object); err != nil {
		h.t.Fatal(err)
	}
	for _, c := range object.Status.Conditions {
		ready = ready || c.Type == "Ready" && c.Status == "True"
	}
	return object.Status.NodeInfo.KubeletVersion, ready
}

// A kubelet that was installed for kubeadm waits for it, runs with what it writes, and is gone with what uninstall takes.
func TestKubeadm(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	h := start(t, dir)
	h.prepareKubeadm("v1.37.2")
	before := h.ours()

	install := append([]string{"install", "--version", "v1.37.2", "--source", h.source, "--profile", "kubeadm"}, given(t, dir, "v1.37.2")...)
	contains(t, h.must("kubeletctl", install...), `waiting for kubeadm`)
	r := h.exits(3, "kubeletctl", "status")
	contains(t, r.Stdout, `waiting-for-kubeadm`)
	contains(t, r.Stdout, `/var/lib/kubelet/config.yaml`)
	if state := h.show("ActiveState"); state != "inactive" {
		t.Errorf("kubelet is %s before kubeadm init", state)
	}
	r = h.try("kubeadm", "init", "phase", "preflight", "--config", "/root/kubeadm.yaml")
	if complaints := regexp.MustCompile(`(?i)\[(?:WARNING|ERROR) (?:.*kubelet|Port-10250|Port-10248)[^\]]*\].*`).FindAllString(r.Stderr, -1); complaints != nil {
		t.Errorf("kubeadm's preflight says of kubelet: %q", complaints)
	}

	h.kubeadm("init", "--config", "/root/kubeadm.yaml", "--skip-phases=addon")
	name := h.Name()
	h.eventually("the node is Ready", func() bool {
		version, ready := h.nodeReady(name)
		return version == "v1.37.2" && ready
	})
	h.running("v1.37.2")
	h.status(0)
	contains(t, h.must("kubeletctl", install...), `nothing to do`)
	h.exits(0, "kubeletctl", "diff")

	h.kubeadmReset()
	contains(t, h.exits(3, "kubeletctl", "status").Stdout, `waiting-for-kubeadm`)
	h.must("kubeletctl", "uninstall")
	if after := h.ours(); after != before {
		t.Errorf("the host is another one than before:\n%s", difference(before, after))
	}
}

func (h *host) kubeadmReset() {
	h.t.Helper()
	h.must("kubeadm", "reset", "--force", "--cri-socket=unix:///run/containerd/containerd.sock")
}
