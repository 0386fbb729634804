package diagnose

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
	"github.com/kubeletctl/kubeletctl/install/probe"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// fakeHost answers as it is told.
type fakeHost struct {
	listener   *probe.Process
	runtime    cri.Description
	runtimeErr error
	inotify    probe.Inotify
	fileSystem probe.FileSystem
	file       string // one that is there, with its mode; empty for none
	label      string
	expires    time.Time // the client certificate
	server     probe.Server
	disabled   string
	kubeconfig error
	units      map[string]systemd.UnitState
	said       string // by whatever unit
	answering  string // the one endpoint at which runtime answers; empty for any
}

func (f fakeHost) Endpoint() string                              { return "unix:///run/k.sock" }
func (f fakeHost) Listener(int) (*probe.Process, error)          { return f.listener, nil }
func (f fakeHost) Inotify() (probe.Inotify, error)               { return f.inotify, nil }
func (f fakeHost) FileSystem(string) (probe.FileSystem, error)   { return f.fileSystem, nil }
func (f fakeHost) SELinux(string) (label string, enforcing bool) { return f.label, f.label != "" }
func (f fakeHost) DisabledCRI() string                           { return f.disabled }
func (f fakeHost) Unit(_ context.Context, name string) (systemd.UnitState, error) {
	if state, found := f.units[name]; found {
		return state, nil
	}
	return systemd.UnitState{LoadState: "not-found", ActiveState: "inactive"}, nil
}

func (f fakeHost) Said(context.Context, systemd.UnitState) string { return f.said }

func (f fakeHost) Runtime(_ context.Context, endpoint string) (cri.Description, error) {
	if f.answering != "" && endpoint != f.answering {
		return cri.Description{}, fs.ErrNotExist
	}
	return f.runtime, f.runtimeErr
}

func (f fakeHost) Kubeconfig() (file, node string, err error) {
	return "/etc/kubernetes/kubelet.conf", "worker-7", f.kubeconfig
}

func (f fakeHost) Stat(string) (fs.FileInfo, error) {
	if f.file == "" {
		return nil, fs.ErrNotExist
	}
	return os.Stat(f.file)
}

func (f fakeHost) Certificate(string) (*x509.Certificate, error) {
	if f.expires.IsZero() {
		return nil, fs.ErrNotExist
	}
	return &x509.Certificate{NotBefore: time.Now().Add(-time.Hour), NotAfter: f.expires}, nil
}

func (f fakeHost) Server(context.Context, string) (probe.Server, error) {
	if f.server.Certificate == nil {
		return f.server, syscall.ECONNREFUSED
	}
	return f.server, nil
}

