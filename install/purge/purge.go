// Package purge empties the root directory of a kubelet, and nothing else.
//
// That is harder than it sounds: pods have mounted other file systems there, directories of the host among them, and
// installers have erased /etc through them. So first everything that is mounted below is unmounted; the first unmount that
// fails ends it, with nothing deleted. Then the kernel itself is made to stay inside: each directory is opened with openat2(2)
// and RESOLVE_BENEATH, RESOLVE_NO_XDEV and RESOLVE_NO_SYMLINKS, relative to the one above, so that neither a symlink nor a
// mount that appears meanwhile can lead out.
package purge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
)

// Dir is a kubelet's root directory.
type Dir struct {
	// Path has no symlink in it.
	Path string
	// Stays tells why the directory itself is kept when it is empty: it is a mount point, or somebody's symlink leads to it.
	// Empty when it may go.
	Stays string
	// Entries is how many there are in it, and Credentials whether some of them are.
	Entries     int
	Credentials bool
	// Mounts are the mount points below it, in the order in which they can be unmounted.
	Mounts []string
}

// RefusedError reports that a directory is not one to be purged.
type RefusedError struct{ Path, Reason string }

func (e *RefusedError) Error() string { return fmt.Sprintf("%s is not purged: %s", e.Path, e.Reason) }

// BusyError reports that a mount could not be unmounted. Nothing was deleted.
type BusyError struct {
	Mount string
	// Users are processes that have something open there, as "PID (name)".
	Users []string
	Err   error
}

func (e *BusyError) Error() string {
	text := fmt.Sprintf("unmounting %s: %v", e.Mount, e.Err)
	if len(e.Users) > 0 {
		text += ", used by " + strings.Join(e.Users, ", ")
	}
	return text + "; nothing was deleted"
}
func (e *BusyError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *BusyError) Hint() string {
	return "end what uses it, or unmount it by hand, and run this again"
}

// kubeletFiles are, with those that hold its state, the entries of which a kubelet's root directory has at least one, unless
// it is empty.
var kubeletFiles = []string{"pki", "kubelet-config.yaml", "config.yaml", "kubeconfig", "bootstrap-kubeconfig"}

// isCredentials reports whether an entry of kubelet's root directory holds credentials.
func isCredentials(e os.DirEntry) bool {
	return slices.Contains([]string{"pki", "kubeconfig", "bootstrap-kubeconfig"}, e.Name())
}

// Look examines a directory below root ("/" for this host). It returns nil when there is none, and a *RefusedError when it
// is not a kubelet's. It changes nothing.
func Look(root, name string) (*Dir, error) {
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d := &Dir{Path: name}
	if d.Path, err = filepath.EvalSymlinks(name); err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		d.Stays = "it is reached by the symlink " + name
	}
	inside, err := filepath.Rel(root, d.Path)
	if err != nil || inside == ".." || strings.HasPrefix(inside, "../") {
		return nil, &RefusedError{d.Path, "it is outside of " + root}
	}
	if hostfs.IsProtected("/" + inside) {
		return nil, &RefusedError{d.Path, "it is not a directory of kubelet's own"}
	}
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return nil, err
	}
	d.Entries, d.Credentials = len(entries), slices.ContainsFunc(entries, isCredentials)
	if len(entries) > 0 && !slices.ContainsFunc(entries, isKubelets) {
		return nil, &RefusedError{d.Path, "nothing in it looks like a kubelet's"}
	}
	mounts, err := d.mounts()
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		d.Mounts = append(d.Mounts, m.Mountpoint)
	}
	if self, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(d.Path)); err == nil && len(self) > 0 {
		d.Stays = "it is a mount point"
	}
	if d.Stays == "" && isSubvolume(d.Path) {
		d.Stays = "it is a subvolume"
	}
	return d, nil
}

// isSubvolume reports whether a directory is the root of a Btrfs subvolume, which always has the inode number 256.
func isSubvolume(name string) bool {
	var st unix.Stat_t
	var sf unix.Statfs_t
	return unix.Stat(name, &st) == nil && st.Ino == 256 && unix.Statfs(name, &sf) == nil && sf.Type == unix.BTRFS_SUPER_MAGIC
}

