// Package kubeletlog reads what a kubelet logs, and finds in it why the kubelet ended.
//
// A kubelet logs in several forms at once: klog's lines of text, of which a value may take several; klog's JSON, with
// logging.format: json; the panics and fatal errors of Go, with the stacks of goroutines; and the plain lines of its command
// line, with pages of usage. Beside them the journal has what systemd says of the unit. See [Parse] for the forms and [Reason]
// for the reason.
package kubeletlog

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// Severity is klog's.
type Severity byte

// The severities of klog. The lines of systemd and those that are of no known form have none.
const (
	Info    Severity = 'I'
	Warning Severity = 'W'
	Error   Severity = 'E'
	Fatal   Severity = 'F'
)

// Entry is one thing that was logged, however many lines it took.
type Entry struct {
	// Time is the journal's or, where that is not known, klog's, which has no year (0) and no time zone.
	Time     time.Time
	Severity Severity
	// Message is what was said, and Err the error that came with it; both are unquoted and may have several lines.
	Message, Err string
	// Source is where in its source kubelet said it, as FILE:LINE.
	Source string
	// Values are what else came with the message, in its order.
	Values []Value
	// Crash reports that Message is how Go ends a program: a panic or a fatal error. OfSystemd reports that systemd said it.
	Crash, OfSystemd bool
	// Invocation is the run of the unit, and PID the process that logged it; empty and 0 where the journal does not tell.
	Invocation string
	PID        int
}

// Known reports whether the entry has one of the forms that kubelet and systemd log in.
func (e Entry) Known() bool { return e.Severity != 0 || e.OfSystemd }

// Value is a key with its value, unquoted.
type Value struct{ Key, Value string }

// Text is the entry in one line that can be printed: its message and its error.
func (e Entry) Text() string {
	text := e.Message
	switch {
	case e.Err != "" && e.Message == commandFailed:
		text = e.Err
	case e.Err != "":
		text += ": " + e.Err
	}
	return strings.Map(printable, strings.Join(strings.Fields(text), " "))
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '?'
}

// header is how a line of klog begins: E1123 21:54:01.000000    4711 file.go:12] message. It is compiled when it is needed first.
var header = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([IWEF])(\d{4} \d\d:\d\d:\d\d\.\d+) +\d+ ([^ \]]+)\] ?(.*)$`)
})

var (
	// crashes are how the last words of a Go program begin; what follows are the stacks of its goroutines.
	crashes = []string{"panic: ", "fatal error: ", "SIGABRT: abort", "SIGQUIT: quit"}
	// usages are how cobra's and pflag's help begins.
	usages = []string{"Usage:", "Usage of "}
)

func beginsWith(text string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(text, word) })
}

// Parse reads the lines of a journal, oldest first. Values of several lines, the stacks that follow a panic and the pages of a
// usage are of one entry, whether the journal has kept the blanks before and after a line or not.
func Parse(lines []systemd.Entry) []Entry {
	var p Parser
	for _, line := range lines {
		p.line(line)
	}
	return p.Close()
}

// Parser is Parse line by line. It keeps what is not complete.
type Parser struct {
	entries []Entry
	// open is the klog entry of which a value is not complete: its text so far, up to the key, and the lines of that value.
	open  *Entry
	text  string
	value []string
	// rest is set while lines belong to the crash or usage before them, stack when no more of them are of its message.
	rest, stack bool
	// crashed is set while those lines are of a crash.
	crashed bool
	at      int // where the open entry, the crash or the usage is
}

// mostOpen is for how many lines an entry that is not complete is waited for; 1.37 logs about 200 lines of its configuration.
const mostOpen = 5000

// Add reads one line and returns the entries that are complete by now, which are good until the next call.
func (p *Parser) Add(l systemd.Entry) []Entry {
	p.line(l)
	if len(p.value)+len(p.entries) > mostOpen {
		return p.Close()
	}
	if p.open != nil || p.rest && !p.stack {
		return nil
	}
	complete := p.entries
	p.entries = p.entries[:0]
	return complete
}

// Close returns the entries that were left, complete or not. What is added next begins anew.
func (p *Parser) Close() []Entry {
	p.close()
	entries := p.entries
	*p = Parser{}
	return entries
}

// line reads one line. What systemd says may come between two lines of a value.
func (p *Parser) line(l systemd.Entry) {
	if l.OfSystemd() {
		message := strings.TrimPrefix(l.Message, systemd.KubeletService+": ")
		p.append(l, 0, message).OfSystemd = true
		return
	}
	text := strings.TrimRight(l.Message, " \t\r\n")
	m := header().FindStringSubmatch(text)
	switch {
	case m != nil:
		p.begin(klogEntry(l, m), m[4])
	case p.open != nil:
		p.continues(text)
	case strings.HasPrefix(text, `{"`) && p.json(l, text):
	case beginsWith(text, crashes) && !(p.rest && p.crashed):
		p.rest, p.stack, p.crashed, p.at = true, false, true, len(p.entries)
		p.append(l, Fatal, text).Crash = true
	case beginsWith(text, usages):
		p.rest, p.stack, p.crashed, p.at = true, true, false, len(p.entries)
		p.append(l, 0, text)
	case strings.HasPrefix(text, "Error: "):
		p.rest = false
		p.append(l, Error, strings.TrimPrefix(text, "Error: "))
	case strings.HasPrefix(text, "goroutine ") && !p.rest: // klog's Fatal shows the stacks, too
		p.rest, p.stack, p.crashed = true, true, false
	case p.rest:
		p.belongs(text)
	case text != "":
		p.append(l, 0, text)
	}
}

