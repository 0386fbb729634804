package install

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/diagnose"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/rehearsal"
	"github.com/kubeletctl/kubeletctl/release"
)

// rehearsalTimeout is how long a kubelet may take to be healthy in its rehearsal, which costs nothing but time. It takes
// about a second, and half a minute on a host that is ten times slower.
const rehearsalTimeout = time.Minute

// RehearsalError reports that a kubelet did not start in its rehearsal. Nothing was changed.
type RehearsalError struct {
	Version release.Version
	Err     *rehearsal.RefusedError
	// Cause is the flag, or the line of the configuration, that kubelet complains of; empty when its words do not tell.
	Cause string
}

func (e *RehearsalError) Error() string {
	text := fmt.Sprintf("kubelet %s did not start in the rehearsal: %v", e.Version, e.Err)
	if e.Cause != "" {
		text += " (" + e.Cause + ")"
	}
	return text
}
func (e *RehearsalError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *RehearsalError) Hint() string {
	return "nothing was changed; fix the configuration, or retry with --skip-rehearsal"
}

// rehearse tries what kubelet is about to be started with, where it can do no harm. It returns how long that took to be
// healthy; 0 when it was not tried.
func (f firstHalf) rehearse(ctx context.Context, binary string) (time.Duration, error) {
	h, c := f.host, f.change
	if h.Rehearse == nil || f.options.SkipRehearsal || !h.Live || c.Want.Arch != runtime.GOARCH || c.Want.Snapshot ||
		!f.options.always && !c.Plan.SwitchesKubelet() {
		return 0, nil
	}
	if c.Want.Kubeadm {
		if _, err := h.Observer().ReadKubeadm(c.Want); err != nil {
			return 0, err
		}
		if c.Want.KubeadmConfig.Kind == plan.Absent {
			return 0, nil // kubeadm has not said yet what kubelet is to run with
		}
	}
	trial := rehearsal.Trial{
		Binary: binary, Args: c.Want.KnownArgs(), Files: map[string][]byte{}, RootDir: c.Want.KubeletRoot(),
		NoCredentials: !c.Seen.Credentials || !h.hasKubeconfig(c.Want), HealthURL: c.Want.HealthURL, Timeout: rehearsalTimeout,
	}
	if file := c.Want.File(hostfs.ConfigFile); file.Kind == plan.Text {
		trial.Files[file.Path] = file.Content
	}
	fields, err := preflight.Fields(c.Want)
	if err != nil {
		return 0, err
	}
	if dir, ok := fields["staticPodPath"].(string); ok {
		trial.HideDirs = append(trial.HideDirs, dir)
	}
	if dir, ok := c.Want.Arg("pod-manifest-path"); ok {
		trial.HideDirs = append(trial.HideDirs, dir)
	}
	f.options.enter(Rehearsing)
	began := time.Now()
	ignored, err := h.Rehearse(ctx, trial)
	h.noteIgnored(c.Want.Version, ignored)
	var refused *rehearsal.RefusedError
	switch {
	case errors.As(err, &refused):
		return 0, f.rehearsalError(refused)
	case errors.Is(err, rehearsal.ErrUnsupported) && ctx.Err() == nil:
		h.note("%v; the health gate alone decides", err)
		return 0, nil
	}
	return time.Since(began), err
}

// ask asks the kubelet that a tree is to get about its flags and its configuration, so that no image is made with those that it
// refuses. What it says about this machine does not count.
func (f firstHalf) ask(ctx context.Context, binary string) error {
	h, c := f.host, f.change
	if h.Ask == nil || h.Live || f.options.SkipRehearsal || c.Draft == nil ||
		!c.Plan.Has(plan.Stage, c.Want.Binary().Path) || !h.mayExecute(c.Artifacts.Kubelet) {
		return nil
	}
	name, err := h.Tree.Path(binary)
	if err != nil {
		return err
	}
	f.options.enter(Rehearsing)
	answer, err := h.Ask(ctx, rehearsal.Question{
		Binary: name, Minor: config.Minor(c.Want.Version.Minor()), Args: c.Want.KnownArgs(), Config: c.Want.ConfigFile().Content,
	})
	if err != nil {
		return err
	}
	h.noteIgnored(c.Want.Version, answer.Ignored)
	if answer.Refused == "" {
		return nil
	}
	return f.rehearsalError(&rehearsal.RefusedError{Reason: "it refuses its flags or its configuration", Words: answer.Refused})
}

// rehearsalError is what a kubelet refused, with the cause where its words tell.
func (f firstHalf) rehearsalError(refused *rehearsal.RefusedError) error {
	cause := diagnose.Cause(f.host.Observer(), refused.Words, f.change.Want)
	return &RehearsalError{Version: f.change.Want.Version, Err: refused, Cause: string(config.HideSecrets([]byte(cause)))}
}

// noteIgnored tells which fields of its configuration a kubelet ignores.
func (h *Host) noteIgnored(v release.Version, fields []string) {
	if len(fields) > 0 {
		h.note("kubelet %s ignores fields that it does not know: %s", v, strings.Join(fields, ", "))
	}
}

// hasKubeconfig reports whether a generation's kubelet has its credentials. One that asks for them would write them.
func (h *Host) hasKubeconfig(g *plan.Generation) bool {
	_, err := h.Tree.Stat(g.Kubeconfig())
	return g.Kubeconfig() == "" || err == nil
}
