package facts

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/systemd"
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

// maxEnvironment bounds what is read of an environment file, in bytes.
const maxEnvironment = 1 << 20

// proxy looks for proxies in what drop-ins of kubelet.service set. The manager's own variables are not looked at.
func proxy(_ context.Context, w Where) func(*Facts) {
	dropIns, err := w.Observer.DropIns()
	if err != nil {
		return nothing
	}
	found := map[string]string{}
	add := func(variables []systemd.Variable) {
		for _, v := range variables {
			if name := strings.ToUpper(v.Name); strings.HasSuffix(name, "_PROXY") {
				found[name] = v.Value
			}
		}
	}
	for _, d := range dropIns {
		add(d.Unit.Variables())
		for _, a := range d.Unit.Values("Service", "EnvironmentFile") {
			file := strings.TrimPrefix(a.Value, "-")
			data, _ := w.Observer.Tree.ReadRegular(file, maxEnvironment) // what is not there sets nothing
			variables, _, _ := systemd.ParseEnvironmentFile(file, data)
			add(variables)
		}
	}
	return func(f *Facts) { f.Proxy = found }
}
