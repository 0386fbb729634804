package release_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

// large is a file that a throttled connection takes seconds for. No two pieces of it are alike.
var large = func() []byte {
	b := make([]byte, 14<<20+12345)
	generator := rand.NewChaCha8([32]byte{})
	_, _ = generator.Read(b)
	copy(b, "\x7fELF")
	return b
}()

const slowly = 4 << 20 // bytes per second and connection

// A connection that is slow gets help from others, as far as the server can do that; what comes is right in any case, and
// is asked for once.
func TestSeveralConnections(t *testing.T) {
	t.Parallel()
	n := int64(len(large))
	half := large[:n/2]
	tests := []struct {
		name        string
		connections int
		partial     []byte
		faults      []mirror.Fault
		several     bool
		most        int64 // bytes from the server
	}{
		{name: "four", faults: []mirror.Fault{{Throttle: slowly}}, several: true},
		{name: "one", connections: 1, faults: []mirror.Fault{{Throttle: slowly}}},
		{name: "resumed", partial: large[:3<<20], faults: []mirror.Fault{{Throttle: slowly}}, several: true, most: n - 3<<20 + n/10},
		{name: "little is missing", partial: half, faults: []mirror.Fault{{Throttle: slowly}}},
		{name: "fast", faults: nil},
		{name: "no ranges", faults: []mirror.Fault{{Throttle: slowly, IgnoreRange: true}}, most: n + 4<<20},
		{name: "another range", faults: []mirror.Fault{{Throttle: slowly, WrongRange: true}}, most: n + 2<<20},
		{name: "pieces are refused", faults: []mirror.Fault{{Throttle: slowly, Times: 1}, {Status: 403, Times: 1}, {Throttle: slowly}}},
		{name: "pieces break off", faults: []mirror.Fault{{Throttle: slowly, Times: 1}, {Throttle: slowly, ResetAfter: 300_000}}, several: true},
		{name: "some pieces are truncated", faults: []mirror.Fault{{Throttle: slowly, Times: 3}, {Throttle: slowly, TruncateAfter: 200_000, Times: 3}, {Throttle: slowly}}, several: true},
		{name: "503 in the middle", faults: []mirror.Fault{{Throttle: slowly, Times: 4}, {Status: 503, Times: 1}, {Throttle: slowly}}, several: true, most: n + 6<<20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, web := serve(t, tree(t, large, untabled))
			for _, f := range tt.faults {
				server.Fault("kubelet", f)
			}
			path := filepath.Join(t.TempDir(), "partial")
			if tt.partial != nil {
				if err := os.WriteFile(path, tt.partial, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			done := int64(-1)
			// A reset takes with it what a busy machine has not read yet: several tries in a row may bring nothing.
			c := &release.Client{Connections: tt.connections, Retries: 20, Backoff: time.Millisecond, Progress: func(p release.Progress) {
				if p.Done < done {
					t.Errorf("progress went from %d to %d", done, p.Done)
				}
				done = p.Done
			}}
			a := release.Artifact{Version: version(t, untabled), Arch: "amd64", Digest: digestOf(large), Trust: release.Given,
				URLs: []string{web + "/" + untabled + "/bin/linux/amd64/kubelet"}}
			if _, err := c.Fetch(t.Context(), a, path); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, large) {
				t.Fatalf("got %d bytes, %v", len(got), err)
			}
			if done != n {
				t.Errorf("progress ended at %d of %d", done, n)
			}
			var sent, pieces int64
			for _, r := range server.Log() {
				sent += r.Bytes
				if strings.HasPrefix(r.Range, "bytes=") && !strings.HasSuffix(r.Range, "-") && r.Status == http.StatusPartialContent {
					pieces++
				}
			}
			if several := pieces > 2; several != tt.several {
				t.Errorf("%d pieces were asked for: %+v", pieces, server.Log())
			}
			if tt.most == 0 {
				tt.most = n + n/10
			}
			if sent > tt.most {
				t.Errorf("%d bytes were sent, for a file of %d", sent, n)
			}
		})
	}
}

