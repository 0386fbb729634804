package spec

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/document"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Setup is how a kubelet is run, put together from documents.
type Setup struct {
	// Binary is the program of the command line; empty when there is none.
	Binary string
	Args   []config.Arg
	// Fields are those of the KubeletConfiguration, nil when there is none.
	Fields    map[string]any
	Positions config.Positions
	// Spec is the spec that was among the documents; Args and Fields are its, too.
	Spec *Spec
	// Missing are files that the setup names and that were not among the documents.
	Missing []string

	// Problems are of what is not a flag at all.
	Problems config.Problems
}

// ReadFile reads a file that a setup names. fs.ErrNotExist says that there is none.
type ReadFile func(path string) ([]byte, error)

// ReadSetup puts a setup together. Files that one document names are looked for among the other ones, by their base name,
// and then with read, which may be nil. Errors are syntax errors, with positions.
func ReadSetup(documents []document.File, read ReadFile) (*Setup, error) {
	r := setupReader{documents: documents, read: read, setup: &Setup{Positions: config.Positions{}}}
	err := r.parse()
	switch {
	case len(r.units) == 0:
		err = errors.Join(err, r.addEnvironment())
	case err == nil:
		err = r.addExecStart()
	}
	if err != nil {
		return nil, err
	}
	args, problems := config.ParseArgs(r.words)
	r.setup.Args, r.setup.Problems = append(r.setup.Args, args...), problems
	if err := r.addConfigFile(); err != nil {
		return nil, err
	}
	return r.setup, nil
}

// setupReader is the work of one ReadSetup.
type setupReader struct {
	documents []document.File
	read      ReadFile
	setup     *Setup
	units     []*systemd.UnitFile // a unit and its drop-ins
	words     []config.Word       // of all command lines
}

// parse reads each document by itself, environment files aside: they need a unit, or have to do without one.
func (r *setupReader) parse() error {
	var errs []error
	for _, d := range r.documents {
		kind, err := d.Kind()
		switch kind {
		case document.Unit:
			var u *systemd.UnitFile
			if u, err = systemd.ParseUnit(d.Name, d.Data); err == nil {
				r.units = append(r.units, u)
			}
		case document.Command:
			var binary string
			var words []systemd.Word
			binary, words, err = systemd.SplitCommandLine(d.Name, string(d.Data))
			r.addCommand(binary, words)
		case document.Spec:
			err = r.setup.addSpec(d)
		case document.Config:
			err = r.setup.AddConfig(d)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r *setupReader) addCommand(binary string, words []systemd.Word) {
	r.setup.Binary = cmp.Or(r.setup.Binary, binary)
	r.words = append(r.words, Words(words)...)
}

// addExecStart adds what systemd makes of the units and the environment files that they name.
func (r *setupReader) addExecStart() error {
	command, err := systemd.Combine(r.units...).ExecStart(systemd.Environment{ReadFile: func(name string) ([]byte, error) {
		data, err := r.find(name)
		if errors.Is(err, fs.ErrNotExist) {
			r.setup.Missing = append(r.setup.Missing, name)
			return nil, nil
		}
		return data, err
	}})
	if errors.Is(err, systemd.ErrNoCommand) && len(r.words) == 0 {
		err = fmt.Errorf("%w: drop-ins need the unit that they belong to", err)
	}
	r.addCommand(command.Path, command.Args)
	return err
}

// addEnvironment adds all flags of environment files that no unit names.
func (r *setupReader) addEnvironment() error {
	var errs []error
	for _, d := range r.documents {
		if kind, _ := d.Kind(); kind != document.Environment {
			continue
		}
		variables, _, err := systemd.ParseEnvironmentFile(d.Name, d.Data)
		errs = append(errs, err)
		for _, v := range variables {
			r.words = append(r.words, Words(flagsIn(v))...)
		}
	}
	return errors.Join(errs...)
}

// addConfigFile adds the file that --config names, unless a KubeletConfiguration was among the documents.
func (r *setupReader) addConfigFile() error {
	file, given := config.FlagValue(r.setup.Args, "config")
	if !given || r.setup.Fields != nil {
		return nil
	}
	data, err := r.find(file)
	if errors.Is(err, fs.ErrNotExist) {
		r.setup.Missing = append(r.setup.Missing, file)
		return nil
	}
	if err != nil {
		return err
	}
	return r.setup.AddConfig(document.File{Name: file, Data: data})
}

// find looks for a file that a document names.
func (r *setupReader) find(name string) ([]byte, error) {
	for _, d := range r.documents {
		if path.Base(d.Name) == path.Base(name) {
			return d.Data, nil
		}
	}
	if r.read == nil {
		return nil, fs.ErrNotExist
	}
	return r.read(name)
}

// flagsIn are the words of a variable that holds flags; none of any other.
func flagsIn(v systemd.Variable) []systemd.Word {
	if words := v.Words(); len(words) > 0 && strings.HasPrefix(words[0].Text, "-") {
		return words
	}
	return nil
}

// Words are the words of a command line as package config reads them.
func Words(words []systemd.Word) []config.Word {
	all := make([]config.Word, len(words))
	for i, w := range words {
		all[i] = config.Word{Text: w.Text, Position: config.Position(w.Position)}
	}
	return all
}

// AddConfig adds a KubeletConfiguration; a setup has one.
func (s *Setup) AddConfig(file document.File) error {
	fields, positions, err := config.LoadKubeletConfiguration(file.Name, file.Data)
	if err != nil {
		return err
	}
	if s.Fields != nil {
		return fmt.Errorf("%s: a second KubeletConfiguration: a kubelet reads one", file.Name)
	}
	s.Fields = fields
	maps.Copy(s.Positions, positions)
	return nil
}

func (s *Setup) addSpec(file document.File) error {
	spec, positions, err := Parse(file.Name, file.Data)
	if err != nil {
		return err
	}
	flags, err := spec.flags()
	if err != nil {
		return err
	}
	s.Spec = &spec
	if s.Fields == nil {
		s.Fields = map[string]any{}
	}
	maps.Copy(s.Fields, spec.KubeletConfiguration)
	maps.Copy(s.Positions, positions)
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		s.Args = append(s.Args, config.Arg{Name: strings.ReplaceAll(name, "_", "-"), Value: flags[name], Position: positions["flags."+name]})
	}
	return nil
}
