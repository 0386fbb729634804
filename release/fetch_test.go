package release_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

func TestFetch(t *testing.T) {
	t.Parallel()
	const page = "<!DOCTYPE html><title>Login</title>"
	n := len(kubelet)
	again := func(size int) int { return size - min(16<<10, size/2) } // where a resumed download begins
	rangeFrom := func(size int) string { return fmt.Sprintf("bytes=%d-", again(size)) }
	half, wrongHalf := kubelet[:n/2], bytes.Repeat([]byte("x"), n/2)
	for _, test := range []struct {
		name     string
		partial  []byte
		faults   []mirror.Fault // armed in turn
		maxSize  int64
		requests []string // the Range header of each
		bytes    int64    // at most so many from the server; 0: not checked
		verify   string   // a VerifyError with this text
		problem  string   // any other error
		left     int      // bytes that stay after an error
	}{
		{name: "new", requests: []string{""}, bytes: int64(n)},
		{name: "length not told", faults: []mirror.Fault{{NoLength: true}}, requests: []string{""}},
		{name: "resumed", partial: half, requests: []string{rangeFrom(n / 2)}, bytes: int64(n - again(n/2))},
		{name: "complete already", partial: kubelet, requests: nil},
		{name: "Range ignored", partial: half, faults: []mirror.Fault{{IgnoreRange: true}}, requests: []string{rangeFrom(n / 2)}},
		{name: "Range ignored, length not told", partial: half, faults: []mirror.Fault{{IgnoreRange: true, NoLength: true}}, requests: []string{rangeFrom(n / 2)}},
		{name: "another range", partial: half, faults: []mirror.Fault{{WrongRange: true}}, requests: []string{rangeFrom(n / 2), ""}},
		{name: "foreign partial", partial: wrongHalf, requests: []string{rangeFrom(n / 2), ""}},
		{name: "foreign partial of the right length", partial: bytes.Repeat([]byte("x"), n), requests: []string{rangeFrom(n), ""}, bytes: int64(n + n - again(n))},
		{name: "partial with a lost end", partial: append(slices.Clone(half[:len(half)-4096]), make([]byte, 4096)...), requests: []string{rangeFrom(n / 2), ""}},
		{name: "one byte", partial: kubelet[:1], requests: []string{"bytes=1-"}, bytes: int64(n - 1)},
		{name: "longer partial", partial: append(slices.Clone(kubelet), "more"...), requests: []string{rangeFrom(n + 4), ""}},
		{name: "truncated once", faults: []mirror.Fault{{TruncateAfter: 5000, Times: 1}}, requests: []string{"", rangeFrom(5000)}, bytes: int64(n + 2500)},
		{name: "ended as if complete", faults: []mirror.Fault{{EndAfter: 5000, NoLength: true, Times: 1}}, requests: []string{"", rangeFrom(5000)}, bytes: int64(n + 2500)},
		{name: "ended as if complete, for ever", faults: []mirror.Fault{{EndAfter: 5000, NoLength: true, IgnoreRange: true}}, requests: []string{"", "+", "", "+"}, verify: "its sha256 is"},
		{name: "truncated, length not told", faults: []mirror.Fault{{TruncateAfter: 5000, Times: 1, NoLength: true}}, requests: []string{"", rangeFrom(5000)}},
		{name: "reset twice", faults: []mirror.Fault{{ResetAfter: 5000, Times: 2}}, requests: []string{"", "+", "+"}},
		{name: "stalled once", faults: []mirror.Fault{{StallAfter: 5000, Times: 1}}, requests: []string{"", rangeFrom(5000)}},
		{name: "no answer once", faults: []mirror.Fault{{Stall: true, Times: 1}}, requests: []string{"", ""}},
		{name: "503 then fine", faults: []mirror.Fault{{Status: 503, Times: 3}}, requests: []string{"", "", "", ""}},
		{name: "408, 429, 500 then fine", faults: []mirror.Fault{{Status: 408, Times: 1}, {Status: 429, Times: 1}, {Status: 500, Times: 1}}, requests: []string{"", "", "", ""}},
		{name: "503 in the middle", partial: half, faults: []mirror.Fault{{Status: 503, Times: 1}}, requests: []string{rangeFrom(n / 2), rangeFrom(n / 2)}},

		{name: "503 for ever", partial: half, faults: []mirror.Fault{{Status: 503}},
			requests: slices.Repeat([]string{rangeFrom(n / 2)}, 4), problem: "503 Service Unavailable", left: n / 2},
		{name: "asked to come back tomorrow", faults: []mirror.Fault{{Status: 503, RetryAfter: "86400"}}, requests: []string{""}, problem: "503"},
		{name: "403", faults: []mirror.Fault{{Status: 403}}, requests: []string{""}, problem: "403 Forbidden"},
		{name: "truncated for ever", faults: []mirror.Fault{{TruncateAfter: 5000, IgnoreRange: true}},
			requests: []string{"", "+", "+", "+"}, problem: "the body ended after 5000 of", left: 5000},
		{name: "other content", faults: []mirror.Fault{{Body: "\x7fELF other"}}, requests: []string{"", ""}, verify: "its sha256 is"},
		{name: "other content once", faults: []mirror.Fault{{Body: "\x7fELF other", Times: 1}}, requests: []string{"", ""}},
		{name: "html page", faults: []mirror.Fault{{Body: page}}, requests: []string{"", ""}, verify: "it is an HTML page, not a kubelet"},
		{name: "empty body", faults: []mirror.Fault{{Body: " "}}, requests: []string{"", ""}, verify: "not a kubelet"},
		{name: "other content, then gone", faults: []mirror.Fault{{Body: "\x7fELF other", Times: 1}, {Status: 404}}, requests: []string{"", ""}, verify: "its sha256 is"},
		{name: "too large", maxSize: 100_000, requests: []string{"", ""}, verify: "too many for a kubelet"},
		{name: "too large, length not told", maxSize: 100_000, faults: []mirror.Fault{{NoLength: true}}, requests: []string{"", ""}, verify: "too many for a kubelet"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, web := serve(t, tree(t, kubelet, untabled))
			for _, f := range test.faults {
				server.Fault("kubelet", f)
			}
			path := filepath.Join(t.TempDir(), "partial")
			if test.partial != nil {
				write(t, path, test.partial, 0o644)
			}
			c := client(web)
			c.MaxSize = test.maxSize
			if strings.Contains(test.name, "stalled") || strings.Contains(test.name, "no answer") {
				c.StallTimeout = 50 * time.Millisecond
			}
			if slices.Contains([]string{"another range", "foreign partial", "partial with a lost end"}, test.name) {
				// Noticed by the header or by what comes, not by the digest of a file that is put together wrongly.
				c.Note = func(line string) { t.Errorf("note: %s", line) }
			}
			var progress []release.Progress
			c.Progress = func(p release.Progress) { progress = append(progress, p) }
			a, err := c.Artifact(t.Context(), version(t, untabled), "amd64", digestOf(kubelet))
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Fetch(t.Context(), a, path)

			wrong := (*release.VerifyError)(nil)
			switch {
			case test.verify != "":
				if !errors.As(err, &wrong) {
					t.Fatalf("got %v", err)
				}
				contains(t, err.Error(), test.verify, web)
				if strings.HasPrefix(test.verify, "its sha256") {
					contains(t, hint(err), "digest that was given")
				}
				if test.name == "too large" && len(progress) > 0 {
					t.Errorf("the body was read: %+v", progress)
				}
			case test.problem != "":
				if err == nil || errors.As(err, &wrong) {
					t.Fatalf("got %v", err)
				}
				contains(t, err.Error(), test.problem, web, "downloading kubelet v1.37.2 for linux/amd64")
			case err != nil:
				t.Fatal(err)
			default:
				want := release.Fetched{SHA256: sum(kubelet), Size: int64(n), URL: a.URLs[0], Reused: len(test.requests) == 0}
				if got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
				checkFile(t, path, kubelet)
				checkProgress(t, progress, int64(n), test.name)
			}
			if err != nil {
				info, statErr := os.Stat(path)
				switch {
				case test.left == 0 && statErr == nil:
					t.Errorf("%d bytes are left", info.Size())
				case test.left > 0 && (statErr != nil || info.Size() != int64(test.left)):
					t.Errorf("%d bytes should be left: %v", test.left, statErr)
				}
			}
			checkRequests(t, server, test.requests, test.bytes)
		})
	}
}