// mounts lists what is mounted below the directory, the last one first.
func (d *Dir) mounts() ([]*mountinfo.Info, error) {
	all, err := mountinfo.GetMounts(mountinfo.PrefixFilter(d.Path))
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	all = slices.DeleteFunc(all, func(m *mountinfo.Info) bool { return m.Mountpoint == d.Path })
	slices.Reverse(all)
	return all, nil
}

// mostRounds bounds how often it is looked for mounts that appeared, or came to light, while others were unmounted.
const mostRounds = 100

// Unmount unmounts everything below the directory, also what appears meanwhile. The first failure ends it, as a *BusyError.
func (d *Dir) Unmount(ctx context.Context) error {
	for range mostRounds {
		mounts, err := d.mounts()
		if err != nil || len(mounts) == 0 {
			return err
		}
		// A bind mount of "/" is a peer of it: what is unmounted below one would be unmounted below the other.
		for _, m := range mounts {
			_ = unix.Mount("", m.Mountpoint, "", unix.MS_PRIVATE, "") // whether it was is looked at below
		}
		if mounts, err = d.mounts(); err != nil {
			return err
		}
		everything, err := mountinfo.GetMounts(nil)
		if err != nil {
			return fmt.Errorf("listing mounts: %w", err)
		}
		below, children := map[int]*mountinfo.Info{}, map[int]int{}
		for _, m := range mounts {
			below[m.ID] = m
			children[m.Parent]++
		}
		var hidden *BusyError
		progress := false
		for _, m := range mounts {
			if err := ctx.Err(); err != nil {
				return err
			}
			if peer := d.peerOf(below[m.Parent], everything); peer != "" {
				return &BusyError{Mount: m.Mountpoint, Err: fmt.Errorf("it lies on a mount that is shared with %s, where it would be unmounted, too", peer)}
			}
			if children[m.ID] > 0 { // hidden below another one; they come to light in the next round
				continue
			}
			switch err := unix.Unmount(m.Mountpoint, unix.UMOUNT_NOFOLLOW); {
			case err == nil:
				progress = true
				children[m.Parent]--
			case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT), gone(m.Mountpoint):
				hidden = &BusyError{Mount: m.Mountpoint, Err: err} // by another one on top of it, or it went with a peer
			default:
				return &BusyError{Mount: m.Mountpoint, Users: users(m.Mountpoint), Err: err}
			}
		}
		if hidden != nil && !progress {
			return hidden
		}
	}
	return &BusyError{Mount: d.Path, Err: errors.New("mounts appear below it again and again")}
}

// peerOf finds a mount outside of the directory to which what is done below a mount is passed on: one of the same peer group
// (mount_namespaces(7)). It returns nothing when there is none.
func (d *Dir) peerOf(m *mountinfo.Info, everything []*mountinfo.Info) string {
	if m == nil {
		return ""
	}
	for _, field := range strings.Fields(m.Optional) {
		group, shared := strings.CutPrefix(field, "shared:")
		if !shared {
			continue
		}
		for _, other := range everything {
			outside := other.Mountpoint == d.Path || !strings.HasPrefix(other.Mountpoint, d.Path+"/")
			if outside && slices.ContainsFunc(strings.Fields(other.Optional), func(f string) bool { return f == "shared:"+group || f == "master:"+group }) {
				return other.Mountpoint
			}
		}
	}
	return ""
}

// gone reports that a mount went with another one, of which it was a peer.
func gone(mount string) bool {
	mounted, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(mount))
	return err == nil && len(mounted) == 0
}

