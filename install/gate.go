package install

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// GateError tells why a kubelet did not pass the health gate.
type GateError struct {
	// Reason is ours; LastWords are kubelet's own, from the journal, and may be empty.
	Reason, LastWords string
}

func (e *GateError) Error() string {
	if e.LastWords == "" {
		return e.Reason
	}
	return e.Reason + ": " + e.LastWords
}

// Hint says where to read more.
func (e *GateError) Hint() string { return "journalctl -u kubelet.service shows all that kubelet said" }

const (
	// steady is for how long kubelet must be well before it is believed. Some fall ill only after a while.
	steady = 4 * time.Second
	// gatePause is the time between two looks.
	gatePause = 100 * time.Millisecond
	// nodePause is the time between two questions to the API server.
	nodePause = 500 * time.Millisecond
)

// gated tells whether the change has to prove that kubelet is well.
func (h *Host) gated(c *Change, o ApplyOptions) bool {
	service, known := c.Want.unit(systemd.KubeletService)
	return known && service.Run == Running && c.Seen.Live && c.Seen.Credentials && o.Wait > 0 && !c.Want.Snapshot
}

// gate waits until kubelet has been active, without a restart, and with a good /healthz, for a few seconds on end. It
// gives up at the first death: systemd would start it again and again, and the reason would be the same. Deaths are counted
// from restarts on. Once kubelet is well it gets its few seconds even if wait is over by then. If the node was joined to a
// cluster before, it has to be again.
func (h *Host) gate(ctx context.Context, g *Generation, wait time.Duration, deadline time.Time, was *membership, restarts int) error {
	var wellSince time.Time
	last := "it did not become active"
	for {
		state, err := h.Units.State(ctx, systemd.KubeletService)
		if err != nil {
			if ctx.Err() != nil {
				return errAtGate
			}
			return err
		}
		if failed := died(state, restarts); failed != "" {
			return h.explain(ctx, &GateError{Reason: failed})
		}
		ok := state.ActiveState == "active"
		if !ok {
			last = fmt.Sprintf("the unit is %s (%s)", state.ActiveState, state.SubState)
		} else if g.HealthURL != "" {
			health := Probe(ctx, g.HealthURL)
			if ok = health.OK; !ok {
				last = health.URL + ": " + health.Error
			}
		}
		now, pause := time.Now(), gatePause
		switch {
		case !ok:
			wellSince = time.Time{}
		case wellSince.IsZero():
			wellSince = now
		case now.Sub(wellSince) >= steady:
			missing, unknown := h.lost(ctx, was, g, state.Started)
			switch {
			case missing == "":
				return nil
			case now.After(deadline) && unknown && ctx.Err() == nil:
				h.note("kubelet is healthy; whether its node is still joined, nobody can tell now: %s", missing)
				return nil
			case now.After(deadline):
				return h.explain(ctx, &GateError{Reason: missing})
			}
			pause = nodePause
		}
		if !ok && now.After(deadline) {
			if h.Units.Booting(ctx) && !state.Up() {
				return nil // its turn in the boot has not come yet; it is enabled and queued
			}
			return h.explain(ctx, &GateError{Reason: fmt.Sprintf("kubelet was not healthy within %s: %s", wait, last)})
		}
		select {
		case <-ctx.Done():
			return errAtGate
		case <-time.After(pause):
		}
	}
}

var errAtGate = errors.New("while waiting for kubelet to become healthy")

// died says how kubelet ended, or nothing while it lives or was not started yet. What systemd has started again by itself no
// more often than so many times did not die since.
func died(s systemd.UnitState, restarts int) string {
	switch {
	case s.ConditionFailed && !s.Up():
		return "systemd did not start kubelet: a condition of its unit does not hold"
	case s.Restarts > restarts, s.Restarting(), s.ActiveState == "failed":
		switch s.Result {
		case "exit-code":
			return fmt.Sprintf("kubelet ended with exit status %d", s.ExitStatus)
		case "success", "":
			return "kubelet ended and was started again"
		}
		return fmt.Sprintf("kubelet ended (%s)", s.Result)
	}
	return ""
}

// explain adds kubelet's own last words, which the journal may show a moment late.
func (h *Host) explain(ctx context.Context, err error) error {
	gate := &GateError{Reason: err.Error()}
	var g *GateError
	if errors.As(err, &g) {
		gate = g
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	state, stateErr := h.Units.State(ctx, systemd.KubeletService)
	if failed := died(state, 0); stateErr == nil && g == nil && failed != "" {
		gate.Reason = failed
	}
	for gate.LastWords == "" && ctx.Err() == nil && h.Live {
		entries, err := systemd.Journal(ctx, state, 60)
		if err != nil {
			break
		}
		if gate.LastWords = strings.TrimSpace(systemd.LastFailure(entries)); gate.LastWords == "" {
			select {
			case <-ctx.Done():
			case <-time.After(250 * time.Millisecond):
			}
		}
	}
	return gate
}