func newEntry(l systemd.Entry, severity Severity, message string) Entry {
	return Entry{Time: l.Time, Severity: severity, Message: message, Invocation: l.Invocation, PID: l.PID}
}

// append adds an entry of one line, and returns it.
func (p *Parser) append(l systemd.Entry, severity Severity, message string) *Entry {
	p.entries = append(p.entries, newEntry(l, severity, message))
	return &p.entries[len(p.entries)-1]
}

// mostOfCrash is how much of the message of a crash is read, in bytes.
const mostOfCrash = 64 << 10

// belongs takes a line that follows the beginning of a crash or of a usage. A panic's message may have several lines.
func (p *Parser) belongs(text string) {
	p.stack = p.stack || text == "" || strings.HasPrefix(text, "goroutine ") || strings.HasPrefix(text, "[signal ")
	if !p.stack {
		p.entries[p.at].Message += "\n" + text
		p.stack = len(p.entries[p.at].Message) > mostOfCrash
	}
}

func klogEntry(l systemd.Entry, m []string) Entry {
	e := newEntry(l, Severity(m[1][0]), "")
	e.Source = m[3]
	if e.Time.IsZero() {
		e.Time, _ = time.Parse("0102 15:04:05", m[2]) // a fraction is accepted
	}
	return e
}

// begin begins a klog entry with the text behind its header.
func (p *Parser) begin(e Entry, text string) {
	p.close()
	p.rest, p.at = false, len(p.entries)
	p.entries = append(p.entries, e)
	p.open, p.text = &e, text
	if !strings.HasSuffix(text, "=<") {
		p.close()
	}
}

// continues reads a line of a value of several lines, which klog indents with a tab and ends with " >"; another value may follow.
func (p *Parser) continues(text string) {
	end := strings.TrimLeft(text, " ")
	if end != ">" && !strings.HasPrefix(end, "> ") {
		p.value = append(p.value, strings.TrimPrefix(text, "\t"))
		return
	}
	p.text = strings.TrimSuffix(p.text, "<") + strconv.Quote(strings.Join(p.value, "\n")) + end[1:]
	p.value = nil
	if !strings.HasSuffix(p.text, "=<") {
		p.close()
	}
}

// close ends the entry that is open, also one of which the rest is missing.
func (p *Parser) close() {
	if p.open == nil {
		return
	}
	if before, found := strings.CutSuffix(p.text, "<"); found && strings.HasSuffix(before, "=") {
		p.text = before + strconv.Quote(strings.Join(p.value, "\n"))
	}
	p.open.parse(p.text)
	p.entries[p.at] = *p.open
	p.open, p.value = nil, nil
}

// parse reads the text of klog: a quoted message, with keys and values behind it, or a text of any form.
func (e *Entry) parse(text string) {
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil || text[0] != '"' {
		e.Message = text
		return
	}
	e.Message, _ = strconv.Unquote(quoted)
	rest := strings.TrimSpace(text[len(quoted):])
	for rest != "" {
		key, value, found := strings.Cut(rest, "=")
		if !found {
			e.add("", rest)
			return
		}
		value, rest = cutValue(value)
		e.add(strings.TrimSpace(key), value)
	}
}

// cutValue cuts the first value, unquoted, off a text: a quoted one, JSON, or what ends with a blank.
func cutValue(text string) (value, rest string) {
	if quoted, err := strconv.QuotedPrefix(text); err == nil {
		value, _ = strconv.Unquote(quoted)
		return value, strings.TrimSpace(text[len(quoted):])
	}
	if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		d := json.NewDecoder(strings.NewReader(text))
		var raw json.RawMessage
		if d.Decode(&raw) == nil {
			return string(raw), strings.TrimSpace(text[d.InputOffset():])
		}
	}
	value, rest, _ = strings.Cut(text, " ")
	return value, strings.TrimSpace(rest)
}

// add adds a value. That of err is the error of the entry.
func (e *Entry) add(key, value string) {
	if key == "err" && e.Err == "" {
		e.Err = value
		return
	}
	e.Values = append(e.Values, Value{key, value})
}

// json reads a line of klog's JSON; false when it is something else. What has no verbosity is an error.
func (p *Parser) json(l systemd.Entry, text string) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &fields) != nil || fields["ts"] == nil || fields["msg"] == nil {
		return false
	}
	e := newEntry(l, Error, plain(fields["msg"]))
	e.Source = plain(fields["caller"])
	if fields["v"] != nil {
		e.Severity = Info
	}
	if ms, err := strconv.ParseFloat(string(fields["ts"]), 64); err == nil && e.Time.IsZero() {
		e.Time = time.UnixMicro(int64(ms * 1000))
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains([]string{"ts", "msg", "caller", "v"}, key) {
			e.add(key, plain(fields[key]))
		}
	}
	p.rest = false
	p.entries = append(p.entries, e)
	return true
}

// plain is a JSON value as text: a string without its quotes, anything else as it is.
func plain(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// Line is Text with the values that came with the message.
func (e Entry) Line() string {
	line := e.Text()
	for _, v := range e.Values {
		line += " " + v.Key + "=" + strconv.Quote(strings.Map(printable, strings.Join(strings.Fields(v.Value), " ")))
	}
	return line
}
