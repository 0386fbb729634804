package hosttest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// The whole life of a kubelet on one machine, with the stand-in.
func TestLifeOfAKubelet(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	life(t, h, "v1.37.1", "v1.37.2", nil, nil)
}

// life installs one version, then another, does it again, reboots and uninstalls. moreA and moreB are further flags.
func life(t *testing.T, h *host, a, b string, moreA, moreB []string) {
	before := h.ours()
	h.exits(4, "kubeletctl", "status")
	dry := h.must("kubeletctl", append(h.install(a, moreA...), "--dry-run")...)
	contains(t, dry, `(?m)^  start +kubelet\.service +`)
	if after := h.ours(); after != before {
		t.Fatalf("a dry run left:\n%s", after)
	}

	out := h.must("kubeletctl", h.install(a, moreA...)...)
	contains(t, out, "kubelet "+a+` \(generation 1\) is healthy`)
	h.running(a)
	s := h.status(0)
	if !s.Installed || s.Version != a || s.Running.Version != a || !s.Health.OK || s.Generation != 1 || len(s.Drift) != 0 {
		t.Errorf("status: %+v", s)
	}
	pid := h.show("MainPID")
	sum := strings.Fields(h.must("sha256sum", "/proc/"+pid+"/exe"))[0]
	if s.Running.SHA256 != sum {
		t.Errorf("status says the process has the digest %s, it is %s", s.Running.SHA256, sum)
	}

	asked := len(h.requests())
	contains(t, h.must("kubeletctl", h.install(a, moreA...)...), "nothing to do")
	if now := h.requests(); len(now) != asked {
		t.Errorf("a second install asked for %q", now[asked:])
	}
	if again := h.show("MainPID"); again != pid {
		t.Errorf("a second install restarted kubelet: pid %s, then %s", pid, again)
	}

	contains(t, h.must("kubeletctl", h.install(b, moreB...)...), "kubelet "+b+` \(generation 2\) is healthy`)
	h.running(b)
	contains(t, h.must("kubeletctl", "history"), `(?m)^2 .* `+b+` .*healthy \(current\)`)

	if err := h.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.eventually("kubelet is back after a reboot", func() bool {
		return h.try("curl", "-sf", "--max-time", "2", "http://127.0.0.1:10248/healthz").Stdout == "ok"
	})
	h.running(b)
	if s := h.status(0); s.Version != b || s.Service.Restarts != 0 {
		t.Errorf("status after the reboot: %+v", s)
	}
	h.serve()
	contains(t, h.must("kubeletctl", h.install(b, moreB...)...), "nothing to do")

	contains(t, h.must("kubeletctl", "uninstall"), "kubelet is uninstalled")
	if after := h.ours(); after != before {
		t.Errorf("before the install:\n%s\nafter the uninstall:\n%s", before, after)
	}
	if load := h.show("LoadState"); load != "not-found" {
		t.Errorf("kubelet.service is still %s", load)
	}
	if r := h.try("pgrep", "-f", "/usr/local/bin/kubelet"); r.ExitCode == 0 {
		t.Errorf("still running: %s", r.Stdout)
	}
	h.exits(4, "kubeletctl", "status")
}

