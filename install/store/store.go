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
//	  before/SHA256               what an uninstall could not put back, since generation 0 was damaged
//	  download                    the binaries that are being fetched, until a generation has them
//	  verified.json               see hostfs.Digests
//	  markers.json                see release.Answers
//	  cordoned                    the node that a change has cordoned, until it is uncordoned
//	  joining                     what a join writes, until kubelet has its own credentials
//	  recovered                   what kubeletctl-recover.service did, until a run has told it
//
// generations/0 is the host before the first install. What may hold a secret has mode 0600.
//
// A [Store] knows which generation is the current one. What lies in one directory is a [Directory]; the change that is under
// way is [Pending], and what people ask for about earlier ones [History].
package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
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

func in(elem ...string) string { return path.Join(append([]string{hostfs.StateDir}, elem...)...) }

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
	g, err := s.Directory(n).Load()
	if damage := (*DamagedError)(nil); n > 0 && errors.As(err, &damage) {
		return s.standIn(n, damage)
	}
	return g, err
}

// current is the number of the committed generation; -1 when there is none.
func (s Store) current() (int, error) {
	if _, err := formatOf(s.tree); err != nil {
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
	pending, _, err := s.Pending().Number()
	if err != nil {
		return -1, err
	}
	numbers, err := s.numbers()
	if err != nil {
		return -1, err
	}
	for _, n := range slices.Backward(numbers) {
		if n > 0 && n != pending && (s.Directory(n).has(recordFile) || s.Directory(n).lost()) {
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

// List returns the complete generations from 1 on, oldest first, but those that are damaged: see Damaged.
func (s Store) List() ([]*plan.Generation, error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, err
	}
	var all []*plan.Generation
	for _, n := range numbers {
		if n == 0 || !s.Directory(n).has(recordFile) {
			continue // a change that was undone, or whose end was not reached
		}
		g, err := s.Directory(n).Load()
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

func (s Store) numbers() ([]int, error) {
	if _, err := formatOf(s.tree); err != nil {
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

// Next is the number that a new generation gets.
func (s Store) Next() (int, error) {
	numbers, err := s.numbers()
	if err != nil || len(numbers) == 0 {
		return 1, err
	}
	return numbers[len(numbers)-1] + 1, nil
}

func encode(v any) (*bytes.Reader, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return bytes.NewReader(append(data, '\n')), err
}
