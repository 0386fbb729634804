package hosttest

import (
	"strconv"
	"strings"
	"testing"
)

// topology is a way in which kubelet's root directory is tied to the rest of the host.
type topology struct {
	name string
	// first is shell before the install, do after it; $v is the directory of a pod's volumes. /canary holds what must survive.
	first, do string
	// fails is what the purge says when it may not succeed; free then makes it possible.
	fails, free string
	// stays reports that the root directory is still there afterwards, and empty.
	stays bool
	undo  string
	quick bool
}

var topologies = []topology{
	{name: "nothing mounted", quick: true},
	{name: "bind mount of /etc into a volume", do: `mkdir $v/etc; mount --bind /etc $v/etc`, quick: true},
	{name: "bind mount of a directory with canaries, writable", do: `mkdir $v/c; mount --bind /canary $v/c`},
	{name: "recursive bind mount of /", do: `mkdir $v/root; mount --rbind --make-rslave / $v/root`},
	{name: "bind mount of a single file", do: `touch $v/f; mount --bind /canary/file $v/f`},
	{name: "nested tmpfs", do: `mkdir $v/a; mount -t tmpfs a $v/a; mkdir -p $v/a/b; mount -t tmpfs b $v/a/b; echo x >$v/a/b/x; mount --bind /canary $v/a/b`},
	{name: "mounts on top of each other", do: `mkdir $v/s; mount -t tmpfs a $v/s; mount --make-private $v/s; mount --bind --make-private /canary $v/s; mount -t tmpfs b $v/s; mount --make-private $v/s; mount --bind --make-private /canary $v/s`},
	{name: "a mount on a shared bind mount, seen on both sides", do: `mkdir $v/s; mount --bind /canary $v/s; mount -t tmpfs b /canary/d; echo alive >/canary/d/deep`, undo: `test -e /canary/d/deep; umount /canary/d`},
	{name: "a mount on top of a shared one", do: `mkdir $v/s; mount --bind /canary $v/s; mount -t tmpfs b $v/s`, fails: "it lies on a mount that is shared with /, where it would be unmounted", free: `umount $v/s`},
	{name: "recursive bind mount of /, shared", do: `mkdir $v/root; mount --rbind / $v/root`},
	{name: "symlinks out", do: `ln -s /canary $v/abs; ln -s ../../../../../../../canary $v/rel; ln -s /canary/file $v/file; ln -s / $v/root; ln -s loop $v/loop; mkdir $v/d; ln -s /canary $v/d/deep`, quick: true},
	{name: "hard links to a canary", do: `ln /srv/twin $v/hard 2>/dev/null || mkdir -p $v/none`},
	{name: "root on its own file system", first: `mkdir -p /var/lib/kubelet; mount -t tmpfs k /var/lib/kubelet`, do: `mkdir $v/c; mount --bind /canary $v/c`, stays: true, undo: `umount /var/lib/kubelet`},
	{name: "root a symlink", first: `mkdir -p /srv/data/kubelet; rm -rf /var/lib/kubelet; ln -s /srv/data/kubelet /var/lib/kubelet`, do: `mkdir $v/c; mount --bind /canary $v/c`, stays: true, undo: `rm /var/lib/kubelet`},
	{name: "root a symlink to /etc", do: `systemctl stop kubelet; umount -R /var/lib/kubelet 2>/dev/null || true; mv /var/lib/kubelet /srv/moved; ln -s /etc /var/lib/kubelet`, fails: "is not purged: it is not a directory of kubelet's own", free: `rm /var/lib/kubelet; mv /srv/moved /var/lib/kubelet`},
	{name: "a busy mount", do: `mkdir $v/busy; mount -t tmpfs b $v/busy; echo x >$v/busy/x; systemd-run -q --unit=busy --working-directory=$v/busy sleep 600`, fails: `unmounting .*/busy: device or resource busy, used by \d+ \(sleep\); nothing was deleted`, free: `systemctl stop busy; systemctl reset-failed busy 2>/dev/null || true`, quick: true},
	{name: "a mount that appears during the deletion", do: `mkdir -p $v/many; (cd $v/many; for i in $(seq 60); do mkdir -p d$i; (cd d$i; seq 150 | xargs touch); done)
		systemd-run -q --unit=intruder sh -c 'while :; do for i in 20 40 59; do d=/var/lib/kubelet/pods/u/volumes/many/d$i; mountpoint -q $d || mount --bind /canary $d 2>/dev/null; done; sleep 0.005; done'`,
		fails: "", free: `systemctl stop intruder; systemctl reset-failed intruder 2>/dev/null || true`},
	{name: "read-only mount", do: `mkdir $v/ro; mount --bind /canary $v/ro; mount -o remount,bind,ro $v/ro`},
	{name: "overlay with a canary as upper layer", do: `mkdir -p $v/o /canary/w; mount -t tmpfs t /srv/ov; mkdir -p /srv/ov/u /srv/ov/w; echo x >/srv/ov/u/keep; mount -t overlay o -o lowerdir=/canary,upperdir=/srv/ov/u,workdir=/srv/ov/w $v/o`, undo: `test -e /srv/ov/u/keep; umount /srv/ov`},
	{name: "blanks and newlines in the path", do: `d="$v/a b
c\\134"; mkdir -p "$d"; mount --bind /canary "$d"; touch "$v/-rf" "$v/*"`},
	{name: "the root bound into itself", do: `mkdir $v/self; mount --bind /var/lib/kubelet $v/self`},
	{name: "a shared peer elsewhere", first: `mkdir -p /var/lib/kubelet /srv/peer; mount --bind /var/lib/kubelet /var/lib/kubelet; mount --make-shared /var/lib/kubelet; mount --bind /var/lib/kubelet /srv/peer`, do: `mkdir $v/c; mount --bind /canary $v/c`, stays: true,
		undo: `umount /srv/peer; umount /var/lib/kubelet`},
	{name: "special files and odd modes", do: `mkfifo $v/fifo; mkdir $v/locked; touch $v/locked/x; chmod 000 $v/locked $v; python3 -c 1 2>/dev/null || true; mkdir -p /var/lib/kubelet/$(printf 'd%.0s/' $(seq 300))`},
}

