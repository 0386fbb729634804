package hosttest

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// realRelease names the environment variable that holds a directory in release layout with real kubelets, as
// scripts/kubelet/fetch makes one.
const realRelease = "KUBELETCTL_TEST_RELEASE"

// The same life with real kubelets and Debian's containerd.
func TestLifeOfARealKubelet(t *testing.T) {
	dir := os.Getenv(realRelease)
	if dir == "" {
		t.Skip(realRelease + " is not set; scripts/test --real sets it")
	}
	h := start(t, dir)
	life(t, h, "v1.36.3", "v1.37.2", given(t, dir, "v1.36.3"), given(t, dir, "v1.37.2"))
}

// given are the flags that a kubelet needs that was built here: it is not what upstream published under its version.
func given(t *testing.T, dir, version string) []string {
	t.Helper()
	sum, err := os.ReadFile(filepath.Join(dir, version, "bin", "linux", runtime.GOARCH, "kubelet.sha256"))
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--sha256", strings.TrimSpace(string(sum))}
}

// A real kubelet that dies of its configuration is taken back, and its own words are shown.
func TestRealKubeletIsRolledBack(t *testing.T) {
	t.Parallel()
	h := start(t, realDir(t))
	h.must("kubeletctl", h.install("v1.37.2")...)
	r := h.exits(8, "kubeletctl", h.install("v1.37.2", "--set", "reservedSystemCPUs=4000", "--reset-manager-state", "--skip-rehearsal")...)
	contains(t, r.Stderr, "reserved-cpus: 4000 is not a subset of online-cpus")
	h.running("v1.37.2")
	r = h.exits(8, "kubeletctl", h.install("v1.37.2", "--set", "authentication.x509.clientCAFile=/nowhere.crt", "--skip-rehearsal", "--ignore-preflight", "client-ca")...)
	contains(t, r.Stderr, "nowhere.crt: no such file")
	h.running("v1.37.2")
	contains(t, h.must("kubeletctl", "history"), `(?m)^3 .* reverted: kubelet exited with status 1: failed to `)
}
