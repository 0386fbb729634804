package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/config"
)

// Question is whether a kubelet takes flags and a configuration, on whatever machine it is going to run.
type Question struct {
	Binary string
	Minor  config.Minor
	// Args are its arguments, each as --NAME=VALUE.
	Args []string
	// Config is the configuration file; nil for none. It takes the place of what --config and --config-dir name.
	Config []byte
}

// Answer is what a kubelet says to a Question.
type Answer struct {
	// Refused are its words when it does not take the flags or the configuration; empty when it does.
	Refused string
	// Ignored are the fields that it does not know, and goes on without.
	Ignored []string
	// Machine is what ended it instead, which is a matter of this machine: a file that is not here.
	Machine string
}

// askTimeout is how long a kubelet may take until it asks for its runtime, which takes a tenth of a second (v1.37.2).
const askTimeout = 30 * time.Second

// noRuntime is the name of a socket that does not exist. A kubelet that has nothing to say against its flags and its
// configuration ends when it asks for its runtime there.
const noRuntime = "no-runtime.sock"

// Ask runs a kubelet without a runtime, without credentials and, where this is root, as nobody: it ends after it has read its
// flags and its configuration. Where the host allows it that happens in the namespaces of a rehearsal.
func Ask(ctx context.Context, q Question) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout+5*time.Second)
	defer cancel()
	t := Trial{Binary: q.Binary, Args: q.Args, Question: &q, Timeout: askTimeout}
	if os.Geteuid() == 0 {
		v, err := t.enter(ctx)
		if err == nil && v.Stage == "" {
			return v.answer(), nil
		}
		if ctx.Err() != nil || err != nil && !errors.Is(err, ErrUnsupported) {
			return Answer{}, err
		}
	}
	dir, err := os.MkdirTemp("", "kubeletctl-ask-")
	if err != nil {
		return Answer{}, err
	}
	defer os.RemoveAll(dir)
	v, err := q.run(ctx, dir)
	if err != nil {
		return Answer{}, err
	}
	return v.answer(), nil
}

// run starts the kubelet with its files in dir, and waits until it ends or has had its time.
func (q Question) run(ctx context.Context, dir string) (verdict, error) {
	binary, err := os.Open(q.Binary)
	if err != nil {
		return verdict{}, err
	}
	defer binary.Close()
	args := q.args(dir)
	attr := &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := q.prepare(dir, attr); err != nil {
		return verdict{}, err
	}
	brief, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	log := &tail{most: 1 << 20}
	cmd := exec.CommandContext(brief, "/proc/self/fd/3", args...) // nobody may not get to where it lies
	cmd.ExtraFiles = []*os.File{binary}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attr
	cmd.WaitDelay = time.Second
	runtime.LockOSThread() // Pdeathsig is sent when the thread ends
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return verdict{}, ctx.Err()
	case brief.Err() != nil:
		return verdict{}, fmt.Errorf("kubelet did not end within %s", askTimeout)
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return verdict{}, err
	}
	return verdict{Log: log.String()}, nil
}

