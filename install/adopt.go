package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// unitPath are the directories of unit files, the first wins (systemd.unit(5)).
var unitPath = []string{UnitDir, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// Found is a kubelet that was put on the host by other means: by hand, by a package, by kubeadm.
type Found struct {
	Setup *Setup
	// Unit is the path of its unit file.
	Unit string
	// Version is what its binary says; zero when it could not be asked.
	Version release.Version
	// Masks are its drop-ins that set ExecStart=, by name: the command would stay theirs.
	Masks []string
	// Lost are settings of its unit that are not taken over.
	Lost []string
	// Running tells that the setup is that of the running process.
	Running bool
}

// ErrNothingToAdopt tells that the host has no kubelet.service.
var ErrNothingToAdopt = errors.New("there is no kubelet.service to adopt on this host")

// Find looks for a kubelet that kubeletctl did not install. It changes nothing, but asks the binary for its version when
// the host is live.
func (h *Host) Find(ctx context.Context) (*Found, error) {
	found := &Found{}
	var unit *systemd.UnitFile
	for _, dir := range unitPath {
		data, err := h.readFile(dir + "/" + systemd.KubeletService)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found.Unit = dir + "/" + systemd.KubeletService
		if unit, err = systemd.ParseUnit(found.Unit, data); err != nil {
			return nil, err
		}
		break
	}
	if unit == nil {
		return nil, ErrNothingToAdopt
	}
	sources := []*systemd.UnitFile{unit}
	replaced := []*systemd.UnitFile{unit} // whose settings ours takes the place of
	dropIns, err := h.dropIns(systemd.KubeletService)
	if err != nil {
		return nil, err
	}
	for _, d := range dropIns {
		sources = append(sources, d.unit)
		if d.setsCommand() {
			found.Masks = append(found.Masks, d.name)
			replaced = append(replaced, d.unit)
		}
	}
	command, err := h.runningCommand(ctx)
	if err != nil {
		return nil, err
	}
	if command != nil {
		found.Running = true
	} else {
		c, err := systemd.Combine(sources...).ExecStart(systemd.Environment{ReadFile: h.readFile})
		if err != nil {
			return nil, fmt.Errorf("reading how %s starts kubelet: %w", found.Unit, err)
		}
		command = &c
	}
	if slices.Contains([]string{"sh", "bash", "dash", "env"}, path.Base(command.Path)) {
		return nil, fmt.Errorf("%s runs %s, and what that runs can not be read from it while no kubelet runs", found.Unit, command.Path)
	}
	if found.Setup, err = readCommand(command, h.readFile); err != nil {
		return nil, err
	}
	found.lost(replaced, command)
	if h.Live {
		if found.Version, err = release.VersionOf(ctx, command.Path); err != nil {
			h.note("the version of %s is not known: %v", command.Path, err)
		}
	}
	return found, nil
}

// readFile reads a file of the tree.
func (h *Host) readFile(p string) ([]byte, error) {
	name, err := h.Tree.Locate(p)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

type dropIn struct {
	name string
	unit *systemd.UnitFile
}

// setsCommand tells whether the command line is this drop-in's.
func (d dropIn) setsCommand() bool {
	return slices.ContainsFunc(d.unit.Assignments, func(a systemd.Assignment) bool { return a.Section == "Service" && a.Key == "ExecStart" })
}

// dropIns are those of a unit, in the order in which systemd reads them: by name, and of one name the first directory's.
func (h *Host) dropIns(service string) ([]dropIn, error) {
	byName := map[string]dropIn{}
	for _, dir := range slices.Backward(unitPath) {
		dir += "/" + service + ".d"
		name, err := h.Tree.LocateDir(dir)
		if err != nil {
			return nil, err
		}
		entries, err := os.ReadDir(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if path.Ext(e.Name()) != ".conf" {
				continue
			}
			data, err := h.readFile(dir + "/" + e.Name())
			if err != nil {
				return nil, err
			}
			unit, err := systemd.ParseUnit(dir+"/"+e.Name(), data)
			if err != nil {
				return nil, err
			}
			byName[e.Name()] = dropIn{e.Name(), unit}
		}
	}
	var all []dropIn
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, byName[name])
	}
	return all, nil
}

// runningCommand is the command line of the running kubelet; nil when none runs.
func (h *Host) runningCommand(ctx context.Context) (*systemd.Command, error) {
	if !h.Live {
		return nil, nil
	}
	state, err := h.Units.State(ctx, systemd.KubeletService)
	if err != nil || state.MainPID == 0 {
		return nil, err
	}
	data, err := os.ReadFile("/proc/" + strconv.Itoa(state.MainPID) + "/cmdline")
	if err != nil {
		return nil, fmt.Errorf("reading the command line of the running kubelet: %w", err)
	}
	command := &systemd.Command{}
	command.Path, command.Args = systemd.SplitNulls("running kubelet", data)
	return command, nil
}

func readCommand(command *systemd.Command, read ReadFile) (*Setup, error) {
	setup := &Setup{Binary: command.Path, Positions: config.Positions{}}
	setup.Args, setup.problems = config.ParseArgs(toWords(command.Args))
	file, given := config.FlagValue(setup.Args, "config")
	if !given {
		return setup, nil
	}
	data, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration that kubelet runs with: %w", err)
	}
	return setup, setup.addConfig(Source{file, data})
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

// dropInDir holds the drop-ins of this host.
const dropInDir = UnitDir + "/" + systemd.KubeletService + ".d"

// Mask adds to the generation that drop-ins of these names have no effect: a link to /dev/null takes their place
// (systemd.unit(5)).
func (b *Built) Mask(names []string) {
	for _, name := range names {
		b.Files = append(b.Files, File{Path: path.Join(dropInDir, name), Kind: Link, Target: os.DevNull})
	}
}

// masks are the names of the drop-ins that a generation masks.
func (g *Generation) masks() []string {
	var names []string
	if g != nil {
		for _, f := range g.Files {
			if f.Kind == Link && f.Target == os.DevNull && path.Dir(f.Path) == dropInDir {
				names = append(names, path.Base(f.Path))
			}
		}
	}
	return names
}

// Adopt carries a found kubelet over to a spec. from is the release that it runs, if the binary could not say it.
func (f *Found) Adopt(to release.Version, profile config.Profile) (*Migrated, error) {
	return f.Setup.Migrate(to, cmp.Or(f.Version, to), profile)
}
