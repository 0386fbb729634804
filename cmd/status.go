package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/status"
	"github.com/kubeletctl/kubeletctl/release"
)

func statusCommand(a *app) *cobra.Command {
	var wait time.Duration
	var watch bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what runs, whether it is healthy and whether it is what was installed",
		Long: `Status says what is installed, what really runs, what systemd and kubelet's health endpoint say, and how the
host differs from what was installed. It needs no privilege, and says what it could not read.

It exits with 0 when kubelet is healthy, 3 when it is installed and not healthy, 4 when none is installed. With --wait it
waits until kubelet is healthy, and shows the status of then, or of when the time was over.

--watch shows it again every two seconds until it is interrupted, and exits with the code of the last one. In a pipe that is a line
with the time whenever something has changed; with -o json, one JSON object a line. -o prometheus prints metrics for the textfile
collector of node_exporter; kubeletctl help monitoring shows a timer for that.`,
		Example: `  kubeletctl status
  kubeletctl status --watch
  kubeletctl status --wait 2m && kubectl uncordon "$(hostname)"
  kubeletctl status -o json`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if wait < 0 {
				return &usageError{fmt.Errorf("--wait %s is negative", wait)}
			}
			if watch && (wait > 0 || a.Format == "yaml" || a.Format == terminal.Prometheus) {
				return &usageError{errors.New("--watch cannot be combined with --wait, -o yaml or -o prometheus")}
			}
			h, done, err := a.host()
			if err != nil {
				return err
			}
			defer done()
			if watch {
				return watchStatus(c.Context(), a, h)
			}
			s, err := statusWithin(c.Context(), h, wait)
			if err != nil {
				return err
			}
			switch {
			case a.Structured():
				a.Print(s)
			case a.Format == terminal.Prometheus:
				printMetrics(a.Out, s)
			default:
				printStatus(a, s)
			}
			return statusError(s)
		},
	}
	c.Flags().DurationVar(&wait, "wait", 0, "wait up to this time until kubelet is healthy (0: show what is so now)")
	c.Flags().BoolVar(&watch, "watch", false, "show the status again and again, until it is interrupted")
	return c
}

// statusPause is the time between two looks at a kubelet that is waited for.
const statusPause = 500 * time.Millisecond

// statusWithin is the status as soon as it is a good one, or that of the end of the wait.
func statusWithin(ctx context.Context, h *install.Host, wait time.Duration) (*status.Status, error) {
	end := time.Now().Add(wait)
	for {
		s, err := h.Status(ctx)
		left := time.Until(end)
		if ctx.Err() == nil && (err != nil || statusError(s) == nil || left <= 0 || s.State == status.Unknown || s.State == status.Unreadable) {
			return s, err
		}
		select {
		case <-time.After(min(left, statusPause)):
		case <-ctx.Done():
			return nil, install.ContextError(ctx)
		}
	}
}

// statusError ends the program with the code for a status; nil for a good one.
func statusError(s *status.Status) error {
	switch {
	case s.State == status.Unknown, s.State == status.Unreadable: // what is installed cannot be told
		return &exitError{exitFailed}
	case !s.Installed:
		return &exitError{exitNotInstalled}
	case s.State != status.Healthy && s.State != status.Offline:
		return &exitError{exitUnhealthy}
	}
	return nil
}

// stateText is a state in words.
func stateText(s status.State) string {
	switch s {
	case status.Offline:
		return "installed in a tree"
	case status.Changing:
		return "being changed"
	case status.Interrupted:
		return "interrupted: a change did not finish"
	case status.Unreadable:
		return "unreadable: its record is not for this user"
	}
	return strings.ReplaceAll(string(s), "-", " ")
}

func printStatus(a *app, s *status.Status) {
	w := a.Out
	mood := terminal.Yellow
	switch s.State {
	case status.Healthy:
		mood = terminal.Green
	case status.Unhealthy, status.Stopped:
		mood = terminal.Red
	}
	switch {
	case !s.Installed:
		fmt.Fprintln(w, "kubelet is "+terminal.Paint(w, mood, stateText(s.State)))
		if s.Service.PID > 0 || s.Service.ActiveState == "activating" || s.Service.ActiveState == "failed" {
			fmt.Fprintln(w)
			a.Table(w, terminal.Sentences(0), a.liveRows(s))
		}
	case s.Service.PID > 0 && s.Running.Version != "" && s.Running.Version != s.Version:
		terminal.Say(w, "kubelet %s runs, and %s is installed: %s\n", s.Running.Version, s.Version, terminal.Paint(w, mood, stateText(s.State)))
		a.Table(w, terminal.Sentences(0), a.statusRows(s))
	default:
		fmt.Fprintf(w, "kubelet %s is %s\n\n", s.Version, terminal.Paint(w, mood, stateText(s.State)))
		a.Table(w, terminal.Sentences(0), a.statusRows(s))
	}
	printProblems(w, s.Problems)
}