// prepare makes what the kubelet needs in dir, for nobody where this is root.
func (q Question) prepare(dir string, attr *syscall.SysProcAttr) error {
	const nobody = 65534
	made := []string{dir}
	for _, name := range []string{"root", "pki"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
		made = append(made, filepath.Join(dir, name))
	}
	if q.Config != nil {
		file := filepath.Join(dir, configName)
		if err := os.WriteFile(file, q.Config, 0o600); err != nil {
			return err
		}
		made = append(made, file)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	for _, name := range made {
		if err := os.Chown(name, nobody, nobody); err != nil {
			return err
		}
	}
	return nil
}

const configName = "config.yaml"

// leftOut are flags that lead to other machines, or to files that somebody may need: logs, credentials; and to a configuration
// that is not the one in question.
var leftOut = []string{"bootstrap-kubeconfig", "config", "config-dir", "experimental-bootstrap-kubeconfig", "kubeconfig", "log-dir", "log-file"}

// args are those of the kubelet, with those behind them that keep it in dir.
func (q Question) args(dir string) []string {
	var args []string
	override := func(name, value string) { args = append(args, "--"+name+"="+value) }
	for _, arg := range q.Args {
		name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if name = strings.ReplaceAll(name, "_", "-"); !slices.Contains(leftOut, name) {
			args = append(args, arg)
		}
		if name == "lock-file" && value != "" {
			override(name, filepath.Join(dir, "lock"))
		}
	}
	override("root-dir", filepath.Join(dir, "root"))
	override("cert-dir", filepath.Join(dir, "pki"))
	override("container-runtime-endpoint", "unix://"+filepath.Join(dir, noRuntime))
	if q.Config != nil {
		override("config", filepath.Join(dir, configName))
	}
	if f, known := config.LookupFlag("fail-cgroupv1"); known && f.AcceptedBy(min(q.Minor, config.Newest)) {
		override(f.Name, "false") // which version this machine has does not matter
	}
	return args
}

var (
	// refusals are what kubelets say, in lower case, of flags and configurations, whatever the machine. Before 1.24 there was no
	// common beginning.
	refusals = []string{
		"failed to parse kubelet flag", "unknown flag", "unknown shorthand flag", "bad flag syntax", "flag needs an argument", "invalid argument",
		"unknown command", "feature gate", "feature is locked", "features that are disabled", "failed to validate kubelet",
		"invalid configuration", "invalid taint", "failed to load kubelet config", "failed to decode", "failed to merge kubelet config",
		"failed to precedence", "initialize logging", "unknown 'kubernetes.io'", "invalid node labels", "cipher suite", "unknown tls version",
		"curve preference", "authorization mode", "no lock file specified", "unsupported log format",
	}
	// atRuntime are how one ends that has nothing against them.
	atRuntime = []string{"no client provided", "validate service connection", "validate cri", "remote runtime service", noRuntime}
)

// patterns are compiled when a kubelet is asked first.
type patterns struct {
	// ofMachine are parts of such words that are a matter of the machine: its cgroup version. nothing is what is left of them
	// when there was nothing else.
	ofMachine, nothing *regexp.Regexp
	// lenient is the line that tells of fields that are ignored, and unknown one of them.
	lenient, unknown *regexp.Regexp
}

var compiled = sync.OnceValue(func() patterns {
	return patterns{
		ofMachine: regexp.MustCompile(`(invalid configuration: singleProcessOOMKill must not be explicitly set to false when using cgroup v1|` +
			`kubelet is configured to not run on a host using cgroup v1[^\],]*)(, )?`),
		nothing: regexp.MustCompile(`^failed to validate kubelet configuration, error: \[?\]?(, )?path: `),
		lenient: regexp.MustCompile(`Using lenient decoding as strict decoding failed.*`),
		unknown: regexp.MustCompile(`unknown field \\*"([^"\\]+)`),
	}
})

// answer reads what the kubelet said.
func (v verdict) answer() Answer {
	a := Answer{Ignored: v.ignored()}
	words := v.words()
	switch rest := compiled().ofMachine.ReplaceAllString(words, ""); {
	case words == "":
		a.Machine = "it did not say why it ended"
	case rest != words && compiled().nothing.MatchString(rest):
		a.Machine = words
	case containsAny(words, atRuntime):
	case containsAny(rest, refusals):
		a.Refused = words
	default:
		a.Machine = words
	}
	return a
}

// containsAny reports whether a text holds one of some parts, which are in lower case.
func containsAny(text string, parts []string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

// ignored are the fields of the configuration that the kubelet does not know.
func (v verdict) ignored() []string {
	var fields []string
	for _, line := range compiled().lenient.FindAllString(v.Log, -1) {
		for _, match := range compiled().unknown.FindAllStringSubmatch(line, -1) {
			fields = append(fields, match[1])
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

// answerInside is what the first process in the namespaces does for a Question.
func (t Trial) answerInside() verdict {
	v, err := t.Question.run(context.Background(), stage)
	if err != nil {
		v.Stage = err.Error()
	}
	return v
}
