package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// ErrNoCommand says that a unit has no ExecStart=, or that a drop-in took it back.
var ErrNoCommand = errors.New("no ExecStart= command")

// Word is one argument of a command, without its quotes and with all expansions done.
type Word struct {
	Text string
	// Position is where its first character was written: in the line of the command, or in the Environment= line or the
	// environment file that the character came from. For an empty word it is where the word would start.
	Position
	// Unknown is set when a part of the word stands for something that is not known here: see [Environment.Partial]. Then
	// Text is in the notation of a unit, with doubled % and $ for what stands for itself.
	Unknown bool
}

// Command is what a unit starts.
type Command struct {
	// Path is the program without the special prefixes of systemd.service(5): an absolute path, or a plain name that
	// systemd looks up.
	Path string
	// Position is where the path was written.
	Position
	// Args come after argv[0].
	Args []Word
	// Warnings are for what systemd ignores or reads otherwise than it looks: invalid lines of the environment, variables
	// that are not set, unknown escapes, what a shell would expand.
	Warnings []*SyntaxError
	// Missing are the environment files that are not there.
	Missing []string
	// Skipped says of each environment file that systemd cannot read, and goes on without, why it cannot.
	Skipped []error
	// Used are the variables that the command line names.
	Used []string
}

// Environment is what a command line cannot say itself.
type Environment struct {
	// ReadFile reads what EnvironmentFile= names. Nil: os.ReadFile.
	ReadFile func(path string) ([]byte, error)
	// Glob lists the files of an EnvironmentFile= that has wildcards, in their order. Nil: such a path is an error.
	Glob func(pattern string) ([]string, error)
	// Specifier returns what the specifier %c stands for (systemd.unit(5)). Nil knows none. "%%" never gets here.
	Specifier func(c byte) (string, bool)
	// Partial says that the host is not this one, or not there yet. A specifier that cannot be resolved, and a variable that
	// a missing file or the manager may set, stay as they are written, and the words that hold them are Unknown. A file that
	// is not there is no error.
	Partial bool
}

// specifiers are those of systemd.unit(5) up to systemd 257, and three that old releases have.
var specifiers = map[byte]string{
	'a': "architecture", 'A': "operating system image version", 'b': "boot ID", 'B': "operating system build ID",
	'C': "cache directory root", 'd': "credentials directory", 'D': "shared data directory",
	'E': "configuration directory root", 'f': "unescaped filename", 'g': "user group", 'G': "user GID",
	'h': "user home directory", 'H': "host name", 'i': "instance name", 'I': "unescaped instance name",
	'j': "final component of the prefix", 'J': "unescaped final component of the prefix", 'l': "short host name",
	'L': "log directory root", 'm': "machine ID", 'M': "operating system image identifier", 'n': "full unit name",
	'N': "full unit name without its suffix", 'o': "operating system ID", 'p': "prefix name",
	'P': "unescaped prefix name", 'q': "pretty host name", 's': "user shell", 'S': "state directory root",
	't': "runtime directory root", 'T': "directory for temporary files", 'u': "user name", 'U': "user UID",
	'v': "kernel release", 'V': "directory for larger and persistent temporary files",
	'w': "operating system version ID", 'W': "operating system variant ID", 'y': "path to the fragment",
	'Y': "directory of the fragment",
	'c': "control group of the unit", 'r': "control group of all units", 'R': "root of the control groups",
}

