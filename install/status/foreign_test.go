package status

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/health"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// oneUnit is a systemd of which all units are in one state.
type oneUnit systemd.UnitState

func (u oneUnit) State(context.Context, string) (systemd.UnitState, error) {
	return systemd.UnitState(u), nil
}

// Of a kubelet that kubeletctl has not installed is told what runs, and that it is healthy where it answers; where it would answer is not
// known.
func TestForeign(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	defer server.Close()
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	for _, tt := range []struct {
		name, port string
		healthy    bool
	}{
		{"it answers", port, true},
		{"it answers elsewhere", "1", false},
	} {
		tree := hostfs.At(t.TempDir())
		if err := tree.MkdirAll(filepath.Dir(hostfs.ConfigFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := tree.WriteFile(hostfs.ConfigFile, 0o600, nil, strings.NewReader(fmt.Sprintf("healthzPort: %s\n", tt.port))); err != nil {
			t.Fatal(err)
		}
		unit := oneUnit{LoadState: "loaded", ActiveState: "active", SubState: "running", MainPID: os.Getpid()}
		s, err := Reader{Observer: observe.Observer{Tree: tree, Units: unit, Live: true}}.Read(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if s.Installed || s.Running.SHA256 == "" || s.Health.OK != tt.healthy || !tt.healthy && s.Health != (health.Health{}) {
			t.Errorf("%s: it runs %+v and its health is %+v", tt.name, s.Running, s.Health)
		}
	}
}
