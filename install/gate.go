package install

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/diagnose"
	"github.com/kubeletctl/kubeletctl/install/health"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// GateError tells why a kubelet did not pass the health gate.
type GateError struct {
	Reason string
	// Diagnosis is what the journal tells; empty when nobody has looked.
	Diagnosis diagnose.Diagnosis
}

func (e *GateError) Error() string {
	text := e.Reason
	if e.Diagnosis.Words != "" {
		text += ": " + e.Diagnosis.Words
	}
	if e.Diagnosis.Foreign {
		text += " (" + e.Diagnosis.Place + ")"
	}
	return text
}

// Hint says where to read more, or what to do. The host is as it was before by then, so that no command does for it.
func (e *GateError) Hint() string {
	if e.Diagnosis.Cause != "" && !e.Diagnosis.Foreign {
		return e.Diagnosis.Cause + ": correct that, then run this again"
	}
	return e.Diagnosis.Hint()
}

const (
	// steady is for how long kubelet must be well before it is believed. Some fall ill only after a while.
	steady = 4 * time.Second
	// relapse is how long a kubelet that was well and fell ill gets to become well again.
	relapse = 5 * time.Second
	// leastPatience is how long a kubelet gets to become healthy however fast it was when it was rehearsed. With the way back
	// it stays below 30 s, so that the control plane, which waits for 40 s (50 s from 1.32), does not call the node NotReady.
	leastPatience = 20 * time.Second
	// evidenceFactor is how much longer a kubelet may take than it or a former one took on this host.
	evidenceFactor = 3
	// gatePause is the time between two looks.
	gatePause = 100 * time.Millisecond
	// nodePause is the time between two questions to the API server.
	nodePause = 500 * time.Millisecond
)

// gated reports whether the change has to prove that kubelet is well.
func (a attempt) gated() bool {
	c := a.change
	return c.Want.Runs() && !c.Plan.OnlyTools() && !c.options.NoStart && c.Seen.Live && c.Seen.Credentials && a.options.Wait > 0 && !c.Want.Snapshot
}

// gate is what a kubelet has to pass before it is believed: it has been active, without a restart, and with a good /healthz,
// for a few seconds on end; it is the one that was installed; its node is as joined to the cluster as it was.
type gate struct {
	host *Host
	want *plan.Generation
	// wait is what the user allows, patience what kubelet gets to become healthy.
	wait, patience time.Duration
	// member is what has to be so again; nil for nothing.
	member *membership
	// restarts is how often systemd has started kubelet again by itself before.
	restarts int
	// foreign says that the kubelet need not be one of ours.
	foreign bool

	took      time.Duration // how long it took to be healthy
	began     time.Time     // when kubelet was started; now for one that runs already
	process   time.Time     // when the process was started, by the clock of the host
	wellSince time.Time
	illSince  time.Time
	last      string // what was wrong at the last look
}

// pass waits at the gate. It gives up at the first death: systemd would start kubelet again and again, and the reason would
// be the same. Once kubelet is well it gets its few seconds even if its time is over by then.
func (g *gate) pass(ctx context.Context) error {
	g.last = "it did not become active"
	if g.began.IsZero() {
		g.began = time.Now()
	}
	for {
		state, err := g.host.Units.State(ctx, systemd.KubeletService)
		if err != nil {
			if ctx.Err() != nil {
				return errAtGate
			}
			return err
		}
		passed, pause, err := g.look(ctx, state)
		if passed || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errAtGate
		case <-time.After(pause):
		}
	}
}

// look judges what is there at one moment. pause is the time until the next look.
func (g *gate) look(ctx context.Context, state systemd.UnitState) (passed bool, pause time.Duration, err error) {
	if reason := health.ExitReason(state, g.restarts); reason != "" {
		return false, 0, g.host.explain(ctx, g.want, &GateError{Reason: reason})
	}
	if !state.Started.Equal(g.process) {
		g.process = state.Started
		if late := state.Started.Sub(g.began.Round(0)); late > 0 { // until then the former one was on its way out
			g.began = g.began.Add(min(late, time.Since(g.began))) // no more than has passed, if the clock was set
		}
	}
	well, now := g.well(ctx, state), time.Now()
	switch {
	case !well:
		return g.ill(ctx, state, now)
	case g.wellSince.IsZero():
		g.wellSince, g.illSince = now, time.Time{}
		g.took = now.Sub(g.began)
	case now.Sub(g.wellSince) >= steady:
		if err := g.proveProcess(state); err != nil {
			return false, 0, err
		}
		return g.proveMembership(ctx, state, now)
	}
	return false, gatePause, nil
}

