// Package chaos downloads from servers that misbehave, with kubeletctl's client and with go-getter's own, and prints one
// table. "scripts/sweep chaos" shows it.
package chaos

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	getter "github.com/hashicorp/go-getter/v2"

	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

const (
	version = "v1.37.2"
	path    = version + "/bin/linux/amd64/kubelet"
)

// file is what is asked for, other is a file of the same length that is not.
var file, other = make([]byte, 16<<20), make([]byte, 16<<20)

func init() {
	generator := mathrand.NewChaCha8([32]byte{7})
	_, _ = generator.Read(file)
	_, _ = generator.Read(other)
	copy(file, "\x7fELF")
	copy(other, "\x7fELF")
}

// world is what a fault is made of.
type world struct {
	t    *testing.T
	dir  string
	sent atomic.Int64 // bytes of all bodies, as far as servers have handed them to the network
	// certificates are those of the servers; a client that trusts them is one with --ca-file.
	certificates *x509.CertPool
}

// tree is a mirror with faults for the binary.
func (w *world) tree(faults ...mirror.Fault) string {
	// A client that asks for the headers first does not use up a fault that is meant for the body.
	m, head := mirror.Handler(w.dir), mirror.Handler(w.dir)
	for _, f := range faults {
		m.Fault("/kubelet", f)
		if f.Status != 0 && f.Times == 0 {
			head.Fault("/kubelet", f)
		}
	}
	return w.plain(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			head.ServeHTTP(rw, r)
			return
		}
		m.ServeHTTP(rw, r)
	}))
}

func (w *world) plain(h http.Handler) string {
	server := httptest.NewUnstartedServer(w.count(h))
	server.Config.ConnContext = shortQueue
	server.Start()
	w.t.Cleanup(server.Close)
	return server.URL + "/release"
}

// shortQueue lets what a server has sent be what came, but for 64 KiB: on loopback several MiB may wait in a connection,
// and are lost when it breaks off.
func shortQueue(ctx context.Context, c net.Conn) context.Context {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(64 << 10)
	}
	return ctx
}

// count notes how much of the body is sent.
func (w *world) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { h.ServeHTTP(&counter{rw, &w.sent}, r) })
}

type counter struct {
	http.ResponseWriter
	sent *atomic.Int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// changed serves the file through a handler that may alter request and answer.
func (w *world) changed(serve func(n int64, rw http.ResponseWriter, r *http.Request)) string {
	var n atomic.Int64
	return w.plain(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { serve(n.Add(1), rw, r) }))
}

func content(rw http.ResponseWriter, r *http.Request, b []byte) {
	http.ServeContent(rw, r, "", time.Unix(1_700_000_000, 0), bytes.NewReader(b))
}

// secure is a server with a certificate that is valid from and to, and is not known to anybody.
func (w *world) secure(from, to time.Time, h http.Handler) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotBefore: from, NotAfter: to, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		w.t.Fatal(err)
	}
	own, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	w.certificates.AddCert(own)
	server := httptest.NewUnstartedServer(w.count(h))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it would tell of each handshake that a client refuses
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	w.t.Cleanup(server.Close)
	return server.URL + "/release"
}

// closed is an address at which nobody listens.
func (w *world) closed() (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// blackHole is an address, of IPv6 where there is one, at which packets for new connections are dropped.
func (w *world) blackHole() string {
	family, address := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Addr: [16]byte{15: 1}})
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil && syscall.Bind(fd, address) != nil {
		syscall.Close(fd)
		err = syscall.EAFNOSUPPORT
	}
	if err != nil {
		address = &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
		if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err == nil {
			err = syscall.Bind(fd, address)
		}
	}
	if err == nil {
		err = syscall.Listen(fd, 0)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { syscall.Close(fd) })
	name, err := syscall.Getsockname(fd)
	if err != nil {
		w.t.Fatal(err)
	}
	var at string
	switch a := name.(type) {
	case *syscall.SockaddrInet6:
		at = fmt.Sprintf("[::1]:%d", a.Port)
	case *syscall.SockaddrInet4:
		at = fmt.Sprintf("127.0.0.1:%d", a.Port)
	}
	for range 2 { // fill the queue
		if conn, err := net.DialTimeout("tcp", at, 200*time.Millisecond); err == nil {
			w.t.Cleanup(func() { conn.Close() })
		}
	}
	return at
}

