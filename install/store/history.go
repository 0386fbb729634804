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

// History lists what was installed, and what was tried and undone, newest first: at most so many, 0 for all. older reports
// that there are more.
func (s Store) History(most int) (list []Entry, older bool, err error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, false, err
	}
	current, err := s.current()
	if err != nil && !isDamage(err) {
		return nil, false, err
	}
	list = []Entry{}
	for _, n := range slices.Backward(numbers) {
		if n == 0 {
			break
		}
		e, found, err := s.entry(n)
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
func (s Store) Find(n int) (Entry, *plan.Generation, error) {
	return s.find(n, func(Entry) bool { return true })
}

// FindGeneration returns the generation of a number. A number that is not there, or is that of an event or of a change that
// was undone, is an *UnknownError.
func (s Store) FindGeneration(n int) (*plan.Generation, error) {
	_, g, err := s.find(n, Entry.IsGeneration)
	return g, err
}

func (s Store) find(n int, wanted func(Entry) bool) (Entry, *plan.Generation, error) {
	list, _, err := s.History(0)
	if err != nil {
		return Entry{}, nil, err
	}
	if len(list) == 0 {
		return Entry{}, nil, ErrNotInstalled
	}
	unknown := &UnknownError{Number: n}
	for _, e := range list {
		switch {
		case e.Number == n && e.Damaged:
			_, err := s.Load(n)
			return e, nil, err
		case e.Number == n && wanted(e):
			read := s.Load
			if !e.IsGeneration() {
				read = func(n int) (*plan.Generation, error) { return summary(s, n) }
			}
			g, err := read(n)
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
func (s Store) entry(n int) (e Entry, found bool, err error) {
	g, err := summary(s, n)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !s.lost(n):
		return Entry{}, false, nil
	case isDamage(err):
		return Entry{Number: n, Damaged: true, Reason: err.Error()}, true, nil
	case err != nil:
		return Entry{}, false, err
	}
	e = Entry{Number: n, Created: g.Created, Version: g.Version, Command: g.Command, User: g.User, Changes: g.Changes, Trust: g.Trust, Outcome: g.Outcome,
		Reason: g.Reason, Event: s.HasEvent(n)}
	if binary := g.Binary(); binary.Path != "" {
		e.Binary = path.Base(binary.Path)
	}
	return e, true, nil
}

// Failed returns what is left of the newest change to a generation that was undone because it failed, unless that was
// committed since; nil when it never was tried.
func (s Store) Failed(want *plan.Generation) (*plan.Generation, error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, err
	}
	fingerprint := want.Fingerprint()
	for _, n := range slices.Backward(numbers) {
		g, err := summary(s, n)
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

// summary reads what the history tells of a generation, or of what is left of one that was undone.
func summary(s Store, n int) (*plan.Generation, error) {
	outcome := plan.Outcome("")
	data, file, err := s.readFile(n, recordFile)
	record := !errors.Is(err, fs.ErrNotExist)
	if !record && s.has(n, revertedFile) {
		data, file, err = s.readFile(n, revertedFile)
		outcome = plan.Reverted
	} else if !record && s.has(n, eventFile) {
		data, file, err = s.readFile(n, eventFile)
	}
	if err != nil {
		return nil, err
	}
	g := &plan.Generation{}
	if err := decode(data, file, g); err != nil {
		return nil, damagedGeneration(n, err)
	}
	if record && n > 0 && g.Version.IsZero() {
		return nil, damagedGeneration(n, fmt.Errorf("%s: it has no version", file))
	}
	if outcome != "" {
		g.Outcome = outcome
	}
	return g, nil
}
