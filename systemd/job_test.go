package systemd

import "testing"

func TestJobError(t *testing.T) {
	t.Parallel()
	for result, want := range map[string]string{
		"failed":     "starting kubelet.service failed",
		"timeout":    "starting kubelet.service timed out",
		"dependency": "starting kubelet.service failed: a unit that it depends on did not start",
		"canceled":   "starting kubelet.service was canceled: something else was asked of systemd meanwhile",
		"skipped":    "starting kubelet.service was skipped: systemd had nothing to do for it",
		"invalid":    `starting kubelet.service: job result "invalid"`,
	} {
		if got := (&JobError{Verb: "starting", Unit: KubeletService, Result: result}).Error(); got != want {
			t.Errorf("%s: %q, want %q", result, got, want)
		}
	}
}
