package install

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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
	if h.Rehearse == nil || f.options.SkipRehearsal || !h.Live || c.Want.Arch != runtime.GOARCH || c.Want.Snapshot || !c.Plan.SwitchesKubelet() {
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
		NoCredentials: !c.Seen.Credentials, HealthURL: c.Want.HealthURL, Timeout: rehearsalTimeout,
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
	err = h.Rehearse(ctx, trial)
	var refused *rehearsal.RefusedError
	switch {
	case errors.As(err, &refused):
		cause := diagnose.Cause(h.Observer(), refused.Words, c.Want)
		return 0, &RehearsalError{Version: c.Want.Version, Err: refused, Cause: string(config.HideSecrets([]byte(cause)))}
	case errors.Is(err, rehearsal.ErrUnsupported) && ctx.Err() == nil:
		h.note("%v; the health gate alone decides", err)
		return 0, nil
	}
	return time.Since(began), err
}