// A new kubelet that does not do is taken back, and the former one is well again.
func TestBadKubeletIsRolledBack(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.1")...)
	before := h.ours()
	tests := []struct{ name, order, words string }{
		{"ends at once", "crash", "told to crash"},
		{"ends after it was ready", "crash-after 1s", "told to crash after 1s"},
		{"never ready", "hang", "not healthy within 4s"},
		{"not healthy", "sick", "told to be sick"},
		{"not healthy after a while", "sick-after 1s", "told to be sick"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h.must("sh", "-c", "echo 'v1.37.2 "+tt.order+"' >/run/standin")
			r := h.exits(8, "kubeletctl", h.install("v1.37.2", "--wait", "4s")...)
			contains(t, r.Stderr, tt.words)
			contains(t, r.Stderr, `kubelet v1\.37\.1 is in place again`)
			h.running("v1.37.1")
			if after := h.kept(); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
	h.must("rm", "/run/standin")
	h.must("kubeletctl", h.install("v1.37.2")...)
	h.running("v1.37.2")
}

// A first install that fails leaves nothing at all.
func TestFailedFirstInstallLeavesNothing(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	before := h.ours()
	h.must("sh", "-c", "echo 'v1.37.2 crash' >/run/standin")
	r := h.exits(8, "kubeletctl", h.install("v1.37.2")...)
	contains(t, r.Stderr, "the host is as it was before")
	if after := h.ours(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if load := h.show("LoadState"); load != "not-found" {
		t.Errorf("kubelet.service is %s", load)
	}
}

// Without credentials kubelet waits without a crash loop, and starts the moment they appear, however they are written.
func TestCredentials(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	joined := []string{"install", "--version", "v1.37.2", "--source", h.source, "--set", "failCgroupV1=false"}
	contains(t, h.must("kubeletctl", joined...), "waiting for credentials")
	if s := h.status(3); s.State != "waiting-for-credentials" {
		t.Errorf("status: %+v", s)
	}
	contains(t, h.must("kubeletctl", joined...), "nothing to do")
	for _, how := range []string{"echo x >$f", "echo x >$f.new && mv $f.new $f"} {
		h.must("sh", "-c", "f=/var/lib/kubelet/kubeconfig; "+how)
		h.eventually("kubelet runs after "+how, func() bool { return h.show("ActiveState") == "active" })
		h.running("v1.37.2")
		// An administrator's stop is a stop, also while the file is there.
		h.must("systemctl", "stop", "kubelet.service")
		time.Sleep(time.Second)
		if state := h.show("ActiveState"); state != "inactive" {
			t.Errorf("kubelet is %s after systemctl stop", state)
		}
		h.must("rm", "/var/lib/kubelet/kubeconfig")
		time.Sleep(time.Second) // the removal is a change, too: systemd looks, starts nothing, and only then watches again
		h.eventually("kubelet.path waits again", func() bool {
			return strings.TrimSpace(h.must("systemctl", "show", "-P", "SubState", "kubelet.path")) == "waiting"
		})
	}
	// The file that is there at boot needs no event.
	h.must("sh", "-c", "echo x >/var/lib/kubelet/kubeconfig; sync")
	if err := h.PowerCut(); err != nil {
		t.Fatal(err)
	}
	if err := h.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.eventually("kubelet runs after a boot", func() bool { return h.show("ActiveState") == "active" })
}

// SIGTERM while kubeletctl waits for a kubelet that hangs: the change is undone, and the exit code says so.
func TestTerminatedDuringTheChange(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.1")...)
	before := h.ours()
	h.must("sh", "-c", "echo 'v1.37.2 hang' >/run/standin")
	for _, signal := range []string{"TERM", "INT"} {
		args := append([]string{"--preserve-status", "-s", signal, "3", "kubeletctl"}, h.install("v1.37.2")...)
		r := h.exits(8, "timeout", args...)
		contains(t, r.Stderr, "interrupted")
		h.running("v1.37.1")
		if after := h.kept(); after != before {
			t.Errorf("%s: before:\n%s\nafter:\n%s", signal, before, after)
		}
	}
	r := h.exits(8, "kubeletctl", h.install("v1.37.2", "--timeout", "3s")...)
	contains(t, r.Stderr, `error: timed out \(--timeout\): `)
	contains(t, h.must("kubeletctl", "history"), "reverted: timed out \\(--timeout\\)")
}

// A session that ends, and a pipe that nobody reads any more, do not end a change that has begun.
func TestNobodyListensDuringTheChange(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.1")...)
	h.must("sh", "-c", "echo 'v1.37.2 late 8s' >/run/standin")

	running := h.Command(t.Context(), "kubeletctl", h.install("v1.37.2")...)
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	h.eventually("the new kubelet was started", func() bool {
		return strings.Contains(h.try("readlink", "/usr/local/bin/kubelet").Stdout, "v1.37.2") && h.show("ActiveState") == "active"
	})
	h.must("pkill", "-HUP", "-x", "kubeletctl")
	if err := running.Wait(); err != nil {
		t.Errorf("SIGHUP: %v", err)
	}
	h.running("v1.37.2")
	contains(t, h.must("journalctl", "-q", "-t", "kubeletctl", "-o", "cat"), `install begins: kubelet v1\.37\.2, generation 2\n(.*\n)*install ended: healthy`)

	install := strings.Join(h.install("v1.37.1", "-v"), " ")
	h.must("bash", "-c", "kubeletctl "+install+" 2>&1 | sed '/done: link/q'; exit ${PIPESTATUS[0]}")
	h.running("v1.37.1")
	contains(t, h.must("kubeletctl", "history"), `(?m)^3 .* healthy \(current\)$`)
}

// What was installed and not started is told by everything, and started by a repair or by the same command without --no-start.
func TestNoStart(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.1")...)
	contains(t, h.must("kubeletctl", h.install("v1.37.2", "--no-start")...), `^kubelet v1\.37\.2 \(generation 2\) is installed; the kubelet that runs goes on as it was started`)
	h.running("v1.37.1")
	contains(t, h.exits(3, "kubeletctl", "status").Stdout, `^kubelet v1\.37\.1 runs, and v1\.37\.2 is installed: unhealthy\n`)
	contains(t, h.exits(5, "kubeletctl", "diff").Stdout, "(?m)^kubelet.service: the process runs another binary")
	contains(t, h.must("kubeletctl", h.install("v1.37.2", "--no-start")...), "nothing to do")
	contains(t, h.must("kubeletctl", "repair"), `kubelet v1\.37\.2 \(generation \d\) is healthy`)
	h.running("v1.37.2")
	h.status(0)
	h.must("kubeletctl", h.install("v1.37.1", "--no-start")...)
	h.running("v1.37.2")
	h.must("kubeletctl", h.install("v1.37.1")...)
	h.running("v1.37.1")
	h.status(0)

	// Settings alone, and only for that run.
	pid := h.show("MainPID")
	h.must("kubeletctl", "set", "maxPods=42", "--no-start")
	contains(t, h.exits(5, "kubeletctl", "diff").Stdout, "(?m)^kubelet.service: restart due: .*kubelet-config.yaml")
	if now := h.show("MainPID"); now != pid {
		t.Errorf("kubelet was restarted: pid %s, then %s", pid, now)
	}
	contains(t, h.must("kubeletctl", "set", "maxPods=43"), "is healthy")
	if now := h.show("MainPID"); now == pid {
		t.Error("kubelet was not restarted")
	}
	h.status(0)
}

// A container runtime that is frozen is refused, and one that stops is told, although kubelet calls itself well.
func TestRuntimeDoesNotAnswer(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("pkill", "-STOP", "-x", "containerd")
	contains(t, h.exits(7, "kubeletctl", h.install("v1.37.2")...).Stderr,
		"(?m)^kubeletctl: error: runtime: the container runtime on .*/containerd.sock does not answer: no answer within 3s$")
	h.must("pkill", "-CONT", "-x", "containerd")
	h.must("kubeletctl", h.install("v1.37.2")...)
	contains(t, h.must("kubeletctl", "status"), `(?m)^  runtime +containerd \S+ \(unix:///.*containerd.sock\)$`)
	h.must("systemctl", "stop", "containerd.service")
	if s := h.status(3); s.State != "unhealthy" {
		t.Errorf("status: %+v", s)
	}
	contains(t, h.exits(3, "kubeletctl", "status").Stdout, "(?m)^error runtime: (the container runtime on .* does not answer|no container runtime listens on )")
	h.must("systemctl", "start", "containerd.service")
	h.eventually("it answers again", func() bool { return h.try("kubeletctl", "status").ExitCode == 0 })
}

// An upgrade brings a first install that was killed to its end before it looks at what is installed.
func TestUpgradeRecoversFirst(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	before := h.ours()
	h.must("sh", "-c", "echo 'v1.37.1 hang' >/run/standin")
	h.try("timeout", append([]string{"-s", "KILL", "3", "kubeletctl"}, h.install("v1.37.1")...)...)
	r := h.exits(4, "kubeletctl", "upgrade", "--version", "v1.37.2")
	contains(t, r.Stderr, "an earlier run was interrupted while it changed this host; undone")
	if after := h.ours(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// The machine loses power between switch and commit. The next run goes back first, says so, and the former kubelet runs.
func TestPowerCutDuringTheChange(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.source = "file:///release" // the same before and after the boot
	h.must("kubeletctl", h.install("v1.37.1")...)
	before := h.ours()
	h.must("sh", "-c", "echo 'v1.37.2 hang' >/run/standin")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running := h.Command(ctx, "kubeletctl", h.install("v1.37.2")...)
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	h.eventually("the new kubelet is being started", func() bool {
		return strings.Contains(h.try("readlink", "/usr/local/bin/kubelet").Stdout, "v1.37.2") && h.show("ActiveState") == "activating"
	})
	if err := h.PowerCut(); err != nil {
		t.Fatal(err)
	}
	_ = running.Wait()
	if err := h.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.eventually("the former kubelet runs", func() bool { return h.show("ActiveState") == "active" })
	h.running("v1.37.1")
	if after := h.kept(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	contains(t, h.must("kubeletctl", "status"), "(?m)recovered: .*an earlier run was interrupted while it changed this host; undone: kubelet v1.37.1 is in place again")
	r := h.exits(0, "kubeletctl", h.install("v1.37.1")...)
	contains(t, r.Stderr, "an earlier run was interrupted")
	contains(t, h.must("kubeletctl", "history"), "(?m)^2 .* v1.37.2 .* reverted: kubeletctl was interrupted$")
	if r := h.exits(0, "kubeletctl", h.install("v1.37.1")...); strings.Contains(r.Stderr, "interrupted") {
		t.Errorf("told twice: %s", r.Stderr)
	}
}

// kubeletctl is killed while it waits for a kubelet that hangs. The timer undoes the change.
func TestKilledDuringTheChange(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.1")...)
	before := h.ours()
	h.must("sh", "-c", "echo 'v1.37.2 hang' >/run/standin")
	h.try("timeout", append([]string{"-s", "KILL", "3", "kubeletctl"}, h.install("v1.37.2")...)...)
	if s := h.status(3); s.State != "interrupted" || s.Problems[0].ID != "interrupted-change" {
		t.Errorf("status after the kill: %+v", s)
	}
	h.eventually("the change is undone", func() bool { return h.try("test", "-e", "/var/lib/kubeletctl/pending").ExitCode != 0 })
	h.eventually("the former kubelet runs", func() bool { return h.show("ActiveState") == "active" })
	h.running("v1.37.1")
	if after := h.kept(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	h.eventually("the timer is gone", func() bool {
		return !strings.Contains(h.must("systemctl", "list-units", "--all", "--no-legend"), "kubeletctl-recover.timer")
	})
}

// Back to what was installed before, and back again; what is old is pruned.
func TestUpgradeAndRollback(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.exits(4, "kubeletctl", "upgrade", "--version", "v1.37.2")
	h.exits(4, "kubeletctl", "rollback")
	h.must("kubeletctl", h.install("v1.37.1", "--set", "maxPods=33")...)
	h.exits(1, "kubeletctl", "rollback")
	contains(t, h.must("kubeletctl", "upgrade", "--version", "v1.37.2"), `kubelet v1\.37\.2 \(generation 2\) is healthy`)
	h.running("v1.37.2")
	contains(t, h.must("cat", "/var/lib/kubelet/kubelet-config.yaml"), "(?m)^maxPods: 33$")
	h.exits(7, "kubeletctl", "upgrade", "--version", "v1.37.1")
	contains(t, h.must("kubeletctl", "rollback"), `kubelet v1\.37\.1 \(generation 3\) is healthy`)
	h.running("v1.37.1")
	contains(t, h.must("kubeletctl", "rollback"), `kubelet v1\.37\.2 \(generation 4\) is healthy`)
	h.running("v1.37.2")
	contains(t, h.must("kubeletctl", "rollback", "--to", "1"), `kubelet v1\.37\.1 \(generation 5\) is healthy`)
	h.running("v1.37.1")
	for i := range 3 {
		h.must("kubeletctl", h.install("v1.37.1", "--keep-generations", "2", "--set", fmt.Sprintf("maxPods=%d", 40+i))...)
	}
	history := h.must("kubeletctl", "history")
	contains(t, history, `(?m)^8 .* healthy \(current\)$`)
	contains(t, history, `(?m)^7 `)
	if lines := strings.Count(history, "\n"); lines != 3 {
		t.Errorf("history has %d lines:\n%s", lines, history)
	}
	if list := h.must("ls", "/usr/local/bin"); strings.Contains(list, "v1.37.2") {
		t.Errorf("the binary of a pruned generation is there:\n%s", list)
	}
	h.exits(1, "kubeletctl", "rollback", "--to", "1")
	h.must("kubeletctl", "uninstall")
}

// A normal user is told what may be read, and what may not.
func TestStatusForANormalUser(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	nobody := []string{"--reuid=65534", "--regid=65534", "--clear-groups", "kubeletctl"}
	r := h.exits(0, "setpriv", append(nobody, "status")...)
	contains(t, r.Stdout, `kubelet v1\.37\.2 is healthy`)
	contains(t, r.Stdout, "unreadable: could not check /var/lib/kubelet/kubelet-config.yaml: permission denied")
	h.must("setpriv", append(nobody, "history")...)
	r = h.exits(1, "setpriv", append(nobody, h.install("v1.37.1")...)...)
	contains(t, r.Stderr, "cannot write /var/lib/kubeletctl")
	contains(t, r.Stderr, "hint: run this as root")
}

// The unit is one that systemd has no complaint about, and the arguments reach kubelet as they were given.
func TestUnitMeansWhatItSays(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	flag := `--lock-file=/run/%h $HOME "x y" \q`
	h.must("kubeletctl", h.install("v1.37.2", "--kubelet-flag", flag)...)
	r := h.exits(0, "systemd-analyze", "verify", "/etc/systemd/system/kubelet.service")
	if text := r.Stdout + r.Stderr; text != "" {
		t.Errorf("systemd-analyze verify prints:\n%s", text)
	}
	args := strings.Split(h.must("cat", "/proc/"+h.show("MainPID")+"/cmdline"), "\x00")
	found := false
	for _, arg := range args {
		found = found || arg == flag
	}
	if !found {
		t.Errorf("kubelet got %q", args)
	}
	joined := []string{"install", "--version", "v1.37.2", "--source", h.source, "--set", "failCgroupV1=false", "--replace"} // with kubelet.path
	contains(t, h.exits(7, "kubeletctl", joined...).Stderr, "(?m)^kubeletctl: error: stops-kubelet: kubelet runs, and would be stopped until one of these exists: /var/lib/kubelet/kubeconfig$")
	h.running("v1.37.2")
	h.must("kubeletctl", append(joined, "--ignore-preflight", "stops-kubelet")...)
	r = h.exits(0, "systemd-analyze", "verify", "/etc/systemd/system/kubelet.path", "/etc/systemd/system/kubelet.service")
	if text := r.Stdout + r.Stderr; text != "" {
		t.Errorf("systemd-analyze verify prints:\n%s", text)
	}
}

// Drift is seen, named, and mended by an install; an administrator's drop-in is reported and stays.
func TestDrift(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	h.must("sh", "-c", `mkdir /etc/systemd/system/kubelet.service.d && printf '[Service]\nEnvironment=A=b\n' >/etc/systemd/system/kubelet.service.d/mine.conf &&
		systemctl daemon-reload && systemctl disable kubelet.service && echo '# mine' >>/var/lib/kubelet/kubelet-config.yaml`)
	r := h.exits(5, "kubeletctl", "diff")
	contains(t, r.Stdout, "(?m)^/var/lib/kubelet/kubelet-config.yaml: edited")
	contains(t, r.Stdout, "(?m)^kubelet.service: not enabled")
	contains(t, r.Stdout, `(?m)^\+# mine`)
	h.exits(7, "kubeletctl", h.install("v1.37.2")...)
	h.must("kubeletctl", h.install("v1.37.2", "--force")...)
	h.running("v1.37.2")
	h.must("kubeletctl", "diff")
	if got := h.must("cat", "/etc/systemd/system/kubelet.service.d/mine.conf"); !strings.Contains(got, "A=b") {
		t.Errorf("the drop-in is now %q", got)
	}
	contains(t, h.must("kubeletctl", "status"), "drop-ins: local drop-ins change the unit")
	h.must("rm", "-r", "/etc/systemd/system/kubelet.service.d")
}

// A provisioning tool takes exit code 0 for a working kubelet: nothing to change is not enough.
func TestNothingToDoOnASickKubelet(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	h.must("sh", "-c", "echo 'v1.37.2 crash' >/run/standin; systemctl restart --no-block kubelet.service; sleep 1")
	r := h.exits(1, "kubeletctl", h.install("v1.37.2")...)
	contains(t, r.Stderr, "nothing to change, but kubelet is not healthy: .*told to crash")
	if s := h.status(3); s.State != "unhealthy" {
		t.Errorf("status: %+v", s)
	}
}

// A node that lost its kubelet: while the old process runs, after it died once, and in the crash loop that follows.
func TestRepairOfALostBinary(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	h.must("sh", "-c", "systemctl kill -s KILL kubelet.service")
	h.eventually("kubelet was started again", func() bool { return h.show("NRestarts") == "1" && h.show("ActiveState") == "active" })
	pid := h.show("MainPID")
	h.must("rm", "/usr/local/bin/kubelet-v1.37.2", "/usr/local/bin/kubeletctl-recover")
	r := h.exits(3, "kubeletctl", "status")
	contains(t, r.Stdout, `error binary-missing: /usr/local/bin/kubelet-v1\.37\.2 is missing: kubelet cannot be started`)
	contains(t, r.Stdout, "warning restarts: systemd had to start kubelet again: once")
	h.must("kubeletctl", "repair")
	h.running("v1.37.2")
	if now := h.show("MainPID"); now != pid {
		t.Errorf("kubelet was restarted: pid %s, then %s", pid, now)
	}
	h.must("sh", "-c", "rm /usr/local/bin/kubelet-v1.37.2; systemctl kill -s KILL kubelet.service")
	h.eventually("kubelet cannot be started", func() bool { return h.show("NRestarts") == "2" && h.show("SubState") == "auto-restart" })
	contains(t, h.exits(3, "kubeletctl", "status").Stdout, "crash-loop: ")
	h.must("kubeletctl", "repair")
	h.running("v1.37.2")
}

// A kubelet that ends before journald has looked at it: what it said has no invocation ID in the journal, and is found all
// the same.
func TestLastWordsInASlowJournal(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	restart := func(before string) {
		h.must("sh", "-c", `journald=$(systemctl show -P MainPID systemd-journald.service)
			kill -STOP $journald
			`+before+`
			systemctl restart --no-block kubelet.service
			sleep 2
			kill -CONT $journald`)
	}
	restart("echo 'v1.37.2 crash' >/run/standin")
	r := h.exits(1, "kubeletctl", h.install("v1.37.2")...)
	contains(t, r.Stderr, "nothing to change, but kubelet is not healthy: .*told to crash")
	contains(t, h.exits(3, "kubeletctl", "status").Stdout, "crash-loop: .*told to crash")

	// Nor has what systemd's child said, for which journald does not even know the unit.
	h.must("systemctl", "stop", "kubelet.service")
	restart("chmod -x /usr/local/bin/kubelet-v1.37.2")
	contains(t, h.exits(3, "kubeletctl", "diagnose").Stdout, `\(exec-denied\)`)
}

// What kubelet's resource managers remember is removed only on request, and comes back with the former kubelet.
func TestManagerState(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.1")...)
	pid := h.show("MainPID")
	static := h.install("v1.37.2", "--set", "cpuManagerPolicy=static", "--set", "reservedSystemCPUs=0")
	r := h.exits(7, "kubeletctl", static...)
	contains(t, r.Stderr, "manager-state: kubelet would refuse to start with /var/lib/kubelet/cpu_manager_state: it was made with the policy none, and cpuManagerPolicy is now static")
	contains(t, r.Stderr, "hint: drain the node")
	if now := h.show("MainPID"); now != pid {
		t.Error("kubelet was restarted")
	}
	h.must("kubeletctl", append(static, "--reset-manager-state")...)
	h.running("v1.37.2")
	state := h.must("cat", "/var/lib/kubelet/cpu_manager_state")
	contains(t, state, `"policyName":"static"`)

	h.must("sh", "-c", "echo 'v1.37.1 crash-after 1s' >/run/standin")
	h.exits(7, "kubeletctl", "rollback")
	r = h.exits(8, "kubeletctl", "rollback", "--reset-manager-state")
	contains(t, r.Stderr, "told to crash")
	h.running("v1.37.2")
	if got := h.must("cat", "/var/lib/kubelet/cpu_manager_state"); got != state {
		t.Errorf("the checkpoint is %q, was %q", got, state)
	}
	h.must("rm", "/run/standin")
	h.must("kubeletctl", "rollback", "--reset-manager-state")
	h.running("v1.37.1")
	contains(t, h.must("cat", "/var/lib/kubelet/cpu_manager_state"), `"policyName":"none"`)
	h.must("kubeletctl", "uninstall")
}

// status --wait ends when kubelet is healthy, and with the status of any other moment when the time is over.
func TestStatusWaits(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	h.must("sh", "-c", "echo 'v1.37.2 late 4s' >/run/standin; systemctl restart kubelet.service")
	began := time.Now()
	contains(t, h.exits(3, "kubeletctl", "status", "--wait", "500ms").Stdout, `^kubelet v1\.37\.2 is unhealthy`)
	out := h.must("kubeletctl", "status", "--wait", "1m")
	if n := strings.Count(out, "installed"); n != 1 || time.Since(began) > 30*time.Second {
		t.Errorf("after %s:\n%s", time.Since(began), out)
	}
	h.running("v1.37.2")
}
