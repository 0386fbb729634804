package release_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

func TestArtifactTrust(t *testing.T) {
	t.Parallel()
	server, web := serve(t, tree(t, kubelet, untabled, tabled))
	given := digestOf([]byte("a build of one's own"))
	published, _ := release.PublishedDigest(version(t, tabled), "amd64")
	for _, test := range []struct {
		name, version string
		given         release.Digest
		source        string
		trust         release.Trust
		digest        string // or its algorithm
		from          string
		requests      int
	}{
		{"given", untabled, given, web, release.Given, given.String(), "command line", 0},
		{"given over published", tabled, given, web, release.Given, given.String(), "command line", 0},
		{"published", tabled, release.Digest{}, web, release.Published, published.String(), "table of published digests", 0},
		{"published over plain http", tabled, release.Digest{}, "http://mirror.example.com/x", release.Published, published.String(), "table of published digests", 0},
		{"given over plain http", untabled, given, "http://mirror.example.com/x", release.Given, given.String(), "command line", 0},
		{"checksum", untabled, release.Digest{}, web, release.Checksum, "sha512:", web + "/v1.37.2/bin/linux/amd64/kubelet.sha512", 1},
		{"checksum with secrets", untabled, release.Digest{}, strings.Replace(web, "://", "://me:secret@", 1) + "?sig=secret", release.Checksum, "sha512:",
			strings.Replace(web, "://", "://redacted@", 1) + "/v1.37.2/bin/linux/amd64/kubelet.sha512?redacted", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			server.Reset()
			a, err := client(test.source).Artifact(t.Context(), version(t, test.version), "amd64", test.given)
			if err != nil {
				t.Fatal(err)
			}
			if a.Trust != test.trust || !strings.HasPrefix(a.Digest.String(), test.digest) || a.From != test.from {
				t.Errorf("got %s from %q, trust %s", a.Digest, a.From, a.Trust)
			}
			if n := len(server.Log()); n != test.requests {
				t.Errorf("%d requests: %v", n, server.Log())
			}
		})
	}
}

func TestArtifactURLs(t *testing.T) {
	t.Parallel()
	const bucket, upstream = "https://storage.googleapis.com/kubernetes-release/release", "https://dl.k8s.io/release"
	for _, test := range []struct {
		name, version string
		sources       []string
		want          []string
	}{
		{"in the frozen bucket", "v1.31.0", nil, []string{bucket, upstream}},
		{"after it", "v1.31.1", nil, []string{upstream, bucket}},
		{"own sources", tabled, []string{"https://a.example.com/x/", "file:///srv/a b"}, []string{"https://a.example.com/x", "file:///srv/a%20b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, err := client(test.sources...).Artifact(t.Context(), version(t, test.version), "arm64", digestOf(kubelet))
			if err != nil {
				t.Fatal(err)
			}
			for i, base := range test.want {
				if want := base + "/" + test.version + "/bin/linux/arm64/kubelet"; a.URLs[i] != want {
					t.Errorf("URL %d is %s, want %s", i, a.URLs[i], want)
				}
			}
		})
	}
}

