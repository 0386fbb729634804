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
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	getter "github.com/hashicorp/go-getter/v2"
)

// Fetched is a file that is complete and has the digest it should.
type Fetched struct {
	SHA256 string
	Size   int64
	URL    string // redacted; of a reused file the first candidate
	Reused bool   // it was complete already, nothing was downloaded
}

// Fetch downloads an artifact to path, with mode 0600, and returns when it is
// complete, verified and on disk. The caller owns the directory, and chose a
// name that is used for this digest only.
//
// A second call goes on with what an interrupted first one has left at path,
// and does nothing when that is all. What turned out wrong is not left there.
func (c *Client) Fetch(ctx context.Context, a Artifact, path string) (Fetched, error) {
	doing := fmt.Sprintf("downloading kubelet %s for linux/%s", a.Version, a.Arch)
	if a.Digest.IsZero() || len(a.URLs) == 0 {
		return Fetched{}, fmt.Errorf("%s: the artifact has no digest or no URL", doing)
	}
	p := &partial{path: path, digest: a.Digest}
	defer p.close()
	if err := p.open(ctx); err != nil {
		return Fetched{}, fmt.Errorf("%s: %w", doing, err)
	}
	if p.verified() {
		return p.finish(a.URLs[0], true)
	}
	err := c.fetch(ctx, a, p)
	if err == nil {
		return p.finish(p.from, false)
	}
	p.dropIfEmpty()
	if missing := (*NotFoundError)(nil); errors.As(err, &missing) {
		missing.Nearest = c.nearest(ctx, a.Version, a.Arch)
		return Fetched{}, missing
	}
	return Fetched{}, fmt.Errorf("%s: %w", doing, err)
}

// fetch asks one source after the other. A wrong file gets a second chance:
// at the other sources, then where it came from, because it may have been the
// partial file that was wrong.
func (c *Client) fetch(ctx context.Context, a Artifact, p *partial) error {
	var failed several
	var wrong *VerifyError
	missing := &NotFoundError{Version: a.Version, Arch: a.Arch}
	for queue := a.URLs; len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		err := c.fetchFrom(ctx, from, p)
		if err == nil && p.verified() {
			p.from = from
			return nil
		}
		if err == nil {
			err = p.mismatch(from, a)
		}
		again := wrong == nil
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case diskFull(err):
			return err // no other source makes the disk larger
		case errors.As(err, &wrong):
			if err := p.remove(ctx); err != nil {
				return err
			}
			if !again {
				return wrong
			}
			c.note(fmt.Sprintf("deleted what came, it is not what was asked for: %v", wrong))
			queue = append(queue[:len(queue):len(queue)], from)
		default:
			missing.note(from, err)
			failed = append(failed, fmt.Errorf("%s: %w", Redact(from), err))
		}
	}
	if wrong != nil {
		return wrong
	}
	if len(missing.Tried) == len(failed) {
		return missing
	}
	return failed
}

// fetchFrom brings one source's file into the partial one. It may go on with
// what is there, and leaves what came when it fails.
func (c *Client) fetchFrom(ctx context.Context, from string, p *partial) error {
	path, local := filePath(from)
	source := &url.URL{Scheme: "file", Path: path}
	if local {
		if err := c.checkFile(path, p); err != nil {
			return err
		}
		// A copy starts over, and must not be written through a link.
		p.close()
		if err := os.Remove(p.path); err != nil && !os.IsNotExist(err) {
			return err
		}
	} else {
		// Only what the library needs to choose a Getter and to know the kind
		// of file: it acts on some query parameters and on "//" in a path.
		u, err := url.Parse(from)
		if err != nil {
			return errors.New("it is not a URL")
		}
		source = (&url.URL{Scheme: u.Scheme, Host: u.Host}).JoinPath(u.Path)
	}
	client := &getter.Client{
		Getters:         []getter.Getter{&httpGetter{client: c, url: from, into: p}, &getter.FileGetter{}},
		Decompressors:   map[string]getter.Decompressor{}, // nil would mean all of them
		DisableSymlinks: true,
	}
	_, err := client.Get(ctx, &getter.Request{Src: source.String(), Dst: p.path, GetMode: getter.ModeFile, Copy: true})
	if local {
		// The library has made a file of its own.
		if openErr := p.open(ctx); err == nil {
			err = openErr
		}
		if err == nil && c.Progress != nil {
			c.Progress(Progress{Done: p.size, Total: p.size, URL: Redact(from)})
		}
	}
	if full := (*SpaceError)(nil); diskFull(err) && !errors.As(err, &full) {
		// Somebody else took the space meanwhile. What came would keep the disk
		// of a machine full that has other work to do.
		if err := p.remove(ctx); err != nil {
			return err
		}
		return &SpaceError{Path: p.path, Need: p.need}
	}
	return err
}

// checkFile says whether the file of a file source can be copied.
func (c *Client) checkFile(path string, p *partial) error {
	info, err := os.Stat(path)
	if err != nil {
		return pathless(err)
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	if info.Size() > c.maxSize() {
		return &VerifyError{Name: path, Problem: fmt.Sprintf("it has %d bytes, too many for a kubelet", info.Size())}
	}
	return c.checkSpace(p, info.Size()-p.size)
}

// reserve is what has to stay free after a download.
const reserve = 16 << 20

// checkSpace says whether more bytes fit on the disk. A partial file stays
// even if they do not: with it, the next run needs less.
func (c *Client) checkSpace(p *partial, more int64) error {
	space := c.FreeSpace
	if space == nil {
		space = freeSpace
	}
	dir := filepath.Dir(p.path)
	free, err := space(dir)
	if err != nil {
		return fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	p.need = max(more, 0) + reserve
	if free < p.need {
		return &SpaceError{Path: p.path, Need: p.need, Free: free}
	}
	return nil
}

func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func freeSpace(path string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil
}

func (c *Client) maxSize() int64 { return orDefault(c.MaxSize, 1<<30) }

func (c *Client) note(line string) {
	if c.Note != nil {
		c.Note(line)
	}
}

// partial is the file that is being downloaded. Its hashes always are those
// of the bytes that are in it.
type partial struct {
	path   string
	digest Digest
	from   string // the URL that completed it
	file   *os.File
	size   int64
	need   int64     // bytes of free disk that the last attempt wanted
	head   []byte    // the first bytes, to say what a wrong file looks like
	sha256 hash.Hash // recorded by callers whatever the digest is
	sha512 hash.Hash // nil unless the digest is one
}

// open opens or creates the file and hashes what is in it.
func (p *partial) open(ctx context.Context) error {
	p.close()
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

// Write appends to the file and hashes what got there.
func (p *partial) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.hash(b[:n])
	return n, err
}

// endsLike says whether the file ends, from an offset on, as a body begins.
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
		Problem: fmt.Sprintf("its %s is %s, it must be %s (%s)", p.digest.Algorithm, sum, p.digest.Hex, a.From),
		hint:    "the source has another file than its checksum file says: try again later, or another --source",
	}
	switch a.Trust {
	case Given:
		e.hint = "check the digest that was given, and the source"
	case Published:
		e.hint = "the source does not have what upstream published as " + a.Version.String() +
			"; if it is meant to be a build of your own, give its --sha256"
	}
	if !p.isProgram() {
		e.Problem = fmt.Sprintf("it is %s, not a kubelet; %s", looksLike(p.head), e.Problem)
	}
	return e
}

// isProgram says whether the file begins as one.
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
