package hosttest

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/release"
)

// What is read of a real kubelet's help is the table's list of flags, and gates of both defaults.
func TestHelpOfRealKubelets(t *testing.T) {
	dir := realDir(t)
	for version, minor := range realKubelets {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			h, err := release.ReadHelp(t.Context(), filepath.Join(dir, version, "bin/linux/amd64/kubelet"))
			if err != nil {
				t.Fatal(err)
			}
			var flags []string
			for _, f := range config.FlagsOf(minor) {
				flags = append(flags, f.Name)
			}
			if listed := slices.Sorted(maps.Keys(h.Flags)); !slices.Equal(listed, slices.Sorted(slices.Values(flags))) {
				t.Errorf("it lists %v, the table has %v", listed, flags)
			}
			gates := slices.Collect(maps.Values(h.Gates))
			if len(gates) < 100 || !slices.Contains(gates, true) || !slices.Contains(gates, false) {
				t.Errorf("gates: %v", h.Gates)
			}
			for name, on := range map[string]bool{"AllAlpha": false, "AllBeta": false, "GracefulNodeShutdown": true} {
				if got, listed := h.Gates[name]; !listed || got != on {
					t.Errorf("%s: listed %v, default %v", name, listed, got)
				}
			}
			// It has a second default that counts for components that are told to get along with older ones.
			if on, listed := h.Gates["DRAFractionalCapacityRange"]; listed != (version == "v1.37.2") || on {
				t.Errorf("DRAFractionalCapacityRange: listed %v, default %v", listed, on)
			}
		})
	}
}
