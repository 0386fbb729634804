package cmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install/status"
)

// Of a kubelet of somebody else's nothing is shown that could not be found out.
func TestForeignStatus(t *testing.T) {
	s := &status.Status{State: status.NotInstalled, Service: status.Service{Unit: "kubelet.service", PID: 720, ActiveState: "active"}}
	show := func() string {
		var out bytes.Buffer
		printStatus(&app{Output: terminal.Output{Out: &out}}, s)
		return out.String()
	}
	if got := show(); strings.Contains(got, "  running ") || strings.Contains(got, "  health ") {
		t.Errorf("without an answer:\n%s", got)
	}
	s.Running.SHA256, s.Running.Version, s.Health.OK = strings.Repeat("a", 64), "v1.37.2", true
	if got := show(); !strings.Contains(got, "v1.37.2 (sha256:") || !strings.Contains(got, "pid 720") || !strings.Contains(got, "ok in") {
		t.Errorf("with answers:\n%s", got)
	}
}
