package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Help is what a kubelet says of itself with --help: the flags that it takes,
// without the hidden ones, and the feature gates that it knows.
type Help struct {
	Flags map[string]bool
	// Gates tells each gate's default. Those that are generally available or
	// deprecated are not in the list, although the kubelet takes them.
	Gates map[string]bool
}

// helpTimeout is how long "kubelet --help" may take. It takes some 40 ms
// (v1.37.2).
const helpTimeout = 10 * time.Second

// maxHelp bounds what is read of it; v1.37.2 prints 63 kB.
const maxHelp = 1 << 20

// RefusedError says that a kubelet does not take the flags that it was given.
type RefusedError struct{ Said string }

func (e *RefusedError) Error() string { return e.Said }

// refusal is how the flag parser of kubelets (pflag) says it; early ones print
// their usage around it.
var refusal = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`unknown flag: --[a-zA-Z0-9_.-]+|invalid argument "[^\n]*" for "[^"\n]*" flag`)
})

// ReadHelp runs a kubelet of this machine with flags and --help: it parses the
// flags, prints and ends. Flags that it does not take are a *RefusedError, and so
// are values that do not parse; a flag that it takes without listing it is fine. The file must
// have been proved before.
func ReadHelp(ctx context.Context, path string, flags ...string) (Help, error) {
	bounded, cancel := context.WithTimeout(ctx, helpTimeout)
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(bounded, path, append(slices.Clone(flags), "--help")...)
	cmd.Env = []string{"LC_ALL=C"}
	cmd.Dir = "/"
	cmd.Stdout = &limited{&said, maxHelp}
	cmd.Stderr = cmd.Stdout // early releases print it there
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		switch exit := (*exec.ExitError)(nil); {
		case ctx.Err() != nil:
			err = contextError(ctx)
		case bounded.Err() != nil:
			err = fmt.Errorf("no answer in %s", helpTimeout)
		case errors.As(err, &exit):
			if said := refusal().FindString(said.String()); said != "" {
				return Help{}, &RefusedError{said}
			}
			if line, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n"); line != "" {
				err = fmt.Errorf("%w: %s", err, line)
			}
		}
		return Help{}, fmt.Errorf("running %s --help: %w", path, pathless(err))
	}
	help, err := ParseHelp(said.Bytes())
	if err != nil {
		return Help{}, fmt.Errorf("running %s --help: %w", path, err)
	}
	return help, nil
}

// limited takes so many bytes and drops the rest.
type limited struct {
	to   *bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	l.to.Write(p[:n])
	return len(p), nil
}

var (
	// "      --name type   text", "  -v, --v Level   text" and, for a switch that
	// is not simply true when it stands alone, "      --name[=value]   text"
	helpFlag = regexp.MustCompile(`(?m)^ {2,6}(?:-[a-zA-Z], )?--([a-zA-Z0-9][a-zA-Z0-9_.-]*)(?:[ \t[]|$)`)
	// "Name=true|false (BETA - default=true)", each on a line of its own or behind
	// the text of --feature-gates; from 1.3x on perhaps with a component before it
	helpGate = regexp.MustCompile(`\b(?:kube:)?([A-Z][A-Za-z0-9]+)=true\|false \([A-Z]+ - default=(true|false)\)`)
)

// ParseHelp reads what a kubelet prints with --help. What it does not understand
// it skips; but a text without a kubelet's flags is an error.
func ParseHelp(text []byte) (Help, error) {
	h := Help{Flags: map[string]bool{}, Gates: map[string]bool{}}
	for _, m := range helpFlag.FindAllSubmatch(text, -1) {
		h.Flags[string(m[1])] = true
	}
	for _, m := range helpGate.FindAllSubmatch(text, -1) {
		// A gate may have another default behind the first, for components that
		// are told to get along with older ones; a kubelet cannot be told that.
		if _, said := h.Gates[string(m[1])]; !said {
			h.Gates[string(m[1])] = string(m[2]) == "true"
		}
	}
	const fewest = 40 // 1.13 to 1.37 have 131 to 185
	if len(h.Flags) < fewest || !h.Flags["config"] || !h.Flags["kubeconfig"] {
		return Help{}, errors.New("what it prints is not the help of a kubelet")
	}
	return h, nil
}
