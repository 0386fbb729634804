package cloudinit_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/scripts/controlplane"
)

// The places of a join file in user-data.yaml.
const (
	placeServer = "server: https://10.0.0.1:6443"
	placeToken  = "token: abcdef.0123456789abcdef"
	placePin    = `discoveryTokenCACertHashes: ["sha256:0000"]`
	placeRun    = "install # <-- a node of a cluster: "
	joinComment = "  # - path: /etc/kubeletctl/join.yaml "
)

// plane is where the control plane of the test has its files, and planeUnit starts it at every boot.
const (
	plane     = "/etc/plane"
	planeUnit = `[Unit]
Before=cloud-final.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh ` + plane + `/start ` + plane + ` /release/v1.37.2/bin/linux/` + runtime.GOARCH + `
TimeoutStartSec=2min

[Install]
WantedBy=multi-user.target
`
)

// withJoinFile takes the comment signs from the join file of user-data.yaml.
func withJoinFile(t *testing.T, text string) string {
	t.Helper()
	before, rest, found := strings.Cut(text, joinComment)
	block, after, ends := strings.Cut(rest, "\n\n")
	if !found || !ends {
		t.Fatal("user-data.yaml has no join file")
	}
	return before + regexp.MustCompile(`(?m)^  # `).ReplaceAllString(joinComment+block, "  ") + "\n\n" + after
}

// putPlane puts the control plane, and a network for pods, on a host that is not running.
func putPlane(root string) error {
	if err := os.MkdirAll(filepath.Join(root, plane), 0o700); err != nil {
		return err
	}
	if _, err := controlplane.Write(filepath.Join(root, plane)); err != nil {
		return err
	}
	const network = `{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "pods0", "ipam": {"type": "host-local", "subnet": "10.213.0.0/24"}}]}`
	const unit = "etc/systemd/system/plane.service"
	wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
	return errors.Join(
		os.MkdirAll(filepath.Join(root, "etc/cni/net.d"), 0o755),
		os.WriteFile(filepath.Join(root, "etc/cni/net.d/10-bridge.conflist"), []byte(network), 0o644),
		os.WriteFile(filepath.Join(root, unit), []byte(planeUnit), 0o644),
		os.MkdirAll(wants, 0o755),
		os.Symlink("/"+unit, filepath.Join(wants, "plane.service")),
	)
}

// joins gives cloud-init the time that a control plane takes to start beside it, and a node to join, on a machine with much to do.
func (h *host) joins() {
	h.t.Helper()
	const tooLong = 124 // of timeout(1)
	for range 6 {
		if h.try("timeout", "30", "cloud-init", "status", "--wait").ExitCode != tooLong {
			return
		}
	}
}

// A first boot makes a node of a cluster of the machine, and the next one has nothing to do.
func TestJoinAtFirstBoot(t *testing.T) {
	release := os.Getenv("KUBELETCTL_TEST_RELEASE")
	if release == "" {
		t.Skip("KUBELETCTL_TEST_RELEASE is not set; scripts/test --real sets it")
	}
	sum, err := os.ReadFile(filepath.Join(release, version, "bin/linux", runtime.GOARCH, "kubelet.sha256"))
	if err != nil {
		t.Fatal(err)
	}
	text := withJoinFile(t, userData(t, tested(edits{
		placeSource: "[file:///release]\n      sha256: " + strings.TrimSpace(string(sum)),
		placeField:  "  failCgroupV1: false\n      flags: {node-ip: 192.0.2.1}",
		placeServer: "server: " + controlplane.Server,
		placeToken:  "token: " + controlplane.BootstrapToken,
		placePin:    "caFile: " + plane + "/ca.crt",
		placeRun:    "install ",
	})))
	h := startWith(t, release, text, true, putPlane)
	h.joins()
	h.cloudInit("done", 0)
	name := h.Name()
	h.wantLogged(`^joined `+controlplane.Server+`: the node `+name+` is Ready$`, 1)
	h.must(fmt.Sprintf("timeout 60 sh -c 'until curl -sf --cacert %s/ca.crt -H \"Authorization: Bearer %s\" %s/api/v1/nodes/%s | tr -d \" \\n\" | grep -q %s; do sleep 1; done'",
		plane, controlplane.AdminToken, controlplane.Server, name, `\"reason\":\"KubeletReady\"`))
	if r := h.try("kubeletctl", "status"); r.ExitCode != 0 || !strings.Contains(r.Stdout, "healthy") {
		t.Errorf("status: %d %s%s", r.ExitCode, r.Stdout, r.Stderr)
	}
	generations := h.generations()
	if got := h.must("/var/lib/cloud/instance/scripts/runcmd 2>&1"); !strings.Contains(got, "joined to "+controlplane.Server+" already: nothing to do") {
		t.Errorf("once more: %s", got)
	}
	if got := h.must("! grep -rl " + strings.Split(controlplane.BootstrapToken, ".")[1] + " /var/lib/kubelet /var/lib/kubeletctl /var/log"); got != "" {
		t.Errorf("the token is left in %s", got)
	}

	if err := h.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.joins()
	h.cloudInit("done", 0)
	h.must("timeout 90 sh -c 'until kubeletctl status | grep -q \"is Ready\"; do sleep 1; done'") // since this boot
	if got := h.generations(); got != generations {
		t.Errorf("generations %q after the second boot, want %q", got, generations)
	}
}
