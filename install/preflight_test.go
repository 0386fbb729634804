package install

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// ofRelease is a generation with another release.
func ofRelease(t *testing.T, g *plan.Generation, version string) *plan.Generation {
	t.Helper()
	parsed, err := release.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	c := g.Clone()
	c.Version = parsed
	return c
}

// switches is a plan with a step.
var switches = &plan.Plan{Steps: []plan.Step{{Action: plan.Restart, Target: systemd.KubeletService}}}

func TestSkew(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, have, want, server string // have is empty for a host without a kubelet
		takeOver                 bool
		code                     int    // of /version; 0: 200
		says, note               string // severity and message; empty for none
	}{
		{name: "upgrade", have: "v1.36.3", want: "v1.37.2", server: "v1.37.0"},
		{name: "before the control plane", have: "v1.36.3", want: "v1.37.2", server: "v1.36.9", says: "error: kubelet v1.37.2 is newer than the API server, which is v1.36.9"},
		{name: "first install", want: "v1.37.2", server: "v1.36.9", says: "error: kubelet v1.37.2 is newer than the API server, which is v1.36.9"},
		{name: "adopted", takeOver: true, want: "v1.37.2", server: "v1.36.9", says: "warning: kubelet v1.37.2 is newer than the API server, which is v1.36.9"},
		{name: "back, and still newer", have: "v1.37.2", want: "v1.36.3", server: "v1.35.1+k3s1", says: "warning: kubelet v1.36.3 is newer than the API server, which is v1.35.1+k3s1"},
		{name: "far back", have: "v1.37.2", want: "v1.33.1", server: "v1.37.2", says: "warning: kubelet v1.33.1 is too old for the API server, which is v1.37.2"},
		{name: "not for this kubelet", have: "v1.36.3", want: "v1.37.2", code: http.StatusForbidden,
			note: "the API server could not be asked whether kubelet v1.37.2 fits it: the API server answers 403"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, g, _ := joinedHost(t, func(path string) (int, string) {
				if path != "/version" || tt.code != 0 {
					return tt.code, "{}"
				}
				return http.StatusOK, fmt.Sprintf(`{"gitVersion":%q}`, tt.server)
			})
			note := ""
			h.Note = func(line string) { note = line }
			c := &Change{Want: ofRelease(t, g, tt.want), Plan: switches, Seen: &plan.Observation{Live: true}}
			if tt.takeOver {
				c.options.TakeOver = "/usr/lib/systemd/system/kubelet.service"
			}
			if tt.have != "" {
				c.Have = ofRelease(t, g, tt.have)
			}
			says := ""
			for _, p := range h.Preflight(t.Context(), c) {
				says += string(p.Severity) + ": " + p.Message
			}
			if !strings.HasPrefix(says, tt.says) || tt.says == "" && says != "" || !strings.HasPrefix(note, tt.note) || tt.note == "" && note != "" {
				t.Errorf("it says %q and notes %q", says, note)
			}
		})
	}
}

// A server that is down is told, and is no reason against a change.
func TestSkewUnknown(t *testing.T) {
	t.Parallel()
	h, g, server := joinedHost(t, func(string) (int, string) { return http.StatusOK, "" })
	server.Close()
	note := ""
	h.Note = func(line string) { note = line }
	c := &Change{Want: ofRelease(t, g, "v1.37.2"), Have: ofRelease(t, g, "v1.36.3"), Plan: switches}
	if problems := h.Preflight(t.Context(), c); problems != nil || !strings.Contains(note, "could not be asked whether kubelet v1.37.2 fits it: asking the API server 127.0.0.1:") {
		t.Errorf("%+v, %q", problems, note)
	}
}

// Nobody is asked where no kubelet of another minor release is to talk to the API server.
func TestSkewIsNotAsked(t *testing.T) {
	t.Parallel()
	h, g, _ := joinedHost(t, func(path string) (int, string) {
		t.Errorf("asked for %s", path)
		return http.StatusOK, `{"gitVersion":"v1.30.0"}`
	})
	h.Note = func(line string) { t.Error(line) }
	older, newer := ofRelease(t, g, "v1.36.3"), ofRelease(t, g, "v1.37.2")
	standalone := newer.Clone()
	standalone.Args = nil
	offline := *h
	offline.Live = false
	for name, tt := range map[string]struct {
		h *Host
		c Change
	}{
		"nothing to do": {h, Change{Want: newer, Have: older, Plan: &plan.Plan{}}},
		"a patch":       {h, Change{Want: ofRelease(t, g, "v1.37.3"), Have: newer, Plan: switches}},
		"a tree":        {&offline, Change{Want: newer, Have: older, Plan: switches}},
		"standalone":    {h, Change{Want: standalone, Have: older, Plan: switches}},
	} {
		if problems := tt.h.Preflight(t.Context(), &tt.c); problems != nil {
			t.Errorf("%s: %+v", name, problems)
		}
	}
	if err := os.Remove(filepath.Join(h.Tree.Root(), hostfs.Kubeconfig)); err != nil {
		t.Fatal(err)
	}
	if problems := h.Preflight(t.Context(), &Change{Want: newer, Have: older, Plan: switches}); problems != nil {
		t.Errorf("not joined yet: %+v", problems)
	}
}
