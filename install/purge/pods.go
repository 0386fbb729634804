package purge

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// podLabel is on every sandbox that a kubelet makes (k8s.io/kubelet/pkg/types/labels.go).
const podLabel = "io.kubernetes.pod.uid"

const (
	askTimeout = 5 * time.Second
	podTimeout = 30 * time.Second
)

// Runtime is a container runtime, asked over its CRI socket.
type Runtime struct {
	conn   *grpc.ClientConn
	client runtime.RuntimeServiceClient
}

// Dial prepares to ask a runtime, as unix:///run/containerd/containerd.sock. Close it.
func Dial(endpoint string) (*Runtime, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "unix://" + endpoint
	}
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &Runtime{conn, runtime.NewRuntimeServiceClient(conn)}, nil
}

// Close ends the connection.
func (r *Runtime) Close() { _ = r.conn.Close() }

// Pods lists the sandboxes that a kubelet made.
func (r *Runtime) Pods(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := r.client.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{})
	if err != nil {
		return nil, fmt.Errorf("asking the container runtime for its pods: %w", err)
	}
	var ids []string
	for _, s := range answer.GetItems() {
		if s.GetLabels()[podLabel] != "" {
			ids = append(ids, s.GetId())
		}
	}
	return ids, nil
}

// Remove stops and removes a sandbox with all its containers. One that is gone is fine.
func (r *Runtime) Remove(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, podTimeout)
	defer cancel()
	if _, err := r.client.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		return fmt.Errorf("stopping pod %s: %w", id, err)
	}
	if _, err := r.client.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: id}); err != nil {
		return fmt.Errorf("removing pod %s: %w", id, err)
	}
	return nil
}

// PodSlice is systemd's name of the group that all pods are in, when kubelet's cgroupDriver is systemd.
const PodSlice = "kubepods.slice"

// cgroups lists the groups that a kubelet made for its pods, outermost first.
func cgroups() (groups []string) {
	_ = filepath.WalkDir("/sys/fs/cgroup", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(name, "/kubepods") {
			groups = append(groups, name)
		}
		return nil
	})
	return groups
}

// PodsRun reports whether a process is in one of the groups of pods.
func PodsRun() bool {
	return slices.ContainsFunc(cgroups(), func(name string) bool {
		processes, _ := os.ReadFile(filepath.Join(name, "cgroup.procs"))
		return len(processes) > 0
	})
}

// RemoveCgroups removes the groups that a kubelet made for its pods, as far as they are empty: the kernel keeps one with a
// process in it.
func RemoveCgroups() {
	for _, name := range slices.Backward(cgroups()) {
		_ = unix.Rmdir(name)
	}
}
