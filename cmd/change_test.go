package cmd

import (
	"testing"

	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
)

func TestPhaseText(t *testing.T) {
	t.Parallel()
	version, err := release.ParseVersion("v1.37.2")
	if err != nil {
		t.Fatal(err)
	}
	upgrade := &install.Change{Want: &plan.Generation{Version: version}, Plan: &plan.Plan{}}
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