func checkFile(t *testing.T, path string, want []byte) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode is %v", info.Mode())
	}
	if content, err := os.ReadFile(path); err != nil || !bytes.Equal(content, want) {
		t.Errorf("wrong content, %d bytes, %v", len(content), err)
	}
}

// checkProgress wants it to arrive at the end.
func checkProgress(t *testing.T, progress []release.Progress, size int64, name string) {
	t.Helper()
	if len(progress) == 0 {
		if name != "complete already" {
			t.Error("no progress")
		}
		return
	}
	last := progress[len(progress)-1]
	if last.Done != size || last.Total != size && last.Total != -1 {
		t.Errorf("the last progress is %+v", last)
	}
	if name == "resumed" && last.Resumed != size/2 {
		t.Errorf("resumed from %d", last.Resumed)
	}
	if name == "Range ignored" && last.Resumed != 0 {
		t.Errorf("started over, and says resumed from %d", last.Resumed)
	}
}

// checkRequests compares the Range headers; "+" is any range.
func checkRequests(t *testing.T, server *mirror.Server, want []string, most int64) {
	t.Helper()
	var got []string
	var sent int64
	for i, r := range server.Log() {
		if i < len(want) && want[i] == "+" && r.Range != "" {
			r.Range = "+"
		}
		got = append(got, r.Range)
		if r.Status == 200 || r.Status == 206 {
			sent += r.Bytes
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("requests with Range %q, want %q", got, want)
	}
	if most > 0 && sent > most {
		t.Errorf("%d bytes were sent, %d are needed", sent, most)
	}
}

// A mirror that agrees with itself is still refused when upstream published
// something else.
func TestFetchDisagreesWithTable(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"http", "file"} {
		dir := tree(t, kubelet, tabled)
		_, source := serve(t, dir)
		if kind == "file" {
			source = "file://" + dir
		}
		c := client(source)
		a, err := c.Artifact(t.Context(), version(t, tabled), "amd64", release.Digest{})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "partial")
		_, err = c.Fetch(t.Context(), a, path)
		if wrong := (*release.VerifyError)(nil); !errors.As(err, &wrong) {
			t.Fatalf("%s: got %v", kind, err)
		}
		contains(t, err.Error(), "table of published digests", a.Digest.Hex, sum(kubelet))
		contains(t, hint(err), "--sha256")
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s: the file is left", kind)
		}
	}
}

