package cri

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Answer is what a container runtime says of itself.
type Answer struct {
	// Name and Version are of the runtime, such as containerd and 2.1.9.
	Name, Version string
	// NotReady says why it is not ready to run pods, NetworkNotReady why their network is not; empty when they are.
	NotReady, NetworkNotReady string
	// CgroupDriver is systemd or cgroupfs; empty when the runtime cannot tell, as containerd before 2.0.
	CgroupDriver string
}

// Ask asks a container runtime about itself. The error is fs.ErrNotExist when its socket is not there, syscall.ECONNREFUSED when
// nobody listens on it, ErrNoV1 when what does has no such interface; and context.DeadlineExceeded when there is no answer in time.
func Ask(ctx context.Context, endpoint string) (Answer, error) {
	socket := strings.TrimPrefix(endpoint, "unix://")
	if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
		return Answer{}, err
	}
	r, err := Dial(endpoint)
	if err != nil {
		return Answer{}, err
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	version, err := r.client.Version(ctx, &runtime.VersionRequest{})
	if err != nil {
		return Answer{}, failure(err)
	}
	a := Answer{Name: version.GetRuntimeName(), Version: version.GetRuntimeVersion()}
	said, err := r.client.Status(ctx, &runtime.StatusRequest{})
	if err != nil {
		return a, failure(err)
	}
	for _, c := range said.GetStatus().GetConditions() {
		switch {
		case c.GetStatus():
		case c.GetType() == runtime.NetworkReady:
			a.NetworkNotReady = fmt.Sprintf("%s: %s", c.GetReason(), c.GetMessage())
		case c.GetType() == runtime.RuntimeReady:
			a.NotReady = fmt.Sprintf("%s: %s", c.GetReason(), c.GetMessage())
		}
	}
	config, err := r.client.RuntimeConfig(ctx, &runtime.RuntimeConfigRequest{})
	if err == nil && config.GetLinux() != nil {
		a.CgroupDriver = strings.ToLower(config.GetLinux().GetCgroupDriver().String())
	}
	return a, nil // what it cannot tell it need not
}

// failure is an error of an answer in one of the forms that Ask names.
func failure(err error) error {
	message := status.Convert(err).Message()
	switch status.Code(err) {
	case codes.Unimplemented:
		return ErrNoV1
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case codes.Unavailable:
		for _, known := range []error{syscall.ECONNREFUSED, syscall.EACCES, syscall.ENOENT} {
			if strings.Contains(message, known.Error()) { // grpc wraps no errors
				return known
			}
		}
	}
	return errors.New(message)
}
