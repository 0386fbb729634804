// Package facts finds out what a host is, as far as that decides whether a kubelet runs there. It changes nothing and judges
// nothing: what a fact means is for package preflight.
//
// All facts are collected side by side, each with a time limit: a file system that hangs costs the facts about it, and no more.
// The zero value of a fact is always "not known".
package facts

import (
	"context"
	"time"

	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/probe"
)

// Facts are what is known of a host that runs.
type Facts struct {
	Runtime   Runtime
	Cgroup    Cgroup
	Swap      []string          // devices and files that are in use
	Listeners []probe.Listener  // on the ports that were asked for
	Kubelets  []probe.Process   // that run beside the one of kubelet.service
	Hostname  string            // as the kernel has it
	Files     map[string]File   // what was asked for, by path
	CNI       []string          // the plugins that the configuration of the network for pods names
	Sysctl    map[string]string // of the kernel now, by name: "vm/overcommit_memory"
	Boot      map[string]string // what sysctl.d sets at the next boot
	Kernel    string            // its release: 6.1.0-18-amd64
	Memory    uint64            // bytes in all
	Clock     Clock
	API       API
	Resolver  Resolver
	Proxy     map[string]string // variables of kubelet.service with a proxy: HTTPS_PROXY, NO_PROXY
	SELinux   SELinux
	Providers []Provider // credential providers that are configured
	// ProvidersErr is why their configuration cannot be read.
	ProvidersErr error
	// Late are the facts that could not be found out in time.
	Late []string
}

// Where is what of a host a kubelet is to use: where to look. What is empty is not looked for.
type Where struct {
	Observer observe.Observer
	// Endpoint is the socket of the container runtime. AskRuntime reports that it may be asked, which is for root alone.
	Endpoint   string
	AskRuntime bool
	// Files are files and directories whose state matters.
	Files []string
	// Ports are those that kubelet listens on, and PID is the main process of kubelet.service; 0 for none.
	Ports []int
	PID   int
	// Kubeconfig names the API server to ask, as a file of the host.
	Kubeconfig string
	ResolvConf string
	// ProviderConfig and ProviderDir are those of credential providers.
	ProviderConfig, ProviderDir string
	// Sysctls are the names of settings of the kernel.
	Sysctls []string
}

// Runtime is the container runtime at the endpoint.
type Runtime struct {
	Endpoint string
	// Asked reports that it has answered; Err is why it did not, fs.ErrNotExist when there is no socket.
	Asked bool
	Err   error
	cri.Description
	// Others are the endpoints of other container runtimes that answer; looked for when there is no socket.
	Others []string
}

// Cgroup is how the kernel's controllers are mounted.
type Cgroup struct {
	Version int // 1 or 2
	// Controllers are those that can be used.
	Controllers []string
}

// File is what is known of a file or directory.
type File struct {
	// Err is why it is not there or cannot be looked at.
	Err error
	Dir bool
	// Content is that of a regular file of up to 64 KiB.
	Content []byte
	// Unwritable is why nothing can be made in a directory, or in the one that would have to be made for it; nil when it can.
	Unwritable error
	// NoExec reports a mount from which no program can be started, and Type is the kernel's number of the file system.
	NoExec bool
	Type   int64
	// Size and Free are those of the file system, in bytes; Inodes and FreeInodes of its inodes. 0 is not known.
	Size, Free, Inodes, FreeInodes uint64
}

// Clock is the state of the clock of this host.
type Clock struct {
	Known, Synchronized bool
}

// API is what an API server says.
type API struct {
	Asked bool
	Err   error // why it does not answer
	node.Server
}

// Resolver is what a resolv.conf says.
type Resolver struct {
	Err     error
	Known   bool
	Servers []string
}

// SELinux reports whether it is enforced and, where that can be told, whether there is a policy for containers.
type SELinux struct {
	Enforcing bool
	Policy    cri.Answer
}

// Provider is a program that fetches credentials for images.
type Provider struct {
	Name, Path string
	Err        error // why it cannot be started
}

// collector finds out facts of one kind. look returns what enters them, so that a late one changes nothing.
type collector struct {
	name  string
	limit time.Duration
	look  func(context.Context, Where) func(*Facts)
}

const (
	quick = time.Second
	slow  = 4 * time.Second // for what another program answers, whose own limits are shorter
)

var collectors = []collector{
	{"container runtime", slow, runtime},
	{"API server", slow, apiServer},
	{"cgroups", quick, cgroups},
	{"swap", quick, swap},
	{"ports", quick, listeners},
	{"processes", quick, kubelets},
	{"files", quick, files},
	{"kernel", quick, kernel},
	{"settings of sysctl.d", quick, boot},
	{"resolv.conf", quick, resolver},
	{"proxies", quick, proxy},
	{"SELinux", quick, selinux},
	{"credential providers", quick, providers},
	{"network for pods", quick, plugins},
}

// Collect finds out all facts side by side.
func Collect(ctx context.Context, w Where) *Facts {
	f := &Facts{}
	found := make(chan func(*Facts), len(collectors))
	for _, c := range collectors {
		go func() { found <- c.within(ctx, w) }()
	}
	for range collectors {
		(<-found)(f)
	}
	return f
}

// within looks for no longer than the limit.
func (c collector) within(ctx context.Context, w Where) func(*Facts) {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	result := make(chan func(*Facts), 1)
	go func() { result <- c.look(ctx, w) }()
	select {
	case enter := <-result:
		return enter
	case <-ctx.Done():
		return func(f *Facts) { f.Late = append(f.Late, c.name) }
	}
}

// nothing enters no fact.
func nothing(*Facts) {}