func TestFetchOtherSource(t *testing.T) {
	t.Parallel()
	good := tree(t, kubelet, untabled)
	for _, test := range []struct {
		name    string
		first   func(t *testing.T) string
		partial []byte
	}{
		{"not found", func(t *testing.T) string { _, u := serve(t, t.TempDir()); return u }, nil},
		{"other content", func(t *testing.T) string { _, u := serve(t, tree(t, []byte("other"), untabled)); return u }, nil},
		{"other content in a file", func(t *testing.T) string { return "file://" + tree(t, []byte("other"), untabled) }, nil},
		{"no such directory", func(t *testing.T) string { return "file:///does/not/exist" }, kubelet[:100]},
		{"nobody listens", func(t *testing.T) string { return "http://127.0.0.1:1/release" }, kubelet[:100]},
		{"breaks off", func(t *testing.T) string {
			s, u := serve(t, tree(t, kubelet, untabled))
			s.Fault("", mirror.Fault{ResetAfter: 10})
			return u
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, second := serve(t, good)
			c := client(test.first(t), second)
			a, err := c.Artifact(t.Context(), version(t, untabled), "amd64", digestOf(kubelet))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "partial")
			if test.partial != nil {
				write(t, path, test.partial, 0o600)
			}
			got, err := c.Fetch(t.Context(), a, path)
			if err != nil || got.URL != a.URLs[1] {
				t.Fatalf("got %+v, %v", got, err)
			}
			checkFile(t, path, kubelet)
			if test.partial != nil {
				checkRequests(t, server, []string{"bytes=50-"}, int64(len(kubelet)-50))
			}
		})
	}
}

// What was wrong may have been the partial file; then the only source that
// has the release is asked again.
func TestFetchForeignPartialOnlySource(t *testing.T) {
	t.Parallel()
	_, good := serve(t, tree(t, kubelet, untabled))
	_, empty := serve(t, t.TempDir())
	c := client(good, empty)
	a, _ := c.Artifact(t.Context(), version(t, untabled), "amd64", digestOf(kubelet))
	path := filepath.Join(t.TempDir(), "partial")
	write(t, path, []byte("foreign"), 0o600)
	if _, err := c.Fetch(t.Context(), a, path); err != nil {
		t.Fatal(err)
	}
	checkFile(t, path, kubelet)
}

