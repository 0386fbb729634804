package spec

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
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
	// Wrapper is the program that runs Binary, if one does.
	Wrapper string
	// Ignored is what systemd skips of it, or reads otherwise than it looks, and of which a kubelet takes no notice.
	Ignored config.Problems
	// whole says that Args are all flags that the kubelet gets.
	whole bool

	// Problems are of what is not a flag at all.
	Problems config.Problems
}

// ReadSetup puts a setup together. Files that one document names are looked for among the other ones, by their path or base
// name. Errors are syntax errors, with positions.
func ReadSetup(documents []document.File) (*Setup, error) {
	d, err := read(documents)
	if err != nil {
		return nil, err
	}
	setup := &Setup{Positions: config.Positions{}, Ignored: d.ignored}
	for _, file := range d.specs {
		err = errors.Join(err, setup.addSpec(file))
	}
	words, binary := d.words, d.binary
	setup.whole = d.commands > 0
	if services := d.services(); len(services) > 1 {
		return nil, fmt.Errorf("%s and %s are two units: a kubelet is run by one", services[0][0].name, services[1][0].name)
	}
	if len(d.units) > 0 {
		command, commandErr := d.command(d.units)
		if errors.Is(commandErr, systemd.ErrNoCommand) && len(words) == 0 {
			commandErr = fmt.Errorf("%w: drop-ins need the unit that they belong to", commandErr)
		}
		err = errors.Join(err, commandErr)
		found := findKubelet(command.Path, command.Args)
		setup.Wrapper = found.wrapper
		setup.Missing = append(setup.Missing, command.Missing...)
		setup.whole = !hasUnknown(found.args)
		setup.Ignored = append(setup.Ignored, Skipped(command.Warnings)...)
		binary, words = cmp.Or(binary, found.binary), append(words, found.args...)
	} else {
		for _, e := range d.environments {
			for _, v := range e.variables {
				words = append(words, flagsIn(v)...)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	setup.Binary = binary
	args, problems := config.ParseArgs(Words(words))
	setup.Args, setup.Problems = append(setup.Args, args...), problems
	return setup, setup.addConfigs(d)
}

// ReadCommand is the setup of a command line, without the configuration that it names.
func ReadCommand(command *systemd.Command) *Setup {
	found := findKubelet(command.Path, command.Args)
	s := &Setup{Binary: found.binary, Wrapper: found.wrapper, Positions: config.Positions{}}
	s.Args, s.Problems = config.ParseArgs(Words(found.args))
	s.whole = !hasUnknown(found.args)
	return s
}

// addConfigs adds the configuration, which the drop-ins of --config-dir are merged into.
func (s *Setup) addConfigs(d *documents) error {
	file, named := config.FlagValue(s.Args, "config")
	setups := d.configurations()
	if len(setups) > 1 {
		return fmt.Errorf("%s: a second KubeletConfiguration: a kubelet reads one, and the .conf files of --config-dir", setups[1].files[0].Name)
	}
	if named && (len(setups) == 0 || isConfigDropIn(setups[0].files[0].Name)) {
		s.Missing = append(s.Missing, file)
	}
	if len(setups) == 0 {
		return nil
	}
	fields, positions, err := setups[0].load()
	if err != nil {
		return err
	}
	if s.Fields == nil {
		s.Fields = map[string]any{}
	}
	s.Fields = config.MergeFields(s.Fields, fields)
	maps.Copy(s.Positions, positions)
	return nil
}

// hasUnknown reports whether words stand for flags that are not known here.
func hasUnknown(words []systemd.Word) bool {
	return slices.ContainsFunc(words, func(w systemd.Word) bool { return w.Unknown && strings.HasPrefix(w.Text, "$") })
}

// Words are the words of a command line as package config reads them.
func Words(words []systemd.Word) []config.Word {
	all := make([]config.Word, len(words))
	for i, w := range words {
		all[i] = config.Word{Text: w.Text, Position: config.Position(w.Position), Unknown: w.Unknown}
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
		s.Args = append(s.Args, config.Arg{Name: strings.ReplaceAll(name, "_", "-"), Value: flags[name], Position: positions["flags."+name],
			Unknown: slices.Contains(spec.Expand, name)})
	}
	return nil
}
