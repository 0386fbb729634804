package hosttest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/config"
)

// realKubelets are the releases of which real binaries are at hand.
var realKubelets = map[string]config.Minor{"v1.34.4": 34, "v1.36.3": 36, "v1.37.2": 37}

func realDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(realRelease)
	if dir == "" {
		t.Skip(realRelease + " is not set; scripts/test --real sets it")
	}
	return dir
}

// help runs a kubelet with flags and --help, with which it parses the flags, prints and ends.
func help(t *testing.T, binary string, flags ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append(flags, "--help")...)
	cmd.Env, cmd.Dir = []string{}, "/"
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// samples are values that each type of flag takes.
var samples = map[string]string{
	"bool": "true", "int": "1", "int32": "1", "int64": "1", "uint64": "1", "float64": "0.5", "duration": "1m", "ip": "10.0.0.1",
	"quantity": "1Mi", "string": "x", "stringList (comma separated)": "a", "map[string]string (k=v,...)": "cpu=1",
	"map[string]string (k<v,...)": "memory.available<1Mi", "map[string]bool (k=true,...)": "AllAlpha=false",
	"map[string][]string (k:v,...)": "a:b", "taintList (key=value:effect,...)": "a=b:NoSchedule",
	"list (numa:type=quantity;...)": "0:memory=1Gi", "string (pattern=N,...)": "a=1", "string (file:N)": ":0",
}

// The table holds against the binaries: what it says a release accepts is accepted, what it says was removed is fatal.
func TestFlagTableAgainstRealKubelets(t *testing.T) {
	dir := realDir(t)
	for version, minor := range realKubelets {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			binary := filepath.Join(dir, version, "bin/linux/amd64/kubelet")
			var all []string
			for _, f := range config.FlagsOf(minor) {
				if value, ok := samples[f.Type]; ok && f.Name != "version" && f.Name != "help" {
					all = append(all, "--"+f.Name+"="+value)
				} else if f.Name != "version" && f.Name != "help" {
					t.Errorf("--%s: no sample of the type %s", f.Name, f.Type)
				}
			}
			if out, err := help(t, binary, all...); err != nil {
				t.Errorf("of %d accepted flags one is refused: %v\n%s", len(all), err, lastLines(out))
			}
			removed := 0
			for _, f := range flagsBeside(minor) {
				removed++
				out, err := help(t, binary, "--"+f.Name+"="+samples[f.Type])
				if err == nil || !strings.Contains(out, "unknown flag: --"+f.Name) {
					t.Errorf("--%s is said to be removed in %s: %v\n%s", f.Name, f.Removed, err, lastLines(out))
				}
			}
			t.Logf("%d flags accepted, %d refused", len(all), removed)
			if removed < 40 {
				t.Errorf("only %d removed flags were tried", removed)
			}
		})
	}
}

// flagsBeside are the flags of the other releases that a kubelet of this one does not accept.
func flagsBeside(minor config.Minor) map[string]config.Flag {
	flags := map[string]config.Flag{}
	for other := config.Oldest; other <= config.Newest; other++ {
		for _, f := range config.FlagsOf(other) {
			if !f.AcceptedBy(minor) {
				flags[f.Name] = f
			}
		}
	}
	return flags
}

func lastLines(s string) string {
	lines := bytes.Split([]byte(strings.TrimSpace(s)), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-3):], []byte("\n")))
}

var ignoredField = regexp.MustCompile(`(?i)unknown field|strict decoding|unknown flag|lenient`)

