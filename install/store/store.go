// Package store keeps the generations that were installed on a host, the change that is under way, and the lock.
//
//	/var/lib/kubeletctl/
//	  format                      the number of this layout, [Format]; a host without it has the layout of before there was one
//	  lock                        held by a run that changes something; its content is the pid
//	  current                     symlink to generations/N; replaced by rename, which is the commit
//	  pending                     the number of a generation that is being applied
//	  generations/N/
//	    record.json               what every user may know of the generation; written last: it marks a complete one
//	    spec.json                 kubelet's arguments and the spec that it was built from, for root only
//	    previous.json             the host as it was right before
//	    target.json               what was about to be installed; only until the commit
//	    reverted.json             what was tried, when that is all that is left of it
//	    event.json                a repair or a restart, which is not a generation; previous.json is what it has overwritten
//	    files/SHA256              the bytes of every text of both
//	  download                    the binary that is being fetched, until a generation has it
//	  verified.json               see hostfs.Digests
//	  markers.json                see release.Answers
//	  recovered                   what kubeletctl-recover.service did, until a run has told it
//
// generations/0 is the host before the first install. What may hold a secret has mode 0600.
package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// Store is the record on one host.
type Store struct{ tree hostfs.Tree }

// In is the record of a host.
func In(tree hostfs.Tree) Store { return Store{tree} }

// ErrNotInstalled reports that there is nothing of kubeletctl's on the host to work with.
var ErrNotInstalled = errors.New("kubeletctl has not installed a kubelet")

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

func in(elem ...string) string { return path.Join(append([]string{hostfs.StateDir}, elem...)...) }

func dirOf(n int) string { return in("generations", strconv.Itoa(n)) }

// PendingFile exists while a change is under way, or was interrupted.
var PendingFile = in("pending")

// Empty reports that there is no record at all, also not what a run that was killed left of it.
func (s Store) Empty() bool {
	_, err := s.tree.Lstat(hostfs.StateDir)
	return errors.Is(err, fs.ErrNotExist)
}

// Current returns the committed generation, or nil when there is none. Should the symlink be lost, it is the newest one. Of
// one that is damaged it returns a stand-in: see plan.Generation.Damage.
func (s Store) Current() (*plan.Generation, error) {
	n, err := s.current()
	if err != nil || n < 0 {
		return nil, err
	}
	g, err := s.Load(n)
	if damage := (*DamagedError)(nil); n > 0 && errors.As(err, &damage) {
		return s.standIn(n, damage)
	}
	return g, err
}

// current is the number of the committed generation; -1 when there is none.
func (s Store) current() (int, error) {
	if _, err := s.format(); err != nil {
		return -1, err
	}
	target, err := s.tree.Readlink(in("current"))
	if errors.Is(err, fs.ErrNotExist) {
		return s.newest()
	}
	if errors.Is(err, syscall.EINVAL) {
		return -1, damagedLink("%s is not a symlink", in("current"))
	}
	if err != nil {
		return -1, err
	}
	n, err := strconv.Atoi(path.Base(target))
	if err != nil || n < 0 {
		return -1, damagedLink("%s points to %s, which is not a generation", in("current"), target)
	}
	return n, nil
}

// newest is the number of the newest generation but the pending one, of which nothing says that it was committed; -1 for none.
func (s Store) newest() (int, error) {
	pending, _, err := s.Pending()
	if err != nil {
		return -1, err
	}
	numbers, err := s.numbers()
	if err != nil {
		return -1, err
	}
	for _, n := range slices.Backward(numbers) {
		if n > 0 && n != pending && (s.has(n, recordFile) || s.lost(n)) {
			return n, nil
		}
	}
	return -1, nil
}

// Installed returns the committed generation, or ErrNotInstalled, or what is wrong with its record.
func (s Store) Installed() (*plan.Generation, error) {
	current, err := s.Current()
	switch {
	case err != nil:
	case current == nil || current.Snapshot:
		err = ErrNotInstalled
	default:
		err = current.Damage
	}
	return current, err
}

// Load reads one generation, with its texts as far as they can be read: see Verify.
func (s Store) Load(n int) (*plan.Generation, error) { return s.read(n, recordFile) }

// Previous reads what the host was right before generation n.
func (s Store) Previous(n int) (*plan.Generation, error) { return s.read(n, previousFile) }

// Target reads what a pending change was to lead to.
func (s Store) Target(n int) (*plan.Generation, error) { return s.read(n, targetFile) }

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
func (s Store) read(n int, name string) (*plan.Generation, error) {
	data, file, err := s.readFile(n, name)
	if err != nil {
		return nil, err
	}
	w := whole{Generation: &plan.Generation{}}
	if err := decode(data, file, &w); err != nil {
		return nil, damagedGeneration(n, err)
	}
	if name == recordFile && n > 0 && w.Version.IsZero() {
		return nil, damagedGeneration(n, fmt.Errorf("%s: it has no version", file))
	}
	legacy := path.Base(file) != name
	if name == recordFile && !legacy {
		w.Secret, err = s.readSecret(n)
		w.Secret.unreadable = errors.Is(err, fs.ErrPermission) // without it there is no spec, which is told where it is needed
	}
	g := w.Generation
	g.Number, g.Args, g.Spec, g.SpecHidden = n, w.Secret.Args, w.Secret.Spec, w.Secret.unreadable
	s.readTexts(n, g)
	if legacy {
		addLegacy(data, g)
	} else if g.Args == nil && name == recordFile && !g.SpecHidden {
		g.Args = argsInUnit(g)
	}
	return g, nil
}

