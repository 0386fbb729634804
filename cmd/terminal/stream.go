package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// CheckedWriter remembers that something could not be written, as on a full disk.
type CheckedWriter struct {
	io.Writer
	// Err is the first error.
	Err error
}

func (w *CheckedWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if w.Err == nil {
		w.Err = err
	}
	return n, err
}

// terminalFile is the file that a stream is, if that is a terminal; else nil.
func terminalFile(stream any) *os.File {
	if w, ok := stream.(*CheckedWriter); ok {
		stream = w.Writer
	}
	if f, ok := stream.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// Is reports whether a stream is a terminal.
func Is(stream any) bool { return terminalFile(stream) != nil }

// Colour is a colour or a weight of ANSI (ECMA-48).
type Colour string

const (
	Red    Colour = "\x1b[31m"
	Green  Colour = "\x1b[32m"
	Yellow Colour = "\x1b[33m"
	Bold   Colour = "\x1b[1m"
)

// Paint colours text on a terminal, unless NO_COLOR asks for none (no-color.org).
func Paint(w io.Writer, c Colour, text string) string {
	if !Is(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return text
	}
	return string(c) + text + "\x1b[0m"
}
