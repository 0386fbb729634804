// Package cloudinit_test boots machines with the user-data of this folder and a
// real cloud-init, and asks systemd, /proc and /healthz what became of it.
package cloudinit_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/scripts/gobuild"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
	"github.com/kubeletctl/kubeletctl/scripts/testhost"
)

const (
	version = "v1.37.2"
	binary  = "/usr/local/bin/kubelet-" + version
	// bound is far above what any stage takes, and far below "for ever".
	bound = 45 * time.Second
)

// The places of user-data.yaml that a person changes.
const (
	placeVersion    = "version: v1.37.2 "
	placeSource     = `["https://dl.k8s.io/release"]`
	placeStandalone = "# standalone: true "
	placeConfig     = "# kubeletConfiguration: "
	placeField      = "#   maxPods: 50"
	placeURL        = "url=https://downloads.example.com/kubeletctl "
	placeSHA256     = "sha256=0000000000000000000000000000000000000000000000000000000000000000 "
)

// edits maps places to what they become.
type edits map[string]string

// tested is what every machine of these tests needs: a source that it can reach, and leave to run on cgroup v1.
func tested(more edits) edits {
	e := edits{
		placeSource: "[file:///release]",
		placeConfig: "kubeletConfiguration: ",
		placeField:  "  failCgroupV1: false",
	}
	for place, text := range more {
		e[place] = text
	}
	return e
}

func userData(t *testing.T, e edits) string {
	t.Helper()
	b, err := os.ReadFile("user-data.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for place, with := range e {
		if n := strings.Count(text, place); n != 1 {
			t.Fatalf("%q is in user-data.yaml %d times, want once", place, n)
		}
		text = strings.Replace(text, place, with, 1)
	}
	return text
}

