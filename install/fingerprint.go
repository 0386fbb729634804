package install

import (
	"crypto/sha256"
	"fmt"
	"os"
	"syscall"
)

// fingerprints remembers the digest of a large file together with what the kernel says of its inode. Change time can not
// be set by a program (inode(7)), so a file whose device, inode, size and change time are those of the moment when it was
// verified has not been written since: hashing 90 MB again would take ten times as long as all the rest of a run that has
// nothing to do. What does not match exactly is hashed.
type fingerprints map[string]string

const fingerprintFile = StateDir + "/verified.json"

func loadFingerprints(t Tree) fingerprints {
	known := fingerprints{}
	if !readCache(t, fingerprintFile, &known) {
		return fingerprints{} // a damaged cache is an empty one
	}
	return known
}

func (f fingerprints) save(t Tree) { writeCache(t, fingerprintFile, f) }

// sum returns the SHA-256 of a file, from memory when nothing touched it since.
func (f fingerprints) sum(name string, info os.FileInfo) (string, error) {
	key := inodeKey(info)
	if sum := f[key]; sum != "" {
		return sum, nil
	}
	sum, err := sumFile(name, sha256.New())
	if err == nil && key != "" {
		f[key] = sum
	}
	return sum, err
}

func inodeKey(info os.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d:%d:%d:%d.%09d", s.Dev, s.Ino, s.Size, s.Ctim.Sec, s.Ctim.Nsec)
}
