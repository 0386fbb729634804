// Package cri asks a container runtime over its CRI socket.
package cri

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Known are the sockets of the common container runtimes, and their units, as the Kubernetes documentation has them
// (kubernetes.io/docs/setup/production-environment/container-runtimes).
var Known = []struct{ Unit, Endpoint string }{
	{"containerd.service", "unix:///var/run/containerd/containerd.sock"},
	{"crio.service", "unix:///var/run/crio/crio.sock"},
	{"cri-docker.service", "unix:///var/run/cri-dockerd.sock"},
}

// SameSocket reports whether two endpoints are the same unix socket: /var/run is /run.
func SameSocket(a, b string) bool {
	name := func(endpoint string) string {
		return strings.TrimPrefix(strings.TrimPrefix(endpoint, "unix://"), "/var")
	}
	return name(a) == name(b)
}

// Answering lists the endpoints of the common container runtimes that answer; ask may be nil.
func Answering(ctx context.Context, ask func(context.Context, string) error) []string {
	var endpoints []string
	for _, known := range Known {
		if ask != nil && ask(ctx, known.Endpoint) == nil {
			endpoints = append(endpoints, known.Endpoint)
		}
	}
	return endpoints
}

// podLabel is on every sandbox that a kubelet makes (k8s.io/kubelet/pkg/types/labels.go).
const podLabel = "io.kubernetes.pod.uid"

const (
	answerTimeout = 3 * time.Second
	askTimeout    = 5 * time.Second
	podTimeout    = 30 * time.Second
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

// ErrNoV1 reports a program that answers and does not speak version 1 of the interface: an old container runtime, or
// containerd with its cri plugin turned off, as Docker's packages set it up.
var ErrNoV1 = errors.New("it does not speak CRI v1")

// Answers reports, as an error, that no container runtime answers at an endpoint.
func Answers(ctx context.Context, endpoint string) error {
	_, _, err := Version(ctx, endpoint)
	return err
}

// Version asks for the name and the version of the container runtime at an endpoint. Its error is what [Answers] returns.
func Version(ctx context.Context, endpoint string) (name, version string, err error) {
	r, err := Dial(endpoint)
	if err != nil {
		return "", "", err
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := r.client.Version(ctx, &runtime.VersionRequest{})
	switch status.Code(err) {
	case codes.OK:
		return answer.GetRuntimeName(), answer.GetRuntimeVersion(), nil
	case codes.Unimplemented:
		return "", "", ErrNoV1
	case codes.DeadlineExceeded:
		return "", "", fmt.Errorf("no answer within %s", answerTimeout)
	}
	return "", "", errors.New(status.Convert(err).Message())
}
