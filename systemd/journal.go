package systemd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

// JournalQuery says which part of the journal of a unit is read. The zero value but for Unit is all of it.
type JournalQuery struct {
	Unit string
	// Lines is how many of the last lines; 0: all.
	Lines int
	// Since and Until are from when and to when; the zero time: from the beginning, to the end.
	Since, Until time.Time
	// Boot is one boot alone, as journalctl(1) names it: "0" is this one, "-1" the one before; empty: all.
	Boot string
	// Follow goes on with what is logged from now on.
	Follow bool
}

func (q JournalQuery) args() []string {
	args := []string{"--output=json", "--output-fields=" + strings.Join(entryFields, ","), "--no-pager", "--quiet",
		"--all"} // else JSON has no field of more than 4096 bytes
	if q.Lines > 0 {
		args = append(args, "--lines="+strconv.Itoa(q.Lines))
	} else if q.Follow {
		args = append(args, "--no-tail")
	}
	for option, t := range map[string]time.Time{"--since": q.Since, "--until": q.Until} {
		if !t.IsZero() {
			args = append(args, fmt.Sprintf("%s=@%d.%06d", option, t.Unix(), t.Nanosecond()/1000))
		}
	}
	if q.Boot != "" {
		args = append(args, "--boot="+q.Boot)
	}
	if q.Follow {
		args = append(args, "--follow")
	}
	return append(args, ofUnit(q.Unit)...)
}

// ofUnit are the matches for what is of a unit: those of journalctl's --unit, and what systemd's child says of the unit before it becomes
// its program ("Failed at step EXEC"), of which journald does not know the unit when the child has ended before journald looks at it.
func ofUnit(name string) []string {
	return []string{"_SYSTEMD_UNIT=" + name, "+", "_UID=0", "UNIT=" + name, "+", "_UID=0", "OBJECT_SYSTEMD_UNIT=" + name, "+", "_UID=0", "COREDUMP_UNIT=" + name}
}

// ReadJournal reads a part of the journal, oldest first, entry by entry: none is kept. It ends early, without an error, when ctx does.
// What journalctl complains of is an error, and comes last.
func ReadJournal(ctx context.Context, q JournalQuery) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		c := exec.CommandContext(ctx, "journalctl", q.args()...)
		var said bytes.Buffer
		c.Stderr = &said
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			yield(Entry{}, fmt.Errorf("reading the journal of %s: %w", q.Unit, err))
			return
		}
		for e, err := range ReadEntries(out) {
			if err != nil {
				break // Wait says why
			}
			if !yield(e, nil) {
				cancel()
				_ = c.Wait()
				return
			}
		}
		if err := c.Wait(); err != nil && ctx.Err() == nil {
			if words := strings.TrimSpace(said.String()); words != "" {
				err = errors.New(words)
			}
			yield(Entry{}, fmt.Errorf("reading the journal of %s: %w", q.Unit, err))
		}
	}
}

// Journal returns what a unit logged in the run that its state is of, oldest first: of the last n lines of the unit those
// that are of that run. journald cannot tell the run of a process that ended before it looked at it; such a line counts
// when it came after the process was started.
func Journal(ctx context.Context, state UnitState, n int) ([]Entry, error) {
	var entries []Entry
	for e, err := range ReadJournal(ctx, JournalQuery{Unit: state.Name, Lines: n}) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return ofRun(entries, state), ctx.Err()
}

// ofRun are those of some entries that are of the run of a state.
func ofRun(entries []Entry, state UnitState) []Entry {
	return slices.DeleteFunc(entries, func(e Entry) bool {
		return e.Invocation != state.InvocationID && (e.Invocation != "" || e.Time.Before(state.Started))
	})
}

// Log writes one line to the journal, as kubeletctl. Where there is no journal, it does nothing.
func Log(line string) {
	_ = journal.Send(line, journal.PriInfo, map[string]string{"SYSLOG_IDENTIFIER": "kubeletctl"})
}
