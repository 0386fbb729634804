// Package adopt turns a kubelet that was put on the host by other means into a spec.
package adopt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/document"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Found is a kubelet that was put on the host by other means: by hand, by a package, by kubeadm.
type Found struct {
	Setup *spec.Setup
	// Unit is the path of its unit file.
	Unit string
	// Version is what its binary says; zero when it could not be asked.
	Version release.Version
	// Masks are its drop-ins that set ExecStart=, by name: the command would stay theirs.
	Masks []string
	// Running reports that the setup is that of the running process.
	Running bool

	replaced []*systemd.UnitFile // whose settings ours takes the place of
	command  systemd.Command     // of the unit, also where another one is running
	observer observe.Observer
}

// Adoption is a found kubelet, carried over to a release.
type Adoption struct {
	*spec.Migration
	// DropIn is what the new unit has from the old one: environment, dependencies, conditions. Nil when that is nothing.
	DropIn []byte
	// Kept are the settings in it. Lost are settings that are not taken over, each with its file, and Ignored what systemd made nothing of before.
	Kept, Lost []string
	Ignored    config.Problems
}

// ErrNothingToAdopt reports that the host has no kubelet.service.
var ErrNothingToAdopt = errors.New("there is no kubelet.service to adopt on this host")

// Find looks for a kubelet that kubeletctl did not install. It changes nothing, but asks the binary for its version when
// the host is live.
func Find(ctx context.Context, o observe.Observer, note func(string)) (*Found, error) {
	found := &Found{observer: o}
	unit, file, err := o.UnitFile()
	if err != nil {
		return nil, err
	}
	if unit == nil {
		return nil, ErrNothingToAdopt
	}
	found.Unit = file
	if !written(o, file) {
		found.replaced = []*systemd.UnitFile{unit}
	}
	dropIns, err := o.DropIns()
	if err != nil {
		return nil, err
	}
	for _, d := range dropIns {
		if d.SetsCommand() && !written(o, d.Path) {
			found.Masks = append(found.Masks, d.Name())
			found.replaced = append(found.replaced, d.Unit)
		}
	}
	running, err := o.RunningCommand(ctx)
	if err != nil {
		return nil, err
	}
	if found.command, err = o.UnitCommand(unit, dropIns); err != nil && running == nil {
		return nil, fmt.Errorf("%s: %w", found.Unit, err)
	}
	command := &found.command
	if running != nil {
		found.Running, command = true, running
	}
	if found.Setup, err = found.readCommand(command); err != nil {
		return nil, err
	}
	if o.Live {
		if found.Version, err = release.VersionOf(ctx, found.Setup.Binary); err != nil {
			note(fmt.Sprintf("the version of %s is not known: %v", found.Setup.Binary, err))
		}
	}
	return found, nil
}

// written reports whether kubeletctl itself has written a file; nothing is lost of such a one.
func written(o observe.Observer, file string) bool {
	f, err := o.Look(plan.File{Path: file, Kind: plan.Text})
	return err == nil && f.Marked()
}

// readCommand reads a command line and the configuration that it names.
func (f *Found) readCommand(command *systemd.Command) (*spec.Setup, error) {
	setup := spec.ReadCommand(command)
	if slices.Contains([]string{"sh", "bash", "dash", "env"}, path.Base(setup.Binary)) {
		return nil, fmt.Errorf("%s runs %s, and what that runs cannot be read from it while no kubelet runs", f.Unit, command.Path)
	}
	file, given := config.FlagValue(setup.Args, "config")
	if !given {
		return setup, nil
	}
	data, err := f.observer.Tree.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && f.Kubeadm() {
		return setup, nil // kubeadm init and kubeadm join write it
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configuration that kubelet runs with: %w", err)
	}
	return setup, setup.AddConfig(document.File{Name: file, Data: data})
}

// Adopt carries a found kubelet over to a spec. Of everything in the files that are replaced it tells where it is now. Without
// a profile nothing changes: a kubelet of kubeadm's stays one, and any other keeps what is in force.
func (f *Found) Adopt(to release.Version, profile config.Profile) (*Adoption, error) {
	if profile == "" && f.Kubeadm() {
		profile = config.Kubeadm
	}
	var m *spec.Migration
	var err error
	switch {
	case profile == config.Kubeadm:
		m, err = f.keepKubeadm(to)
	case f.Kubeadm() && f.Setup.Fields == nil:
		return nil, fmt.Errorf("kubeadm has not written %s yet", config.KubeadmConfig)
	case profile == "":
		m, err = f.Setup.Keep(to, cmp.Or(f.Version, to))
	default:
		m, err = f.Setup.Migrate(to, cmp.Or(f.Version, to), profile)
	}
	if err != nil {
		return nil, err
	}
	a := &Adoption{Migration: m, Ignored: f.Setup.Ignored}
	return a, f.account(a)
}
