package rehearsal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kubeletctl/kubeletctl/install/health"
)

// Inside is the first process in the namespaces of a rehearsal: it sets the stage, starts the kubelet, and reports on out.
func Inside(in io.Reader, out io.Writer) error {
	if os.Getpid() != 1 {
		return errors.New("this is a part of kubeletctl install and cannot be run by itself")
	}
	var t Trial
	if err := json.NewDecoder(in).Decode(&t); err != nil {
		return err
	}
	// A capability is dropped for one thread, and inherited from the thread that starts the kubelet; that thread also has to
	// live on, or Pdeathsig ends the kubelet. It is never unlocked: no other goroutine may get a thread like that.
	runtime.LockOSThread()
	var v verdict
	stub, err := t.setStage()
	switch {
	case err != nil:
		v.Stage = err.Error()
	case t.Question != nil:
		v = t.answerInside()
	default:
		v = t.perform(stub)
	}
	return json.NewEncoder(out).Encode(v)
}

const (
	// stage holds what the rehearsal itself needs. It is on a file system that only this namespace sees.
	stage  = "/run/rehearsal"
	socket = stage + "/cri.sock"
	// pause is the time between two looks at a kubelet.
	pause = 20 * time.Millisecond
	// steadyFor is how long it must stay alive once it was healthy: some of what it does not like it finds only then.
	steadyFor = 300 * time.Millisecond
)

// perform starts the kubelet and waits until it is healthy, exits, or has had its time.
func (t Trial) perform(runtime *stub) verdict {
	ctx, cancel := context.WithTimeout(context.Background(), t.Timeout)
	defer cancel()
	log := &tail{most: 1 << 20}
	cmd := exec.Command(t.Binary, t.args()...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return verdict{Ended: "it did not start: " + err.Error()}
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	passed := make(chan struct{})
	go func() {
		if t.healthy(ctx, runtime) {
			close(passed)
		}
	}()
	v := verdict{}
	select {
	case err := <-ended:
		v.Ended = "it " + health.Ending(cmd.ProcessState)
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			v.Ended += ": " + err.Error()
		}
	case <-passed:
		v.Passed = true
	case <-ctx.Done():
	}
	v.Log = log.String()
	return v // what still runs ends with this process
}

// healthy waits until the kubelet is healthy, and has been for a moment.
func (t Trial) healthy(ctx context.Context, runtime *stub) bool {
	if t.HealthURL == "" {
		select {
		case <-runtime.asked:
		case <-ctx.Done():
			return false
		}
		return sleep(ctx, time.Second)
	}
	for !health.Probe(ctx, t.HealthURL).OK {
		if !sleep(ctx, pause) {
			return false
		}
	}
	return sleep(ctx, steadyFor)
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// args are those of the kubelet, with those behind them that lead it away from what is real. Of a flag that is given twice
// the last one counts.
func (t Trial) args() []string {
	args := append([]string{}, t.Args...)
	override := func(name, value string) { args = append(args, "--"+name+"="+value) }
	override("root-dir", stage+"/root")
	override("cert-dir", stage+"/pki")
	override("container-runtime-endpoint", "unix://"+socket)
	for _, arg := range t.Args { // where it is not told otherwise, it is that of the runtime
		if strings.HasPrefix(arg, "--image-service-endpoint=") {
			override("image-service-endpoint", "unix://"+socket)
		}
		if name, _, _ := strings.Cut(arg, "="); t.NoCredentials && (name == "--kubeconfig" || name == "--bootstrap-kubeconfig") {
			override(strings.TrimPrefix(name, "--"), stage+"/kubeconfig")
		}
	}
	return args
}

// fakeKubeconfig is a kubeconfig for a node that has none yet. Nobody answers there.
const fakeKubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: none}}]
current-context: c
`

// write puts a file in a directory that the rehearsal covers.
func write(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o600)
}

// tail keeps the end of what is written to it, and may be read meanwhile.
type tail struct {
	mu   sync.Mutex
	most int
	text []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if len(l.text) > 2*l.most {
		l.text = bytes.Clone(l.text[len(l.text)-l.most:])
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