// Two wrong files are enough.
func TestFetchGivesUp(t *testing.T) {
	t.Parallel()
	wrong := tree(t, []byte("other"), untabled)
	_, first := serve(t, wrong)
	_, second := serve(t, wrong)
	third, thirdURL := serve(t, wrong)
	c := client(first, second, thirdURL)
	a, _ := c.Artifact(t.Context(), version(t, untabled), "amd64", digestOf(kubelet))
	_, err := c.Fetch(t.Context(), a, filepath.Join(t.TempDir(), "partial"))
	if verify := (*release.VerifyError)(nil); !errors.As(err, &verify) || len(third.Log()) > 0 {
		t.Errorf("got %v, requests %v", err, third.Log())
	}
}

func TestFetchSHA512(t *testing.T) {
	t.Parallel()
	server, web := serve(t, tree(t, kubelet, untabled))
	c := client(web)
	a, err := c.Artifact(t.Context(), version(t, untabled), "amd64", release.Digest{})
	if err != nil || a.Digest.Algorithm != "sha512" {
		t.Fatalf("%v, %v", a.Digest, err)
	}
	path := filepath.Join(t.TempDir(), "partial")
	write(t, path, kubelet[:1000], 0o600)
	got, err := c.Fetch(t.Context(), a, path)
	if err != nil || got.SHA256 != sum(kubelet) {
		t.Errorf("got %+v, %v", got, err)
	}
	server.Reset()
	got, err = c.Fetch(t.Context(), a, path)
	if err != nil || !got.Reused || got.SHA256 != sum(kubelet) || len(server.Log()) > 0 {
		t.Errorf("second call: %+v, %v, %v", got, err, server.Log())
	}
}

func TestFetchFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "with space, %41 and ü")
	if err := mirror.WriteTree(dir, mirror.Release{Version: untabled, Arch: "amd64", Binary: kubelet}); err != nil {
		t.Fatal(err)
	}
	source := "file://" + strings.NewReplacer("%", "%25", " ", "%20").Replace(dir)
	c := client(source)
	var last release.Progress
	c.Progress = func(p release.Progress) { last = p }
	a, err := c.Artifact(t.Context(), version(t, untabled), "amd64", release.Digest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		at   func(path string)
	}{
		{"new", func(string) {}},
		{"partial", func(path string) { write(t, path, kubelet[:100], 0o644) }},
		{"foreign", func(path string) { write(t, path, []byte("foreign"), 0o644) }},
	} {
		path := filepath.Join(t.TempDir(), "partial")
		test.at(path)
		got, err := c.Fetch(t.Context(), a, path)
		if err != nil || got.SHA256 != sum(kubelet) || got.Reused {
			t.Fatalf("%s: %+v, %v", test.name, got, err)
		}
		checkFile(t, path, kubelet)
		if last.Done != int64(len(kubelet)) || last.Total != last.Done {
			t.Errorf("%s: progress %+v", test.name, last)
		}
	}
	c.MaxSize = 1000
	path := filepath.Join(t.TempDir(), "partial")
	if _, err := c.Fetch(t.Context(), a, path); err == nil {
		t.Error("a file that is too large was copied")
	}
}

// No kubelet has more than 160 MB. A server that sends for ever must not fill the disk, whether it tells the length or not.
// Not in parallel: it keeps processor and disk busy, and other tests measure speed.
func TestFetchEndless(t *testing.T) {
	const most = 256 << 20
	for _, test := range []struct {
		name   string
		length string
	}{
		{"length not told", ""},
		{"length told", strconv.Itoa(most + 1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			var sent atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if sent.Load() > 0 { // once is enough
					http.NotFound(w, r)
					return
				}
				if test.length != "" {
					w.Header().Set("Content-Length", test.length)
				}
				for block := make([]byte, 1<<20); sent.Load() < 2*most; sent.Add(int64(len(block))) {
					if _, err := w.Write(block); err != nil {
						return
					}
				}
			}))
			t.Cleanup(server.Close)
			c := client("http://127.0.0.1")
			a, err := c.Artifact(t.Context(), version(t, untabled), "amd64", digestOf(kubelet))
			if err != nil {
				t.Fatal(err)
			}
			a.URLs = []string{server.URL}
			path := filepath.Join(t.TempDir(), "partial")
			_, err = c.Fetch(t.Context(), a, path)
			if _, wrong := errors.AsType[*release.VerifyError](err); !wrong {
				t.Fatalf("got %v", err)
			}
			contains(t, err.Error(), "too many for a kubelet")
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what came was left there: %v", err)
			}
			if got := sent.Load(); test.length != "" && got > most/4 {
				t.Errorf("%d bytes were fetched although the length was told", got)
			}
		})
	}
}

