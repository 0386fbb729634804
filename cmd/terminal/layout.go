package terminal

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"
)

// Width is the number of columns of a terminal, COLUMNS if that is set; 0 for what is no terminal: there nothing is cut, and
// no line is broken.
func Width(w io.Writer) int {
	const usual = 80 // of a terminal that does not say
	f := terminalFile(w)
	if f == nil {
		return 0
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
		return n
	}
	return usual
}

// Say writes a text in lines that do not break in a word.
func Say(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, Wrap(fmt.Sprintf(format, args...), Width(w)))
}

// Wrap breaks the lines of a text that are wider than width at spaces. What follows is indented by two more than the line.
func Wrap(text string, width int) string {
	const hang = "  "
	if width <= 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, newline := strings.CutSuffix(line, "\n")
		rest := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(rest)]
		b.WriteString(indent)
		for i, part := range breakUp(rest, width-len(indent), width-len(indent)-len(hang)) {
			if i > 0 {
				b.WriteString("\n" + indent + hang)
			}
			b.WriteString(part)
		}
		if newline {
			b.WriteString("\n")
		}
	}
	return b.String()
}

// breakUp breaks a line at spaces into one of the width first and others of the width next. A word that is wider has a line
// of its own.
func breakUp(line string, first, next int) (lines []string) {
	for width := first; columnsOf(line) > width; width = next {
		at := -1
		for i, letter := range line {
			if letter != ' ' {
				continue
			}
			if at >= 0 && columnsOf(line[:i]) > width {
				break
			}
			at = i
		}
		if at < 0 {
			break
		}
		lines = append(lines, strings.TrimRight(line[:at], " "))
		line = strings.TrimLeft(line[at:], " ")
	}
	return append(lines, line)
}

// Refill breaks a text of paragraphs and indented lines, as a help is, for a terminal that is narrower than the text.
func Refill(text string, width int) string {
	if width <= 0 {
		return text
	}
	var b strings.Builder
	paragraph := ""
	flush := func() {
		if paragraph != "" {
			b.WriteString(strings.Join(breakUp(paragraph, width, width), "\n") + "\n")
		}
		paragraph = ""
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" && !strings.HasPrefix(line, " ") {
			paragraph = strings.TrimSpace(paragraph + " " + line)
			continue
		}
		flush()
		b.WriteString(Wrap(line, width) + "\n")
	}
	flush()
	return strings.TrimSuffix(b.String(), "\n")
}

var colours = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("\x1b\\[[0-9;]*m")
})

// columnsOf is how many columns a text takes.
func columnsOf(text string) int {
	return utf8.RuneCountInString(colours().ReplaceAllString(text, ""))
}

// Fit is what becomes of a column in a table that is wider than its terminal.
type Fit int

const (
	Whole    Fit = iota // cut when nothing else is left to cut
	Cuttable            // cut
	Wrapped             // broken at spaces; only the last column can be
	Spare               // left out, the last one first
)

// Column is a column of a table. If none has a title, neither has the table.
type Column struct {
	Title string
	Fit   Fit
}

// Sentences are the columns of a table without titles: names, things that can be cut, and text.
func Sentences(things int) []Column {
	columns := []Column{{}}
	for range things {
		columns = append(columns, Column{Fit: Cuttable})
	}
	return append(columns, Column{Fit: Wrapped})
}

// gap is the space between two columns.
const gap = 2

// WriteTable writes rows in columns that together are no wider than limit; 0 means that there is no limit.
func WriteTable(w io.Writer, limit int, columns []Column, rows [][]string) {
	var titles []string
	for _, c := range columns {
		titles = append(titles, c.Title)
	}
	if strings.Join(titles, "") != "" {
		rows = slices.Concat([][]string{titles}, rows)
	}
	widths := make([]int, len(columns))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], columnsOf(cell))
		}
	}
	if limit > 0 {
		narrow(widths, columns, limit)
	}
	for _, row := range rows {
		writeRow(w, columns, widths, row)
	}
}

// leftOut is the width of a column that is not shown.
const leftOut = -gap

// narrow makes the columns of a table narrower until the table fits, or none can lose any more: in this order, the widest first.
func narrow(widths []int, columns []Column, limit int) {
	over := -gap - limit
	for _, n := range widths {
		over += n + gap
	}
	for i, n := range slices.Backward(widths) {
		if columns[i].Fit == Spare && over > 0 {
			widths[i] = leftOut
			over -= n + gap
		}
	}
	for _, next := range []struct {
		fit   Fit
		least int
	}{{Wrapped, 20}, {Cuttable, 12}, {Wrapped, 12}, {Cuttable, 4}, {Whole, 4}} {
		for ; over > 0; over-- {
			widest := -1
			for i, n := range widths {
				if columns[i].Fit == next.fit && n > next.least && (widest < 0 || n > widths[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			widths[widest]--
		}
	}
}

// writeRow writes the cells of a row, each as wide as its column.
func writeRow(w io.Writer, columns []Column, widths []int, row []string) {
	var b strings.Builder
	begin, end := 0, 0 // of the cell, and of what is written
	for i, cell := range row {
		if widths[i] == leftOut {
			continue
		}
		lines := []string{cell}
		if columns[i].Fit == Wrapped {
			lines = breakUp(cell, widths[i], widths[i])
		}
		for j, line := range lines {
			if j > 0 {
				b.WriteString("\n")
				end = 0
			}
			line = cut(line, widths[i])
			b.WriteString(strings.Repeat(" ", begin-end) + line)
			end = begin + columnsOf(line)
		}
		begin += widths[i] + gap
	}
	fmt.Fprintln(w, b.String())
}

// cut shortens a text to a number of columns. Of a path the end tells most.
func cut(text string, most int) string {
	const ellipsis = "..."
	letters := []rune(text)
	if len(letters) <= most {
		return text
	}
	keep := max(most-len(ellipsis), 0)
	if strings.HasPrefix(text, "/") && !strings.Contains(text, " ") {
		return ellipsis + string(letters[len(letters)-keep:])
	}
	return string(letters[:keep]) + ellipsis
}
