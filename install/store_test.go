package install

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestLock(t *testing.T) {
	s := Store{Tree{Root: t.TempDir()}}
	unlock, err := s.Lock()
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Lock()
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("a second lock: %v", err)
	}
	unlock()
	if _, err := os.Lstat(filepath.Join(s.tree.Root, StateDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a lock that nothing came of left something behind: %v", err)
	}
	if unlock, err = s.Lock(); err != nil {
		t.Fatalf("after unlocking: %v", err)
	}
	unlock()
}

// The lock must not be taken twice by runs that come and go while its file is made and removed.
func TestLockUnderContention(t *testing.T) {
	s := Store{Tree{Root: t.TempDir()}}
	const runs, tries = 8, 200
	inside := make(chan struct{}, 1)
	done := make(chan int)
	for range runs {
		go func() {
			got := 0
			for range tries {
				unlock, err := s.Lock()
				if err != nil {
					var locked *LockedError
					if !errors.As(err, &locked) {
						t.Errorf("not a LockedError: %v", err)
					}
					continue
				}
				select {
				case inside <- struct{}{}:
					got++
					<-inside
				default:
					t.Error("two runs hold the lock")
				}
				unlock()
			}
			done <- got
		}()
	}
	total := 0
	for range runs {
		total += <-done
	}
	if total == 0 {
		t.Error("nobody ever got the lock")
	}
}

func TestDamagedRecordIsAClearError(t *testing.T) {
	b := newBench(t, "v1.37.2")
	b.install(b.spec("v1.37.2", nil))
	record := filepath.Join(b.Tree.Root, StateDir, "generations/1/generation.json")
	if err := os.WriteFile(record, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Store().Current(); err == nil {
		t.Error("a damaged record was read")
	}
}

func TestFingerprintsNoticeEveryWrite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "kubelet")
	if err := os.WriteFile(name, []byte("one"), 0o755); err != nil {
		t.Fatal(err)
	}
	known := fingerprints{}
	sum := func() string {
		t.Helper()
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := known.sum(name, info)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := sum()
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	// The same size, and the modification time put back: only the change time tells.
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for { // the kernel's clock for files ticks every few milliseconds
		if _, err := f.WriteAt([]byte("two"), 0); err != nil {
			t.Fatal(err)
		}
		if now, err := f.Stat(); err != nil || inodeKey(now) != inodeKey(info) {
			break
		}
	}
	f.Close()
	if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if sum() == first {
		t.Error("a changed file was taken for the one that was verified")
	}
}
