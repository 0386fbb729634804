package release

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The disk gets full during the download: only a device that is full can
// show that, so the partial file is swapped for one.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	content := append(make([]byte, 100), bytes.Repeat([]byte("kubelet"), 1000)...) // the device reads as zeros
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "partial")
	if err := os.WriteFile(path, content[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	p := &partial{path: path, digest: Digest{Algorithm: "sha256"}, most: 1 << 20}
	if err := p.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	p.close()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	p.file = full
	c := &Client{Retries: 1}
	err = c.fetchFrom(t.Context(), server.URL, p)
	space := (*SpaceError)(nil)
	if !errors.As(err, &space) || space.Need != int64(len(content)-100+reserve) {
		t.Errorf("got %v", err)
	}
	if p.size != 0 {
		t.Errorf("%d bytes keep the disk full", p.size)
	}
}

func TestContinues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, header string
		total        int64
		fits         bool
	}{
		{"fits", "bytes 100-199/200", 200, true},
		{"total not told", "bytes 100-199/*", -1, true},
		{"other start", "bytes 0-199/200", 0, false},
		{"nothing", "", 0, false},
		{"no total", "bytes 100-199", 0, false},
		{"ends before it starts", "bytes 100-199/50", 0, false},
		{"unsatisfied", "bytes */200", 0, false},
	} {
		total, fits := continues(test.header, 100)
		if fits != test.fits || fits && total != test.total {
			t.Errorf("%s: %d, %v", test.name, total, fits)
		}
	}
}

func TestInsecure(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]bool{
		"http://127.0.0.1:8080/x":    false,
		"http://127.9.9.9/x":         false,
		"http://[::1]:80/x":          false,
		"http://localhost/x":         false,
		"https://host/x":             false,
		"file:///x":                  false,
		"http://host/x":              true,
		"http://10.0.0.1/x":          true,
		"http://localhost.evil.io/x": true,
		"http://me@127.0.0.1@evil/x": true,
	} {
		if got := insecure(url); got != want {
			t.Errorf("%s: %v", url, got)
		}
	}
}
