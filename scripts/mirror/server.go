package mirror

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Server serves a tree below /release/. It is an http.Handler.
type Server struct {
	// Observe is called after each request; may be nil.
	Observe func(Request)
	// Fast lets the kernel copy files that no fault is armed for, as other web servers do; their bytes are in the log when a
	// request is over.
	Fast bool

	dir    string
	mu     sync.Mutex
	log    []*Request
	faults []*armed
}

// Request is one line of the log.
type Request struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Range  string `json:"range,omitempty"`
	Status int    `json:"status"`
	Bytes  int64  `json:"bytes"` // of the body that were sent
}

// Fault is a way to misbehave. The zero value of each field is "no such
// fault"; several may be set together.
type Fault struct {
	Times int // how many requests it is for; 0: all

	Status      int    // answer this instead of the file
	RetryAfter  string // header sent with Status
	Redirect    string // answer 302 to here
	Body        string // answer 200 with this instead of the file
	NoLength    bool   // do not tell the length (chunked)
	IgnoreRange bool   // answer 200 with the whole file to a Range request
	WrongRange  bool   // answer 206 with the file's first bytes, whatever was asked for

	// After this many bytes of the body the connection is closed, reset, or
	// stays open with nothing coming until the client goes away.
	// EndAfter ends it as if it were complete; that needs NoLength.
	TruncateAfter, ResetAfter, StallAfter, EndAfter int64
	Stall                                           bool // not even headers come

	Throttle int // bytes per second
}

type armed struct {
	match string
	left  int // -1: for ever
	Fault
}

// Handler serves the tree in dir.
func Handler(dir string) *Server { return &Server{dir: dir} }

// Fault arms a fault for requests whose path contains match. When several
// match, the one armed first is used until its Times are over.
func (s *Server) Fault(match string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := f.Times
	if left == 0 {
		left = -1
	}
	s.faults = append(s.faults, &armed{match, left, f})
}

// Log returns the requests so far, in the order in which they came. One that
// is still being answered has the bytes up to now.
func (s *Server) Log() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := make([]Request, len(s.log))
	for i, r := range s.log {
		log[i] = *r
	}
	return log
}

// Reset forgets log and faults.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log, s.faults = nil, nil
}

func (s *Server) fault(path string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.left != 0 && strings.Contains(path, f.match) {
			if f.left > 0 {
				f.left--
			}
			return f.Fault
		}
	}
	return Fault{}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := &Request{Method: r.Method, Path: r.URL.Path, Range: r.Header.Get("Range")}
	s.mu.Lock()
	s.log = append(s.log, request)
	s.mu.Unlock()
	out := &writer{ResponseWriter: w, server: s, request: request, ctxDone: r.Context().Done(), fault: s.fault(r.URL.Path)}
	if s.Observe != nil {
		// Deferred, because a fault ends the handler with a panic.
		defer func() { s.Observe(*request) }()
	}
	s.serve(out, r)
}

// notFound is what the bucket answers, in its form.
const notFound = `<?xml version='1.0' encoding='UTF-8'?><Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`

func (s *Server) serve(w *writer, r *http.Request) {
	f := w.fault
	switch {
	case f.Stall:
		<-r.Context().Done()
		return
	case f.Redirect != "":
		http.Redirect(w, r, f.Redirect, http.StatusFound)
		return
	case f.Status != 0:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		w.WriteHeader(f.Status)
		io.WriteString(w, http.StatusText(f.Status))
		return
	case f.Body != "":
		io.WriteString(w, f.Body)
		return
	}
	name, below := strings.CutPrefix(r.URL.Path, "/release/")
	file, err := os.OpenInRoot(s.dir, name)
	if below && err == nil {
		defer file.Close()
		var info os.FileInfo
		if info, err = file.Stat(); err == nil && info.Mode().IsRegular() {
			if f.IgnoreRange {
				r.Header.Del("Range")
			}
			if f.WrongRange && r.Header.Get("Range") != "" {
				r.Header.Set("Range", "bytes=0-")
			}
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
			http.ServeContent(w, r, "", info.ModTime(), file)
			return
		}
	}
	w.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	w.WriteHeader(http.StatusNotFound)
	io.WriteString(w, notFound)
}

// writer counts what is sent and breaks off where a fault says so.
type writer struct {
	http.ResponseWriter
	server  *Server
	request *Request
	ctxDone <-chan struct{}
	fault   Fault
	sent    int64
}

func (w *writer) record(status int, bytes int) {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	w.sent += int64(bytes)
	w.request.Status, w.request.Bytes = status, w.sent
}

func (w *writer) WriteHeader(status int) {
	w.record(status, 0)
	if w.fault.NoLength {
		w.Header().Del("Content-Length")
	}
	w.ResponseWriter.WriteHeader(status)
	if w.fault.NoLength {
		w.Flush() // else net/http counts a short body and tells its length
	}
}

func (w *writer) Write(p []byte) (int, error) {
	if w.request.Status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	written := 0
	for len(p) > 0 {
		if w.over() {
			if w.fault.EndAfter > 0 {
				return written, io.ErrShortWrite // the handler returns, and net/http ends the body in good order
			}
			w.breakOff()
		}
		n := min(w.piece(), len(p))
		// Recorded first: a client that has got the bytes finds them in the log.
		w.record(w.request.Status, n)
		n, err := w.ResponseWriter.Write(p[:n])
		written += n
		p = p[n:]
		if err != nil {
			return written, err
		}
		if w.fault.Throttle > 0 {
			w.Flush()
			time.Sleep(time.Duration(n) * time.Second / time.Duration(w.fault.Throttle))
		}
	}
	return written, nil
}

// ReadFrom copies a file to the connection.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	to, able := w.ResponseWriter.(io.ReaderFrom)
	if !able || !w.server.Fast || w.fault != (Fault{}) {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	n, err := to.ReadFrom(r)
	w.record(w.request.Status, int(n))
	return n, err
}

// Flush makes http.ResponseController and this package agree.
func (w *writer) Flush() { http.NewResponseController(w.ResponseWriter).Flush() }

// end is the number of bytes after which to break off.
func (w *writer) end() int64 {
	return max(w.fault.TruncateAfter, w.fault.ResetAfter, w.fault.StallAfter, w.fault.EndAfter)
}

func (w *writer) over() bool { return w.end() > 0 && w.sent >= w.end() }

// piece is how many bytes to write at once.
func (w *writer) piece() int {
	n := int64(64 << 10)
	if w.end() > 0 {
		n = min(n, w.end()-w.sent)
	}
	if w.fault.Throttle > 0 {
		n = min(n, max(int64(w.fault.Throttle)/20, 1))
	}
	return int(n)
}

// breakOff ends the request without the rest of the body. It does not return.
func (w *writer) breakOff() {
	w.Flush()
	if w.fault.StallAfter > 0 {
		<-w.ctxDone
	}
	if w.fault.ResetAfter > 0 {
		if conn, _, err := http.NewResponseController(w.ResponseWriter).Hijack(); err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				tcp.SetLinger(0) // a reset instead of an orderly end
			}
			conn.Close()
		}
	}
	panic(http.ErrAbortHandler)
}
