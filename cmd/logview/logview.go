// Package logview prints what kubelet has logged: as lines for people, with repeats folded and runs told apart, or as one JSON object a
// line.
package logview

import (
	"bufio"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
)

// Options say how a log is shown.
type Options struct {
	// Follow prints each entry as soon as it is there.
	Follow bool
	// Cut says that the log may begin in the middle of an entry, which is left out then.
	Cut bool
}

// Print prints a log until it ends, and reports whether there was anything to print. The error is that of the log, of which all before it
// is printed.
func Print(out *terminal.Output, o Options, events iter.Seq2[kubeletlog.Event, error]) (shown bool, err error) {
	p := newPrinter(out, o)
	defer p.flush()
	for event, err := range events {
		if err != nil {
			return p.any, err
		}
		p.event(event)
		if o.Follow {
			_ = p.out.Flush() // Out remembers what could not be written
		}
	}
	return p.any, nil
}

// printer prints events as lines.
type printer struct {
	to     *terminal.Output
	out    *bufio.Writer
	width  int
	folder kubeletlog.Folder
	// cut is set while lines may be the rest of an entry of which the beginning is not shown.
	cut bool
	any bool
}

func newPrinter(to *terminal.Output, o Options) *printer {
	p := &printer{to: to, out: bufio.NewWriterSize(to.Out, 64<<10), width: terminal.Width(to.Out), cut: o.Cut}
	if o.Follow {
		p.folder.Every = time.Minute
	}
	if to.Wide {
		p.width = 0
	}
	return p
}

func (p *printer) event(event kubeletlog.Event) {
	switch {
	case event.Entry != nil:
		if p.cut = p.cut && !event.Entry.Known(); p.cut {
			return
		}
		p.any = true
		if p.to.Structured() {
			p.json(event.Entry.Masked())
			return
		}
		p.folded(p.folder.Add(*event.Entry))
	case p.to.Structured():
	case event.Ended != nil:
		p.folded(p.folder.Close())
		p.heading(runEnd(event.Ended))
	case event.Began != nil && p.any:
		p.folder = kubeletlog.Folder{Every: p.folder.Every}
		p.heading(fmt.Sprintf("kubelet starts, %s", clock(event.Began.First)))
	}
}

// flush prints what is left.
func (p *printer) flush() {
	p.folded(p.folder.Close())
	_ = p.out.Flush()
}

func (p *printer) heading(text string) {
	p.line(terminal.Paint(p.to.Out, terminal.Bold, "-- "+text))
}

func (p *printer) line(text string) { fmt.Fprintln(p.out, terminal.Wrap(text, p.width)) }

// runEnd says how a run ended.
func runEnd(r *kubeletlog.Run) string {
	text := strings.TrimSuffix("kubelet "+r.Version, " ") + " ended"
	if !r.Last.IsZero() {
		text += ", " + clock(r.Last)
	}
	if lasted, known := r.Lasted(); known {
		text += ", after " + lasted.Round(time.Second).String()
	}
	if r.Exit != "" {
		text += " (" + r.Exit + ")"
	}
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}

func (p *printer) folded(list []kubeletlog.Folded) {
	for _, f := range list {
		e := f.Masked()
		colour := map[kubeletlog.Severity]terminal.Colour{
			kubeletlog.Warning: terminal.Yellow, kubeletlog.Error: terminal.Red, kubeletlog.Fatal: terminal.Red,
		}[e.Severity]
		severity, text := " ", e.Text()
		switch {
		case e.OfSystemd:
			text = "systemd: " + text
		case e.Severity != 0:
			severity = string(rune(e.Severity))
		}
		for _, v := range e.Values {
			text += " " + p.value(v)
		}
		if e.Source != "" {
			text += " (" + e.Source + ")"
		}
		if f.Times > 1 {
			text += fmt.Sprintf(" [%d times since %s]", f.Times, clock(f.First))
		}
		if colour != "" {
			severity = terminal.Paint(p.to.Out, colour, severity)
		}
		p.line(strings.TrimLeft(clock(e.Time)+" ", " ") + severity + " " + text)
	}
}

// value is a value of an entry in one line.
func (p *printer) value(v kubeletlog.Value) string {
	text := v.Value
	if lines := strings.Count(strings.TrimSpace(text), "\n") + 1; lines > 1 && !p.to.Wide {
		text = fmt.Sprintf("(%d lines)", lines)
	} else if text == "" || strings.ContainsAny(text, " \"") || strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		text = strconv.Quote(text)
	}
	if v.Key == "" {
		return text
	}
	return v.Key + "=" + text
}

// clock is a time as it is shown: that of this host's zone, but for one without a year, of which the zone is not known either.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	if t.Year() > 0 {
		t = t.Local()
	}
	return t.Format("Jan 02 15:04:05")
}

// entry is a line of logs -o json.
type entry struct {
	Time       *time.Time        `json:"time,omitempty"`
	Severity   string            `json:"severity,omitempty"`
	Message    string            `json:"message"`
	Error      string            `json:"error,omitempty"`
	Source     string            `json:"source,omitempty"`
	Values     map[string]string `json:"values,omitempty"`
	Systemd    bool              `json:"systemd,omitempty"`
	Invocation string            `json:"invocation,omitempty"`
	PID        int               `json:"pid,omitempty"`
}

func (p *printer) json(e kubeletlog.Entry) {
	names := map[kubeletlog.Severity]string{kubeletlog.Info: "info", kubeletlog.Warning: "warning", kubeletlog.Error: "error", kubeletlog.Fatal: "fatal"}
	doc := entry{Severity: names[e.Severity], Message: e.Message, Error: e.Err, Source: e.Source, Systemd: e.OfSystemd, Invocation: e.Invocation, PID: e.PID}
	if !e.Time.IsZero() {
		doc.Time = &e.Time
	}
	if len(e.Values) > 0 {
		doc.Values = map[string]string{}
		for _, v := range e.Values {
			doc.Values[v.Key] = v.Value
		}
	}
	encoder := json.NewEncoder(p.out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(doc) // Out remembers what could not be written
}
