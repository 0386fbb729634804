package rehearsal

import (
	"context"
	"net"
	"strings"
	"sync"

	"google.golang.org/grpc"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// stub answers in place of a container runtime: it has a version, is not ready to run anything, and holds nothing. A runtime
// that is ready would make kubelet set up its cgroups and kernel settings, which are not its own here.
type stub struct {
	runtime.UnimplementedRuntimeServiceServer
	runtime.UnimplementedImageServiceServer

	once  sync.Once
	asked chan struct{} // closed when a kubelet has asked for the status
}

// serve listens on a socket. Kubelets from 1.23 on speak v1, those before 1.26 v1alpha2, whose messages are the same
// on the wire.
func serve(socket string) (*stub, error) {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	s := &stub{asked: make(chan struct{})}
	server := grpc.NewServer()
	for _, service := range []grpc.ServiceDesc{runtime.RuntimeService_ServiceDesc, runtime.ImageService_ServiceDesc} {
		server.RegisterService(&service, s)
		old := service
		old.ServiceName = strings.Replace(service.ServiceName, "runtime.v1.", "runtime.v1alpha2.", 1)
		server.RegisterService(&old, s)
	}
	go func() { _ = server.Serve(listener) }() // it ends with the process
	return s, nil
}

func (s *stub) Version(context.Context, *runtime.VersionRequest) (*runtime.VersionResponse, error) {
	return &runtime.VersionResponse{Version: "0.1.0", RuntimeName: "rehearsal", RuntimeVersion: "1.0.0", RuntimeApiVersion: "v1"}, nil
}

func (s *stub) Status(context.Context, *runtime.StatusRequest) (*runtime.StatusResponse, error) {
	s.once.Do(func() { close(s.asked) })
	return &runtime.StatusResponse{Status: &runtime.RuntimeStatus{Conditions: []*runtime.RuntimeCondition{
		{Type: runtime.RuntimeReady, Status: false, Reason: "Rehearsal"},
		{Type: runtime.NetworkReady, Status: true},
	}}}, nil
}

func (s *stub) ListPodSandbox(context.Context, *runtime.ListPodSandboxRequest) (*runtime.ListPodSandboxResponse, error) {
	return &runtime.ListPodSandboxResponse{}, nil
}

func (s *stub) ListContainers(context.Context, *runtime.ListContainersRequest) (*runtime.ListContainersResponse, error) {
	return &runtime.ListContainersResponse{}, nil
}

func (s *stub) ListImages(context.Context, *runtime.ListImagesRequest) (*runtime.ListImagesResponse, error) {
	return &runtime.ListImagesResponse{}, nil
}

func (s *stub) ImageFsInfo(context.Context, *runtime.ImageFsInfoRequest) (*runtime.ImageFsInfoResponse, error) {
	usage := []*runtime.FilesystemUsage{{
		FsId:      &runtime.FilesystemIdentifier{Mountpoint: "/"},
		UsedBytes: &runtime.UInt64Value{}, InodesUsed: &runtime.UInt64Value{}, // kubelet takes it for granted that they are there
	}}
	return &runtime.ImageFsInfoResponse{ImageFilesystems: usage, ContainerFilesystems: usage}, nil
}
