package release

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	getter "github.com/hashicorp/go-getter/v2"
)

// httpGetter is go-getter's Getter for http and https. The library's own (in
// v1 and v2 alike) returns success with a wrong file when a server ignores
// Range, when an older and longer partial file is there, or when a size limit
// meets a body of unknown length; it neither tries again nor notices a
// connection that hangs, and follows redirects from https to http.
//
// What the library's Request cannot carry is in fields. The URL is among
// them, because the client takes apart the query of the one in the Request.
type httpGetter struct {
	client *Client
	url    string
	into   *partial
	alone  bool // from now on: several connections are of no use here
	unsure bool // an answer of unknown length had ended, and was not the whole file
}

// end is why an answer, or what came in its place over several connections, is over.
type end int

const (
	complete    end = iota // nothing is left of it
	tooSlow                // the stream goes on, but several connections are worth a try
	noRanges               // there are no pieces to be had after all; the stream goes on
	noGain                 // several connections were no faster than one
	otherFile              // two pieces were of different files
	interrupted            // see the error
)

// Detect accepts what the source check has accepted.
func (g *httpGetter) Detect(req *getter.Request) (bool, error) {
	return strings.HasPrefix(req.Src, "http://") || strings.HasPrefix(req.Src, "https://"), nil
}

// Mode is always that of one file.
func (g *httpGetter) Mode(context.Context, *url.URL) (getter.Mode, error) {
	return getter.ModeFile, nil
}

// Get would fetch a directory.
func (g *httpGetter) Get(context.Context, *getter.Request) error {
	return errors.New("a release is one file, not a directory")
}

// GetFile brings the partial file to its end, or leaves in it what came. It
// goes on with what is there.
func (g *httpGetter) GetFile(ctx context.Context, _ *getter.Request) error {
	best := g.into.size
	return g.client.retry(ctx, g.url, func() (progressed bool, err error) {
		err = g.try(ctx)
		// A slow line that breaks every few minutes gets there in the end. A
		// server that always breaks at the same byte does not count as progress.
		if progressed = g.into.size >= best+1<<20; progressed {
			best = g.into.size
		}
		return progressed, err
	})
}

// overlap is how many bytes before the end of a partial file are asked for again and held against it, but never more than
// half of it. What an earlier run left may be of another file, and a power cut may have taken the content of the last
// blocks. An ETag would not tell, and the servers behind one name may disagree about it.
const overlap = 16 << 10

// answer is what a server sends, as far as it is not in the partial file.
type answer struct {
	body    io.ReadCloser
	total   int64   // bytes of the whole file; -1: not told
	resumed int64   // bytes that were here before
	pieces  *ranged // how to have it in pieces; nil when it has to be a stream
}

// try lets one answer bring the rest of the file. If others were to help and did not, one more does.
func (g *httpGetter) try(ctx context.Context) error {
	for {
		a, err := g.request(ctx)
		if err != nil {
			return err
		}
		over, err := g.receive(ctx, a)
		a.body.Close()
		switch over {
		case complete:
			return g.checkLength(a)
		case noGain:
			continue // alone, and so once only
		case otherFile:
			if err := g.into.truncate(); err != nil {
				return err
			}
			return &networkError{errChanged}
		}
		return err
	}
}

// receive takes an answer: as a stream, unless that is slow and several connections are faster.
func (g *httpGetter) receive(ctx context.Context, a *answer) (end, error) {
	began, before := time.Now(), g.into.size
	over, err := g.stream(ctx, a)
	if over != tooSlow {
		return over, err
	}
	speed := float64(g.into.size-before) / time.Since(began).Seconds()
	over, err = g.parallel(ctx, a, speed)
	if over == noRanges || over == noGain || over == otherFile {
		g.alone = true
	}
	if over == noRanges {
		a.pieces = nil
		return g.stream(ctx, a)
	}
	return over, err
}

// checkLength finds out whether a stream that nobody gave a length has ended too early: perhaps somebody on the way cut it
// off. If so, the next answer has the rest.
func (g *httpGetter) checkLength(a *answer) error {
	if a.total >= 0 || g.unsure || g.into.verified() || !g.into.isProgram() {
		return nil
	}
	g.unsure = true
	return &networkError{fmt.Errorf("the body ended after %d bytes, which are not all", g.into.size)}
}

// request asks for the file from a little before where the partial one ends, and for all of it when the server has nothing
// that goes on with that. The partial file and the body then fit together.
func (g *httpGetter) request(ctx context.Context) (*answer, error) {
	a, fits, err := g.ask(ctx)
	if err == nil && !fits {
		if err := g.into.truncate(); err != nil {
			return nil, err
		}
		a, _, err = g.ask(ctx) // for everything, which always fits
	}
	return a, err
}

