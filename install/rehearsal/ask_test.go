package rehearsal

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// klog puts words in the form in which a kubelet says why it ends.
func klog(words string) string {
	return "E1130 04:00:00.000000      99 run.go:72] " + words + "\n"
}

func TestAnswer(t *testing.T) {
	const cgroup = `invalid configuration: singleProcessOOMKill must not be explicitly set to false when using cgroup v1`
	tests := []struct {
		name, log string
		want      string // refused, machine, or nothing
	}{
		{"it asked for its runtime", klog(`"command failed" err="failed to run Kubelet: validate service connection: validate CRI v1 runtime API for endpoint \"unix:///x/no-runtime.sock\": rpc error"`), ""},
		{"it wanted credentials", klog(`"command failed" err="failed to run Kubelet: no client provided, cannot use webhook authentication"`), ""},
		{"a flag", klog(`"command failed" err="failed to parse kubelet flag: unknown flag: --max-podz"`), "refused"},
		{"a flag, before 1.24", "Error: unknown flag: --max-podz\n", "refused"},
		{"a gate of the file", "panic: failed to merge global and in-flight KubeletConfiguration while setting defaults, error: unrecognized feature gate: Foo\n", "refused"},
		{"a value", klog(`"command failed" err="failed to validate kubelet configuration, error: invalid configuration: maxPods (--max-pods) -5 must not be a negative number, path: &TypeMeta{}"`), "refused"},
		{"decoding", klog(`"command failed" err="failed to load kubelet config file, path: /c, error: failed to decode: yaml: line 4"`), "refused"},
		{"a cipher suite", klog(`"command failed" err="failed to construct kubelet dependencies: Cipher suite X not supported or doesn't exist"`), "refused"},
		{"an authorization mode", klog(`"command failed" err="failed to run Kubelet: unknown authorization mode RBAC"`), "refused"},
		{"several lines", klog("\"command failed\" err=<\n\tfailed to validate kubelet flags: unknown 'kubernetes.io' or 'k8s.io' labels\n\t--node-labels in ...\n >"), "refused"},
		{"a file that is not here", klog(`"command failed" err="failed to construct kubelet dependencies: unable to load client CA file /nope: open /nope: no such file or directory"`), "machine"},
		{"cgroup v1 alone", klog(`"command failed" err="failed to validate kubelet configuration, error: ` + cgroup + `, path: &TypeMeta{}"`), "machine"},
		{"cgroup v1 and a value", klog(`"command failed" err="failed to validate kubelet configuration, error: [invalid configuration: maxPods -5, ` + cgroup + `], path: &TypeMeta{}"`), "refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := verdict{Log: "I1130 04:00:00.000000      99 flags.go:64] FLAG\n" + tt.log}.answer()
			got := ""
			switch {
			case a.Refused != "" && a.Machine != "":
				got = "both"
			case a.Refused != "":
				got = "refused"
			case a.Machine != "":
				got = "machine"
			}
			if got != tt.want {
				t.Errorf("got %q, want %q: %+v", got, tt.want, a)
			}
		})
	}
}

func TestIgnored(t *testing.T) {
	log := `W1130 04:00:00.000000      99 codec.go:68] "Using lenient decoding as strict decoding failed" err="strict decoding error: unknown field \"b\", unknown field \"a.x\""` + "\n"
	if got := (verdict{Log: log + log}).ignored(); !slices.Equal(got, []string{"a.x", "b"}) {
		t.Errorf("%q", got)
	}
}

// A kubelet that is asked has no credentials and nothing to write to but what is thrown away, and is nobody where this is root.
func TestAsk(t *testing.T) {
	program := filepath.Join(t.TempDir(), "kubelet")
	script := "#!/bin/sh\n" + `echo "E1130 04:00:00.000000 1 x.go:1] invalid configuration: $(id -u) $(echo "$*" | sed s/no-runtime/none/)"; exit 1` + "\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	a, err := Ask(t.Context(), Question{Binary: program, Minor: 37, Config: []byte("{}"), Args: []string{
		"--kubeconfig=/k", "--bootstrap_kubeconfig=/b", "--config=/c", "--config-dir=/d", "--lock-file=/run/lock/kubelet", "--v=2", "--log-dir=/var/log/k",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, banned := range []string{"kubeconfig", "log-dir", "--config=/c ", "config-dir"} {
		if strings.Contains(a.Refused, banned) {
			t.Errorf("%s is among %s", banned, a.Refused)
		}
	}
	for _, wanted := range []string{"--v=2", "/lock ", "/root ", "/pki ", "/none.sock", "/config.yaml", "--fail-cgroupv1=false"} {
		if !strings.Contains(a.Refused+" ", wanted) {
			t.Errorf("%s is not among %s", wanted, a.Refused)
		}
	}
	if os.Geteuid() == 0 && !strings.Contains(a.Refused, "invalid configuration: 65534 ") {
		t.Errorf("it is not nobody: %s", a.Refused)
	}
}
