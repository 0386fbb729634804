package chaos

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/scripts/gobuild"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

// Many nodes install at once from one mirror: all succeed, with one request for the binary, and one for its digest where
// that is not known.
func TestFleet(t *testing.T) {
	t.Parallel()
	nodes := 20
	if os.Getenv("KUBELETCTL_SWEEP") == "full" {
		nodes = 200
	}
	dir := t.TempDir()
	program, standin := filepath.Join(dir, "kubeletctl"), filepath.Join(dir, "kubelet")
	if err := gobuild.Static(program, "cmd/kubeletctl"); err != nil {
		t.Fatal(err)
	}
	if err := gobuild.Standin(standin, version); err != nil {
		t.Fatal(err)
	}
	release := filepath.Join(dir, "release")
	if err := mirror.WriteTree(release, mirror.Release{Version: version, Arch: runtime.GOARCH, Path: standin}); err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(release, version, "bin/linux", runtime.GOARCH, "kubelet.sha256"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(standin)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		flags    []string
		requests int
	}{
		{"digest given", []string{"--sha256", string(sum)}, 1},
		{"digest from the mirror", nil, 2},
	} {
		server := mirror.Handler(release)
		web := httptest.NewServer(server)
		began := time.Now()
		var running sync.WaitGroup
		failed := make([]error, nodes)
		for i := range nodes {
			running.Go(func() {
				root := filepath.Join(dir, fmt.Sprintf("%s-%d", strings.ReplaceAll(tt.name, " ", "-"), i))
				for _, d := range []string{"usr/local/bin", "etc/systemd/system", "var/lib"} {
					if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
						failed[i] = err
						return
					}
				}
				args := append([]string{"install", "-q", "--version", version, "--source", web.URL + "/release", "--root", root, "--standalone", "--splay", "2s"}, tt.flags...)
				if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
					failed[i] = fmt.Errorf("%w: %s", err, out)
				}
				if err := os.RemoveAll(root); failed[i] == nil {
					failed[i] = err
				}
			})
		}
		running.Wait()
		web.Close()
		lost := 0
		for i, err := range failed {
			if err != nil {
				lost++
				t.Errorf("node %d: %v", i, err)
			}
		}
		var bytes int64
		log := server.Log()
		for _, r := range log {
			bytes += r.Bytes
		}
		if len(log) != nodes*tt.requests {
			t.Errorf("%s: %d requests of %d nodes", tt.name, len(log), nodes)
		}
		t.Logf("verdict: %s: %d nodes at once, %d failed, %.2f requests and %.3f times the file a node, %.1f s",
			tt.name, nodes, lost, float64(len(log))/float64(nodes), float64(bytes)/float64(nodes)/float64(info.Size()), time.Since(began).Seconds())
	}
}
