package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
)

const downloadFile = "download"

// Download is a binary that is on its way to its place; the record of it outlives a run that is killed.
type Download struct {
	// File is what it becomes.
	File plan.File `json:"file"`
	// Partial is its path until it is complete and verified.
	Partial string `json:"partial"`
	// Dirs are the directories that were made for it, outermost first.
	Dirs []string `json:"dirs,omitempty"`
}

// Downloads is the record of the binaries that are being fetched, those of one change, a JSON document each.
type Downloads struct{ tree hostfs.Tree }

// Downloads returns that record.
func (s Store) Downloads() Downloads { return Downloads(s) }

// partialPrefix starts the names of unfinished downloads. They lie beside the finished ones, so that the last step is a
// rename: no second copy, the SELinux label of the place, and no trouble with a /var that is mounted noexec.
const partialPrefix = ".part-"

// PartialName is where a binary is fetched to. The name holds the digest, so that a later run resumes it and one for another
// build does not.
func PartialName(file string, digest release.Digest) string {
	return path.Join(path.Dir(file), partialPrefix+path.Base(file)+"-"+digest.Hex[:16])
}

// NewDownload is a download of a file that has a digest, for which some directories are about to be made.
func NewDownload(file plan.File, digest release.Digest, dirs []string) Download {
	return Download{File: file, Partial: PartialName(file.Path, digest), Dirs: dirs}
}

// Begin records the downloads of a change. What earlier ones, of something else, have left is deleted.
func (d Downloads) Begin(next ...Download) error {
	before, _ := d.Unfinished() // what cannot be read says nothing that could be made use of
	for _, b := range before {
		if !slices.ContainsFunc(next, func(n Download) bool { return n.Partial == b.Partial }) {
			_ = d.tree.Remove(b.Partial) // nobody would know of it any more
		}
		dirs := slices.DeleteFunc(b.Dirs, func(dir string) bool { return slices.Contains(next[0].Dirs, dir) })
		next[0].Dirs = append(dirs, next[0].Dirs...)
	}
	return d.write(next)
}

func (d Downloads) write(list []Download) error {
	var text bytes.Buffer
	for _, u := range list {
		content, err := encode(u)
		if err != nil {
			return err
		}
		_, _ = content.WriteTo(&text) // a buffer takes everything
	}
	return d.tree.WriteFile(in(downloadFile), 0o644, nil, &text)
}

// End forgets the download. Ending it twice is the same as once.
func (d Downloads) End() error {
	if _, err := d.tree.Lstat(in(downloadFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return d.tree.Remove(in(downloadFile))
}

// Unfinished returns the downloads that did not become part of a generation.
func (d Downloads) Unfinished() (list []Download, err error) {
	data, err := d.tree.ReadRegular(in(downloadFile), maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	documents := json.NewDecoder(bytes.NewReader(data))
	for {
		var u Download
		if documents.Decode(&u) != nil || !path.IsAbs(u.File.Path) || !isPartial(u.Partial) {
			return list, nil // what follows says nothing that could be made use of
		}
		list = append(list, u)
	}
}

// isPartial reports whether a path is that of an unfinished download: .part-PROGRAM-VERSION-DIGEST.
func isPartial(name string) bool {
	file, found := strings.CutPrefix(path.Base(name), partialPrefix)
	program, version, _ := strings.Cut(file, "-v")
	return path.IsAbs(name) && found && version != "" && slices.Contains(append(release.Tools(), release.Kubelet), program)
}

// Forget forgets downloads of which nothing is left to go on with.
func (d Downloads) Forget() error {
	list, err := d.Unfinished()
	if err != nil || len(list) == 0 {
		return err
	}
	for _, u := range list {
		if _, err := d.tree.Lstat(u.Partial); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return d.Discard()
}

// Reclaim makes binaries that have their names already, but belong to no generation, downloads to go on with. Runs of before
// format 2 gave a binary its name before they recorded the change.
func (d Downloads) Reclaim(current *plan.Generation, isThere func(plan.File) bool) error {
	list, err := d.Unfinished()
	for _, u := range list {
		if current.File(u.File.Path).Kind == plan.Absent && isThere(u.File) {
			err = errors.Join(err, d.tree.Rename(u.File.Path, u.Partial))
		}
	}
	return err
}

// Discard deletes unfinished downloads. The caller holds the lock, and has recovered.
func (d Downloads) Discard() error {
	list, err := d.Unfinished()
	if err != nil || len(list) == 0 {
		return err
	}
	for _, u := range list {
		err = errors.Join(err, d.tree.Remove(u.Partial))
	}
	err = errors.Join(err, d.End())
	for _, u := range list {
		for _, dir := range slices.Backward(u.Dirs) {
			_ = d.tree.Rmdir(dir) // it stays when anything is in it
		}
	}
	return err
}

// DropPartials deletes the unfinished downloads in a directory, with which nobody will go on.
func (d Downloads) DropPartials(dir string) {
	entries, err := d.tree.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if name := path.Join(dir, e.Name()); isPartial(name) {
			_ = d.tree.Remove(name) // it does no harm
		}
	}
}
