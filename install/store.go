package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gofrs/flock"
)

// Store keeps generations on disk:
//
//	/var/lib/kubeletctl/
//	  lock                        held by a run that changes something; its content is the pid
//	  current                     symlink to generations/N; replaced by rename, which is the commit
//	  pending                     the number of a generation that is being applied
//	  generations/N/
//	    generation.json           written last: it marks a complete generation
//	    before.json               the host as it was right before
//	    wanted.json               what was about to be installed; only until the commit
//	    reverted.json             what was tried, when that is all that is left of it
//	    files/SHA256              the bytes of every text of both
//	  download                    the binary that is being fetched, until a generation has it
//	  verified.json               see fingerprints
//	  markers.json                see release.Answers
//	  recovered                   what kubeletctl-recover.service did, until a run has told it
//
// generations/0 is the host before the first install.
type Store struct{ tree Tree }

// LockedError tells that another run holds the lock.
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

// DamagedError tells that the record of what was installed can not be made sense of.
type DamagedError struct{ Err error }

func (e *DamagedError) Error() string { return e.Err.Error() }
func (e *DamagedError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *DamagedError) Hint() string {
	return "the record in " + StateDir + " is damaged; put it back from a backup, or move it away and take the host over with kubeletctl install --force"
}

func damaged(format string, args ...any) error { return &DamagedError{fmt.Errorf(format, args...)} }

func (s Store) locate(elem ...string) (string, error) {
	return s.tree.Locate(path.Join(append([]string{StateDir}, elem...)...))
}

// Lock takes the lock, or fails with a *LockedError. The release function also removes what would be left of a store in
// which no generation was ever committed, so that a run that came to nothing leaves nothing.
func (s Store) Lock() (release func(), err error) {
	dir, err := s.locate()
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "lock")
	// Whoever held the lock before may be removing the file and the directory: a lock on a file that nobody else can find
	// is none, so look again, a bounded number of times.
	for range 100 {
		// MkdirAll, too, fails when the directory comes and goes under it.
		if err := os.MkdirAll(dir, 0o755); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		lock := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o644))
		held, err := lock.TryLock()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("locking %s: %w", name, err)
		}
		if !held {
			pid := 0
			if text, err := os.ReadFile(name); err == nil {
				pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
			}
			return nil, &LockedError{PID: pid}
		}
		ours, err1 := lock.Stat()
		there, err2 := os.Stat(name)
		if err1 != nil || err2 != nil || !os.SameFile(ours, there) {
			_ = lock.Close()
			continue
		}
		if err := os.WriteFile(name, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
			_ = lock.Close()
			return nil, fmt.Errorf("locking %s: %w", name, err)
		}
		return func() { s.unlock(lock, dir, name) }, nil
	}
	return nil, &LockedError{}
}

// dropTemporary deletes what runs that were killed had not renamed yet, of the record's own files.
func (s Store) dropTemporary(dir string) {
	for _, file := range []string{"pending", "current", "recovered", "download", "verified.json"} {
		left, _ := temporary(filepath.Join(dir, file))
		for _, name := range left {
			_ = os.RemoveAll(name)
		}
	}
}

func (s Store) unlock(lock *flock.Flock, dir, name string) {
	s.dropTemporary(dir)
	if current, err := s.Current(); current == nil && err == nil {
		if _, err := os.Lstat(filepath.Join(dir, "pending")); errors.Is(err, fs.ErrNotExist) {
			_ = os.RemoveAll(filepath.Join(dir, "generations"))
			_ = os.Remove(filepath.Join(dir, "verified.json"))
			_ = os.Remove(filepath.Join(dir, "markers.json"))
			_ = os.Remove(name)
			_ = os.Remove(dir) // stays when something of somebody else's is in it
		}
	} else {
		_ = os.Truncate(name, 0)
	}
	_ = lock.Close()
}

// Busy tells whether a run holds the lock, and its pid. It looks in /proc/locks and takes no lock itself, which could be in
// the way of a run that starts at the same moment.
func (s Store) Busy() (pid int, busy bool) {
	name, err := s.locate("lock")
	if err != nil {
		return 0, false
	}
	info, err := os.Stat(name)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	locks, err := os.ReadFile("/proc/locks")
	if !ok || err != nil {
		return 0, false
	}
	inode := fmt.Sprintf(":%d", st.Ino)
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF (proc_locks(5))
		if f := strings.Fields(line); len(f) > 5 && f[1] == "FLOCK" && strings.HasSuffix(f[5], inode) {
			text, _ := os.ReadFile(name)
			pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
			return pid, true
		}
	}
	return 0, false
}

