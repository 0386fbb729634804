package install

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// self is the program that runs, also when its file was replaced or deleted since.
const self = "/proc/self/exe"

// addRecovery adds to a generation what undoes an interrupted change: a copy of kubeletctl and the unit that runs it. They
// come first, so that they are in place before anything else changes. It returns the file of this machine with the copy's
// content; empty when nothing has to be copied.
func (p preparation) addRecovery() (source string, err error) {
	h, want, have, o := p.host, p.want, p.have, p.options
	unit := path.Join(hostfs.UnitDir, systemd.RecoverService)
	want.Files = slices.DeleteFunc(want.Files, func(f plan.File) bool { return f.Kind == plan.Program || f.Path == unit })
	want.Units = slices.DeleteFunc(want.Units, func(u plan.Unit) bool { return u.Name == systemd.RecoverService })
	var had plan.File
	installed := have != nil && !have.Snapshot
	if installed {
		had = have.Program()
	}
	foreign := h.foreign(want.Arch)
	leftOut := installed && had.Kind == plan.Absent && (o.restore || foreign)
	program := plan.File{Path: path.Join(path.Dir(want.Binary().Path), plan.RecoverProgram), Kind: plan.Program, Mode: 0o755}
	switch {
	case o.RecoverBinary != "":
		source = o.RecoverBinary
		err = checkRecoverBinary(source, want.Arch)
	case o.NoRecovery || leftOut:
		return "", nil
	case !foreign:
		source = self
	case had.Path == program.Path && p.recovers(had):
		program.SHA256 = had.SHA256
	default:
		err = &RecoveryError{fmt.Sprintf("this kubeletctl is for %s and could not recover a host with %s", runtime.GOARCH, want.Arch), want.Arch}
	}
	if err == nil && source != "" {
		program.SHA256, err = programDigest(h.Tree, source)
	}
	if err != nil {
		return "", err
	}
	want.Files = slices.Insert(want.Files, 0, program,
		plan.TextFile(unit, 0o644, systemd.RecoverUnit([]string{store.PendingFile, store.CordonFile, store.JoiningFile}, program.Path, RecoverVerb)))
	want.Units = slices.Insert(want.Units, 0, plan.Unit{Name: systemd.RecoverService, Enabled: true})
	return source, nil
}

// foreign reports whether this program could not run where a kubelet of an architecture does.
func (h *Host) foreign(arch string) bool {
	return !h.Live && arch != "" && arch != runtime.GOARCH
}

// recovers reports whether a program that was installed is there as it was recorded, and could recover this host.
func (p preparation) recovers(program plan.File) bool {
	name, err := p.host.Tree.Path(program.Path)
	return err == nil && p.host.Observer().Has(program) && release.CheckHeader(name, p.want.Arch) == nil
}

// mainPackage is what Go records in every build of kubeletctl (runtime/debug.BuildInfo.Path).
const mainPackage = "github.com/kubeletctl/kubeletctl/cmd/kubeletctl"

// checkRecoverBinary refuses a file that is no kubeletctl for an architecture, or one that does not run where it could.
func checkRecoverBinary(file, arch string) error {
	wrong := func(problem string) error {
		return &RecoveryError{fmt.Sprintf("--recover-binary %s: %s", file, problem), arch}
	}
	err := release.CheckHeader(file, arch)
	if header := (*release.VerifyError)(nil); errors.As(err, &header) {
		return wrong(header.Problem)
	}
	if err != nil {
		return err
	}
	if info, err := buildinfo.ReadFile(file); err != nil || info.Path != mainPackage {
		return wrong("it is not kubeletctl")
	}
	if arch != runtime.GOARCH {
		return nil
	}
	name, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	if _, err := askVersion(context.Background(), name); err != nil {
		return wrong(fmt.Sprintf("it does not run: %v", err))
	}
	return nil
}

// askVersion asks a kubeletctl for its version, and waits ten seconds for the answer.
func askVersion(ctx context.Context, file string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, file, "version").Output()
	if err != nil {
		return "", err
	}
	words := strings.Fields(string(out))
	if len(words) < 2 || words[0] != "kubeletctl" {
		return "", errors.New("it does not say its version")
	}
	return words[1], nil
}

// RecoveryVersion is the version of the kubeletctl that recovers this host, by its own word; empty when there is none, when it
// does not say, and when it is this program.
func RecoveryVersion(ctx context.Context, file string) string {
	running, err := os.Stat(self)
	if err != nil {
		return ""
	}
	copied, err := os.Stat(file)
	if err != nil || os.SameFile(running, copied) {
		return ""
	}
	version, _ := askVersion(ctx, file) // what does not answer has no version
	return version
}

// RecoveryError reports that there is no program with which the host could recover from an interrupted change.
type RecoveryError struct{ Problem, Arch string }

func (e *RecoveryError) Error() string { return e.Problem }

// Hint says what to do about it.
func (e *RecoveryError) Hint() string {
	return "name a kubeletctl for " + e.Arch + " with --recover-binary FILE, or leave it out with --no-recovery"
}

// programDigest is the digest of a file of this machine, not of the tree.
func programDigest(tree hostfs.Tree, file string) (string, error) {
	program, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("reading this program: %w", err)
	}
	defer program.Close()
	return tree.LoadDigests(observe.DigestsFile).Sum(program)
}
