package hosttest

import (
	"context"
	"strings"
	"testing"
)

// nobody is a command that a user without any rights runs.
func nobody(command ...string) []string {
	return append([]string{"--reuid=65534", "--regid=65534", "--clear-groups"}, command...)
}

// The lock is root's: nobody else gets hold of it, and whoever does all the same stops neither a change nor the recovery.
func TestLockOfAnotherUser(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	const lock = "/var/lib/kubeletctl/lock"
	h.must("kubeletctl", h.install("v1.37.1")...)
	if r := h.try("setpriv", nobody("flock", "-n", lock, "true")...); r.ExitCode == 0 || !strings.Contains(r.Stderr, "cannot open lock file") {
		t.Errorf("a normal user may hold the lock: exit code %d, %s", r.ExitCode, r.Stderr)
	}
	// An older kubeletctl made the lock readable, and a stranger has it open since. It waits where the lock is held.
	intrude := func() {
		h.must("sh", "-ec", "systemctl stop stranger 2>/dev/null || true; chmod 644 "+lock)
		h.must("systemd-run", "-q", "--collect", "--unit=stranger", "-p", "User=nobody", "-p", "KillSignal=SIGKILL", "flock", lock, "sleep", "600")
		h.eventually("the stranger has opened the lock", func() bool {
			return h.try("sh", "-c", "ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q "+lock+" && pgrep -u nobody flock").ExitCode == 0
		})
		h.must("chmod", "600", lock)
	}
	holds := func() bool { return h.try("pgrep", "-u", "nobody", "sleep").ExitCode == 0 }

	intrude()
	h.eventually("the stranger holds the lock", holds)
	h.must("kubeletctl", "upgrade", "--version", "v1.37.2")
	h.running("v1.37.2")
	if mode := strings.TrimSpace(h.must("stat", "-c", "%a %U", lock)); mode != "600 root" {
		t.Errorf("the lock is %s", mode)
	}

	before := h.ours()
	h.must("sh", "-c", "echo 'v1.37.1 hang' >/run/standin")
	change := h.Command(context.Background(), "kubeletctl", h.install("v1.37.1")...)
	if err := change.Start(); err != nil {
		t.Fatal(err)
	}
	h.eventually("the new kubelet is being started", func() bool { return h.show("ActiveState") == "activating" })
	intrude()
	h.must("sh", "-c", "kill -KILL $(cat "+lock+")")
	_ = change.Wait()
	h.eventually("the stranger holds the lock", holds)
	h.eventually("the change is undone", func() bool { return h.try("test", "-e", "/var/lib/kubeletctl/pending").ExitCode != 0 })
	h.eventually("the former kubelet runs", func() bool { return h.show("ActiveState") == "active" })
	h.running("v1.37.2")
	if after := h.ours(); after != before {
		t.Errorf("files changed:\n%s", difference(before, after))
	}
	if !holds() {
		t.Error("the stranger let go of the lock")
	}
}

// root does not run what lies where somebody else may put it.
func TestBinDirOfAnotherUser(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	tests := []struct{ name, make, dir, whose string }{
		{name: "of another user", make: "mkdir -p $d; chown 65534 $d", dir: "/srv/a", whose: "/srv/a"},
		{name: "below one of another user", make: "mkdir -p $d; chown 65534 /srv/b", dir: "/srv/b/c/bin", whose: "/srv/b"},
		{name: "to be made below one of another user", make: "mkdir -p /srv/c; chown 65534 /srv/c", dir: "/srv/c/d/bin", whose: "/srv/c"},
		{name: "world-writable", make: "mkdir -p $d; chmod 777 $d", dir: "/srv/d", whose: "/srv/d"},
		{name: "below a world-writable one", make: "mkdir -p $d; chmod 777 /srv/e", dir: "/srv/e/bin", whose: "/srv/e"},
		{name: "world-writable and sticky", make: "mkdir -p $d; chmod 1777 $d", dir: "/srv/f", whose: "/srv/f"},
		{name: "of a group", make: "mkdir -p $d; chown 0:65534 $d; chmod 775 $d", dir: "/srv/g", whose: "/srv/g"},
		{name: "a link into one of another user", make: "mkdir -p /srv/h/bin; chown 65534 /srv/h; ln -s /srv/h/bin /srv/link", dir: "/srv/link", whose: "/srv/h"},
		{name: "a link in one of another user", make: "mkdir -p /srv/i /srv/own; ln -s ../own /srv/i/link; chown 65534 /srv/i", dir: "/srv/i/link", whose: "/srv/i"},
		{name: "below a link into one of another user", make: "mkdir -p /srv/j; ln -s j /srv/way; chown 65534 /srv/j", dir: "/srv/way/bin", whose: "/srv/j"},
	}
	before := h.ours()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := h.in(t)
			h.must("sh", "-ec", "d="+tt.dir+"; "+tt.make)
			r := h.exits(7, "kubeletctl", h.install("v1.37.2", "--bin-dir", tt.dir)...)
			contains(t, r.Stderr, "(?m)^kubeletctl: error: bin-dir: users other than root may write to "+tt.whose+",")
			if left := h.must("find", "/srv", "!", "-type", "d", "!", "-type", "l"); left != "" {
				t.Errorf("left:\n%s", left)
			}
			if after := h.ours(); after != before {
				t.Errorf("files changed:\n%s", difference(before, after))
			}
		})
	}
	// The same goes for the record, by which the recovery goes.
	h.must("sh", "-ec", "mkdir -m 777 /var/lib/kubeletctl")
	contains(t, h.exits(7, "kubeletctl", h.install("v1.37.2")...).Stderr, "(?m)^kubeletctl: error: state-dir: users other than root may write to /var/lib/kubeletctl, and")
	h.must("rmdir", "/var/lib/kubeletctl")
	// What is sticky is everybody's, but nobody can take away what root has put there.
	h.must("sh", "-ec", "mkdir -p /srv/tmp/bin; chmod 1777 /srv/tmp; ln -s /srv/tmp /srv/good")
	h.must("kubeletctl", h.install("v1.37.2", "--bin-dir", "/srv/good/bin")...)
	h.must("kubeletctl", "uninstall")
}
