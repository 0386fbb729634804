package health

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// ExitReason says how kubelet ended, or nothing while it lives or was not started yet. What systemd has started again by
// itself no more often than so many times did not die since.
func ExitReason(s systemd.UnitState, restarts int) string {
	switch {
	case s.ConditionFailed && !s.Up():
		return "systemd did not start kubelet: a condition of its unit is not met"
	case s.Restarts > restarts, s.Restarting(), s.ActiveState == "failed":
		switch s.Result {
		case "exit-code":
			return fmt.Sprintf("kubelet exited with status %d", s.ExitStatus)
		case "success", "":
			return "kubelet exited and was started again"
		}
		return fmt.Sprintf("kubelet was terminated (%s)", s.Result)
	}
	return ""
}

// LastWords are kubelet's own about why it failed, from the journal, which may show them a moment late: they are waited for
// until ctx ends. Empty when there are none.
func LastWords(ctx context.Context, state systemd.UnitState) string {
	for ctx.Err() == nil {
		entries, err := systemd.Journal(ctx, state, 60)
		if err != nil {
			return ""
		}
		if words := strings.TrimSpace(systemd.LastFailure(entries)); words != "" {
			return words
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
	return ""
}
