package kubeletlog

import (
	"slices"
	"time"
)

// Folded is an entry that may have been logged several times.
type Folded struct {
	// Entry is the last of them.
	Entry
	// Times is how often it was logged since First; 1 for what is not folded.
	Times int
	First time.Time
}

// Folder folds entries that are repeated, also in turns. The first of them is told at once, and the last one, with how many there
// were, when something new comes. It keeps a few entries.
type Folder struct {
	// Every tells of a repeated entry at least so often, while it is repeated; 0 does not.
	Every time.Duration

	recent []repeated
}

// repeated is an entry that was told, and how often it came since then.
type repeated struct {
	Folded
	untold int
	told   time.Time
}

// mostRecent is among how many different entries a repeated one is found.
const mostRecent = 16

// Add returns what is to be told now.
func (f *Folder) Add(e Entry) []Folded {
	i := slices.IndexFunc(f.recent, func(r repeated) bool { return r.same(e) })
	if i < 0 {
		list := f.Close()
		one := Folded{Entry: e, Times: 1, First: e.Time}
		if len(f.recent) == mostRecent {
			f.recent = slices.Delete(f.recent, 0, 1)
		}
		f.recent = append(f.recent, repeated{Folded: one, told: e.Time})
		return append(list, one)
	}
	r := f.recent[i]
	r.Entry, r.Times, r.untold = e, r.Times+1, r.untold+1
	f.recent = append(slices.Delete(f.recent, i, i+1), r) // the one that came last is the last to be forgotten
	if f.Every > 0 && e.Time.Sub(r.told) >= f.Every {
		return f.Close()
	}
	return nil
}

// Close returns what is left to be told.
func (f *Folder) Close() (list []Folded) {
	for i := range f.recent {
		r := &f.recent[i]
		switch {
		case r.untold == 0:
			continue
		case r.untold == 1 && r.Times == 2:
			list = append(list, Folded{Entry: r.Entry, Times: 1, First: r.Time})
		default:
			list = append(list, r.Folded)
		}
		r.untold, r.told = 0, r.Time
	}
	return list
}

// same reports whether two entries differ in nothing but when they were logged, and by which process.
func (e Entry) same(other Entry) bool {
	return e.Severity == other.Severity && e.Message == other.Message && e.Err == other.Err && e.Source == other.Source &&
		e.OfSystemd == other.OfSystemd && slices.Equal(e.Values, other.Values)
}