// fault is a way to misbehave.
type fault struct {
	name string
	// sources are what a client is given, in order.
	sources func(w *world) []string
	partial []byte // is there already
	// converges: the right file comes. Otherwise the error says so.
	converges bool
	says      string
	checksum  bool // the digest is not known before
	trusts    bool // the client knows the certificates of the servers
	// costs is how many times the length of the file is sent at most, where all of a wrong file has come first; 1.1 when 0.
	costs float64
}

func one(url string) []string { return []string{url} }

var faults = []fault{
	{name: "none", sources: func(w *world) []string { return one(w.tree()) }, converges: true},
	{name: "reset in the body, at random offsets", sources: func(w *world) []string {
		at := func() mirror.Fault { return mirror.Fault{ResetAfter: 1 + mathrand.Int64N(12<<20), Times: 1} }
		return one(w.tree(at(), at(), at()))
	}, converges: true},
	{name: "truncated, length told", sources: func(w *world) []string { return one(w.tree(mirror.Fault{TruncateAfter: 1 << 20, Times: 1})) }, converges: true},
	{name: "truncated, length not told", sources: func(w *world) []string {
		return one(w.tree(mirror.Fault{TruncateAfter: 1 << 20, NoLength: true, Times: 1}))
	}, converges: true},
	{name: "ends early as if complete", sources: func(w *world) []string {
		return one(w.tree(mirror.Fault{EndAfter: 1 << 20, NoLength: true, Times: 1}))
	}, converges: true},
	{name: "ignores Range", partial: file[:1<<20], sources: func(w *world) []string { return one(w.tree(mirror.Fault{IgnoreRange: true})) }, converges: true},
	{name: "wrong Content-Range", partial: file[:1<<20], sources: func(w *world) []string { return one(w.tree(mirror.Fault{WrongRange: true, Times: 1})) }, converges: true},
	{name: "206 with another ETag, and another file", partial: file[:1<<20], sources: func(w *world) []string {
		return one(w.changed(func(n int64, rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("ETag", fmt.Sprintf(`"%d"`, n))
			if n == 1 {
				content(rw, r, other)
				return
			}
			content(rw, r, file)
		}))
	}, converges: true},
	{name: "another file between two ranges", sources: func(w *world) []string {
		return one(w.changed(func(n int64, rw http.ResponseWriter, r *http.Request) {
			if n == 1 {
				rw.Header().Set("Content-Length", fmt.Sprint(len(other)))
				_, _ = rw.Write(other[:1<<20])
				panic(http.ErrAbortHandler)
			}
			content(rw, r, file)
		}))
	}, converges: true},
	{name: "foreign partial file", partial: other[:1<<20], sources: func(w *world) []string { return one(w.tree()) }, converges: true},
	{name: "longer partial file", partial: append(bytes.Clone(file), other[:1000]...), sources: func(w *world) []string { return one(w.tree()) }, converges: true},
	{name: "HEAD refused", sources: func(w *world) []string {
		return one(w.changed(func(_ int64, rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				rw.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			content(rw, r, file)
		}))
	}, converges: true},
	{name: "404 at the first source", sources: func(w *world) []string { return []string{w.tree(mirror.Fault{Status: 404}), w.tree()} }, converges: true},
	{name: "404 everywhere", sources: func(w *world) []string {
		return []string{w.tree(mirror.Fault{Status: 404}), w.tree(mirror.Fault{Status: 404})}
	}, says: "was not found"},
	{name: "403 at the first source", sources: func(w *world) []string { return []string{w.tree(mirror.Fault{Status: 403}), w.tree()} }, converges: true},
	{name: "429 with Retry-After, then fine", sources: func(w *world) []string {
		return one(w.tree(mirror.Fault{Status: 429, RetryAfter: "1", Times: 1}))
	}, converges: true},
	{name: "500, then fine", sources: func(w *world) []string { return one(w.tree(mirror.Fault{Status: 500, Times: 2})) }, converges: true},
	{name: "503, then fine", sources: func(w *world) []string { return one(w.tree(mirror.Fault{Status: 503, Times: 2})) }, converges: true},
	{name: "503 for ever, then another source", sources: func(w *world) []string { return []string{w.tree(mirror.Fault{Status: 503}), w.tree()} }, converges: true},
	{name: "redirects in a circle", sources: func(w *world) []string {
		return one(w.changed(func(_ int64, rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, r.URL.Path, http.StatusFound)
		}))
	}, says: "more than 10 redirects"},
	{name: "redirect to plain http", sources: func(w *world) []string {
		to := w.tree()
		return one(w.secure(time.Now().Add(-time.Hour), time.Now().Add(time.Hour), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, to+"/"+path, http.StatusFound)
		})))
	}, trusts: true, says: "refused a redirect from https to plain http"},
	{name: "redirect to another host", sources: func(w *world) []string {
		to := strings.Replace(w.tree(), "127.0.0.1", "localhost", 1)
		return one(w.changed(func(_ int64, rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, to+"/"+path, http.StatusFound)
		}))
	}, converges: true},
	{name: "trickles, just too fast to stall", sources: func(w *world) []string { return []string{w.tree(mirror.Fault{Throttle: 100, Times: 1})} }, converges: true},
	{name: "stalls in the body", sources: func(w *world) []string { return one(w.tree(mirror.Fault{StallAfter: 1 << 20, Times: 1})) }, converges: true},
	{name: "no headers come", sources: func(w *world) []string { return one(w.tree(mirror.Fault{Stall: true, Times: 1})) }, converges: true},
	{name: "garbage as checksum file", checksum: true, sources: func(w *world) []string {
		m := mirror.Handler(w.dir)
		m.Fault(".sha", mirror.Fault{Body: "d41d8cd98f00b204e9800998ecf8427e  kubelet"})
		return one(w.plain(m))
	}, says: "length of an MD5"},
	{name: "HTML page with 200", sources: func(w *world) []string { return one(w.tree(mirror.Fault{Body: "<html>Log in</html>"})) }, says: "it is an HTML page, not a kubelet"},
	{name: "HTML page with 200, then another source", sources: func(w *world) []string {
		return []string{w.tree(mirror.Fault{Body: "<html>Log in</html>"}), w.tree()}
	}, converges: true},
	{name: "gzip Content-Encoding", sources: func(w *world) []string {
		return one(w.changed(func(_ int64, rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(rw)
			_, _ = z.Write(file)
			_ = z.Close()
		}))
	}, says: "gzip"},
	{name: "longer than the file", sources: func(w *world) []string {
		return []string{w.changed(func(_ int64, rw http.ResponseWriter, r *http.Request) {
			content(rw, r, append(bytes.Clone(file), other[:9]...))
		}), w.tree()}
	}, converges: true, costs: 2.1},
	{name: "the server's clock is far off", sources: func(w *world) []string {
		return one(w.changed(func(_ int64, rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Date", "Thu, 01 Jan 1970 00:00:00 GMT")
			http.ServeContent(rw, r, "", time.Now().AddDate(50, 0, 0), bytes.NewReader(file))
		}))
	}, converges: true},
	{name: "certificate expired", sources: func(w *world) []string {
		return one(w.secure(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour), mirror.Handler(w.dir)))
	}, says: "certificate"},
	{name: "certificate of nobody", sources: func(w *world) []string {
		return one(w.secure(time.Now().Add(-time.Hour), time.Now().Add(time.Hour), mirror.Handler(w.dir)))
	}, says: "certificate"},
	{name: "no such name, then another source", sources: func(w *world) []string { return []string{"http://mirror.invalid/release", w.tree()} }, converges: true},
	{name: "connection refused, then fine", sources: func(w *world) []string {
		at := w.closed()
		go func() {
			time.Sleep(60 * time.Millisecond)
			if l, err := net.Listen("tcp", at); err == nil {
				server := &http.Server{Handler: w.count(mirror.Handler(w.dir)), ReadHeaderTimeout: time.Minute}
				w.t.Cleanup(func() { server.Close() })
				_ = server.Serve(l)
			}
		}()
		return one("http://" + at + "/release")
	}, converges: true},
	{name: "packets vanish, then another source", sources: func(w *world) []string { return []string{"http://" + w.blackHole() + "/release", w.tree()} }, converges: true},
}

