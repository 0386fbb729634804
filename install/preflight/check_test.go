package preflight

import (
	"cmp"
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight/facts"
	"github.com/kubeletctl/kubeletctl/install/probe"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

const endpoint = "unix:///var/run/containerd/containerd.sock"

// goodKubelet is one against which nothing speaks on a goodHost.
func goodKubelet(t *testing.T, version string) *Kubelet {
	t.Helper()
	v, err := release.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return &Kubelet{
		Generation: &plan.Generation{Version: v, Args: []string{"--container-runtime-endpoint=" + endpoint},
			Files: []plan.File{{Path: "/usr/local/bin/kubelet-" + version, Kind: plan.Binary}}, Credentials: []string{"/var/lib/kubelet/kubeconfig"}},
		Fields: map[string]any{"clusterDNS": []any{"10.96.0.10"}, "cgroupDriver": "systemd"},
		Seen:   &plan.Observation{Live: true, Credentials: true, Units: map[string]systemd.UnitState{}},
	}
}

func goodHost() *facts.Facts {
	disk := facts.File{Dir: true, Size: 100 << 30, Free: 50 << 30, Inodes: 1000, FreeInodes: 900}
	return &facts.Facts{
		Runtime: facts.Runtime{Endpoint: endpoint, Asked: true, Description: cri.Description{
			Name: "containerd", Version: "2.1.9", V1: true, RuntimeConfig: cri.Yes, CgroupDriver: "systemd"}},
		Cgroup:   facts.Cgroup{Version: 2, Controllers: []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids"}},
		Hostname: "node-1.example", Kernel: "6.12.5-amd64", Memory: 4 << 30,
		Files: map[string]facts.File{"/var/lib/kubelet": disk, "/usr/local/bin": disk, defaultPluginDir: disk, "/dev/kmsg": {},
			"/etc/machine-id": {Content: []byte("4f1d0c\n")}},
		Sysctl: map[string]string{"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
			instances: "8192", watches: "524288", forward: "1"},
		Boot:  map[string]string{"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1"},
		Clock: facts.Clock{Known: true, Synchronized: true},
		API: facts.API{Asked: true, Server: node.Server{Release: node.Release{Version: "v1.38.0", Minor: 38},
			URL: "https://10.0.0.1:6443", Node: "node-1.example"}},
		Resolver: facts.Resolver{Known: true, Servers: []string{"10.0.0.2"}},
	}
}

// on is a listener of another program.
func on(address string) []probe.Listener {
	return []probe.Listener{{Address: netip.MustParseAddrPort(address), Process: probe.Process{PID: 7, Name: "socat", Unit: "squatter.service"}}}
}

func running(k *Kubelet) {
	k.Seen.Units[systemd.KubeletService] = systemd.UnitState{ActiveState: "active", MainPID: 7}
}

// Every check finds what it is for, and nothing else does.
func TestCheck(t *testing.T) {
	t.Parallel()
	type change = func(*Kubelet, *facts.Facts)
	file := func(name string, change func(*facts.File)) func(*Kubelet, *facts.Facts) {
		return func(_ *Kubelet, f *facts.Facts) {
			file := f.Files[name]
			change(&file)
			f.Files[name] = file
		}
	}
	tests := []struct {
		name, version string // v1.37.2 when it is empty
		change        change
		want          string // "severity id: words" of what is found, one a line; empty for nothing
	}{
		{"good", "", func(*Kubelet, *facts.Facts) {}, ""},
		{"nothing is known", "", func(_ *Kubelet, f *facts.Facts) { *f = facts.Facts{} }, ""},
		{"late", "", func(_ *Kubelet, f *facts.Facts) { f.Late = []string{"swap", "files"} }, "info late: files, swap"},

		{"cgroup v1", "", func(_ *Kubelet, f *facts.Facts) { f.Cgroup.Version = 1 }, "error cgroup-v1: refuses to run on it from 1.35 on"},
		{"cgroup v1, accepted", "", func(k *Kubelet, f *facts.Facts) { f.Cgroup.Version, k.Fields["failCgroupV1"] = 1, false }, ""},
		{"cgroup v1, before it is refused", "v1.34.4", func(_ *Kubelet, f *facts.Facts) { f.Cgroup.Version = 1 }, "warning cgroup-v1: from 1.35 on"},
		{"cgroup v1, in its time", "v1.30.1", func(_ *Kubelet, f *facts.Facts) { f.Cgroup.Version = 1 }, ""},
		{"cgroup v1, kubeadm has not said yet", "", func(k *Kubelet, f *facts.Facts) {
			f.Cgroup.Version, k.Kubeadm, k.Fields, k.Args = 1, true, nil, append(k.Args, "--cgroup-driver=systemd")
		}, "warning cgroup-v1: refuses"},
		{"fapolicyd", "", func(_ *Kubelet, f *facts.Facts) {
			f.Files["/sys/fs/cgroup/system.slice/fapolicyd.service"] = facts.File{Dir: true}
		}, "warning fapolicyd: trusts"},
		{"firewalld, with cgroup v1", "", func(k *Kubelet, f *facts.Facts) {
			f.Files["/sys/fs/cgroup/systemd/system.slice/firewalld.service"], k.Fields["port"] = facts.File{Dir: true}, 10350
		}, "warning firewalld: on port 10350"},
		{"firewalld, standalone", "", func(k *Kubelet, f *facts.Facts) {
			f.Files["/sys/fs/cgroup/system.slice/firewalld.service"], k.Standalone = facts.File{Dir: true}, true
		}, ""},
		{"no memory controller", "", func(_ *Kubelet, f *facts.Facts) { f.Cgroup.Controllers = []string{"cpu", "cpuset", "pids"} }, "error cgroup-controllers: memory"},
		{"swap", "", func(_ *Kubelet, f *facts.Facts) { f.Swap = []string{"/dev/sda2"} }, "error swap: /dev/sda2"},
		{"swap, accepted", "", func(k *Kubelet, f *facts.Facts) { f.Swap, k.Fields["failSwapOn"] = []string{"/dev/sda2"}, false }, ""},
		{"LimitedSwap", "", func(k *Kubelet, _ *facts.Facts) {
			k.Fields["memorySwap"] = map[string]any{"swapBehavior": "LimitedSwap"}
		}, ""},
		{"LimitedSwap with cgroup v1", "v1.30.1", func(k *Kubelet, f *facts.Facts) {
			f.Cgroup.Version, k.Fields["memorySwap"] = 1, map[string]any{"swapBehavior": "LimitedSwap"}
		}, "error swap-behavior: LimitedSwap"},

		{"no socket", "", func(_ *Kubelet, f *facts.Facts) { f.Runtime = facts.Runtime{Endpoint: endpoint, Err: fs.ErrNotExist} },
			"error runtime: no container runtime listens on /var/run/containerd/containerd.sock"},
		{"no socket yet", "", func(k *Kubelet, f *facts.Facts) {
			f.Runtime, k.Booting = facts.Runtime{Endpoint: endpoint, Err: fs.ErrNotExist}, true
		}, "warning runtime: no container"},
		{"no socket that matters yet", "", func(k *Kubelet, f *facts.Facts) {
			f.Runtime, k.Seen.Credentials = facts.Runtime{Endpoint: endpoint, Err: fs.ErrNotExist}, false
		}, "warning runtime: no container"},
		{"no unix socket", "", func(_ *Kubelet, f *facts.Facts) { f.Runtime = facts.Runtime{Endpoint: "tcp://127.0.0.1:5"} }, "error runtime: only through a unix socket"},
		{"hangs", "", func(_ *Kubelet, f *facts.Facts) {
			f.Runtime.Err, f.Runtime.Asked = errors.New("no answer within 3s"), false
		}, "error runtime: does not answer: no answer within 3s"},
		{"CRI disabled", "", func(_ *Kubelet, f *facts.Facts) { f.Runtime = facts.Runtime{Endpoint: endpoint, Asked: true} }, "error cri-disabled: does not speak CRI"},
		{"old runtime", "", func(_ *Kubelet, f *facts.Facts) {
			f.Runtime = facts.Runtime{Endpoint: endpoint, Asked: true, Description: cri.Description{Name: "containerd", Version: "1.5.2", V1alpha2: true}}
		}, "error cri-v1: containerd 1.5.2 speaks CRI v1alpha2 only"},
		{"old runtime, old kubelet", "v1.25.1", func(_ *Kubelet, f *facts.Facts) {
			f.Runtime = facts.Runtime{Endpoint: endpoint, Asked: true, Description: cri.Description{V1alpha2: true}}
		}, ""},
		{"new runtime, old kubelet", "v1.22.1", func(*Kubelet, *facts.Facts) {}, "error cri-v1: containerd 2.1.9 speaks CRI v1 only"},
		{"not ready", "", func(_ *Kubelet, f *facts.Facts) { f.Runtime.NotReady = "Broken: x" }, "warning runtime: containerd 2.1.9 is not ready: Broken: x"},
		{"no network", "", func(_ *Kubelet, f *facts.Facts) { f.Runtime.NoNetwork = "cni plugin not initialized" }, "info cni: cni plugin not initialized"},
		{"no RuntimeConfig", "", func(_ *Kubelet, f *facts.Facts) { f.Runtime.RuntimeConfig = cri.No }, "info cri-runtime-config: requires that from 1.38 on"},
		{"no RuntimeConfig, in the future", "v1.38.0", func(_ *Kubelet, f *facts.Facts) { f.Runtime.RuntimeConfig = cri.No },
			"error cri-runtime-config: requires that from 1.38 on\ninfo foresight: 1.38"},
		{"not known whether RuntimeConfig", "v1.37.9", func(_ *Kubelet, f *facts.Facts) { f.Runtime.RuntimeConfig = cri.Unknown }, ""},
		{"cgroupfs below", "", func(_ *Kubelet, f *facts.Facts) {
			f.Runtime.RuntimeConfig, f.Runtime.CgroupDriver = cri.Unknown, "cgroupfs"
		},
			"warning cgroup-driver: kubelet uses the cgroup driver systemd, and containerd 2.1.9 uses cgroupfs"},
		{"cgroupfs above", "", func(k *Kubelet, f *facts.Facts) {
			f.Runtime.RuntimeConfig, k.Fields["cgroupDriver"] = cri.Unknown, "cgroupfs"
		}, "error cgroup-driver: kubelet uses the cgroup driver cgroupfs, and containerd 2.1.9 uses systemd"},
		{"cgroupfs, and kubelet asks", "v1.31.0", func(_ *Kubelet, f *facts.Facts) { f.Runtime.CgroupDriver = "cgroupfs" }, ""},
		{"cgroupfs, and kubelet does not ask", "v1.30.0", func(_ *Kubelet, f *facts.Facts) { f.Runtime.CgroupDriver = "cgroupfs" }, "warning cgroup-driver: cgroupfs"},

		{"health port", "", func(_ *Kubelet, f *facts.Facts) { f.Listeners = on("127.0.0.1:10248") },
			"error health-port: already listens on 127.0.0.1:10248, where kubelet would serve /healthz: socat (pid 7, squatter.service)"},
		{"health port, everywhere", "", func(_ *Kubelet, f *facts.Facts) { f.Listeners = on("[::]:10248") }, "error health-port: 127.0.0.1:10248"},
		{"health port of another address", "", func(_ *Kubelet, f *facts.Facts) { f.Listeners = on("10.0.0.1:10248") }, ""},
		{"health port of this kubelet", "", func(k *Kubelet, f *facts.Facts) { f.Listeners = on("127.0.0.1:10248"); running(k) }, ""},
		{"no health port", "", func(k *Kubelet, f *facts.Facts) {
			f.Listeners, k.Fields["healthzPort"] = on("127.0.0.1:10248"), float64(0)
		}, ""},
		{"kubelet's port", "", func(_ *Kubelet, f *facts.Facts) { f.Listeners = on("10.0.0.1:10250") }, "error port-kubelet: 0.0.0.0:10250"},
		{"kubelet's other port", "", func(k *Kubelet, f *facts.Facts) { f.Listeners, k.Fields["port"] = on("10.0.0.1:10250"), float64(10251) }, ""},
		{"read-only port", "", func(k *Kubelet, f *facts.Facts) {
			f.Listeners, k.Fields["readOnlyPort"] = on("10.0.0.1:10255"), float64(10255)
		}, "error port-readonly: 10255"},
		{"no read-only port", "", func(_ *Kubelet, f *facts.Facts) { f.Listeners = on("10.0.0.1:10255") }, ""},
		{"another kubelet", "", func(_ *Kubelet, f *facts.Facts) {
			f.Kubelets = []probe.Process{{PID: 8, Name: "kubelite", Unit: "snap.microk8s.daemon-kubelite.service"}, {PID: 9, Name: "kubelet"}}
		}, "error other-kubelet: kubelite (pid 8, snap.microk8s.daemon-kubelite.service), kubelet (pid 9)"},
		{"another kubelet beside", "", func(k *Kubelet, f *facts.Facts) { f.Kubelets = []probe.Process{{PID: 8, Name: "kubelet"}}; running(k) }, "warning other-kubelet: kubelet (pid 8)"},
		{"a process of kubelet.service", "", func(_ *Kubelet, f *facts.Facts) {
			f.Kubelets = []probe.Process{{PID: 8, Name: "kubelet", Unit: systemd.KubeletService}}
		}, ""},
		{"would be stopped", "", func(k *Kubelet, _ *facts.Facts) { k.Seen.Credentials = false; running(k) }, "error stops-kubelet: /var/lib/kubelet/kubeconfig"},

		{"localhost", "", func(_ *Kubelet, f *facts.Facts) { f.Hostname, f.API.Node = "localhost.localdomain", "" }, "error node-name: localhost.localdomain"},
		{"localhost, as ever", "", func(k *Kubelet, f *facts.Facts) { f.Hostname, f.API.Node = "localhost", ""; running(k) }, "warning node-name: localhost"},
		{"localhost, without a cluster", "", func(k *Kubelet, f *facts.Facts) { f.Hostname, f.API, k.Standalone = "localhost", facts.API{}, true }, ""},
		{"no name for a node", "", func(_ *Kubelet, f *facts.Facts) { f.Hostname, f.API.Node = "a_b", "" }, `error node-name: "a_b", which the API server refuses`},
		{"another name", "", func(k *Kubelet, f *facts.Facts) {
			f.Hostname, k.Args = "a_b", append(k.Args, "--hostname-override=Node-1.example ")
		}, ""},
		{"certificate of another node", "", func(_ *Kubelet, f *facts.Facts) { f.API.Node = "node-2" }, "error node-name: its client certificate is for node-2"},
		{"name by systemd", "", func(k *Kubelet, _ *facts.Facts) {
			k.Expanded, k.Args = []string{"hostname-override"}, append(k.Args, "--hostname-override=%l")
		}, ""},

		{"noexec", "", file("/usr/local/bin", func(f *facts.File) { f.NoExec = true }), "error noexec: /usr/local/bin"},
		{"root directory noexec", "", file("/var/lib/kubelet", func(f *facts.File) { f.NoExec = true }), "warning root-dir: noexec"},
		{"root directory on NFS", "", file("/var/lib/kubelet", func(f *facts.File) { f.Type = nfs }), "warning root-dir: NFS"},
		{"root directory read-only", "", file("/var/lib/kubelet", func(f *facts.File) { f.Unwritable = syscall.EROFS }), "error kubelet-dir: /var/lib/kubelet and cannot: read-only"},
		{"root directory in a long form", "", func(k *Kubelet, f *facts.Facts) {
			k.Args, f.Files["/data"] = append(k.Args, "--root-dir=/data/"), f.Files["/var/lib/kubelet"]
		},
			"error root-dir: --root-dir is /data/"},
		{"root directory in a long form, before it mattered", "v1.27.0", func(k *Kubelet, _ *facts.Facts) { k.Args = append(k.Args, "--root-dir=/data/") }, ""},
		{"no directory for plugins", "", file(defaultPluginDir, func(f *facts.File) { f.Unwritable = syscall.EROFS }), "warning volume-plugin-dir: read-only"},
		{"little space", "", file("/var/lib/kubelet", func(f *facts.File) { f.Free = 14 << 30 }), "warning disk: 14.0 GiB free of 100.0 GiB"},
		{"no space", "", file("/var/lib/kubelet", func(f *facts.File) { f.Free = 1 << 20 }), "error disk: cannot write its state"},
		{"few inodes", "", file("/var/lib/kubelet", func(f *facts.File) { f.FreeInodes = 49 }), "warning disk: 49 inodes free of 1000"},
		{"no count of inodes", "", file("/var/lib/kubelet", func(f *facts.File) { f.Inodes, f.FreeInodes = 0, 0 }), ""},
		{"little memory", "", func(_ *Kubelet, f *facts.Facts) { f.Memory = 512 << 20 }, "warning memory: 512"},
		{"no kmsg", "", file("/dev/kmsg", func(f *facts.File) { f.Err = fs.ErrNotExist }), "error kmsg: does not exist"},
		{"no kmsg, and none needed", "", func(k *Kubelet, f *facts.Facts) {
			f.Files["/dev/kmsg"], k.Fields["featureGates"] = facts.File{Err: fs.ErrNotExist}, map[string]any{"KubeletInUserNamespace": true}
		}, ""},
		{"no machine ID", "", file("/etc/machine-id", func(f *facts.File) { f.Content = []byte("uninitialized\n") }), "warning machine-id: empty"},
		{"no resolv.conf", "", func(_ *Kubelet, f *facts.Facts) { f.Resolver = facts.Resolver{Err: syscall.ENOENT} }, "error resolv-conf: cannot read /etc/resolv.conf: no such file"},
		{"no resolv.conf, without a cluster", "", func(k *Kubelet, f *facts.Facts) {
			f.Resolver, f.API, k.Standalone = facts.Resolver{Err: syscall.ENOENT}, facts.API{}, true
		}, "warning resolv-conf: no such file"},
		{"resolver on the loopback", "", func(_ *Kubelet, f *facts.Facts) { f.Resolver.Servers = []string{"127.0.0.53"} }, "warning resolv-conf: 127.0.0.53 only"},
		{"one resolver on the loopback", "", func(_ *Kubelet, f *facts.Facts) { f.Resolver.Servers = []string{"127.0.0.53", "10.0.0.2"} }, ""},
		{"no resolvConf", "", func(k *Kubelet, _ *facts.Facts) { k.Fields["resolvConf"] = "" }, ""},
		{"providers not configured", "", func(_ *Kubelet, f *facts.Facts) { f.ProvidersErr = syscall.ENOENT }, "error credential-provider: no such file"},
		{"provider without a loader", "", func(_ *Kubelet, f *facts.Facts) {
			f.Providers = []facts.Provider{{Name: "good"}, {Name: "ecr", Path: "/opt/ecr", Err: errors.New("its loader /lib/ld.so does not exist")}}
		}, "error credential-provider: ecr cannot be started: /opt/ecr: its loader"},
		{"no client CA", "", func(k *Kubelet, f *facts.Facts) {
			k.Fields["authentication"] = map[string]any{"x509": map[string]any{"clientCAFile": "/ca"}}
			f.Files["/ca"] = facts.File{Err: syscall.ENOENT}
		}, "error client-ca: /ca: no such file"},
		{"no client CA yet", "", func(k *Kubelet, f *facts.Facts) {
			k.Fields["authentication"], k.Seen.Credentials = map[string]any{"x509": map[string]any{"clientCAFile": "/ca"}}, false
			f.Files["/ca"] = facts.File{Err: syscall.ENOENT}
		}, "warning client-ca: /ca: no such file"},
		{"the client CA that a join writes", "", func(k *Kubelet, f *facts.Facts) {
			k.Fields["authentication"], k.Joins = map[string]any{"x509": map[string]any{"clientCAFile": hostfs.ClusterCA}}, true
			f.Files[hostfs.ClusterCA] = facts.File{Err: syscall.ENOENT}
		}, ""},
		{"a client CA that a join does not write", "", func(k *Kubelet, f *facts.Facts) {
			k.Fields["authentication"], k.Joins = map[string]any{"x509": map[string]any{"clientCAFile": "/ca"}}, true
			f.Files["/ca"] = facts.File{Err: syscall.ENOENT}
		}, "error client-ca: /ca: no such file"},
		{"serving key is no key", "", func(k *Kubelet, f *facts.Facts) {
			k.Fields["tlsCertFile"], k.Fields["tlsPrivateKeyFile"] = "/crt", "/key"
			f.Files["/crt"], f.Files["/key"] = facts.File{Content: []byte("-----BEGIN X-----\n-----END X-----\n")}, facts.File{Content: []byte("x")}
		}, "error tls-cert: tlsPrivateKeyFile is /key: it has nothing in PEM form"},

		{"kernel protected and wrong", "", func(k *Kubelet, f *facts.Facts) {
			k.Fields["protectKernelDefaults"], f.Sysctl["kernel/panic"] = true, "0"
		}, "error kernel-defaults: it needs kernel.panic=10"},
		{"kernel protected and right", "", func(k *Kubelet, _ *facts.Facts) { k.Fields["protectKernelDefaults"] = true }, ""},
		{"kernel right until the next boot", "", func(k *Kubelet, f *facts.Facts) {
			k.Fields["protectKernelDefaults"] = true
			delete(f.Boot, "kernel/panic_on_oops")
		}, "warning kernel-defaults: nothing in sysctl.d sets kernel.panic_on_oops=1"},
		{"old kernel", "", func(_ *Kubelet, f *facts.Facts) { f.Kernel = "4.18.0-553.el8" }, "warning kernel-release: 4.18"},
		{"kernel with another form of name", "", func(_ *Kubelet, f *facts.Facts) { f.Kernel = "custom" }, ""},
		{"inotify of Debian", "", func(_ *Kubelet, f *facts.Facts) { f.Sysctl[instances] = "128" }, "info inotify: 128 instances"},
		{"inotify used up", "", func(_ *Kubelet, f *facts.Facts) { f.Sysctl[watches] = "1024" }, "warning inotify: 1024 watches"},
		{"no forwarding", "", func(_ *Kubelet, f *facts.Facts) { f.Sysctl[forward] = "0" }, "info ip-forward: does not forward"},
		{"a bridge that is not filtered", "", func(_ *Kubelet, f *facts.Facts) { f.CNI = []string{"flannel", "portmap"} }, "info br-netfilter: packets that pass a bridge"},
		{"a bridge that is filtered", "", func(_ *Kubelet, f *facts.Facts) { f.CNI, f.Sysctl[bridgeNF] = []string{"bridge"}, "1" }, ""},
		{"a network without bridges", "", func(_ *Kubelet, f *facts.Facts) { f.CNI = []string{"cilium-cni"} }, ""},
		{"few open files", "", func(_ *Kubelet, f *facts.Facts) { f.Sysctl[nrOpen] = "65536" }, "warning nofile: at most 65536 files open; maxOpenFiles of kubelet is 1000000"},
		{"few open files are enough", "", func(k *Kubelet, f *facts.Facts) { f.Sysctl[nrOpen], k.Fields["maxOpenFiles"] = "65536", 65536 }, ""},
		{"clock by itself", "", func(_ *Kubelet, f *facts.Facts) { f.Clock.Synchronized = false }, "info clock: nothing synchronizes"},
		{"clock behind", "", func(_ *Kubelet, f *facts.Facts) { f.API.Ahead = -10 * time.Minute }, "warning clock: 10m0s behind that of the API server"},
		{"clock a bit ahead", "", func(_ *Kubelet, f *facts.Facts) { f.API.Ahead = 30 * time.Second }, ""},
		{"API server down", "", func(_ *Kubelet, f *facts.Facts) { f.API.Err = errors.New("connection refused") }, "warning api-server: connection refused"},
		{"API server older", "", func(_ *Kubelet, f *facts.Facts) { f.API.Minor, f.API.Version = 36, "v1.36.9" }, "error skew: newer than the API server, which is v1.36.9"},
		{"API server older, and kubelet goes back", "", func(k *Kubelet, f *facts.Facts) { f.API.Minor, k.Back = 36, true }, "warning skew: newer than"},
		{"proxy before the API server", "", func(_ *Kubelet, f *facts.Facts) {
			f.Proxy = map[string]string{"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "10.0.0.2"}
		},
			"warning proxy: NO_PROXY does not name 10.0.0.1"},
		{"proxy for others", "", func(_ *Kubelet, f *facts.Facts) {
			f.Proxy = map[string]string{"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "10.0.0.0/8"}
		}, ""},
		{"proxy and no cluster yet", "", func(_ *Kubelet, f *facts.Facts) {
			f.API, f.Proxy = facts.API{}, map[string]string{"HTTPS_PROXY": "http://p:3128"}
		}, "warning proxy: no NO_PROXY"},
		{"SELinux without a policy", "", func(_ *Kubelet, f *facts.Facts) { f.SELinux = facts.SELinux{Enforcing: true, Policy: cri.No} }, "warning selinux: no policy for containers"},
		{"SELinux with a policy", "", func(_ *Kubelet, f *facts.Facts) { f.SELinux = facts.SELinux{Enforcing: true, Policy: cri.Yes} }, ""},
		{"SELinux, and nobody knows", "", func(_ *Kubelet, f *facts.Facts) { f.SELinux = facts.SELinux{Enforcing: true} }, ""},

		{"no cluster DNS", "", func(k *Kubelet, _ *facts.Facts) { delete(k.Fields, "clusterDNS") }, "info cluster-dns: do not find"},
		{"hardened defaults", "", func(k *Kubelet, _ *facts.Facts) { k.Hardened = true },
			"info kernel-defaults: kubelet changes\ninfo client-ca: no client certificate\ninfo serving-cert: signs its own"},
		{"hardened defaults, without a cluster", "", func(k *Kubelet, f *facts.Facts) { k.Hardened, k.Standalone, f.API = true, true, facts.API{} }, "info kernel-defaults: kubelet changes"},
	}
	ids := map[string]bool{}
	for _, tt := range tests {
		k, f := goodKubelet(t, cmp.Or(tt.version, "v1.37.2")), goodHost()
		f.API.Minor = k.Version.Minor()
		tt.change(k, f)
		var got []string
		for _, p := range Check(*k, f) {
			got = append(got, string(p.Severity)+" "+p.ID+": "+p.Text())
			ids[p.ID] = true
			if p.Hint == "" {
				t.Errorf("%s: %s has no remedy", tt.name, p.ID)
			}
		}
		want := strings.Split(tt.want, "\n")
		fits := tt.want == "" && got == nil || len(got) == len(want)
		for i, line := range got {
			head, words, _ := strings.Cut(want[min(i, len(want)-1)], ": ")
			fits = fits && tt.want != "" && strings.HasPrefix(line, head+": ") && strings.Contains(line, words)
		}
		if !fits {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), tt.want)
		}
	}
	for _, id := range Ignorable() {
		if !ids[id] && id != KubeadmConfig { // which is found before there are facts
			t.Errorf("no test finds %s", id)
		}
	}
}

func TestIgnored(t *testing.T) {
	t.Parallel()
	tests := []struct {
		id, named string
		want      bool
	}{
		{Swap, "swap", true}, {Swap, "runtime", false},
		{HealthPort, "port-health", true}, {KernelDefaults, "kernel-flags", true}, {Runtime, "cri-socket", true},
		{CRIDisabled, "runtime", true}, {CRIDisabled, "cri-disabled", true}, {Runtime, "cri-disabled", false},
		{ManagerState, "manager-state", false},
	}
	for _, tt := range tests {
		if got := Ignored(tt.id, []string{"other", tt.named}); got != tt.want {
			t.Errorf("%s by %s: %t", tt.id, tt.named, got)
		}
		if !Known(tt.named) && tt.want {
			t.Errorf("%s is not known", tt.named)
		}
	}
	if ids := Ignorable(); !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("the IDs are not in order: %q", ids)
	}
}
