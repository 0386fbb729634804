package release_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
)

func TestParseDigest(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("0aF", 50)
	for _, test := range []struct{ name, algorithm, text, want, problem string }{
		{"sha256", "sha256", hex[:64], "sha256:" + strings.ToLower(hex[:64]), ""},
		{"sha512", "sha512", hex[:128], "sha512:" + strings.ToLower(hex[:128]), ""},
		{"space around", "SHA256", " " + hex[:64] + "\n", "sha256:" + strings.ToLower(hex[:64]), ""},
		{"md5", "sha256", hex[:32], "", "that is the length of an MD5"},
		{"sha1", "sha256", hex[:40], "", "that is the length of a SHA-1"},
		{"mixed up", "sha512", hex[:64], "", "that is the length of a sha256"},
		{"short", "sha256", hex[:63], "", "this text has 63"},
		{"alphabet", "sha256", hex[:63] + "g", "", "only the digits"},
		{"empty", "sha256", "", "", "this text has 0"},
		{"algorithm", "md5", hex[:32], "", "not a digest algorithm"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, err := release.ParseDigest(test.algorithm, test.text)
			if d.String() != test.want || (err != nil) != (test.problem != "") {
				t.Fatalf("got %q, %v", d, err)
			}
			if err != nil {
				contains(t, err.Error(), test.problem)
			}
		})
	}
}

func TestPublishedDigest(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("published.txt")
	if err != nil {
		t.Fatal(err)
	}
	var last release.Version
	releases, digests := 0, 0
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		v := version(t, fields[0])
		if v.String() != fields[0] || v.Compare(last) <= 0 {
			t.Errorf("%s is out of order", fields[0])
		}
		last = v
		releases++
		for _, field := range fields[1:] {
			arch, hex, _ := strings.Cut(field, "=")
			want, err := release.ParseDigest("sha256", hex)
			if got, found := release.PublishedDigest(v, arch); err != nil || !found || got != want {
				t.Errorf("%s %s: %v, %v", v, arch, got, err)
			}
			digests++
		}
	}
	// As many as were collected from upstream.
	if releases != 326 || digests != 1072 {
		t.Errorf("%d releases, %d digests", releases, digests)
	}
	for _, test := range []struct{ name, version, arch string }{
		{"newer", untabled, "amd64"},
		{"prefix of another", "v1.36.30", "amd64"},
		{"unknown arch", tabled, "riscv64"},
		{"prefix of an arch", tabled, "am"},
		{"no arch", tabled, ""},
		{"left out on purpose", "v1.16.15", "amd64"},
	} {
		if d, found := release.PublishedDigest(version(t, test.version), test.arch); found {
			t.Errorf("%s: %s", test.name, d)
		}
	}
	if _, found := release.PublishedDigest(release.Version{}, "amd64"); found {
		t.Error("the zero version has a digest")
	}
	start := time.Now()
	for range 100 {
		release.PublishedDigest(last, "arm64")
	}
	if each := time.Since(start) / 100; each > time.Millisecond {
		t.Errorf("a lookup takes %s", each)
	}
}
