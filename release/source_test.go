package release_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

func TestCheckSources(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, source, problem, hint string }{
		{"https", "https://mirror.example.com/release/", "", ""},
		{"http with port", "http://mirror.example.com:8080/a/b", "", ""},
		{"signed", "https://user:pw@mirror.example.com/x?sig=secret", "", ""},
		{"file", "file:///srv/mirror", "", ""},
		{"file on localhost", "file://localhost/srv/mirror", "", ""},
		{"empty", "", "it is empty", ""},
		{"path", "/srv/mirror", "no scheme", "file:///srv/mirror"},
		{"host", "mirror.example.com/release", "no scheme", "https://mirror.example.com/release"},
		{"no host", "https:///release", "names no host", ""},
		{"only a port", "http://:8080/x", "names no host", ""},
		{"ftp", "ftp://mirror.example.com/x", `scheme "ftp"`, ""},
		{"s3", "s3://bucket/x", `scheme "s3"`, ""},
		{"forced getter", "git::https://example.com/x", `scheme "git"`, ""},
		{"relative file", "file:mirror", "absolute path", "three slashes"},
		{"two slashes", "file://srv/mirror", "absolute path", "three slashes"},
		{"not a URL", "https://user:pass word@host:x/", "it is not a URL", "write %25 for %"},
		{"slash in a password", "https://user:pass/word@host/", "it is not a URL", "%2F for /"},
		{"no colon", "https//user:password@host/", "no scheme", "write https://HOST/PATH"},
		{"one slash", "https:/user:password@host", "names no host", "write https://HOST/PATH"},
		{"three slashes", "https:///user:password@host/x", "names no host", "write https://HOST/PATH"},
		{"no scheme", "//user:password@host", "no scheme", "write https://HOST/PATH"},
		{"path with a password", "/user:password@host/x", "no scheme", "write https://HOST/PATH"},
		{"relative", "./mirror", "no scheme", "file:///DIRECTORY"},
		{"fragment", "https://mirror.example.com/x#y", "it has a #", "write %23"},
		{"fragment of a file", "file:///srv/x#2", "it has a #", "write %23"},
		{"query of a file", "file:///srv/x?2", "it has a ?", "write %3F"},
		{"host with a query", "mirror.example.com/x?password", "no scheme", "write https://HOST/PATH"},
		{"slash for a password", "https://user:/password@host/", "an @ after the host", "%2F for /"},
		{"odd path", "/srv/a b", "no scheme", "file:///srv/a%20b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := client(test.source).CheckSources()
			if (err != nil) != (test.problem != "") {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				contains(t, err.Error(), test.problem)
				if strings.Contains(err.Error(), "word") {
					t.Errorf("%q holds the password", err)
				}
				if joined, ok := err.(interface{ Unwrap() []error }); ok {
					contains(t, hint(joined.Unwrap()[0]), test.hint)
				}
			}
		})
	}
	err := client("ftp://a/b", "file:///fine", "c/d").CheckSources()
	contains(t, err.Error(), "ftp://a/b", "c/d")
	if strings.Contains(err.Error(), "fine") {
		t.Error(err)
	}
	if err := (&release.Client{}).CheckSources(); err != nil {
		t.Error(err)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, in, want string }{
		{"nothing to do", "https://host:1/a/b", "https://host:1/a/b"},
		{"user", "https://me:secret@host/a", "https://redacted@host/a"},
		{"token as user", "https://secret@host/a", "https://redacted@host/a"},
		{"query", "https://host/a?X-Sig=secret&b=c", "https://host/a?redacted"},
		{"fragment", "https://host/a#secret", "https://host/a"},
		{"no colon", "https//me:secret@host/a", "redacted@host/a"},
		{"one slash", "https:/me:secret@host/a", "redacted@host/a"},
		{"three slashes", "https:///me:secret@host/a", "https://redacted@host/a"},
		{"slash for a password", "https://user:/secret@host/a", "https://redacted@host/a"},
		{"file with an at sign", "file:///a@b/c", "file:///a@b/c"},
		{"file", "file:///a/b", "file:///a/b"},
		{"unparsable", "https://me:sec ret@host:x/a?secret#secret", "https://redacted@host:x/a"},
		{"unparsable, @ in it", "https://me:secret@secret@ho st/a", "https://redacted@ho st/a"},
	} {
		if got := release.Redact(test.in); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	dir := tree(t, kubelet, "v1.35.9", "v1.36.3", "v1.36.10", "v1.37.0-rc.1")
	write(t, filepath.Join(dir, "stable-1.20.txt"), []byte("<html><body>welcome"), 0o644)
	write(t, filepath.Join(dir, "stable-1.21.txt"), []byte("v1.22.1"), 0o644)
	write(t, filepath.Join(dir, "stable-1.22.txt"), []byte("v1.22.1-beta.0"), 0o644)
	write(t, filepath.Join(dir, "stable-1.23.txt"), []byte("v1.23.1\n"), 0o644)
	server, web := serve(t, dir)
	for _, kind := range []struct{ name, source string }{{"http", web}, {"file", "file://" + dir}} {
		for _, test := range []struct{ name, request, want, problem string }{
			{"stable", "stable", "v1.36.10", ""},
			{"latest", "latest", "v1.37.0-rc.1", ""},
			{"minor", "1.35", "v1.35.9", ""},
			{"channel of a minor", "latest-1.37", "v1.37.0-rc.1", ""},
			{"newline", "1.23", "v1.23.1", ""},
			{"html", "1.20", "", "stable-1.20.txt: it has no version in it; it looks like an HTML page"},
			{"other minor", "1.21", "", "it names v1.22.1, which is not of 1.21"},
			{"pre-release", "1.22", "", "which is a pre-release"},
			{"missing", "1.99", "", `no source knows a release for "1.99": ` + kind.source + "/stable-1.99.txt: "},
		} {
			t.Run(kind.name+" "+test.name, func(t *testing.T) {
				r, err := release.ParseRequest(test.request)
				if err != nil {
					t.Fatal(err)
				}
				v, err := client(kind.source).Resolve(t.Context(), r)
				if v.String() != test.want || (err != nil) != (test.problem != "") {
					t.Fatalf("got %q, %v", v, err)
				}
				if err != nil {
					contains(t, err.Error(), test.problem)
				}
				if missing := (*release.NotFoundError)(nil); errors.As(err, &missing) != (test.name == "missing") {
					t.Errorf("wrong type of error: %v", err)
				}
			})
		}
	}
	server.Reset()
	exact, _ := release.ParseRequest("1.36.3")
	if v, err := client(web).Resolve(t.Context(), exact); err != nil || v.String() != "v1.36.3" || len(server.Log()) > 0 {
		t.Errorf("exact: %v, %v, requests %v", v, err, server.Log())
	}
	server.Fault("stable.txt", mirror.Fault{Status: 503, Times: 1})
	if v, err := client(web).Resolve(t.Context(), release.Request{}); err != nil || v.String() != "v1.36.10" || len(server.Log()) != 2 {
		t.Errorf("503 first: %v, %v, requests %v", v, err, server.Log())
	}
	second := client("file:///does/not/exist", web)
	if v, err := second.Resolve(t.Context(), release.Request{}); err != nil || v.String() != "v1.36.10" {
		t.Errorf("second source: %v, %v", v, err)
	}
	server.Fault("stable.txt", mirror.Fault{Stall: true})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := client(web, web).Resolve(ctx, release.Request{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	plain, plainURL := serve(t, tree(t, kubelet, untabled))
	secureHandler := mirror.Handler(tree(t, kubelet, untabled))
	secure := httptest.NewTLSServer(secureHandler)
	t.Cleanup(secure.Close)
	c := client(secure.URL + "/release")
	if _, err := c.Resolve(t.Context(), release.Request{}); err != nil {
		t.Fatalf("https: %v", err)
	}
	secureHandler.Fault("stable.txt", mirror.Fault{Redirect: plainURL + "/stable.txt"})
	_, err := c.Resolve(t.Context(), release.Request{})
	if err == nil || len(plain.Log()) > 0 {
		t.Fatalf("https to http: %v, requests %v", err, plain.Log())
	}
	contains(t, err.Error(), "refused a redirect from https to plain http")
	if n := len(secureHandler.Log()); n != 2 {
		t.Errorf("a refused redirect was tried again: %d requests", n)
	}

	plain.Fault("stable.txt", mirror.Fault{Redirect: secure.URL + "/release/stable-1.txt"})
	if v, err := client(plainURL).Resolve(t.Context(), release.Request{}); err != nil || v.String() != untabled {
		t.Errorf("http to https: %v, %v", v, err)
	}
	plain.Fault("latest.txt", mirror.Fault{Redirect: "/release/latest.txt?token=secret"})
	latest, _ := release.ParseRequest("latest")
	_, err = client(plainURL).Resolve(t.Context(), latest)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Fatalf("a circle: %v", err)
	}
	contains(t, err.Error(), "more than 10 redirects")
}

// The host behind a redirect does not learn the query of the URL before it, which may be a token.
func TestRedirectKeepsSecrets(t *testing.T) {
	t.Parallel()
	var got http.Header
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		fmt.Fprint(w, untabled)
	}))
	t.Cleanup(other.Close)
	first, web := serve(t, t.TempDir())
	first.Fault("stable.txt", mirror.Fault{Redirect: strings.Replace(other.URL, "127.0.0.1", "localhost", 1)})
	source := strings.Replace(web, "://", "://user:password@", 1) + "?token=secret"
	if _, err := client(source).Resolve(t.Context(), release.Request{}); err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(got); got == nil || strings.Contains(text, "secret") || strings.Contains(text, "Basic") {
		t.Errorf("the other host got %s", text)
	}
}