func TestArtifactRefused(t *testing.T) {
	t.Parallel()
	c := client("ftp://mirror.example.com")
	for _, test := range []struct {
		name, version, arch string
		client              *release.Client
		problem, hint       string
	}{
		{"unknown arch", tabled, "x86_64", client(), "no kubelet for linux/x86_64, only for amd64, arm, arm64, ppc64le, s390x", "its name here is amd64"},
		{"arm after its end", "v1.27.0", "arm", client(), "1.26 was the last minor", "ask for 1.26"},
		{"bad source", tabled, "amd64", c, `scheme "ftp"`, ""},
		{"plain http with only a checksum", untabled, "amd64", client("http://mirror.example.com/x"), "plain http can be changed on its way", "--sha256"},
		{"a name like loopback", untabled, "amd64", client("http://127.0.0.1.example.com/x"), "plain http can be changed on its way", "--sha256"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			// With a context that is over already, the network cannot be the reason.
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			test.client.Note = func(line string) { t.Errorf("the network was used: %s", line) }
			_, err := test.client.Artifact(ctx, version(t, test.version), test.arch, release.Digest{})
			if err == nil {
				t.Fatal("accepted")
			}
			contains(t, err.Error(), test.problem)
			if test.name != "bad source" && test.hint != "" && !strings.Contains(err.Error()+hintDeep(err), test.hint) {
				t.Errorf("hint %q, want %q", hintDeep(err), test.hint)
			}
		})
	}
	if _, err := client().Artifact(t.Context(), release.Version{}, "amd64", release.Digest{}); err == nil {
		t.Error("no version is accepted")
	}
	if _, err := client().Artifact(t.Context(), version(t, "v1.26.15"), "arm", release.Digest{}); err != nil {
		t.Errorf("arm before its end: %v", err)
	}
}

func TestChecksumFile(t *testing.T) {
	t.Parallel()
	const file512, file256 = "kubelet.sha512", "kubelet.sha256"
	const none = "\x00"
	for _, test := range []struct {
		name             string
		sha512, sha256   string // content; none: no such file; "": as upstream
		algorithm        string
		problem          string
		firstFails, only int // status of the first answer, status of all
	}{
		{name: "both", algorithm: "sha512"},
		{name: "no sha512", sha512: none, algorithm: "sha256"},
		{name: "newline and upper case", sha512: none, sha256: strings.ToUpper(sum(kubelet)) + "\n", algorithm: "sha256"},
		{name: "as sha256sum writes it", sha512: none, sha256: sum(kubelet) + "  kubelet\n", algorithm: "sha256"},
		{name: "of another file", sha512: none, sha256: sum(kubelet) + "  kubectl\n", problem: "64 hex digits"},
		{name: "md5", sha512: none, sha256: "d41d8cd98f00b204e9800998ecf8427e", problem: "that is the length of an MD5"},
		{name: "html", sha512: "<!DOCTYPE html><title>Login</title>", problem: "looks like an HTML page, not like a checksum"},
		{name: "xml", sha512: "<?xml version='1.0'?><Error/>", problem: "looks like an XML page"},
		{name: "empty", sha512: none, sha256: "\n", problem: "this text has 0 characters"},
		{name: "no checksum files", sha512: none, sha256: none, problem: "it is there, without a .sha512 or .sha256 file"},
		{name: "busy at first", firstFails: 503, algorithm: "sha512"},
		{name: "always broken", only: 500, problem: "500 Internal Server Error"},
		{name: "forbidden", only: 403, problem: "403 Forbidden"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := tree(t, kubelet, untabled)
			for name, content := range map[string]string{file512: test.sha512, file256: test.sha256} {
				path := filepath.Join(dir, untabled, "bin/linux/amd64", name)
				switch content {
				case "":
				case none:
					if err := os.Remove(path); err != nil {
						t.Fatal(err)
					}
				default:
					write(t, path, []byte(content), 0o644)
				}
			}
			server, web := serve(t, dir)
			if test.firstFails > 0 {
				server.Fault(".sha", mirror.Fault{Status: test.firstFails, Times: 1})
			}
			sources := []string{web, "file://" + dir}
			if test.only > 0 {
				server.Fault("", mirror.Fault{Status: test.only})
				sources = sources[:1]
			}
			if test.firstFails > 0 {
				sources = sources[:1]
			}
			for _, source := range sources {
				a, err := client(source).Artifact(t.Context(), version(t, untabled), "amd64", release.Digest{})
				if test.problem != "" {
					if err == nil {
						t.Fatalf("%s: accepted as %s", source, a.Digest)
					}
					contains(t, err.Error(), test.problem, untabled, source)
					contains(t, hint(err), "--sha256")
				} else if err != nil || a.Digest.Algorithm != test.algorithm {
					t.Errorf("%s: %v, %v", source, a.Digest, err)
				}
			}
			// A second source makes up for a bad first one.
			_, good := serve(t, tree(t, kubelet, untabled))
			a, err := client(web, good).Artifact(t.Context(), version(t, untabled), "amd64", release.Digest{})
			if err != nil || test.problem != "" && !strings.HasPrefix(a.From, good) {
				t.Errorf("with a second source: from %s, %v", a.From, err)
			}
		})
	}
}