// Several connections that share one line are given up, and the rest comes over one.
func TestSeveralConnectionsDoNotHelp(t *testing.T) {
	t.Parallel()
	// The server has so many bytes per second for all.
	tokens := make(chan struct{})
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case tokens <- struct{}{}:
				time.Sleep(16 * time.Millisecond) // 64 KiB each: 4 MiB/s
			case <-stop:
				return
			}
		}
	}()
	var whole, pieces atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, to := 0, len(large)
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Accept-Ranges", "bytes")
		code := http.StatusOK
		if asked := strings.TrimPrefix(r.Header.Get("Range"), "bytes="); asked != "" {
			first, last, _ := strings.Cut(asked, "-")
			fmt.Sscan(first, &from)
			if last != "" {
				fmt.Sscan(last, &to)
				to++
				pieces.Add(1)
			} else {
				whole.Add(1)
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(large)))
			code = http.StatusPartialContent
		}
		w.Header().Set("Content-Length", fmt.Sprint(to-from))
		w.WriteHeader(code)
		for from < to {
			select {
			case <-tokens:
			case <-r.Context().Done():
				return
			}
			end := min(from+64<<10, to)
			if _, err := w.Write(large[from:end]); err != nil {
				return
			}
			from = end
		}
	}))
	defer server.Close()
	c := &release.Client{}
	path := filepath.Join(t.TempDir(), "partial")
	a := release.Artifact{Version: version(t, untabled), Arch: "amd64", Digest: digestOf(large), Trust: release.Given, URLs: []string{server.URL}}
	if _, err := c.Fetch(t.Context(), a, path); err != nil {
		t.Fatal(err)
	}
	if pieces.Load() < 4 || whole.Load() != 1 {
		t.Errorf("%d pieces, and %d times the rest were asked for", pieces.Load(), whole.Load())
	}
}

// A file that becomes another one while it is fetched in pieces is fetched anew.
func TestFileChangesBetweenPieces(t *testing.T) {
	t.Parallel()
	old := bytes.Clone(large)
	old[5<<20] ^= 1
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, tag := old, `"old"`
		if requests.Add(1) > 4 {
			content, tag = large, `"new"`
		}
		w.Header().Set("ETag", tag)
		http.ServeContent(&throttled{w}, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer server.Close()
	c := &release.Client{Backoff: time.Millisecond}
	path := filepath.Join(t.TempDir(), "partial")
	a := release.Artifact{Version: version(t, untabled), Arch: "amd64", Digest: digestOf(large), Trust: release.Given, URLs: []string{server.URL}}
	if _, err := c.Fetch(t.Context(), a, path); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, large) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// throttled is a connection of 4 MiB/s.
type throttled struct{ http.ResponseWriter }

func (w *throttled) Write(p []byte) (int, error) {
	n := 0
	for len(p) > 0 {
		part := p[:min(len(p), 64<<10)]
		m, err := w.ResponseWriter.Write(part)
		n += m
		if err != nil {
			return n, err
		}
		http.NewResponseController(w.ResponseWriter).Flush()
		time.Sleep(16 * time.Millisecond)
		p = p[len(part):]
	}
	return n, nil
}

// A body that trickles just fast enough not to stall does not go on for ever.
func TestTrickle(t *testing.T) {
	t.Parallel()
	server, web := serve(t, tree(t, kubelet, untabled))
	server.Fault("kubelet", mirror.Fault{Throttle: 200, Times: 1})
	c := &release.Client{StallTimeout: 3 * time.Second, Backoff: time.Millisecond}
	path := filepath.Join(t.TempDir(), "partial")
	a := release.Artifact{Version: version(t, untabled), Arch: "amd64", Digest: digestOf(kubelet), Trust: release.Given,
		URLs: []string{web + "/" + untabled + "/bin/linux/amd64/kubelet"}}
	var notes []string
	c.Note = func(s string) { notes = append(notes, s) }
	if _, err := c.Fetch(t.Context(), a, path); err != nil {
		t.Fatal(err)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "bytes in 3s") {
		t.Errorf("notes: %q", notes)
	}
}
