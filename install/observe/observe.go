// Package observe looks at a host: its files, its units, the kubelet that runs. It changes nothing.
package observe

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Units tells the state of units; systemd.Conn and systemd.Offline do.
type Units interface {
	State(ctx context.Context, unit string) (systemd.UnitState, error)
}

// Observer looks at one host.
type Observer struct {
	Tree  hostfs.Tree
	Units Units
	// Live reports that Units is a systemd that runs.
	Live bool
}

// DigestsFile is the cache of the digests of large files.
const DigestsFile = hostfs.StateDir + "/verified.json"

// Observe reads the state of everything that the generations name; want comes first and says which directories are needed.
// What may not be read is listed in Unreadable; the caller decides whether it can go on.
func (o Observer) Observe(ctx context.Context, want *plan.Generation, others ...*plan.Generation) (*plan.Observation, error) {
	seen := &plan.Observation{
		Live: o.Live, Time: time.Now(), Files: map[string]plan.File{}, Units: map[string]systemd.UnitState{}, Unreadable: map[string]error{}, Partial: map[string]bool{},
	}
	known := o.Tree.LoadDigests(DigestsFile)
	for _, g := range append([]*plan.Generation{want}, others...) {
		if err := o.observe(ctx, g, seen, known); err != nil {
			return nil, err
		}
	}
	if want != nil {
		if err := o.surroundings(want, seen); err != nil {
			return nil, err
		}
	}
	dropIns, err := o.DropIns()
	if err != nil {
		seen.Unreadable[plan.DropInDir] = err
	}
	if state := seen.Units[systemd.KubeletService]; o.Live && want != nil && state.MainPID > 0 {
		if seen.Process, err = o.Process(state, known); err != nil {
			seen.Unreadable[fmt.Sprintf("process %d", state.MainPID)] = err
		}
		if seen.Inputs, err = o.inputs(want, dropIns, state.MainPID, seen.Time); err != nil {
			seen.Unreadable["what kubelet reads when it starts"] = err
		}
	}
	for _, d := range dropIns {
		if d.SetsCommand() {
			seen.Overrides = append(seen.Overrides, plan.DropIn{Path: d.Path, Line: o.Line(d.Command().Position)})
		}
	}
	return seen, nil
}

// observe looks at what one generation names; nil is none.
func (o Observer) observe(ctx context.Context, g *plan.Generation, seen *plan.Observation, known hostfs.Digests) error {
	if g == nil {
		return nil
	}
	for _, f := range g.Files {
		if _, done := seen.Files[f.Path]; done {
			continue
		}
		found, err := o.look(f, known)
		if err != nil {
			seen.Unreadable[f.Path] = err
			continue
		}
		seen.Files[f.Path] = found
	}
	for _, u := range g.Units {
		if _, done := seen.Units[u.Name]; done {
			continue
		}
		state, err := o.Unit(ctx, u.Name)
		if err != nil {
			return err
		}
		seen.Units[u.Name] = state
	}
	return nil
}

// Unit is the state of a unit. Of a directory, or whatever else stands in its place and is no file, there is nothing to tell.
func (o Observer) Unit(ctx context.Context, name string) (systemd.UnitState, error) {
	state, err := o.Units.State(ctx, name)
	if err == nil {
		return state, nil
	}
	if found, lookErr := o.Look(plan.File{Path: path.Join(hostfs.UnitDir, name)}); lookErr != nil || found.Kind != plan.Other {
		return state, err
	}
	return systemd.UnitState{Name: name, LoadState: "error", ActiveState: "inactive", SubState: "dead"}, nil
}

// surroundings looks at what a generation needs beside its files.
func (o Observer) surroundings(want *plan.Generation, seen *plan.Observation) error {
	for _, f := range want.Files {
		missing, err := o.Tree.MissingDirs(path.Dir(f.Path))
		if errors.Is(err, fs.ErrPermission) {
			continue // a user who may not look may not write either: see preflight.Writable
		}
		if err != nil {
			return err
		}
		addMissing(seen, missing)
	}
	if want.PodDir != "" {
		missing, _ := o.Tree.MissingDirs(want.PodDir) // what is in its place is kubelet's to complain of
		addMissing(seen, missing)
	}
	seen.Credentials = o.credentials(want)
	if file := want.Kubeconfig(); file != "" {
		_, err := o.Tree.Stat(file)
		seen.Joined = err == nil
	}
	for _, f := range want.Binaries() {
		if digest := want.DigestOf(f.Path); !digest.IsZero() {
			_, err := o.Tree.Lstat(store.PartialName(f.Path, digest))
			seen.Partial[f.Path] = err == nil
		}
	}
	return nil
}

func addMissing(seen *plan.Observation, dirs []string) {
	for _, dir := range dirs {
		if !slices.Contains(seen.MissingDirs, dir) {
			seen.MissingDirs = append(seen.MissingDirs, dir)
		}
	}
}

// credentials reports whether the files are there that kubelet waits for.
func (o Observer) credentials(g *plan.Generation) bool {
	for _, file := range g.Requires {
		if _, err := o.Tree.Stat(file); err != nil {
			return false
		}
	}
	for _, file := range g.Credentials {
		if _, err := o.Tree.Stat(file); err == nil {
			return true
		}
	}
	return len(g.Credentials) == 0
}

