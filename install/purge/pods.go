package purge

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// PodSlice is systemd's name of the group that all pods are in, when kubelet's cgroupDriver is systemd.
const PodSlice = "kubepods.slice"

// cgroups lists the groups that a kubelet made for its pods, outermost first.
func cgroups() (groups []string) {
	_ = filepath.WalkDir("/sys/fs/cgroup", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(name, "/kubepods") {
			groups = append(groups, name)
		}
		return nil
	})
	return groups
}

// PodsRun reports whether a process is in one of the groups of pods.
func PodsRun() bool {
	return slices.ContainsFunc(cgroups(), func(name string) bool {
		processes, _ := os.ReadFile(filepath.Join(name, "cgroup.procs"))
		return len(processes) > 0
	})
}

// RemoveCgroups removes the groups that a kubelet made for its pods, as far as they are empty: the kernel keeps one with a
// process in it.
func RemoveCgroups() {
	for _, name := range slices.Backward(cgroups()) {
		_ = unix.Rmdir(name)
	}
}
