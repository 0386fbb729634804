package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/status"
)

// watchPause is the time between two looks at a kubelet that is watched.
const watchPause = 2 * time.Second

// watchStatus shows the status again and again until the run is interrupted, and returns the error for the last one: on a terminal
// all of it, elsewhere a line when something has changed.
func watchStatus(ctx context.Context, a *app, h *install.Host) error {
	redraws := terminal.Is(a.Out) && os.Getenv("TERM") != "dumb" && !a.Structured()
	var last *status.Status
	shown := ""
	for {
		s, err := h.Status(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		last = s
		if redraws {
			fmt.Fprint(a.Out, terminal.Clear)
			printStatus(a, s)
			fmt.Fprintf(a.Out, "\n%s, every %s; Ctrl-C ends it\n", time.Now().Format(time.DateTime), watchPause)
		} else if now := statusLine(s); now != shown {
			shown = now
			printChange(a, s, now)
		}
		select {
		case <-time.After(watchPause):
		case <-ctx.Done():
		}
	}
	if last == nil {
		return install.ContextError(ctx)
	}
	return statusError(last)
}

// printChange prints a status that differs from the one before, in one line.
func printChange(a *app, s *status.Status, line string) {
	if !a.Structured() {
		fmt.Fprintln(a.Out, time.Now().Format(time.RFC3339)+" "+line)
		return
	}
	_ = json.NewEncoder(a.Out).Encode(s) // a.Out remembers what could not be written
}

// statusLine is a status in one line, without what changes all the time.
func statusLine(s *status.Status) string {
	line := strings.TrimSuffix("kubelet "+s.Version, " ") + " is " + stateText(s.State)
	if s.Service.PID > 0 {
		line += fmt.Sprintf(", pid %d", s.Service.PID)
		if v := s.Running.Version; v != "" && v != s.Version {
			line += " (" + v + ")"
		}
	}
	for _, p := range s.Problems {
		line += "; " + p.ID
	}
	return line
}
