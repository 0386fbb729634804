package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// Directory is what the record keeps of one number, in generations/N: a generation, a repair or a restart, or what is left of a
// change that was undone. It knows the names and the layout of its files, and nothing of the other numbers; what it cannot make
// sense of is a *DamagedError.
type Directory struct {
	tree hostfs.Tree
	n    int
}

// Directory returns that of a number, which need not be there.
func (s Store) Directory(n int) Directory { return Directory{s.tree, n} }

// Names of the files of a generation.
const (
	recordFile   = "record.json"
	specFile     = "spec.json"
	previousFile = "previous.json"
	targetFile   = "target.json"
	revertedFile = "reverted.json"
	eventFile    = "event.json"
	textDir      = "files"
)

func dirOf(n int) string { return in("generations", strconv.Itoa(n)) }

func (d Directory) path(elem ...string) string {
	return path.Join(append([]string{dirOf(d.n)}, elem...)...)
}

// Load reads one generation, with its texts as far as they can be read: see Verify.
func (d Directory) Load() (*plan.Generation, error) { return d.read(recordFile) }

// Previous reads what the host was right before this generation.
func (d Directory) Previous() (*plan.Generation, error) { return d.read(previousFile) }

// Target reads what a pending change was to lead to.
func (d Directory) Target() (*plan.Generation, error) { return d.read(targetFile) }

// secret is what of a generation is for root only.
type secret struct {
	Args []string        `json:"args,omitempty"`
	Spec json.RawMessage `json:"spec,omitempty"`

	unreadable bool // for this user
}

// whole is a generation with its secrets, in a file that is for root only.
type whole struct {
	*plan.Generation
	Secret secret `json:"secret"`
}

// read reads one file of a generation and what belongs to it. That a text, or what is for root only, may not or cannot be
// read is no error here: a normal user may still ask for the status, and history still lists it.
func (d Directory) read(name string) (*plan.Generation, error) {
	data, file, err := d.readFile(name)
	if err != nil {
		return nil, err
	}
	w := whole{Generation: &plan.Generation{}}
	if err := decode(data, file, &w); err != nil {
		return nil, d.damaged(err)
	}
	if name == recordFile && d.n > 0 && w.Version.IsZero() {
		return nil, d.damaged(fmt.Errorf("%s: it has no version", file))
	}
	legacy := path.Base(file) != name
	if name == recordFile && !legacy {
		w.Secret, err = d.readSecret()
		w.Secret.unreadable = errors.Is(err, fs.ErrPermission) // without it there is no spec, which is told where it is needed
	}
	g := w.Generation
	g.Number, g.Args, g.Spec, g.SpecHidden = d.n, w.Secret.Args, w.Secret.Spec, w.Secret.unreadable
	d.readTexts(g)
	if legacy {
		addLegacy(data, g)
	} else if g.Args == nil && name == recordFile && !g.SpecHidden {
		g.Args = argsInUnit(g)
	}
	return g, nil
}

// readSecret reads what of a generation is for root only.
func (d Directory) readSecret() (secret, error) {
	file := d.path(specFile)
	data, err := d.tree.ReadFile(file)
	if err != nil {
		return secret{}, d.unreadable(err)
	}
	var found secret
	if err := decode(data, file, &found); err != nil {
		return secret{}, d.damaged(err)
	}
	return found, nil
}

// readFile reads a file of a generation by the name that it has now, or had in format 1; file is its path.
func (d Directory) readFile(name string) (data []byte, file string, err error) {
	file = d.path(name)
	data, err = d.tree.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && legacyNames[name] != "" {
		legacy := d.path(legacyNames[name])
		if old, oldErr := d.tree.ReadFile(legacy); !errors.Is(oldErr, fs.ErrNotExist) {
			data, file, err = old, legacy, oldErr
		}
	}
	if err != nil {
		return nil, file, d.unreadable(err)
	}
	return data, file, nil
}

// maxText is the size in bytes up to which a text is held in memory.
const maxText = 1 << 20

func (d Directory) readTexts(g *plan.Generation) {
	for i, f := range g.Files {
		if f.Kind != plan.Text || !isSum(f.SHA256) {
			continue
		}
		blob := d.path(textDir, f.SHA256)
		if info, err := d.tree.Stat(blob); err == nil && info.Size() > maxText {
			g.Files[i].Source = blob
			continue
		}
		g.Files[i].Content = d.readText(blob, f)
	}
}

// isSum reports whether text is a SHA-256 in hexadecimal, and so no path that leads elsewhere.
func isSum(text string) bool {
	return len(text) == 64 && strings.Trim(text, "0123456789abcdef") == ""
}

