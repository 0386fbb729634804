package hosttest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/scripts/mirror"
	"github.com/kubeletctl/kubeletctl/scripts/testhost"
)

// slowMirror is a mirror in the host's network from which a kubelet comes so slowly that the host can change meanwhile.
type slowMirror struct {
	h       *host
	handler *mirror.Server
	server  *httptest.Server
	source  string
}

func (h *host) slowMirror() *slowMirror {
	h.t.Helper()
	listener, err := h.listen()
	if err != nil {
		h.t.Fatal(err)
	}
	m := &slowMirror{h: h, handler: mirror.Handler(h.dir)}
	m.handler.Fault("/kubelet", mirror.Fault{Throttle: 200_000})
	m.server = httptest.NewUnstartedServer(m.handler)
	m.server.Listener.Close()
	m.server.Listener = listener
	m.server.Start()
	h.t.Cleanup(m.server.Close)
	m.source = fmt.Sprintf("http://%s/release", listener.Addr())
	return m
}

// listen listens on the host's loopback; the socket is the host's, whoever accepts from it.
func (h *host) listen() (listener net.Listener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread is of no use for the outside any more, and ends with the goroutine
		var namespace *os.File
		if namespace, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", h.PID())); err != nil {
			return
		}
		defer namespace.Close()
		if err = unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err == nil {
			listener, err = net.Listen("tcp", "127.0.0.1:0")
		}
	}()
	<-done
	return listener, err
}

// await waits until a kubelet is on its way.
func (m *slowMirror) await() {
	m.h.t.Helper()
	m.h.eventually("the download is under way", func() bool {
		for _, r := range m.handler.Log() {
			if strings.HasSuffix(r.Path, "/kubelet") && r.Bytes > 0 {
				return true
			}
		}
		return false
	})
}

// end breaks off what is under way; what is asked for then meets the faults.
func (m *slowMirror) end(faults ...mirror.Fault) {
	m.handler.Reset()
	for _, f := range faults {
		m.handler.Fault("/kubelet", f)
	}
	m.server.CloseClientConnections()
}

// running is a command inside that has been started.
type running struct {
	h              *host
	command        *exec.Cmd
	stdout, stderr bytes.Buffer
}

func (h *host) begin(name string, args ...string) *running {
	h.t.Helper()
	r := &running{h: h, command: h.Command(context.Background(), name, args...)}
	r.command.Stdout, r.command.Stderr = &r.stdout, &r.stderr
	if err := r.command.Start(); err != nil {
		h.t.Fatal(err)
	}
	return r
}

// exits waits for the end of the command; it has to exit with the code.
func (r *running) exits(code int) testhost.Result {
	r.h.t.Helper()
	got := testhost.ExitCode(r.command.Wait())
	if got != code {
		r.h.t.Fatalf("%q: exit code %d, want %d\n%s%s", r.command.Args, got, code, &r.stdout, &r.stderr)
	}
	return testhost.Result{Stdout: r.stdout.String(), Stderr: r.stderr.String(), ExitCode: got}
}

// A download takes minutes, in which the host is its administrator's. One that fails has changed nothing, and so undoes
// nothing.
func TestHostChangesDuringADownload(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.1")...)
	m := h.slowMirror()
	upgrade := h.begin("kubeletctl", "upgrade", "--version", "v1.37.2", "--source", m.source)
	m.await()
	h.must("sh", "-ec", "echo '# mine' >>/var/lib/kubelet/kubelet-config.yaml; systemctl stop kubelet.service")
	before := h.kept()
	m.end(mirror.Fault{Status: 404})
	r := upgrade.exits(1)
	contains(t, r.Stderr, "404|not found|has no kubelet")
	if strings.Contains(r.Stderr, "rolled back") {
		t.Errorf("it says that something was undone:\n%s", r.Stderr)
	}
	if after := h.kept(); after != before {
		t.Errorf("files changed:\n%s", difference(before, after))
	}
	contains(t, h.must("cat", "/var/lib/kubelet/kubelet-config.yaml"), "(?m)^# mine$")
	if state := h.show("ActiveState"); state != "inactive" {
		t.Errorf("kubelet is %s, although the administrator has stopped it", state)
	}
	if h.try("test", "-e", "/var/lib/kubeletctl/pending").ExitCode == 0 {
		t.Error("a change is pending")
	}
}
