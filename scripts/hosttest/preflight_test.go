package hosttest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// What would keep kubelet from running is found before anything is touched, all at once, and can be overruled by name.
func TestPreflightOfAnInstall(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	before := h.ours()
	h.must("systemctl", "stop", "containerd.service")
	h.must("rm", "-f", "/run/containerd/containerd.sock")
	h.must("systemd-run", "--unit=squatter", "socat", "TCP-LISTEN:10248,bind=127.0.0.1,fork,reuseaddr", "SYSTEM:true")
	h.eventually("another program has the port", func() bool { // 0x2808 is 10248
		return strings.Contains(h.must("cat", "/proc/net/tcp"), "0100007F:2808 ")
	})
	for endpoint, words := range map[string]string{"/run/none.sock": "no container runtime listens on /run/none.sock", "tcp://127.0.0.1:5": "only through a unix socket"} {
		contains(t, h.exits(7, "kubeletctl", h.install("v1.37.2", "--container-runtime-endpoint", endpoint)...).Stderr, "(?m)^kubeletctl: error: runtime: .*"+words)
	}
	args := []string{"install", "--version", "v1.37.2", "--source", h.source, "--standalone"}
	r := h.exits(7, "kubeletctl", args...)
	contains(t, r.Stderr, "(?m)^kubeletctl: error: runtime: no container runtime listens on /var/run/containerd/containerd.sock")
	contains(t, r.Stderr, `(?m)^kubeletctl: error: health-port: another program already listens on 127.0.0.1:10248, .*: socat \(pid \d+, squatter.service\)$`)
	if h.try("test", "-e", "/sys/fs/cgroup/cgroup.controllers").ExitCode != 0 {
		contains(t, r.Stderr, "(?m)^kubeletctl: error: cgroup-v1: ")
	}
	if after := h.ours(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	h.must("systemctl", "stop", "squatter.service")
	h.must("kubeletctl", append(args, "--ignore-preflight", "runtime,cgroup-v1")...)
	h.running("v1.37.2")
}

// problems are those that kubeletctl preflight has, "severity id", but for what the machines of these tests have of their own: cgroup
// v1 is accepted; the clock, and how full the disk is, are the machine's.
func (h *host) problems(code int, flags ...string) (found []string) {
	h.t.Helper()
	var doc struct {
		Runs     bool
		Problems []struct{ ID, Severity, Hint string }
	}
	args := append([]string{"preflight", "--version", "v1.37.2", "--set", "failCgroupV1=false", "--set", "failSwapOn=false", "--ignore-preflight", "clock", "-o", "json"}, flags...)
	r := h.exits(code, "kubeletctl", args...)
	if err := json.Unmarshal([]byte(r.Stdout), &doc); err != nil {
		h.t.Fatalf("preflight -o json: %v\n%s", err, r.Stdout)
	}
	for _, p := range doc.Problems {
		if problem := p.Severity + " " + p.ID; problem != "warning disk" {
			found = append(found, problem)
		}
	}
	if doc.Runs != (code == 0) {
		h.t.Errorf("it says that kubelet runs: %t", doc.Runs)
	}
	return found
}

// What a Debian with containerd's default configuration deserves is the list in cmd/topics/preflight.md, and nothing else. The cure of its
// one warning is one.
func TestPreflightOfStockDebian(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	// As Debian has it, but for what a container of these tests needs.
	h.must("sh", "-c", `echo nameserver 192.0.2.1 >/etc/resolv.conf
		printf 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nrestrict_oom_score_adj = true\n' >/etc/containerd/config.toml
		systemctl restart containerd.service`)
	stock := []string{"info cri-runtime-config", "info kernel-defaults", "info inotify", "info ip-forward", "info cni", "info cluster-dns", "info client-ca", "info serving-cert"}
	var found []string
	h.eventually("containerd answers", func() bool { found = h.problems(0); return !slices.Contains(found, "warning runtime") })
	if want := append([]string{"warning cgroup-driver"}, stock...); !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
	said := h.must("kubeletctl", "preflight", "--version", "v1.37.2", "--set", "failCgroupV1=false", "--set", "failSwapOn=false")
	contains(t, said, "(?m)^warning cgroup-driver: kubelet uses the cgroup driver systemd, and containerd 1\\..* uses cgroupfs; ")
	_, cure, _ := strings.Cut(said, "\n  hint: ")
	cure, _, _ = strings.Cut(cure, "\n")
	h.must("sh", "-c", cure)
	h.eventually("containerd answers", func() bool { found = h.problems(0); return !slices.Contains(found, "warning runtime") })
	if !slices.Equal(found, stock) {
		t.Errorf("after %q: found %q, want %q", cure, found, stock)
	}
}

// badHost is what makes a host bad, and what is found then.
type badHost struct {
	name, before, after string // commands
	flags               []string
	want                string // "severity id"
}

// Checks, each with a host that is as bad as it says, and is left as it is.
func TestPreflight(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	tests := []badHost{
		{name: "nothing", want: ""},
		{name: "port taken", before: "systemd-run -q --unit=squatter socat TCP-LISTEN:10250,fork,reuseaddr SYSTEM:true; sleep 1", after: "systemctl stop squatter.service",
			want: "error port-kubelet"},
		{name: "another kubelet", before: "cp /bin/sleep /run/kubelet; systemd-run -q --unit=mine /run/kubelet 600", after: "systemctl stop mine.service", want: "error other-kubelet"},
		{name: "runtime stopped", before: "systemctl stop containerd.service; rm -f /run/containerd/containerd.sock", want: "error runtime"},
		{name: "CRI disabled", before: `cp /etc/containerd/config.toml /root/; printf 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n' >/etc/containerd/config.toml
			systemctl start containerd.service`, want: "error cri-disabled"},
		{name: "runtime as before", before: "cp /root/config.toml /etc/containerd/; systemctl restart containerd.service; sleep 2", want: ""},
		{name: "swap", before: "printf 'Filename\\n/swapfile file 1048572 0 -2\\n' >/run/swaps; mount --bind /run/swaps /proc/swaps", after: "umount /proc/swaps",
			flags: []string{"--set", "failSwapOn=true"}, want: "error swap"},
		{name: "kernel after a boot", flags: []string{"--set", "protectKernelDefaults=true"}, want: "warning kernel-defaults"},
		{name: "proxy", before: "mkdir -p /run/systemd/system/kubelet.service.d; printf '[Service]\\nEnvironment=HTTPS_PROXY=http://192.0.2.1:3128\\n' >/run/systemd/system/kubelet.service.d/proxy.conf",
			after: "rm -r /run/systemd/system/kubelet.service.d", flags: []string{"--standalone=false"}, want: "warning proxy"},
		{name: "cgroup v1", flags: []string{"--set", "failCgroupV1=true"}, want: "error cgroup-v1"},
		{name: "resolv.conf", before: "mv /etc/resolv.conf /etc/resolv.old", after: "mv /etc/resolv.old /etc/resolv.conf", want: "warning resolv-conf"},
		{name: "noexec", before: "mkdir -p /opt/bin; mount -t tmpfs -o noexec,mode=755 tmpfs /opt/bin", after: "umount /opt/bin", flags: []string{"--bin-dir", "/opt/bin"}, want: "error noexec"},
		{name: "full disk", before: "mkdir -p /opt/full; mount -t tmpfs -o size=8m,mode=755 tmpfs /opt/full", after: "umount /opt/full", flags: []string{"--kubelet-flag", "root-dir=/opt/full"},
			want: "error disk"},
		{name: "read-only", before: "mkdir -p /opt/ro; mount -t tmpfs -o ro tmpfs /opt/ro", after: "umount /opt/ro", flags: []string{"--kubelet-flag", "root-dir=/opt/ro/kubelet"},
			want: "error kubelet-dir"},
		{name: "credential provider", flags: []string{"--kubelet-flag", "image-credential-provider-config=/etc/none.yaml", "--kubelet-flag", "image-credential-provider-bin-dir=/opt"},
			want: "error credential-provider"},
		{name: "client CA", flags: []string{"--set", "authentication.x509.clientCAFile=/etc/none.crt"}, want: "error client-ca"},
	}
	if h.try("test", "-e", "/sys/fs/cgroup/cgroup.controllers").ExitCode == 0 {
		tests = slices.DeleteFunc(tests, func(b badHost) bool { return b.name == "cgroup v1" })
	}
	for _, tt := range tests {
		h.must("sh", "-c", tt.before)
		code := 0
		if strings.HasPrefix(tt.want, "error") {
			code = 7
		}
		before := h.ours()
		found := slices.DeleteFunc(h.in(t).problems(code, append([]string{"--standalone"}, tt.flags...)...), func(p string) bool { return strings.HasPrefix(p, "info ") })
		if got := strings.Join(found, ", "); got != tt.want {
			t.Errorf("%s: found %q, want %q", tt.name, got, tt.want)
		}
		if after := h.ours(); after != before {
			t.Errorf("%s: before:\n%s\nafter:\n%s", tt.name, before, after)
		}
		h.must("sh", "-c", tt.after)
	}

	// A release is downloaded and rehearsed, and nothing else.
	h.must("kubeletctl", h.install("v1.37.1")...)
	before := h.kept()
	contains(t, h.must("kubeletctl", "preflight", "--version", "v1.37.2", "--rehearse"), `(?m)^it was healthy in its rehearsal after \d+\.\d s$`)
	contains(t, h.must("kubeletctl", "preflight", "--rehearse"), `(?m)^kubelet v1\.37\.1, which is installed, runs on this host: .*\nit was healthy in its rehearsal`)
	if after := h.kept(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	h.running("v1.37.1")
}