// ask makes one request, and reports whether the answer goes on with the partial file.
func (g *httpGetter) ask(ctx context.Context) (a *answer, fits bool, err error) {
	from := g.into.size - min(overlap, g.into.size/2)
	resp, err := g.client.open(ctx, httpRequest{method: http.MethodGet, url: g.url, from: from})
	if err != nil {
		return nil, false, err
	}
	defer func() {
		if err != nil || !fits {
			resp.Body.Close()
		}
	}()
	a = &answer{body: resp.Body, total: -1, resumed: g.into.size}
	switch code := resp.StatusCode; {
	case code == http.StatusPartialContent && from > 0:
		if a.total, fits, err = g.goesOn(resp, from); err != nil || !fits {
			return nil, false, err
		}
	case code == http.StatusRequestedRangeNotSatisfiable && from > 0: // the partial is longer than the file
		return nil, false, nil
	case code == http.StatusOK:
		a.total, a.resumed = resp.ContentLength, 0
	default:
		return nil, false, statusOf(resp)
	}
	a.pieces = g.pieces(resp, a.total)
	return a, true, g.makeRoom(a)
}

// makeRoom prepares the partial file for an answer, unless that is too large.
func (g *httpGetter) makeRoom(a *answer) error {
	if a.total > g.client.maxSize() {
		return g.tooLarge(a.total)
	}
	if err := g.client.checkSpace(g.into, max(a.total, 0)-g.into.size); err != nil {
		return err
	}
	if a.resumed == 0 {
		return g.into.truncate()
	}
	return nil
}

// goesOn reports whether an answer has, from an offset on, what the partial file ends with and more, and how large the whole
// is (-1: not told). What the file has is read off the body.
func (g *httpGetter) goesOn(resp *http.Response, from int64) (total int64, fits bool, err error) {
	total, fits = continues(resp.Header.Get("Content-Range"), from)
	if !fits || total >= 0 && total < g.into.size {
		return 0, false, nil
	}
	fits, err = g.into.endsLike(resp.Body, from)
	return total, fits, err
}

// stream appends the body of an answer to the partial file. It ends early when that comes so slowly that its pieces are
// worth a try.
func (g *httpGetter) stream(ctx context.Context, a *answer) (over end, err error) {
	s, err := newSink(g.into, streamBlocks)
	if err != nil {
		return interrupted, err
	}
	defer func() {
		if diskErr := s.close(); diskErr != nil {
			over, err = interrupted, diskErr
		}
	}()
	began, before := time.Now(), g.into.size
	pace := began
	paced := g.into.size
	for {
		b := s.block(ctx)
		if b == nil {
			return interrupted, ctx.Err()
		}
		readErr := g.fill(b, a)
		if g.into.size+int64(len(b.data)) > g.client.maxSize() {
			return interrupted, g.tooLarge(g.into.size + int64(len(b.data)))
		}
		if err := s.write(b); err != nil {
			return interrupted, err
		}
		switch {
		case a.total >= 0 && g.into.size < a.total && (readErr == io.EOF || errors.Is(readErr, io.ErrUnexpectedEOF)):
			return interrupted, &networkError{fmt.Errorf("the body ended after %d of %d bytes", g.into.size, a.total)}
		case readErr == io.EOF:
			return complete, nil
		case readErr != nil:
			return interrupted, readErr
		case a.pieces.slow(g.into.size-before, g.into.size, began):
			return tooSlow, nil
		}
		if wait := g.client.stall(); time.Since(pace) >= wait {
			if got := g.into.size - paced; got < int64(wait.Seconds()*slowest) {
				return interrupted, &networkError{fmt.Errorf("only %d bytes in %s", got, wait)}
			}
			pace, paced = time.Now(), g.into.size
		}
	}
}

// fill reads a block of a body, or less when that is slow or has too much.
func (g *httpGetter) fill(b *block, a *answer) (err error) {
	n, since := 0, time.Now()
	for n < len(b.data) && err == nil && time.Since(since) < flushAfter {
		var came int
		came, err = a.body.Read(b.data[n:])
		if n += came; g.into.size+int64(n) > g.client.maxSize() {
			break
		}
		if came > 0 {
			g.show(a, g.into.size+int64(n))
		}
	}
	b.data = b.data[:n]
	return err
}

// show tells how far a download got.
func (g *httpGetter) show(a *answer, done int64) {
	if p := g.client.Progress; p != nil {
		p(Progress{Done: done, Total: a.total, URL: Redact(g.url), Resumed: a.resumed})
	}
}

