package systemd

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
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

// ParseEntries reads a journal as journalctl prints it: as JSON lines, in the export format, or as text, with or without the time
// and the host before each line.
func ParseEntries(data []byte) []Entry {
	var first map[string]json.RawMessage
	head, _, _ := bytes.Cut(bytes.TrimSpace(data), []byte("\n"))
	switch {
	case bytes.HasPrefix(data, []byte("__CURSOR=")), bytes.HasPrefix(data, []byte("__REALTIME_TIMESTAMP=")):
		return parseExport(data)
	case json.Unmarshal(head, &first) == nil && (first["__CURSOR"] != nil || first["MESSAGE"] != nil):
		return parseJSON(data)
	}
	return parseText(data)
}

// parseJSON reads journalctl's JSON lines. A message that is not UTF-8 comes as an array of bytes
// (systemd.journal-fields(7)); a line that is neither is passed over.
func parseJSON(data []byte) []Entry {
	var entries []Entry
	for line := range bytes.Lines(data) {
		var raw map[string]json.RawMessage
		if json.Unmarshal(line, &raw) != nil {
			continue
		}
		if e, ok := newEntry(func(field string) (string, bool) { return jsonText(raw[field]) }); ok {
			entries = append(entries, e)
		}
	}
	return entries
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

// parseExport reads the export format: fields as NAME=VALUE, or, when the value has a newline or is binary, NAME, its length in 8
// bytes, little endian, and the value; an empty line after each entry.
func parseExport(data []byte) []Entry {
	var entries []Entry
	fields := map[string]string{}
	for len(data) > 0 {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		name, value, found := bytes.Cut(line, []byte("="))
		switch {
		case len(line) == 0:
			entries = appendFields(entries, fields)
			clear(fields)
		case !found && len(data) >= 8:
			length := min(binary.LittleEndian.Uint64(data), uint64(len(data)-8))
			fields[string(name)] = string(data[8 : 8+length])
			data = bytes.TrimPrefix(data[8+length:], []byte("\n"))
		default:
			fields[string(name)] = string(value)
		}
	}
	return appendFields(entries, fields)
}

func appendFields(entries []Entry, fields map[string]string) []Entry {
	e, ok := newEntry(func(field string) (string, bool) { value, ok := fields[field]; return value, ok })
	if !ok {
		return entries
	}
	return append(entries, e)
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

// parseText reads journalctl's text. A line without a time, as with -o cat or in a file of kubelet's own, is a message.
func parseText(data []byte) []Entry {
	prefix := regexp.MustCompile(`^((?:[A-Z][a-z]{2} )?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*(?: [A-Z]+)?|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?)` +
		` \S+ ([^\s:\[]+)(?:\[(\d+)\])?: (.*)$`)
	var entries []Entry
	for line := range strings.Lines(string(data)) {
		line = strings.ToValidUTF8(strings.TrimRight(line, "\r\n"), "?")
		switch m := prefix.FindStringSubmatch(line); {
		case m != nil:
			e := Entry{Time: textTime(m[1]), Identifier: m[2], Message: m[4]}
			e.PID, _ = strconv.Atoi(m[3])
			entries = append(entries, e)
		case line != "" && !strings.HasPrefix(line, "-- "): // such as "-- Boot 4711 --"
			entries = append(entries, Entry{Message: line})
		}
	}
	return entries
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
	var list []Entry
	for _, e := range entries {
		name := strings.TrimPrefix(e.Identifier, "(")
		if name == "" || strings.HasPrefix(name, "kubelet") && !strings.HasPrefix(name, "kubeletctl") || strings.HasPrefix(e.Message, KubeletService+": ") {
			list = append(list, e)
		}
	}
	return list
}

// LastRun are the entries of the last run of a unit in which anything was said. Where the invocation is not known, a run begins
// with another process, or with what comes after systemd's word that the unit has ended.
func LastRun(entries []Entry) []Entry {
	var runs [][]Entry
	var last Entry // the invocation and the process of the run
	ended := false
	for _, e := range entries {
		same := e.ofProcess() && e.PID == last.PID
		begins := ended && e.says() && !same || e.ofProcess() && last.PID != 0 && !same
		if e.Invocation != "" && last.Invocation != "" {
			begins = e.Invocation != last.Invocation
		}
		if begins || len(runs) == 0 {
			runs, last, ended = append(runs, nil), Entry{}, false
		}
		runs[len(runs)-1] = append(runs[len(runs)-1], e)
		last.Invocation = cmp.Or(e.Invocation, last.Invocation)
		if e.ofProcess() {
			last.PID = e.PID
		}
		ended = ended || e.ends()
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
