package release

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Client asks sources and fetches from them. The zero value asks upstream.
type Client struct {
	// Sources are http, https or file URLs of directories in release layout,
	// in order of preference. Empty: upstream.
	Sources []string

	// Progress is called for every piece that arrives, and Note with one line for people, as "retrying ...". Both may be
	// nil. Neither is called again before it has returned, nor both at once; that holds for Mirror, too, which fetches
	// several files, and calls neither of them during a call of done. Two calls of a Client's methods that run at the same
	// time each call them, though.
	Progress func(Progress)
	Note     func(string)

	StallTimeout time.Duration // longest wait for the next byte; 30 s
	Retries      int           // tries at one source; 4
	Backoff      time.Duration // first pause between tries, doubled up to 10 s; 500 ms
	MaxSize      int64         // a larger file is refused; 256 MiB

	// Connections is how many fetch one file at once, when one alone is slow and the server has ranges; 4.
	Connections int
	// RootCAs verify servers; nil: the system's.
	RootCAs *x509.CertPool

	// Markers are those that sources have sent before; nil asks for them as if there were none.
	Markers *Answers

	// FreeSpace tells how many bytes the file system that holds path has left.
	// nil: statfs.
	FreeSpace func(path string) (int64, error)
}

// Progress is how far a download is.
type Progress struct {
	Done, Total int64 // Total is -1 when the server does not say
	URL         string
	Resumed     int64 // bytes of Done that an earlier run had fetched
}

// Upstream's own sources. The bucket is frozen: v1.31.0 is the last stable
// release in it, and its stable.txt is as old (kubernetes/kubernetes#127796,
// #127837, #129621).
const (
	upstream = "https://dl.k8s.io/release"
	bucket   = "https://storage.googleapis.com/kubernetes-release/release"
)

// Architectures lists the Linux architectures that upstream has built kubelets for.
func Architectures() []string { return []string{"amd64", "arm", "arm64", "ppc64le", "s390x"} }

// lastARM is the last minor with a kubelet for 32-bit arm.
const lastARM = 26

// checkPlatform refuses an architecture that a release does not have.
func checkPlatform(v Version, arch string) error {
	if v.IsZero() {
		return errors.New("no version is given")
	}
	if !slices.Contains(Architectures(), arch) {
		err := fmt.Errorf("upstream has no kubelet for linux/%s, only for %s", arch, strings.Join(Architectures(), ", "))
		if same := map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armhf": "arm"}[arch]; same != "" {
			return &hinted{err, "its name here is " + same}
		}
		return err
	}
	if arch == "arm" && v.Minor() > lastARM {
		return &hinted{
			fmt.Errorf("upstream has no kubelet %s for linux/arm: 1.%d was the last minor with one", v, lastARM),
			fmt.Sprintf("ask for 1.%d, or for arm64 if the machine can run it", lastARM),
		}
	}
	return nil
}

// sources returns where to look for v, best first.
func (c *Client) sources(v Version) []string {
	if len(c.Sources) > 0 {
		return c.Sources
	}
	if v.Compare(Version{1, 31, 0, ""}) <= 0 {
		return []string{bucket, upstream}
	}
	return []string{upstream, bucket}
}

// channelSources returns where to look for markers. The bucket's are years
// old: were it asked when dl.k8s.io does not answer, "stable" would be an old
// release without a word. No answer is better.
func (c *Client) channelSources() []string {
	if len(c.Sources) > 0 {
		return c.Sources
	}
	return []string{upstream}
}

// CheckSources says everything that is wrong with the sources, without asking them.
func (c *Client) CheckSources() error {
	var problems []error
	for _, source := range c.Sources {
		if Redacted(source) {
			problems = append(problems, &hinted{fmt.Errorf("source %q: %w", source, ErrNoCredentials), "give the whole URL: --source"})
		} else if why, hint := checkSource(source); why != "" {
			problems = append(problems, &hinted{fmt.Errorf("source %q: %s", Redact(source), why), hint})
		}
	}
	return errors.Join(problems...)
}