// well reports whether kubelet is active and says that it is healthy.
func (g *gate) well(ctx context.Context, state systemd.UnitState) bool {
	if state.ActiveState != "active" {
		g.last = fmt.Sprintf("the unit is %s (%s)", state.ActiveState, state.SubState)
		return false
	}
	if g.want.HealthURL == "" {
		return true
	}
	answer := health.Probe(ctx, g.want.HealthURL)
	if !answer.OK {
		g.last = answer.URL + ": " + answer.Error
	}
	return answer.OK
}

// ill judges a kubelet that is not well: whether it may still become so.
func (g *gate) ill(ctx context.Context, state systemd.UnitState, now time.Time) (passed bool, pause time.Duration, err error) {
	wasWell := !g.wellSince.IsZero() || !g.illSince.IsZero()
	if wasWell && g.illSince.IsZero() {
		g.illSince = now
	}
	if !wasWell && now.Sub(g.began) > g.patience || wasWell && now.Sub(g.illSince) > relapse || now.Sub(g.began) > g.patience+2*relapse {
		if g.host.Units.Booting(ctx) && !state.Up() {
			return true, 0, nil // its turn in the boot has not come yet; it is enabled and queued
		}
		reason := fmt.Sprintf("kubelet was not healthy within %s: %s", g.patience.Round(time.Second), g.last)
		if wasWell {
			reason = "kubelet was healthy, but did not stay healthy: " + g.last
		}
		return false, 0, g.host.explain(ctx, g.want, &GateError{Reason: reason})
	}
	g.wellSince = time.Time{}
	return false, gatePause, nil
}

// proveProcess holds the process that runs against the kubelet that was installed: another one may be healthy, too.
func (g *gate) proveProcess(state systemd.UnitState) error {
	if g.foreign || state.MainPID == 0 {
		return nil
	}
	o := g.host.Observer()
	known := g.host.Tree.LoadDigests(observe.DigestsFile)
	process, err := o.Process(state, known)
	if err != nil || process == nil {
		return err
	}
	seen := &plan.Observation{Live: true, Process: process}
	reasons := seen.OtherProcess(g.want)
	if len(reasons) == 0 {
		return nil
	}
	text := "kubelet is healthy, but it is not the one that was installed: " + strings.Join(reasons, "; ")
	dropIns, err := o.DropIns()
	if err != nil {
		return err
	}
	for _, d := range dropIns {
		if d.SetsCommand() {
			text += "; " + d.Path + " sets its command line"
		}
	}
	return &GateError{Reason: text}
}

// proveMembership asks the API server whether the node is to its cluster what it was.
func (g *gate) proveMembership(ctx context.Context, state systemd.UnitState, now time.Time) (passed bool, pause time.Duration, err error) {
	missing, unknown := g.member.missing(ctx, g.host.Tree, g.want, state.Started)
	late := now.Sub(g.began) > g.wait
	switch {
	case missing == "":
		return true, 0, nil
	case late && unknown && ctx.Err() == nil:
		g.host.note("kubelet is healthy; could not check whether its node is still joined: %s", missing)
		return true, 0, nil
	case late:
		return false, 0, g.host.explain(ctx, g.want, &GateError{Reason: missing})
	}
	return false, nodePause, nil
}

var errAtGate = errors.New("while waiting for kubelet to become healthy")

// explain adds kubelet's own last words, which the journal may show a moment late, and whose line they speak of.
func (h *Host) explain(ctx context.Context, want *plan.Generation, err error) error {
	gate := &GateError{Reason: err.Error()}
	var g *GateError
	if errors.As(err, &g) {
		gate = g
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	state, stateErr := h.Units.State(ctx, systemd.KubeletService)
	if reason := health.ExitReason(state, 0); stateErr == nil && g == nil && reason != "" {
		gate.Reason = reason
	}
	if gate.Diagnosis.Words == "" && h.Live {
		log, err := health.Log(ctx, state)
		if err != nil {
			h.note("%v", err)
		}
		gate.Diagnosis = h.reader().Subject(want).Explain(ctx, diagnose.Run{Log: log, Started: state.Started, Now: time.Now()})
	}
	return gate
}
