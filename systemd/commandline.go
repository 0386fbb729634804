package systemd

import (
	"bytes"
	"strings"
)

// SplitCommandLine splits a command line as it stands in a shell script, or as ps shows it: single and double quotes,
// backslashes, line breaks after a backslash, and comments are those of sh. A line break alone is a blank. Nothing is
// expanded, and what a shell would take for an operator is text, since ps shows
// --eviction-hard=memory.available<100Mi without quotes.
//
// The first word is the program, unless it starts with a dash: then path is empty and all words are arguments. The error
// is a [SyntaxError].
func SplitCommandLine(file, text string) (path string, args []Word, err error) {
	p := shellParser{rest: newLines(file, text)}
	var words []Word
	for {
		w, ok, err := p.next()
		if err != nil {
			return "", nil, err
		}
		if !ok {
			break
		}
		words = append(words, w.word())
	}
	path, args = splitProgram(words)
	return path, args, nil
}

// SplitNulls splits a command line as /proc/PID/cmdline has it. All is on line 1.
func SplitNulls(file string, data []byte) (path string, args []Word) {
	var words []Word
	column := 1
	for len(data) > 0 {
		word, rest, _ := bytes.Cut(data, []byte{0})
		words = append(words, Word{Text: string(word), Position: Position{file, 1, column}})
		column += len(word) + 1
		data = rest
	}
	return splitProgram(words)
}

func splitProgram(words []Word) (path string, args []Word) {
	if len(words) == 0 || strings.HasPrefix(words[0].Text, "-") {
		return "", words
	}
	return words[0].Text, words[1:]
}

type shellParser struct{ rest text }

// lineBreak is the length of the line break at the start of t, or 0. CRLF is what a copy from elsewhere may have.
func lineBreak(t text) int {
	switch {
	case strings.HasPrefix(t.head(2), "\n"):
		return 1
	case t.head(2) == "\r\n":
		return 2
	}
	return 0
}

// skip goes to the start of the next word.
func (p *shellParser) skip() {
	for len(p.rest) > 0 {
		switch c := p.rest[0].b; {
		case isBlank(c):
			p.rest = p.rest[1:]
		case c == '\\' && lineBreak(p.rest[1:]) > 0:
			p.rest = p.rest[1+lineBreak(p.rest[1:]):]
		case c == '#':
			for len(p.rest) > 0 && p.rest[0].b != '\n' {
				p.rest = p.rest[1:]
			}
		default:
			return
		}
	}
}

func (p *shellParser) next() (w span, ok bool, err error) {
	p.skip()
	if len(p.rest) == 0 {
		return span{}, false, nil
	}
	w.start = p.rest[0].at
	for len(p.rest) > 0 && !isBlank(p.rest[0].b) {
		c := p.rest[0]
		p.rest = p.rest[1:]
		switch c.b {
		case '\\':
			w.text = p.backslash(w.text, c)
		case '\'', '"':
			closed := false
			for len(p.rest) > 0 && !closed {
				d := p.rest[0]
				p.rest = p.rest[1:]
				switch {
				case d.b == c.b:
					closed = true
				case d.b == '\\' && c.b == '"' && !p.escapable():
					w.text = append(w.text, d)
				case d.b == '\\' && c.b == '"':
					w.text = p.backslash(w.text, d)
				default:
					w.text = append(w.text, d)
				}
			}
			if !closed {
				return span{}, false, &SyntaxError{c.at, "this quote is never closed"}
			}
		default:
			w.text = append(w.text, c)
		}
	}
	return w, true, nil
}

// escapable reports whether a backslash in double quotes escapes what follows.
func (p *shellParser) escapable() bool {
	return lineBreak(p.rest) > 0 || len(p.rest) > 0 && strings.IndexByte("$`\"\\", p.rest[0].b) >= 0
}

// backslash takes what a backslash escapes. At the very end, it stands for itself.
func (p *shellParser) backslash(t text, c char) text {
	if n := lineBreak(p.rest); n > 0 {
		p.rest = p.rest[n:]
		return t
	}
	if len(p.rest) > 0 {
		c, p.rest = p.rest[0], p.rest[1:]
	}
	return append(t, c)
}