// Absent is the first of the files that a generation's kubelet waits for and that is not there; empty when all are.
func (o Observer) Absent(g *plan.Generation) string {
	for _, file := range slices.Concat(g.Requires, g.Credentials) {
		if !o.exists(file) {
			return file
		}
	}
	return ""
}

// exists reports whether there is a file, also one that this user may not look at.
func (o Observer) exists(file string) bool {
	_, err := o.Tree.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// Process looks at the main process of kubelet.service; nil when it has exited by now.
func (o Observer) Process(state systemd.UnitState, known hostfs.Digests) (*plan.Process, error) {
	p := &plan.Process{PID: state.MainPID, Invocation: state.InvocationID, Started: state.Started}
	program, err := os.Open(fmt.Sprintf("/proc/%d/exe", p.PID)) // a process of this machine, which is the host
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer program.Close()
	if p.SHA256, err = known.Sum(program); err != nil {
		return nil, err
	}
	command, err := commandLine(p.PID)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil, nil
	}
	for _, word := range command.Args {
		p.Args = append(p.Args, word.Text)
	}
	return p, err
}

// RunningCommand is the command line of the running kubelet; nil when none runs.
func (o Observer) RunningCommand(ctx context.Context) (*systemd.Command, error) {
	if !o.Live {
		return nil, nil
	}
	state, err := o.Units.State(ctx, systemd.KubeletService)
	if err != nil || state.MainPID == 0 {
		return nil, err
	}
	command, err := commandLine(state.MainPID)
	if err != nil {
		return nil, fmt.Errorf("reading the command line of the running kubelet: %w", err)
	}
	return &command, nil
}

func commandLine(pid int) (systemd.Command, error) {
	var command systemd.Command
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err == nil {
		command.Path, command.Args = systemd.SplitNulls("running kubelet", data)
	}
	return command, err
}

// environment are the variables that a process was started with, NAME=VALUE.
func environment(pid int) ([]string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return strings.Split(string(data), "\x00"), err
}

// Executed is the path of the binary that kubelet's process runs; empty when none runs, or when it cannot be known.
func (o Observer) Executed(ctx context.Context) string {
	if !o.Live {
		return ""
	}
	state, err := o.Units.State(ctx, systemd.KubeletService)
	if err != nil || state.MainPID == 0 {
		return ""
	}
	name, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", state.MainPID))
	return strings.TrimSuffix(name, " (deleted)")
}

// modeBits are those of a mode that are kept: the permissions, setuid, setgid and sticky.
const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// maxText is the size in bytes up to which a regular file is read as text.
const maxText = 1 << 20

// Look reads what is at the path of a file. like says what is expected there.
func (o Observer) Look(like plan.File) (plan.File, error) {
	return o.look(like, o.Tree.LoadDigests(DigestsFile))
}

// Has reports whether a file is on the host as it was recorded.
func (o Observer) Has(f plan.File) bool {
	found, err := o.Look(f)
	return err == nil && found.Kind != plan.Absent && found.SameContent(f)
}

func (o Observer) look(like plan.File, known hostfs.Digests) (plan.File, error) {
	found := plan.File{Path: like.Path}
	info, err := o.Tree.Lstat(like.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return plan.File{}, err
	}
	found.Mode, found.Modified = info.Mode()&modeBits, info.ModTime()
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		found.Kind, found.Mode = plan.Link, 0
		found.Target, err = o.Tree.Readlink(like.Path)
	case !info.Mode().IsRegular():
		found.Kind = plan.Other
	case like.IsProgram():
		found.Kind = like.Kind
		err = o.sums(&found, like, known)
	case info.Size() > maxText:
		found.Kind, found.Source = plan.Text, like.Path
		err = o.sums(&found, like, known)
	default:
		var content []byte
		if content, err = o.Tree.ReadRegular(like.Path, maxText); err == nil {
			found = plan.TextFile(like.Path, found.Mode, content)
			found.Modified = info.ModTime()
		}
	}
	// Only root can give a file to somebody, and so only root is told of it.
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 && (int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid()) {
		found.Owner = &hostfs.Owner{UID: int(st.Uid), GID: int(st.Gid)}
	}
	return found, err
}

// HasDigest reports whether a file has a digest, by its bytes alone: a tree may hold made-up caches.
func (o Observer) HasDigest(file string, digest release.Digest) (bool, error) {
	f, err := o.Tree.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	if digest.Algorithm == "sha512" {
		h = sha512.New()
	}
	if _, err := io.Copy(h, f); err != nil {
		return false, fmt.Errorf("reading %s: %w", file, err)
	}
	return hex.EncodeToString(h.Sum(nil)) == digest.Hex, nil
}

// sums computes the digests of a large file that are needed to compare it with another.
func (o Observer) sums(found *plan.File, like plan.File, known hostfs.Digests) error {
	f, err := o.Tree.Open(found.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if found.SHA256, err = known.Sum(f); err != nil || like.SHA256 != "" || like.SHA512 == "" {
		return err
	}
	h := sha512.New()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("reading %s: %w", found.Path, err)
	}
	found.SHA512 = hex.EncodeToString(h.Sum(nil))
	return nil
}
