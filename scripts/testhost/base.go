package testhost

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const suite = "bookworm"

// The first list is what debootstrap can set up on its own; the second needs a
// package manager that orders the installation.
var (
	bootstrapPackages = []string{
		"systemd", "systemd-sysv", "dbus", "udev", "iproute2", "procps", "kmod",
		"ca-certificates", "curl", "jq",
	}
	aptPackages = []string{
		"containerd", "runc", "containernetworking-plugins", "socat", "conntrack",
		"ethtool", "nftables", "cloud-init", "strace", "etcd-server",
	}
)

// unwanted units only slow the boot down, or fail, on a machine that lives for
// seconds and has no hardware.
var unwanted = []string{
	"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer",
	"e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
	"systemd-pstore.service", "systemd-networkd-wait-online.service",
	"getty.target", "console-getty.service", "etcd.service",
}

// baseFiles are the ones whose absence shows that a tree is damaged.
var baseFiles = []string{"usr/lib/systemd/systemd", "usr/bin/containerd", "usr/bin/cloud-init", "usr/bin/etcd"}

// Supported returns nil when hosts can run on this machine, else why they can't.
func Supported() error {
	if os.Geteuid() != 0 {
		return errors.New("test hosts need root")
	}
	for _, name := range []string{"systemd-nspawn", "debootstrap", "nsenter", "unshare"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("test hosts need %s, which is not installed", name)
		}
	}
	if out, err := exec.Command("unshare", "-m", "-u", "-i", "-n", "-p", "-C", "-f", "true").CombinedOutput(); err != nil {
		return fmt.Errorf("test hosts need namespaces, which can't be made here: %s", bytes.TrimSpace(out))
	}
	return nil
}

// CacheDir is where the base tree and the directories of the hosts live. It must
// be on a file system that can carry an overlay's upper layer.
func CacheDir() string {
	if dir := os.Getenv("KUBELETCTL_TEST_CACHE"); dir != "" {
		return dir
	}
	dir := os.Getenv("XDG_CACHE_HOME")
	if dir == "" {
		dir = filepath.Join(os.Getenv("HOME"), ".cache")
	}
	return filepath.Join(dir, "kubeletctl")
}

// Base returns the path of the base tree, and makes it first when there is none
// or a damaged one, which takes about a minute. Callers at the same time, also
// in other processes, wait for the one that makes it.
//
// What goes into the tree is part of its name: another list of packages is
// another tree, never a stale one.
func Base(ctx context.Context) (string, error) {
	version := sha256.Sum256(fmt.Append(nil, bootstrapPackages, aptPackages, unwanted))
	tree := filepath.Join(CacheDir(), fmt.Sprintf("base-%s-%x", suite, version[:5]))
	if strings.ContainsAny(tree, ":,\\ \t\n") {
		return "", fmt.Errorf("an overlay can't be mounted below %q: no colon, comma, backslash or white space, please", CacheDir())
	}
	if err := os.MkdirAll(CacheDir(), 0o755); err != nil {
		return "", err
	}
	locked, err := lock(ctx, tree+".lock")
	if err != nil {
		return "", fmt.Errorf("waiting for the base tree: %w", err)
	}
	defer locked.Close()

	marker := tree + ".complete"
	if intact(tree, marker) {
		return tree, nil
	}
	if err := os.Remove(marker); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := removeTree(tree); err != nil {
		return "", fmt.Errorf("removing an incomplete base tree: %w", err)
	}
	if err := makeBase(ctx, tree, locked); err != nil {
		return "", fmt.Errorf("making the base tree: %w", err)
	}
	// The marker must not outlive a crash that the tree does not survive.
	syscall.Sync()
	return tree, os.WriteFile(marker, nil, 0o644)
}

func intact(tree, marker string) bool {
	if _, err := os.Stat(marker); err != nil {
		return false
	}
	for _, f := range baseFiles {
		if st, err := os.Stat(filepath.Join(tree, f)); err != nil || st.Size() == 0 {
			return false
		}
	}
	return true
}

func makeBase(ctx context.Context, tree string, locked *os.File) error {
	err := build(ctx, locked, "debootstrap", "--variant=minbase", "--include="+strings.Join(bootstrapPackages, ","), suite, tree)
	if err != nil {
		return err
	}
	// No service starts in a chroot without a running systemd, so nothing has to
	// be held back. The PID namespace takes everything down with it.
	script := `mount -t proc proc "$1/proc"
exec chroot "$1" sh -ec 'apt-get -q update; apt-get -qy --no-install-recommends install "$@"; apt-get clean' "$@"`
	args := append([]string{"-m", "-p", "-f", "--kill-child", "sh", "-ec", script, "sh", tree}, aptPackages...)
	if err := build(ctx, locked, "unshare", args...); err != nil {
		return err
	}

	for _, unit := range unwanted {
		if err := symlink("/dev/null", filepath.Join(tree, "etc/systemd/system", unit)); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(filepath.Join(tree, "var/lib/apt/lists")); err != nil {
		return err
	}
	// Every host gets a machine ID at its first boot, and containerd only where asked for.
	if err := os.WriteFile(filepath.Join(tree, "etc/machine-id"), nil, 0o444); err != nil {
		return err
	}
	err = os.Remove(filepath.Join(tree, "etc/systemd/system", containerdWanted))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, f := range []string{"etc/resolv.conf", "etc/hostname"} {
		if err := os.RemoveAll(filepath.Join(tree, f)); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(tree, f), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// build runs one step of makeBase in a process group of its own, so that a
// cancelled step does not go on in its children. They share the lock: when this
// process is killed, whoever is next waits for them to end as well.
func build(ctx context.Context, locked *os.File, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	cmd.ExtraFiles = []*os.File{locked}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, lastLines(out, 20))
	}
	return nil
}

// lock takes an exclusive lock on path, across processes. It is held until the
// file is closed by all who have it.
func lock(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func symlink(target, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(target, path)
}

func lastLines(b []byte, n int) string {
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
