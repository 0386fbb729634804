// Package hosttest runs kubeletctl on disposable machines with a real systemd. What it asserts is what systemd, /proc and
// /healthz say, not what kubeletctl says of itself.
package hosttest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/scripts/gobuild"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
	"github.com/kubeletctl/kubeletctl/scripts/testhost"
)

// tools are the programs that all tests of this package share.
var tools struct{ dir, kubeletctl, serve, release string }

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "hosttest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	tools.dir = dir
	code := 1
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func build(dir string) error {
	tools.kubeletctl, tools.serve = filepath.Join(dir, "kubeletctl"), filepath.Join(dir, "serve")
	tools.release = filepath.Join(dir, "release")
	if err := gobuild.Static(tools.kubeletctl, "cmd/kubeletctl"); err != nil {
		return err
	}
	if err := gobuild.Static(tools.serve, "scripts/mirror/serve"); err != nil {
		return err
	}
	var releases []mirror.Release
	for _, version := range []string{"v1.37.1", "v1.37.2"} {
		file := filepath.Join(dir, "kubelet-"+version)
		if err := gobuild.Standin(file, version); err != nil {
			return err
		}
		kubeadm := filepath.Join(dir, "kubeadm-"+version)
		if err := gobuild.Tool(kubeadm, "kubeadm", version); err != nil {
			return err
		}
		releases = append(releases, mirror.Release{Version: version, Arch: "amd64", Path: file},
			mirror.Release{Program: "kubeadm", Version: version, Arch: "amd64", Path: kubeadm})
	}
	return mirror.WriteTree(tools.release, releases...)
}

// host is a machine with kubeletctl on it and a release mirror on its loopback.
type host struct {
	*testhost.Host
	t      *testing.T
	source string // URL of the mirror
	log    string // the mirror's request log, outside
	dir    string // the release tree
}

// start boots a host that serves the release tree dir to itself; the test is skipped where no host can run.
func start(t *testing.T, dir string) *host {
	t.Helper()
	if err := testhost.Supported(); err != nil {
		t.Skip(err)
	}
	m, err := testhost.Start(t.Context(), testhost.Options{Containerd: true, Binds: []string{dir + ":/release"}})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{Host: m, t: t, dir: dir, log: filepath.Join(t.TempDir(), "requests")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("journal:\n%s", h.try("journalctl", "-u", "kubelet.service", "-n", "40", "--no-pager").Stdout)
		}
		if err := m.Close(); err != nil {
			t.Errorf("closing the host: %v", err)
		}
	})
	if err := m.Copy(tools.kubeletctl, "/usr/bin/kubeletctl", 0o755); err != nil {
		t.Fatal(err)
	}
	h.serve()
	return h
}

// in is the same host for a subtest.
func (h *host) in(t *testing.T) *host {
	other := *h
	other.t = t
	return &other
}

// serve starts the mirror in the host's network; it has to be called again after a boot.
func (h *host) serve() {
	h.t.Helper()
	c := h.Netns(context.Background(), tools.serve, "--dir", h.dir, "--log", h.log)
	out, err := c.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	h.source, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		h.t.Fatalf("the mirror did not say its address: %v", err)
	}
	h.source = strings.TrimSpace(h.source)
}

