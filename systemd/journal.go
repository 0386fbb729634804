package systemd

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
)

// Journal returns what a unit logged in the run that its state is of, oldest first: of the last n lines of the unit those
// that are of that run. journald cannot tell the run of a process that ended before it looked at it; such a line counts
// when it came after the process was started.
func Journal(ctx context.Context, state UnitState, n int) ([]Entry, error) {
	out, err := exec.CommandContext(ctx, "journalctl", "--unit="+state.Name, "--output=json", "--output-fields="+strings.Join(entryFields, ","),
		"--no-pager", "--quiet", "--lines="+strconv.Itoa(n)).Output()
	if err != nil {
		return nil, fmt.Errorf("reading the journal of %s: %w", state.Name, err)
	}
	return ofRun(parseJSON(out), state), nil
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
