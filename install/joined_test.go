package install

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// joinedHost is a generation of a joined kubelet, in a tree whose kubeconfig leads to a server that answers for its node.
func joinedHost(t *testing.T, answer func(path string) (code int, body string)) (*Host, *Generation, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, body := answer(r.URL.Path)
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	h := &Host{Tree: Tree{Root: t.TempDir()}, Live: true}
	file := filepath.Join(h.Tree.Root, Kubeconfig)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("clusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\nusers: []\n", server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	unit := systemd.KubeletUnit{Binary: "/usr/local/bin/kubelet", Args: []string{"--kubeconfig=" + Kubeconfig, "--hostname-override=Worker-1"}}
	g := &Generation{
		Files: []File{textFile(UnitDir+"/"+systemd.KubeletService, 0o644, unit.Service())},
		Units: []Unit{{Name: systemd.KubeletService, Enabled: true, Run: Running}},
	}
	return h, g, server
}

func nodeBody(ready, message string, reported time.Time) string {
	return fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":%q,"message":%q,"lastHeartbeatTime":%q}]}}`,
		ready, message, reported.UTC().Format(time.RFC3339))
}

func TestMembership(t *testing.T) {
	t.Parallel()
	const path = "/api/v1/nodes/worker-1"
	started := time.Now()
	old := started.Add(-time.Minute)
	restart := &Change{Seen: &Seen{Live: true, Credentials: true}, Plan: &Plan{Steps: []Step{{Action: Restart, Target: systemd.KubeletService}}}}
	tests := []struct {
		name          string
		before, after string // what the API server says; "" for 404
		watched       bool
		lost          string // "" when nothing is
	}{
		{"ready, and again", nodeBody("True", "", old), nodeBody("True", "", started), true, ""},
		{"ready, and not any more", nodeBody("True", "", old), nodeBody("False", "no network", started), true, "the node worker-1 is not Ready, as it was before: no network"},
		{"not ready, and still not", nodeBody("False", "no network", old), nodeBody("False", "no network", started), true, ""},
		{"silent now", nodeBody("True", "", old), nodeBody("True", "", old), true, "did not hear from the node worker-1"},
		{"not ready, and silent now", nodeBody("False", "", old), nodeBody("False", "", old), true, "did not hear from the node worker-1"},
		{"deleted", nodeBody("True", "", old), "", true, "do not lead to the node worker-1 any more: the API server answers 404"},
		{"not heard of before", nodeBody("Unknown", "", old), nodeBody("Unknown", "", old), false, ""},
		{"not joined before", "", "", false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := tt.before
			h, g, _ := joinedHost(t, func(p string) (int, string) {
				if p != path || now == "" {
					return http.StatusNotFound, "{}"
				}
				return http.StatusOK, now
			})
			change := *restart
			change.Want = g
			was := h.joined(t.Context(), &change, ApplyOptions{Wait: time.Second})
			if (was != nil) != tt.watched {
				t.Fatalf("watched: %+v", was)
			}
			now = tt.after
			lost, unknown := h.lost(t.Context(), was, g, started)
			if unknown || (lost == "") != (tt.lost == "") || !strings.Contains(lost, tt.lost) {
				t.Errorf("lost %q (unknown: %v), want %q", lost, unknown, tt.lost)
			}
		})
	}
}

// Nobody is asked about a change that does not touch kubelet, goes to another cluster, or is not waited for.
func TestMembershipIsNotAsked(t *testing.T) {
	t.Parallel()
	h, g, _ := joinedHost(t, func(p string) (int, string) {
		t.Errorf("asked for %s", p)
		return http.StatusOK, nodeBody("True", "", time.Now())
	})
	other := *g
	other.Files = []File{textFile(UnitDir+"/"+systemd.KubeletService, 0o644,
		systemd.KubeletUnit{Binary: "/usr/local/bin/kubelet", Args: []string{"--kubeconfig=/etc/other"}}.Service())}
	restart := []Step{{Action: Restart, Target: systemd.KubeletService}}
	seen := &Seen{Live: true, Credentials: true}
	for name, tt := range map[string]struct {
		c    Change
		wait time.Duration
	}{
		"kubelet is not restarted": {Change{Want: g, Have: g, Seen: seen, Plan: &Plan{Steps: []Step{{Action: Write, Target: "/x"}}}}, time.Second},
		"another kubeconfig":       {Change{Want: g, Have: &other, Seen: seen, Plan: &Plan{Steps: restart}}, time.Second},
		"no wait":                  {Change{Want: g, Have: g, Seen: seen, Plan: &Plan{Steps: restart}}, 0},
	} {
		if was := h.joined(t.Context(), &tt.c, ApplyOptions{Wait: tt.wait}); was != nil {
			t.Errorf("%s: %+v", name, was)
		}
	}
}

// A server that went away is not kubelet's fault.
func TestMembershipUnknown(t *testing.T) {
	t.Parallel()
	h, g, server := joinedHost(t, func(string) (int, string) { return http.StatusOK, nodeBody("True", "", time.Now()) })
	server.Close()
	lost, unknown := h.lost(t.Context(), &membership{kubeconfig: Kubeconfig, name: "worker-1", ready: true}, g, time.Now())
	if !unknown || !strings.Contains(lost, "connection refused") {
		t.Errorf("lost %q, unknown %v", lost, unknown)
	}
}

func TestNodeStatus(t *testing.T) {
	t.Parallel()
	answers := map[string]struct {
		code          int
		body          string
		ready         string
		problem, text string
	}{
		"ready":      {200, nodeBody("True", "", time.Now()), "True", "", ""},
		"not ready":  {200, nodeBody("False", "no network", time.Now()), "False", "node-not-ready", "the node worker-1 is not Ready: no network"},
		"not joined": {403, `{"message":"nodes is forbidden"}`, "", "not-joined", "the API server answers 403: nodes is forbidden"},
	}
	for name, tt := range answers {
		h, g, _ := joinedHost(t, func(string) (int, string) { return tt.code, tt.body })
		s, problems := h.nodeStatus(t.Context(), g, false)
		if s == nil || s.Ready != tt.ready || (len(problems) > 0) != (tt.problem != "") {
			t.Errorf("%s: %+v %+v", name, s, problems)
		} else if len(problems) > 0 && (problems[0].ID != tt.problem || !strings.Contains(problems[0].Message, tt.text)) {
			t.Errorf("%s: %+v", name, problems[0])
		}
	}
	h, g, server := joinedHost(t, nil)
	if s, problems := h.nodeStatus(t.Context(), g, true); s != nil || problems != nil {
		t.Errorf("a kubelet that waits for credentials: %+v %+v", s, problems)
	}
	server.Close()
	if s, problems := h.nodeStatus(context.Background(), g, false); s == nil || len(problems) != 1 || problems[0].ID != "api-server" {
		t.Errorf("no server: %+v %+v", s, problems)
	}
	if err := os.Remove(filepath.Join(h.Tree.Root, Kubeconfig)); err != nil {
		t.Fatal(err)
	}
	if s, problems := h.nodeStatus(t.Context(), g, false); s == nil || len(problems) != 1 || problems[0].ID != "not-joined" {
		t.Errorf("no kubeconfig: %+v %+v", s, problems)
	}
}
