package testhost

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func start(t *testing.T, o Options) *Host {
	t.Helper()
	if err := Supported(); err != nil {
		t.Skip(err)
	}
	h, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		checkGone(t, h)
	})
	return h
}

// checkGone fails the test when anything of a closed host is still on the machine.
func checkGone(t *testing.T, h *Host) {
	t.Helper()
	if _, err := os.Stat(h.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there", h.dir)
	}
	if mounts, _ := os.ReadFile("/proc/mounts"); bytes.Contains(mounts, []byte(h.dir)) {
		t.Errorf("still mounted below %s", h.dir)
	}
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/", "/run/systemd/nspawn/*/"} {
		if left, _ := filepath.Glob(pattern + h.machine()); left != nil {
			t.Errorf("still there: %v", left)
		}
	}
	cmdlines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range cmdlines {
		if b, _ := os.ReadFile(f); bytes.Contains(b, []byte(h.machine())) {
			t.Errorf("still running: %s: %q", f, b)
		}
	}
}

// output runs a shell command inside that must succeed.
func output(t *testing.T, h *Host, script string) string {
	t.Helper()
	res, err := h.Run(t.Context(), "sh", "-ec", script)
	if err != nil || res.ExitCode != 0 {
		t.Fatalf("%s: %v %+v", script, err, res)
	}
	return strings.TrimSpace(res.Stdout)
}

func TestInside(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "file"), []byte("from outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	h := start(t, Options{Name: "inside", Binds: []string{outside + ":/mnt"}, Log: &log})

	for _, c := range []struct{ name, script, want string }{
		{"systemd", "systemctl is-system-running", "running"},
		{"name", "hostname; getent hosts inside | cut -d' ' -f1", "inside\n127.0.1.1"},
		{"machine ID", "wc -c </etc/machine-id", "33"},
		{"clean environment", "env | sed -n 's/=.*//p' | sort | tr '\n' ' '", "HOME PATH PWD"},
		{"network", "ls /sys/class/net; ip -br address show lo | tr -s ' '", "lo\nlo UNKNOWN 127.0.0.1/8 ::1/128"},
		{"bind", "cat /mnt/file; touch /mnt/x 2>/dev/null || echo , read-only", "from outside, read-only"},
		{"a disk that is not the machine's", "df -h --output=size,pcent /var/lib/kubelet /var/lib/containerd | tail -n +2 | tr -s ' '", "8.0G 0%\n 8.0G 0%"},
		{"sysctl", "cat /proc/sys/kernel/panic /proc/sys/vm/overcommit_memory", "10\n1"},
		{"sysctl is read-only", "for f in kernel/panic vm/swappiness; do test -w /proc/sys/$f || echo no; done", "no\nno"},
		{"limits", "systemd-run -qP -p TasksMax=7 sh -c 'cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/system.slice/*/pids.max /sys/fs/cgroup/pids/system.slice/run*/pids.max 2>/dev/null' | grep -x 7", "7"},
		{"containerd is off", "systemctl is-enabled containerd || true", "disabled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := output(t, h, c.script); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}

	t.Run("exit codes", func(t *testing.T) {
		for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -9 $$": 137, "exec nothing": 127} {
			if res, err := h.Run(t.Context(), "sh", "-c", script); err != nil || res.ExitCode != want {
				t.Errorf("%s: %v %+v, want %d", script, err, res, want)
			}
		}
	})
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := h.Run(ctx, "sleep", "4711"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if res, _ := h.Run(t.Context(), "pgrep", "-f", "sleep 4711"); res.Stdout != "" {
			t.Error("the program inside still runs")
		}
	})
	t.Run("network from outside", func(t *testing.T) {
		out, err := h.Netns(t.Context(), "sh", "-c", "grep -c : /proc/self/net/dev; hostname").Output()
		name, _ := os.Hostname()
		if got := strings.TrimSpace(string(out)); err != nil || got != "1\n"+name {
			t.Errorf("%q %v", got, err)
		}
	})
	t.Run("copy", func(t *testing.T) {
		src := filepath.Join(outside, "file")
		for _, dst := range []string{"/run/new/dir/file", "/var/lib/kubelet/file", "/var/run/file"} {
			if err := h.Copy(src, dst, 0o751); err != nil {
				t.Fatal(err)
			}
			if got := output(t, h, "cat "+dst+"; stat -c ' %a' "+dst); got != "from outside 751" {
				t.Errorf("%s: %q", dst, got)
			}
		}
		if _, err := os.Stat(filepath.Join(h.Root(), "var/lib/kubelet/file")); err != nil {
			t.Error(err)
		}
		if err := h.Copy(src, "relative", 0o644); err == nil {
			t.Error("a relative path was taken")
		}
	})
	if err := h.PowerCut(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(h.Console(), "Reached target") || !strings.Contains(log.String(), "Reached target") {
		t.Errorf("console: %q, log: %q", h.Console(), log.String())
	}
}

