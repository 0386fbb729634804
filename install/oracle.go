package install

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/release"
)

// OracleError tells that the binary refuses the flags that were rendered for it, whatever the tables say. Nothing was
// changed.
type OracleError struct {
	Version release.Version
	Err     error // in kubelet's own words
}

func (e *OracleError) Error() string {
	return fmt.Sprintf("kubelet %s itself refuses the flags that were rendered for it: %v", e.Version, e.Err)
}
func (e *OracleError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *OracleError) Hint() string { return "leave the flag out, or choose another version" }

// consult holds what was rendered against what the binary says of itself, before anything is switched to it. A binary for
// another architecture can not be asked.
func (h *Host) consult(ctx context.Context, c *Change) error {
	if c.Rendered == nil || c.Want.Arch != runtime.GOARCH {
		return nil
	}
	name, err := h.Tree.Locate(c.Want.binary().Path)
	if err != nil {
		return err
	}
	help, err := release.ReadHelp(ctx, name, c.Rendered.Args...)
	if refused := (*release.RefusedError)(nil); errors.As(err, &refused) {
		return &OracleError{c.Want.Version, err}
	}
	if err != nil {
		return err
	}
	gates, _ := c.Rendered.Fields["featureGates"].(map[string]any)
	for _, gate := range slices.Sorted(maps.Keys(gates)) {
		if _, known := help.Gates[gate]; known || len(help.Gates) == 0 {
			continue
		}
		// The list leaves out what is generally available or deprecated, so this is no reason to refuse.
		text := fmt.Sprintf("kubelet %s does not list the feature gate %s; it does not start if it knows none of that name", c.Want.Version, gate)
		if hint := config.DidYouMean(gate, slices.Sorted(maps.Keys(help.Gates))); hint != "" {
			text += "; " + hint
		}
		h.note("%s", text)
	}
	return nil
}

// Ask fetches the binary of a release that is newer than the tables and lets it say which flags it takes, so that Build
// knows. Of a release that the tables know nothing is asked. What is fetched goes on as the download of the change.
func (h *Host) Ask(ctx context.Context, s Spec, r *Resolved, c *release.Client) error {
	if config.Minor(r.Version.Minor()) <= config.Newest || r.Arch != runtime.GOARCH {
		return nil
	}
	want := File{Path: path.Join(s.binDir(), binaryName(r.Version)), Mode: 0o755}
	name, err := h.Tree.Locate(want.Path)
	if err != nil {
		return err
	}
	if r.installed == nil {
		if _, err := os.Stat(filepath.Dir(name)); err != nil {
			return fmt.Errorf("the flags of %s have to be asked from the binary: %w", r.Version, err)
		}
		partial := partialName(name, r.Artifact.Digest)
		if _, err := c.Fetch(ctx, r.Artifact, partial); err != nil {
			return err
		}
		if err := h.prove(ctx, partial, want, r.Artifact); err != nil {
			return err
		}
		name = partial
	}
	help, err := release.ReadHelp(ctx, name)
	r.accepted = help.Flags
	return err
}