var tools struct{ kubeletctl, sha256, release string }

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if testhost.Supported() == nil { // each test that needs a host skips itself
		dir, err := os.MkdirTemp("", "cloudinit-")
		if err == nil {
			defer os.RemoveAll(dir)
			err = build(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

func build(dir string) error {
	tools.kubeletctl, tools.release = filepath.Join(dir, "kubeletctl"), filepath.Join(dir, "release")
	kubelet := filepath.Join(dir, "kubelet")
	if err := gobuild.Static(tools.kubeletctl, "cmd/kubeletctl"); err != nil {
		return err
	}
	if err := gobuild.Standin(kubelet, version); err != nil {
		return err
	}
	b, err := os.ReadFile(tools.kubeletctl)
	if err != nil {
		return err
	}
	tools.sha256 = fmt.Sprintf("%x", sha256.Sum256(b))
	return mirror.WriteTree(tools.release, mirror.Release{Version: version, Arch: runtime.GOARCH, Path: kubelet})
}

// The file as it is shipped is a cloud-config, and its spec is one that kubeletctl takes, with and without what is
// commented out. This needs no host.
func TestUserData(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]edits{
		"as it is": {},
		"edited":   {placeStandalone: "standalone: true ", placeConfig: "kubeletConfiguration: ", placeField: "  maxPods: 50"},
	} {
		t.Run(name, func(t *testing.T) {
			text := userData(t, e)
			if !strings.HasPrefix(text, "#cloud-config\n") {
				t.Error("the first line does not say that it is a cloud-config")
			}
			var doc struct {
				Files []struct{ Path, Content string } `json:"write_files"`
				Run   []string                         `json:"runcmd"`
			}
			if err := yaml.UnmarshalStrict([]byte(text), &doc); err != nil {
				t.Fatal(err)
			}
			if len(doc.Files) != 1 || doc.Files[0].Path != hostfs.SpecFile {
				t.Fatalf("it writes %+v", doc.Files)
			}
			if len(doc.Run) == 0 || doc.Run[0] != "set -e" {
				t.Errorf("a failure in the middle would not be seen: %q", doc.Run)
			}
			spec, _, err := spec.Parse(hostfs.SpecFile, []byte(doc.Files[0].Content))
			if err != nil {
				t.Fatal(err)
			}
			if err := spec.Check(); err != nil {
				t.Error(err)
			}
			if spec.Standalone != (len(e) > 0) || (len(spec.KubeletConfiguration) > 0) != (len(e) > 0) {
				t.Errorf("the spec is %+v", spec)
			}
		})
	}
}

// seats keep the machine from being slowed down by more hosts than it has room for.
var seats = make(chan struct{}, 2)

type host struct {
	*testhost.Host
	t *testing.T
}

// start makes a host and lets it boot with the user-data. baked: kubeletctl is in its image.
func start(t *testing.T, data string, baked bool, prepare func(root string) error) *host {
	t.Helper()
	return startWith(t, tools.release, data, baked, prepare)
}

// startWith is start with releases of another directory.
func startWith(t *testing.T, release, data string, baked bool, prepare func(root string) error) *host {
	t.Helper()
	if err := testhost.Supported(); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	seats <- struct{}{}
	t.Cleanup(func() { <-seats })
	binds := []string{release + ":/release", tools.kubeletctl + ":/origin/kubeletctl"}
	if baked {
		binds = append(binds, tools.kubeletctl+":/usr/bin/kubeletctl")
	}
	m, err := testhost.Start(t.Context(), testhost.Options{
		Containerd: true, Binds: binds, Prepare: prepare,
		Seed: map[string][]byte{"meta-data": []byte("instance-id: first\n"), "user-data": []byte(data)},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{m, t}
	t.Cleanup(func() {
		if t.Failed() && m.PID() != 0 {
			t.Logf("cloud-init's output:\n%s", h.try("cat", outputLog).Stdout)
			t.Logf("journal:\n%s", h.try("journalctl", "-u", "kubelet.service", "-n", "40", "--no-pager").Stdout)
		}
		if err := m.Close(); err != nil {
			t.Errorf("closing the host: %v", err)
		}
	})
	return h
}

const outputLog = "/var/log/cloud-init-output.log"

// try runs a command inside, within the bound.
func (h *host) try(name string, args ...string) testhost.Result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	r, err := h.Run(ctx, name, args...)
	if err != nil {
		h.t.Fatalf("%s %q: %v", name, args, err)
	}
	return r
}

// must returns what a shell command printed that has to exit with 0.
func (h *host) must(script string) string {
	h.t.Helper()
	r := h.try("sh", "-c", script)
	if r.ExitCode != 0 {
		h.t.Fatalf("%s: exit code %d\n%s%s", script, r.ExitCode, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// cloudInit waits for cloud-init to end, which it must do with this status and exit code.
func (h *host) cloudInit(status string, code int) {
	h.t.Helper()
	r := h.try("cloud-init", "status", "--wait", "--long")
	if r.ExitCode != code || !strings.Contains(r.Stdout, "status: "+status+"\n") {
		h.t.Fatalf("cloud-init status: exit code %d, want %d and %q\n%s", r.ExitCode, code, status, r.Stdout)
	}
}

// booted waits until the boot has come to its end: with this state, these failed units, and no job left.
func (h *host) booted(state, failed string) {
	h.t.Helper()
	if got := strings.TrimSpace(h.try("systemctl", "is-system-running", "--wait").Stdout); got != state {
		h.t.Errorf("the system is %s, want %s", got, state)
	}
	if got := h.must("systemctl list-units --failed --plain --no-legend | cut -d' ' -f1"); got != failed {
		h.t.Errorf("failed units: %q, want %q", got, failed)
	}
	if got := h.must("systemctl list-jobs --no-legend"); got != "" {
		h.t.Errorf("jobs are left:\n%s", got)
	}
	if got := h.must("systemctl is-active multi-user.target cloud-init.target | sort -u"); got != "active" {
		h.t.Errorf("the targets are %s", got)
	}
}

// running asserts that systemd, /proc and /healthz agree on kubelet.
func (h *host) running() {
	h.t.Helper()
	if got := h.must("systemctl is-active kubelet.service; systemctl is-enabled kubelet.service"); got != "active\nenabled" {
		h.t.Fatalf("kubelet.service is %q", got)
	}
	if got := h.must("readlink /proc/$(systemctl show -P MainPID kubelet.service)/exe"); got != binary {
		h.t.Errorf("the process runs %s, want %s", got, binary)
	}
	if got := h.must("curl -sf --max-time 5 http://127.0.0.1:10248/healthz"); got != "ok" {
		h.t.Errorf("/healthz says %q", got)
	}
}

// generations are the numbers that kubeletctl history has, newest first.
func (h *host) generations() string {
	h.t.Helper()
	var list []struct{ Generation int }
	if err := json.Unmarshal([]byte(h.must("kubeletctl history -o json")), &list); err != nil {
		h.t.Fatal(err)
	}
	var numbers []string
	for _, g := range list {
		numbers = append(numbers, fmt.Sprint(g.Generation))
	}
	return strings.Join(numbers, " ")
}

// logged counts the lines of cloud-init's output that match.
func (h *host) logged(pattern string) int {
	h.t.Helper()
	return len(regexp.MustCompile("(?m)"+pattern).FindAllString(h.must("cat "+outputLog), -1))
}

func (h *host) wantLogged(pattern string, want int) {
	h.t.Helper()
	if n := h.logged(pattern); n != want {
		h.t.Errorf("cloud-init's output has %q %d times, want %d", pattern, n, want)
	}
}

// One line each of what user-data.yaml runs, and one of each boot's last stage.
const (
	downloaded = `^/usr/local/bin/\.kubeletctl\.new: OK$`
	healthy    = `^kubelet v1\.37\.2 \(generation 1\) is healthy$`
	lastStage  = `^Cloud-init .* running 'modules:final'`
)

// A first boot downloads kubeletctl and ends with a kubelet that is well; the next boot has nothing to do.
func TestTwoBoots(t *testing.T) {
	h := start(t, userData(t, tested(edits{
		placeStandalone: "standalone: true ",
		placeURL:        "url=file:///origin/kubeletctl ",
		placeSHA256:     "sha256=" + tools.sha256 + " ",
	})), false, nil)
	h.cloudInit("done", 0)
	h.booted("running", "")
	h.running()
	h.wantLogged(downloaded, 1)
	h.wantLogged(healthy, 1)
	h.wantLogged(lastStage, 1)
	if got := h.must("cloud-init schema --system"); !strings.Contains(got, "Valid cloud-config") {
		t.Errorf("cloud-init schema: %s", got)
	}
	if got := h.must("stat -c '%a %U' /usr/local/bin/kubeletctl; ls -A /usr/local/bin"); got != "755 root\nkubelet\nkubelet-v1.37.2\nkubeletctl\nkubeletctl-recover" {
		t.Errorf("/usr/local/bin: %q", got)
	}

	// By hand once more, without the source: it is not even asked.
	pid := h.must("systemctl show -P MainPID kubelet.service")
	if got := h.must("unshare -m sh -ec 'umount /release; test ! -e /release/stable.txt; kubeletctl install'"); !strings.Contains(got, "nothing to do") {
		t.Errorf("a second install says %q", got)
	}
	if again := h.must("systemctl show -P MainPID kubelet.service"); again != pid {
		t.Errorf("a second install restarted kubelet: pid %s, then %s", pid, again)
	}

	if err := h.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.cloudInit("done", 0)
	h.booted("running", "")
	h.running()
	h.wantLogged(lastStage, 2) // cloud-init did run
	h.wantLogged(downloaded, 1)
	h.wantLogged(healthy, 1)
	if got := h.generations(); got != "1" {
		t.Errorf("generations %q after the second boot, want 1", got)
	}
}

// What fails at the first boot is seen in cloud-init's status, is explained in its log, does not hold up the boot and
// leaves no kubelet.
func TestFailedFirstBoot(t *testing.T) {
	tests := []struct {
		name  string
		edits edits
		baked bool
		log   string
	}{
		{"no such version", edits{placeVersion: "version: v1.37.9 "}, true, `^kubeletctl: error: .*v1\.37\.9`},
		{"another kubeletctl", edits{placeURL: "url=file:///origin/kubeletctl "}, false, `^/usr/local/bin/\.kubeletctl\.new: FAILED$`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := start(t, userData(t, tested(tt.edits)), tt.baked, nil)
			h.cloudInit("error", 1)
			h.booted("degraded", "cloud-final.service")
			h.wantLogged(tt.log, 1)
			h.wantLogged("is healthy|is installed", 0)
			if left := h.must(remains); left != "" {
				t.Errorf("left on the disk:\n%s", left)
			}
		})
	}
}

// remains lists whatever of kubelet or kubeletctl is on the disk, but not the spec, which is cloud-init's.
const remains = `find /usr/local/bin /var/lib/kubelet /var/lib/kubeletctl -mindepth 1 2>/dev/null
	find /etc/systemd /etc/kubernetes -name '*kubelet*' 2>/dev/null; true`

// A node without credentials: kubelet waits for them, cloud-init and the boot do not.
func TestWithoutCredentials(t *testing.T) {
	h := start(t, userData(t, tested(nil)), true, nil)
	h.cloudInit("done", 0)
	h.booted("running", "")
	h.wantLogged("is installed and waiting for credentials", 1)
	if got := h.must("systemctl is-active kubelet.path; systemctl is-enabled kubelet.service; systemctl show -P ActiveState -P NRestarts kubelet.service"); got != "active\nenabled\n0\ninactive" {
		t.Errorf("the units are %q", got)
	}
	h.must("echo x >/var/lib/kubelet/kubeconfig")
	h.must("timeout 20 sh -c 'until systemctl -q is-active kubelet.service; do sleep 0.1; done'")
	h.running()
}

// The power fails while the first boot waits for kubelet. cloud-init holds the command for done; a run by hand brings
// it to the end.
func TestPowerCut(t *testing.T) {
	const orders = "etc/tmpfiles.d/standin.conf" // /run/standin, where it makes the stand-in hang, is new at every boot
	h := start(t, userData(t, tested(edits{placeStandalone: "standalone: true "})), true, func(root string) error {
		return os.WriteFile(filepath.Join(root, orders), []byte("f /run/standin 0644 - - - "+version+" hang\n"), 0o644)
	})
	h.must("timeout 40 sh -c 'until [ \"$(systemctl show -P SubState kubelet.service)\" = start ]; do sleep 0.1; done'")
	if err := h.PowerCut(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(h.Root(), orders)); err != nil {
		t.Fatal(err)
	}
	if err := h.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.cloudInit("done", 0)
	h.booted("running", "")
	h.wantLogged(lastStage, 2)
	h.wantLogged(healthy, 0)
	if got := h.must("/var/lib/cloud/instance/scripts/runcmd 2>&1"); !strings.Contains(got, "an earlier run was interrupted") || !strings.Contains(got, "is healthy") {
		t.Errorf("runcmd by hand says:\n%s", got)
	}
	h.running()
	if got := h.must("kubeletctl install"); !strings.Contains(got, "nothing to do") {
		t.Errorf("once more: %s", got)
	}
}
