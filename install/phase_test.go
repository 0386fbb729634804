package install

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/rehearsal"
)

func TestPhases(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		skip bool
		ill  bool
		want []Phase
	}{
		{name: "an upgrade", want: []Phase{Rehearsing, Switching, Waiting}},
		{name: "without a rehearsal", skip: true, want: []Phase{Switching, Waiting}},
		{name: "one that fails", ill: true, want: []Phase{Rehearsing, Switching, Waiting, RollingBack}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, s := upgrade(t)
			b.Rehearse = func(context.Context, rehearsal.Trial) ([]string, error) { return nil, nil }
			wait := 10 * time.Second
			if tt.ill {
				wait = time.Second
				b.fake.gone = func() { b.healthy = b.linked() == "kubelet-v1.37.1" }
			}
			c, lock := b.prepare(s), b.lock()
			defer lock.Release()
			var got []Phase
			_, err := b.Apply(t.Context(), c, ApplyOptions{Command: "upgrade", Lock: lock, Release: b.release, Wait: wait, SkipRehearsal: tt.skip,
				Phase: func(p Phase) { got = append(got, p) }})
			if errors.As(err, new(*RolledBackError)) != tt.ill || !tt.ill && err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("the phases were %q, want %q", got, tt.want)
			}
		})
	}
}
