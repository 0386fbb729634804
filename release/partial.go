package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"syscall"

	getter "github.com/hashicorp/go-getter/v2"
)

// partial is the file that is being downloaded. Its hashes always are those
// of the bytes that are in it.
type partial struct {
	path   string
	digest Digest
	from   string // the URL that completed it
	file   *os.File
	size   int64
	most   int64     // bytes that it may have
	need   int64     // bytes of free disk that the last attempt wanted
	head   []byte    // the first bytes, to say what a wrong file looks like
	sha256 hash.Hash // recorded by callers whatever the digest is
	sha512 hash.Hash // nil unless the digest is one
}

// open opens or creates the file and hashes what is in it.
func (p *partial) open(ctx context.Context) error {
	p.close()
	if info, err := os.Lstat(p.path); err == nil && !info.Mode().IsRegular() {
		if err := os.Remove(p.path); err != nil {
			return &hinted{err, "it is where the download belongs: remove it and retry"}
		}
	}
	file, err := os.OpenFile(p.path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	p.file = file
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", p.path)
	}
	if err := file.Chmod(0o600); err != nil {
		return err
	}
	p.rewind()
	if info.Size() > p.most { // no part of a kubelet, and it takes long to read
		return file.Truncate(0)
	}
	_, err = getter.Copy(ctx, writerFunc(p.hash), file)
	return err
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func (p *partial) rewind() {
	p.size, p.head, p.sha256, p.sha512 = 0, nil, sha256.New(), nil
	if p.digest.Algorithm == "sha512" {
		p.sha512 = sha512.New()
	}
}

func (p *partial) hash(b []byte) (int, error) {
	p.note(b)
	for _, h := range p.hashes() {
		h.Write(b)
	}
	return len(b), nil
}

// hashes are those that are computed.
func (p *partial) hashes() []hash.Hash {
	if p.sha512 != nil {
		return []hash.Hash{p.sha256, p.sha512}
	}
	return []hash.Hash{p.sha256}
}

// note counts what got into the file, and keeps its beginning.
func (p *partial) note(b []byte) {
	if room := 512 - len(p.head); room > 0 {
		p.head = append(p.head, b[:min(room, len(b))]...)
	}
	p.size += int64(len(b))
}

// endsLike reports whether the file ends, from an offset on, as a body begins.
func (p *partial) endsLike(body io.Reader, from int64) (bool, error) {
	own, theirs := make([]byte, p.size-from), make([]byte, p.size-from)
	if _, err := p.file.ReadAt(own, from); err != nil {
		return false, err
	}
	if _, err := io.ReadFull(body, theirs); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, &networkError{errors.New("the body ended too early")}
	} else if err != nil {
		return false, err
	}
	return bytes.Equal(own, theirs), nil
}

// truncate empties the file.
func (p *partial) truncate() error {
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	p.rewind()
	return p.file.Truncate(0)
}

func (p *partial) sums() (of256, ofDigest string) {
	of256 = hex.EncodeToString(p.sha256.Sum(nil))
	if p.sha512 != nil {
		return of256, hex.EncodeToString(p.sha512.Sum(nil))
	}
	return of256, of256
}

func (p *partial) verified() bool {
	_, sum := p.sums()
	return p.size > 0 && sum == p.digest.Hex
}

// mismatch describes a complete file with the wrong digest.
func (p *partial) mismatch(from string, a Artifact) error {
	_, sum := p.sums()
	e := &VerifyError{
		Name:    Redact(from),
		Problem: fmt.Sprintf("its %s is %s, want %s (%s)", p.digest.Algorithm, sum, p.digest.Hex, a.From),
		hint:    "the source has another file than its checksum file says: try again later, or another --source",
	}
	switch {
	case a.Recorded:
		e.hint = "the source has another file by now than the one that was installed from it; name a source that still has that: --source"
	case a.Trust == Given:
		e.hint = "check the digest that was given, and the source"
	case a.Trust == Published:
		e.hint = "the source does not have what upstream published as " + a.Version.String() +
			"; if it is meant to be a build of your own, give its --sha256"
	}
	if !p.isProgram() {
		e.Problem = fmt.Sprintf("it is %s, not a %s; %s", looksLike(p.head), a.Name(), e.Problem)
	}
	return e
}

// isProgram reports whether the file begins as one.
func (p *partial) isProgram() bool { return bytes.HasPrefix(p.head, []byte(elf.ELFMAG)) }

// finish puts the file on disk for good.
func (p *partial) finish(from string, reused bool) (Fetched, error) {
	if err := p.file.Sync(); err != nil {
		return Fetched{}, fmt.Errorf("writing %s: %w", p.path, err)
	}
	sum, _ := p.sums()
	return Fetched{SHA256: sum, Size: p.size, URL: Redact(from), Reused: reused}, nil
}

// remove deletes the file and begins a new one.
func (p *partial) remove(ctx context.Context) error {
	if err := os.Remove(p.path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return p.open(ctx)
}

// dropIfEmpty leaves no file behind that has nothing in it.
func (p *partial) dropIfEmpty() {
	if p.size == 0 {
		os.Remove(p.path)
	}
}

func (p *partial) close() {
	if p.file != nil {
		p.file.Close()
		p.file = nil
	}
}
