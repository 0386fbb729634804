// Package rehearsal starts a kubelet where it can do no harm, to see whether it starts at all.
//
// The candidate runs with the flags and the configuration that it is to get, in mount, pid, network, ipc, uts and cgroup
// namespaces of its own. Every file system is read-only there, /proc/sys and the cgroup tree among them; what a kubelet
// writes to is covered by empty file systems that go with the namespace, and so are the sockets of the host's daemons. Its
// root and certificate directories are thrown away, and a stub answers in place of the container runtime. When /healthz says
// ok in there the candidate has read its flags, its configuration, its certificates and its kubeconfig, and has found
// nothing to refuse.
//
// What it cannot see: whether the real runtime, the API server and the ports of this host are to its liking. For that
// there is the health gate.
package rehearsal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Verb is the hidden verb with which this program plays the part of the stage: see [Inside].
const Verb = "rehearse"

// Trial is a kubelet to be tried.
type Trial struct {
	// Binary is the candidate. Its digest was proved before.
	Binary string
	// Args are its arguments, without its name.
	Args []string
	// Files are those that it must find although they are not on the disk yet, by path. They lie in a directory that the
	// rehearsal covers: /var/lib/kubelet.
	Files map[string][]byte
	// RootDir is the root directory of the real kubelet, of which the credentials are shown and the state is hidden.
	RootDir string
	// HideDirs are directories that must look empty: that of the static pods.
	HideDirs []string
	// NoCredentials is set when the node has no kubeconfig yet; a made-up one takes its place.
	NoCredentials bool
	// HealthURL answers when kubelet is well. Without one, a kubelet that still runs a second after it had asked its
	// runtime has passed.
	HealthURL string
	// Question is set when the kubelet is only asked about its flags and its configuration; see [Ask].
	Question *Question
	// Timeout is how long it may take.
	Timeout time.Duration
}

// ErrUnsupported says that this host does not allow a rehearsal: no namespaces, as in a container.
var ErrUnsupported = errors.New("this host does not allow a rehearsal")

// RefusedError says that the candidate did not start.
type RefusedError struct {
	// Reason is ours; Words are kubelet's own and may be empty.
	Reason, Words string
	// Log is all that kubelet said, or the end of it.
	Log string
}

func (e *RefusedError) Error() string {
	if e.Words == "" {
		return e.Reason
	}
	return e.Reason + ": " + e.Words
}

// verdict is what the stage reports.
type verdict struct {
	// Stage is what kept the rehearsal itself from being made ready.
	Stage string
	// Passed is set when the kubelet was healthy.
	Passed bool
	// Ended says how the process exited by itself.
	Ended string
	Log   string
}

// Run tries a kubelet. It returns no error when that was healthy, a *RefusedError when it was not, and ErrUnsupported when it
// could not be tried; and the fields of the configuration that it does not know and goes on without. Whatever happens, also
// to this process, nothing of it is left.
func Run(ctx context.Context, t Trial) (ignored []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout+5*time.Second)
	defer cancel()
	v, err := t.enter(ctx)
	if err != nil {
		return nil, err
	}
	return v.ignored(), v.err(t)
}

// enter starts this program once more, as the first process of namespaces of its own, and returns what it found.
func (t Trial) enter(ctx context.Context) (v verdict, err error) {
	input, err := json.Marshal(t)
	if err != nil {
		return v, err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", Verb)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Dir = "/"
	var out, complaints bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
		Pdeathsig:  syscall.SIGKILL, // and with the first process of a pid namespace the kernel ends all others
		Setsid:     true,
	}
	cmd.WaitDelay = time.Second
	runtime.LockOSThread() // the signal comes when the thread ends that started it
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return v, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		return v, ctx.Err()
	}
	if decoding := json.Unmarshal(out.Bytes(), &v); decoding != nil {
		return v, fmt.Errorf("%w: %w: %s", ErrUnsupported, errors.Join(err, decoding), bytes.TrimSpace(complaints.Bytes()))
	}
	return v, nil
}

// err is the outcome as an error; nil when the kubelet passed.
func (v verdict) err(t Trial) error {
	switch {
	case v.Stage != "":
		return fmt.Errorf("%w: %s", ErrUnsupported, v.Stage)
	case v.Passed, waitsForCertificate(v.Log):
		return nil
	}
	reason := v.Ended
	if reason == "" {
		reason = fmt.Sprintf("it was not healthy within %s", t.Timeout)
	}
	return &RefusedError{Reason: reason, Words: v.words(), Log: v.Log}
}

// words are those that tell why the kubelet ended.
func (v verdict) words() string {
	reason, _ := kubeletlog.Reason(kubeletlog.Parse(systemd.ParseEntries([]byte(v.Log))))
	return reason.Text()
}

// waitsForCertificate reports whether a kubelet got as far as asking the API server for its first certificate, which it
// cannot have here. With rotateCertificates off that is where it ends.
func waitsForCertificate(log string) bool {
	return bytes.Contains([]byte(log), []byte("cannot create certificate signing request"))
}
