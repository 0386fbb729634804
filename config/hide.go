package config

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// HideSecrets masks what is secret in the text of a file: a KubeletConfiguration or a spec, as YAML or JSON, a unit, an
// environment file, a command line; or in a unified diff of such files, or in a part of one.
//
// Every line stays a line, so that numbers of lines and diffs remain what they are. Where it cannot tell, it hides more than
// it has to: all of a line behind the name of a secret, and items of a nested list of which the beginning is missing.
func HideSecrets(text []byte) []byte {
	var out bytes.Buffer
	h := hider{diff: isDiff(text)}
	for line := range bytes.Lines(text) {
		content, end := bytes.TrimRight(line, "\r\n"), len(bytes.TrimRight(line, "\r\n"))
		out.WriteString(h.line(string(content)))
		out.Write(line[end:])
	}
	return out.Bytes()
}

// HideInLine masks what is secret in one line of words, such as of a log, which is no part of a file. Most lines hold nothing that
// it has to look at.
func HideInLine(line string) string {
	lower := strings.ToLower(line)
	if !slices.ContainsFunc(secretSigns, func(sign string) bool { return strings.Contains(lower, sign) }) {
		return line
	}
	if masked, found := new(hider).privateKey(line); found {
		return masked
	}
	masked, _ := hideInLine(line)
	return masked
}

var (
	diffLine  = regexp.MustCompile(`(?m)^(@@ |\+|-[^ \r\n-]|-  |---[A-Za-z])`)
	otherLine = regexp.MustCompile(`(?m)^[^-+ @\\\r\n]`)
)

// isDiff reports whether each line begins with a mark that is not a part of it.
func isDiff(text []byte) bool {
	for line := range bytes.Lines(text) {
		if otherLine.Match(line) && !bytes.HasPrefix(line, []byte("diff ")) && !bytes.HasPrefix(line, []byte("index ")) {
			return false
		}
	}
	return diffLine.Match(text)
}

// hider masks line after line. In a diff, the lines before and after a change are two texts, and a line that did not change
// is a part of both.
type hider struct {
	diff     bool
	old, new reader
	pem      bool // a private key has begun
}

func (h *hider) line(line string) string {
	if before, found := h.privateKey(line); found {
		return before
	}
	mark, readers := "", []*reader{&h.new}
	if h.diff && line != "" {
		switch line[0] {
		case '@':
			h.old, h.new = reader{}, reader{}
			return line
		case '\\': // "No newline at end of file"
			return line
		case '-':
			mark, readers = "-", []*reader{&h.old}
		case '+':
			mark = "+"
		case ' ':
			mark, readers = " ", []*reader{&h.old, &h.new}
		}
	}
	line = line[len(mark):]
	masked, s := hideInLine(line)
	for _, r := range readers {
		if r.inside(line) {
			masked = line[:indentOf(line)] + Hidden
		} else {
			r.begin(s)
		}
	}
	return mark + masked
}

// privateKey masks a line of a private key in PEM (RFC 7468); false for any other line.
func (h *hider) privateKey(line string) (masked string, found bool) {
	begin := strings.Index(line, "-----BEGIN ")
	switch {
	case h.pem:
		h.pem = !strings.Contains(line, "-----END ")
		begin = 0
		if h.diff && line != "" {
			begin = 1
		}
	case begin < 0 || !strings.Contains(line[begin:], "PRIVATE KEY-----"):
		return "", false
	default:
		h.pem = !strings.Contains(line[begin:], "-----END ")
	}
	return line[:begin] + Hidden, true
}

// reader knows whether the next line of a text goes on with a secret.
type reader struct {
	top    bool // a line without indentation has been read: what is below it is below that
	secret bool // a key of YAML or JSON with a secret value was read
	indent int  // of that key
	depth  int  // brackets that are open in its value
	quote  byte // that is open in its value; 0: none
	next   bool // the value of a flag or of a variable goes on in the next line
}

