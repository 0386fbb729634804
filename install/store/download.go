package store

import (
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

// Downloads is the record of the binary that is being fetched. There is one at a time.
type Downloads struct{ tree hostfs.Tree }

// Downloads returns that record.
func (s Store) Downloads() Downloads { return Downloads(s) }

// partialPrefix starts the names of unfinished downloads. They lie beside the finished ones, so that the last step is a
// rename: no second copy, the SELinux label of the place, and no trouble with a /var that is mounted noexec.
const partialPrefix = ".part-"

// partialKubelet starts the names of those of kubelets.
const partialKubelet = partialPrefix + "kubelet-v"

// PartialName is where a binary is fetched to. The name holds the digest, so that a later run resumes it and one for another
// build does not.
func PartialName(file string, digest release.Digest) string {
	return path.Join(path.Dir(file), partialPrefix+path.Base(file)+"-"+digest.Hex[:16])
}

// Begin records a download, for which some directories are about to be made. What an earlier one, of something else, has
// left is deleted.
func (d Downloads) Begin(file plan.File, digest release.Digest, dirs []string) (Download, error) {
	next := Download{File: file, Partial: PartialName(file.Path, digest), Dirs: dirs}
	if before, err := d.Unfinished(); err == nil && before != nil {
		if before.Partial != next.Partial {
			_ = d.tree.Remove(before.Partial) // nobody would know of it any more
		}
		next.Dirs = append(slices.DeleteFunc(before.Dirs, func(dir string) bool { return slices.Contains(dirs, dir) }), dirs...)
	}
	content, err := encode(next)
	if err != nil {
		return next, err
	}
	return next, d.tree.WriteFile(in(downloadFile), 0o644, nil, content)
}

// End forgets the download. Ending it twice is the same as once.
func (d Downloads) End() error {
	if _, err := d.tree.Lstat(in(downloadFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return d.tree.Remove(in(downloadFile))
}

// Unfinished returns the download that did not become part of a generation; nil when there is none.
func (d Downloads) Unfinished() (*Download, error) {
	data, err := d.tree.ReadRegular(in(downloadFile), maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var u Download
	if json.Unmarshal(data, &u) != nil || !path.IsAbs(u.File.Path) || !isPartial(u.Partial) {
		return nil, nil // it says nothing that could be made use of
	}
	return &u, nil
}

func isPartial(name string) bool {
	return path.IsAbs(name) && strings.HasPrefix(path.Base(name), partialKubelet)
}

// Forget forgets a download of which nothing is left to go on with.
func (d Downloads) Forget() error {
	u, err := d.Unfinished()
	if err != nil || u == nil {
		return err
	}
	if _, err := d.tree.Lstat(u.Partial); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return d.Discard()
}

// Reclaim makes a binary that has its name already, but belongs to no generation, a download to go on with. Runs of before
// format 2 gave a binary its name before they recorded the change.
func (d Downloads) Reclaim(current *plan.Generation, isThere func(plan.File) bool) error {
	u, err := d.Unfinished()
	if err != nil || u == nil || current.File(u.File.Path).Kind != plan.Absent || !isThere(u.File) {
		return err
	}
	return d.tree.Rename(u.File.Path, u.Partial)
}

// Discard deletes an unfinished download. The caller holds the lock, and has recovered.
func (d Downloads) Discard() error {
	u, err := d.Unfinished()
	if err != nil || u == nil {
		return err
	}
	err = errors.Join(d.tree.Remove(u.Partial), d.End())
	for _, dir := range slices.Backward(u.Dirs) {
		_ = d.tree.Rmdir(dir) // it stays when anything is in it
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
