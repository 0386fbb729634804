package spec

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/document"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// documents are files that say together how one kubelet is run, each read by itself.
type documents struct {
	files        []document.File
	specs        []document.File
	configs      []document.File
	units        []*unitDocument // the unit, then its drop-ins in systemd's order
	environments []*environmentDocument
	binary       string // of the command lines
	words        []systemd.Word
	commands     int // how many command lines there are

	ignored config.Problems // what systemd and kubelet skip
}

type unitDocument struct {
	name string
	*systemd.UnitFile
}

// isDropIn reports whether a unit file is no unit by itself.
func (u *unitDocument) isDropIn() bool { return path.Ext(u.name) != ".service" }

type environmentDocument struct {
	name      string
	variables []systemd.Variable
	named     bool // by a unit
}

// read reads each document by itself. The error joins syntax errors, which have positions.
func read(files []document.File) (*documents, error) {
	d := &documents{files: files}
	var errs []error
	for _, f := range files {
		errs = append(errs, d.add(f))
	}
	slices.SortStableFunc(d.units, func(a, b *unitDocument) int {
		if a.isDropIn() && b.isDropIn() {
			return cmp.Compare(path.Base(a.name), path.Base(b.name))
		}
		return cmp.Compare(path.Ext(b.name), path.Ext(a.name)) // .service, .conf
	})
	slices.SortStableFunc(d.configs, func(a, b document.File) int {
		if isConfigDropIn(a.Name) && isConfigDropIn(b.Name) {
			return cmp.Compare(a.Name, b.Name)
		}
		return 0
	})
	return d, errors.Join(errs...)
}

func (d *documents) add(f document.File) error {
	kind, err := f.Kind()
	switch kind {
	case document.Spec:
		d.specs = append(d.specs, f)
	case document.Config:
		d.configs = append(d.configs, f)
		if second, more := config.SecondDocument(f.Name, f.Data); more {
			d.ignored = append(d.ignored, config.Problem{Position: second, Message: "a second document: kubelet reads the first one only"})
		}
	case document.Command:
		var first string
		var words []systemd.Word
		first, words, err = systemd.SplitCommandLine(f.Name, string(f.Data))
		found := findKubelet(first, words)
		d.binary, d.words = cmp.Or(d.binary, found.binary), append(d.words, found.args...)
		d.commands++
	case document.Environment:
		e := &environmentDocument{name: f.Name}
		var skipped []*systemd.SyntaxError
		e.variables, skipped, err = systemd.ParseEnvironmentFile(f.Name, f.Data)
		d.ignored = append(d.ignored, Skipped(skipped)...)
		d.environments = append(d.environments, e)
	case document.Unit:
		var u *systemd.UnitFile
		u, err = systemd.ParseUnit(f.Name, f.Data)
		d.ignored = append(d.ignored, Skipped(u.Ignored())...)
		d.units = append(d.units, &unitDocument{f.Name, u})
	}
	return err
}

// services are the units, each with its drop-ins; without a unit, the drop-ins alone.
func (d *documents) services() [][]*unitDocument {
	var all [][]*unitDocument
	for _, u := range d.units {
		if u.isDropIn() {
			continue
		}
		service := []*unitDocument{u}
		for _, dropIn := range d.units {
			dir := path.Base(path.Dir(dropIn.name))
			if dropIn.isDropIn() && (path.Ext(dir) != ".d" || dir == path.Base(u.name)+".d" || dir == "service.d") {
				service = append(service, dropIn)
			}
		}
		all = append(all, service)
	}
	if len(all) == 0 {
		return [][]*unitDocument{d.units}
	}
	return all
}

// command is what systemd makes of a unit, its drop-ins and the environment files among the documents.
func (d *documents) command(service []*unitDocument) (systemd.Command, error) {
	var files []*systemd.UnitFile
	for _, u := range service {
		files = append(files, u.UnitFile)
	}
	names := map[string]string{} // of the documents, by the path that a unit has for them
	command, err := systemd.Combine(files...).ExecStart(systemd.Environment{Partial: true, ReadFile: func(file string) ([]byte, error) {
		found, ok := d.find(file)
		if !ok {
			return nil, fs.ErrNotExist
		}
		names[file] = found.Name
		for _, e := range d.environments {
			e.named = e.named || e.name == found.Name
		}
		return found.Data, nil
	}})
	for i, w := range command.Args {
		command.Args[i].File = cmp.Or(names[w.File], w.File)
	}
	for _, w := range command.Warnings {
		w.File = cmp.Or(names[w.File], w.File)
	}
	return command, err
}

// find looks for a file that a document names: by its path, or else by its base name.
func (d *documents) find(name string) (document.File, bool) {
	for _, same := range []func(document.File) bool{
		func(f document.File) bool { return f.Name == name || strings.HasSuffix("/"+f.Name, name) },
		func(f document.File) bool { return path.Base(f.Name) == path.Base(name) },
	} {
		if i := slices.IndexFunc(d.files, same); i >= 0 {
			return d.files[i], true
		}
	}
	return document.File{}, false
}

// configuration is a configuration file and the drop-ins that are merged into it.
type configuration struct{ files []document.File }

// isConfigDropIn reports whether kubelet reads a file of that name in its --config-dir.
func isConfigDropIn(name string) bool { return path.Ext(name) == ".conf" }

// configurations are the configuration files, each with the drop-ins; without one, the drop-ins alone.
func (d *documents) configurations() []configuration {
	var dropIns []document.File
	var all []configuration
	for _, f := range d.configs {
		if isConfigDropIn(f.Name) {
			dropIns = append(dropIns, f)
		} else {
			all = append(all, configuration{[]document.File{f}})
		}
	}
	if len(all) == 0 && len(dropIns) > 0 {
		all = append(all, configuration{})
	}
	for i := range all {
		all[i].files = append(all[i].files, dropIns...)
	}
	return all
}

// load reads the files and merges them as kubelet does. The fields are what could be read, also with an error.
func (c configuration) load() (fields map[string]any, positions config.Positions, err error) {
	positions = config.Positions{}
	for _, f := range c.files {
		more, at, loadErr := config.LoadKubeletConfiguration(f.Name, f.Data)
		err = errors.Join(err, loadErr)
		if more == nil {
			continue
		}
		if fields = config.MergeFields(fields, more); fields == nil {
			fields = map[string]any{}
		}
		maps.Copy(positions, at)
	}
	return fields, positions, err
}

// flagsIn are the words of a variable that holds flags; none of any other.
func flagsIn(v systemd.Variable) []systemd.Word {
	if words := v.Words(); len(words) > 0 && strings.HasPrefix(words[0].Text, "-") {
		return words
	}
	return nil
}

// Skipped are the lines that systemd skips, and what it reads otherwise than it looks, as problems without secrets.
func Skipped(skipped []*systemd.SyntaxError) config.Problems {
	var all config.Problems
	for _, w := range skipped {
		all = append(all, config.Problem{Position: config.Position(w.Position), Message: string(config.HideSecrets([]byte(w.Text)))})
	}
	return all
}