// A CA of one's own is trusted instead of the system's, and for what it signed alone.
func TestOwnCertificateAuthority(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(mirror.Handler(tree(t, kubelet, untabled)))
	t.Cleanup(secure.Close)
	own := x509.NewCertPool()
	own.AddCert(secure.Certificate())
	c := client(secure.URL + "/release")
	c.RootCAs = own
	if _, err := c.Resolve(t.Context(), release.Request{}); err != nil {
		t.Errorf("its own authority: %v", err)
	}
	c.RootCAs = x509.NewCertPool()
	if _, err := c.Resolve(t.Context(), release.Request{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("no authority: %v", err)
	} else {
		contains(t, hint(err), "--ca-file")
	}
}

func TestUnknownCertificate(t *testing.T) {
	t.Parallel()
	handler := mirror.Handler(tree(t, kubelet, untabled))
	secure := httptest.NewTLSServer(handler)
	t.Cleanup(secure.Close)
	// The certificate is for 127.0.0.1, not for this name.
	source := strings.Replace(secure.URL, "127.0.0.1", "localhost", 1) + "/release"
	c := client(source)
	c.Note = func(line string) { t.Errorf("tried again: %s", line) }
	_, err := c.Resolve(t.Context(), release.Request{})
	if err == nil {
		t.Fatal("the certificate was accepted")
	}
	contains(t, err.Error(), "certificate")
	contains(t, hint(err), "a name that its certificate is for")
	if strings.Contains(err.Error(), "Get ") {
		t.Errorf("%q has the words of net/http", err)
	}
}

// A server that refuses this host does so for good, and the error names it even when another one led there.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	handler := mirror.Handler(tree(t, kubelet, untabled))
	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)
	strict := httptest.NewUnstartedServer(handler)
	strict.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12} // with 1.3 it refuses later
	strict.StartTLS()
	t.Cleanup(strict.Close)
	old := httptest.NewUnstartedServer(handler)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS10}
	old.StartTLS()
	t.Cleanup(old.Close)
	leads := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strict.URL+r.URL.Path, http.StatusFound)
	}))
	t.Cleanup(leads.Close)
	for _, test := range []struct{ name, source, want string }{
		{"client certificate", strict.URL, "remote error: tls: handshake failure"},
		{"TLS 1.0", old.URL, "protocol version"},
		{"plain http behind https", strings.Replace(plain.URL, "http:", "https:", 1), "HTTP response to HTTPS client"},
		{"redirected", leads.URL, "redirected to " + strict.URL + ": remote error: tls: handshake failure"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := client(test.source + "/release")
			c.Note = func(line string) { t.Errorf("tried again: %s", line) }
			_, err := c.Resolve(t.Context(), release.Request{})
			if err == nil {
				t.Fatal("there was an answer")
			}
			contains(t, err.Error(), test.want)
		})
	}
}
