// Package document tells apart the files that say how a kubelet is run. It is the one place that does: by what a file says,
// and by its name where that says nothing. It reads no more of a file than that takes.
package document

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// File is a file that says how a kubelet is run, or a command line in its place.
type File struct {
	Name string
	Data []byte

	kind Kind // when that is known without a look
}

// CommandLine is a command line that somebody gave as that, written as for a shell.
func CommandLine(name, line string) File {
	return File{Name: name, Data: []byte(line), kind: Command}
}

// Kind is what a File is.
type Kind string

const (
	Config      Kind = "KubeletConfiguration"
	Spec        Kind = "spec of kubeletctl"
	Unit        Kind = "systemd unit" // or a drop-in
	Environment Kind = "environment file"
	Command     Kind = "command line"
	// Empty is a file without a word: as an environment file, or as a drop-in of a unit, it is in order.
	Empty Kind = "empty file"
)

// Article puts the article before the name of a kind.
func Article(kind string) string {
	if strings.IndexByte("aeioAEIO", kind[0]) >= 0 {
		return "an " + kind
	}
	return "a " + kind
}

// UnknownError reports that a file is of no kind that says how a kubelet is run.
type UnknownError struct {
	Name string
	// What it is instead: "a Pod manifest"; empty when that is not known either.
	What string
	hint string
}

func (e *UnknownError) Error() string {
	if e.What == "" {
		return e.Name + " is neither a unit, an environment file, a KubeletConfiguration, a spec nor a command line"
	}
	return fmt.Sprintf("%s is %s, which does not say how a kubelet is run", e.Name, e.What)
}

// Hint says what to do about it.
func (e *UnknownError) Hint() string { return e.hint }

var (
	unitSection = regexp.MustCompile(`(?m)^[ \t]*\[(Unit|Service|Install)\][ \t\r]*$`)
	anySection  = regexp.MustCompile(`^\[[^\].,:"'{]*\]?$`)
	yamlStart   = regexp.MustCompile(`^(---(\s|$)|%YAML|[{?-](\s|$)|\{|("[^"]*"|'[^']*'|[A-Za-z_][\w./-]*)[ \t]*:([ \t]|$))`)
	// assignment is what stands before the first equals sign of an environment file. What systemd takes for no variable, such as
	// "export A=b", is one all the same: a line that systemd ignores.
	assignment = regexp.MustCompile(`^((export|declare|readonly|typeset)[ \t]+(-\w+[ \t]+)*)?[^\s=/-][^\s=/]*[ \t]*=`)
	logLine    = regexp.MustCompile(`^[IWEF]\d{4} \d\d:|\skubelet\[\d+\]:|^-- (Journal|Logs) begin`)
)

// Kind finds out what a file is. The error is an [UnknownError].
func (f File) Kind() (Kind, error) {
	if f.kind != "" {
		return f.kind, nil
	}
	text := bytes.TrimPrefix(f.Data, []byte("\ufeff"))
	first := firstLine(text)
	_, structured := structuredNames[path.Ext(f.Name)]
	switch {
	case len(bytes.TrimSpace(text)) == 0, first == "" && !structured:
		return f.emptyKind(), nil
	case strings.HasPrefix(first, "[") && (unitSection.Match(text) || anySection.MatchString(first)) && path.Ext(f.Name) != ".toml":
		return Unit, nil
	}
	if err := f.stranger(text, first); err != nil {
		return "", err
	}
	switch {
	case structured || yamlStart.MatchString(first):
		return f.structuredKind(text)
	case unitSection.Match(text):
		return Unit, nil
	case isProcessList(first):
		return "", &UnknownError{f.Name, "a list of processes", "the command line alone will do: behind --, or as tr '\\0' ' ' </proc/PID/cmdline prints it"}
	case assignment.MatchString(first), isEnvironmentName(f.Name) && !strings.HasPrefix(first, "-"):
		return Environment, nil
	case isCommand(first):
		return Command, nil
	}
	return "", &UnknownError{Name: f.Name, hint: "kubeletctl config validate --help lists what it takes"}
}

// structuredNames are the endings of YAML and JSON.
var structuredNames = map[string]bool{".yaml": true, ".yml": true, ".json": true}

func (f File) emptyKind() Kind {
	switch ext := path.Ext(f.Name); {
	case isEnvironmentName(f.Name):
		return Environment
	case ext == ".service":
		return Unit
	}
	return Empty
}

// isEnvironmentName reports whether a file is where units of kubelet have their environment.
func isEnvironmentName(name string) bool {
	dir, base := path.Base(path.Dir(name)), path.Base(name)
	return path.Ext(base) == ".env" || strings.HasSuffix(base, "-env") || base == "kubelet" && (dir == "default" || dir == "sysconfig")
}

// firstLine is the first that is neither blank nor a comment.
func firstLine(text []byte) string {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != ';' {
			return string(line)
		}
	}
	return ""
}

// stranger knows, by how they begin, files that say how a machine is made rather than how a kubelet is run.
func (f File) stranger(text []byte, first string) error {
	begins := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return bytes.HasPrefix(text, []byte(p)) })
	}
	unknown := func(what, hint string) error { return &UnknownError{f.Name, what, hint} }
	switch {
	case begins("#cloud-config", "#cloud-boothook", "#include", "#part-handler", "## template:", "Content-Type: multipart", "MIME-Version:"):
		return unknown("user-data of cloud-init", writeOut)
	case begins("#!") && !assignsOnly(text):
		return unknown("a script", "the command line in it will do, behind --")
	case strings.HasPrefix(first, "-----BEGIN "):
		return unknown("a certificate or a key", "")
	case strings.HasPrefix(first, "<"):
		return unknown("HTML or XML", "")
	case strings.HasPrefix(first, "[") || path.Ext(f.Name) == ".toml":
		return unknown("TOML or a list", "")
	case logLine.MatchString(first):
		return unknown("a log", "kubeletctl logs reads the journal of kubelet")
	case strings.HasPrefix(first, "●"), strings.HasPrefix(first, "○"), strings.HasPrefix(first, "×"):
		return unknown("what systemctl status prints", "systemctl cat kubelet prints the unit with its drop-ins")
	}
	return nil
}

const writeOut = "write the files in it to files of their own, and name those"

// assignsOnly reports whether all lines assign to variables, as in a file that a shell and systemd both read.
func assignsOnly(text []byte) bool {
	for line := range bytes.Lines(text) {
		if first := firstLine(line); first != "" && !assignment.MatchString(first) {
			return false
		}
	}
	return true
}

// isProcessList reports whether a line is one of ps or pgrep: its heading, or columns with numbers before the program.
func isProcessList(first string) bool {
	fields := strings.Fields(first)
	if slices.Contains(fields, "PID") && slices.Contains([]string{"CMD", "COMMAND", "ARGS"}, fields[len(fields)-1]) {
		return true
	}
	for _, field := range fields {
		if strings.HasPrefix(field, "-") && len(field) > 1 || strings.HasPrefix(field, "/") {
			return false
		}
		if strings.Trim(field, "0123456789") == "" {
			return true
		}
	}
	return false
}

// isCommand reports whether a line may begin a command line: with a flag, or with a program.
func isCommand(first string) bool {
	fields := strings.Fields(first)
	program := strings.Trim(fields[0], `"'\`)
	return strings.HasPrefix(program, "-") || strings.HasPrefix(program, "/") || strings.Contains(program, "kube") ||
		slices.ContainsFunc(fields, func(field string) bool { return strings.HasPrefix(field, "--") })
}
