package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// resolver is a service manager of which only systemd-resolved is asked.
type resolver struct {
	Manager
	state string
}

func (r resolver) State(_ context.Context, unit string) (systemd.UnitState, error) {
	if unit != resolvedUnit {
		return systemd.UnitState{}, fmt.Errorf("asked for %s", unit)
	}
	return systemd.UnitState{ActiveState: r.state}, nil
}

func TestChoices(t *testing.T) {
	t.Parallel()
	const containerd, crio = "unix:///var/run/containerd/containerd.sock", "unix:///var/run/crio/crio.sock"
	resolvConf := []spec.Choice{{Field: "resolvConf", Value: resolvedFile}}
	tests := []struct {
		name      string
		answering []string
		resolved  string // the state of systemd-resolved
		file      bool   // the file that it writes is there
		spec      spec.Spec
		want      []spec.Choice // as far as Field and Value go
		refused   bool
	}{
		{name: "containerd is what counts without a choice", answering: []string{containerd}, resolved: "inactive"},
		{name: "no runtime", resolved: "inactive"},
		{name: "CRI-O", answering: []string{crio}, resolved: "inactive", want: []spec.Choice{{Field: "containerRuntimeEndpoint", Value: crio}}},
		{name: "two runtimes", answering: []string{containerd, crio}, refused: true},
		{name: "two runtimes and a flag", answering: []string{containerd, crio}, spec: spec.Spec{Flags: map[string]any{"container_runtime_endpoint": crio}}},
		{name: "CRI-O and a field", answering: []string{crio}, spec: spec.Spec{KubeletConfiguration: map[string]any{"containerRuntimeEndpoint": containerd}}},
		{name: "systemd-resolved", resolved: "active", file: true, want: resolvConf},
		{name: "systemd-resolved without its file", resolved: "active"},
		{name: "a file of a systemd-resolved that is off", resolved: "inactive", file: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &Host{Tree: hostfs.At(t.TempDir()), Live: true, Units: resolver{state: tt.resolved}, AskRuntime: func(_ context.Context, endpoint string) error {
				if slices.Contains(tt.answering, endpoint) {
					return nil
				}
				return errors.New("no answer")
			}}
			if tt.file {
				file := filepath.Join(h.Tree.Root(), resolvedFile)
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := h.Choices(t.Context(), tt.spec, 37)
			var failed *preflight.FailedError
			if errors.As(err, &failed) != tt.refused || err != nil && !tt.refused {
				t.Fatalf("refused: %v, want %v", err, tt.refused)
			}
			for i := range got {
				got[i] = spec.Choice{Field: got[i].Field, Value: got[i].Value}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("chosen: %+v, want %+v", got, tt.want)
			}
		})
	}
}

// A tree that does not run is not looked at.
func TestNoChoicesInATree(t *testing.T) {
	t.Parallel()
	h := &Host{Tree: hostfs.At(t.TempDir())}
	if got, err := h.Choices(t.Context(), spec.Spec{}, config.Newest); err != nil || got != nil {
		t.Errorf("chosen: %v, %v", got, err)
	}
}
