package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
)

// Entry is one generation as the history lists it.
type Entry struct {
	Number  int             `json:"generation"`
	Current bool            `json:"current"`
	Created time.Time       `json:"created"`
	Version release.Version `json:"version"`
	Command string          `json:"verb"`
	User    string          `json:"by,omitempty"`
	Changes []string        `json:"changes,omitempty"`
	Trust   release.Trust   `json:"trust"`
	Binary  string          `json:"binary,omitempty"`
	// Outcome is how the change to it ended: healthy, reverted ...; Reason says why it was reverted.
	Outcome plan.Outcome `json:"outcome,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	// Event is set for a repair or a restart, which is not a generation to go back to.
	Event bool `json:"event,omitempty"`
	// Damaged is set when its record cannot be read, for the Reason; then nothing else is known of it.
	Damaged bool `json:"damaged,omitempty"`
}

// History is what was installed on a host, and what was tried and undone, as people ask for it.
type History struct{ store Store }

// History returns that of this record.
func (s Store) History() History { return History{s} }

// List returns the newest first: at most so many, 0 for all. older reports that there are more.
func (h History) List(most int) (list []Entry, older bool, err error) {
	numbers, err := h.store.numbers()
	if err != nil {
		return nil, false, err
	}
	current, err := h.store.current()
	if err != nil && !isDamage(err) {
		return nil, false, err
	}
	list = []Entry{}
	for _, n := range slices.Backward(numbers) {
		if n == 0 {
			break
		}
		e, found, err := h.entry(n)
		if err != nil {
			return nil, false, err
		}
		if !found {
			continue
		}
		if most > 0 && len(list) == most {
			return list, true, nil
		}
		e.Current = n == current
		list = append(list, e)
	}
	return list, false, nil
}

// IsGeneration reports whether there is something to go back to, and to compare with.
func (e Entry) IsGeneration() bool { return !e.Event && !e.Damaged && e.Outcome != plan.Reverted }

// UnknownError reports that there is nothing with a number, or no generation.
type UnknownError struct {
	Number int
	// Instead is what has that number, for people; empty when nothing has.
	Instead string
	// Known are the numbers that there are, the newest first.
	Known []int
}

func (e *UnknownError) Error() string {
	text := fmt.Sprintf("there is no generation %d", e.Number)
	if e.Instead != "" {
		text = fmt.Sprintf("%d is not a generation (%s)", e.Number, e.Instead)
	}
	var known []string
	for _, n := range e.Known {
		known = append(known, strconv.Itoa(n))
	}
	if len(known) == 0 {
		return text
	}
	return text + "; there are " + strings.Join(known, ", ")
}

// Hint says what to do about it.
func (e *UnknownError) Hint() string { return "kubeletctl history lists them" }

// Find returns what the history tells of a number, with its generation; of what is none, that has no files. A number that is
// not there is an *UnknownError.
func (h History) Find(n int) (Entry, *plan.Generation, error) {
	return h.find(n, func(Entry) bool { return true })
}

// FindGeneration returns the generation of a number. A number that is not there, or is that of an event or of a change that
// was undone, is an *UnknownError.
func (h History) FindGeneration(n int) (*plan.Generation, error) {
	_, g, err := h.find(n, Entry.IsGeneration)
	return g, err
}

func (h History) find(n int, wanted func(Entry) bool) (Entry, *plan.Generation, error) {
	list, _, err := h.List(0)
	if err != nil {
		return Entry{}, nil, err
	}
	if len(list) == 0 {
		return Entry{}, nil, ErrNotInstalled
	}
	unknown, d := &UnknownError{Number: n}, h.store.Directory(n)
	for _, e := range list {
		switch {
		case e.Number == n && e.Damaged:
			_, err := d.Load()
			return e, nil, err
		case e.Number == n && wanted(e):
			read := d.Load
			if !e.IsGeneration() {
				read = d.summary
			}
			g, err := read()
			return e, g, err
		case e.Number == n:
			unknown.Instead = e.Command
			if !e.Event {
				unknown.Instead += ", " + string(e.Outcome)
			}
		case wanted(e):
			unknown.Known = append(unknown.Known, e.Number)
		}
	}
	return Entry{}, nil, unknown
}

// entry is what the history tells of a number; nothing when its change did not get to its end.
func (h History) entry(n int) (e Entry, found bool, err error) {
	d := h.store.Directory(n)
	g, err := d.summary()
	switch {
	case errors.Is(err, fs.ErrNotExist) && !d.lost():
		return Entry{}, false, nil
	case isDamage(err):
		return Entry{Number: n, Damaged: true, Reason: err.Error()}, true, nil
	case err != nil:
		return Entry{}, false, err
	}
	e = Entry{Number: n, Created: g.Created, Version: g.Version, Command: g.Command, User: g.User, Changes: g.Changes, Trust: g.Trust, Outcome: g.Outcome,
		Reason: g.Reason, Event: d.IsEvent()}
	if binary := g.Binary(); binary.Path != "" {
		e.Binary = path.Base(binary.Path)
	}
	return e, true, nil
}

// Events are the numbers of what is in the history and is not a generation, oldest first: changes that were undone, and
// repairs and restarts.
func (h History) Events() ([]int, error) {
	numbers, err := h.store.numbers()
	return slices.DeleteFunc(numbers, func(n int) bool {
		d := h.store.Directory(n)
		return !d.has(revertedFile) && !d.has(eventFile)
	}), err
}

// Failed returns what is left of the newest change to a generation that was undone because it failed, unless that was
// committed since; nil when it never was tried.
func (h History) Failed(want *plan.Generation) (*plan.Generation, error) {
	numbers, err := h.store.numbers()
	if err != nil {
		return nil, err
	}
	fingerprint := want.Fingerprint()
	for _, n := range slices.Backward(numbers) {
		g, err := h.store.Directory(n).summary()
		if isDamage(err) || n == 0 { // or its change did not get to its end
			continue
		}
		if err != nil {
			return nil, err
		}
		switch {
		case g.Tried == fingerprint:
			return g, nil
		case g.Outcome != plan.Reverted && g.Fingerprint() == fingerprint:
			return nil, nil
		}
	}
	return nil, nil
}
