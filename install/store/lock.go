package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
)

// lockFile is held by a run that changes something. Its mode is 0600: whoever may open it may hold it.
const lockFile = hostfs.StateDir + "/lock"

// LockedError reports that another run holds the lock.
type LockedError struct {
	// PID of that run; 0 when it could not be read.
	PID int
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return "another kubeletctl is changing this host"
	}
	return fmt.Sprintf("another kubeletctl (pid %d) is changing this host", e.PID)
}

// Hint says what to do about it.
func (e *LockedError) Hint() string { return "wait until it is done, then run this again" }

// Lock takes the lock, or fails with a *LockedError. A lock that no kubeletctl holds is passed by. The release function
// also removes what would be left of a record in which no generation was ever committed, so that a run that changed
// nothing leaves nothing.
func (s Store) Lock() (release func(), err error) {
	if _, err := formatOf(s.tree); err != nil {
		return nil, err
	}
	// Whoever held the lock before may be removing the file and the directory: a lock on a file that nobody else can find
	// is none, so look again, a bounded number of times.
	for range 100 {
		// MkdirAll, too, fails when the directory comes and goes under it.
		if err := s.tree.MkdirAll(hostfs.StateDir, 0o755); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		lock, err := s.tree.OpenLock(lockFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("locking %s: %w", lockFile, err)
		}
		held, err := tryLock(s.tree, lock)
		if err != nil {
			_ = lock.Close()
			return nil, err
		}
		if held {
			return func() { s.unlock(lock) }, nil
		}
		_ = lock.Close()
	}
	return nil, &LockedError{}
}

// tryLock takes the lock on an open lock file. It returns false when that turned out not to be the lock any more.
func tryLock(tree hostfs.Tree, lock *os.File) (held bool, err error) {
	held, pid, ours, err := flock(lock)
	if err != nil {
		return false, fmt.Errorf("locking %s: %w", lockFile, err)
	}
	if ours {
		return false, &LockedError{PID: pid}
	}
	mine, err1 := lock.Stat()
	there, err2 := tree.Lstat(lockFile)
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		return false, nil // another run has removed it already
	}
	if !held {
		return false, tree.Remove(lockFile) // whoever holds it keeps a file that has no name
	}
	if err := lock.Truncate(0); err != nil {
		return false, fmt.Errorf("locking %s: %w", lockFile, err)
	}
	if _, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return false, fmt.Errorf("locking %s: %w", lockFile, err)
	}
	return true, nil
}

// flock takes a lock, or returns who holds it, and whether that is a kubeletctl: those write their pid into the file. One that
// has just got the lock is given a moment to do so, as is one that is just giving it up. A holder whom the kernel does not
// name is taken for one.
func flock(lock *os.File) (held bool, pid int, ours bool, err error) {
	for range 10 {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err == nil, 0, false, err
		}
		holders, known := holders(lock)
		text := make([]byte, 32)
		n, _ := lock.ReadAt(text, 0)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text[:n])))
		if pid > 0 && slices.Contains(holders, pid) || slices.ContainsFunc(holders, isOurs) {
			return false, pid, true, nil
		}
		ours = !known
		time.Sleep(20 * time.Millisecond)
	}
	return false, pid, ours, nil
}

// holders are the pids of those that hold a lock on a file, by /proc/locks, where the inode number alone may be that of a file
// on another file system, too. It is not known when the holder is in another pid namespace.
func holders(lock *os.File) (pids []int, known bool) {
	info, err := lock.Stat()
	if err != nil {
		return nil, false
	}
	return holdersOf(info)
}

func holdersOf(info os.FileInfo) (pids []int, known bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	locks, err := os.ReadFile("/proc/locks")
	if !ok || err != nil {
		return nil, false
	}
	inode := fmt.Sprintf(":%d", st.Ino)
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF (proc_locks(5))
		f := strings.Fields(line)
		if len(f) > 5 && f[1] == "FLOCK" && strings.HasSuffix(f[5], inode) {
			if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	return pids, len(pids) > 0
}

// Busy reports whether a run of kubeletctl holds the lock, and its pid. It takes no lock itself, which could be in the way of
// a run that starts at the same moment.
func (s Store) Busy() (pid int, busy bool) {
	info, err := s.tree.Lstat(lockFile)
	if err != nil || !info.Mode().IsRegular() {
		return 0, false
	}
	holders, _ := holdersOf(info)
	text, err := s.tree.ReadRegular(lockFile, 32)
	written, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	for _, pid := range holders {
		if err == nil && pid == written || errors.Is(err, fs.ErrPermission) && isKubeletctl(pid) {
			return pid, true
		}
	}
	return 0, false
}

// isOurs reports whether a process is a kubeletctl of root's: one in a container has written the pid that it has there, and one
// that is slow has not written any yet.
func isOurs(pid int) bool {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == 0 && isKubeletctl(pid)
}

// isKubeletctl reports whether a process calls itself kubeletctl, which a normal user may see as well.
func isKubeletctl(pid int) bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err == nil && strings.HasPrefix(string(name), "kubeletctl")
}

func (s Store) unlock(lock *os.File) {
	var own []string
	for _, file := range []string{"pending", "current", "cordoned", "joining", noticeFile, downloadFile, formatFile, "verified.json"} {
		own = append(own, in(file))
	}
	_ = dropTemporary(s.tree, own)
	if current, err := s.Current(); current == nil && err == nil {
		if _, err := s.tree.Lstat(PendingFile); errors.Is(err, fs.ErrNotExist) {
			_ = s.tree.RemoveAll(in("generations"))
			for _, file := range []string{in("verified.json"), in("markers.json"), in(formatFile), lockFile} {
				_ = s.tree.Remove(file)
			}
			_ = s.tree.Rmdir(hostfs.StateDir) // it stays when something of somebody else's is in it
		}
	} else {
		_ = lock.Truncate(0)
	}
	// A process that is just being started has the descriptor, too, until it executes its program: closing ours would not
	// be enough (flock(2)).
	_ = unix.Flock(int(lock.Fd()), unix.LOCK_UN)
	_ = lock.Close()
}
