package install

import (
	"slices"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/status"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// A kubelet that somebody has stopped, or nobody has started, has not ended: its diagnosis is how to start it.
func TestDiagnosisOfAStoppedKubelet(t *testing.T) {
	stopped := preflight.Problem{ID: status.IDStopped, Severity: preflight.Failure, Message: "kubelet is not running"}
	missing := preflight.Problem{ID: "binary-missing", Severity: preflight.Failure, Message: "/usr/local/bin/kubelet is missing", Hint: "kubeletctl repair puts it back"}
	was := time.Now().Add(-time.Hour)
	for _, tt := range []struct {
		name         string
		state        systemd.UnitState
		problems     []preflight.Problem
		words, cause string
		remedy       string
	}{
		{"stopped", systemd.UnitState{LoadState: "loaded", UnitFileState: "enabled", Started: was, Restarts: 3, Result: "success"}, []preflight.Problem{stopped},
			"kubelet does not run: it was stopped", "", "systemctl start kubelet"},
		{"never started", systemd.UnitState{LoadState: "loaded", UnitFileState: "disabled"}, nil,
			"kubelet does not run: it has not been started", "", "systemctl enable --now kubelet  # it is disabled, so that it does not start at boot either"},
		{"masked", systemd.UnitState{LoadState: "masked", UnitFileState: "masked", Started: was}, []preflight.Problem{stopped}, "kubelet does not run: it was stopped", "", "systemctl unmask kubelet"},
		{"its binary is missing", systemd.UnitState{LoadState: "loaded", Started: was}, []preflight.Problem{stopped, missing},
			"kubelet does not run: it was stopped", missing.Message, "# kubeletctl repair puts it back"},
	} {
		d := notRunning(&status.Status{Installed: true, State: status.Stopped, Problems: tt.problems}, tt.state)
		if d.Healthy || d.State != tt.words || d.Cause != tt.cause || !slices.Contains(d.Remedy, tt.remedy) || d.Words != "" {
			t.Errorf("%s: %+v", tt.name, d)
		}
	}
}

// A static pod that cannot be read is no reason for a node not to be Ready, whatever else is wrong with that.
func TestDiagnosisOfAHealthyKubelet(t *testing.T) {
	const manifest = `E1130 09:42:28.285378   29535 file.go:187] "Could not process manifest file" err="/etc/kubernetes/manifests/x.yaml: couldn't parse as pod"`
	const refused = `E1130 09:42:28.285378   29535 x.go:72] "Unable to register node with API server" err="Post \"https://192.0.2.1:6443/x\": dial tcp 192.0.2.1:6443: connect: connection refused"`
	for log, want := range map[string]string{
		manifest: "kubelet runs, but it cannot do all of its work", refused: "kubelet runs, but it has no part in its cluster",
	} {
		d, _ := DiagnoseLog([]byte(log + "\n"))
		if got := d.useless(preflight.Problem{ID: "node-not-ready"}); d.Cause == "" || got != want {
			t.Errorf("%s: %s", d.Rule, got)
		}
	}
}
