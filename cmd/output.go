package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

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

// table writes rows in columns.
func table(w io.Writer, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	_ = t.Flush()
}

func terminal(stream any) bool {
	if w, ok := stream.(*checkedWriter); ok {
		stream = w.Writer
	}
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

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

// short abbreviates a digest for people.
func short(digest string) string {
	const keep = 12
	name, hex, found := strings.Cut(digest, ":")
	if !found {
		name, hex = "", digest
	}
	if len(hex) > keep {
		hex = hex[:keep] + "..."
	}
	if name != "" {
		return name + ":" + hex
	}
	return hex
}