// requests are what the mirror was asked since it was started.
func (h *host) requests() []string {
	h.t.Helper()
	text, err := os.ReadFile(h.log)
	if err != nil && !os.IsNotExist(err) {
		h.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// try runs a command inside and reports only if it could not be run at all.
func (h *host) try(name string, args ...string) testhost.Result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	r, err := h.Run(ctx, name, args...)
	if err != nil {
		h.t.Fatalf("%s %q: %v", name, args, err)
	}
	return r
}

// must runs a command inside and returns what it printed; it has to exit with 0.
func (h *host) must(name string, args ...string) string {
	h.t.Helper()
	return h.exits(0, name, args...).Stdout
}

// exits runs a command inside; it has to exit with the code.
func (h *host) exits(code int, name string, args ...string) testhost.Result {
	h.t.Helper()
	r := h.try(name, args...)
	if r.ExitCode != code {
		h.t.Fatalf("%s %q: exit code %d, want %d\n%s%s", name, args, r.ExitCode, code, r.Stdout, r.Stderr)
	}
	return r
}

// install is a kubeletctl install of a standalone kubelet from the mirror, whatever was installed or failed before.
func (h *host) install(version string, more ...string) []string {
	return append([]string{"install", "--version", version, "--source", h.source, "--standalone", "--set", "failCgroupV1=false", "--replace", "--retry"}, more...)
}

// show reads properties of kubelet.service from systemd.
func (h *host) show(property string) string {
	h.t.Helper()
	return strings.TrimSpace(h.must("systemctl", "show", "-P", property, "kubelet.service"))
}

// running asserts that kubelet is what systemd, /proc and /healthz agree on: active, enabled, this binary, well.
func (h *host) running(version string) {
	h.t.Helper()
	if active, file := h.show("ActiveState"), h.show("UnitFileState"); active != "active" || file != "enabled" {
		h.t.Fatalf("kubelet.service is %s and %s", active, file)
	}
	// A binary that was put back has another inode than the one that runs, and the same bytes.
	exe := strings.TrimSuffix(strings.TrimSpace(h.must("readlink", "/proc/"+h.show("MainPID")+"/exe")), " (deleted)")
	h.must("cmp", exe, "/proc/"+h.show("MainPID")+"/exe")
	if want := "/usr/local/bin/kubelet-" + version; exe != want {
		h.t.Fatalf("the process runs %s, want %s", exe, want)
	}
	if got := h.must("curl", "-sf", "--max-time", "5", "http://127.0.0.1:10248/healthz"); got != "ok" {
		h.t.Fatalf("/healthz says %q", got)
	}
}

// eventually runs a check until it holds, for at most some seconds.
func (h *host) eventually(what string, check func() bool) {
	h.t.Helper()
	h.within(time.Minute, what, check) // with several hosts on two cores little is done at once
}

// within runs a check until it holds, for at most as long.
func (h *host) within(limit time.Duration, what string, check func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if check() {
			return
		}
	}
	h.t.Fatalf("not in %s: %s", limit, what)
}

// ours are all places that kubeletctl writes to, with modes, owners, links and digests, but not kubelet's own data.
func (h *host) ours() string {
	h.t.Helper()
	// What a change that was undone leaves in the history does not count, nor what the next run is to tell.
	return h.must("sh", "-c", `cd /var/lib/kubeletctl/generations 2>/dev/null && tried=$(ls -d */reverted.json | sed 's,/.*,,' | paste -sd'|')
		find /etc/systemd /etc/kubeletctl /usr/local /var/lib/kubeletctl /var/lib/kubelet/kubelet-config.yaml \
		-printf '%p %y %m %u:%g %l\n' -type f -exec sha256sum {} \; 2>/dev/null |
		grep -Ev "/var/lib/kubeletctl/(generations/(${tried:-none})(/| )|lock|recovered)" | sort`)
}

// kept are ours without a download that waits for another try.
func (h *host) kept() string {
	h.t.Helper()
	var lines []string
	for line := range strings.Lines(h.ours()) {
		if !strings.Contains(line, "/usr/local/bin/.part-kubelet-v") && !strings.Contains(line, "/var/lib/kubeletctl/download") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// status is kubeletctl's own word, decoded.
func (h *host) status(code int) (s struct {
	Installed  bool
	Version    string
	Generation int
	Trust      string
	State      string
	Service    struct {
		PID      int
		Enabled  bool
		Restarts int
	}
	Running  struct{ Version, SHA256 string }
	Health   struct{ OK bool }
	Node     *struct{ Name, Ready, KubeletVersion string }
	Drift    []struct{ Target, Reason string }
	Problems []struct{ ID string }
}) {
	h.t.Helper()
	r := h.exits(code, "kubeletctl", "status", "-o", "json")
	if err := json.Unmarshal([]byte(r.Stdout), &s); err != nil {
		h.t.Fatalf("status -o json: %v\n%s", err, r.Stdout)
	}
	return s
}

func contains(t *testing.T, text, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(text) {
		t.Errorf("no %q in:\n%s", pattern, text)
	}
}
