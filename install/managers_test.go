package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStaleStates(t *testing.T) {
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
		{name: "to static", wanted: "cpuManagerPolicy: static", cpu: none, want: "cpu_manager_state: it is of the policy none, and cpuManagerPolicy is static now"},
		{name: "back to the default", had: "cpuManagerPolicy: static", wanted: "maxPods: 5", cpu: static, want: "cpu_manager_state: it is of the policy static, and cpuManagerPolicy is none now"},
		{name: "static as before", had: "cpuManagerPolicy: static\nkubeReserved: {cpu: 1}", wanted: "cpuManagerPolicy: static\nkubeReserved: {cpu: 1, memory: 1Gi}", cpu: static},
		{name: "more is reserved", had: "cpuManagerPolicy: static\nkubeReserved: {cpu: 1}", wanted: "cpuManagerPolicy: static\nkubeReserved: {cpu: 2}", cpu: static, want: "cpu_manager_state: kubeReserved.cpu changes"},
		{name: "reserved CPUs", had: "cpuManagerPolicy: static", wanted: "cpuManagerPolicy: static\nreservedSystemCPUs: 0-1", cpu: static, want: "cpu_manager_state: reservedSystemCPUs changes"},
		{name: "reserved memory", had: "memoryManagerPolicy: Static", wanted: "memoryManagerPolicy: Static\nreservedMemory: [{numaNode: 0}]", memory: memory, want: "memory_manager_state: reservedMemory changes"},
		{name: "memory back to None", had: "memoryManagerPolicy: Static", wanted: "a: b", memory: memory, want: "memory_manager_state: it is of the policy Static, and memoryManagerPolicy is None now"},
		{name: "unreadable", wanted: "cpuManagerPolicy: static", cpu: "{"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			write(t, b, KubeletDir+"/cpu_manager_state", tt.cpu)
			write(t, b, KubeletDir+"/memory_manager_state", tt.memory)
			c := &Change{Want: &Generation{Files: []File{textFile(ConfigFile, 0o600, []byte(tt.wanted))}}}
			if tt.had != "" {
				c.Have = &Generation{Files: []File{textFile(ConfigFile, 0o600, []byte(tt.had))}}
			}
			stale, err := b.StaleStates(c)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range stale {
				got = append(got, strings.TrimPrefix(s.Path, KubeletDir+"/")+": "+s.Reason)
			}
			if text := strings.Join(got, "; "); tt.want == "" && text != "" || !strings.HasPrefix(text, tt.want) {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
}

func write(t *testing.T, b *bench, name, content string) {
	t.Helper()
	if content == "" {
		return
	}
	file := filepath.Join(b.Tree.Root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
