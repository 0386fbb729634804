package cmd

import (
	"errors"
	"fmt"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/drain"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
)

// The flags are those of the verb: upgrade has another --force than drain.
func TestEvictHint(t *testing.T) {
	alone, local := []string{"d/alone"}, []string{"d/cache"}
	for _, tt := range []struct {
		refused       drain.RefusedError
		drain, change string
	}{
		{drain.RefusedError{Alone: alone, Local: local}, "--force --delete-emptydir-data", "--drain-force --delete-emptydir-data"},
		{drain.RefusedError{Local: local}, "--delete-emptydir-data", "--delete-emptydir-data"},
		{drain.RefusedError{Alone: alone}, "--force", "--drain-force"},
	} {
		const words = "to evict them all the same: "
		var failed *preflight.FailedError
		if err := refusedDrain(&tt.refused); !errors.As(err, &failed) || failed.Problems[0].Hint != words+tt.drain {
			t.Errorf("drain: %+v", failed)
		}
		if got := hintOf((&drainOptions{}).hint(fmt.Errorf("draining: %w", &tt.refused))); got != words+tt.change {
			t.Errorf("upgrade --drain: %s", got)
		}
	}
	if err := errors.New("another"); (&drainOptions{}).hint(err) != err {
		t.Error("the hint is for other errors, too")
	}
}

// A host that has not joined is told how it joins, by whoever joins it.
func TestNotJoined(t *testing.T) {
	for _, tt := range []struct {
		current plan.Generation
		hint    string
	}{
		{plan.Generation{}, "kubeletctl help joining says how it joins one"},
		{plan.Generation{Kubeadm: true}, "kubeadm join"},
	} {
		var failed *preflight.FailedError
		if err := notJoined(&tt.current); !errors.As(err, &failed) || failed.Problems[0].Hint != tt.hint {
			t.Errorf("%v, want the hint %q", failed, tt.hint)
		}
	}
}
