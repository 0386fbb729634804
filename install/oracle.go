package install

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/release"
)

// OracleError tells that the binary does not know what was rendered for it, whatever the tables say. Nothing was changed.
type OracleError struct {
	Version release.Version
	Unknown []string // "flag --node-ip"
}

func (e *OracleError) Error() string {
	return fmt.Sprintf("kubelet %s itself does not know %s (kubelet --help lists what it knows), and would not start", e.Version, strings.Join(e.Unknown, ", "))
}

// Hint says what to do about it.
func (e *OracleError) Hint() string { return "leave it out, or choose another version" }

// hidden are flags that kubelets took and did not list (1.13 to 1.23).
var hidden = []string{"experimental-dockershim", "experimental-dockershim-root-directory"}

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
	help, err := release.ReadHelp(ctx, name)
	if err != nil {
		return err
	}
	var unknown []string
	for _, arg := range c.Rendered.Args {
		flag, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if !help.Flags[flag] && !slices.Contains(hidden, flag) {
			unknown = append(unknown, "flag --"+flag)
		}
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
	if len(unknown) > 0 {
		return &OracleError{c.Want.Version, unknown}
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
		partial := partialName(name, r.Artifact)
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