// ExecStart resolves the command that the unit starts, as systemd does: words, quotes and escapes, then specifiers, then
// variables of Environment= and EnvironmentFile=. Variables of the manager itself (PATH, LANG and the like) count as not
// set. A command that goes through a shell comes back as that: what its -c means is not for systemd.
//
// An EnvironmentFile= with a leading "-" may be missing; being unreadable is an error all the same, since what a user
// can't read systemd may.
//
// The error joins a [SyntaxError] for each problem, and [ErrNoCommand]; the command is then what could be resolved.
// Stricter than systemd: a bad command is an error even where systemd goes on without it, as behind a semicolon or with
// the prefix "-". More lenient: a bad command that an empty ExecStart= takes back does not count.
func (u *UnitFile) ExecStart(env Environment) (Command, error) {
	r := &resolver{env: env}
	var commands []execCommand
	for _, a := range u.Values("Service", "ExecStart") {
		commands = append(commands, r.commands(a.value)...)
	}
	variables := r.variables(u)
	if len(commands) == 0 {
		return Command{Warnings: r.warnings, Missing: r.missing}, errors.Join(append(r.errs, ErrNoCommand)...)
	}
	if len(commands) > 1 {
		first := commands[0].path.start
		r.fail(commands[1].path.start, "a second ExecStart= command, after the one at %s:%d:%d: "+
			"only a Type=oneshot service may have more than one, and a kubelet is none", first.File, first.Line, first.Column)
	}
	c := commands[0]
	argv := c.argv
	if !c.literal {
		argv = r.expand(argv, variables)
	}
	if len(argv) == 0 {
		r.fail(c.argv[0].position(), "the name for the program expands to nothing")
	}
	cmd := Command{Path: simplifyPath(c.path.String()), Position: c.path.position()}
	for i, w := range argv {
		if i > 0 {
			cmd.Args = append(cmd.Args, w.word())
		}
	}
	cmd.Warnings, cmd.Missing, cmd.Skipped, cmd.Used = r.warnings, r.missing, r.skipped, r.used
	return cmd, errors.Join(r.errs...)
}

type execCommand struct {
	path    span
	argv    []span
	literal bool // variables are not expanded
}

// span is a word in the making. It knows where it starts even when it is empty.
type span struct {
	text
	start Position
}

func (s span) position() Position {
	if len(s.text) > 0 {
		return s.text[0].at
	}
	return s.start
}

func (s span) word() Word {
	isUnknown := func(c char) bool { return c.unknown }
	if !slices.ContainsFunc(s.text, isUnknown) {
		return Word{s.String(), s.position(), false}
	}
	var written text
	for _, c := range s.text {
		if written = append(written, c); !c.unknown && (c.b == '%' || c.b == '$') {
			written = append(written, c)
		}
	}
	return Word{written.String(), s.position(), true}
}

type resolver struct {
	env      Environment
	missing  []string // environment files
	skipped  []error  // about environment files
	used     []string // variables
	passed   []string // variables that the manager sets
	warnings []*SyntaxError
	errs     []error
}

func (r *resolver) warn(at Position, format string, args ...any) {
	r.warnings = append(r.warnings, &SyntaxError{at, fmt.Sprintf(format, args...)})
}

func (r *resolver) fail(at Position, format string, args ...any) {
	r.errs = append(r.errs, &SyntaxError{at, fmt.Sprintf(format, args...)})
}

// commands takes the value of one ExecStart= apart, which may hold several commands with a semicolon between them.
func (r *resolver) commands(value text) []execCommand {
	var commands []execCommand
	s := splitter{rest: value, mode: commandLine, warn: r.warn}
	for {
		first, ok, err := s.next()
		if err != nil {
			r.errs = append(r.errs, err)
			return commands
		}
		if !ok {
			return commands
		}
		c, separateName, ok := r.program(first)
		if !ok {
			return commands
		}
		if !separateName {
			c.argv = []span{c.path}
		}
		more := false
		for !more {
			if at, ok := s.takeSeparator(`\;`); ok {
				c.argv = append(c.argv, span{repeatAt(";", at), at})
				continue
			}
			if _, more = s.takeSeparator(";"); more {
				continue
			}
			w, ok, err := s.next()
			if err != nil {
				r.errs = append(r.errs, err)
				return commands
			}
			if !ok {
				break
			}
			w.text = r.specify(w.text)
			c.argv = append(c.argv, w)
		}
		if len(c.argv) == 0 {
			r.fail(c.path.position(), "the prefix @ needs a name for the program after its path")
			return commands
		}
		commands = append(commands, c)
		if !more {
			return commands
		}
	}
}

