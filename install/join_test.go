package install

import (
	"errors"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/join"
)

// An API server that has just started refuses every bootstrap token for a moment; what lasts is a refusal.
func TestCredentialsThatAreRefusedForAMoment(t *testing.T) {
	passes := func(err error) bool {
		var state *join.Error
		return errors.As(err, &state) && state.State == join.Refused && state.Passes
	}
	j, refused := &Join{}, &join.Error{State: join.Refused}
	if err := j.lasting(refused); !passes(err) {
		t.Errorf("at once: %+v", err)
	}
	j.refused = time.Now().Add(-joinRefused)
	if err := j.lasting(refused); err == nil || passes(err) {
		t.Errorf("for long: %+v", err)
	}
	if err := j.lasting(nil); err != nil {
		t.Error(err)
	}
	if err := j.lasting(refused); !passes(err) {
		t.Errorf("after it was accepted again: %+v", err)
	}
}