// A digest that came over https makes plain http good enough for the rest.
func TestChecksumFromTheSecureSource(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(mirror.Handler(tree(t, kubelet, untabled)))
	t.Cleanup(secure.Close)
	a, err := client("http://mirror.example.com/x", secure.URL+"/release").
		Artifact(t.Context(), version(t, untabled), "amd64", release.Digest{})
	if err != nil || !strings.HasPrefix(a.From, secure.URL) {
		t.Errorf("from %s, %v", a.From, err)
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	dir := tree(t, kubelet, "v1.37.0", untabled, "v1.38.1")
	_, web := serve(t, dir)
	other := tree(t, kubelet, "v1.37.0", untabled)
	if err := mirror.WriteTree(other, mirror.Release{Version: "v1.37.5", Arch: "s390x", Binary: kubelet}); err != nil {
		t.Fatal(err)
	}
	_, empty := serve(t, t.TempDir())
	for _, test := range []struct {
		name, version string
		sources       []string
		given         release.Digest // then only Fetch finds out
		nearest       string
		hint          string
	}{
		{"marker", "v1.37.9", []string{web}, release.Digest{}, "v1.37.2", "ask for v1.37.2"},
		{"marker, found by Fetch", "v1.37.9", []string{web}, digestOf(kubelet), "v1.37.2", "ask for v1.37.2"},
		{"directory", "v1.37.9", []string{"file://" + dir}, release.Digest{}, "v1.37.2, v1.38.1", "ask for v1.37.2 or v1.38.1"},
		{"directory, other arch", "v1.37.9", []string{"file://" + other}, release.Digest{}, "v1.37.2", "ask for v1.37.2"},
		{"directory, in between", "v1.37.1", []string{"file://" + other}, release.Digest{}, "v1.37.0, v1.37.2", "ask for v1.37.0 or v1.37.2"},
		{"the table is not of a mirror", "v1.36.99", []string{empty}, release.Digest{}, "", "check the version and the sources"},
		{"nothing near", "v1.99.0", []string{empty}, release.Digest{}, "", "check the version and the sources"},
		{"two sources", "v1.37.9", []string{empty, "file://" + dir}, release.Digest{}, "v1.37.2", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := client(test.sources...)
			a, err := c.Artifact(t.Context(), version(t, test.version), "amd64", test.given)
			path := filepath.Join(t.TempDir(), "partial")
			if !test.given.IsZero() {
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.Fetch(t.Context(), a, path)
			}
			missing := (*release.NotFoundError)(nil)
			if !errors.As(err, &missing) {
				t.Fatalf("got %v", err)
			}
			contains(t, err.Error(), "kubelet "+test.version+" for linux/amd64", test.nearest)
			for _, source := range test.sources {
				contains(t, err.Error(), source+"/"+test.version+"/bin/linux/amd64/kubelet")
			}
			if strings.HasPrefix(test.sources[0], "http") {
				contains(t, err.Error(), "404 Not Found")
			}
			if test.hint != "" && missing.Hint() != test.hint {
				t.Errorf("hint %q", missing.Hint())
			}
			if _, err := os.Lstat(path); err == nil {
				t.Error("an empty file is left")
			}
		})
	}
}

// hintDeep also looks into joined errors.
func hintDeep(err error) string {
	if h := hint(err); h != "" {
		return h
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			if h := hint(e); h != "" {
				return h
			}
		}
	}
	return ""
}
