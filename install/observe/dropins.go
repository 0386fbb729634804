package observe

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// UnitPath are the directories of unit files, the first wins (systemd.unit(5)).
var UnitPath = []string{hostfs.UnitDir, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// DropIn is a drop-in of kubelet.service.
type DropIn struct {
	// Path is where it lies.
	Path string
	Unit *systemd.UnitFile
}

// Name is what decides in which order drop-ins count, and by what one is masked.
func (d DropIn) Name() string { return path.Base(d.Path) }

// Command is the assignment with which this drop-in sets the command line; nil when it does not.
func (d DropIn) Command() *systemd.Assignment {
	for i, a := range slices.Backward(d.Unit.Assignments) {
		if a.Section == "Service" && a.Key == "ExecStart" {
			return &d.Unit.Assignments[i]
		}
	}
	return nil
}

// SetsCommand reports whether the command line is this drop-in's.
func (d DropIn) SetsCommand() bool { return d.Command() != nil }

// DropIns are those of kubelet.service, in the order in which systemd reads them: by name, and of one name the first
// directory's; those of all services count less. Masked ones are left out.
func (o Observer) DropIns() ([]DropIn, error) {
	byName := map[string]DropIn{}
	for _, kind := range []string{"service.d", systemd.KubeletService + ".d"} {
		for _, dir := range slices.Backward(UnitPath) {
			if err := o.dropInsOf(path.Join(dir, kind), byName); err != nil {
				return nil, err
			}
		}
	}
	var all []DropIn
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, byName[name])
	}
	return all, nil
}

// dropInsOf reads the drop-ins of one directory over those of the ones behind it.
func (o Observer) dropInsOf(dir string, byName map[string]DropIn) error {
	entries, err := o.Tree.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		file := path.Join(dir, e.Name())
		if path.Ext(file) != ".conf" || e.IsDir() {
			continue
		}
		if target, err := o.Tree.Readlink(file); err == nil && target == os.DevNull {
			delete(byName, e.Name()) // it masks those behind it
			continue
		}
		data, err := o.Tree.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) { // a link that leads nowhere, which systemd skips as well
			continue
		}
		if err != nil {
			return err
		}
		unit, err := systemd.ParseUnit(file, data)
		if err != nil {
			continue // systemd refuses it as well, so it sets nothing
		}
		byName[e.Name()] = DropIn{file, unit}
	}
	return nil
}
