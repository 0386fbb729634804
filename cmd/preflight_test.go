package cmd

import (
	"bytes"
	"testing"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
)

// Of what runs already nobody says that it would, or would not.
func TestPreflightVerdict(t *testing.T) {
	for _, tt := range []struct {
		doc  preflightResult
		want string
	}{
		{preflightResult{Runs: true}, "kubelet v1.37.2, which is installed, would run on this host: 0 errors, 0 warnings\n"},
		{preflightResult{Errors: 1}, "kubelet v1.37.2, which is installed, would not run on this host: 1 error, 0 warnings\n"},
		{preflightResult{Runs: true, running: true}, "kubelet v1.37.2, which is installed, runs on this host: 0 errors, 0 warnings\n"},
		{preflightResult{Errors: 1, running: true}, "kubelet v1.37.2, which is installed, runs on this host, but not as it should: 1 error, 0 warnings\n"},
	} {
		var out, notes bytes.Buffer
		tt.doc.Version, tt.doc.Chosen = "v1.37.2", "installed"
		printPreflight(&app{root: "/", Output: terminal.Output{Out: &out, Err: &notes}}, tt.doc)
		if got := out.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
