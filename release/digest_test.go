package release_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
}

// The newest release is the last line of the table.
func BenchmarkPublishedDigest(b *testing.B) {
	v, err := release.ParseVersion(tabled)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		release.PublishedDigest(v, "arm64")
	}
}

// The script that adds a release to the table keeps its order, and does not change what is there.
func TestAddPublished(t *testing.T) {
	t.Parallel()
	_, source := serve(t, tree(t, kubelet, "v1.36.9", "v1.36.10", tabled))
	table := filepath.Join(t.TempDir(), "published.txt")
	before := "v1.36.2 amd64=" + sum([]byte("2")) + "\nv1.36.11 amd64=" + sum([]byte("11")) + "\n"
	write(t, table, []byte(before), 0o644)
	run := func(versions ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "../scripts/published", append([]string{"--source", source, "--table", table}, versions...)...).CombinedOutput()
		return string(out), err
	}
	if out, err := run("v1.36.10", "v1.36.9"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	line := func(v string) string { return v + " amd64=" + sum(kubelet) + "\n" }
	want := "v1.36.2 amd64=" + sum([]byte("2")) + "\n" + line("v1.36.9") + line("v1.36.10") + "v1.36.11 amd64=" + sum([]byte("11")) + "\n"
	if got, err := os.ReadFile(table); err != nil || string(got) != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
	if out, err := run("v1.36.9"); err != nil {
		t.Errorf("the same again: %v: %s", err, out)
	}
	for _, bad := range []string{"v1.36.7", "1.36.9", "stable"} {
		if out, err := run(bad); err == nil {
			t.Errorf("%s was added: %s", bad, out)
		}
	}
	write(t, table, []byte(tabled+" amd64="+sum([]byte("other"))+"\n"), 0o644)
	if out, err := run(tabled); err == nil || !strings.Contains(out, "is in the table with amd64=") {
		t.Errorf("a release was published twice: %v: %s", err, out)
	}
}