// printProblems shows problems and what to do about each, after an empty line.
func printProblems(w io.Writer, problems []preflight.Problem) {
	if len(problems) > 0 {
		fmt.Fprintln(w)
	}
	for _, p := range problems {
		c := terminal.Yellow
		if p.Severity == preflight.Failure {
			c = terminal.Red
		}
		terminal.Say(w, "%s %s: %s", terminal.Paint(w, c, string(p.Severity)), p.ID, p.Text())
		if p.Hint != "" {
			terminal.Say(w, "  hint: %s", p.Hint)
		}
	}
}

func row(name, format string, args ...any) []string {
	return []string{"  " + name, fmt.Sprintf(format, args...)}
}

func (a *app) statusRows(s *status.Status) [][]string {
	digest := s.Digest
	if s.SHA256 != "" { // of one kind with that of what runs
		digest = "sha256:" + s.SHA256
	}
	rows := [][]string{row("installed", "%s, generation %d, trust %s (%s)", s.Version, s.Generation, s.Trust, a.Digest(digest))}
	if len(s.Tools) > 0 {
		rows = append(rows, row("tools", "%s", toolNames(s.Tools)))
	}
	if s.State == status.Offline {
		rows = append(rows, row("service", "%s, %s", s.Service.Unit, enabled(s.Service.Enabled)))
		return append(rows, row("drift", "%s", driftLine(s.Drift)))
	}
	rows = append(rows, a.liveRows(s)...)
	if s.Runtime != nil {
		answers := map[bool]string{true: "answers", false: "does not answer"}[s.Runtime.Answers]
		if s.Runtime.Name != "" {
			answers = s.Runtime.Name + " " + s.Runtime.Version
		}
		rows = append(rows, row("runtime", "%s (%s)", answers, s.Runtime.Endpoint))
	}
	if s.Node != nil {
		rows = append(rows, row("node", "%s", nodeLine(s.Node)))
	}
	var ends []string
	for _, c := range s.Certificates {
		ends = append(ends, fmt.Sprintf("%s until %s", c.Use, c.Expires.Local().Format(time.DateOnly)))
	}
	if len(ends) > 0 {
		rows = append(rows, row("certificates", "%s", strings.Join(ends, ", ")))
	}
	return append(rows, row("drift", "%s", driftLine(s.Drift)))
}

// liveRows are what can be told without a record.
func (a *app) liveRows(s *status.Status) (rows [][]string) {
	if s.Service.PID > 0 && (s.Running.SHA256 != "" || s.State != status.NotInstalled) {
		running := "could not be read"
		if s.Running.SHA256 != "" {
			running = strings.TrimSpace(fmt.Sprintf("%s (sha256:%s)", s.Running.Version, a.Digest(s.Running.SHA256)))
		}
		rows = append(rows, row("running", "%s, pid %d", running, s.Service.PID))
	}
	service := fmt.Sprintf("%s: %s (%s), %s", s.Service.Unit, s.Service.ActiveState, s.Service.SubState, enabled(s.Service.Enabled))
	if s.Service.Since != nil {
		service += fmt.Sprintf(", since %s (%s)", s.Service.Since.Format(time.DateTime), time.Since(*s.Service.Since).Round(time.Second))
	}
	rows = append(rows, row("service", "%s, %s", service, release.FormatCount(s.Service.Restarts, "restart", "restarts")))
	if exit := s.Service.LastExit; exit != nil {
		rows = append(rows, row("last exit", "%s %s", exit.Time.Local().Format(time.DateTime), cmp.Or(exit.Status, exit.Reason)))
	}
	if s.Service.PID > 0 {
		rows = append(rows, row("resources", "memory %s, CPU %s", memory(s.Service.MemoryBytes), cpu(s.Service.CPUSeconds)))
	}
	health := s.Health.Error
	if s.Health.OK {
		health = fmt.Sprintf("ok in %.1f ms", s.Health.LatencyMs)
	}
	if s.Health.URL != "" {
		health += " (" + s.Health.URL + ")"
	}
	if health != "" {
		rows = append(rows, row("health", "%s", health))
	}
	return rows
}

// nodeLine says what the API server knows of the node.
func nodeLine(n *status.Node) string {
	if n.Error != "" {
		return "not known: " + n.Error
	}
	ready := map[string]string{"True": "Ready", "False": "not Ready"}[n.Ready]
	if ready == "" {
		ready = "not reporting"
	}
	if n.Cordoned {
		ready += " and cordoned"
	}
	line := fmt.Sprintf("%s is %s, with kubelet %s", n.Name, ready, n.KubeletVersion)
	if n.Heartbeat != nil {
		line += fmt.Sprintf(", heartbeat %s ago", time.Since(*n.Heartbeat).Round(time.Second))
	}
	return line
}

func enabled(yes bool) string {
	if yes {
		return "enabled"
	}
	return "not enabled"
}

// cpu is "unknown" where systemd does not account for it, as with cgroup v1.
func cpu(seconds float64) string {
	if seconds == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.1f s", seconds)
}

func memory(n int64) string {
	if n == 0 {
		return "not accounted"
	}
	return release.FormatSize(n)
}

func driftLine(drift []plan.Drift) string {
	if len(drift) == 0 {
		return "none"
	}
	var parts []string
	for _, d := range drift {
		parts = append(parts, d.Target+" "+d.Reason)
	}
	return strings.Join(parts, "; ")
}
