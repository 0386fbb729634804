package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/kubeletctl/kubeletctl/release"
)

// stage fetches a binary into a hidden file beside its place, proves it, and only then gives it its name. The partial
// file's name holds the digest, so that a later run resumes it and one for another build does not.
func (h *Host) stage(ctx context.Context, want File, name string, c *Change, o ApplyOptions) error {
	a := c.Artifact
	if len(a.URLs) == 0 {
		fresh, err := o.Release.Artifact(ctx, a.Version, a.Arch, a.Digest)
		if err != nil {
			return err
		}
		fresh.Trust, fresh.From, fresh.Recorded = a.Trust, a.From, true // the digest was proved before; it only has to be fetched again
		a = fresh
	}
	partial := partialName(name, a.Digest)
	d := download{File: want, Partial: path.Join(path.Dir(want.Path), filepath.Base(partial))}
	if before, left, err := h.partial(); err == nil && before != nil && before.Partial != d.Partial {
		_ = removeFile(left) // nobody would know of it any more
	}
	if err := h.Store().beginDownload(d); err != nil {
		return fmt.Errorf("recording the download: %w", err)
	}
	fetched, err := o.Release.Fetch(ctx, a, partial)
	if err != nil {
		return err
	}
	if err := h.prove(ctx, partial, want, a); err != nil {
		if ctx.Err() != nil {
			return err // it has the right digest, and the next run asks it again
		}
		return errors.Join(err, removeFile(partial))
	}
	if err := os.Rename(partial, name); err != nil {
		return err
	}
	for i, f := range c.Want.Files {
		if f.Path == want.Path {
			c.Want.Files[i].SHA256 = fetched.SHA256
		}
	}
	c.Want.URL = fetched.URL
	return syncDir(filepath.Dir(name))
}

func partialName(name string, digest release.Digest) string {
	return filepath.Join(filepath.Dir(name), partialPrefix+filepath.Base(name)+"-"+digest.Hex[:16])
}

func (h *Host) prove(ctx context.Context, partial string, want File, a release.Artifact) error {
	if err := os.Chmod(partial, want.Mode); err != nil {
		return err
	}
	return release.Check(ctx, partial, a.Arch, a.Version)
}

// partialPrefix starts the names of unfinished downloads. They lie beside the finished ones, so that the last step is a
// rename: no second copy, the SELinux label of the place, and no trouble with a /var that is mounted noexec.
const partialPrefix = ".part-"

// dropPartials deletes unfinished downloads that nobody will go on with, once a change has come to its end.
func (h *Host) dropPartials(c *Change) {
	for _, g := range []*Generation{c.Want, c.Have} {
		dir, err := h.Tree.LocateDir(path.Dir(g.binary().Path))
		if err != nil || g.binary().Path == "" {
			continue
		}
		stale, _ := filepath.Glob(filepath.Join(dir, partialPrefix+"kubelet-v*"))
		for _, name := range stale {
			_ = os.Remove(name) // it does no harm
		}
	}
}

// download is a binary that is on its way to its place; the record of it outlives a run that is killed.
type download struct {
	// File is what it becomes.
	File File `json:"file"`
	// Partial is its path until it is complete and proved.
	Partial string `json:"partial"`
}

func (s Store) beginDownload(d download) error {
	name, err := s.locate("download")
	if err != nil {
		return err
	}
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return writeAtomic(name, 0o644, nil, strings.NewReader(string(data)+"\n"))
}

func (s Store) endDownload() error {
	name, err := s.locate("download")
	if err != nil {
		return err
	}
	return removeFile(name)
}

// unfinished returns the download that did not become part of a generation; nil when there is none.
func (s Store) unfinished() (*download, error) {
	name, err := s.locate("download")
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var d download
	if json.Unmarshal(data, &d) != nil || d.File.Path == "" || d.Partial == "" {
		return nil, nil // it says nothing that could be made use of
	}
	return &d, nil
}

// Unfinished tells whether a download of a run that failed, or was killed, waits to be gone on with.
func (h *Host) Unfinished() bool {
	d, err := h.Store().unfinished()
	return err == nil && d != nil
}

// partial returns the unfinished download, if there is one, and where its partial file is.
func (h *Host) partial() (d *download, name string, err error) {
	if d, err = h.Store().unfinished(); err != nil || d == nil {
		return nil, "", err
	}
	name, err = h.Tree.Locate(d.Partial)
	return d, name, err
}

// forgetDownload forgets a download of which nothing is left to go on with.
func (h *Host) forgetDownload() error {
	d, partial, err := h.partial()
	if err != nil || d == nil {
		return err
	}
	if _, err := os.Lstat(partial); errors.Is(err, fs.ErrNotExist) {
		return h.Store().endDownload()
	}
	return nil
}

// unstage makes a binary that has its name already, and that is none of the current generation, a download to go on with.
func (h *Host) unstage() error {
	d, partial, err := h.partial()
	if err != nil || d == nil {
		return err
	}
	current, err := h.Store().Current()
	if err != nil || current.file(d.File.Path).Kind != Absent {
		return err
	}
	found, err := h.lookAt(d.File, loadFingerprints(h.Tree))
	if err != nil || !found.sameContent(d.File) {
		return err
	}
	name, err := h.Tree.Locate(d.File.Path)
	if err != nil {
		return err
	}
	return os.Rename(name, partial)
}

// Discard deletes an unfinished download. The caller holds the lock, and has recovered.
func (h *Host) Discard() error {
	d, partial, err := h.partial()
	if err != nil || d == nil {
		return err
	}
	return errors.Join(removeFile(partial), h.Store().endDownload())
}
