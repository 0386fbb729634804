package document

import (
	"errors"
	"strings"
	"testing"
)

func TestKind(t *testing.T) {
	const pods = "kind: KubeletConfiguration\n"
	for _, tt := range []struct {
		name, text string
		want       Kind
	}{
		{"x", "# c\n[Service]\nExecStart=/k\n", Unit},
		{"x", "lost\n[Service]\nExecStart=/k\n", Unit},
		{"x", "  [Unit]\n", Unit},
		{"x", "\ufeff[Unit]\n", Unit},
		{"kubelet.service", "[service]\nExecStart=/k\n", Unit},
		{"x", "[Service\nExecStart=/k\n", Unit},
		{"kubelet.service", "", Unit},

		{"x.yaml", "a: b\n", Config},
		{"-", pods, Config},
		{"10-x.conf", "---\n" + pods, Config},
		{"10-x.conf", "--- # ours\n" + pods, Config},
		{"10-x.conf", "%YAML 1.1\n---\n" + pods, Config},
		{"10-x.conf", "\ufeff# ours\n" + pods, Config},
		{"10-x.conf", "\"kind\": KubeletConfiguration\n", Config},
		{"10-x.conf", "'maxPods' : 5\nkind: KubeletConfiguration\n", Config},
		{"10-x.conf", "? kind\n: KubeletConfiguration\n", Config},
		{"10-x.conf", "maxPods: 20\n", Config},
		{"10-x.conf", "{kind: KubeletConfiguration}\n", Config},
		{"-", "{\"kind\": \"KubeletConfiguration\"}", Config},
		{"-", "\n\n{\n\t\"kind\":\"KubeletConfiguration\",}", Config},
		{"-", "kind: KubeletConfiguration\nmaxPods: [\n", Config},
		{"-", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfig\n", Config},
		{"-", "Kind: KubeletConfiguration\nAPIVersion: x\n", Config},
		{"x.yaml", "# nothing\n", Config},
		{"-", pods + "---\nkind: Pod\n", Config},
		{"-", "apiVersion: x\nkind: KubeletInstallation\n", Spec},
		{"-", "kind: 'KubeletInstallation'\n", Spec},
		{"-", "apiVersion: kubeletctl.dev/v1alpha1\nversion: v1.37.2\n", Spec},

		{"kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\"--a\"\n", Environment},
		{"kubelet", "A = \"--node-ip=10.0.0.7\"\n", Environment},
		{"kubelet", "export A='--x=y'\n", Environment},
		{"kubelet", "declare -x A='--x=y'\n", Environment},
		{"kubelet", "\ufeffA=b\n", Environment},
		{"kubelet", "; c\n1A=b\n", Environment},
		{"kubelet", "#!/bin/sh\nA=--v=2\nB=c\n", Environment},
		{"kubeadm-flags.env", "the flags\nA=b\n", Environment},
		{"kubeadm-flags.env", "", Environment},
		{"/etc/default/kubelet", "# none\n", Environment},
		{"/etc/sysconfig/kubelet", "", Environment},

		{"-", "kubelet --config=/x\n", Command},
		{"-", "/usr/bin/kubelet\n", Command},
		{"-", "exec hyperkube kubelet --v=2\n", Command},
		{"-", "--v=2", Command},
		{"kubelet", "--v=2\n# c\n--x=y\n", Command},
		{"-", "-v 2 --x", Command},
		{"-", "", Empty},
		{"10-x.conf", "# nothing\n", Empty},
	} {
		if got, err := (File{Name: tt.name, Data: []byte(tt.text)}).Kind(); got != tt.want || err != nil {
			t.Errorf("%s %q: got %q, %v; want %s", tt.name, tt.text, got, err, tt.want)
		}
	}
}

func TestStrangers(t *testing.T) {
	for _, tt := range []struct{ name, text, what, hint string }{
		{"user-data.yaml", "#cloud-config\nwrite_files:\n- content: |\n    [Service]\n    ExecStart=/k\n", "user-data of cloud-init", "files of their own"},
		{"user-data", "write_files:\n- content: |\n    [Service]\n    ExecStart=/k\n", "user-data of cloud-init", "files of their own"},
		{"-", "Content-Type: multipart/mixed; boundary=x\n", "user-data of cloud-init", ""},
		{"-", "#!/bin/sh\nset -e\nexec kubelet --v=2\n", "a script", "behind --"},
		{"-", "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - command: [kubelet]\n", "a Pod", ""},
		{"-", "{\"apiVersion\":\"v1\",\"kind\":\"Config\",\"clusters\":[]}", "a kubeconfig", ""},
		{"kubelet.conf", "apiVersion: v1\nclusters: []\nkind: Config\n", "a kubeconfig", ""},
		{"-", "kind: ConfigMap\ndata:\n  kubelet: |\n    kind: KubeletConfiguration\n", "a ConfigMap", ""},
		{"-", "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\n", "a CredentialProviderConfig", ""},
		{"-", "kind: InitConfiguration\n---\nkind: KubeletConfiguration\n", "an InitConfiguration", "line 3 is a second document"},
		{"-", "{\"kubeletconfig\":{\"maxPods\":5}}", "/configz", ""},
		{"x.json", "[{\"kind\":\"KubeletConfiguration\"}]", "TOML or a list", ""},
		{"x.yaml", "- kind: KubeletConfiguration\n", "a list", ""},
		{"config.toml", "version = 2\n[plugins]\n", "TOML", ""},
		{"-", "-----BEGIN CERTIFICATE-----\n", "a certificate", ""},
		{"-", "<html>", "HTML", ""},
		{"-", "I1130 03:29:53.000000     812 server.go:1] kubelet --v=2\n", "a log", "kubeletctl logs"},
		{"-", "Nov 30 03:29:53 n1 kubelet[812]: --v=2\n", "a log", "kubeletctl logs"},
		{"-", "● kubelet.service - kubelet\n", "systemctl status", "systemctl cat"},
		{"ps", "PID TTY      STAT   TIME COMMAND\n812 ?   Ssl    1:02 /usr/bin/kubelet --v=2\n", "a list of processes", "behind --"},
		{"ps", "root   812  0.1  2.0 1 2 ?  Ssl  Nov29  1:02 /usr/bin/kubelet --v=2\n", "a list of processes", "behind --"},
		{"ps", "UID   PID  PPID  C STIME TTY  TIME CMD\n", "a list of processes", "behind --"},
		{"ps", "812 /usr/bin/kubelet --v=2\n", "a list of processes", "behind --"},
		{"notes.txt", "how we do it here\n", "", "--help"},
	} {
		kind, err := File{Name: tt.name, Data: []byte(tt.text)}.Kind()
		unknown, ok := errors.AsType[*UnknownError](err)
		if !ok || !strings.Contains(unknown.What, tt.what) || !strings.Contains(unknown.Hint(), tt.hint) {
			t.Errorf("%s %q: got %q, %v", tt.name, tt.text, kind, err)
		}
	}
}

// A command line that was given as that is one, whatever it looks like.
func TestCommandLine(t *testing.T) {
	if kind, err := CommandLine("command line", "A=b kubelet").Kind(); kind != Command || err != nil {
		t.Errorf("got %s, %v", kind, err)
	}
}