// inside reports whether a line is, as a whole, part of a secret.
func (r *reader) inside(line string) bool {
	indent, text := indentOf(line), strings.TrimSpace(line)
	if r.next {
		r.next = strings.HasSuffix(text, `\`)
		return text != ""
	}
	if r.secret && r.goesOn(indent, text) {
		return text != "" && (text[0] != '#' || indent > r.indent)
	}
	r.secret = false
	if !r.top && indent == 0 && text != "" && !strings.HasPrefix(text, "#") && !isItem(text) {
		r.top = true
	}
	return !r.top && indent > 0 && mayBeSecret(text)
}

// goesOn reports whether a line belongs to the value of the secret key that was read last.
func (r *reader) goesOn(indent int, text string) bool {
	if text == "" || text[0] == '#' {
		return true
	}
	if indent <= r.indent && startsField(text) {
		return false // whatever seemed to be open
	}
	if indent > r.indent || r.depth > 0 || r.quote != 0 || isItem(text) && indent == r.indent {
		r.scan(text)
		return true
	}
	return false
}

// scan keeps account of the brackets and quotes that a value leaves open.
func (r *reader) scan(value string) {
	before := byte(' ')
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case r.quote == '"' && c == '\\':
			i++
		case r.quote != 0:
			if c == r.quote {
				r.quote = 0
			}
		case (c == '"' || c == '\'') && strings.IndexByte(" \t[{,:-", before) >= 0:
			r.quote = c
		case c == '{' || c == '[':
			r.depth++
		case c == '}' || c == ']':
			r.depth = max(r.depth-1, 0)
		}
		before = c
	}
}

// begin takes note of the secret that was found in a line.
func (r *reader) begin(s secretAt) {
	switch {
	case s.key:
		r.secret, r.indent, r.depth, r.quote = true, s.column, 0, 0
		r.scan(s.value)
	case s.found:
		r.next = s.open
	}
}

// secretAt is where in a line a secret is.
type secretAt struct {
	found  bool
	key    bool   // its name is a key of YAML or JSON,
	column int    // which begins here
	from   int    // where its value begins
	value  string // all of the line from there on
	open   bool   // the value of a flag or a variable goes on in the next line
}

var (
	keyRE      = regexp.MustCompile(`["']?([A-Za-z_][\w.-]*)(?:["']\s*:|:(?:\s|$))\s*`)
	flagRE     = regexp.MustCompile(`(?:^|[^\w-])-+([A-Za-z][\w.-]*)(?:=|[\s"']|$)`)
	variableRE = regexp.MustCompile(`(?:^|[^\w-])([A-Za-z_][\w.-]*)=`)
	schemeRE   = regexp.MustCompile(`\b(Bearer|Basic) +[^\s"',\]]+`)
)

// webTokenRE matches a JSON Web Token (RFC 7519), as those of service accounts: its header is a JSON object in base64.
var webTokenRE = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\beyJ[\w-]{8,}\.[\w-]+(\.[\w-]*)?`)
})

// findSecret finds the first name of a secret in a line.
func findSecret(line string) secretAt {
	var first secretAt
	for _, re := range []*regexp.Regexp{keyRE, flagRE, variableRE} {
		for _, at := range re.FindAllStringSubmatchIndex(line, -1) {
			name, value := line[at[2]:at[3]], line[at[1]:]
			if !isSecret(name, value) {
				continue
			}
			if !first.found || at[1] < first.from {
				first = secretAt{found: true, key: re == keyRE, column: at[0], from: at[1], value: value, open: isOpen(line, value)}
			}
			break
		}
	}
	return first
}

// isOpen reports whether a line that ends with a value is continued within that: it has not begun, or is in quotes.
func isOpen(line, value string) bool {
	_, continued := strings.CutSuffix(strings.TrimRight(value, " \t"), `\`)
	none := strings.Trim(value, ` \`+"\t") == ""
	return continued && (none || strings.Count(line, `"`)%2 != 0 || strings.Count(line, "'")%2 != 0)
}

// hideInLine hides what is secret in one line, and tells where that is.
func hideInLine(line string) (string, secretAt) {
	s := findSecret(line)
	tail := ""
	if s.found {
		line, tail = line[:s.from], maskTail(s.value)
	}
	for _, re := range []*regexp.Regexp{keyRE, flagRE, variableRE} {
		for _, at := range re.FindAllStringSubmatchIndex(line, -1) {
			if urlNames.MatchString(line[at[2]:at[3]]) {
				return hideURLs(line[:at[1]]) + hideURLValue(line[at[1]:]) + tail, s
			}
		}
	}
	line = schemeRE.ReplaceAllString(hideURLs(line), "$1 "+Hidden)
	return webTokenRE().ReplaceAllString(line, Hidden) + tail, s
}

// maskTail hides the rest of a line, but for what ends a quotation, and for the backslash with which the line goes on.
func maskTail(value string) string {
	text, end := strings.TrimRight(value, " \t"), ""
	if rest, continued := strings.CutSuffix(text, `\`); continued {
		text, end = strings.TrimRight(rest, " \t"), ` \`
	}
	if strings.TrimSpace(text) == "" {
		return value
	}
	if last := text[len(text)-1:]; (last == `"` || last == "'") && strings.Count(text, last)%2 == 1 {
		end = last + end
	}
	return Hidden + end
}

// hideURLValue hides what is secret in the rest of a line that begins with a URL. That may be in quotes, and have escapes in
// which an @ is not seen.
func hideURLValue(value string) string {
	text := strings.TrimLeft(value, ` "'`)
	begin := value[:len(value)-len(text)]
	if !strings.Contains(text, "@") && strings.Contains(strings.TrimRight(text, ` \`), `\`) {
		return begin + maskTail(text)
	}
	return begin + hideURL(text)
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }

func isItem(text string) bool { return text == "-" || strings.HasPrefix(text, "- ") }

var fieldRE = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^["']?([A-Za-z]\w*)["']?\s*:`)
})

// startsField reports whether a line begins with a field of a KubeletConfiguration that is not below another one.
func startsField(text string) bool {
	key := fieldRE().FindStringSubmatch(text)
	return key != nil && slices.Contains(table().children[""], key[1])
}

var (
	openRE   = regexp.MustCompile(`^[]{}[(),"' ]*$`)
	scalarRE = regexp.MustCompile(`^["']?([\w./-]+)["']?\s*:(?:\s+[^\s[{|>].*)?$`)
	argRE    = regexp.MustCompile(`^["']?--?[A-Za-z]`)
)

// mayBeSecret reports whether an indented line could be an item of a header, when nobody knows what it is below of.
func mayBeSecret(text string) bool {
	if text == "" || text[0] == '#' || openRE.MatchString(text) || argRE.MatchString(text) {
		return false
	}
	item := isItem(text)
	key := scalarRE.FindStringSubmatch(strings.TrimLeft(strings.TrimPrefix(text, "-"), " "))
	return key == nil || item && !tableNames()[key[1]]
}