// slowest is how many bytes per second a body must bring, over the time of a stall; with less a download never ends.
const slowest = 1 << 10

func (g *httpGetter) tooLarge(size int64) error {
	return &VerifyError{Name: Redact(g.url), Problem: fmt.Sprintf("it has %d bytes or more, too many for a kubelet", size)}
}

// continues reports whether a Content-Range goes on from offset, and how large
// the whole file is (-1: not told).
func continues(contentRange string, offset int64) (total int64, fits bool) {
	span, whole, _ := strings.Cut(strings.TrimPrefix(contentRange, "bytes "), "/")
	first, _, _ := strings.Cut(span, "-")
	if start, err := strconv.ParseInt(first, 10, 64); err != nil || start != offset {
		return 0, false
	}
	if whole == "*" {
		return -1, true
	}
	total, err := strconv.ParseInt(whole, 10, 64)
	return total, err == nil && total > offset
}

// statusOf turns a response that is not the file into an error.
func statusOf(resp *http.Response) error {
	e := &statusError{code: resp.StatusCode}
	if value := resp.Header.Get("Retry-After"); value != "" {
		if seconds, err := strconv.Atoi(value); err == nil {
			e.after = time.Duration(seconds) * time.Second
		} else if when, err := http.ParseTime(value); err == nil {
			e.after = time.Until(when)
		}
	}
	return e
}

var (
	// These two end a chain of redirects for good.
	errDowngrade = errors.New("refused a redirect from https to plain http")
	errRedirects = errors.New("more than 10 redirects")
	errProxy     = errors.New("the proxy in the environment (HTTPS_PROXY, HTTP_PROXY) is not a URL with http, https or socks5; a % in its password is written %25")

	errStalled = errors.New("stalled") // why a request was cancelled, never seen outside
)

// proxySchemes are those that net/http knows; it takes a proxy with any other one for an http proxy.
var proxySchemes = []string{"http", "https", "socks5", "socks5h"}

// pools are the connection pools of the process, by what they trust and whether
// each request has a connection of its own.
var pools sync.Map

type pool struct {
	roots *x509.CertPool
	apart bool
}

// transport has no limit on the whole of a request: 90 MB take their time. The
// stall timer of a Client has.
func transport(roots *x509.CertPool, apart bool) *http.Transport {
	if t, known := pools.Load(pool{roots, apart}); known {
		return t.(*http.Transport)
	}
	t := &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			proxy, err := http.ProxyFromEnvironment(r)
			if err != nil || proxy == nil && brokenProxy(r.URL) || proxy != nil && !slices.Contains(proxySchemes, proxy.Scheme) {
				return nil, errProxy // the error quotes the value, and with it a password
			}
			return proxy, nil
		},
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err := statusOf(resp)
			_, busy := worthRetry(err)
			return &proxyError{err, busy}
		},
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		ForceAttemptHTTP2:     !apart,
		MaxIdleConnsPerHost:   16,
		TLSClientConfig:       &tls.Config{RootCAs: roots},
		DisableCompression:    true, // the digest is of the bytes that are served
	}
	if apart {
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	kept, _ := pools.LoadOrStore(pool{roots, apart}, t)
	return kept.(*http.Transport)
}

// brokenProxy reports whether the environment names a proxy for a URL that is no URL, which net/http passes over in silence:
// a password with a "%" that is not written %25, for example. Loopback addresses have no proxy.
func brokenProxy(u *url.URL) bool {
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
		return false
	}
	for _, name := range []string{strings.ToUpper(u.Scheme) + "_PROXY", u.Scheme + "_proxy"} {
		value := os.Getenv(name)
		_, err := url.Parse(value)
		if _, bare := url.Parse("http://" + value); value != "" && err != nil && bare != nil {
			return true
		}
	}
	return false
}

func (c *Client) stall() time.Duration { return orDefault(c.StallTimeout, 30*time.Second) }

// httpRequest is one request, for a file or a part of it.
type httpRequest struct {
	method, url string
	from, to    int64    // bytes; 0: from the beginning, to the end
	validator   string   // answer with a part only if the file is still this one
	known       *Answers // what need not be sent again; may be nil
	apart       bool     // a connection of its own, which HTTP/2 would not take
}

