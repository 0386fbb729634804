package cmd

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
)

func TestPhases(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		app  app
		tty  bool
		want string
	}{
		{name: "in a log", want: "kubeletctl: switching\nkubeletctl: a note\n" +
			"kubeletctl: waiting\nkubeletctl: waiting (10 s)\nkubeletctl: waiting (20 s)\n"},
		{name: "on a terminal", tty: true, want: eraseLine + "kubeletctl: switching" + eraseLine + "kubeletctl: switching (1 s)" +
			eraseLine + "kubeletctl: a note\n" + eraseLine + "kubeletctl: switching (2 s)" + eraseLine +
			waitingOnTerminal(25) + eraseLine},
		{name: "quiet", app: app{quiet: true}},
		{name: "quiet on a terminal", app: app{quiet: true}, tty: true},
		{name: "json", app: app{output: "json"}},
		{name: "json on a terminal", app: app{output: "json"}, tty: true},
	}
	for i := range tests {
		tt := &tests[i]
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var b bytes.Buffer
				tt.app.err = &b
				p := &phases{app: &tt.app, plain: !tt.tty}
				p.begin("switching")
				time.Sleep(1500 * time.Millisecond)
				tt.app.note("a note")
				time.Sleep(time.Second)
				p.begin("waiting")
				time.Sleep(25*time.Second + time.Millisecond)
				p.end()
				p.end()
				if b.String() != tt.want {
					t.Errorf("it said\n%q, want\n%q", b.String(), tt.want)
				}
			})
		})
	}
}

// waitingOnTerminal is what a terminal gets while it is waited for some seconds.
func waitingOnTerminal(seconds int) string {
	text := eraseLine + "kubeletctl: waiting"
	for i := range seconds {
		text += fmt.Sprintf("%skubeletctl: waiting (%d s)", eraseLine, i+1)
	}
	return text
}

func TestPhaseText(t *testing.T) {
	t.Parallel()
	version, err := release.ParseVersion("v1.37.2")
	if err != nil {
		t.Fatal(err)
	}
	upgrade := &install.Change{Want: &plan.Generation{Version: version}}
	uninstall := &install.Change{Want: &plan.Generation{Snapshot: true}}
	tests := []struct {
		phase  install.Phase
		change *install.Change
		want   string
	}{
		{install.Rehearsing, upgrade, "rehearsing kubelet v1.37.2"},
		{install.Switching, upgrade, "switching to kubelet v1.37.2"},
		{install.Switching, uninstall, "uninstalling kubelet"},
		{install.Waiting, upgrade, "waiting for kubelet v1.37.2 to be healthy"},
		{install.RollingBack, upgrade, "rolling back"},
	}
	for _, tt := range tests {
		if got := phaseText(tt.phase, tt.change); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.phase, got, tt.want)
		}
	}
}