// readSecret reads what of a generation is for root only.
func (s Store) readSecret(n int) (secret, error) {
	file := path.Join(dirOf(n), specFile)
	data, err := s.tree.ReadFile(file)
	if err != nil {
		return secret{}, unreadable(n, err)
	}
	var found secret
	if err := decode(data, file, &found); err != nil {
		return secret{}, damagedGeneration(n, err)
	}
	return found, nil
}

// readFile reads a file of a generation by the name that it has now, or had in format 1; file is its path.
func (s Store) readFile(n int, name string) (data []byte, file string, err error) {
	file = path.Join(dirOf(n), name)
	data, err = s.tree.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && legacyNames[name] != "" {
		legacy := path.Join(dirOf(n), legacyNames[name])
		if old, oldErr := s.tree.ReadFile(legacy); !errors.Is(oldErr, fs.ErrNotExist) {
			data, file, err = old, legacy, oldErr
		}
	}
	if err != nil {
		return nil, file, unreadable(n, err)
	}
	return data, file, nil
}

// maxText is the size in bytes up to which a text is held in memory.
const maxText = 1 << 20

func (s Store) readTexts(n int, g *plan.Generation) {
	for i, f := range g.Files {
		if f.Kind != plan.Text || !isSum(f.SHA256) {
			continue
		}
		blob := path.Join(dirOf(n), textDir, f.SHA256)
		if info, err := s.tree.Stat(blob); err == nil && info.Size() > maxText {
			g.Files[i].Source = blob
			continue
		}
		g.Files[i].Content, _ = s.tree.ReadFile(blob)
	}
}

// isSum reports whether text is a SHA-256 in hexadecimal, and so no path that leads elsewhere.
func isSum(text string) bool {
	return len(text) == 64 && strings.Trim(text, "0123456789abcdef") == ""
}

// Verify reports, as an error, what of a generation's texts is missing or is not what was recorded.
func (s Store) Verify(g *plan.Generation) error {
	for _, f := range g.Files {
		if f.Kind != plan.Text || f.Source != "" || plan.Sum(f.Content) == f.SHA256 {
			continue
		}
		blob := path.Join(dirOf(g.Number), textDir, f.SHA256)
		if _, err := s.tree.ReadFile(blob); errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("reading what generation %d has for %s: %w", g.Number, f.Path, fs.ErrPermission)
		} else if err != nil {
			return damagedText(g.Number, fmt.Errorf("what generation %d has for %s cannot be read: %w", g.Number, f.Path, err))
		}
		return damagedText(g.Number, fmt.Errorf("what generation %d has for %s is not what was recorded", g.Number, f.Path))
	}
	return nil
}

// Events are the numbers of what is in the history and is not a generation, oldest first: changes that were undone, and
// repairs and restarts.
func (s Store) Events() ([]int, error) {
	numbers, err := s.numbers()
	return slices.DeleteFunc(numbers, func(n int) bool { return !s.has(n, revertedFile) && !s.has(n, eventFile) }), err
}

// HasEvent reports whether a number is that of a repair, or of a restart, that was committed.
func (s Store) HasEvent(n int) bool { return s.has(n, eventFile) }

// List returns the complete generations from 1 on, oldest first, but those that are damaged: see Damaged.
func (s Store) List() ([]*plan.Generation, error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, err
	}
	var all []*plan.Generation
	for _, n := range numbers {
		if n == 0 || !s.has(n, recordFile) {
			continue // a change that was undone, or whose end was not reached
		}
		g, err := s.Load(n)
		if isDamage(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
}

// has reports whether a generation has a file, by the name that it has now or had.
func (s Store) has(n int, name string) bool {
	for _, name := range []string{name, legacyNames[name]} {
		if name == "" {
			continue
		}
		if _, err := s.tree.Lstat(path.Join(dirOf(n), name)); !errors.Is(err, fs.ErrNotExist) {
			return true // one that cannot be read has to be told, not skipped
		}
	}
	return false
}

func (s Store) numbers() ([]int, error) {
	if _, err := s.format(); err != nil {
		return nil, err
	}
	entries, err := s.tree.ReadDir(in("generations"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n >= 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
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

// Next is the number that a new generation gets.
func (s Store) Next() (int, error) {
	numbers, err := s.numbers()
	if err != nil || len(numbers) == 0 {
		return 1, err
	}
	return numbers[len(numbers)-1] + 1, nil
}

// Pending returns the number of a generation whose change did not end, and whether there is one.
func (s Store) Pending() (int, bool, error) {
	text, err := s.tree.ReadFile(PendingFile)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, unreadableFile(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, false, damaged("%s does not hold the number of a generation", PendingFile)
	}
	return n, true, nil
}

const noticeFile = "recovered"

// SaveNotice keeps a line about a recovery for the next run to tell.
func (s Store) SaveNotice(line string) error {
	return s.tree.WriteFile(in(noticeFile), 0o644, nil, strings.NewReader(line+"\n"))
}

// Notice returns the line that SaveNotice kept; nothing when there is none.
func (s Store) Notice() string {
	text, _ := s.tree.ReadRegular(in(noticeFile), maxText)
	return strings.TrimSpace(string(text))
}

// ClearNotice forgets the line of SaveNotice. Clearing what is clear does nothing.
func (s Store) ClearNotice() error {
	if _, err := s.tree.Lstat(in(noticeFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.tree.Remove(in(noticeFile))
}

func encode(v any) (*bytes.Reader, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return bytes.NewReader(append(data, '\n')), err
}