// The path is in a directory of ours; a link there was not made by us.
func TestFetchNotThroughLink(t *testing.T) {
	t.Parallel()
	dir := tree(t, kubelet, untabled)
	victim := filepath.Join(t.TempDir(), "victim")
	write(t, victim, []byte("precious"), 0o600)
	path := filepath.Join(t.TempDir(), "partial")
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	c := client("file://" + dir)
	a, _ := c.Artifact(t.Context(), version(t, untabled), "amd64", digestOf(kubelet))
	if _, err := c.Fetch(t.Context(), a, path); err != nil {
		t.Errorf("the link is in the way: %v", err)
	}
	checkFile(t, path, kubelet)
	if content, _ := os.ReadFile(victim); string(content) != "precious" {
		t.Errorf("the link's target is now %q", content)
	}
}

// What is no part of a kubelet is in nobody's way: it is removed, or emptied, without being read.
func TestFetchOverWhatIsNoPartial(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		make func(path string) error
		hint string
	}{
		{"pipe", func(path string) error { return syscall.Mkfifo(path, 0o600) }, ""},
		{"empty directory", func(path string) error { return os.Mkdir(path, 0o700) }, ""},
		{"full directory", func(path string) error { return os.MkdirAll(filepath.Join(path, "x"), 0o700) }, "remove it and retry"},
		{"8 TiB", func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<43)) // what ext4 can hold, nearly
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, web := serve(t, tree(t, kubelet, untabled))
			path := filepath.Join(t.TempDir(), "partial")
			if err := test.make(path); err != nil {
				t.Skip(err)
			}
			c := client(web)
			a, _ := c.Artifact(t.Context(), version(t, untabled), "amd64", digestOf(kubelet))
			_, err := c.Fetch(t.Context(), a, path)
			if test.hint != "" {
				if err == nil || !strings.Contains(hint(err), test.hint) {
					t.Fatalf("got %v, hint %q", err, hint(err))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkFile(t, path, kubelet)
		})
	}
}

func TestFetchCancelled(t *testing.T) {
	t.Parallel()
	server, web := serve(t, tree(t, kubelet, untabled))
	server.Fault("kubelet", mirror.Fault{StallAfter: 50_000, Times: 1})
	// The second source must not be touched: a copy would begin by deleting the partial file.
	c := client(web, "file://"+tree(t, kubelet, untabled))
	ctx, cancel := context.WithCancel(t.Context())
	c.Progress = func(p release.Progress) {
		if p.Done == 50_000 {
			cancel()
		}
	}
	a, _ := c.Artifact(ctx, version(t, untabled), "amd64", digestOf(kubelet))
	path := filepath.Join(t.TempDir(), "partial")
	_, err := c.Fetch(ctx, a, path)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 50_000 {
		t.Fatalf("the partial file is gone: %v", err)
	}
	c.Progress = nil
	if _, err := c.Fetch(t.Context(), a, path); err != nil {
		t.Fatal(err)
	}
	checkFile(t, path, kubelet)
	server2 := server.Log()
	if last := server2[len(server2)-1]; last.Range != "bytes=33616-" || last.Bytes != int64(len(kubelet)-33_616) { // 16 KiB again
		t.Errorf("the second run sent %+v", last)
	}
}

