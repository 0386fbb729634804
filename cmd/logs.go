package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/logview"
	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// logsOptions are the flags of logs.
type logsOptions struct {
	systemd.JournalQuery
	since, from string
}

// usualLines is how much of the journal logs shows, in lines, when it is not told.
const usualLines = 200

func logsCommand(a *app) *cobra.Command {
	var o logsOptions
	c := &cobra.Command{
		Use:   "logs",
		Short: "Show what kubelet logs, readable",
		Long: `Logs shows the journal of kubelet.service: each entry in one line with its time, severity (I, W, E, F), message, error,
values and source. What is repeated is shown once more, with how often; a line tells where a run of kubelet begins, and where it
ends and why. Secrets are masked. It works for a kubelet that kubeletctl has not installed, too, and shows the last ` + strconv.Itoa(usualLines) + ` lines of
the journal unless -n, --since or --boot ask for others.

--since takes a time (15:04, 2006-01-02, "2006-01-02 15:04:05", RFC 3339, today, yesterday) or how long ago (90s, 10m, 36h, 7d).
--from reads the journal of another host: a file with what journalctl -u kubelet prints, as text, with -o json or -o export; - is
standard input. Values of several lines are shown with --wide.

-o json prints one JSON object a line for each entry, none folded: time (RFC 3339; of a log without a year, the year is 0), severity
(info, warning, error, fatal; none of a line of systemd or of unknown form), message, error, source (FILE:LINE), values (an object
of strings), systemd (true: systemd said it of the unit), invocation and pid (which run logged it).

Exit codes: 0 also when it is interrupted, 1 the journal cannot be read, 4 this host has no kubelet.`,
		Example: `  kubeletctl logs -f
  kubeletctl logs --boot=-1 --wide
  kubeletctl logs -o json | jq -r 'select(.severity == "error").message'`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			events, done, err := o.events(c, a)
			if err != nil {
				return err
			}
			defer done()
			return printLogs(c.Context(), &a.Output, o, events)
		},
	}
	f := c.Flags()
	f.BoolVarP(&o.Follow, "follow", "f", false, "go on with what is logged from now on, until it is interrupted")
	f.StringVar(&o.since, "since", "", "show what was logged since this `TIME`, or so long ago")
	f.StringVar(&o.Boot, "boot", "", "show one boot: `N` is 0 for this one, which is also meant without it, -1 for the one before")
	f.Lookup("boot").NoOptDefVal = "0"
	f.IntVarP(&o.Lines, "lines", "n", usualLines, "show the last `N` lines of the journal; 0: all")
	f.StringVar(&o.from, "from", "", "read the journal in this `FILE` instead of that of this host; - is standard input")
	return c
}

// events opens the log that is asked for. Close it with the function that comes with it.
func (o *logsOptions) events(c *cobra.Command, a *app) (iter.Seq2[kubeletlog.Event, error], func(), error) {
	set := c.Flags().Changed
	var err error
	switch {
	case o.Lines < 0:
		err = fmt.Errorf("-n %d is negative", o.Lines)
	case a.Format == "yaml":
		err = errors.New("-o yaml: a log is no single document; -o json prints one object a line")
	case set("from") && (o.Follow || set("boot")):
		err = errors.New("--from cannot be combined with --follow or --boot")
	case !set("from") && a.root != "/":
		err = fmt.Errorf("--root %s: no kubelet runs in a tree; --from reads a journal", a.root)
	case set("since"):
		o.Since, err = parseSince(o.since, time.Now())
	}
	if err != nil {
		return nil, nil, &usageError{err}
	}
	if !set("lines") && (set("since") || set("boot") || set("from")) {
		o.Lines = 0
	}
	if set("from") {
		return o.file(c.Context(), a)
	}
	h, done, err := a.host()
	if err != nil {
		return nil, nil, err
	}
	return h.Logs(c.Context(), o.JournalQuery), done, nil
}

// file reads the log in a file.
func (o *logsOptions) file(ctx context.Context, a *app) (iter.Seq2[kubeletlog.Event, error], func(), error) {
	in := a.in
	closeFile := func() {}
	if o.from != "-" {
		f, err := os.Open(o.from)
		if err != nil {
			return nil, nil, err
		}
		in, closeFile = f, func() { f.Close() }
	}
	read, write := io.Pipe() // what is read from a terminal cannot be interrupted
	go func() {
		_, err := io.Copy(write, in)
		write.CloseWithError(err)
	}()
	stop := context.AfterFunc(ctx, func() { write.CloseWithError(install.ContextError(ctx)) })
	lines := func(yield func(systemd.Entry, error) bool) {
		for e, err := range systemd.ReadEntries(read) {
			if err == nil && (!e.OfKubelet() || e.Time.Year() > 1 && e.Time.Before(o.Since)) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
	return kubeletlog.Read(lastLines(lines, o.Lines)), func() { stop(); read.Close(); closeFile() }, nil
}

// lastLines are the last n of some lines; all for 0.
func lastLines(lines iter.Seq2[systemd.Entry, error], n int) iter.Seq2[systemd.Entry, error] {
	if n == 0 {
		return lines
	}
	return func(yield func(systemd.Entry, error) bool) {
		var ring []systemd.Entry
		at := 0 // the oldest one in a full ring
		for e, err := range lines {
			switch {
			case err != nil:
				yield(e, err)
				return
			case len(ring) < n:
				ring = append(ring, e)
			default:
				ring[at] = e
				at = (at + 1) % n
			}
		}
		for i := range ring {
			if !yield(ring[(at+i)%len(ring)], nil) {
				return
			}
		}
	}
}

// printLogs prints a log until it ends, or the run does: being interrupted is how one ends that is followed.
func printLogs(ctx context.Context, out *terminal.Output, o logsOptions, events iter.Seq2[kubeletlog.Event, error]) error {
	shown, err := logview.Print(out, logview.Options{Follow: o.Follow, Cut: o.Lines > 0}, events)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil && (!o.Follow || errors.Is(ctx.Err(), context.DeadlineExceeded)):
		return install.ContextError(ctx)
	case !shown:
		out.Note("nothing was logged")
	}
	return nil
}

// parseSince reads a time, or how long before now one was.
func parseSince(text string, now time.Time) (time.Time, error) {
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch text {
	case "today":
		return day, nil
	case "yesterday":
		return day.AddDate(0, 0, -1), nil
	}
	if days, found := strings.CutSuffix(text, "d"); found {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, withHint(fmt.Errorf("--since %q is neither a time nor a duration", text), `such as 10m, 36h, 7d, 15:04, 2006-01-02, "2006-01-02 15:04:05"`)
}
