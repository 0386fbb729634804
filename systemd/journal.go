package systemd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

// Entry is one line that a unit logged.
type Entry struct {
	Time    time.Time
	Message string
}

// Journal returns what a unit logged in the run that its state is of, oldest first: of the last n lines of the unit those
// that are of that run. journald cannot tell the run of a process that ended before it looked at it; such a line counts
// when it came after the process was started.
func Journal(ctx context.Context, state UnitState, n int) ([]Entry, error) {
	out, err := exec.CommandContext(ctx, "journalctl", "--unit="+state.Name, "--output=json", "--output-fields=MESSAGE,_SYSTEMD_INVOCATION_ID",
		"--no-pager", "--quiet", "--lines="+strconv.Itoa(n)).Output()
	if err != nil {
		return nil, fmt.Errorf("reading the journal of %s: %w", state.Name, err)
	}
	return parseJournal(out, state), nil
}

// parseJournal reads journalctl's JSON lines. A message that is not UTF-8 comes as an array of bytes
// (systemd.journal-fields(7)); a line that is neither is passed over.
func parseJournal(out []byte, of UnitState) []Entry {
	var entries []Entry
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var raw struct {
			Message    json.RawMessage `json:"MESSAGE"`
			Micros     string          `json:"__REALTIME_TIMESTAMP"`
			Invocation string          `json:"_SYSTEMD_INVOCATION_ID"`
		}
		if json.Unmarshal(lines.Bytes(), &raw) != nil {
			continue
		}
		var e Entry
		if json.Unmarshal(raw.Message, &e.Message) != nil {
			var numbers []byte
			var ints []int
			if json.Unmarshal(raw.Message, &ints) != nil {
				continue
			}
			for _, i := range ints {
				numbers = append(numbers, byte(i))
			}
			e.Message = strings.ToValidUTF8(string(numbers), "?")
		}
		if us, err := strconv.ParseInt(raw.Micros, 10, 64); err == nil {
			e.Time = time.UnixMicro(us)
		}
		if raw.Invocation == of.InvocationID || raw.Invocation == "" && !e.Time.Before(of.Started) {
			entries = append(entries, e)
		}
	}
	return entries
}

// klogFailure is a line that klog marks as an error or as fatal: E1123 21:54:01.000000 4711 file.go:12] message.
var klogFailure = regexp.MustCompile(`^[EF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [^ ]+\] (.*)$`)

// LastFailure picks the line that says why kubelet ended: a panic, else the last line that klog marks as an error or as
// fatal, else the last line that starts with "Error:"; empty when there is none. The klog prefix is taken off.
func LastFailure(entries []Entry) string {
	var failure string
	for _, e := range entries {
		line := strings.TrimSpace(e.Message)
		if strings.HasPrefix(line, "panic:") {
			return line
		}
		if m := klogFailure.FindStringSubmatch(line); m != nil {
			failure = m[1]
		} else if strings.HasPrefix(line, "Error:") {
			failure = line
		}
	}
	return failure
}

// Log writes one line to the journal, as kubeletctl. Where there is no journal, it does nothing.
func Log(line string) {
	_ = journal.Send(line, journal.PriInfo, map[string]string{"SYSLOG_IDENTIFIER": "kubeletctl"})
}
