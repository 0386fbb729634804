package hosttest

import (
	"encoding/json"
	"path"
	"runtime"
	"testing"

	"github.com/kubeletctl/kubeletctl/scripts/controlplane"
)

const controlPlane = "/root/controlplane"

// startControlPlane starts one on the host itself, from the release tree.
func (h *host) startControlPlane() {
	h.t.Helper()
	dir := h.t.TempDir()
	names, err := controlplane.Write(dir)
	if err != nil {
		h.t.Fatal(err)
	}
	h.must("mkdir", "-p", controlPlane)
	for _, name := range names {
		if err := h.Copy(path.Join(dir, name), path.Join(controlPlane, name), 0o700); err != nil {
			h.t.Fatal(err)
		}
	}
	h.must(controlPlane+"/start", controlPlane, "/release/v1.37.2/bin/linux/"+runtime.GOARCH)
}

// clusterNode is what the API server says of a node, asked as an administrator.
func (h *host) clusterNode(name string) (version, ready string) {
	h.t.Helper()
	var object struct {
		Status struct {
			NodeInfo   struct{ KubeletVersion string }
			Conditions []struct{ Type, Status string }
		}
	}
	r := h.try("curl", "-sf", "--max-time", "5", "--cacert", controlPlane+"/ca.crt", "-H", "Authorization: Bearer "+controlplane.AdminToken,
		controlplane.Server+"/api/v1/nodes/"+name)
	if r.ExitCode != 0 {
		return "", ""
	}
	if err := json.Unmarshal([]byte(r.Stdout), &object); err != nil {
		h.t.Fatal(err)
	}
	for _, c := range object.Status.Conditions {
		if c.Type == "Ready" {
			ready = c.Status
		}
	}
	return object.Status.NodeInfo.KubeletVersion, ready
}

// A node that was joined to a cluster is so after a change, or the change is undone; a kubelet that is well by itself
// proves nothing.
func TestJoinedNodeStaysJoined(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	h := start(t, dir)
	h.write("/etc/cni/net.d/10-bridge.conflist", bridge)
	h.startControlPlane()
	h.must("install", "-D", "-m", "0600", controlPlane+"/bootstrap-kubeconfig", "/var/lib/kubelet/bootstrap-kubeconfig")

	install := func(version string, more ...string) []string {
		args := []string{"install", "--version", version, "--source", h.source, "--set", "failCgroupV1=false",
			"--bootstrap-kubeconfig", "/var/lib/kubelet/bootstrap-kubeconfig", "--node-ip", "192.0.2.1"}
		return append(append(args, given(t, dir, version)...), more...)
	}
	h.must("kubeletctl", install("v1.36.3")...)
	name := h.Name()
	joined := func(version string) {
		t.Helper()
		h.running(version)
		h.eventually("the node is Ready", func() bool {
			got, ready := h.clusterNode(name)
			return got == version && ready == "True"
		})
		s := h.status(0)
		if s.Node == nil || s.Node.Name != name || s.Node.Ready != "True" || s.Node.KubeletVersion != version {
			t.Errorf("status says of the node: %+v", s.Node)
		}
	}
	joined("v1.36.3")

	// The API server knows of the new kubelet by the time that kubeletctl is done.
	h.must("kubeletctl", install("v1.37.2")...)
	if version, ready := h.clusterNode(name); version != "v1.37.2" || ready != "True" {
		t.Errorf("right after the upgrade the API server says: %s, Ready %s", version, ready)
	}
	joined("v1.37.2")
	contains(t, h.must("kubeletctl", "status"), `(?m)^  node +`+name+` is Ready, with kubelet v1\.37\.2, heartbeat \d+s ago$`)

	// A kubelet that takes another name may not write to any Node object, and is as healthy as before.
	r := h.exits(8, "kubeletctl", install("v1.37.2", "--hostname-override", "stranger", "--wait", "12s")...)
	contains(t, r.Stderr, "kubelet is healthy, but the API server did not hear from the node "+name+" since it was started")
	t.Log(r.Stderr)
	joined("v1.37.2")
	h.exits(8, "kubeletctl", install("v1.36.3", "--hostname-override", "stranger", "--wait", "12s")...)
	joined("v1.37.2")

	// An API server that does not answer is no reason against a change, and is told.
	h.must("systemctl", "stop", "apiserver-test.service")
	r = h.exits(0, "kubeletctl", install("v1.37.2", "--set", "maxPods=50")...)
	contains(t, r.Stderr, "whether this node stays joined to its cluster cannot be watched: asking the API server 127.0.0.1:6443: dial tcp .* connection refused")
	h.running("v1.37.2")
	r = h.exits(0, "kubeletctl", install("v1.36.3", "--set", "maxPods=50", "--dry-run")...)
	contains(t, r.Stderr, "the API server could not be asked whether kubelet v1.36.3 fits it: asking the API server 127.0.0.1:6443: dial tcp .* connection refused")
	contains(t, h.must("kubeletctl", "status"), `(?m)^warning api-server: asking the API server 127\.0\.0\.1:6443: `)
	h.must("kubeletctl", "uninstall")
}