func TestFetchSpace(t *testing.T) {
	t.Parallel()
	const reserve = 16 << 20
	dir := tree(t, kubelet, untabled)
	_, web := serve(t, dir)
	n := int64(len(kubelet))
	for _, test := range []struct {
		name    string
		partial int64
		free    int64
		ok      bool
	}{
		{"enough", 0, n + reserve, true},
		{"a byte short", 0, n + reserve - 1, false},
		{"enough for the rest", 1000, n + reserve - 1000, true},
		{"a byte short for the rest", 1000, n + reserve - 1001, false},
	} {
		for _, source := range []string{web, "file://" + dir} {
			t.Run(test.name+" "+source[:4], func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "partial")
				if test.partial > 0 {
					write(t, path, kubelet[:test.partial], 0o600)
				}
				c := client(source)
				c.FreeSpace = func(asked string) (int64, error) {
					if asked != filepath.Dir(path) {
						t.Errorf("asked about %s", asked)
					}
					return test.free, nil
				}
				a, _ := c.Artifact(t.Context(), version(t, untabled), "amd64", digestOf(kubelet))
				_, err := c.Fetch(t.Context(), a, path)
				if test.ok {
					if err != nil {
						t.Error(err)
					}
					return
				}
				full := (*release.SpaceError)(nil)
				if !errors.As(err, &full) || !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("got %v", err)
				}
				if full.Free != test.free || full.Need != test.free+1 {
					t.Errorf("got %+v", full)
				}
				contains(t, err.Error(), "16.2 MiB of free disk space")
				info, err := os.Stat(path)
				if (err == nil) != (test.partial > 0) || err == nil && info.Size() != test.partial {
					t.Errorf("the partial file changed: %v", err)
				}
			})
		}
	}
}

func TestFetchNotes(t *testing.T) {
	t.Parallel()
	server, web := serve(t, tree(t, kubelet, untabled))
	server.Fault("kubelet", mirror.Fault{Status: 429, RetryAfter: "1", Times: 1})
	c := client(strings.Replace(web, "://", "://me:secret@", 1) + "?sig=secret")
	var notes []string
	c.Note = func(line string) { notes = append(notes, line) }
	c.Progress = func(p release.Progress) { notes = append(notes, p.URL) }
	a, _ := c.Artifact(t.Context(), version(t, untabled), "amd64", digestOf(kubelet))
	start := time.Now()
	got, err := c.Fetch(t.Context(), a, filepath.Join(t.TempDir(), "partial"))
	if err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(start); waited < time.Second {
		t.Errorf("came back after %s, asked for 1 s", waited)
	}
	contains(t, notes[0], "retrying http://redacted@127.0.0.1", "in 1s: 429 Too Many Requests")
	if all := strings.Join(append(notes, got.URL), "\n"); strings.Contains(all, "secret") {
		t.Errorf("a secret in:\n%s", all)
	}
	server.Fault("kubelet", mirror.Fault{Body: "other"})
	_, err = c.Fetch(t.Context(), a, filepath.Join(t.TempDir(), "partial"))
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

// A local file is as good as a source, and no better: what is not right is not taken, whatever was there before.
func TestFetchLocal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		local    []byte // nil: there is none
		requests int
	}{
		{"right", kubelet, 0},
		{"other content", []byte("\x7fELF other"), 1},
		{"cut off", kubelet[:len(kubelet)/2], 1},
		{"gone", nil, 1},
	} {
		for _, partial := range [][]byte{nil, kubelet[:len(kubelet)/3]} {
			t.Run(fmt.Sprintf("%s, %d bytes before", test.name, len(partial)), func(t *testing.T) {
				t.Parallel()
				server, web := serve(t, tree(t, kubelet, untabled))
				c := client(web)
				var notes []string
				c.Note = func(line string) { notes = append(notes, line) }
				a, err := c.Artifact(t.Context(), version(t, untabled), "amd64", digestOf(kubelet))
				if err != nil {
					t.Fatal(err)
				}
				dir := t.TempDir()
				path := filepath.Join(dir, "partial")
				a.Local = filepath.Join(dir, "local")
				if test.local != nil {
					write(t, a.Local, test.local, 0o644)
				}
				if partial != nil {
					write(t, path, partial, 0o644)
				}
				got, err := c.Fetch(t.Context(), a, path)
				if err != nil {
					t.Fatal(err)
				}
				want := release.Fetched{SHA256: sum(kubelet), Size: int64(len(kubelet)), URL: a.URLs[0]}
				if test.requests == 0 {
					want.URL, want.Reused = "", true
				}
				if got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
				checkFile(t, path, kubelet)
				if log := server.Log(); len(log) != test.requests || len(notes) != test.requests {
					t.Errorf("%d requests, want %d; notes %q", len(log), test.requests, notes)
				}
			})
		}
	}
}