// Current returns the committed generation, or nil when there is none. Should the symlink be lost, it is the newest one
// that is complete.
func (s Store) Current() (*Generation, error) {
	link, err := s.locate("current")
	if err != nil {
		return nil, err
	}
	target, err := os.Readlink(link)
	if errors.Is(err, fs.ErrNotExist) {
		all, err := s.List()
		if err != nil || len(all) == 0 {
			return nil, err
		}
		return all[len(all)-1], nil
	}
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(path.Base(target))
	if err != nil {
		return nil, damaged("%s points to %s, which is not a generation", link, target)
	}
	return s.Load(n)
}

// Empty tells that there is no record at all, also not what a run that was killed left of it.
func (s Store) Empty() bool {
	dir, err := s.locate()
	if err != nil {
		return false
	}
	_, err = os.Lstat(dir)
	return errors.Is(err, fs.ErrNotExist)
}

// Installed returns the committed generation, or ErrNotInstalled.
func (s Store) Installed() (*Generation, error) {
	current, err := s.Current()
	if err == nil && (current == nil || current.Snapshot) {
		err = ErrNotInstalled
	}
	return current, err
}

// Load reads one generation, with its texts as far as they can be read.
func (s Store) Load(n int) (*Generation, error) { return s.read(n, "generation.json", true) }

// Before reads what the host was right before generation n.
func (s Store) Before(n int) (*Generation, error) { return s.read(n, "before.json", true) }

// Wanted reads what a pending change was to lead to.
func (s Store) Wanted(n int) (*Generation, error) { return s.read(n, "wanted.json", true) }

func (s Store) read(n int, name string, texts bool) (*Generation, error) {
	dir, err := s.locate("generations", strconv.Itoa(n))
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("reading generation %d: %w", n, err)
	}
	if err != nil {
		return nil, damaged("reading generation %d: %w", n, err)
	}
	var g Generation
	if err := json.Unmarshal(data, &g); err != nil {
		return nil, damaged("reading generation %d: %s: %w", n, name, err)
	}
	if !texts {
		return &g, nil
	}
	for i, f := range g.Files {
		if f.Kind != Text {
			continue
		}
		blob := filepath.Join(dir, "files", f.SHA256)
		info, err := os.Stat(blob)
		if err == nil && info.Size() > maxText {
			g.Files[i].source = blob
			continue
		}
		g.Files[i].Content, err = os.ReadFile(blob)
		if err != nil && !errors.Is(err, fs.ErrPermission) { // a normal user may still ask for the status
			return nil, damaged("reading generation %d: %w", n, err)
		}
	}
	return &g, nil
}

// List returns the complete generations from 1 on, oldest first.
func (s Store) List() ([]*Generation, error) { return s.all("generation.json") }

func (s Store) all(name string) ([]*Generation, error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, err
	}
	var all []*Generation
	for _, n := range numbers {
		if n == 0 {
			continue
		}
		g, err := s.read(n, name, true)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a change that was undone, or whose end was not reached
		}
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
}

