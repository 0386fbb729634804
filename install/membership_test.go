package install

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// joinedHost is a generation of a joined kubelet, in a tree whose kubeconfig leads to a server that answers for its node.
func joinedHost(t *testing.T, answer func(path string) (code int, body string)) (*Host, *plan.Generation, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, body := answer(r.URL.Path)
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	h := &Host{Tree: hostfs.At(t.TempDir()), Live: true}
	file := filepath.Join(h.Tree.Root(), hostfs.Kubeconfig)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("clusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\nusers: []\n", server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &plan.Generation{
		Args:  []string{"--kubeconfig=" + hostfs.Kubeconfig, "--hostname-override=Worker-1"},
		Units: []plan.Unit{{Name: systemd.KubeletService, Enabled: true, Run: plan.Running}},
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
	restart := &Change{Seen: &plan.Observation{Live: true, Credentials: true}, Plan: &plan.Plan{Steps: []plan.Step{{Action: plan.Restart, Target: systemd.KubeletService}}}}
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
			was := firstHalf{attempt{h, &change, ApplyOptions{Wait: time.Second}}}.member(t.Context())
			if (was != nil) != tt.watched {
				t.Fatalf("watched: %+v", was)
			}
			now = tt.after
			lost, unknown := was.missing(t.Context(), h.Tree, g, started)
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
	other.Args = []string{"--kubeconfig=/etc/other"}
	restart := []plan.Step{{Action: plan.Restart, Target: systemd.KubeletService}}
	seen := &plan.Observation{Live: true, Credentials: true}
	for name, tt := range map[string]struct {
		c    Change
		wait time.Duration
	}{
		"kubelet is not restarted": {Change{Want: g, Have: g, Seen: seen, Plan: &plan.Plan{Steps: []plan.Step{{Action: plan.Write, Target: "/x"}}}}, time.Second},
		"another kubeconfig":       {Change{Want: g, Have: &other, Seen: seen, Plan: &plan.Plan{Steps: restart}}, time.Second},
		"no wait":                  {Change{Want: g, Have: g, Seen: seen, Plan: &plan.Plan{Steps: restart}}, 0},
	} {
		if was := (firstHalf{attempt{h, &tt.c, ApplyOptions{Wait: tt.wait}}}).member(t.Context()); was != nil {
			t.Errorf("%s: %+v", name, was)
		}
	}
}

// A server that went away is not kubelet's fault.
func TestMembershipUnknown(t *testing.T) {
	t.Parallel()
	h, g, server := joinedHost(t, func(string) (int, string) { return http.StatusOK, nodeBody("True", "", time.Now()) })
	server.Close()
	lost, unknown := (&membership{kubeconfig: hostfs.Kubeconfig, name: "worker-1", ready: true}).missing(t.Context(), h.Tree, g, time.Now())
	if !unknown || !strings.Contains(lost, "connection refused") {
		t.Errorf("lost %q, unknown %v", lost, unknown)
	}
}
