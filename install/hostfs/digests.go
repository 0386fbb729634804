package hostfs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"os"
	"syscall"
	"time"
)

// Digests remembers the SHA-256 of a large file together with what the kernel says of its inode. A program cannot set the
// change time (inode(7)), so a file whose device, inode, size and change time are those of the moment when it was hashed has
// not been written since: hashing 90 MB again would take ten times as long as all the rest of a run that has nothing to do.
// What does not match exactly is hashed.
//
// Kernels before Linux 6.13 take the change time from a clock that ticks every 1 to 10 ms, so a second write in the same
// tick would leave no trace: a file that has only just changed is hashed and not remembered.
//
// Make one with LoadDigests or as Digests{}. It is for one goroutine.
type Digests map[string]string

// clockTick is more than a tick of the slowest clock.
const clockTick = 20 * time.Millisecond

// LoadDigests reads what Save has written. A cache that is missing or damaged is an empty one.
func (t Tree) LoadDigests(p string) Digests {
	known := Digests{}
	if !t.ReadCache(p, &known) || known == nil {
		return Digests{}
	}
	return known
}

// Save writes a cache file; see [Tree.WriteCache].
func (d Digests) Save(t Tree, p string) { t.WriteCache(p, d) }

// Sum returns the SHA-256 of a whole file in hexadecimal, from memory when nothing has touched the file. It does not move
// the offset of f.
func (d Digests) Sum(f *os.File) (string, error) {
	before, err := f.Stat()
	if err != nil {
		return "", err
	}
	if sum := d[inodeKey(before)]; sum != "" {
		return sum, nil
	}
	settled := isSettled(before)
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, math.MaxInt64)); err != nil {
		return "", fmt.Errorf("hashing: %w", err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	after, err := f.Stat()
	if key := inodeKey(before); err == nil && settled && key != "" && key == inodeKey(after) {
		d[key] = sum
	}
	return sum, err
}

// Remember keeps a digest that the caller has computed of the file that info describes.
func (d Digests) Remember(info os.FileInfo, sum string) {
	if key := inodeKey(info); key != "" && sum != "" && isSettled(info) {
		d[key] = sum
	}
}

// isSettled reports whether another write from now on would change a file's change time.
func isSettled(info os.FileInfo) bool {
	return time.Since(ChangeTime(info)) > clockTick
}

// ChangeTime is when a file was last written, or given its name, mode or owner: one that is put back from a backup keeps the time at
// which it was written, and not this. The zero value means that it is not known.
func ChangeTime(info os.FileInfo) (changed time.Time) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		changed = time.Unix(st.Ctim.Unix())
	}
	return changed
}

func inodeKey(info os.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d:%d:%d:%d.%09d", st.Dev, st.Ino, st.Size, st.Ctim.Sec, st.Ctim.Nsec)
}
