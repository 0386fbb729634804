package config

import "testing"

func TestReserve(t *testing.T) {
	for _, tt := range []struct {
		memory      uint64
		cpus        int
		cpu, amount string
	}{
		{512 << 20, 1, "60m", "255Mi"}, // less than a GiB
		{2 * gib, 1, "60m", "512Mi"},
		{4 * gib, 2, "70m", "1024Mi"},
		{8 * gib, 4, "80m", "1843Mi"},
		{16 * gib, 8, "90m", "2662Mi"},
		{128 * gib, 32, "150m", "9543Mi"},
		{256 * gib, 64, "230m", "12165Mi"},
	} {
		r := Reserve(0, tt.memory, tt.cpus)
		if r.Kube["cpu"] != tt.cpu || r.Kube["memory"] != tt.amount {
			t.Errorf("%d GiB, %d CPUs: %v, want %s and %s", tt.memory/gib, tt.cpus, r.Kube, tt.cpu, tt.amount)
		}
		for _, reserved := range []map[string]string{r.Kube, r.System} {
			if len(reserved) != 4 {
				t.Errorf("%v", reserved)
			}
		}
	}
	for minor, want := range map[Minor]int{13: 3, 14: 4, 37: 4} {
		if r := Reserve(minor, gib, 1); len(r.Kube) != want || len(r.System) != want {
			t.Errorf("%s: %v", minor, r)
		}
	}
}
