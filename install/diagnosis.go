package install

import (
	"cmp"
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

// Diagnose finds out why kubelet is not well, or does not do its work: the one that was installed, or another one with a
// kubelet.service. Where the journal does not tell, it is what a status complains of. That there is no kubelet is
// [store.ErrNotInstalled].
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
	if state.ActiveState == "inactive" && !state.ConditionFailed && s.State != status.Waiting && s.State != status.ForKubeadm {
		return notRunning(s, state), nil
	}
	d := &Diagnosis{State: health.ExitReason(state, 0)}
	if state.ActiveState == "active" || d.State != "" {
		d.Diagnosis = h.reader().Diagnose(ctx, s, current, state)
	}
	node := s.NodeProblem()
	starting := time.Since(state.Started) < diagnose.Startup
	switch {
	case s.State == status.Healthy && d.Cause == "" && (node.ID == "" || starting):
		d.Healthy, d.State, d.Words, d.Errors, d.Remedy = true, "kubelet is healthy", "", nil, []string{}
		if node.ID != "" {
			d.State += "; it was started less than a minute ago, and " + node.Message
		}
		return d, nil
	case s.State == status.Healthy:
		d.State = d.useless(node)
	case d.State == "":
		d.State = stateWords[s.State]
	}
	d.complain(s, node)
	return d, nil
}

// useless says what a healthy kubelet does not do. Only a cause that keeps a node from being Ready explains that it has no part in its
// cluster.
func (d *Diagnosis) useless(node preflight.Problem) string {
	if node.ID != "" && (d.Cause == "" || d.Unready) {
		return "kubelet runs, but it has no part in its cluster"
	}
	return "kubelet runs, but it cannot do all of its work"
}

// notRunning says that somebody has stopped kubelet, or nobody has started it, and how it is started. What an older run of it said is
// not why.
func notRunning(s *status.Status, state systemd.UnitState) *Diagnosis {
	d := &Diagnosis{State: "kubelet does not run: it was stopped"}
	if state.Started.IsZero() {
		d.State = "kubelet does not run: it has not been started"
	}
	if failure := firstFailure(s); failure.ID != "" {
		d.complain(s, failure)
		return d
	}
	switch {
	case state.LoadState == "masked":
		d.Remedy = []string{"systemctl unmask kubelet", "systemctl enable --now kubelet"}
	case state.UnitFileState == "disabled":
		d.Remedy = []string{"systemctl enable --now kubelet  # it is disabled, so that it does not start at boot either"}
	default:
		d.Remedy = []string{"systemctl start kubelet"}
	}
	return d
}

// stateWords are the states in which a kubelet is not well that has not ended by itself.
var stateWords = map[status.State]string{
	status.Unhealthy: "kubelet runs, but it is not healthy", status.Starting: "kubelet is starting", status.Stopped: "kubelet is not running",
	status.Waiting: "kubelet is not running", status.ForKubeadm: "kubelet is not running",
}

// firstFailure is the first failure that a status has, but for that kubelet is stopped; empty for none.
func firstFailure(s *status.Status) (p preflight.Problem) {
	if i := slices.IndexFunc(s.Problems, func(p preflight.Problem) bool { return p.Severity == preflight.Failure && p.ID != status.IDStopped }); i >= 0 {
		p = s.Problems[i]
	}
	return p
}

// complain adds the worst that a status complains of, where kubelet itself has not said what the cause is.
func (d *Diagnosis) complain(s *status.Status, node preflight.Problem) {
	d.State = cmp.Or(d.State, "kubelet is not healthy")
	p := node
	if failure := firstFailure(s); failure.ID != "" {
		p = failure
	} else if p.ID == "" && s.Installed && len(s.Problems) > 0 {
		p = s.Problems[0]
	}
	if d.Cause == "" && !d.Ended && p.ID != "" {
		d.Rule, d.Cause, d.Words = p.ID, p.Message, ""
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
	d := &Diagnosis{Diagnosis: diagnose.Explain(diagnose.Run{Log: entries})}
	switch {
	case d.Ended:
		d.State = "kubelet has ended"
	case d.Cause != "":
		d.State = "kubelet runs, but it cannot do all of its work"
	case len(d.Errors) > 0:
		d.State, d.Words = "kubelet runs, and has errors of which no cause is known", ""
	default:
		d.State, d.Healthy, d.Words, d.Remedy = "nothing in this journal says that kubelet is not healthy", true, "", []string{}
	}
	return d, slices.ContainsFunc(entries, kubeletlog.Entry.Known)
}
