package status

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
)

// serve is an API server that gives one answer to everything, and a tree whose kubeconfig leads to it.
func serve(t *testing.T, code int, body string) (hostfs.Tree, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	tree := hostfs.At(t.TempDir())
	text := fmt.Sprintf("clusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\nusers: []\n", server.URL)
	if err := tree.MkdirAll(filepath.Dir(hostfs.Kubeconfig), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := tree.WriteFile(hostfs.Kubeconfig, 0o600, nil, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return tree, server
}

func TestNode(t *testing.T) {
	t.Parallel()
	node := func(ready, message string) string {
		return fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":%q,"message":%q,"lastHeartbeatTime":%q}]}}`, ready, message, time.Now().UTC().Format(time.RFC3339))
	}
	answers := map[string]struct {
		code          int
		body          string
		ready         string
		problem, text string
	}{
		"ready":      {200, node("True", ""), "True", "", ""},
		"not ready":  {200, node("False", "no network"), "False", "node-not-ready", "the node worker-1 is not Ready: no network"},
		"not joined": {403, `{"message":"nodes is forbidden"}`, "", "not-joined", "the API server answers 403: nodes is forbidden"},
	}
	g := &plan.Generation{Args: []string{"--kubeconfig=" + hostfs.Kubeconfig, "--hostname-override=Worker-1"}}
	for name, tt := range answers {
		tree, _ := serve(t, tt.code, tt.body)
		s, problems := nodeStatus(t.Context(), tree, g, false)
		if s == nil || s.Ready != tt.ready || (len(problems) > 0) != (tt.problem != "") {
			t.Errorf("%s: %+v %+v", name, s, problems)
		} else if len(problems) > 0 && (problems[0].ID != tt.problem || !strings.Contains(problems[0].Message, tt.text)) {
			t.Errorf("%s: %+v", name, problems[0])
		}
	}
	tree, server := serve(t, 200, "")
	if s, problems := nodeStatus(t.Context(), tree, g, true); s != nil || problems != nil {
		t.Errorf("a kubelet that waits for credentials: %+v %+v", s, problems)
	}
	server.Close()
	if s, problems := nodeStatus(t.Context(), tree, g, false); s == nil || len(problems) != 1 || problems[0].ID != "api-server" {
		t.Errorf("no server: %+v %+v", s, problems)
	}
	if err := os.Remove(filepath.Join(tree.Root(), hostfs.Kubeconfig)); err != nil {
		t.Fatal(err)
	}
	if s, problems := nodeStatus(t.Context(), tree, g, false); s == nil || len(problems) != 1 || problems[0].ID != "not-joined" {
		t.Errorf("no kubeconfig: %+v %+v", s, problems)
	}
}
