package install

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kubeletctl/kubeletctl/install/diagnose"
	"github.com/kubeletctl/kubeletctl/install/health"
	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/status"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Diagnosis says whether the kubelet of this host is healthy, and why it is not. Its JSON form is a stable interface.
type Diagnosis struct {
	Healthy bool `json:"healthy"`
	// State is what is so: "kubelet exited with status 1".
	State string `json:"state"`
	diagnose.Diagnosis
}

// diagnoseTimeout is how long a diagnosis waits for what the journal has of a kubelet that died.
const diagnoseTimeout = 2 * time.Second

// Diagnose finds out why kubelet is not well: the one that was installed, or another one with a kubelet.service. Where the journal
// does not tell, it is what a status complains of. That there is no kubelet is [store.ErrNotInstalled].
func (h *Host) Diagnose(ctx context.Context) (*Diagnosis, error) {
	state, err := h.Units.State(ctx, systemd.KubeletService)
	if err != nil {
		return nil, err
	}
	current, err := h.Installed()
	if err != nil && (!errors.Is(err, store.ErrNotInstalled) || state.LoadState == "not-found") {
		return nil, err
	}
	s, err := h.Status(ctx)
	if err != nil {
		return nil, err
	}
	if !s.Installed && state.ActiveState == "active" && health.Probe(ctx, status.HealthURL(h.Observer())).OK {
		s.State = status.Healthy
	}
	if s.State == status.Healthy {
		return &Diagnosis{Healthy: true, State: "kubelet is healthy", Diagnosis: diagnose.Diagnosis{Remedy: []string{}}}, nil
	}
	d := &Diagnosis{State: health.ExitReason(state, 0)}
	if d.State != "" || state.ActiveState == "active" {
		brief, cancel := context.WithTimeout(ctx, diagnoseTimeout)
		defer cancel()
		d.Diagnosis = diagnose.Kubelet(h.Observer(), health.Log(brief, state), current)
	}
	d.complain(s)
	return d, nil
}

// complain adds the worst that a status complains of, where that is all that is known.
func (d *Diagnosis) complain(s *status.Status) {
	if d.State == "" {
		d.State = "kubelet is not healthy"
	}
	if d.Cause == "" && d.Words == "" && len(s.Problems) > 0 {
		failure := slices.IndexFunc(s.Problems, func(p preflight.Problem) bool { return p.Severity == preflight.Failure })
		p := s.Problems[max(failure, 0)]
		d.Rule, d.Cause = p.ID, p.Message
		if p.Hint != "" {
			d.Remedy = []string{"# " + p.Hint}
		}
	}
	if d.Remedy == nil {
		d.Remedy = []string{diagnose.ReadMore}
	}
}

// DiagnoseLog says why a kubelet has ended, or does not do its work, by the last run in a journal as journalctl prints it; false when
// the journal has nothing of a kubelet.
func DiagnoseLog(journal []byte) (*Diagnosis, bool) {
	entries := kubeletlog.Parse(systemd.LastRun(systemd.OfKubelet(systemd.ParseEntries(journal))))
	d := &Diagnosis{Diagnosis: diagnose.Explain(entries)}
	switch {
	case d.Ended:
		d.State = "kubelet has ended"
	case d.Cause != "":
		d.State = "kubelet is not healthy"
	default:
		d.State, d.Healthy, d.Words, d.Remedy = "nothing in this journal says that kubelet is not healthy", true, "", []string{}
	}
	return d, slices.ContainsFunc(entries, kubeletlog.Entry.Known)
}
