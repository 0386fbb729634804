package systemd

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"io"
	"iter"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Entry is one line of a journal that is of one unit: what the unit logged, or what systemd said of it.
type Entry struct {
	// Time is zero where it is not known; a time without a year has the year 0.
	Time    time.Time
	Message string
	// Identifier is the name of what logged it ("kubelet", "systemd"), and PID its process; empty and 0 where they are not known.
	Identifier string
	PID        int
	// Invocation is the run of the unit; empty where it is not known.
	Invocation string
}

// entryFields are the fields of a journal that an Entry is made of (systemd.journal-fields(7)). INVOCATION_ID is the run that a
// line of systemd itself is about.
var entryFields = []string{"MESSAGE", "SYSLOG_IDENTIFIER", "_PID", "_SYSTEMD_INVOCATION_ID", "INVOCATION_ID"}

// ParseEntries is ReadEntries of what is in memory.
func ParseEntries(data []byte) (entries []Entry) {
	for e := range ReadEntries(bytes.NewReader(data)) { // which cannot fail
		entries = append(entries, e)
	}
	return entries
}

// mostOfLine is how much of one line, or of one field, of a journal is kept, in bytes. journald itself cuts a line at 48 KiB
// (journald.conf(5), LineMax=), but not what a program sends it.
const mostOfLine = 1 << 20

// ReadEntries reads a journal as journalctl prints it: as JSON lines, in the export format, or as text, with or without the time
// and the host before each line. Each entry is there as soon as it is read, and none is kept. An error of the reader is the last.
func ReadEntries(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		in := &lineReader{Reader: bufio.NewReaderSize(r, 64<<10)}
		first := in.next()
		for len(bytes.TrimSpace(first)) == 0 && in.err == nil {
			first = in.next()
		}
		var fields map[string]json.RawMessage
		var goOn bool
		switch head := bytes.TrimSpace(first); {
		case bytes.HasPrefix(head, []byte("__CURSOR=")), bytes.HasPrefix(head, []byte("__REALTIME_TIMESTAMP=")):
			goOn = in.export(first, yield)
		case json.Unmarshal(head, &fields) == nil && (fields["__CURSOR"] != nil || fields["MESSAGE"] != nil):
			goOn = in.each(first, jsonEntry, yield)
		default:
			goOn = in.each(first, textEntry(), yield)
		}
		if goOn && in.err != io.EOF { //nolint:errorlint // a reader's EOF is bare
			yield(Entry{}, in.err)
		}
	}
}

// lineReader reads lines of any length, of which it keeps the beginning.
type lineReader struct {
	*bufio.Reader
	line []byte
	err  error
}

// next is the next line, which is good until the one after it is read; at the end it may be the rest of one, or empty.
func (r *lineReader) next() []byte {
	r.line = r.line[:0]
	for r.err == nil {
		var part []byte
		part, r.err = r.ReadSlice('\n')
		r.line = append(r.line, part[:min(len(part), mostOfLine-len(r.line))]...)
		if r.err != bufio.ErrBufferFull { //nolint:errorlint // nor is this one wrapped
			break
		}
		r.err = nil
	}
	return r.line
}

// each yields the entries of lines; false when no more is wanted.
func (r *lineReader) each(line []byte, parse func([]byte) (Entry, bool), yield func(Entry, error) bool) bool {
	for {
		if e, ok := parse(line); ok && !yield(e, nil) {
			return false
		}
		if r.err != nil {
			return true
		}
		line = r.next()
	}
}

// jsonEntry reads a line of journalctl's JSON. A message that is not UTF-8 comes as an array of bytes
// (systemd.journal-fields(7)); false for a line that is neither.
func jsonEntry(line []byte) (Entry, bool) {
	var raw map[string]json.RawMessage
	if json.Unmarshal(line, &raw) != nil {
		return Entry{}, false
	}
	return newEntry(func(field string) (string, bool) { return jsonText(raw[field]) })
}

// jsonText is a field of a JSON line as text.
func jsonText(raw json.RawMessage) (string, bool) {
	var text string
	if len(raw) > 0 && json.Unmarshal(raw, &text) == nil {
		return text, true
	}
	var numbers []int // json reads a []byte from base64 alone
	if len(raw) == 0 || json.Unmarshal(raw, &numbers) != nil {
		return "", false
	}
	message := make([]byte, len(numbers))
	for i, n := range numbers {
		message[i] = byte(n)
	}
	return string(message), true
}

// export reads the export format: fields as NAME=VALUE, or, when the value has a newline or is binary, NAME, its length in 8
// bytes, little endian, and the value; an empty line after each entry. It returns false when no more is wanted.
func (r *lineReader) export(line []byte, yield func(Entry, error) bool) bool {
	fields := map[string]string{}
	for {
		name, value, found := strings.Cut(strings.TrimSuffix(string(line), "\n"), "=")
		switch {
		case name == "" && !found:
			e, ok := newEntry(func(field string) (string, bool) { value, ok := fields[field]; return value, ok })
			clear(fields)
			if ok && !yield(e, nil) {
				return false
			}
		case !found && r.err == nil:
			fields[name] = r.binary()
		default:
			fields[name] = value
		}
		if r.err != nil && len(fields) == 0 {
			return true
		}
		line = r.next() // empty at the end, which ends the last entry
	}
}

