// Package adopt turns a kubelet that was put on the host by other means into a spec.
package adopt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/document"
	"github.com/kubeletctl/kubeletctl/install/observe"
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
	// Lost are settings of its unit that are not taken over.
	Lost []string
	// Running reports that the setup is that of the running process.
	Running bool
}

// ErrNothingToAdopt reports that the host has no kubelet.service.
var ErrNothingToAdopt = errors.New("there is no kubelet.service to adopt on this host")

// Find looks for a kubelet that kubeletctl did not install. It changes nothing, but asks the binary for its version when
// the host is live.
func Find(ctx context.Context, o observe.Observer, note func(string)) (*Found, error) {
	found := &Found{}
	unit, file, err := o.UnitFile()
	if err != nil {
		return nil, err
	}
	if unit == nil {
		return nil, ErrNothingToAdopt
	}
	found.Unit = file
	replaced := []*systemd.UnitFile{unit} // whose settings ours takes the place of
	dropIns, err := o.DropIns()
	if err != nil {
		return nil, err
	}
	for _, d := range dropIns {
		if d.SetsCommand() {
			found.Masks = append(found.Masks, d.Name())
			replaced = append(replaced, d.Unit)
		}
	}
	command, err := o.RunningCommand(ctx)
	if err != nil {
		return nil, err
	}
	if command != nil {
		found.Running = true
	} else {
		c, err := o.UnitCommand(unit, dropIns)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", found.Unit, err)
		}
		command = &c
	}
	if slices.Contains([]string{"sh", "bash", "dash", "env"}, path.Base(command.Path)) {
		return nil, fmt.Errorf("%s runs %s, and what that runs cannot be read from it while no kubelet runs", found.Unit, command.Path)
	}
	if found.Setup, err = readCommand(command, o.Tree.ReadFile); err != nil {
		return nil, err
	}
	found.lost(replaced, command)
	if o.Live {
		if found.Version, err = release.VersionOf(ctx, command.Path); err != nil {
			note(fmt.Sprintf("the version of %s is not known: %v", command.Path, err))
		}
	}
	return found, nil
}

func readCommand(command *systemd.Command, read func(string) ([]byte, error)) (*spec.Setup, error) {
	setup := &spec.Setup{Binary: command.Path, Positions: config.Positions{}}
	setup.Args, setup.Problems = config.ParseArgs(spec.Words(command.Args))
	file, given := config.FlagValue(setup.Args, "config")
	if !given {
		return setup, nil
	}
	data, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration that kubelet runs with: %w", err)
	}
	return setup, setup.AddConfig(document.File{Name: file, Data: data})
}

// ours are the settings that the rendered unit has an answer to.
var ours = []string{
	"ExecStart", "EnvironmentFile", "Type", "Restart", "RestartSec", "StartLimitInterval", "StartLimitIntervalSec", "StartLimitBurst",
	"Description", "Documentation", "Wants", "After", "Requires", "WantedBy", "ConditionPathExists",
}

// lost lists the settings that go with the files that are replaced. Variables that only hold flags have been read.
func (f *Found) lost(replaced []*systemd.UnitFile, command *systemd.Command) {
	for _, a := range systemd.Combine(replaced...).Assignments {
		if a.Value == "" || slices.Contains(ours, a.Key) || a.Key == "Environment" && strings.Contains(a.Value, "=-") {
			continue
		}
		f.Lost = append(f.Lost, fmt.Sprintf("%s: %s=%s", a.Position.File, a.Key, a.Value))
	}
}

// Adopt carries a found kubelet over to a spec. from is the release that it runs, if the binary could not say it.
func (f *Found) Adopt(to release.Version, profile config.Profile) (*spec.Migration, error) {
	return f.Setup.Migrate(to, cmp.Or(f.Version, to), profile)
}
