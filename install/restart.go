package install

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/status"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// PrepareRestart plans to start the installed kubelet anew, and nothing else. What would start something else than what was
// installed, or nothing, is refused with a *preflight.FailedError. It changes nothing.
func (h *Host) PrepareRestart(ctx context.Context) (*Change, error) {
	have, err := h.Installed()
	if err != nil {
		return nil, err
	}
	if err := h.Store().Directory(have.Number).Verify(have); err != nil { // it is rehearsed with what was recorded
		return nil, err
	}
	if err := preflight.CheckKubeadm(h.Observer(), have); err != nil {
		return nil, err
	}
	c, err := h.prepare(ctx, have.Clone(), have, plan.Options{Restart: true})
	if err != nil {
		return nil, err
	}
	c.repair = true
	if err := h.refuseRestart(have, c.Seen); err != nil {
		return nil, err
	}
	return c, h.refuseWithoutRuntime(ctx, have)
}

// refuseWithoutRuntime fails when no container runtime answers: a kubelet that is started without one does not stay.
func (h *Host) refuseWithoutRuntime(ctx context.Context, g *plan.Generation) error {
	endpoint, err := preflight.Endpoint(g)
	if err != nil || h.AskRuntime == nil {
		return err
	}
	if problem := preflight.CheckRuntime(ctx, endpoint, config.Minor(g.Version.Minor()), h.AskRuntime); problem != nil {
		return &preflight.FailedError{Problems: []preflight.Problem{*problem}}
	}
	return nil
}

// IsRestart reports whether a change starts kubelet anew and does nothing else.
func (c *Change) IsRestart() bool { return c.options.Restart }

// onlyStarts reports whether a change does nothing but to start the installed kubelet: a restart, or a repair of one that has
// exited and of which nothing differs.
func (c *Change) onlyStarts() bool {
	return c.options.Restart || c.repair && !slices.ContainsFunc(c.Plan.Steps, func(s plan.Step) bool {
		return s.Target != systemd.KubeletService || s.Action != plan.Start && s.Action != plan.Restart
	})
}

// refuseRestart fails with all that is in the way of a restart.
func (h *Host) refuseRestart(want *plan.Generation, seen *plan.Observation) error {
	refused := &preflight.FailedError{}
	fail := func(id, message, hint string) {
		refused.Problems = append(refused.Problems, preflight.Problem{ID: id, Severity: preflight.Failure, Message: message, Hint: hint})
	}
	for _, d := range seen.StartDrift(want) {
		hint := "kubeletctl diff shows how; kubeletctl repair puts it back, and restarts kubelet if it has to"
		if d.Kept {
			hint = dropInHint(want.Version)
		}
		fail(status.IDDrift, "kubelet would not start as it was installed: "+d.Target+": "+d.Reason, hint)
	}
	lost := preflight.CheckLost(h.Observer(), want)
	refused.Problems = append(refused.Problems, lost...)
	switch {
	case len(lost) > 0:
	case !seen.Credentials && want.Kubeadm:
		fail(status.IDKubeadm, "kubelet would not start: kubeadm has not set up this node yet", status.KubeadmHint)
	case !seen.Credentials:
		fail(status.IDWaiting, "kubelet would not start: it needs one of these: "+strings.Join(want.Credentials, ", "), status.CredentialsHint)
	case !seen.Live:
		fail(string(status.Offline), "no kubelet runs in the tree of --root", "run kubeletctl restart on the host itself")
	}
	if len(refused.Problems) > 0 {
		return refused
	}
	return nil
}

// RestartError reports that kubelet did not become healthy after a restart. There is nothing to go back to.
type RestartError struct{ Cause error }

func (e *RestartError) Error() string { return "restarting kubelet: " + e.Cause.Error() }
func (e *RestartError) Unwrap() error { return e.Cause }

// Hint says what to do about it.
func (e *RestartError) Hint() string {
	if errors.Is(e.Cause, ErrInterrupted) {
		return "kubeletctl status shows whether kubelet is healthy by now"
	}
	return "journalctl -u kubelet.service shows all that kubelet said; remove the cause, then kubeletctl restart; kubeletctl rollback puts an earlier generation back"
}