// users lists the processes that have a directory or a file open below a mount, at most five.
func users(mount string) []string {
	var list []string
	for _, pattern := range []string{"cwd", "root", "exe", "fd/*"} {
		links, _ := filepath.Glob("/proc/[0-9]*/" + pattern)
		for _, link := range links {
			target, err := os.Readlink(link)
			if err != nil || target != mount && !strings.HasPrefix(target, mount+"/") {
				continue
			}
			pid := strings.Split(link, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			if user := fmt.Sprintf("%s (%s)", pid, strings.TrimSpace(string(name))); !slices.Contains(list, user) && len(list) < 5 {
				list = append(list, user)
			}
		}
	}
	return list
}

// Empty deletes what is in the directory. It stops at the first thing that cannot be deleted, such as a mount that
// appeared, and at the end of ctx; a second call goes on. Where the kernel has no openat2 (before Linux 5.6) it refuses.
func (d *Dir) Empty(ctx context.Context) error {
	fd, err := unix.Open(d.Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: d.Path, Err: err}
	}
	// The entries by which the directory is known as a kubelet's go last, so that a purge that was cut off is not refused when
	// it is run again.
	entries, err := os.ReadDir(d.Path)
	for _, e := range entries {
		if err == nil && !isKubelets(e) {
			err = remove(ctx, fd, e.Name(), filepath.Join(d.Path, e.Name()))
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	return empty(ctx, fd, d.Path)
}

// isKubelets reports whether an entry can hardly be anything else's than a kubelet's.
func isKubelets(e fs.DirEntry) bool {
	return hostfs.IsKubeletState(e.Name()) || slices.Contains(kubeletFiles, e.Name())
}

// Remove removes the directory itself if that may go and nothing is in it.
func (d *Dir) Remove() error {
	if d.Stays != "" {
		return nil
	}
	err := unix.Rmdir(d.Path)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// empty deletes everything in a directory, and closes it. name is for errors.
func empty(ctx context.Context, fd int, name string) error {
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(1000)
		if len(names) == 0 {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
		for _, entry := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := remove(ctx, fd, entry, filepath.Join(name, entry)); err != nil {
				return err
			}
		}
		// What is deleted while a directory is read may hide what is not.
		if _, err := dir.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
}

func remove(ctx context.Context, parent int, entry, name string) error {
	err := unix.Unlinkat(parent, entry, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return &fs.PathError{Op: "unlink", Path: name, Err: err}
	}
	fd, openErr := unix.Openat2(parent, entry, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	switch {
	case errors.Is(openErr, unix.EXDEV):
		return fmt.Errorf("%s is a mount that has appeared meanwhile; what is behind it was not touched", name)
	case errors.Is(openErr, unix.ENOTDIR): // a file that may not be deleted
		return &fs.PathError{Op: "unlink", Path: name, Err: err}
	case errors.Is(openErr, unix.ENOSYS):
		return errors.New("this kernel has no openat2 (Linux 5.6), without which nothing is deleted")
	case openErr != nil:
		return &fs.PathError{Op: "open", Path: name, Err: openErr}
	}
	if err := empty(ctx, fd, name); err != nil {
		return err
	}
	if err := unix.Unlinkat(parent, entry, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "rmdir", Path: name, Err: err}
	}
	return nil
}

// Unused refuses a root directory that a kubelet is working in, whatever program that is a part of: one listens on sockets in
// it for device plugins and for those who ask for its pods' resources.
func Unused(dir string) error {
	data, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return err
	}
	if socket := listener(string(data), dir); socket != "" {
		return &RefusedError{Path: dir, Reason: "a kubelet that kubeletctl did not install listens on " + socket}
	}
	return nil
}

// listener is a socket below a directory on which something listens, of those that /proc/net/unix lists (proc_pid_net(5):
// the path is the last column; the flag 0x10000 is that of a socket that listens). Empty when there is none.
func listener(table, dir string) string {
	const listens = 0x10000
	for line := range strings.Lines(table) {
		columns := strings.Fields(line)
		if len(columns) < 8 || !strings.HasPrefix(columns[7], dir+"/") {
			continue
		}
		if flags, err := strconv.ParseUint(columns[3], 16, 64); err == nil && flags&listens != 0 {
			return columns[7]
		}
	}
	return ""
}