// A purge deletes what is kubelet's, whatever is mounted there, and nothing else.
func TestPurgeSweep(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("sh", "-ec", `mkdir -p /canary/d /srv/ov; echo alive >/canary/file; echo alive >/canary/d/deep`)
	survivors := func() string {
		return h.must("sh", "-c", `cat /canary/file /canary/d/deep; ls /canary /canary/d | sort; find /etc -xdev -type f ! -path '/etc/systemd/*' | sort | xargs -d '\n' sha256sum`)
	}
	h.must("mkdir", "-p", "/canary/w")
	alive := survivors()
	tried, lost := 0, 0
	for _, top := range topologies {
		if !top.quick && !fullSweep() {
			continue
		}
		tried++
		t.Run(top.name, func(t *testing.T) {
			h := h.in(t)
			sh := func(script string) {
				if script != "" {
					h.must("sh", "-ec", "v=/var/lib/kubelet/pods/u/volumes\n"+script)
				}
			}
			defer func() {
				if survivors() != alive {
					lost++
					t.Errorf("canaries lost:\n%s", difference(alive, survivors()))
				}
			}()
			// A host may keep it on a file system of its own, which is not this test's.
			sh("umount -R /var/lib/kubelet 2>/dev/null || true")
			if h.try("grep", "-q", " /var/lib/kubelet", "/proc/self/mountinfo").ExitCode == 0 {
				t.Fatal("something is still mounted there; deleting it could delete the host")
			}
			sh("rm -rf /var/lib/kubelet")
			sh(top.first)
			h.must("kubeletctl", h.install("v1.37.2", "--wait", "0", "--skip-rehearsal")...)
			h.must("sh", "-ec", "mkdir -p /var/lib/kubelet/pods/u/volumes /var/lib/kubelet/pki; echo secret >/var/lib/kubelet/pki/key")
			sh(top.do)
			r := h.exits(7, "kubeletctl", "uninstall", "--purge")
			contains(t, r.Stderr, "purge: |is not purged")
			r = h.try("kubeletctl", "uninstall", "--purge", "--yes")
			if top.fails != "" {
				if r.ExitCode == 0 {
					t.Fatalf("it was purged:\n%s%s", r.Stdout, r.Stderr)
				}
				contains(t, r.Stderr, top.fails)
				if !strings.HasPrefix(top.name, "root a symlink") {
					h.must("cat", "/var/lib/kubelet/pki/key")
				}
				if strings.Contains(r.Stderr, "nothing was deleted") {
					contains(t, r.Stderr, "kubelet is as it was before")
					h.eventually("kubelet runs again", func() bool { return h.show("ActiveState") == "active" && h.show("UnitFileState") == "enabled" })
				}
			}
			if r.ExitCode != 0 && top.fails == "" && top.free == "" {
				t.Fatalf("exit code %d:\n%s", r.ExitCode, r.Stderr)
			}
			first := strings.TrimSpace(strings.TrimPrefix(r.Stderr[max(0, strings.Index(r.Stderr, "error:")):], "error:"))
			if r.ExitCode != 0 {
				sh(top.free)
				h.must("kubeletctl", "uninstall", "--purge", "--yes")
			} else {
				sh(top.free)
				first = "purged"
			}
			if left := h.try("sh", "-c", "ls -A /var/lib/kubelet/").Stdout; left != "" {
				t.Errorf("left: %q", left)
			}
			if there := h.try("test", "-e", "/var/lib/kubelet").ExitCode == 0; there != top.stays {
				t.Errorf("the root directory is there: %t, want %t", there, top.stays)
			}
			if mounts := h.must("sh", "-c", "grep -c '/var/lib/kubelet/' /proc/self/mountinfo || true"); strings.TrimSpace(mounts) != "0" {
				t.Errorf("still mounted: %s", mounts)
			}
			h.exits(4, "kubeletctl", "status")
			sh(top.undo)
			line, _, _ := strings.Cut(first, "\n")
			t.Logf("%s: %s", top.name, line)
		})
	}
	t.Logf("verdict: %d topologies, %d canaries lost", tried, lost)
}

