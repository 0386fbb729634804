package hosttest

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
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

// upgradeConfig takes the images that are there, since no registry can be asked, and does without the job of the preflight, which
// does not end here.
const upgradeConfig = `apiVersion: kubeadm.k8s.io/v1beta4
kind: UpgradeConfiguration
apply: {kubernetesVersion: v1.37.2, forceUpgrade: true, imagePullPolicy: Never, skipPhases: [preflight, addon]}
`

const (
	kubeadmAddress = "192.0.2.1"
	kubeadmToken   = "abcdef.0123456789abcdef"
	adminConf      = "/etc/kubernetes/admin.conf"
)

// controlPlanePrograms are those that run as static pods.
var controlPlanePrograms = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"}

// prepareNode puts kubeadm on a host, and what pods need: the sandbox image, and a network.
func (h *host) prepareNode(version string) {
	h.t.Helper()
	h.putKubeadm(version)
	h.preparePods()
}

func (h *host) putKubeadm(version string) {
	h.t.Helper()
	if err := h.Copy(filepath.Join(h.programs(version), "kubeadm"), "/usr/local/bin/kubeadm", 0o755); err != nil {
		h.t.Fatal(err)
	}
}

// prepareControlPlane puts on a host what kubeadm init needs.
func (h *host) prepareControlPlane(version string) {
	h.t.Helper()
	h.prepareNode(version)
	h.importImages(version)
	h.write("/root/kubeadm.yaml", strings.ReplaceAll(kubeadmConfig, "VERSION", version))
	h.must("systemd-run", "--quiet", "--unit=etcd-test", "etcd", "--data-dir=/run/etcd-test", "--listen-peer-urls=http://127.0.0.1:2380", "--logger=zap")
}

// importImages puts the images of a control plane into the container runtime.
func (h *host) importImages(version string) {
	h.t.Helper()
	for _, program := range controlPlanePrograms {
		archive := filepath.Join(h.t.TempDir(), "image.tar")
		run := map[string]any{"Env": []string{"PATH=/:/usr/local/bin:/usr/bin:/bin"}}
		if err := writeImageOf(archive, filepath.Join(h.programs(version), program), run, "registry.k8s.io/"+program+":"+version); err != nil {
			h.t.Fatal(err)
		}
		if err := h.Copy(archive, "/root/image.tar", 0o644); err != nil {
			h.t.Fatal(err)
		}
		h.must("ctr", "-n", "k8s.io", "images", "import", "/root/image.tar")
		h.must("rm", "/root/image.tar")
	}
}

// programs are those of a release that were built for the tests.
func (h *host) programs(version string) string {
	return filepath.Join(h.dir, version, "bin", "linux", runtime.GOARCH)
}

// alone makes a host a cluster by itself.
func (h *host) alone() {
	h.t.Helper()
	h.must("ip", "link", "add", "cluster0", "type", "veth", "peer", "name", "cluster1")
	h.must("ip", "link", "set", "cluster1", "up")
	h.address(kubeadmAddress)
}

// address gives a host its address in the network of the cluster.
func (h *host) address(address string) {
	h.t.Helper()
	h.must("sh", "-ec", `ip addr add `+address+`/24 dev cluster0; ip link set cluster0 up; ip route replace default dev cluster0`)
}

// connect makes a network of two hosts.
func connect(t *testing.T, x, y *host) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ip", "link", "add", "cluster0", "netns", strconv.Itoa(x.PID()), "type", "veth",
		"peer", "name", "cluster0", "netns", strconv.Itoa(y.PID())).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// startPair makes a host for a control plane and another one, in one network.