// program takes the prefixes off the first word and checks the path. False: the command is not valid.
func (r *resolver) program(w span) (c execCommand, separateName, ok bool) {
	// "+", "!" and "!!" are about privileges, "-" is about the exit status. Each counts once; what comes after that
	// belongs to the path.
	var seen string
	path := w.text
	for len(path) > 0 {
		b := path[0].b
		free := strings.IndexByte(seen, b) < 0
		switch b {
		case '-', '@', ':':
		case '+':
			free = !strings.ContainsAny(seen, "+!")
		case '!':
			free = !strings.Contains(seen, "+") && strings.Count(seen, "!") < 2
		default:
			free = false
		}
		if !free {
			break
		}
		seen += string(rune(b))
		path = path[1:]
	}
	separateName = strings.Contains(seen, "@")
	c = execCommand{path: span{r.specify(path), w.start}, literal: strings.Contains(seen, ":")}
	at := c.path.position()
	switch p := c.path.String(); {
	case p == "":
		r.fail(at, "no program")
	case !isSafe(p):
		r.fail(at, "the path of the program has a control character, a quote or a backslash: %q", p)
	case strings.HasSuffix(p, "/"):
		r.fail(at, "the program %q is a directory", p)
	case p[0] != '/' && strings.Contains(p, "/"), p == ".", p == "..":
		r.fail(at, "the program %q is neither an absolute path nor a plain name (variables are not expanded here)", p)
	default:
		return c, separateName, true
	}
	return c, separateName, false
}

// simplifyPath drops what systemd drops from paths: double slashes and "/./", but not "..".
func simplifyPath(p string) string {
	if !strings.HasPrefix(p, "/") {
		return p
	}
	parts := slices.DeleteFunc(strings.Split(p, "/"), func(s string) bool { return s == "" || s == "." })
	return "/" + strings.Join(parts, "/")
}

// specify expands the specifiers of a command, where each that can't be is an error.
func (r *resolver) specify(t text) text {
	out, unresolved, invalid := r.specified(t)
	r.errs = append(append(r.errs, unresolved...), invalid...)
	return out
}

// specifyOrIgnore expands the specifiers of a setting that systemd ignores when it has an invalid one: then false.
func (r *resolver) specifyOrIgnore(t text) (out text, unresolved error, ok bool) {
	out, errs, invalid := r.specified(t)
	if len(invalid) > 0 {
		r.warn(t[0].at, "systemd ignores %q: %s", t, invalid[0].(*SyntaxError).Text)
	}
	return out, errors.Join(errs...), len(invalid) == 0
}

// specified expands specifiers. Those that only this program can't resolve are told from those that systemd can't; both
// stay as they are. The errors are of type [SyntaxError].
func (r *resolver) specified(t text) (out text, unresolved, invalid []error) {
	for i := 0; i < len(t); i++ {
		if t[i].b != '%' || i+1 == len(t) || !isSpecifier(t[i+1].b) {
			out = append(out, t[i])
			continue
		}
		percent, c := t[i], t[i+1].b
		i++
		if c == '%' {
			out = append(out, percent)
			continue
		}
		if r.env.Specifier != nil {
			if s, ok := r.env.Specifier(c); ok {
				out = append(out, repeatAt(s, percent.at)...)
				continue
			}
		}
		meaning := specifiers[c]
		if meaning != "" && r.env.Partial {
			percent.unknown = true
			out = append(out, percent, char{b: c, at: t[i].at, unknown: true})
			continue
		}
		out = append(out, percent, t[i])
		if meaning != "" {
			unresolved = append(unresolved, &SyntaxError{percent.at,
				fmt.Sprintf("the specifier %%%c (%s, see systemd.unit(5)) cannot be resolved here", c, meaning)})
			continue
		}
		invalid = append(invalid, &SyntaxError{percent.at,
			fmt.Sprintf("systemd.unit(5) has no specifier %%%c: a percent sign is written %%%%", c)})
	}
	return out, unresolved, invalid
}

// isSpecifier reports whether a percent sign before c means something. Before all else it is text, as in
// --eviction-hard=nodefs.available<10%,imagefs.available<10%.
func isSpecifier(c byte) bool { return c == '%' || c != '_' && isNameByte(c) }

// variable is a variable of the unit. Its problem counts only when the command uses it.
type variable struct {
	value text
	err   error
}

