package observe

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// What is not there and was when the process was started counts as changed since.
func TestRemovedInputs(t *testing.T) {
	t.Parallel()
	const optional, required = "/etc/default/kubelet", "/etc/required"
	tests := []struct {
		name, environ, text string
		args, start, want   []string
	}{
		{name: "an optional file that set a variable", environ: "GOGC=90", text: "EnvironmentFile=-" + optional, want: []string{optional}},
		{name: "one that never was there", text: "EnvironmentFile=-" + optional},
		{name: "a variable that another line sets", environ: "GOGC=90", text: "EnvironmentFile=-" + optional + "\nEnvironment=GOGC=80"},
		{name: "a file that is needed", text: "EnvironmentFile=" + required, want: []string{required}},
		{name: "files with a wildcard", environ: "GOGC=90", text: "EnvironmentFile=-/etc/default/*"},
		{name: "the directory of drop-ins", args: []string{"--config-dir=/etc/kubelet.d"}, want: []string{"/etc/kubelet.d"}},
		{name: "what kubelet reads", start: []string{"/etc/tls.crt", "/etc/config.yaml"}, want: []string{"/etc/tls.crt"}},
		{name: "the configuration of providers", args: []string{"--image-credential-provider-config=/etc/p.yaml"}, want: []string{"/etc/p.yaml"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := Observer{Tree: hostfs.At(t.TempDir())}
			if err := os.MkdirAll(filepath.Join(o.Tree.Root(), "etc/default"), 0o755); err != nil {
				t.Fatal(err)
			}
			process := exec.CommandContext(t.Context(), "sleep", "60")
			process.Env = []string{"PATH=/bin", "INVOCATION_ID=1", "LC_ALL=C"}
			if tt.environ != "" {
				process.Env = append(process.Env, tt.environ)
			}
			if err := process.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = process.Process.Kill(); _ = process.Wait() }()
			for environ := []byte(nil); len(environ) == 0 && t.Context().Err() == nil; { // it comes a moment after the program
				environ, _ = os.ReadFile(fmt.Sprintf("/proc/%d/environ", process.Process.Pid))
			}
			unit, err := systemd.ParseUnit("/etc/x.conf", []byte("[Service]\n"+tt.text+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			found, err := o.inputs(&plan.Generation{Args: tt.args, StartFiles: tt.start, Requires: []string{"/etc/config.yaml"}}, []DropIn{{Path: "/etc/x.conf", Unit: unit}}, process.Process.Pid, now)
			var names []string
			for _, in := range found {
				names = append(names, in.Path)
			}
			if err != nil || !slices.Equal(names, tt.want) {
				t.Errorf("found %q, %v, want %q", names, err, tt.want)
			}
		})
	}
}
