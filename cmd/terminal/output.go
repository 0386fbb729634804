// Package terminal prints what a run has to say: results as tables for people or as one document for programs, and beside them
// notes, how far a download got and what a change is doing at the moment. A terminal gets lines that are written anew, colour, and
// what fits its width; a log gets plain lines. It knows no verb.
package terminal

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"sigs.k8s.io/yaml"
)

// Output is where one run prints to, and how much. Results go to Out, all else to Err.
type Output struct {
	Out, Err io.Writer

	Format Format
	Quiet  bool // tell only results, warnings and errors
	Wide   bool // cut nothing

	noting sync.Mutex // Note may be called from several downloads at once
	drawn  bool       // Err shows a line that is to be taken away; see drawLine
	notes  []string   // what a document tells instead of Err
}

// Structured reports whether exactly one document is to be printed.
func (o *Output) Structured() bool { return o.Format == "json" || o.Format == "yaml" }

// Talks reports whether people are to be told more than the result.
func (o *Output) Talks() bool { return !o.Quiet && !o.Structured() }

// Warn is Note for what is told also when a run is quiet.
func (o *Output) Warn(line string) { o.tell(line, true) }

// Note tells one line that is not a result: on stderr, or in the document that -o json prints and beside which it prints
// nothing.
func (o *Output) Note(line string) { o.tell(line, o.Talks()) }

func (o *Output) tell(line string, loud bool) {
	o.noting.Lock()
	defer o.noting.Unlock()
	if o.Structured() {
		o.notes = append(o.notes, line)
	} else if loud {
		o.wipe()
		Say(o.Err, "kubeletctl: %s", line)
	}
}

// Notes are the lines that go into the document.
func (o *Output) Notes() []string { return o.notes }

// Print writes one document.
func (o *Output) Print(doc any) {
	data, err := json.MarshalIndent(doc, "", "  ")
	if err == nil && o.Format == "yaml" {
		data, err = yaml.JSONToYAML(data)
	}
	if err != nil {
		fmt.Fprintf(o.Err, "kubeletctl: error: printing the result: %v\n", err)
		return
	}
	fmt.Fprintln(o.Out, strings.TrimRight(string(data), "\n"))
}

// Table writes rows in columns, which fit on a terminal unless --wide asks for all of them.
func (o *Output) Table(w io.Writer, columns []Column, rows [][]string) {
	limit := Width(w)
	if o.Wide {
		limit = 0
	}
	WriteTable(w, limit, columns, rows)
}

// Digest abbreviates a digest for people, unless --wide asks for all of it.
func (o *Output) Digest(digest string) string {
	const keep = 12
	hex := digest[strings.Index(digest, ":")+1:]
	if o.Wide || len(hex) <= keep {
		return digest
	}
	return digest[:len(digest)-len(hex)+keep] + "..."
}

// redraws reports whether stderr is a terminal on which a line can be written anew.
func (o *Output) redraws() bool { return Is(o.Err) && os.Getenv("TERM") != "dumb" }

// Clear takes away what a terminal shows.
const Clear = "\x1b[H\x1b[2J"

// eraseLine takes away what the line of a terminal shows.
const eraseLine = "\r\x1b[K"

// drawLine shows a line on a terminal that the next output takes the place of.
func (o *Output) drawLine(line string) {
	o.noting.Lock()
	defer o.noting.Unlock()
	if limit := Width(o.Err); limit > 0 {
		line = cut(line, limit)
	}
	fmt.Fprint(o.Err, eraseLine+line)
	o.drawn = true
}

func (o *Output) clearLine() {
	o.noting.Lock()
	defer o.noting.Unlock()
	o.wipe()
}

// wipe does what clearLine does for those that hold the lock.
func (o *Output) wipe() {
	if o.drawn {
		fmt.Fprint(o.Err, eraseLine)
		o.drawn = false
	}
}