// outcome is a row of the table, for one client.
type outcome struct {
	text  string
	right bool    // the right file is there, and no error
	wrong bool    // another file is there, and no error
	times float64 // that the length of the file was sent
}

func (f fault) run(t *testing.T, dir string, fetch func(ctx context.Context, w *world, sources []string, to string) error) outcome {
	w := &world{t: t, dir: dir, certificates: x509.NewCertPool()}
	sources := f.sources(w)
	to := filepath.Join(t.TempDir(), "kubelet")
	if f.partial != nil {
		if err := os.WriteFile(to, f.partial, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := fetch(ctx, w, sources, to)
	got, _ := os.ReadFile(to)
	o := outcome{right: err == nil && bytes.Equal(got, file), times: float64(w.sent.Load()) / float64(len(file))}
	o.wrong = err == nil && !o.right
	switch {
	case o.right:
		o.text = "right"
	case o.wrong:
		o.text = "WRONG FILE, no error"
	case ctx.Err() != nil:
		o.text = "hangs"
	default:
		o.text = "error"
		if got != nil && !bytes.Equal(got, file) && !bytes.HasPrefix(file, got) {
			o.text = "error, wrong file left"
		}
	}
	if err != nil {
		o.text += ": " + strings.ReplaceAll(err.Error(), "\n", " ")
	}
	return o
}

func ours(f fault) func(context.Context, *world, []string, string) error {
	return func(ctx context.Context, w *world, sources []string, to string) error {
		v, err := release.ParseVersion(version)
		if err != nil {
			return err
		}
		c := &release.Client{Sources: sources, StallTimeout: time.Second, Backoff: 50 * time.Millisecond,
			Connections: 1} // on a busy machine each server is slow, and what waits in a stream is lost when others help it
		if f.trusts {
			c.RootCAs = w.certificates
		}
		given := release.Digest{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(file))}
		if f.checksum {
			given = release.Digest{}
		}
		a, err := c.Artifact(ctx, v, "amd64", given)
		if err != nil {
			return err
		}
		_, err = c.Fetch(ctx, a, to)
		return err
	}
}

// stock is go-getter's HttpGetter asked for the first source, since it knows of no other.
func stock(ctx context.Context, _ *world, sources []string, to string) error {
	client := &getter.Client{Getters: []getter.Getter{&getter.HttpGetter{XTerraformGetDisabled: true}}, Decompressors: map[string]getter.Decompressor{}}
	src := sources[0] + "/" + path
	_, err := client.Get(ctx, &getter.Request{Src: src, Dst: to, GetMode: getter.ModeFile})
	return err
}

// Whatever a server does: the right file comes, or an error that says why, and no wrong file is taken for a right one.
func TestChaos(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := mirror.WriteTree(dir, mirror.Release{Version: version, Arch: "amd64", Binary: file}); err != nil {
		t.Fatal(err)
	}
	results := make([][2]outcome, len(faults))
	t.Run("faults", func(t *testing.T) {
		for i, f := range faults {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				o := f.run(t, dir, ours(f))
				results[i] = [2]outcome{o, f.run(t, dir, stock)}
				if o.right != f.converges || o.wrong {
					t.Errorf("%s", o.text)
				}
				if limit := max(f.costs, 1.1); o.right && o.times > limit {
					t.Errorf("%.2f times its length was sent, at most %.2f would do", o.times, limit)
				}
				if !f.converges && !strings.Contains(o.text, f.says) {
					t.Errorf("%q does not say %q", o.text, f.says)
				}
			})
		}
	})
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FAULT\tKUBELETCTL\tSENT\tGO-GETTER'S HTTPGETTER\tSENT")
	right, wrong, stockRight, stockWrong, most := 0, 0, 0, 0, 0.0
	for i, f := range faults {
		o, s := results[i][0], results[i][1]
		fmt.Fprintf(table, "%s\t%.60s\t%.2f\t%.60s\t%.2f\n", f.name, o.text, o.times, s.text, s.times)
		if o.right {
			right++
			if f.costs == 0 {
				most = max(most, o.times)
			}
		}
		if s.right {
			stockRight++
		}
		if o.wrong {
			wrong++
		}
		if s.wrong {
			stockWrong++
		}
	}
	_ = table.Flush()
	t.Logf("\n%s", b.String())
	t.Logf("verdict: %d faults: kubeletctl got the right file %d times and a wrong one without an error %d times, go-getter %d and %d; "+
		"but where all of a wrong file came first, at most %.2f times its length was sent", len(faults), right, wrong, stockRight, stockWrong, most)
}