// What is rendered by default is taken by the kubelet without a word about fields or flags that it does not know.
func TestDefaultsAreKnownToRealKubelets(t *testing.T) {
	dir := realDir(t)
	h := start(t, dir)
	for version := range realKubelets {
		for _, profile := range []string{"hardened", "upstream"} {
			h.must("kubeletctl", h.install(version, append(given(t, dir, version), "--profile", profile)...)...)
			h.running(version)
			log := h.must("journalctl", "-b", "-u", "kubelet.service", "_SYSTEMD_INVOCATION_ID="+h.show("InvocationID"), "-o", "cat")
			if line := ignoredField.FindString(log); line != "" || len(log) < 1000 {
				t.Errorf("%s %s: %q in\n%s", version, profile, line, log)
			}
		}
	}
	// The check can fail: a field that no kubelet knows is in the log.
	h.must("sh", "-c", "echo 'noSuchField: 1' >>/var/lib/kubelet/kubelet-config.yaml && systemctl restart kubelet.service")
	h.eventually("kubelet speaks of the unknown field", func() bool {
		return ignoredField.MatchString(h.must("journalctl", "-b", "-u", "kubelet.service", "-o", "cat"))
	})
}

// A kubelet that was put there by hand, with kubeadm's drop-in, is taken over while it runs, and given back.
func TestAdoptARealKubelet(t *testing.T) {
	dir := realDir(t)
	h := start(t, dir)
	h.must("sh", "-ec", `
		curl -sf -o /usr/bin/kubelet `+h.source+`/v1.36.3/bin/linux/amd64/kubelet && chmod 755 /usr/bin/kubelet
		mkdir -p /var/lib/kubelet /usr/lib/systemd/system/kubelet.service.d /etc/kubernetes/manifests
		printf '[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\n[Install]\nWantedBy=multi-user.target\n' >/usr/lib/systemd/system/kubelet.service
		printf '[Service]\nEnvironment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"\nEnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\nExecStart=\nExecStart=/usr/bin/kubelet $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS\n' >/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf
		echo 'KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///run/containerd/containerd.sock --max-pods=33"' >/var/lib/kubelet/kubeadm-flags.env
		printf 'apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfailCgroupV1: false\nfailSwapOn: false\ncgroupDriver: systemd\nauthentication: {anonymous: {enabled: false}, webhook: {enabled: false}}\nauthorization: {mode: AlwaysAllow}\nstaticPodPath: /etc/kubernetes/manifests\n' >/var/lib/kubelet/config.yaml
		systemctl daemon-reload && systemctl enable --now kubelet.service`)
	healthy := func() bool {
		return h.try("curl", "-sf", "--max-time", "2", "http://127.0.0.1:10248/healthz").Stdout == "ok"
	}
	h.eventually("the kubelet that was put there by hand is healthy", healthy)
	files := "find /etc/systemd /usr/lib/systemd/system/kubelet.service* /usr/local/bin /var/lib/kubelet/*.yaml /var/lib/kubelet/*.env -type f -exec sha256sum {} + -o -type l -printf '%p %l\\n' | sort"
	before, process := h.must("sh", "-c", files), h.must("readlink", "/proc/"+h.show("MainPID")+"/exe")
	args := append([]string{"install", "--adopt", "--version", "v1.37.2", "--source", h.source}, given(t, dir, "v1.37.2")...)
	r := h.exits(7, "kubeletctl", args...)
	contains(t, r.Stderr, `(?m)^  moved +--max-pods=33 +to maxPods`)
	contains(t, r.Stderr, "the kubelet that it runs is taken over")
	if after := h.must("sh", "-c", files); after != before {
		t.Fatalf("a refused adoption left:\n%s", after)
	}
	h.must("kubeletctl", append(args, "--yes")...)
	h.running("v1.37.2")
	contains(t, h.must("cat", "/var/lib/kubelet/kubelet-config.yaml"), "(?m)^maxPods: 33$")

	h.must("kubeletctl", "uninstall", "--yes")
	if after := h.must("sh", "-c", files); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	h.eventually("the former kubelet is healthy again", healthy)
	if now := h.must("readlink", "/proc/"+h.show("MainPID")+"/exe"); now != process {
		t.Errorf("now %s runs, it was %s", now, process)
	}
}