// A look at the host makes a cause sure, or leaves it likely, or shows that it is not the cause.
func TestChecks(t *testing.T) {
	script := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(script, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	long := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	valid := &x509.Certificate{NotBefore: long, NotAfter: time.Now().Add(time.Hour)}
	port := failure("listen tcp 0.0.0.0:10250: bind: address already in use")
	denied := unit("Failed at step EXEC spawning /usr/local/bin/kubelet: Permission denied") + unit("Failed with result 'exit-code'.")
	disabled := failure("rpc error: code = Unimplemented desc = unknown service runtime.v1.RuntimeService")
	inotify := klog("E", `"Failed to start cAdvisor" err="inotify_init: too many open files"`)
	after := register("x509: certificate has expired or is not yet valid: current time 2026-11-30T00:00:00Z is after 2026-11-01T00:00:00Z")
	expired := klog("E", `"Part of the existing bootstrap client certificate in /k is expired: 2026-01-01"`) + failure("unable to load bootstrap kubeconfig: stat /b: no such file or directory")
	bootstrap := logOf(t, "bootstrap-v1.34.4")
	cni := later(`"Container runtime network not ready" networkReady="cni plugin not initialized"`)
	for _, tt := range []struct {
		name, log     string
		host          fakeHost
		rule, checked string
		likely        bool
	}{
		{"the process on the port", port, fakeHost{listener: &probe.Process{PID: 7, Name: "kubelite", Unit: "snap.microk8s.service"}}, "port-in-use",
			"kubelite (pid 7, snap.microk8s.service) listens on port 10250", false},
		{"nobody on the port by now", port, fakeHost{}, "port-in-use", "nothing listens on port 10250 at this moment: systemctl restart kubelet may be enough", false},
		{"a mode", denied, fakeHost{file: script}, "exec-denied", "/usr/local/bin/kubelet has mode 0644, which nobody may execute", false},
		{"noexec", denied, fakeHost{file: "/bin/sh", fileSystem: probe.FileSystem{NoExec: true}}, "exec-denied", "the file system of /usr/local/bin/kubelet is mounted noexec", false},
		{"a label", denied, fakeHost{file: "/bin/sh", label: "user_home_t"}, "exec-denied", "/usr/local/bin/kubelet has mode 0755 and the label user_home_t, and SELinux is enforcing", true},
		{"a disabled plugin", disabled, fakeHost{disabled: `/etc/containerd/config.toml:3: disabled_plugins = ["cri"]`}, "cri-disabled", `/etc/containerd/config.toml:3: disabled_plugins = ["cri"]`, false},
		{"an old runtime", disabled, fakeHost{runtimeErr: cri.ErrNoV1}, "cri-disabled", "unix:///run/k.sock: it does not speak CRI v1", false},
		{"the runtime answers by now", disabled, fakeHost{runtime: cri.Description{Name: "containerd", Version: "2.1.9"}}, "cri-disabled",
			"containerd 2.1.9 answers at unix:///run/k.sock at this moment: systemctl restart kubelet may be enough", true},
		{"inotify", inotify, fakeHost{inotify: probe.Inotify{Instances: 127, MaxInstances: 128, Watches: 1, MaxWatches: 8192}}, "inotify",
			"root has 127 of 128 inotify instances and 1 of 8192 watches", false},
		{"inotify by now", inotify, fakeHost{inotify: probe.Inotify{Instances: 1, MaxInstances: 128, Watches: 1, MaxWatches: 8192}}, "inotify",
			"root has 1 of 128 inotify instances and 1 of 8192 watches", true},
		{"the certificate of the server", after, fakeHost{server: probe.Server{Time: time.Now(), Certificate: &x509.Certificate{NotAfter: long}}}, "server-cert-expired",
			"the certificate of api:6443 expired on 2026-01-01 00:00 UTC", false},
		{"the clock", after, fakeHost{server: probe.Server{Time: time.Now().Add(-time.Hour), Certificate: valid}}, "clock", "the clock of this host is about 1h0m0s ahead of that of api:6443", false},
		{"a server that does not answer", after, fakeHost{}, "server-cert-expired", "", true},
		{"the certificate of the node", expired, fakeHost{expires: long}, "client-cert-expired", hostfs.ClientCertificate + " expired on 2026-01-01 00:00 UTC", false},
		{"one that is renewed", expired, fakeHost{expires: time.Now().Add(time.Hour)}, "bootstrap-missing", "", false},
		{"a kubeconfig by now", bootstrap, fakeHost{}, "bootstrap-missing", "/etc/kubernetes/kubelet.conf exists at this moment: systemctl restart kubelet may be enough", false},
		{"no kubeconfig", bootstrap, fakeHost{kubeconfig: fs.ErrNotExist}, "bootstrap-missing", "/etc/kubernetes/kubelet.conf does not exist", false},
		{"a broken kubeconfig", bootstrap, fakeHost{kubeconfig: errors.New("/etc/kubernetes/kubelet.conf: not a kubeconfig")}, "kubeconfig-unusable", "/etc/kubernetes/kubelet.conf: not a kubeconfig", false},
		{"no network", cni, fakeHost{runtime: cri.Description{Name: "containerd", Version: "2.1.9", NoNetwork: "NetworkPluginNotReady: no"}}, "cni", "containerd 2.1.9 says NetworkPluginNotReady: no", false},
		{"a network by now", cni, fakeHost{runtime: cri.Description{Name: "containerd", Version: "2.1.9"}}, "", "", false},
		{"a full disk", failure("mkdir /x: no space left on device"), fakeHost{fileSystem: probe.FileSystem{Size: 1 << 30, Free: 1 << 20, Files: 100, FreeFiles: 50}}, "disk-full",
			"the file system of /x has 1 of 1024 MiB and 50 of 100 inodes left", false},
		{"a file system that is read-only", failure(`failed to unlink socket file \"/var/lib/kubelet/k.sock\": read-only file system`), fakeHost{fileSystem: probe.FileSystem{ReadOnly: true}}, "read-only-fs",
			"the file system of /var/lib/kubelet/k.sock is mounted read-only", false},
		{"a certificate that ends", klog("I", "x"), fakeHost{expires: time.Now().Add(time.Minute)}, "client-cert-ends",
			hostfs.ClientCertificate + " expires on " + day(time.Now().Add(time.Minute)), false},
		{"one that does not", klog("I", "x"), fakeHost{expires: time.Now().Add(time.Hour)}, "", "", false},
		{"another driver", klog("I", `"Using cgroup driver setting received from the CRI runtime" cgroupDriver="systemd"`),
			fakeHost{runtime: cri.Description{Name: "containerd", Version: "2.1.9", CgroupDriver: "cgroupfs"}}, "cgroup-driver-changed",
			"containerd 2.1.9 uses the cgroup driver cgroupfs, and kubelet systemd", false},
		{"the same driver", klog("I", `"Using cgroup driver setting received from the CRI runtime" cgroupDriver="systemd"`),
			fakeHost{runtime: cri.Description{Name: "containerd", Version: "2.1.9", CgroupDriver: "systemd"}}, "", "", false},
	} {
		d := explain(t.Context(), Run{Log: kubeletlog.Parse(systemd.ParseEntries([]byte(tt.log)))}, tt.host, ourselves)
		if d.Rule != tt.rule || d.Likely != tt.likely || tt.checked != "" && !slices.Equal(d.Checked, []string{tt.checked}) {
			t.Errorf("%s: %s, likely %t, checked %q", tt.name, d.Rule, d.Likely, d.Checked)
		}
	}
}

// What to do about a runtime that does not answer depends on what is installed.
func TestRuntimesThatDoNotAnswer(t *testing.T) {
	const containerd = "unix:///run/containerd/containerd.sock"
	gone := failure(`validate service connection: validate CRI v1 runtime API for endpoint \"` + containerd + `\": rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial unix /run/containerd/containerd.sock: connect: no such file or directory\"`)
	down := later(`"Skipping pod synchronization" err="container runtime is down"`)
	units := map[string]systemd.UnitState{"containerd.service": {LoadState: "loaded", ActiveState: "failed", SubState: "failed"}}
	start := []string{"systemctl status --no-pager containerd  # it is failed (failed)", "journalctl -u containerd -n 20 --no-pager", "systemctl start containerd"}
	broken := fakeHost{units: units, runtimeErr: fs.ErrNotExist, said: "containerd: failed to load TOML"}
	if d := explain(t.Context(), Run{Log: kubeletlog.Parse(systemd.ParseEntries([]byte(gone)))}, broken, ourselves); !slices.Equal(d.Checked,
		[]string{strings.TrimPrefix(containerd, "unix://") + ": there is no such socket; containerd.service is failed (failed): containerd: failed to load TOML"}) {
		t.Errorf("checked %q", d.Checked)
	}
	crio := fakeHost{units: units, answering: "unix:///var/run/crio/crio.sock", runtime: cri.Description{Name: "cri-o", Version: "1.36.1"}}
	for _, tt := range []struct {
		name, log string
		host      fakeHost
		owner     owner
		want      []string
	}{
		{"it has failed", gone, fakeHost{units: units, runtimeErr: fs.ErrNotExist}, ourselves, start},
		{"on a node of kubeadm's", gone, fakeHost{units: units, runtimeErr: fs.ErrNotExist}, kubeadm, start},
		{"under a kubelet that runs", down, fakeHost{units: units, runtimeErr: fs.ErrNotExist}, kubeadm, start},
		{"another answers", gone, crio, ourselves, []string{"kubeletctl set --container-runtime-endpoint unix:///var/run/crio/crio.sock  # cri-o 1.36.1 answers there"}},
		{"another answers, on a node of kubeadm's", gone, crio, kubeadm, []string{
			"# set --container-runtime-endpoint=unix:///var/run/crio/crio.sock in KUBELET_EXTRA_ARGS in /etc/default/kubelet or /etc/sysconfig/kubelet (cri-o 1.36.1 answers there), then:", restart}},
	} {
		d := explain(t.Context(), Run{Log: kubeletlog.Parse(systemd.ParseEntries([]byte(tt.log)))}, tt.host, tt.owner)
		if !slices.Equal(d.Remedy, tt.want) {
			t.Errorf("%s: %s: %q", tt.name, d.Rule, d.Remedy)
		}
	}
}

// An API server that is a static pod of this host does not run for a reason of this kubelet's, where its log has one.
func TestServerThatIsAPod(t *testing.T) {
	refused := strings.Replace(register("dial tcp 192.0.2.1:6443: connect: connection refused"), "09:42", "09:52", 1)
	driver := later(`"Failed to create sandbox for pod" err="runc create failed: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"/kubepods\" instead"`)
	for _, tt := range []struct {
		name, log  string
		host       fakeHost
		rule, hint string
	}{
		{"elsewhere", driver + refused, fakeHost{}, "api-unreachable", "curl -k https://192.0.2.1:6443/version"},
		{"a pod", refused, fakeHost{file: "/bin/sh"}, "api-unreachable", "crictl ps -a"},
		{"a pod, and the wrong cgroup driver", driver + refused, fakeHost{file: "/bin/sh"}, "cgroup-driver-runtime", ""},
		{"a pod, and a wrong driver once", strings.Replace(driver, "09:52", "09:45", 1) + refused, fakeHost{file: "/bin/sh"}, "api-unreachable", "crictl ps -a"},
	} {
		d := explain(t.Context(), Run{Log: kubeletlog.Parse(systemd.ParseEntries([]byte(tt.log)))}, tt.host, kubeadm)
		if d.Rule != tt.rule || !d.Unready || !strings.Contains(d.Remedy[0], tt.hint) {
			t.Errorf("%s: %s, %q", tt.name, d.Rule, d.Remedy)
		}
	}
}

// A remedy names the node and the kubeconfig of the host, where they are known.
func TestRemediesNameTheNode(t *testing.T) {
	expired := klog("E", `"Part of the existing bootstrap client certificate in /k is expired: 2026-01-01"`) + failure("unable to load bootstrap kubeconfig: stat /b: no such file or directory")
	run := Run{Log: kubeletlog.Parse(systemd.ParseEntries([]byte(expired)))}
	for _, host := range []Host{nil, fakeHost{expires: time.Now().Add(-time.Hour)}} {
		remedy := strings.Join(explain(t.Context(), run, host, kubeadm).Remedy, "\n")
		if known := host != nil; strings.Contains(remedy, "system:node:worker-7 ") != known || strings.Contains(remedy, "NODE") == known {
			t.Errorf("%s", remedy)
		}
	}
}

// What to do depends on who owns the configuration.
func TestOwners(t *testing.T) {
	swap := failure("swap feature is enabled and LimitedSwap but it is only supported with cgroupv2")
	name := register(`node \"a\" is not allowed to modify node \"b\"`)
	gone := unit("Failed at step EXEC spawning /usr/local/bin/kubelet: No such file or directory")
	empty := failure(`kubelet config file \"/var/lib/kubelet/config.yaml\" was empty`)
	for _, tt := range []struct {
		owner owner
		log   string
		want  []string
	}{
		{ourselves, swap, []string{"kubeletctl set memorySwap.swapBehavior=NoSwap"}},
		{kubeadm, swap, []string{"# set memorySwap.swapBehavior: NoSwap in /var/lib/kubelet/config.yaml",
			"# and in the cluster (kubectl -n kube-system edit configmap kubelet-config), or the next kubeadm upgrade undoes it, then:", restart}},
		{user, swap, []string{"# set memorySwap.swapBehavior: NoSwap in the configuration file of kubelet (its flag --config), then:", restart}},
		{anybody, swap, []string{"# set memorySwap.swapBehavior: NoSwap in the configuration file of kubelet (its flag --config), then:", restart}},
		{ourselves, name, []string{"hostnamectl --static", "kubeletctl set --hostname-override a  # or join anew with the new name"}},
		{kubeadm, name, []string{"hostnamectl --static", "# set --hostname-override=a in KUBELET_EXTRA_ARGS in /etc/default/kubelet or /etc/sysconfig/kubelet (or join anew with the new name), then:", restart}},
		{user, name, []string{"hostnamectl --static", "# set --hostname-override=a on the command line of kubelet (systemctl cat kubelet.service) (or join anew with the new name), then:", restart}},
		{ourselves, gone, []string{"ls -lL /usr/local/bin/kubelet", "kubeletctl repair"}},
		{kubeadm, gone, []string{"ls -lL /usr/local/bin/kubelet", "kubeletctl repair"}},
		{user, empty, []string{"ls -l /var/lib/kubelet/config.yaml; df -h /var/lib/kubelet/config.yaml  # a full disk leaves empty files", writeAnew, "systemctl restart kubelet"}},
		{user, gone, []string{"ls -lL /usr/local/bin/kubelet", "# install this kubelet again, in the way in which it was installed, then:", restart}},
	} {
		d := explain(t.Context(), Run{Log: kubeletlog.Parse(systemd.ParseEntries([]byte(tt.log)))}, nil, tt.owner)
		if !slices.Equal(d.Remedy, tt.want) {
			t.Errorf("%d: %q", tt.owner, d.Remedy)
		}
	}
	for _, r := range rules {
		for _, line := range r.Remedy {
			for _, o := range []owner{user, anybody} {
				if own := o.line(line); strings.HasPrefix(own[0], "kubeletctl set") {
					t.Errorf("%s: %q is only for a kubelet that kubeletctl has installed", r.ID, line)
				}
			}
		}
	}
}

// What is normal right after a start, what a node that is Ready cannot have, and what the API server says of one that is not.
func TestRunningKubelets(t *testing.T) {
	cni := klog("E", `"Container runtime network not ready" networkReady="cni plugin not initialized"`)
	began := kubeletlog.Parse(systemd.ParseEntries([]byte(cni)))[0].Time
	for _, tt := range []struct {
		name, log string
		run       Run
		rule      string
	}{
		{"at its start", cni, Run{}, ""},
		{"a minute later", cni, Run{Started: began.Add(-2 * time.Minute)}, "cni"},
		{"long ago", cni, Run{Started: began.Add(-2 * time.Minute), Now: began.Add(time.Hour)}, ""},
		{"the node is Ready", cni, Run{Started: began.Add(-2 * time.Minute), Ready: true}, ""},
		{"pods of a node that is Ready", klog("E", `"Failed to generate sandbox config for pod" err="open /r: no such file or directory"`), Run{Ready: true}, "resolv-conf"},
		{"the API server says so", klog("I", `"x"`), Run{Started: began.Add(-2 * time.Minute), Complaint: "the node n is not Ready: cni plugin not initialized"}, "cni"},
		{"the API server cannot be asked", klog("I", `"x"`), Run{Complaint: "asking the API server 192.0.2.1:6443: dial tcp 192.0.2.1:6443: connect: connection refused"}, "api-unreachable"},
	} {
		tt.run.Log = kubeletlog.Parse(systemd.ParseEntries([]byte(tt.log)))
		if d := Explain(tt.run); d.Rule != tt.rule {
			t.Errorf("%s: %+v", tt.name, d)
		}
	}
}
