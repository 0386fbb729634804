package status

import (
	"context"
	"time"

	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Exit is how the run of kubelet before this one ended.
type Exit struct {
	Time time.Time `json:"time"`
	// Status is systemd's word ("code=exited, status=1/FAILURE"), and Reason says why, without secrets; empty where the journal does
	// not tell.
	Status string `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// exitLines is how much of the journal before the start of a kubelet is read; see health.Log.
const exitLines = 1000

// lastExit reads how the run ended that systemd has followed by another one; nil when it did not, or the journal does not tell.
func lastExit(ctx context.Context, state systemd.UnitState) *Exit {
	if state.Restarts == 0 || state.Started.IsZero() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, wordsTimeout)
	defer cancel()
	var exit *Exit
	journal := systemd.ReadJournal(ctx, systemd.JournalQuery{Unit: state.Name, Until: state.Started, Lines: exitLines})
	for event, err := range kubeletlog.Read(journal) {
		if r := event.Ended; err == nil && r != nil && (r.Exit != "" || r.Reason != "") {
			exit = &Exit{Time: r.Last, Status: r.Exit, Reason: r.Reason}
		}
	}
	return exit
}
