package facts

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/observe"
)

// here is this machine, with files of a tree.
func here(t testing.TB, files map[string]string) Where {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return Where{Observer: observe.Observer{Tree: hostfs.At(dir)}}
}

// The files of sysctl.d(5) count by their names, and of one name the first directory's.
func TestBoot(t *testing.T) {
	t.Parallel()
	w := here(t, map[string]string{
		"etc/sysctl.d/10-a.conf":     "kernel.panic = 10\n# vm.panic_on_oom=1\n-vm.overcommit_memory=1\n",
		"usr/lib/sysctl.d/10-a.conf": "kernel.panic=5\nkernel.panic_on_oops=1\n",
		"usr/lib/sysctl.d/20-b.conf": "vm/overcommit_memory=0\n; x=y\nnet.ipv4.conf.eth0/1.forwarding=1\nnothing\n",
		"etc/sysctl.d/README":        "kernel.panic=1\n",
	})
	var f Facts
	boot(t.Context(), w)(&f)
	want := map[string]string{"kernel/panic": "10", "vm/overcommit_memory": "0", "net.ipv4.conf.eth0/1.forwarding": "1"}
	if len(f.Boot) != len(want) {
		t.Errorf("got %v", f.Boot)
	}
	for name, value := range want {
		if f.Boot[name] != value {
			t.Errorf("%s is %q, want %q", name, f.Boot[name], value)
		}
	}
}

func TestProviders(t *testing.T) {
	t.Parallel()
	w := here(t, map[string]string{
		"etc/c.yaml":       "kind: CredentialProviderConfig\nproviders:\n- name: script\n- name: none\n- name: plain\n",
		"etc/d/a.yaml":     "providers: [{name: script}]",
		"etc/d/b.json":     "{",
		"etc/d/notes.txt":  "x",
		"opt/bin/script":   "#!/bin/sh\n",
		"opt/bin/plain":    "x",
		"opt/bin/other.sh": "x",
	})
	plain, err := w.Observer.Tree.Path("/opt/bin/plain")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(plain, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		config, failed string
		want           []string
	}{
		{"/etc/c.yaml", "", []string{"script", "none: no such file or directory", "plain: it is not executable"}},
		{"/etc/d", "/etc/d/b.json", []string{"script"}},
		{"/etc/none", "/etc/none: no such file or directory", nil},
		{"", "", nil},
	}
	for _, tt := range tests {
		w.ProviderConfig, w.ProviderDir = tt.config, "/opt/bin"
		var f Facts
		providers(t.Context(), w)(&f)
		var got []string
		for _, p := range f.Providers {
			line := p.Name
			if p.Err != nil {
				line += ": " + p.Err.Error()
			}
			got = append(got, line)
		}
		failed := ""
		if f.ProvidersErr != nil {
			failed = f.ProvidersErr.Error()
		}
		if !slices.Equal(got, tt.want) || !strings.HasPrefix(failed, tt.failed) || tt.failed == "" && failed != "" {
			t.Errorf("%s: got %q, %q", tt.config, got, failed)
		}
	}
}

func TestProxyAndResolver(t *testing.T) {
	t.Parallel()
	w := here(t, map[string]string{
		"etc/systemd/system/kubelet.service.d/proxy.conf": "[Service]\nEnvironment=HTTPS_PROXY=http://p:3128 A=b\nEnvironmentFile=-/etc/proxy\nEnvironmentFile=-/etc/none\n",
		"etc/proxy":       "no_proxy=10.0.0.0/8\n",
		"etc/resolv.conf": "# nameserver 10.0.0.9\nnameserver 10.0.0.1\nsearch example\nnameserver\nnameserver ::1\n",
	})
	w.ResolvConf = "/etc/resolv.conf"
	var f Facts
	proxy(t.Context(), w)(&f)
	resolver(t.Context(), w)(&f)
	if len(f.Proxy) != 2 || f.Proxy["HTTPS_PROXY"] != "http://p:3128" || f.Proxy["NO_PROXY"] != "10.0.0.0/8" {
		t.Errorf("proxies: %v", f.Proxy)
	}
	if f.Resolver.Err != nil || !slices.Equal(f.Resolver.Servers, []string{"10.0.0.1", "::1"}) {
		t.Errorf("resolver: %+v", f.Resolver)
	}
}

// A port that this process listens on is found, with the process; one that nobody asks about is not.
func TestListeners(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	var f Facts
	listeners(t.Context(), Where{Ports: []int{port}})(&f)
	if len(f.Listeners) != 1 || f.Listeners[0].PID != os.Getpid() || f.Listeners[0].Address.String() != l.Addr().String() {
		t.Errorf("got %+v", f.Listeners)
	}
	f = Facts{}
	listeners(t.Context(), Where{Ports: []int{1}})(&f)
	if f.Listeners != nil {
		t.Errorf("got %+v", f.Listeners)
	}
}

// A file system that hangs costs no more than its own facts.
func TestLate(t *testing.T) {
	t.Parallel()
	c := collector{"disk", 10 * time.Millisecond, func(context.Context, Where) func(*Facts) { select {} }}
	f := Facts{Memory: 1}
	c.within(t.Context(), Where{})(&f)
	if f.Memory != 1 || !slices.Equal(f.Late, []string{"disk"}) {
		t.Errorf("got %+v", f)
	}
}

// Facts of this machine are collected in the time that a user does not notice.
func BenchmarkCollect(b *testing.B) {
	w := here(b, nil)
	w.Observer.Tree = hostfs.At("/")
	w.Endpoint, w.AskRuntime = "unix:///var/run/containerd/containerd.sock", true
	w.Ports, w.Files, w.ResolvConf = []int{10248, 10250}, []string{"/var/lib/kubelet", "/usr/local/bin"}, "/etc/resolv.conf"
	for b.Loop() {
		Collect(b.Context(), w)
	}
}
