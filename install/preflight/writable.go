package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
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
		err := pathless(tree.Writable(place))
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

// pathless takes the path off an error whose message names it anyway.
func pathless(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
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
		err := pathless(tree.Writable(path.Join(dir, "kubeletctl")))
		if err == nil || errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
			continue
		}
		problems = append(problems, Problem{ID: KubeletDir, Severity: Failure,
			Message: fmt.Sprintf("kubelet has to write to %s and cannot: %v", dir, err),
			Hint:    "mount it writable, and run this again; kubelet was left as it is"})
	}
	return problems
}

// CheckBinDir refuses a directory of kubelets to which somebody else than root may write, in itself or in one above: root
// would run what lies there. Only root is asked to obey. A sticky directory lets nobody replace what is in it.
func CheckBinDir(tree hostfs.Tree, dir string) error {
	if os.Geteuid() != 0 || !tree.Whole() {
		return nil
	}
	real, err := tree.PathFollowed(dir)
	if err != nil {
		return err
	}
	for d := real; ; d = path.Dir(d) {
		info, err := tree.Stat(d)
		if errors.Is(err, fs.ErrNotExist) && d != "/" {
			continue // kubeletctl makes it
		}
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		others := info.Mode().Perm()&0o002 != 0 || info.Mode().Perm()&0o020 != 0 && ok && st.Gid != 0
		if sticky := info.Mode()&fs.ModeSticky != 0 && d != real; others && !sticky || ok && st.Uid != 0 {
			return Failed(BinDir, fmt.Sprintf("others than root may write to %s, and so could replace the kubelet that root runs", d),
				"choose a directory that only root may write to, as "+hostfs.DefaultBinDir)
		}
		if d == "/" {
			return nil
		}
	}
}
