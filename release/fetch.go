package release

import (
	"context"
	"errors"
	"fmt"
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
	URL    string // redacted; of a reused file the first candidate; empty when it is a copy of a local one
	Reused bool   // it was complete already, nothing was downloaded
}

// Fetch downloads an artifact to path, with mode 0600, and returns when it is
// complete, verified and on disk. The caller owns the directory, and chose a
// name that is used for this digest only.
//
// A second call goes on with what an interrupted first one has left at path,
// and does nothing when that is all. What turned out wrong is not left there.
func (c *Client) Fetch(ctx context.Context, a Artifact, path string) (Fetched, error) {
	doing := fmt.Sprintf("downloading %s", a)
	if a.Digest.IsZero() || len(a.URLs) == 0 {
		return Fetched{}, fmt.Errorf("%s: the artifact has no digest or no URL", doing)
	}
	p := &partial{path: path, digest: a.Digest, most: c.maxSize()}
	defer p.close()
	if err := p.open(ctx); err != nil {
		return Fetched{}, fmt.Errorf("%s: %w", doing, err)
	}
	if p.verified() {
		return p.finish(a.URLs[0], true)
	}
	if a.Local != "" {
		err := c.copyLocal(ctx, a, p)
		if err == nil {
			return p.finish("", true)
		}
		if ctx.Err() == nil {
			c.note(fmt.Sprintf("copying %s: %v", a.Local, pathless(err)))
		}
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
	return Fetched{}, advise(fmt.Errorf("%s: %w", doing, err), "")
}

// fetch asks one source after the other. A wrong file gets a second chance:
// at the other sources, then where it came from, because it may have been the
// partial file that was wrong.
func (c *Client) fetch(ctx context.Context, a Artifact, p *partial) error {
	var failed several
	var wrong *VerifyError
	missing := &NotFoundError{Program: a.Program, Version: a.Version, Arch: a.Arch}
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
			return fmt.Errorf("%s: %w", Redact(from), contextError(ctx))
		case diskFull(err):
			return err // no other source makes the disk larger
		case errors.As(err, &wrong):
			if err := p.remove(ctx); err != nil {
				return err
			}
			if !again {
				return wrong
			}
			c.note(fmt.Sprintf("deleted the download, it is not the requested file: %v", wrong))
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

// copyLocal makes the partial file a copy of the local one, if that is what it
// has to be. The library cannot: it looks for the name that a deleted file had.
func (c *Client) copyLocal(ctx context.Context, a Artifact, p *partial) error {
	if err := c.checkFile(a.Local, p); err != nil {
		return err
	}
	from, err := os.Open(a.Local)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := p.truncate(); err != nil {
		return err
	}
	_, err = getter.Copy(ctx, io.MultiWriter(p.file, writerFunc(p.hash)), from)
	if err == nil && !p.verified() {
		err = p.mismatch(a.Local, a)
	}
	if err != nil {
		return errors.Join(err, p.truncate())
	}
	return nil
}

// checkFile reports whether the file of a file source can be copied.
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

// checkSpace reports whether more bytes fit on the disk. A partial file stays
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

// maxSize allows for more than any kubelet has, 160 MB: a server may send without an end.
func (c *Client) maxSize() int64 { return orDefault(c.MaxSize, 256<<20) }

func (c *Client) note(line string) {
	if c.Note != nil {
		c.Note(line)
	}
}
