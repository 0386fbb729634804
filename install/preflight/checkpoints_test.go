package preflight

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

func TestStaleCheckpoints(t *testing.T) {
	t.Parallel()
	const (
		none   = `{"policyName":"none","defaultCpuSet":"","checksum":1353318690}`
		static = `{"policyName":"static","defaultCpuSet":"0-3","checksum":1}`
		memory = `{"policyName":"Static","machineState":{},"checksum":1}`
	)
	tests := []struct {
		name, had, wanted, cpu, memory string
		want                           string // "file: reason", or nothing
	}{
		{name: "nothing kept", wanted: "cpuManagerPolicy: static"},
		{name: "default policy", had: "a: b", wanted: "maxPods: 5", cpu: none},
		{name: "default policy written out", wanted: "cpuManagerPolicy: none", cpu: none},
		{name: "to static", wanted: "cpuManagerPolicy: static", cpu: none, want: "cpu_manager_state: it was made with the policy none, and cpuManagerPolicy is now static"},
		{name: "back to the default", had: "cpuManagerPolicy: static", wanted: "maxPods: 5", cpu: static, want: "cpu_manager_state: it was made with the policy static, and cpuManagerPolicy is now none"},
		{name: "static as before", had: "cpuManagerPolicy: static\nkubeReserved: {cpu: 1}", wanted: "cpuManagerPolicy: static\nkubeReserved: {cpu: 1, memory: 1Gi}", cpu: static},
		{name: "more is reserved", had: "cpuManagerPolicy: static\nkubeReserved: {cpu: 1}", wanted: "cpuManagerPolicy: static\nkubeReserved: {cpu: 2}", cpu: static, want: "cpu_manager_state: kubeReserved.cpu changes"},
		{name: "reserved CPUs", had: "cpuManagerPolicy: static", wanted: "cpuManagerPolicy: static\nreservedSystemCPUs: 0-1", cpu: static, want: "cpu_manager_state: reservedSystemCPUs changes"},
		{name: "reserved memory", had: "memoryManagerPolicy: Static", wanted: "memoryManagerPolicy: Static\nreservedMemory: [{numaNode: 0}]", memory: memory, want: "memory_manager_state: reservedMemory changes"},
		{name: "memory back to None", had: "memoryManagerPolicy: Static", wanted: "a: b", memory: memory, want: "memory_manager_state: it was made with the policy Static, and memoryManagerPolicy is now None"},
		{name: "unreadable", wanted: "cpuManagerPolicy: static", cpu: "{"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tree := hostfs.At(t.TempDir())
			write(t, tree, hostfs.KubeletDir+"/"+plan.CPUCheckpoint, tt.cpu)
			write(t, tree, hostfs.KubeletDir+"/"+plan.MemoryCheckpoint, tt.memory)
			var have *plan.Generation
			if tt.had != "" {
				have = configured(tt.had)
			}
			stale, err := StaleCheckpoints(observe.Observer{Tree: tree}, configured(tt.wanted), have)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range stale {
				got = append(got, strings.TrimPrefix(s.File.Path, hostfs.KubeletDir+"/")+": "+s.Reason)
			}
			if text := strings.Join(got, "; "); tt.want == "" && text != "" || !strings.HasPrefix(text, tt.want) {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
}

// configured is a generation with a configuration.
func configured(config string) *plan.Generation {
	return &plan.Generation{Files: []plan.File{plan.TextFile(hostfs.ConfigFile, 0o600, []byte(config))}}
}

func write(t *testing.T, tree hostfs.Tree, name, content string) {
	t.Helper()
	if content == "" {
		return
	}
	file := filepath.Join(tree.Root(), name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