// binary reads a value with its length before it, and the newline behind it.
func (r *lineReader) binary() string {
	var length uint64
	if r.err = binary.Read(r, binary.LittleEndian, &length); r.err != nil {
		return ""
	}
	rest := int64(min(length, math.MaxInt64))
	value, err := io.ReadAll(io.LimitReader(r, min(rest, mostOfLine)))
	if err == nil {
		_, err = io.CopyN(io.Discard, r, rest-int64(len(value)))
	}
	if err == nil {
		_, err = r.ReadByte()
	}
	r.err = err
	return string(value)
}

// newEntry makes an entry of the fields of a journal; false when there is no message.
func newEntry(field func(name string) (string, bool)) (Entry, bool) {
	text := func(name string) string { value, _ := field(name); return value }
	message, ok := field("MESSAGE")
	e := Entry{
		Message: strings.ToValidUTF8(message, "?"), Identifier: text("SYSLOG_IDENTIFIER"),
		Invocation: cmp.Or(text("INVOCATION_ID"), text("_SYSTEMD_INVOCATION_ID")),
	}
	e.PID, _ = strconv.Atoi(text("_PID"))
	if us, err := strconv.ParseInt(text("__REALTIME_TIMESTAMP"), 10, 64); err == nil {
		e.Time = time.UnixMicro(us)
	}
	return e, ok
}

// textEntry returns what reads a line of journalctl's text. A line without a time, as with -o cat or in a file of kubelet's own, is
// a message.
func textEntry() func(line []byte) (Entry, bool) {
	prefix := regexp.MustCompile(`^((?:[A-Z][a-z]{2} )?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*(?: [A-Z]+)?|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?)` +
		` \S+ ([^\s:\[]+)(?:\[(\d+)\])?: (.*)$`)
	return func(raw []byte) (Entry, bool) {
		line := strings.ToValidUTF8(strings.TrimRight(string(raw), "\r\n"), "?")
		if m := prefix.FindStringSubmatch(line); m != nil {
			e := Entry{Time: textTime(m[1]), Identifier: m[2], Message: m[4]}
			e.PID, _ = strconv.Atoi(m[3])
			return e, true
		}
		return Entry{Message: line}, line != "" && !strings.HasPrefix(line, "-- ") // such as "-- Boot 4711 --"
	}
}

// textTime reads the time of a line of text; zero for one of another form.
func textTime(text string) time.Time {
	for _, layout := range []string{time.Stamp, "2006-01-02T15:04:05-0700", time.RFC3339, "Mon 2006-01-02 15:04:05 MST"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return time.Time{}
}

// OfKubelet are the entries of a kubelet and of its unit, of the journal of a whole host, and those that do not say who logged
// them.
func OfKubelet(entries []Entry) []Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return !e.OfKubelet() })
}

// OfKubelet reports whether an entry is of a kubelet or of its unit, or does not say who logged it.
func (e Entry) OfKubelet() bool {
	name := strings.TrimPrefix(e.Identifier, "(")
	return name == "" || strings.HasPrefix(name, "kubelet") && !strings.HasPrefix(name, "kubeletctl") || strings.HasPrefix(e.Message, KubeletService+": ")
}

// Runs tells the runs of a unit apart, entry by entry. Where the invocation is not known, a run begins with another process, or with
// what comes after systemd's word that the unit has ended.
type Runs struct {
	any        bool
	invocation string
	pid        int
	ended      bool
}

// Begins reports whether a run begins with the next entry, as it does with the first.
func (r *Runs) Begins(e Entry) bool {
	same := e.ofProcess() && e.PID == r.pid
	begins := r.ended && e.says() && !same || e.ofProcess() && r.pid != 0 && !same
	if e.Invocation != "" && r.invocation != "" {
		begins = e.Invocation != r.invocation
	}
	begins = begins || !r.any
	if begins {
		*r = Runs{any: true}
	}
	r.invocation = cmp.Or(e.Invocation, r.invocation)
	if e.ofProcess() {
		r.pid = e.PID
	}
	r.ended = r.ended || e.ends()
	return begins
}

// LastRun are the entries of the last run of a unit in which anything was said.
func LastRun(entries []Entry) []Entry {
	var runs [][]Entry
	var tell Runs
	for _, e := range entries {
		if tell.Begins(e) {
			runs = append(runs, nil)
		}
		runs[len(runs)-1] = append(runs[len(runs)-1], e)
	}
	for len(runs) > 1 && !slices.ContainsFunc(runs[len(runs)-1], Entry.says) {
		runs = runs[:len(runs)-1]
	}
	if len(runs) == 0 {
		return nil
	}
	return runs[len(runs)-1]
}

// OfSystemd reports whether systemd said it of kubelet.service: its manager, or the process that becomes kubelet's.
func (e Entry) OfSystemd() bool {
	return e.Identifier == "systemd" || strings.HasPrefix(e.Message, KubeletService+": ")
}

// ofProcess reports whether an entry is of the main process, or of what is to become it.
func (e Entry) ofProcess() bool {
	return e.PID > 1 && (e.OfSystemd() || strings.HasPrefix(e.Identifier, "kubelet"))
}

// says reports whether an entry is more than systemd's word of how it starts and stops a unit.
func (e Entry) says() bool { return !e.OfSystemd() || strings.Contains(e.Message, ": Failed ") }

// ends reports whether it is systemd's last word of a run ("Succeeded" up to systemd 246).
func (e Entry) ends() bool {
	return e.OfSystemd() && (strings.Contains(e.Message, ": Failed with result ") || strings.HasSuffix(e.Message, ": Deactivated successfully.") ||
		strings.HasSuffix(e.Message, ": Succeeded."))
}