func (s Store) numbers() ([]int, error) {
	dir, err := s.locate("generations")
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// Next is the number that a new generation gets.
func (s Store) Next() (int, error) {
	numbers, err := s.numbers()
	if err != nil || len(numbers) == 0 {
		return 1, err
	}
	return numbers[len(numbers)-1] + 1, nil
}

// Begin records a generation that is about to be applied and the host as it is before, and marks the change as pending.
// The very first one also records generation 0.
func (s Store) Begin(want, before *Generation) error {
	if current, err := s.Current(); err != nil {
		return err
	} else if current == nil {
		if err := s.write(0, "generation.json", before); err != nil {
			return err
		}
	}
	if err := s.write(before.Number, "before.json", before); err != nil {
		return err
	}
	if err := s.write(before.Number, "wanted.json", want); err != nil {
		return err
	}
	return s.mark(before.Number)
}

// mark writes the pending marker.
func (s Store) mark(n int) error {
	name, err := s.locate("pending")
	if err != nil {
		return err
	}
	return writeAtomic(name, 0o644, nil, strings.NewReader(strconv.Itoa(n)+"\n"))
}

// Pending returns the number of a generation whose change did not end, and whether there is one.
func (s Store) Pending() (int, bool, error) {
	name, err := s.locate("pending")
	if err != nil {
		return 0, false, err
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, false, damaged("%s does not hold the number of a generation", name)
	}
	return n, true, nil
}

// Commit makes a generation the current one. From here on an interruption no longer undoes it; the change is pending
// until Settle.
func (s Store) Commit(g *Generation) error {
	if err := s.write(g.Number, "generation.json", g); err != nil {
		return err
	}
	return s.point(g.Number)
}

// Settle ends a change that was committed.
func (s Store) Settle(n int) error {
	if err := s.endDownload(); err != nil {
		return err
	}
	if err := s.clearPending(); err != nil {
		return err
	}
	name, err := s.locate("generations", strconv.Itoa(n), "wanted.json")
	if err != nil {
		return err
	}
	return removeFile(name)
}

// point moves current.
func (s Store) point(n int) error {
	link, err := s.locate("current")
	if err != nil {
		return err
	}
	return linkAtomic(path.Join("generations", strconv.Itoa(n)), link)
}

func (s Store) clearPending() error {
	name, err := s.locate("pending")
	if err != nil {
		return err
	}
	return removeFile(name)
}

// Abandon ends a change that was undone, also if its commit had half happened, and keeps of it what history
// tells, if there is a reason to; current is the one that counts, nil for none: then nothing is kept.
func (s Store) Abandon(tried, current *Generation) error {
	n := tried.Number
	link, err := s.locate("current")
	if err != nil {
		return err
	}
	if target, err := os.Readlink(link); err == nil && path.Base(target) == strconv.Itoa(n) {
		if current == nil {
			err = removeFile(link)
		} else {
			err = s.point(current.Number)
		}
		if err != nil {
			return err
		}
	}
	kept := false
	if current != nil && tried.Reason != "" {
		left := *tried
		left.Files, left.Units, left.Dirs, left.Spec = nil, nil, nil, nil
		kept = s.write(n, "reverted.json", &left) == nil // a full disk must not keep the host from being as before
	}
	if err := s.clearPending(); err != nil {
		return err
	}
	if !kept {
		return s.Remove(n)
	}
	dir, err := s.locate("generations", strconv.Itoa(n))
	if err != nil {
		return err
	}
	for _, name := range []string{"generation.json", "wanted.json", "before.json", "files"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// Remove forgets a generation.
func (s Store) Remove(n int) error {
	dir, err := s.locate("generations", strconv.Itoa(n))
	if err != nil {
		return err
	}
	// First what makes it complete: a half removed one must not be taken for one to go back to.
	for _, name := range []string{"generation.json", "reverted.json"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// dropUnfinished forgets what was begun by runs that were killed before anything was changed.
func (s Store) dropUnfinished(current int) error {
	numbers, err := s.numbers()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		dir, err := s.locate("generations", strconv.Itoa(n))
		if err != nil {
			return err
		}
		complete := n == 0 || n == current
		for _, name := range []string{"generation.json", "reverted.json"} {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				complete = true
			}
		}
		if !complete {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// Reverted returns what is left of the changes that were undone, oldest first.
func (s Store) Reverted() ([]*Generation, error) { return s.all("reverted.json") }

// Erase removes the whole record, after an uninstall, in an order that makes sense wherever it is cut off: what is left
// last is the symlink to generation 0, with which the next run goes on. The rest goes when the lock is released.
func (s Store) Erase() error {
	if err := errors.Join(s.clearPending(), s.endDownload()); err != nil {
		return err
	}
	numbers, err := s.numbers()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n > 0 {
			if err := s.Remove(n); err != nil {
				return err
			}
		}
	}
	link, err := s.locate("current")
	if err != nil {
		return err
	}
	return removeFile(link)
}

// write stores a generation: first the texts, by digest, then the record that names them.
func (s Store) write(n int, name string, g *Generation) error {
	dir, err := s.locate("generations", strconv.Itoa(n))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o755); err != nil {
		return err
	}
	for _, f := range g.Files {
		if f.Kind != Text {
			continue
		}
		blob := filepath.Join(dir, "files", f.SHA256)
		if _, err := os.Lstat(blob); err == nil {
			continue // named by its content, and complete since it was renamed into place
		}
		if err := writeText(blob, 0o600, nil, f); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return err
	}
	return writeAtomic(filepath.Join(dir, name), 0o644, nil, bytes.NewReader(append(data, '\n')))
}
