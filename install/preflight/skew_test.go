package preflight

import (
	"testing"

	"github.com/kubeletctl/kubeletctl/release"
)

func TestCheckSkew(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, kubelet string
		minor         int
		back          bool
		want          string // severity and message; empty for none
	}{
		{"the same", "v1.37.2", 37, false, ""},
		{"a newer patch is no newer minor", "v1.37.9", 37, false, ""},
		{"newer", "v1.37.2", 36, false, "error: kubelet v1.37.2 is newer than the API server"},
		{"newer, but what is installed is newer still", "v1.37.2", 36, true, "warning: kubelet v1.37.2 is newer than the API server"},
		{"three older", "v1.25.0", 28, false, ""},
		{"four older", "v1.33.1", 37, false, "warning: kubelet v1.33.1 is too old for the API server: it may be up to 3 minor releases older"},
		{"two older, before 1.25", "v1.24.17", 26, false, ""},
		{"three older, before 1.25", "v1.24.17", 27, false, "warning: kubelet v1.24.17 is too old for the API server: it may be up to 2 minor releases older"},
	}
	for _, tt := range tests {
		version, err := release.ParseVersion(tt.kubelet)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if p := CheckSkew(version, tt.minor, "the API server", tt.back); p != nil {
			got = string(p.Severity) + ": " + p.Message
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
