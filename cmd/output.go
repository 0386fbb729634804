package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"sigs.k8s.io/yaml"
)

// outputFormat is the value of --output.
type outputFormat string

func (f *outputFormat) String() string {
	if *f == "" {
		return "table"
	}
	return string(*f)
}

// Set implements pflag.Value.
func (f *outputFormat) Set(s string) error {
	switch s {
	case "table", "json", "yaml":
		*f = outputFormat(s)
		return nil
	}
	return fmt.Errorf("must be table, json or yaml")
}

// Type implements pflag.Value.
func (f *outputFormat) Type() string { return "FORMAT" }

// structured reports whether exactly one document is to be printed.
func (f *outputFormat) structured() bool { return *f == "json" || *f == "yaml" }

// checkedWriter remembers that something could not be written: a result on a full disk is none.
type checkedWriter struct {
	io.Writer
	err error
}

func (w *checkedWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

// print writes one document.
func (a *app) print(doc any) {
	data, err := json.MarshalIndent(doc, "", "  ")
	if err == nil && a.output == "yaml" {
		data, err = yaml.JSONToYAML(data)
	}
	if err != nil {
		fmt.Fprintf(a.err, "kubeletctl: error: printing the result: %v\n", err)
		return
	}
	fmt.Fprintln(a.out, strings.TrimRight(string(data), "\n"))
}

// terminalFile is the file that a stream is, if that is a terminal; else nil.
func terminalFile(stream any) *os.File {
	if w, ok := stream.(*checkedWriter); ok {
		stream = w.Writer
	}
	if f, ok := stream.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

func terminal(stream any) bool { return terminalFile(stream) != nil }

// colour is an ANSI colour (ECMA-48).
type colour string

const (
	red    colour = "\x1b[31m"
	green  colour = "\x1b[32m"
	yellow colour = "\x1b[33m"
)

// paint colours text on a terminal, unless NO_COLOR asks for none (no-color.org).
func paint(w io.Writer, c colour, text string) string {
	if !terminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return text
	}
	return string(c) + text + "\x1b[0m"
}

// digest abbreviates a digest for people, unless --wide asks for all of it.
func (a *app) digest(digest string) string {
	const keep = 12
	hex := digest[strings.Index(digest, ":")+1:]
	if a.wide || len(hex) <= keep {
		return digest
	}
	return digest[:len(digest)-len(hex)+keep] + "..."
}
