package systemd

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Position is a place in a file. Line and Column count from 1; a column is a byte, as compilers count them.
type Position struct {
	File         string
	Line, Column int
}

// SyntaxError is something in a file that systemd refuses, or ignores with a warning.
type SyntaxError struct {
	Position
	Text string
}

func (e *SyntaxError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// UnitFile is a unit file or a drop-in, or several of them after [Combine].
type UnitFile struct {
	Assignments []Assignment
	// Warnings are the lines that systemd ignores since they assign nothing. [UnitFile.Ignored] knows more.
	Warnings []*SyntaxError

	headers []Assignment // of sections: without key and value
}

// Assignment is one "Key=Value" of a unit file.
type Assignment struct {
	Section, Key string
	// Value is what stands after the equals sign, without the blanks around it. A continuation is one blank, as for
	// systemd; quotes, escapes, specifiers and variables are still as written.
	Value string
	// Position is where the key starts.
	Position

	value text
}

// Variable is one assignment of an environment file.
type Variable struct {
	Name, Value string
	// Position is where the name starts.
	Position

	value text
}

// char is a byte of a value and the place where it was written. Values get joined, unquoted, expanded and split, and in
// the end each word has to know where it came from; a place for each byte is the one way that survives all of it.
type char struct {
	b  byte
	at Position
	// unknown is set for what stands for something else that is not known here.
	unknown bool
}

type text []char

func newText(s string, at Position) text {
	t := make(text, len(s))
	for i := range len(s) {
		t[i] = char{b: s[i], at: at}
		at.Column++
	}
	return t
}

// repeatAt is a text that does not stand in the file as it is, all of it written at one place.
func repeatAt(s string, at Position) text {
	t := make(text, len(s))
	for i := range len(s) {
		t[i] = char{b: s[i], at: at}
	}
	return t
}

func (t text) String() string {
	b := make([]byte, len(t))
	for i, c := range t {
		b[i] = c.b
	}
	return string(b)
}

func (t text) trim() text {
	for len(t) > 0 && isBlank(t[0].b) {
		t = t[1:]
	}
	for len(t) > 0 && isBlank(t[len(t)-1].b) {
		t = t[:len(t)-1]
	}
	return t
}

func (t text) index(b byte) int {
	return slices.IndexFunc(t, func(c char) bool { return c.b == b })
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\r' }

func isComment(b byte) bool { return b == '#' || b == ';' }

const byteOrderMark = "\ufeff"

// ParseUnit reads the lines of a unit file or drop-in as systemd.syntax(7) has them. It knows neither sections nor keys:
// for those, see [UnitFile.Ignored]. The error joins a [SyntaxError] for each line that makes systemd refuse
// the file; what it skips with a warning is in [UnitFile.Warnings]. The unit file is never nil and has all other lines.
func ParseUnit(file string, data []byte) (*UnitFile, error) {
	p := unitParser{unit: &UnitFile{}}
	var joined text
	continued, marked := false, false
	for _, line := range splitLines(file, data) {
		// A comment is skipped before anything else, so that it may stand between a line and its continuation.
		if t := line.trim(); len(t) > 0 && isComment(t[0].b) {
			continue
		}
		if !marked && strings.HasPrefix(line.String(), byteOrderMark) {
			line, marked = line[len(byteOrderMark):], true
		}
		if !continued {
			joined = nil
		}
		joined = append(joined, line...)
		continued = endsInBackslash(line)
		if continued {
			joined[len(joined)-1].b = ' '
			continue
		}
		p.line(joined)
	}
	if continued {
		p.line(joined)
	}
	return p.unit, errors.Join(p.errs...)
}

// splitLines cuts where systemd does: at LF, CR and NUL. Different ones in a row are one end of a line, which covers
// CRLF; a NUL is always the last of them.
func splitLines(file string, data []byte) []text {
	const ends = "\n\r\x00"
	var lines []text
	for len(data) > 0 {
		n := bytes.IndexAny(data, ends)
		if n < 0 {
			n = len(data)
		}
		lines = append(lines, newText(string(data[:n]), Position{file, len(lines) + 1, 1}))
		data = data[n:]
		var seen string
		for len(data) > 0 && strings.IndexByte(ends, data[0]) >= 0 && strings.IndexByte(seen, data[0]) < 0 {
			end := data[0]
			seen += string(rune(end))
			data = data[1:]
			if end == 0 {
				break
			}
		}
	}
	return lines
}

// endsInBackslash reports whether the last byte is a backslash that no other one escapes. Escapes do not reach over a
// continuation, since the backslash there has become a blank.
func endsInBackslash(t text) bool {
	escaped := false
	for _, c := range t {
		escaped = !escaped && c.b == '\\'
	}
	return escaped
}

type unitParser struct {
	unit *UnitFile
	errs []error
	// section is the current one; headed says that there is one.
	section string
	headed  bool
	// lost is set after a bad header: nobody knows where the assignments below belong, and the header was reported.
	lost bool
}

func (p *unitParser) warn(at Position, format string, args ...any) {
	p.unit.Warnings = append(p.unit.Warnings, &SyntaxError{at, fmt.Sprintf(format, args...)})
}

func (p *unitParser) fail(at Position, format string, args ...any) {
	p.errs = append(p.errs, &SyntaxError{at, fmt.Sprintf(format, args...)})
}

// line takes one line after its continuations were joined.
func (p *unitParser) line(t text) {
	t = t.trim()
	if len(t) == 0 || isComment(t[0].b) {
		return
	}
	start := t[0].at
	if !validUTF8(t.String()) {
		p.fail(start, "not valid UTF-8: systemd refuses the file")
		return
	}
	if t[0].b == '[' {
		p.header(t)
		return
	}
	if p.lost {
		return
	}
	if !p.headed {
		p.warn(start, "outside of a section: systemd ignores this line")
		return
	}
	equals := t.index('=')
	if equals < 0 {
		if !isOwn(p.section) && isSection(start.File, p.section) { // of others it skips all
			p.warn(start, "no equals sign: systemd ignores this line")
		}
		return
	}
	key, value := t[:equals].trim(), t[equals+1:].trim()
	if len(key) == 0 {
		p.warn(start, "no key before the equals sign: systemd ignores this line")
		return
	}
	p.unit.Assignments = append(p.unit.Assignments, Assignment{
		Section: p.section, Key: key.String(), Value: value.String(), Position: start, value: value,
	})
}

func (p *unitParser) header(t text) {
	s := t.String()
	name, closed := strings.CutSuffix(s[1:], "]")
	if !closed || !isSafe(name) {
		p.fail(t[0].at, "bad section header %q: systemd refuses the file", s)
		p.lost = true
		return
	}
	p.section, p.headed, p.lost = name, true, false
	p.unit.headers = append(p.unit.headers, Assignment{Section: name, Position: t[0].at})
}

// isSafe reports whether s is free of the characters that systemd refuses in names of sections and programs.
func isSafe(s string) bool {
	return !hasControl(s) && !strings.ContainsAny(s, `"'\`)
}

// validUTF8 is stricter than utf8.ValidString: systemd refuses noncharacters as well.
func validUTF8(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe
	})
}

// resettable are the list settings of [Service] that an empty assignment empties. It is not so for all settings: a
// dependency can't be taken back, and an empty Type= is ignored.
var resettable = []string{
	"Environment", "EnvironmentFile", "PassEnvironment", "UnsetEnvironment",
	"ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost",
}

func (a Assignment) resets() bool {
	return a.Value == "" && a.Section == "Service" && slices.Contains(resettable, a.Key)
}

// Combine puts a unit and its drop-ins together, in the order in which systemd reads them. What an empty assignment takes
// back is left out; the empty assignment itself stays, so that drop-ins can be combined before their unit.
func Combine(files ...*UnitFile) *UnitFile {
	c := &UnitFile{}
	for _, f := range files {
		for _, a := range f.Assignments {
			if a.resets() {
				c.Assignments = slices.DeleteFunc(c.Assignments, func(b Assignment) bool {
					return b.Section == a.Section && b.Key == a.Key
				})
			}
			c.Assignments = append(c.Assignments, a)
		}
		c.Warnings = append(c.Warnings, f.Warnings...)
		c.headers = append(c.headers, f.headers...)
	}
	return c
}

// Values returns the assignments of a key that are in force: for a list setting, those after the last empty one.
func (u *UnitFile) Values(section, key string) []Assignment {
	var values []Assignment
	for _, a := range u.Assignments {
		if a.Section != section || a.Key != key {
			continue
		}
		if a.resets() {
			values = nil
			continue
		}
		values = append(values, a)
	}
	return values
}

// ParseEnvironmentFile reads a file as EnvironmentFile= of systemd.exec(5) does, which is not as a shell would: quotes
// count only at the start of a value or right after another quoted piece, nothing is expanded, "export" makes a line
// invalid. Variables come in the order of the file and may repeat: the last one counts. Ignored are the lines that
// systemd skips or reads otherwise than they look. The error says why systemd refuses the whole file.
func ParseEnvironmentFile(file string, data []byte) (vars []Variable, ignored []*SyntaxError, err error) {
	p := environmentParser{chars: newLines(file, string(data))}
	if i := p.chars.index(0); i >= 0 {
		p.fail(p.chars[i].at, "a NUL character: systemd refuses the file")
	}
	for p.i < len(p.chars) {
		p.line()
	}
	return p.vars, p.ignored, errors.Join(p.errs...)
}

// newLines is a text of several lines. They end with LF, whatever CR stands around.
func newLines(file, s string) text {
	t := make(text, 0, len(s))
	line := 1
	for l := range strings.Lines(s) {
		t = append(t, newText(l, Position{file, line, 1})...)
		line++
	}
	return t
}

type environmentParser struct {
	chars   text
	i       int
	vars    []Variable
	ignored []*SyntaxError
	errs    []error
}

func (p *environmentParser) ignore(at Position, format string, args ...any) {
	p.ignored = append(p.ignored, &SyntaxError{at, fmt.Sprintf(format, args...)})
}

func (p *environmentParser) fail(at Position, format string, args ...any) {
	p.errs = append(p.errs, &SyntaxError{at, fmt.Sprintf(format, args...)})
}

// next returns the character at hand and steps over it; false at the end of the file.
func (p *environmentParser) next() (char, bool) {
	if p.i == len(p.chars) {
		return char{}, false
	}
	p.i++
	return p.chars[p.i-1], true
}

// line takes what starts a line: blanks and empty lines, a comment, or an assignment.
func (p *environmentParser) line() {
	c, _ := p.next()
	switch {
	case isBlank(c.b):
	case isComment(c.b):
		p.comment()
	default:
		p.i--
		p.assignment()
	}
}

func (p *environmentParser) comment() {
	for {
		c, ok := p.next()
		if !ok || isNewline(c.b) {
			return
		}
		if c.b != '\\' {
			continue
		}
		if n, ok := p.next(); ok && isNewline(n.b) {
			p.ignore(c.at, "this comment goes on with the next line before systemd 254, and ends here since")
		}
	}
}

func isNewline(b byte) bool { return b == '\n' || b == '\r' }

func (p *environmentParser) assignment() {
	start := p.i
	at := p.chars[start].at
	for {
		c, ok := p.next()
		if !ok || isNewline(c.b) {
			p.ignore(at, "no equals sign: systemd ignores this line")
			return
		}
		if c.b == '=' {
			break
		}
	}
	name := p.chars[start : p.i-1].trim().String()
	value := p.value()
	switch s := value.String(); {
	case !validUTF8(name) || !validUTF8(s):
		p.fail(at, "not valid UTF-8: systemd refuses the file")
	case !isVariableName(name):
		p.ignore(at, "%q is not the name of a variable: systemd ignores this line", name)
	default:
		p.vars = append(p.vars, Variable{Name: name, Value: s, Position: at, value: value})
		p.ignored = append(p.ignored, unexpanded(value)...)
	}
}

// value takes everything after the equals sign. A value is any number of quoted pieces, with blanks between them that
// don't count, then one unquoted piece that goes up to the end of the line.
func (p *environmentParser) value() text {
	var value text
	for {
		c, ok := p.next()
		switch {
		case !ok || isNewline(c.b):
			return value
		case c.b == '\'':
			value = p.singleQuoted(value, c.at)
		case c.b == '"':
			value = p.doubleQuoted(value, c.at)
		case isBlank(c.b):
		default:
			p.i--
			return p.unquoted(value)
		}
	}
}

func (p *environmentParser) unquoted(value text) text {
	end := 0 // without trailing blanks, which only count when they are escaped
	for {
		c, ok := p.next()
		switch {
		case !ok || isNewline(c.b):
			return value[:end]
		case c.b == '\\':
			// An escaped line break vanishes; blanks at the start of the next line don't.
			if c, ok = p.next(); ok && !isNewline(c.b) {
				value = append(value, c)
			}
			end = len(value)
		default:
			value = append(value, c)
			if !isBlank(c.b) {
				end = len(value)
			}
		}
	}
}

func (p *environmentParser) singleQuoted(value text, open Position) text {
	for {
		c, ok := p.next()
		if !ok {
			p.ignore(open, "this quote is never closed: systemd takes the rest of the file for the value")
			return value
		}
		if c.b == '\'' {
			return value
		}
		value = append(value, c)
	}
}

func (p *environmentParser) doubleQuoted(value text, open Position) text {
	for {
		c, ok := p.next()
		if ok && c.b == '"' {
			return value
		}
		if ok && c.b == '\\' {
			backslash := c
			// As in a shell, only what would otherwise mean something can be escaped.
			if c, ok = p.next(); ok && strings.IndexByte("\"\\`$\n", c.b) < 0 {
				value = append(value, backslash)
			}
			if ok && c.b == '\n' {
				continue
			}
		}
		if !ok {
			p.ignore(open, "this quote is never closed: systemd takes the rest of the file for the value")
			return value
		}
		value = append(value, c)
	}
}

func isVariableName(s string) bool {
	for i := range len(s) {
		if !isNameByte(s[i]) || i == 0 && s[i] >= '0' && s[i] <= '9' {
			return false
		}
	}
	return s != ""
}

func isNameByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_'
}
