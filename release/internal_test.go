package release

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
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

// What to do depends on why the sources could not be asked. Where one could, and had something else that was wrong, the
// caller knows better.
func TestRemedy(t *testing.T) {
	t.Parallel()
	refused := &networkError{errors.New("connection refused")}
	certificate := func(why error) error { return &tls.CertificateVerificationError{Err: why} }
	unknown := certificate(x509.UnknownAuthorityError{})
	for _, test := range []struct {
		name, want string
		err        error
	}{
		{"refused", "network", refused},
		{"unknown authority", "--ca-file", unknown},
		{"expired", "clock", certificate(x509.CertificateInvalidError{Reason: x509.Expired})},
		{"other certificate", "", certificate(x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign})},
		{"host name", "name that its certificate is for", certificate(x509.HostnameError{Certificate: &x509.Certificate{}})},
		{"redirects", "--source", errRedirects},
		{"downgrade", "--source", errDowngrade},
		{"password", "user and the password", &statusError{code: http.StatusUnauthorized}},
		{"forbidden", "", &statusError{code: http.StatusForbidden}},
		{"broken", "", &statusError{code: http.StatusBadGateway}},
		{"two", "--ca-file", several{fmt.Errorf("a: %w", unknown), fmt.Errorf("b: %w", refused)}},
		{"one had it", "", several{refused, &VerifyError{Name: "x", Problem: "y"}}},
		{"none", "", several{}},
	} {
		if got := remedy(fmt.Errorf("doing: %w", test.err)); test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