// hostLike begins as the name of a host, and holds no password. Only an error needs it.
var hostLike = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+(/[^@?]*)?$`)
})

// atBehindHost reports whether a URL has an @ where none belongs: what stands before it may be a password with a slash in
// it.
func atBehindHost(u *url.URL) bool {
	return u.User == nil && u.Scheme != "file" && strings.Contains(u.EscapedPath(), "@")
}

func checkSource(source string) (why, hint string) {
	u, err := url.Parse(source)
	switch {
	case source == "":
		return "it is empty", ""
	case err != nil:
		// The parser's own words quote the text, and with it a password.
		return "it is not a URL", "in names and passwords write %25 for %, %2F for /, %40 for @, %23 for #, %3F for ?, %20 for a space"
	case strings.Contains(source, "#"):
		return "it has a #, and what follows it would not be requested", "write %23 for a # that is part of a name or a password"
	case u.Scheme == "file" && (u.RawQuery != "" || u.ForceQuery):
		return "it has a ?, and what follows it would not be used", "write %3F for a ? that is part of a name"
	case u.Scheme == "" && filepath.IsAbs(source) && u.Host == "" && !strings.Contains(source, "@"):
		return "it has no scheme", "for a directory write " + (&url.URL{Scheme: "file", Path: source}).String()
	case u.Scheme == "" && hostLike().MatchString(source):
		return "it has no scheme", "write https://" + source
	case u.Scheme == "":
		return "it has no scheme", "write https://HOST/PATH, or file:///DIRECTORY"
	case u.Scheme == "file" && (u.Opaque != "" || (u.Host != "" && u.Host != "localhost") || !filepath.IsAbs(u.Path)):
		return "a file URL needs an absolute path", "write file:///path/to/directory, with three slashes"
	case u.Scheme == "file":
		return "", ""
	case strings.Contains(u.Opaque, "@"): // what looks like a scheme may be a user's name
		return "it has no scheme", "write https://HOST/PATH"
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Sprintf("scheme %q is not http, https or file", u.Scheme), ""
	case u.Hostname() == "":
		return "it names no host", "write " + u.Scheme + "://HOST/PATH"
	case atBehindHost(u):
		return "it has an @ after the host", "write %40 for it, and in a name or a password before the host %2F for /"
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return fmt.Sprintf("%s is not a port", u.Port()), ""
	}
	return "", ""
}

// at returns the URL of a file below a source that has passed CheckSources. A
// query, as signed URLs have one, stays.
func at(source string, path ...string) string {
	u, err := url.Parse(source)
	if err != nil {
		return source
	}
	return u.JoinPath(path...).String()
}

// filePath returns the path of a file URL.
func filePath(rawURL string) (string, bool) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "file" {
		return "", false
	}
	return filepath.Clean(u.Path), true
}

// insecure reports whether what comes from a URL could be changed on its way.
func insecure(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return true
	}
	if u.Scheme != "http" {
		return false
	}
	// By name, without a lookup: a resolver is not to be trusted with this.
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

// Redact takes user, password and query out of a URL: they may be secrets,
// and logs, state and errors are read by others.
func Redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Opaque != "" || atBehindHost(u) {
		// No URL, or not the one that was meant, and still it may hold a secret.
		text := rawURL
		if i := strings.LastIndex(text, "@"); i >= 0 {
			scheme, _, found := strings.Cut(text, "://")
			text = "redacted" + text[i:]
			if found && !strings.Contains(scheme, "@") {
				text = scheme + "://" + text
			}
		}
		text, _, _ = strings.Cut(text, "?")
		text, _, _ = strings.Cut(text, "#")
		return text
	}
	if u.User != nil {
		u.User = url.User("redacted")
	}
	if u.RawQuery != "" {
		u.RawQuery = "redacted"
	}
	u.Fragment, u.RawFragment = "", ""
	return u.String()
}

// ErrNoCredentials reports that a source is not known as a whole, since a record holds no secrets.
var ErrNoCredentials = errors.New("it needs credentials, and these are not recorded")

// Redacted reports whether a URL is one out of which Redact has taken something.
func Redacted(rawURL string) bool {
	u, err := url.Parse(rawURL)
	return err == nil && (u.User.String() == "redacted" || u.RawQuery == "redacted")
}

// Resolve turns a request into a version. Only minors and channels ask a source.
func (c *Client) Resolve(ctx context.Context, r Request) (Version, error) {
	if v, exact := r.Exact(); exact {
		return v, nil
	}
	if err := c.CheckSources(); err != nil {
		return Version{}, err
	}
	var failed several
	missing := &NotFoundError{Request: r}
	for _, source := range c.channelSources() {
		marker := at(source, r.marker())
		v, err := c.marker(ctx, marker)
		if err == nil {
			if err = r.fits(v); err == nil {
				return v, nil
			}
		}
		if ctx.Err() != nil {
			return Version{}, fmt.Errorf("asking for %s: %w", r, contextError(ctx))
		}
		missing.note(marker, err)
		failed = append(failed, fmt.Errorf("%s: %w", Redact(marker), err))
	}
	if len(missing.Tried) == len(failed) {
		return Version{}, missing
	}
	return Version{}, advise(fmt.Errorf("asking for %s: %w", r, failed), "an exact version (v1.36.3) needs no answer from there")
}

// marker reads the version in a marker file.
func (c *Client) marker(ctx context.Context, marker string) (Version, error) {
	body, _, err := c.read(ctx, marker, c.Markers)
	if err != nil {
		return Version{}, err
	}
	v, err := ParseVersion(strings.TrimSpace(string(body)))
	if err != nil {
		return Version{}, fmt.Errorf("it has no version in it; it looks like %s", looksLike(body))
	}
	return v, nil
}

// nearest looks for releases that do exist near one that does not. It serves
// an error message, so it tries once, and not for long.
func (c *Client) nearest(ctx context.Context, v Version, arch string) []Version {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	quick := *c
	quick.Retries, quick.Note = 1, nil
	var found []Version
	for _, source := range c.channelSources() {
		if dir, local := filePath(source); local {
			found = append(found, neighbours(dir, v, arch)...)
			continue
		}
		if w, err := quick.marker(ctx, at(source, fmt.Sprintf("stable-1.%d.txt", v.Minor()))); err == nil && w != v {
			found = append(found, w)
		}
	}
	// Upstream has what it published; of a mirror that is not known.
	if w := newestPublished(v.Minor(), arch); len(c.Sources) == 0 && len(found) == 0 && !w.IsZero() && w != v {
		found = append(found, w)
	}
	slices.SortFunc(found, Version.Compare)
	return slices.Compact(found)
}

// neighbours returns the releases next to v, below and above, that a
// directory holds for arch.
func neighbours(dir string, v Version, arch string) (found []Version) {
	var below, above Version
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		w, err := ParseVersion(entry.Name())
		if err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, binaryPath(w, arch))); err != nil {
			continue
		}
		if w.Compare(v) < 0 && w.Compare(below) > 0 {
			below = w
		}
		if w.Compare(v) > 0 && (above.IsZero() || w.Compare(above) < 0) {
			above = w
		}
	}
	for _, w := range []Version{below, above} {
		if !w.IsZero() {
			found = append(found, w)
		}
	}
	return found
}

// binaryPath is where a source has a kubelet.
func binaryPath(v Version, arch string) string { return programPath(Kubelet, v, arch) }

// programPath is where a source has a program of a release.
func programPath(program string, v Version, arch string) string {
	return v.String() + "/bin/linux/" + arch + "/" + program
}

// smallFile is more than any checksum or marker has.
const smallFile = 4 << 10

// read returns a small file and the URL that it came from after redirects. Of what is known already only a change is sent.
func (c *Client) read(ctx context.Context, rawURL string, known *Answers) (body []byte, from string, err error) {
	if path, local := filePath(rawURL); local {
		body, err = readSmall(path)
		return body, rawURL, pathless(err)
	}
	err = c.retry(ctx, rawURL, func() (bool, error) {
		resp, err := c.open(ctx, httpRequest{method: http.MethodGet, url: rawURL, known: known})
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		from = resp.Request.URL.String()
		if resp.StatusCode == http.StatusNotModified {
			var is bool
			if body, is = known.unchanged(rawURL); is {
				return false, nil
			}
		}
		if resp.StatusCode != http.StatusOK {
			return false, statusOf(resp)
		}
		if body, err = io.ReadAll(io.LimitReader(resp.Body, smallFile)); err == nil {
			known.keep(rawURL, resp.Header, body)
		}
		return false, err
	})
	return body, from, err
}

// readSmall reads a small regular file. A pipe of which nobody writes the other end would be waited for for ever.
func readSmall(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return io.ReadAll(io.LimitReader(f, smallFile))
}

// pathless removes the path from an error whose message gets a URL anyway.
func pathless(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