func startPair(t *testing.T, dir string) (plane, h *host) {
	t.Helper()
	plane, h = start(t, dir), start(t, dir)
	connect(t, plane, h)
	plane.address(kubeadmAddress)
	h.address("192.0.2.2")
	plane.prepareControlPlane("v1.37.2")
	return plane, h
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
	r := h.try("sh", h.adminCurl("/api/v1/nodes/"+name)...)
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

// seesReady waits until the API server of a host has a node Ready, with a kubelet of that release.
func (h *host) seesReady(name, version string) {
	h.t.Helper()
	h.within(time.Minute, name+" is Ready with "+version, func() bool {
		got, ready := h.nodeReady(name)
		return got == version && ready
	})
}

// A kubelet that was installed for kubeadm waits for it, runs with what it writes, and is gone with what uninstall takes.
func TestKubeadm(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	h := start(t, dir)
	h.alone()
	h.prepareControlPlane("v1.37.2")
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
	if complaints := regexp.MustCompile(`(?i)\[(WARNING|ERROR) [^\]\n]*(kubelet|Port-1025|Port-1024)[^\]\n]*\].*`).FindAllString(r.Stderr, -1); complaints != nil {
		t.Errorf("kubeadm's preflight says of kubelet: %q", complaints)
	}

	h.kubeadm("init", "--config", "/root/kubeadm.yaml", "--skip-phases=addon")
	name := h.Name()
	h.seesReady(name, "v1.37.2")
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

// The kubelet of a node that kubeadm has set up goes to another release and back, with what kubeadm says by then.
func TestKubeadmUpgrade(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	h := start(t, dir)
	h.alone()
	h.prepareControlPlane("v1.37.2")
	install := append([]string{"install", "--version", "v1.36.3", "--source", h.source, "--profile", "kubeadm"}, given(t, dir, "v1.36.3")...)
	h.must("kubeletctl", install...)
	h.kubeadm("init", "--config", "/root/kubeadm.yaml", "--skip-phases=addon")
	name := h.Name()
	ready := func(version string) {
		t.Helper()
		h.running(version)
		h.seesReady(name, version)
		h.status(0)
	}
	ready("v1.36.3")

	// What kubelet would die of is found before anything is touched, with the file that says it.
	const config = "/var/lib/kubelet/config.yaml"
	h.must("cp", "-p", config, "/root/config.yaml")
	h.must("sh", "-c", "printf 'featureGates: {NoSuchGate: true}\n' >>"+config)
	upgrade := append([]string{"upgrade", "--version", "v1.37.2"}, given(t, dir, "v1.37.2")...)
	pid := h.show("MainPID")
	contains(t, h.exits(7, "kubeletctl", upgrade...).Stderr, `error: kubeadm-config: kubelet v1\.37\.2 would not start: `+config+`:\d+:\d+: featureGates\.NoSuchGate: `)
	ignoring := append(slices.Clone(upgrade), "--ignore-preflight", "kubeadm-config")
	contains(t, h.exits(7, "kubeletctl", ignoring...).Stderr, `unrecognized feature gate: NoSuchGate.*\(`+config+`:\d+: featureGates`)
	h.must("cp", "-p", "/root/config.yaml", config)
	h.must("sh", "-c", `echo 'KUBELET_EXTRA_ARGS="--container-runtime=remote"' >/etc/default/kubelet`)
	contains(t, h.exits(7, "kubeletctl", upgrade...).Stderr, `/etc/default/kubelet:1:\d+: --container-runtime: removed in 1\.27`)
	h.must("rm", "/etc/default/kubelet")
	if now := h.show("MainPID"); now != pid {
		t.Errorf("kubelet was restarted: pid %s, then %s", pid, now)
	}

	h.must("kubeletctl", upgrade...)
	ready("v1.37.2")
	// Nothing of a change is written to what is kubeadm's.
	h.must("sh", "-ec", "mount --bind /etc/kubernetes /etc/kubernetes; mount -o remount,bind,ro /etc/kubernetes")
	h.must("kubeletctl", "rollback")
	ready("v1.36.3")
	h.must("umount", "--lazy", "/etc/kubernetes")
	h.must("kubeletctl", append(upgrade, "--retry")...)
	ready("v1.37.2")

	// kubeadm upgrade node writes the configuration, and a restart is due then.
	h.upgradeNode()
	contains(t, h.must("cat", config), `(?m)^maxPods: 33$`)
	contains(t, h.exits(5, "kubeletctl", "diff").Stdout, `restart due.*`+config)
	contains(t, h.must("kubeletctl", "status"), `restart due`)
	h.must("kubeletctl", "repair")
	ready("v1.37.2")
	h.exits(0, "kubeletctl", "diff")
	contains(t, h.asAdmin("/api/v1/nodes/"+name), `"pods": ?"33"`)

	// A kubelet that takes another name is healthy, and its node is not Ready: back.
	h.must("sh", "-c", `echo 'KUBELET_EXTRA_ARGS="--hostname-override=stranger"' >/etc/default/kubelet`)
	contains(t, h.exits(8, "kubeletctl", append(slices.Clone(install), "--wait", "12s", "--node-ip", kubeadmAddress)...).Stderr, `did not hear from the node `+name)
	h.must("rm", "/etc/default/kubelet")
	h.must("kubeletctl", "repair")
	ready("v1.37.2")
}

// A second host joins, goes to another release and back, and leaves.
func TestKubeadmJoin(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	plane, h := startPair(t, dir)
	h.prepareNode("v1.37.2")
	before := h.ours()
	install := func(h *host, version string) {
		t.Helper()
		h.must("kubeletctl", append([]string{"install", "--version", version, "--source", h.source, "--profile", "kubeadm"}, given(t, dir, version)...)...)
	}
	install(plane, "v1.37.2")
	plane.kubeadm("init", "--config", "/root/kubeadm.yaml", "--skip-phases=addon")
	install(h, "v1.36.3")
	contains(t, h.exits(3, "kubeletctl", "status").Stdout, `kubeadm join`)
	h.kubeadm("join", kubeadmAddress+":6443", "--token", kubeadmToken, "--discovery-token-unsafe-skip-ca-verification", "--cri-socket", "unix:///run/containerd/containerd.sock")
	plane.seesReady(plane.Name(), "v1.37.2")
	plane.seesReady(h.Name(), "v1.36.3")
	plane.status(0)
	h.status(0)

	upgrade := append([]string{"upgrade", "--version", "v1.37.2"}, given(t, dir, "v1.37.2")...)
	h.must("kubeletctl", upgrade...)
	plane.seesReady(h.Name(), "v1.37.2")
	h.must("kubeletctl", "rollback")
	plane.seesReady(h.Name(), "v1.36.3")
	h.must("sh", "-c", `echo 'KUBELET_EXTRA_ARGS="--hostname-override=stranger"' >/etc/default/kubelet`)
	h.exits(8, "kubeletctl", append(upgrade, "--retry", "--wait", "12s")...)
	h.must("rm", "/etc/default/kubelet")
	h.must("kubeletctl", "repair")
	h.running("v1.36.3")
	plane.seesReady(h.Name(), "v1.36.3")

	h.kubeadmReset()
	contains(t, h.exits(3, "kubeletctl", "status").Stdout, `waiting-for-kubeadm`)
	h.must("kubeletctl", "uninstall")
	if after := h.ours(); after != before {
		t.Errorf("the host is another one than before:\n%s", difference(before, after))
	}
	plane.status(0)
}

// A whole cluster goes to another minor release as kubeadm's documentation has it: the control plane first, then kubelet, which
// kubeletctl holds against the API server.
func TestKubeadmCluster(t *testing.T) {
	if !fullSweep() {
		t.Skip("scripts/sweep kubeadm runs this: it needs a second control plane")
	}
	dir := realDir(t)
	h := start(t, dir)
	h.alone()
	h.prepareControlPlane("v1.36.3")
	h.must("kubeletctl", append([]string{"install", "--version", "v1.36.3", "--source", h.source, "--profile", "kubeadm"}, given(t, dir, "v1.36.3")...)...)
	h.kubeadm("init", "--config", "/root/kubeadm.yaml", "--skip-phases=addon")
	name := h.Name()
	ready := func(version string) {
		t.Helper()
		h.seesReady(name, version)
		h.running(version)
	}
	ready("v1.36.3")

	upgrade := append([]string{"upgrade", "--version", "v1.37.2"}, given(t, dir, "v1.37.2")...)
	pid := h.show("MainPID")
	r := h.exits(7, "kubeletctl", upgrade...)
	contains(t, r.Stderr, `skew: kubelet v1\.37\.2 is newer than the kube-apiserver of this node, which is v1\.36\.3`)
	contains(t, r.Stderr, `kubeadm upgrade apply`)
	if now := h.show("MainPID"); now != pid {
		t.Errorf("kubelet was restarted: pid %s, then %s", pid, now)
	}

	h.importImages("v1.37.2")
	h.putKubeadm("v1.37.2")
	h.write("/root/upgrade.yaml", upgradeConfig)
	h.kubeadm("upgrade", "apply", "--config", "/root/upgrade.yaml")
	ready("v1.36.3")
	h.must("kubeletctl", upgrade...)
	ready("v1.37.2")
	h.status(0)
	h.must("kubeletctl", "rollback")
	ready("v1.36.3")
	h.kubeadmReset()
	h.must("kubeletctl", "uninstall")
}

// adminCurl are the arguments of a shell that asks the API server, as an administrator.
func (h *host) adminCurl(path string, args ...string) []string {
	return append([]string{"-ec", `key() { grep "$1-data" ` + adminConf + ` | sed 's/.*: //' | base64 -d >/run/$1.pem.$$; mv /run/$1.pem.$$ /run/$1.pem; }
		key client-certificate; key client-key; path=$1; shift
		exec curl -sSf --max-time 5 --cacert /etc/kubernetes/pki/ca.crt --cert /run/client-certificate.pem --key /run/client-key.pem "$@" "https://` + kubeadmAddress + `:6443$path"`,
		"sh", path}, args...)
}

// asAdmin asks the API server, as an administrator.
func (h *host) asAdmin(path string, args ...string) string {
	h.t.Helper()
	return h.must("sh", h.adminCurl(path, args...)...)
}

// upgradeNode sets maxPods to 33 in the kubelet configuration of the cluster, and has kubeadm write it to this node.
func (h *host) upgradeNode() {
	h.t.Helper()
	const script = `s/^    maxPods: .*//; s/^    kind: KubeletConfiguration/    maxPods: 33\n    kind: KubeletConfiguration/`
	const configMap = "/api/v1/namespaces/kube-system/configmaps/kubelet-config"
	h.write("/root/configmap.yaml", h.asAdmin(configMap, "-H", "Accept: application/yaml"))
	h.must("sed", "-i", script, "/root/configmap.yaml")
	h.asAdmin(configMap, "-o", "/dev/null", "-X", "PUT", "-H", "Content-Type: application/yaml", "--data-binary", "@/root/configmap.yaml")
	h.must("kubeadm", "upgrade", "node", "phase", "kubelet-config")
}

func (h *host) kubeadmReset() {
	h.t.Helper()
	h.must("kubeadm", "reset", "--force", "--cri-socket=unix:///run/containerd/containerd.sock")
}