func TestPower(t *testing.T) {
	t.Parallel()
	h := start(t, Options{Containerd: true, Prepare: func(root string) error {
		unit := "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\nExecStop=touch /root/stopped\n[Install]\nWantedBy=multi-user.target\n"
		return os.WriteFile(filepath.Join(root, "etc/systemd/system/witness.service"), []byte(unit), 0o644)
	}})
	output(t, h, "ctr version; systemctl enable --now witness")
	id := output(t, h, "echo kept >/root/file; sync /root/file; cat /etc/machine-id")

	if err := h.PowerCut(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Run(t.Context(), "true"); err == nil || h.PID() != 0 {
		t.Error("a host without power runs programs")
	}
	if err := h.Copy("/dev/null", "/root/copied/while-off", 0o600); err != nil {
		t.Error(err)
	}
	if err := h.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Boot(t.Context()); err == nil {
		t.Error("a running host was booted")
	}
	if got := output(t, h, "cat /root/file /etc/machine-id; stat -c %a /root/copied/while-off"); got != "kept\n"+id+"\n600" {
		t.Errorf("after the power cut: %q", got)
	}
	output(t, h, "test ! -e /root/stopped; systemctl is-active containerd witness; ctr version")

	for range 2 { // a second call does nothing
		if err := h.PowerOff(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	output(t, h, "test -e /root/stopped; systemctl is-active containerd; ctr version; test $(cat /proc/sys/kernel/panic) = 10")
}

func TestSeed(t *testing.T) {
	t.Parallel()
	h := start(t, Options{Seed: map[string][]byte{
		"meta-data": []byte("instance-id: one\n"),
		"user-data": []byte("#cloud-config\nwrite_files: [{path: /root/seeded, content: yes indeed}]\n"),
	}})
	if got := output(t, h, "cloud-init status --wait >/dev/null && cat /root/seeded"); got != "yes indeed" {
		t.Errorf("cloud-init wrote %q", got)
	}
}

func TestFailedStart(t *testing.T) {
	t.Parallel()
	if err := Supported(); err != nil {
		t.Skip(err)
	}
	for name, prepare := range map[string]func(root string) error{
		"prepare": func(string) error { return errors.New("no thanks") },
		"boot":    func(root string) error { return os.Remove(filepath.Join(root, "usr/lib/systemd/systemd")) },
	} {
		t.Run(name, func(t *testing.T) {
			var dir string
			h, err := Start(t.Context(), Options{Prepare: func(root string) error {
				dir = filepath.Dir(root)
				return prepare(root)
			}})
			if err == nil || h != nil {
				t.Fatal("started")
			}
			checkGone(t, &Host{dir: dir})
		})
	}
}

func TestNspawnKilled(t *testing.T) {
	t.Parallel()
	h := start(t, Options{}) // whose cleanup is the test
	if err := h.nspawn().signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	if err := Sweep(); err != nil || h.PID() == 0 {
		t.Fatalf("a host with a living owner was swept, or: %v", err)
	}
	owner := exec.Command("true")
	if err := owner.Run(); err != nil {
		t.Fatal(err)
	}
	for _, kept := range []bool{true, false} {
		err := h.update(func(s *state) { s.Owner, s.Kept = process{PID: owner.Process.Pid, Start: "1"}, kept })
		if err != nil {
			t.Fatal(err)
		}
		if err := Sweep(); err != nil {
			t.Fatal(err)
		}
		if alive := h.PID() != 0; alive != kept {
			t.Errorf("kept %v, alive %v", kept, alive)
		}
	}
	checkGone(t, h)
}

func TestIntact(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(tree, marker string) error
		want   bool
	}{
		{"whole", func(string, string) error { return nil }, true},
		{"no marker", func(_, marker string) error { return os.Remove(marker) }, false},
		{"no tree", func(tree, _ string) error { return os.RemoveAll(tree) }, false},
		{"empty file", func(tree, _ string) error { return os.Truncate(filepath.Join(tree, baseFiles[1]), 0) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := filepath.Join(t.TempDir(), "base")
			for _, f := range append([]string{"../marker"}, baseFiles...) {
				f = filepath.Join(tree, f)
				if err := errors.Join(os.MkdirAll(filepath.Dir(f), 0o755), os.WriteFile(f, []byte("x"), 0o755)); err != nil {
					t.Fatal(err)
				}
			}
			marker := filepath.Join(filepath.Dir(tree), "marker")
			if err := c.damage(tree, marker); err != nil {
				t.Fatal(err)
			}
			if got := intact(tree, marker); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