// A purge that is killed can be run again, wherever it was: it goes on, and is as careful as before.
func TestPurgeIsKilled(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.trace()
	h.must("sh", "-ec", "mkdir -p /canary; echo alive >/canary/file; umount -R /var/lib/kubelet 2>/dev/null || true")
	purge := []string{"kubeletctl", "uninstall", "--purge", "--yes"}
	prepare := func() {
		h.must("kubeletctl", h.install("v1.37.2", "--wait", "0", "--skip-rehearsal")...)
		h.must("sh", "-ec", `cd /var/lib/kubelet; mkdir -p pods/u/volumes/c pki other/deep aaa zzz; mount --bind /canary pods/u/volumes/c
			for d in pods/u pki other/deep aaa zzz; do touch $d/file; done`)
	}
	prepare()
	all := h.points(purge)
	tried := 0
	for _, p := range chosen(all, 12) {
		prepare()
		r := h.try("tracer", append([]string{"kill", strconv.Itoa(p.n)}, purge...)...)
		if r.ExitCode == 99 {
			continue
		}
		tried++
		if r := h.try(purge[0], purge[1:]...); r.ExitCode != 0 {
			t.Errorf("killed at call %d (%s), then exit code %d:\n%s", p.n, p.what, r.ExitCode, r.Stderr)
		}
		if h.try("sh", "-c", "test -z \"$(ls -A /var/lib/kubelet 2>/dev/null)\" && test ! -e /var/lib/kubeletctl && test ! -e /etc/systemd/system/kubelet.service").ExitCode != 0 {
			t.Errorf("killed at call %d (%s), not purged:\n%s", p.n, p.what, h.try("sh", "-c", "find /var/lib/kubelet /var/lib/kubeletctl; ls /etc/systemd/system").Stdout)
			h.try("sh", "-c", "umount -R /var/lib/kubelet/pods/u/volumes/c; rm -rf /var/lib/kubeletctl /etc/systemd/system/kubelet*; systemctl daemon-reload")
		}
		if got := h.must("cat", "/canary/file"); got != "alive\n" {
			t.Fatalf("killed at call %d (%s): the canary is %q", p.n, p.what, got)
		}
	}
	if tried < 5 {
		t.Errorf("only %d of %d calls were tried", tried, len(all))
	}
	t.Logf("verdict: %d calls, %d tried", len(all), tried)
}
