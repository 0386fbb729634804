package facts

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/node"
)

// runtime asks the container runtime and, where there is no socket, the other known ones.
func runtime(ctx context.Context, w Where) func(*Facts) {
	scheme, socket, isURL := strings.Cut(w.Endpoint, "://")
	if !isURL {
		socket = w.Endpoint
	}
	r := Runtime{Endpoint: w.Endpoint}
	switch _, missing := os.Stat(socket); {
	case socket == "" || isURL && scheme != "unix":
	case errors.Is(missing, fs.ErrNotExist):
		r.Err = missing
	case w.AskRuntime:
		r.Description, r.Err = cri.Describe(ctx, w.Endpoint)
		r.Asked = r.Err == nil
	}
	if errors.Is(r.Err, fs.ErrNotExist) && w.AskRuntime {
		r.Others = cri.Answering(ctx, cri.Answers)
	}
	return func(f *Facts) { f.Runtime = r }
}

// apiServer asks the API server of the kubeconfig which release it is. Without a kubeconfig nobody is asked.
func apiServer(ctx context.Context, w Where) func(*Facts) {
	if w.Kubeconfig == "" {
		return nothing
	}
	server, err := node.ServerOf(ctx, w.Observer.Tree, w.Kubeconfig)
	if errors.Is(err, fs.ErrNotExist) { // not joined yet
		return nothing
	}
	return func(f *Facts) { f.API = API{Asked: true, Err: err, Server: server} }
}

// proxy looks for proxies in what kubelet.service sets.
func proxy(_ context.Context, w Where) func(*Facts) {
	found := w.Observer.Proxies()
	return func(f *Facts) { f.Proxy = found }
}
