package terminal

import (
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
)

func TestRemaining(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		at      release.Progress
		elapsed time.Duration
		want    string
	}{
		{"at first", release.Progress{Done: 10, Total: 100}, time.Second, ""},
		{"a tenth", release.Progress{Done: 10, Total: 100}, 3 * time.Second, ", 27 s left"},
		{"what an earlier run fetched took no time", release.Progress{Done: 60, Total: 100, Resumed: 50}, 3 * time.Second, ", 12 s left"},
		{"slow", release.Progress{Done: 10, Total: 1000}, 10 * time.Second, ", 16 min left"},
		{"nothing yet", release.Progress{Done: 50, Total: 100, Resumed: 50}, 3 * time.Second, ""},
		{"all", release.Progress{Done: 100, Total: 100}, 3 * time.Second, ""},
		{"nobody says how much", release.Progress{Done: 100, Total: -1}, 3 * time.Second, ""},
	}
	for _, tt := range tests {
		if got := remaining(tt.at, tt.elapsed); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
