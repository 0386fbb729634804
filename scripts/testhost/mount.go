package testhost

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// mountsBelow lists the mount points at and below dir, the innermost and the
// latest first: the order in which they can be unmounted.
func mountsBelow(dir string) ([]string, error) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(info)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if point := fields[4]; point == dir || strings.HasPrefix(point, dir+"/") {
			found = append(found, point)
		}
	}
	slices.Reverse(found)
	return found, nil
}

func unmountBelow(dir string) error {
	points, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, p := range points {
		if syscall.Unmount(p, 0) == nil {
			continue
		}
		// Something of the outside looks into it, such as a shell. Detaching is
		// safe: nobody gets at the files by this path afterwards.
		const detach = 2
		if err := syscall.Unmount(p, detach); err != nil {
			return fmt.Errorf("unmounting %s: %w", p, err)
		}
	}
	return nil
}

// removeTree removes dir with all that is mounted below it unmounted first. It
// never deletes below a mount that stayed.
func removeTree(dir string) error {
	if err := unmountBelow(dir); err != nil {
		return err
	}
	if left, err := mountsBelow(dir); err != nil || len(left) > 0 {
		return fmt.Errorf("still mounted: %v %w", left, err)
	}
	return os.RemoveAll(dir)
}
