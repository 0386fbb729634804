package systemd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
)

// JobError reports that a job ended in another way than "done".
type JobError struct {
	Verb, Unit string
	// Result is systemd's word: "failed", "dependency", "timeout", "canceled", "skipped" ... Where that was lost with the
	// connection, it is "failed" when the unit failed, and "canceled" when it is not in the state that was asked for.
	Result string
}

func (e *JobError) Error() string {
	what := e.Verb + " " + e.Unit
	switch e.Result {
	case "failed":
		return what + " failed"
	case "timeout":
		return what + " timed out"
	case "dependency":
		return what + " failed: a unit that it depends on did not start"
	case "canceled":
		return what + " was canceled: something else was asked of systemd meanwhile"
	case "skipped":
		return what + " was skipped: systemd had nothing to do for it"
	}
	return fmt.Sprintf("%s: job result %q", what, e.Result)
}

// job is a job to be queued and waited for. systemd keeps its jobs when it is executed anew, but tells a new connection
// nothing of those that were queued over another one.
type job struct {
	verb, unit string
	// queue asks for it. It may be called again when nobody knows whether it was queued.
	queue func(b bus, done chan<- string) error
	// types are what systemd calls jobs with the same effect.
	types []string
	// verdict judges by the state of the unit how the job ended; empty while it is under way.
	verdict func(UnitState) string
}

var (
	// A restart becomes a start when the unit has stopped.
	startJobs = []string{"start", "restart"}
	stopJobs  = []string{"stop"}
)

// jobPause is the time between two looks at the connection, or at a job whose end nobody will tell.
const jobPause = 100 * time.Millisecond

// run queues a job and waits until it is done.
func (c *Conn) run(ctx context.Context, j job) error {
	result, err := c.wait(ctx, j)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%s %s: %w", j.verb, j.unit, notDone{ctx.Err()})
	case err != nil:
		return fmt.Errorf("%s %s: %w", j.verb, j.unit, err)
	case result != "done":
		return &JobError{Verb: j.verb, Unit: j.unit, Result: result}
	}
	return nil
}

func (c *Conn) wait(ctx context.Context, j job) (result string, err error) {
	done := make(chan string, 1) // buffered: go-systemd delivers while it holds a lock
	b, err := c.queue(ctx, j, done)
	if err != nil {
		return "", err
	}
	look := time.NewTicker(jobPause)
	defer look.Stop()
	for {
		select {
		case result := <-done:
			return result, nil
		case <-ctx.Done():
			return "", ctx.Err()
		case <-look.C:
		}
		if b != nil && b.Connected() {
			continue
		}
		state, err := c.State(ctx, j.unit)
		if err != nil {
			return "", err
		}
		if result := j.verdict(state); result != "" {
			return result, nil
		}
	}
}

// queue asks for a job until it is known to be queued, and returns the connection that will tell its end; none when it was
// queued by a try whose answer was lost. A restart that was lost and is over already is done once more.
func (c *Conn) queue(ctx context.Context, j job, done chan<- string) (bus, error) {
	var teller bus
	asked := false
	err := c.call(ctx, func(b bus) error {
		if asked {
			// Asked again at each loss, a start that takes longer than systemd's pauses would never come to its end.
			jobs, err := b.ListJobsContext(ctx)
			if err != nil || j.in(jobs) {
				return err
			}
		}
		asked = true
		if err := j.queue(b, done); err != nil {
			return err
		}
		teller = b
		return nil
	})
	return teller, err
}

func (j job) in(jobs []dbus.JobStatus) bool {
	return slices.ContainsFunc(jobs, func(s dbus.JobStatus) bool { return s.Unit == j.unit && slices.Contains(j.types, s.JobType) })
}

// started is the verdict on a start. A Condition that does not hold is no failure, as for systemd itself.
func started(s UnitState) string {
	switch {
	case s.Job != 0:
		return ""
	case s.ActiveState == "active", s.ActiveState == "reloading", s.ActiveState == "refreshing":
		return "done"
	case s.ActiveState == "failed", s.Restarting():
		return "failed"
	case s.ActiveState != "inactive":
		return ""
	case s.ConditionFailed, s.Type == "oneshot" && s.Result == "success":
		return "done"
	}
	return "canceled"
}

// stopped is the verdict on a stop.
func stopped(s UnitState) string {
	switch {
	case s.Job != 0, s.ActiveState == "deactivating":
		return ""
	case s.ActiveState == "inactive", s.ActiveState == "failed":
		return "done"
	}
	return "canceled"
}

// notDone reports that a job went on longer than its context, in other words than those of package context.
type notDone struct{ error }

func (e notDone) Error() string {
	if errors.Is(e.error, context.Canceled) {
		return "interrupted while waiting for systemd"
	}
	return "timed out waiting for systemd"
}
func (e notDone) Unwrap() error { return e.error }
