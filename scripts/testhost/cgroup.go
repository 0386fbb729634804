package testhost

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// hierarchies lists the mount points of the machine's control groups: one on a
// machine with cgroup v2, one for each controller with v1, both in hybrid mode.
func hierarchies() ([]string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) > 2 && (f[2] == "cgroup" || f[2] == "cgroup2") && strings.HasPrefix(f[1], "/sys/fs/cgroup") {
			found = append(found, f[1])
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no cgroup file system is mounted")
	}
	return found, nil
}

// makeCgroups makes a group of that name at the top of every hierarchy. Without
// one of its own a host would share its root with the machine and with other
// hosts. The top is the only place that has all controllers with cgroup v2. A
// second call changes nothing.
func makeCgroups(name string) ([]string, error) {
	tops, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var made []string
	for _, top := range tops {
		dir := filepath.Join(top, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		made = append(made, dir)
		// A v1 cpuset starts empty, and nothing can run in an empty one.
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			all, err := os.ReadFile(filepath.Join(top, f))
			if err != nil {
				continue // another hierarchy, or v2, which inherits
			}
			if err := os.WriteFile(filepath.Join(dir, f), bytes.TrimSpace(all), 0o644); err != nil {
				return nil, fmt.Errorf("preparing %s: %w", dir, err)
			}
		}
	}
	return made, nil
}

// removeCgroups removes the groups of that name and all below them. A group
// stays busy for a moment after its last process is gone.
func removeCgroups(name string) error {
	tops, err := hierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, top := range tops {
		deadline := time.Now().Add(2 * time.Second)
		for {
			err := removeCgroup(filepath.Join(top, name))
			if err == nil {
				break
			}
			if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
				errs = append(errs, err)
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return errors.Join(errs...)
}

func removeCgroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		dirs = append(dirs, path)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	slices.Reverse(dirs) // children before parents
	for _, d := range dirs {
		if err := syscall.Rmdir(d); err != nil && !errors.Is(err, syscall.ENOENT) {
			return &fs.PathError{Op: "rmdir", Path: d, Err: err}
		}
	}
	return nil
}