// open sends a request. The body of the answer fails when no byte has come for
// StallTimeout.
func (c *Client) open(ctx context.Context, q httpRequest) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	body := &stallReader{ctx: ctx, cancel: cancel, wait: c.stall()}
	req, err := http.NewRequestWithContext(ctx, q.method, q.url, nil)
	if err != nil {
		cancel(nil)
		return nil, errors.New("it is not a URL")
	}
	req.Header.Set("User-Agent", "kubeletctl")
	req.Header.Set("Accept-Encoding", "identity")
	switch {
	case q.to > 0:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", q.from, q.to-1))
	case q.from > 0:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", q.from))
	}
	q.known.addCondition(req, q.url)
	if q.validator != "" {
		req.Header.Set("If-Range", q.validator)
	}
	var led *url.URL // where redirects led to
	client := &http.Client{Transport: transport(c.RootCAs, q.apart), CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if len(via) > 10 {
			return errRedirects
		}
		if via[len(via)-1].URL.Scheme == "https" && next.URL.Scheme != "https" {
			return errDowngrade
		}
		led = next.URL
		next.Header.Del("Referer") // it would give the query of a signed URL away
		return nil
	}}
	body.timer = time.AfterFunc(body.wait, func() { cancel(errStalled) })
	resp, err := client.Do(req)
	body.timer.Stop()
	if err != nil {
		if err = body.fault(err); led != nil && ctx.Err() == nil {
			err = fmt.Errorf("redirected to %s://%s: %w", led.Scheme, led.Host, err)
		}
		cancel(nil)
		return nil, err
	}
	body.body = resp.Body
	resp.Body = body
	return resp, nil
}

// stallReader is a body that fails when nothing comes for a while. Only the
// time spent waiting for the network counts, a slow disk does not.
type stallReader struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	timer  *time.Timer
	wait   time.Duration
}

func (r *stallReader) Read(p []byte) (int, error) {
	r.timer.Reset(r.wait)
	n, err := r.body.Read(p)
	r.timer.Stop()
	if err != nil && err != io.EOF {
		err = r.fault(err)
	}
	return n, err
}

func (r *stallReader) Close() error {
	r.timer.Stop()
	r.cancel(nil)
	return r.body.Close()
}

// fault makes an error of net/http one that can be shown and retried.
func (r *stallReader) fault(err error) error {
	if context.Cause(r.ctx) == errStalled {
		return &networkError{fmt.Errorf("no data for %s", r.wait)}
	}
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	// url.Error quotes the URL with its query; after a redirect it is one that
	// the user has never seen, and signed.
	for e := (*url.Error)(nil); errors.As(err, &e); {
		err = e.Err
	}
	// A server that has decided about us will not decide otherwise in a second. "remote error" is what crypto/tls calls an
	// alert; in the middle of a body, or when it is about an error of the server's own, it says nothing about us.
	var remote *net.OpError
	alert := r.body == nil && errors.As(err, &remote) && remote.Op == "remote error" && !strings.Contains(remote.Error(), "internal error")
	proxy := (*proxyError)(nil)
	refused := errors.As(err, &proxy) && !proxy.busy
	if bad := (*tls.CertificateVerificationError)(nil); errors.As(err, &bad) || refused || alert || errors.Is(err, http.ErrSchemeMismatch) ||
		errors.Is(err, errDowngrade) || errors.Is(err, errRedirects) || errors.Is(err, errProxy) {
		return err
	}
	return &networkError{err}
}

// retry calls try until it succeeds, fails for good or has failed too often
// in a row without progress.
func (c *Client) retry(ctx context.Context, rawURL string, try func() (progressed bool, err error)) error {
	const longest = 10 * time.Second
	pause := orDefault(c.Backoff, 500*time.Millisecond)
	for left := orDefault(c.Retries, 4) - 1; ; left-- {
		progressed, err := try()
		if progressed {
			left = orDefault(c.Retries, 4) - 1
			pause = orDefault(c.Backoff, 500*time.Millisecond)
		}
		after, worth := worthRetry(err)
		if err == nil || !worth || left <= 0 || ctx.Err() != nil {
			return err
		}
		// Jitter keeps a fleet that was started at once from coming back at once.
		wait := max(after, pause/2+rand.N(pause/2+1))
		if c.Note != nil {
			c.Note(fmt.Sprintf("retrying %s in %s: %v", Redact(rawURL), wait.Round(10*time.Millisecond), err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		pause = min(2*pause, longest)
	}
}

// longestAfter is the longest Retry-After that is waited for. When a server
// wants more, the next source is the better choice.
const longestAfter = 60 * time.Second

// worthRetry reports whether an error may be gone in a moment, and how long the
// server wants to be left alone.
func worthRetry(err error) (after time.Duration, worth bool) {
	if status := (*statusError)(nil); errors.As(err, &status) {
		busy := status.code == http.StatusRequestTimeout || status.code == http.StatusTooManyRequests || status.code >= 500
		return status.after, busy && status.after <= longestAfter
	}
	network := (*networkError)(nil)
	return 0, errors.As(err, &network)
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}
