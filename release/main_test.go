package release_test

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

// program is a real program for this machine that stands in for a kubelet.
var program string

// It says that it is the version its file name ends in, kubelet-v1.36.3.
const programSource = `package main

import ("fmt"; "os"; "strings"; "time")

func main() {
	_, version, _ := strings.Cut(os.Args[0], "kubelet-")
	switch version {
	case "fails":
		fmt.Fprintln(os.Stderr, "panic: no such thing\nmore")
		os.Exit(2)
	case "hangs":
		time.Sleep(time.Hour)
	}
	fmt.Println("Kubernetes " + version)
}
`

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "release")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	source := filepath.Join(dir, "main.go")
	program = filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte(programSource), 0o644); err != nil {
		panic(err)
	}
	if out, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v\n%s", err, out))
	}

	// Trust the certificate that all httptest servers have.
	secure := httptest.NewTLSServer(nil)
	secure.Close()
	certificate := filepath.Join(dir, "ca.pem")
	block := pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}
	if err := os.WriteFile(certificate, pem.EncodeToMemory(&block), 0o644); err != nil {
		panic(err)
	}
	os.Setenv("SSL_CERT_FILE", certificate)
	return m.Run()
}

// v1.37.2 is not in the table of published digests, v1.36.3 is.
const untabled, tabled = "v1.37.2", "v1.36.3"

// kubelet is a file with some length that begins like a program.
var kubelet = append([]byte("\x7fELF"), []byte(strings.Repeat("kubelet and then some.\n", 10_000))...)

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func digestOf(b []byte) release.Digest { return release.Digest{Algorithm: "sha256", Hex: sum(b)} }

func version(t *testing.T, s string) release.Version {
	t.Helper()
	v, err := release.ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// tree makes a release tree with amd64 kubelets of these versions.
func tree(t *testing.T, content []byte, versions ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, v := range versions {
		if err := mirror.WriteTree(dir, mirror.Release{Version: v, Arch: "amd64", Binary: content}); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// serve serves a tree and returns the source URL.
func serve(t *testing.T, dir string) (*mirror.Server, string) {
	t.Helper()
	handler := mirror.Handler(dir)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return handler, server.URL + "/release"
}

func client(sources ...string) *release.Client {
	return &release.Client{Sources: sources, Backoff: time.Millisecond}
}

func write(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
}

func hint(err error) string {
	for err != nil {
		if h, ok := err.(interface{ Hint() string }); ok && h.Hint() != "" {
			return h.Hint()
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return ""
		}
		err = u.Unwrap()
	}
	return ""
}

// contains fails when one of the parts is not in text.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not contain %q", text, part)
		}
	}
}