// variables are those of Environment=, then those of EnvironmentFile=, less those of UnsetEnvironment=.
func (r *resolver) variables(u *UnitFile) map[string]variable {
	vars := map[string]variable{}
	for _, a := range u.Values("Service", "Environment") {
		for _, w := range r.environmentWords(a) {
			t, err, ok := r.specifyOrIgnore(w.text)
			if !ok {
				continue
			}
			equals := t.index('=')
			if equals < 0 || !isVariableName(t[:equals].String()) || !validUTF8(t.String()) {
				r.warn(w.position(), "%q does not assign to a variable: systemd ignores it", w.String())
				continue
			}
			r.warnings = append(r.warnings, unexpanded(t[equals+1:])...)
			r.set(vars, t[:equals].String(), variable{t[equals+1:], err}, w.position())
		}
	}
	for _, a := range u.Values("Service", "PassEnvironment") {
		r.passed = append(r.passed, strings.Fields(a.Value)...)
	}
	for _, a := range u.Values("Service", "EnvironmentFile") {
		for _, v := range r.environmentFile(a) {
			r.set(vars, v.Name, variable{value: v.value}, v.Position)
		}
	}
	for _, a := range u.Values("Service", "UnsetEnvironment") {
		for _, w := range r.environmentWords(a) {
			t, err, ok := r.specifyOrIgnore(w.text)
			if err != nil {
				r.errs = append(r.errs, err)
			}
			if !ok {
				continue
			}
			name, value, exact := strings.Cut(t.String(), "=")
			if v, ok := vars[name]; ok && (!exact || v.value.String() == value) {
				delete(vars, name)
			}
		}
	}
	return vars
}

// set gives a variable the value that stands at a place. Flags that it loses by that are lost without a word from systemd.
func (r *resolver) set(vars map[string]variable, name string, v variable, at Position) {
	old := vars[name].value.trim()
	if len(old) > 0 && old[0].b == '-' && old.String() != v.value.trim().String() {
		r.warn(old[0].at, "%s:%d sets %s again, so this does not count: %s", at.File, at.Line, name, old)
	}
	vars[name] = v
}

// unexpanded finds in the value of a variable what a shell would expand, and systemd does not.
func unexpanded(value text) []*SyntaxError {
	s := value.String()
	for _, found := range shellExpansion().FindAllStringSubmatchIndex(s, 1) {
		shown := s[found[2]:found[3]]
		return []*SyntaxError{{value[found[2]].at, "systemd does not expand " + shown + " in the value of a variable: it is passed on as it is"}}
	}
	return nil
}

var shellExpansion = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("(?:^|[^\\w$])(\\$\\([^)]*\\)?|`[^`]*`?|\\$\\{[^}]*\\}?|\\$[A-Za-z_]\\w*)")
})

// environmentWords are the words of a setting that is not a command line: systemd gives up at the first bad one.
func (r *resolver) environmentWords(a Assignment) []span {
	var words []span
	s := splitter{rest: a.value, mode: settingList, warn: r.warn}
	for {
		w, ok, err := s.next()
		if err != nil {
			r.warn(err.Position, "%s: systemd ignores the rest of this %s=", err.Text, a.Key)
		}
		if !ok {
			return words
		}
		words = append(words, w)
	}
}

func (r *resolver) environmentFile(a Assignment) []Variable {
	at := a.value[0].at
	t, err, ok := r.specifyOrIgnore(a.value)
	if err != nil {
		r.errs = append(r.errs, err)
	}
	if err != nil || !ok {
		return nil
	}
	path, optional := strings.CutPrefix(t.String(), "-")
	if !strings.HasPrefix(path, "/") {
		r.warn(at, "%q is not an absolute path: systemd ignores this EnvironmentFile=", path)
		return nil
	}
	paths := []string{path}
	if strings.ContainsAny(path, `*?[`) {
		if r.env.Glob == nil && r.env.Partial {
			r.missing = append(r.missing, path)
			return nil
		}
		if r.env.Glob == nil {
			r.fail(at, "an EnvironmentFile= with wildcards cannot be resolved here: %s", path)
			return nil
		}
		if paths, err = r.env.Glob(path); err == nil && len(paths) == 0 {
			r.missing, err = append(r.missing, path), fs.ErrNotExist
		}
		if err != nil && (!optional && !r.env.Partial || !errors.Is(err, fs.ErrNotExist)) {
			r.fileError(at, path, err)
		}
	}
	var vars []Variable
	for _, p := range paths {
		vars = append(vars, r.readEnvironmentFile(at, p, optional)...)
	}
	return vars
}

func (r *resolver) readEnvironmentFile(at Position, path string, optional bool) []Variable {
	readFile := r.env.ReadFile
	if readFile == nil {
		readFile = os.ReadFile
	}
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		r.missing = append(r.missing, path)
		if optional || r.env.Partial {
			return nil
		}
	}
	if err != nil {
		r.fileError(at, path, err)
		return nil
	}
	vars, ignored, err := ParseEnvironmentFile(path, data)
	r.warnings = append(r.warnings, ignored...)
	if err != nil && optional {
		r.warn(at, "systemd ignores %s: %s", path, err)
		r.skipped = append(r.skipped, err)
		return nil
	}
	if err != nil {
		r.errs = append(r.errs, err)
	}
	return vars
}

