package hosttest

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"testing"

	"github.com/kubeletctl/kubeletctl/scripts/controlplane"
)

// pinOf is the hash of the CA of the control plane, as kubeadm prints it.
func (h *host) pinOf() string {
	h.t.Helper()
	block, _ := pem.Decode([]byte(h.must("cat", controlPlane+"/ca.crt")))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		h.t.Fatal(err)
	}
	sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// A host joins a cluster, is Ready, and leaves it.
func TestJoin(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	h := start(t, dir)
	h.write("/etc/cni/net.d/10-bridge.conflist", bridge)
	h.startControlPlane()
	h.must("kubeletctl", append([]string{"install", "--version", "v1.37.2", "--source", h.source, "--set", "failCgroupV1=false", "--node-ip", "192.0.2.1"},
		given(t, dir, "v1.37.2")...)...)
	before := h.ours()
	h.write("/run/token", controlplane.BootstrapToken)
	join := func(code int, more ...string) string {
		t.Helper()
		r := h.exits(code, "kubeletctl", append([]string{"join", "--server", controlplane.Server, "--discovery-token-ca-cert-hash", h.pinOf(), "--token-file", "/run/token"}, more...)...)
		return r.Stdout + r.Stderr
	}
	out := join(0)
	t.Log(out)
	contains(t, out, `(?m)^joined https://127\.0\.0\.1:6443: the node `+h.Name()+` is Ready$`)
	if version, ready := h.clusterNode(h.Name()); version != "v1.37.2" || ready != "True" {
		t.Errorf("the API server says: %s, Ready %s", version, ready)
	}
	h.must("test", "!", "-e", "/var/lib/kubelet/bootstrap-kubeconfig")
	h.status(0)
	t.Log(join(0))
	t.Log(h.must("kubeletctl", "leave"))
	if after := h.ours(); after != before {
		t.Errorf("the host is another one than before:\n%s", difference(before, after))
	}
}
