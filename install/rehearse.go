package install

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/rehearsal"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// rehearsalTimeout is how long a kubelet may take to be healthy in its rehearsal. It takes about a second.
const rehearsalTimeout = 20 * time.Second

// RehearsalError tells that a kubelet did not start in its rehearsal. Nothing was changed.
type RehearsalError struct {
	Version release.Version
	Err     *rehearsal.RefusedError
	// Blame is the flag, or the line of the configuration, that kubelet complains of; empty when its words do not tell.
	Blame string
}

func (e *RehearsalError) Error() string {
	text := fmt.Sprintf("kubelet %s did not start when it was rehearsed: %v", e.Version, e.Err)
	if e.Blame != "" {
		text += " (" + e.Blame + ")"
	}
	return text
}
func (e *RehearsalError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *RehearsalError) Hint() string {
	return "nothing was changed; mend that, or try it on this host all the same: --skip-rehearsal"
}

// rehearse tries what kubelet is about to be started with, where it can do no harm.
func (h *Host) rehearse(ctx context.Context, c *Change, o ApplyOptions) error {
	if h.Rehearse == nil || o.SkipRehearsal || !h.Live || c.Want.Arch != runtime.GOARCH || c.Want.Snapshot || !c.Plan.switchesKubelet() {
		return nil
	}
	args, err := c.Want.args()
	if err != nil {
		return err
	}
	config := c.Want.file(ConfigFile)
	trial := rehearsal.Trial{
		Binary: c.Want.binary().Path, Args: args, Files: map[string][]byte{ConfigFile: config.Content}, RootDir: c.Want.rootDir(),
		NoCredentials: !c.Seen.Credentials, HealthURL: c.Want.HealthURL, Timeout: rehearsalTimeout,
	}
	fields, err := configFields(c.Want)
	if err != nil {
		return err
	}
	if dir, ok := fields["staticPodPath"].(string); ok {
		trial.HideDirs = append(trial.HideDirs, dir)
	}
	if dir, ok := argument(args, "pod-manifest-path"); ok {
		trial.HideDirs = append(trial.HideDirs, dir)
	}
	err = h.Rehearse(ctx, trial)
	var refused *rehearsal.RefusedError
	switch {
	case errors.As(err, &refused):
		return &RehearsalError{Version: c.Want.Version, Err: refused, Blame: blame(refused, args, string(config.Content))}
	case errors.Is(err, rehearsal.ErrUnsupported) && ctx.Err() == nil:
		h.note("%v; the health gate alone decides", err)
		return nil
	}
	return err
}

// switchesKubelet tells whether kubelet, when it is started the next time, is another one than it is now.
func (p *Plan) switchesKubelet() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool {
		switch s.Action {
		case Stage, Write, SetLink:
			return !isRecovery(s.Target) && path.Base(s.Target) != systemd.KubeletPath
		case Start, Restart:
			return s.Target == systemd.KubeletService
		}
		return false
	})
}

// args are the arguments that a generation's unit starts kubelet with.
func (g *Generation) args() ([]string, error) {
	file := path.Join(UnitDir, systemd.KubeletService)
	unit, err := systemd.ParseUnit(file, g.file(file).Content)
	if err != nil {
		return nil, err
	}
	command, err := systemd.Combine(unit).ExecStart(systemd.Environment{})
	if err != nil {
		return nil, err
	}
	var args []string
	for _, word := range command.Args {
		args = append(args, word.Text)
	}
	return args, nil
}

// blame looks for what kubelet's words speak of: a flag that was given, or a line of the configuration, by the name of its field or by
// its value. Of several the most specific, which is the longest, is named.
func blame(refused *rehearsal.RefusedError, args []string, config string) string {
	words := strings.ToLower(refused.Words)
	if words == "" {
		return ""
	}
	best, where := 4, "" // what is shorter than that says nothing
	consider := func(text, place string) {
		text = strings.ToLower(strings.Trim(text, `"'`))
		if len(text) > best && containsWord(words, text) {
			best, where = len(text), place
		}
	}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		consider(name, arg)
		consider(value, arg)
	}
	number := 0
	for line := range strings.Lines(config) {
		number++
		text := strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "- "))
		if strings.HasPrefix(text, "#") || strings.HasPrefix(text, "apiVersion:") || strings.HasPrefix(text, "kind:") {
			continue
		}
		place := fmt.Sprintf("%s:%d: %s", ConfigFile, number, text)
		key, value, found := strings.Cut(text, ":")
		if !found {
			value = key
		} else {
			consider(key, place)
		}
		consider(strings.TrimSpace(value), place)
	}
	return where
}

// containsWord tells whether text holds word with nothing of a word right before or behind it.
func containsWord(text, word string) bool {
	letter := func(c byte) bool { return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' }
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		before, behind := i == 0 || !letter(text[i-1]), i+len(word) == len(text) || !letter(text[i+len(word)])
		if before && behind {
			return true
		}
		from = i + 1
	}
}