func (r *resolver) fileError(at Position, path string, err error) {
	// Errors of package fs name the file themselves.
	if pathError := (*fs.PathError)(nil); errors.As(err, &pathError) {
		err = pathError.Err
	}
	r.errs = append(r.errs, fmt.Errorf("%w: %w", &SyntaxError{at, "EnvironmentFile=" + path}, err))
}

// expand puts variables in. A word that starts with a dollar sign is all of it the name of a variable, which becomes as
// many words as its value has, whether it was quoted or not; inside of words only the form with braces is known.
func (r *resolver) expand(argv []span, vars map[string]variable) []span {
	var out []span
	for _, w := range argv {
		if len(w.text) == 0 || w.text[0].b != '$' || len(w.text) > 1 && (w.text[1].b == '$' || w.text[1].b == '{') {
			out = append(out, span{r.substitute(w.text, vars), w.start})
			continue
		}
		s := splitter{rest: r.lookUp(w.text, w.text[1:], vars), mode: variableValue}
		for {
			// This mode knows no errors.
			w, ok, _ := s.next()
			if !ok {
				break
			}
			out = append(out, w)
		}
	}
	return out
}

// substitute replaces "${NAME}" and "$$" in a word.
func (r *resolver) substitute(t text, vars map[string]variable) text {
	var out text
	for i := 0; i < len(t); i++ {
		if t[i].b != '$' || i+1 == len(t) {
			out = append(out, t[i])
			continue
		}
		switch next := t[i+1].b; {
		case next == '$':
			out = append(out, t[i])
			i++
		case next == '{':
			length := slices.IndexFunc(t[i+2:], func(c char) bool { return c.b == '}' || c.b == ':' })
			if length < 0 || t[i+2+length].b == ':' {
				// Neither the end of the word nor the ${NAME:-default} of shells ends a name. Then even "$$" on the way
				// stays as it is.
				r.warn(t[i].at, "systemd knows only ${NAME}: this is passed on as it is")
				if length < 0 {
					return append(out, t[i:]...)
				}
				out = append(out, t[i:i+3+length]...)
				i += 2 + length
				continue
			}
			out = append(out, r.lookUp(t[i:i+3+length], t[i+2:i+2+length], vars)...)
			i += 2 + length
		default:
			switch {
			case isNameByte(next):
				r.warn(t[i].at, "systemd expands only ${NAME} inside of a word: this is passed on as it is")
			case next == '(':
				r.warn(t[i].at, "systemd runs no command for $(): this is passed on as it is")
			}
			out = append(out, t[i], t[i+1])
			i++
		}
	}
	return out
}

// lookUp is the value of a variable, which a command line names as it is written.
func (r *resolver) lookUp(written, name text, vars map[string]variable) text {
	n, at := name.String(), written[0].at
	r.used = append(r.used, n)
	v, ok := vars[n]
	switch {
	case !isVariableName(n):
		r.warn(at, "%q is not the name of a variable: it expands to nothing", n)
	case !ok && r.env.Partial && (len(r.missing) > 0 || slices.Contains(r.passed, n)):
		unknown := slices.Clone(written)
		for i := range unknown {
			unknown[i].unknown = true
		}
		return unknown
	case !ok:
		r.warn(at, "the variable %s is not set by this unit: it expands to nothing", n)
	case v.err != nil:
		r.errs = append(r.errs, v.err)
	}
	return v.value
}

// splitMode is how words are cut; all know quotes.
type splitMode int

const (
	// commandLine knows C escapes, and keeps unknown ones as they are.
	commandLine splitMode = iota
	// settingList knows C escapes, and an unknown one is an error.
	settingList
	// variableValue knows no escapes but takes backslashes away, and nothing is an error.
	variableValue
)

// splitter cuts words off a text.
type splitter struct {
	rest text
	mode splitMode
	warn func(at Position, format string, args ...any)
}

func (s *splitter) skipBlanks() {
	for len(s.rest) > 0 && isBlank(s.rest[0].b) {
		s.rest = s.rest[1:]
	}
}

