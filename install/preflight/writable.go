package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// UnwritableError names what this user could not write.
type UnwritableError struct {
	Path string
	// More counts the further paths.
	More int
	Err  error
}

func (e *UnwritableError) Error() string {
	more := ""
	if e.More > 0 {
		more = fmt.Sprintf(" (and %d more)", e.More)
	}
	return fmt.Sprintf("cannot write %s%s: %v", e.Path, more, e.Err)
}

func (e *UnwritableError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *UnwritableError) Hint() string {
	if os.Geteuid() != 0 {
		return "run this as root, for example with sudo"
	}
	if errors.Is(e.Err, syscall.EROFS) && strings.HasPrefix(e.Path, "/usr/") {
		return "/usr is mounted read-only: use --bin-dir /opt/bin, and --set volumePluginDir=/var/lib/kubelet/volumeplugins, since kubelet makes one there"
	}
	return "is the file system mounted read-only?"
}

// Writable checks, without writing, that a change could write what it has to: the record and every place of a step.
func Writable(tree hostfs.Tree, steps []plan.Step) error {
	places := []string{hostfs.StateDir}
	for _, s := range steps {
		if path.IsAbs(s.Target) && !slices.Contains(places, s.Target) {
			places = append(places, s.Target)
		}
	}
	var first *UnwritableError
	for _, place := range places {
		err := hostfs.Pathless(tree.Writable(place))
		switch {
		case err == nil:
		case first == nil:
			first = &UnwritableError{Path: place, Err: err}
		default:
			first.More++
		}
	}
	if first != nil {
		return first
	}
	return nil
}

// kubeletWrites are directories that a kubelet makes and writes to whatever its configuration (pkg/kubelet, podLogsRootDirectory
// and ContainerLogsDir); its root directory comes to them.
var kubeletWrites = []string{"/var/log/pods", "/var/log/containers"}

// Directories looks for directories that a kubelet has to write to and cannot: it would not start, and the former one would
// not start again either.
func Directories(tree hostfs.Tree, g *plan.Generation) []Problem {
	var problems []Problem
	for _, dir := range append([]string{g.KubeletRoot()}, kubeletWrites...) {
		// A name in it: what counts is whether something can be made there.
		err := hostfs.Pathless(tree.Writable(path.Join(dir, "kubeletctl")))
		if err == nil || errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
			continue
		}
		problems = append(problems, Problem{ID: KubeletDir, Severity: Failure,
			Message: fmt.Sprintf("kubelet has to write to %s and cannot: %v", dir, err),
			Hint:    "mount it writable, and run this again; kubelet was left as it is"})
	}
	return problems
}

// CheckBinDir refuses a directory of kubelets to which somebody else than root may write: root would run what lies there.
func CheckBinDir(tree hostfs.Tree, dir string) error {
	return checkRootOnly(tree, dir, BinDir, "and so could replace the kubelet that root runs", "; or choose a directory that only root may write to")
}

// CheckStateDir refuses a record to which somebody else than root may write: root's recovery does what is in it.
func CheckStateDir(tree hostfs.Tree) error {
	return checkRootOnly(tree, hostfs.StateDir, StateDir, "and so could tell root's recovery what to do", "")
}

// checkRootOnly refuses a directory to which somebody else than root may write, in itself, in one above, or in one that a link
// on the way there lies in or leads through. Only root is asked to obey.
func checkRootOnly(tree hostfs.Tree, dir, id, consequence, otherwise string) error {
	if os.Geteuid() != 0 || !tree.Whole() {
		return nil
	}
	const maxLinks = 40 // as many as the kernel follows
	way := dir
	for range maxLinks {
		next, writable, err := checkWay(tree, way)
		if err == nil && writable != "" {
			return Failed(id, fmt.Sprintf("users other than root may write to %s, %s", writable, consequence),
				"chown root "+writable+" && chmod go-w "+writable+otherwise)
		}
		if err != nil || next == "" {
			return err
		}
		way = next
	}
	return &fs.PathError{Op: "resolve", Path: dir, Err: syscall.ELOOP}
}

// checkWay looks at the directories from the root down to dir, and returns one that others may write to. At a link it ends,
// and returns the way that leads on from there; where a directory is missing that kubeletctl is to make, it returns nothing.
func checkWay(tree hostfs.Tree, dir string) (next, writable string, err error) {
	elements := strings.Split(strings.Trim(path.Clean(dir), "/"), "/")
	for i := range len(elements) + 1 {
		at := "/" + path.Join(elements[:i]...)
		info, err := tree.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return "", "", nil
		}
		if err != nil {
			return "", "", err
		}
		if info.Mode().Type() == fs.ModeSymlink {
			target, err := tree.Readlink(at)
			if err == nil && !path.IsAbs(target) {
				target = path.Join(path.Dir(at), target)
			}
			return path.Join(append([]string{target}, elements[i:]...)...), "", err
		}
		if othersWrite(info, i == len(elements)) {
			return "", at, nil
		}
	}
	return "", "", nil
}

// othersWrite reports whether somebody else than root may replace what is in a directory. In a sticky one nobody can, but
// others may put something beside the kubelets that are in it.
func othersWrite(info fs.FileInfo, itself bool) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode()
	others := mode.Perm()&0o002 != 0 || mode.Perm()&0o020 != 0 && ok && st.Gid != 0
	return others && (itself || mode&fs.ModeSticky == 0) || ok && st.Uid != 0
}
