package cri

import (
	"context"
	"encoding/json"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Description is what a container runtime says of itself.
type Description struct {
	// Name and Version are "containerd" and "1.6.20~ds1", for example.
	Name, Version string
	// V1 and V1alpha2 report which versions of the interface it speaks.
	V1, V1alpha2 bool
	// NotReady and NoNetwork are why it is not ready, and why it has no network for pods; empty when it is and has.
	NotReady, NoNetwork string
	// RuntimeConfig reports whether it tells kubelet its cgroup driver: Yes, No or Unknown.
	RuntimeConfig Answer
	// CgroupDriver is "systemd" or "cgroupfs"; empty when it does not tell.
	CgroupDriver string
}

// Answer is what a container runtime answers to a question that an old one does not know.
type Answer int

// The answers.
const (
	Unknown Answer = iota
	Yes
	No
)

// Describe asks the container runtime at an endpoint what it is. Its error says in one line why it does not answer.
func Describe(ctx context.Context, endpoint string) (Description, error) {
	var d Description
	r, err := Dial(endpoint)
	if err != nil {
		return d, err
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if d.V1, err = r.speaks(ctx, "v1", &d); err != nil {
		return d, err
	}
	if d.V1alpha2, err = r.speaks(ctx, "v1alpha2", &d); err != nil || !d.V1 {
		return d, err
	}
	return d, r.describe(ctx, &d)
}

// speaks reports whether a runtime speaks a version of the interface, and takes over what it calls itself there. Of the call
// Version the message is the same in all of them.
func (r *Runtime) speaks(ctx context.Context, api string, d *Description) (bool, error) {
	var answer runtime.VersionResponse
	switch err := r.conn.Invoke(ctx, "/runtime."+api+".RuntimeService/Version", &runtime.VersionRequest{}, &answer); status.Code(err) {
	case codes.OK:
		d.Name, d.Version = answer.GetRuntimeName(), strings.TrimPrefix(answer.GetRuntimeVersion(), "v")
		return true, nil
	case codes.Unimplemented:
		return false, nil
	default:
		return false, failure(err)
	}
}

// describe asks for the status of a runtime and for its cgroup driver. What it does not answer stays unknown.
func (r *Runtime) describe(ctx context.Context, d *Description) error {
	s, err := r.client.Status(ctx, &runtime.StatusRequest{Verbose: true})
	if err != nil {
		return failure(err)
	}
	for _, c := range s.GetStatus().GetConditions() {
		why := strings.TrimSpace(c.GetReason() + ": " + c.GetMessage())
		switch {
		case c.GetStatus():
		case c.GetType() == runtime.RuntimeReady:
			d.NotReady = why
		case c.GetType() == runtime.NetworkReady:
			d.NoNetwork = why
		}
	}
	d.CgroupDriver = configuredDriver(s.GetInfo()["config"])
	config, err := r.client.RuntimeConfig(ctx, &runtime.RuntimeConfigRequest{})
	switch {
	case status.Code(err) == codes.Unimplemented:
		d.RuntimeConfig = No
	case err == nil && config.GetLinux() != nil:
		d.RuntimeConfig = Yes
		d.CgroupDriver = strings.ToLower(config.GetLinux().GetCgroupDriver().String())
	}
	return nil
}

// configuredDriver is the cgroup driver in the configuration that containerd's cri plugin shows in its status, up to 1.7
// (containerd, pkg/cri/config/config.go); empty if it is not set.
func configuredDriver(config string) string {
	type handler struct {
		Options struct{ SystemdCgroup *bool }
	}
	var c struct {
		Containerd struct {
			DefaultRuntimeName string
			Runtimes           map[string]handler
		}
	}
	if json.Unmarshal([]byte(config), &c) != nil || c.Containerd.DefaultRuntimeName == "" {
		return ""
	}
	switch on := c.Containerd.Runtimes[c.Containerd.DefaultRuntimeName].Options.SystemdCgroup; {
	case on == nil: // also with Options null: runc's default
		return "cgroupfs"
	case *on:
		return "systemd"
	}
	return "cgroupfs"
}