// takeSeparator takes sep if it is next, unquoted and a word of its own.
func (s *splitter) takeSeparator(sep string) (Position, bool) {
	s.skipBlanks()
	n := len(sep)
	if len(s.rest) < n || s.rest[:n].String() != sep || len(s.rest) > n && !isBlank(s.rest[n].b) {
		return Position{}, false
	}
	at := s.rest[0].at
	s.rest = s.rest[n:]
	return at, true
}

// next cuts off one word; false when there is none.
func (s *splitter) next() (w span, ok bool, err *SyntaxError) {
	s.skipBlanks()
	if len(s.rest) == 0 {
		return span{}, false, nil
	}
	w.start = s.rest[0].at
	var quote *char
	for len(s.rest) > 0 {
		c := s.rest[0]
		switch {
		case c.b == '\\':
			if err := s.escape(&w, quote != nil); err != nil {
				return span{}, false, err
			}
			continue
		case quote != nil && c.b == quote.b:
			quote = nil
		case quote != nil:
			w.text = append(w.text, c)
		case c.b == '"' || c.b == '\'':
			quote = &c
		case isBlank(c.b):
			return w, true, nil
		default:
			w.text = append(w.text, c)
		}
		s.rest = s.rest[1:]
	}
	if quote != nil && s.mode != variableValue {
		return span{}, false, &SyntaxError{quote.at, "this quote is never closed"}
	}
	return w, true, nil
}

// escape takes a backslash and what it escapes.
func (s *splitter) escape(w *span, quoted bool) *SyntaxError {
	backslash, after := s.rest[0], s.rest[1:]
	if s.mode == variableValue {
		if len(after) > 0 {
			w.text = append(w.text, after[0])
			after = after[1:]
		}
		s.rest = after
		return nil
	}
	value, n := unescape(after.head(9))
	if n > 0 {
		w.text = append(w.text, repeatAt(value, backslash.at)...)
		s.rest = after[n:]
		return nil
	}
	if s.mode == settingList {
		return &SyntaxError{backslash.at, "unknown escape sequence"}
	}
	w.text = append(w.text, backslash)
	s.rest = after
	if len(after) > 0 {
		s.warn(backslash.at, `\%s is no escape sequence: the backslash is passed on`, after.head(1))
		w.text = append(w.text, after[0])
		s.rest = after[1:]
	}
	return nil
}

func (t text) head(n int) string { return t[:min(n, len(t))].String() }

var simpleEscapes = map[byte]string{
	'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", 's': " ", '\\': `\`, '"': `"`, '\'': "'",
}

// unescape decodes the escape sequence at the start of s, which does not have its backslash any more, and returns how
// long that is; 0 for none. A NUL can't be escaped.
func unescape(s string) (value string, n int) {
	if s == "" {
		return "", 0
	}
	if v := simpleEscapes[s[0]]; v != "" {
		return v, 1
	}
	switch s[0] {
	case 'x':
		if c, ok := number(s, 1, 2, 16); ok && c != 0 {
			return string([]byte{byte(c)}), 3
		}
	case 'u':
		if c, ok := number(s, 1, 4, 16); ok && c != 0 {
			return encodeRune(c), 5
		}
	case 'U':
		if c, ok := number(s, 1, 8, 16); ok && c != 0 && c <= utf8.MaxRune && validUTF8(encodeRune(c)) {
			return encodeRune(c), 9
		}
	case '0', '1', '2', '3':
		if c, ok := number(s, 0, 3, 8); ok && c != 0 {
			return string([]byte{byte(c)}), 3
		}
	}
	return "", 0
}

func number(s string, start, digits, base int) (uint32, bool) {
	// ParseUint by itself would also take underscores and signs, but not with an explicit base.
	if len(s) < start+digits {
		return 0, false
	}
	n, err := strconv.ParseUint(s[start:start+digits], base, 32)
	return uint32(n), err == nil
}

// encodeRune encodes halves of surrogate pairs too, which Go refuses to and systemd does.
func encodeRune(c uint32) string {
	if c >= 0xd800 && c <= 0xdfff {
		return string([]byte{0xe0 | byte(c>>12), 0x80 | byte(c>>6)&0x3f, 0x80 | byte(c)&0x3f})
	}
	return string(rune(c))
}