// Verify reports, as an error, what of a generation's texts is missing or is not what was recorded.
func (d Directory) Verify(g *plan.Generation) error {
	for _, f := range g.Files {
		if f.Complete() {
			continue
		}
		blob := d.path(textDir, f.SHA256)
		if _, err := d.tree.ReadFile(blob); errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("reading what generation %d has for %s: %w", d.n, f.Path, fs.ErrPermission)
		} else if err != nil {
			return d.damagedText(fmt.Errorf("what generation %d has for %s cannot be read: %w", d.n, f.Path, err))
		}
		return d.damagedText(fmt.Errorf("what generation %d has for %s is not what was recorded", d.n, f.Path))
	}
	return nil
}

// check reads all of a generation, or of what is in the history instead of one.
func (d Directory) check() error {
	if d.n > 0 && !d.has(recordFile) && !d.lost() {
		_, err := d.summary()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // its change did not get to its end
		}
		return err
	}
	g, err := d.Load()
	if err == nil {
		err = d.Verify(g)
	}
	if err == nil && path.Base(d.fileOf(recordFile)) == recordFile {
		_, err = d.readSecret()
	}
	return err
}

// HasText reports whether a generation keeps a text, as its own or as one of before.
func (d Directory) HasText(sum string) bool {
	_, err := d.tree.Lstat(d.path(textDir, sum))
	return isSum(sum) && err == nil
}

// IsEvent reports whether this is a repair, or a restart, that was committed.
func (d Directory) IsEvent() bool { return d.has(eventFile) }

// summary reads what the history tells of a generation, or of what is left of one that was undone.
func (d Directory) summary() (*plan.Generation, error) {
	outcome := plan.Outcome("")
	data, file, err := d.readFile(recordFile)
	record := !errors.Is(err, fs.ErrNotExist)
	if !record && d.has(revertedFile) {
		data, file, err = d.readFile(revertedFile)
		outcome = plan.Reverted
	} else if !record && d.has(eventFile) {
		data, file, err = d.readFile(eventFile)
	}
	if err != nil {
		return nil, err
	}
	g := &plan.Generation{}
	if err := decode(data, file, g); err != nil {
		return nil, d.damaged(err)
	}
	if record && d.n > 0 && g.Version.IsZero() {
		return nil, d.damaged(fmt.Errorf("%s: it has no version", file))
	}
	if outcome != "" {
		g.Outcome = outcome
	}
	return g, nil
}

// has reports whether a generation has a file, by the name that it has now or had.
func (d Directory) has(name string) bool {
	for _, name := range []string{name, legacyNames[name]} {
		if name == "" {
			continue
		}
		if _, err := d.tree.Lstat(d.path(name)); !errors.Is(err, fs.ErrNotExist) {
			return true // one that cannot be read has to be told, not skipped
		}
	}
	return false
}

// fileOf is the path of a file of a generation: by the name of now, or by that of format 1 where only that is there.
func (d Directory) fileOf(name string) string {
	file := d.path(name)
	if _, err := d.tree.Lstat(file); !errors.Is(err, fs.ErrNotExist) || legacyNames[name] == "" {
		return file
	}
	legacy := d.path(legacyNames[name])
	if _, err := d.tree.Lstat(legacy); errors.Is(err, fs.ErrNotExist) {
		return file
	}
	return legacy
}

// complete reports whether a change got to its end here: it left a generation, an event, or the word that it was undone.
func (d Directory) complete() bool {
	return d.has(recordFile) || d.has(revertedFile) || d.has(eventFile)
}

// lost reports whether a generation has lost the record that completes it: one that never was complete has no spec either.
func (d Directory) lost() bool {
	return d.n > 0 && !d.complete() && d.has(specFile)
}

func (d Directory) removeFile(name string) error {
	for _, name := range []string{name, legacyNames[name]} {
		if name == "" {
			continue
		}
		file := d.path(name)
		if _, err := d.tree.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := d.tree.RemoveAll(file); err != nil {
			return err
		}
	}
	return nil
}

// Forget forgets the damaged record of a generation that is about to be recorded anew.
func (d Directory) Forget() error {
	return errors.Join(d.removeFile(recordFile), d.removeFile(specFile))
}

// Remove forgets a generation. First goes what makes it complete: a half removed one must not be taken for one to go back to.
func (d Directory) Remove() error {
	for _, name := range []string{recordFile, revertedFile, eventFile} {
		if err := d.removeFile(name); err != nil {
			return err
		}
	}
	return d.tree.RemoveAll(d.path())
}

// Backup is where the content of a file is kept that the change to generation n overwrites, or, for the first one, what the
// host was before, which is generation 0. It is empty when the content is kept nowhere.
func Backup(n int, before plan.File) string {
	switch {
	case before.Kind == plan.Text:
		return path.Join(dirOf(n), textDir, before.SHA256)
	case before.Kind == plan.Link && n == 0:
		return path.Join(dirOf(n), recordFile)
	case before.Kind == plan.Link:
		return path.Join(dirOf(n), previousFile)
	}
	return ""
}
