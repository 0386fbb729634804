package install

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Source is a file that says how a kubelet is run, or a command line in its place.
type Source struct {
	Name string
	Data []byte
}

// SourceKind is what a Source is.
type SourceKind string

const (
	ConfigSource      SourceKind = "KubeletConfiguration"
	SpecSource        SourceKind = "spec"
	UnitSource        SourceKind = "unit" // or a drop-in
	EnvironmentSource SourceKind = "environment file"
	CommandSource     SourceKind = "command line"
)

var (
	unitSection = regexp.MustCompile(`(?m)^[ \t]*\[(Unit|Service|Install)\][ \t\r]*$`)
	specKind    = regexp.MustCompile(`(?m)^[ \t{"]*kind"?[ \t]*:[ \t]*"?` + SpecKind + `\b`)
	yamlKey     = regexp.MustCompile(`(?m)^([ \t]*\{|[a-zA-Z]+[ \t]*:([ \t\r]|$))`)
	assignment  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
)

// Kind finds out what a source is: by what it says, then by its name.
func (s Source) Kind() SourceKind {
	first := s.firstLine()
	switch {
	case unitSection.Match(s.Data):
		return UnitSource
	case specKind.Match(s.Data):
		return SpecSource
	case slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(s.Name)):
		return ConfigSource
	case assignment.MatchString(first):
		return EnvironmentSource
	case yamlKey.MatchString(first):
		return ConfigSource
	}
	return CommandSource
}

// firstLine is the first that is neither blank nor a comment.
func (s Source) firstLine() string {
	for line := range bytes.Lines(s.Data) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != ';' {
			return string(line)
		}
	}
	return ""
}

// Setup is how a kubelet is run, put together from sources.
type Setup struct {
	// Binary is the program of the command line; empty when there is none.
	Binary string
	Args   []config.Arg
	// Fields are those of the KubeletConfiguration, nil when there is none.
	Fields    map[string]any
	Positions config.Positions
	// Spec is the spec that was among the sources; Args and Fields are its, too.
	Spec *Spec
	// Missing are files that the setup names and that were not among the sources.
	Missing []string

	problems config.Problems // of what is no flag at all
}

// ReadFile reads a file that a setup names. fs.ErrNotExist says that there is none.
type ReadFile func(path string) ([]byte, error)

// ReadSetup puts a setup together. Files that one source names are looked for among the other ones, by their base name,
// and then with read, which may be nil. Errors are syntax errors, with positions.
func ReadSetup(sources []Source, read ReadFile) (*Setup, error) {
	find := func(name string) ([]byte, error) {
		for _, s := range sources {
			if path.Base(s.Name) == path.Base(name) {
				return s.Data, nil
			}
		}
		if read == nil {
			return nil, fs.ErrNotExist
		}
		return read(name)
	}
	setup := &Setup{Positions: config.Positions{}}
	var units []*systemd.UnitFile
	var errs []error
	var words []config.Word
	for _, s := range sources {
		var err error
		switch s.Kind() {
		case UnitSource:
			var u *systemd.UnitFile
			if u, err = systemd.ParseUnit(s.Name, s.Data); err == nil {
				units = append(units, u)
			}
		case CommandSource:
			var binary string
			var split []systemd.Word
			binary, split, err = systemd.SplitCommandLine(s.Name, string(s.Data))
			setup.Binary = cmp.Or(setup.Binary, binary)
			words = append(words, toWords(split)...)
		case SpecSource:
			err = setup.addSpec(s)
		case ConfigSource:
			err = setup.addConfig(s)
		}
		errs = append(errs, err)
	}
	if len(units) > 0 && errors.Join(errs...) == nil {
		command, err := systemd.Combine(units...).ExecStart(systemd.Environment{ReadFile: func(name string) ([]byte, error) {
			data, err := find(name)
			if errors.Is(err, fs.ErrNotExist) {
				setup.Missing = append(setup.Missing, name)
				return nil, nil
			}
			return data, err
		}})
		if errors.Is(err, systemd.ErrNoCommand) && len(words) == 0 {
			err = fmt.Errorf("%w: drop-ins need the unit that they belong to", err)
		}
		errs = append(errs, err)
		setup.Binary = cmp.Or(setup.Binary, command.Path)
		words = append(words, toWords(command.Args)...)
	}
	if len(units) == 0 { // an environment file alone: all of its flags
		for _, s := range sources {
			if s.Kind() == EnvironmentSource {
				variables, _, err := systemd.ParseEnvironmentFile(s.Name, s.Data)
				errs = append(errs, err)
				for _, v := range variables {
					words = append(words, toWords(flagsIn(v))...)
				}
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	args, problems := config.ParseArgs(words)
	setup.Args, setup.problems = append(setup.Args, args...), problems
	if file, given := config.FlagValue(setup.Args, "config"); given && setup.Fields == nil {
		data, err := find(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			setup.Missing = append(setup.Missing, file)
		case err != nil:
			return nil, err
		default:
			if err := setup.addConfig(Source{file, data}); err != nil {
				return nil, err
			}
		}
	}
	return setup, nil
}

// flagsIn are the words of a variable that holds flags; none of any other.
func flagsIn(v systemd.Variable) []systemd.Word {
	if words := v.Words(); len(words) > 0 && strings.HasPrefix(words[0].Text, "-") {
		return words
	}
	return nil
}

func toWords(words []systemd.Word) []config.Word {
	all := make([]config.Word, len(words))
	for i, w := range words {
		all[i] = config.Word{Text: w.Text, Position: config.Position(w.Position)}
	}
	return all
}

func (s *Setup) addConfig(source Source) error {
	fields, positions, err := config.LoadKubeletConfiguration(source.Name, source.Data)
	if err != nil {
		return err
	}
	if s.Fields != nil {
		return fmt.Errorf("%s: a second KubeletConfiguration: a kubelet reads one", source.Name)
	}
	s.Fields = fields
	maps.Copy(s.Positions, positions)
	return nil
}

func (s *Setup) addSpec(source Source) error {
	spec, positions, err := ParseSpec(source.Name, source.Data)
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

// Validate holds each source against what a kubelet of v accepts. A zero v is the release that a spec names.
func Validate(v release.Version, sources []Source) ([]config.Finding, error) {
	var all []config.Finding
	for _, s := range sources {
		found, err := validate(v, s)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// ErrNoRelease tells that nobody says which release is meant.
var ErrNoRelease = errors.New("which release? neither the command line nor the file says it")

func validate(v release.Version, s Source) ([]config.Finding, error) {
	minor := config.Minor(v.Minor())
	kind := s.Kind()
	if v.IsZero() && kind != SpecSource {
		return nil, ErrNoRelease
	}
	broken := func(err error) []config.Finding {
		var all []config.Finding
		for _, p := range problemsOf(err) {
			all = append(all, config.Finding{Severity: config.Error, Problem: p})
		}
		return all
	}
	var words []config.Word
	var found []config.Finding
	switch kind {
	case ConfigSource:
		fields, positions, err := config.LoadKubeletConfiguration(s.Name, s.Data)
		if err != nil && fields == nil {
			return broken(err), nil
		}
		return append(broken(err), config.ValidateConfig(minor, fields, positions)...), nil
	case SpecSource:
		return validateSpec(v, s)
	case CommandSource:
		_, split, err := systemd.SplitCommandLine(s.Name, string(s.Data))
		if err != nil {
			return broken(err), nil
		}
		words = toWords(split)
	case EnvironmentSource:
		variables, skipped, err := systemd.ParseEnvironmentFile(s.Name, s.Data)
		if err != nil {
			return broken(err), nil
		}
		found = ignored(skipped)
		for _, variable := range variables {
			words = append(words, toWords(flagsIn(variable))...)
		}
	case UnitSource:
		split, skipped, err := unitWords(s)
		if err != nil {
			return broken(err), nil
		}
		found = ignored(skipped)
		words = toWords(split)
	}
	args, problems := config.ParseArgs(words)
	found = append(found, config.ValidateArgs(minor, args)...)
	for _, p := range problems {
		found = append(found, config.Finding{Severity: config.Error, Problem: p})
	}
	config.SortFindings(found)
	return found, nil
}

// unitWords are all arguments that a unit or drop-in holds: those of its command, and those in its variables, which a
// command in another file may use.
func unitWords(s Source) (words []systemd.Word, skipped []*systemd.SyntaxError, err error) {
	u, err := systemd.ParseUnit(s.Name, s.Data)
	if err != nil {
		return nil, nil, err
	}
	command, err := u.ExecStart(systemd.Environment{
		ReadFile:  func(string) ([]byte, error) { return nil, nil }, // a source of its own, if it is one
		Specifier: func(c byte) (string, bool) { return string([]byte{'%', c}), true },
	})
	if err != nil && !errors.Is(err, systemd.ErrNoCommand) {
		return nil, nil, err
	}
	words = command.Args
	for _, v := range u.Variables() {
		for _, w := range flagsIn(v) {
			if !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	return words, u.Warnings, nil
}

// ignored are the lines that systemd skips.
func ignored(skipped []*systemd.SyntaxError) []config.Finding {
	var all []config.Finding
	for _, w := range skipped {
		all = append(all, config.Finding{Severity: config.Warning, Problem: config.Problem{Position: config.Position(w.Position), Message: w.Text}})
	}
	return all
}

func validateSpec(v release.Version, s Source) ([]config.Finding, error) {
	spec, positions, err := ParseSpec(s.Name, s.Data)
	if err == nil {
		err = spec.Check()
	}
	var all []config.Finding
	for _, p := range problemsOf(err) {
		p.File = cmp.Or(p.File, s.Name)
		all = append(all, config.Finding{Severity: config.Error, Problem: p})
	}
	if len(all) > 0 {
		return all, nil
	}
	if v.IsZero() {
		if v, err = TargetVersion(spec.Version); err != nil {
			return nil, ErrNoRelease
		}
	}
	in, err := spec.input(v, positions)
	if err != nil {
		return nil, err
	}
	return config.ValidateInput(in), nil
}

// problemsOf lists what is in err, syntax errors of units with their places.
func problemsOf(err error) config.Problems {
	problems := config.Problems{}
	var walk func(error)
	walk = func(err error) {
		syntax, ok := err.(*systemd.SyntaxError)
		joined, several := err.(interface{ Unwrap() []error })
		switch {
		case err == nil:
		case ok:
			problems = append(problems, config.Problem{Position: config.Position(syntax.Position), Message: syntax.Text})
		case several:
			for _, inner := range joined.Unwrap() {
				walk(inner)
			}
		default:
			problems = append(problems, config.Unjoin(err)...)
		}
	}
	walk(err)
	return problems
}

// TargetVersion reads a release for which something is only rendered or checked: v1.37.2, or 1.37 for any patch of it.
func TargetVersion(s string) (release.Version, error) {
	v, err := release.ParseVersion(s)
	if err != nil {
		if v, err = release.ParseVersion(s + ".0"); err == nil {
			return TargetVersion(v.String())
		}
		return v, fmt.Errorf("%q is not a release such as v1.37.2 or 1.37", s)
	}
	if config.Minor(v.Minor()) < config.Oldest {
		return v, fmt.Errorf("%s is not known: the oldest release is %s", v, config.Oldest)
	}
	return v, nil
}

// Migrated is a setup carried over to a release.
type Migrated struct {
	*config.Migration
	Spec  *Spec
	Files []File // what install would write
}

// Migrate carries a setup over to v. from is the release that it ran; zero when that is not known.
func (s *Setup) Migrate(v, from release.Version, profile config.Profile) (*Migrated, error) {
	if len(s.problems) > 0 {
		return nil, s.problems
	}
	spec := Spec{}
	if s.Spec != nil {
		spec = *s.Spec
	} else {
		_, hasKubeconfig := config.FlagValue(s.Args, "kubeconfig")
		_, bootstraps := config.FlagValue(s.Args, "bootstrap-kubeconfig")
		spec.Standalone = len(s.Args) > 0 && !hasKubeconfig && !bootstraps
	}
	if profile != "" {
		spec.Profile = profile
	}
	in, err := spec.input(v, s.Positions)
	if err != nil {
		return nil, err
	}
	in.Config = s.Fields
	m, err := config.Migrate(config.MigrateInput{
		Input: in, Args: s.Args, From: config.Minor(from.Minor()), NoConfigFile: s.Spec == nil && s.Fields == nil && len(s.Args) > 0,
	})
	if err != nil {
		return nil, err
	}
	spec.APIVersion, spec.Kind, spec.Version = SpecAPIVersion, SpecKind, v.String()
	spec.Flags, spec.KubeletConfiguration = nil, m.Fields
	for name, value := range m.Flags {
		if spec.Flags == nil {
			spec.Flags = map[string]any{}
		}
		spec.Flags[name] = value
	}
	files, err := RenderFiles(spec, v, nil)
	return &Migrated{m, &spec, files}, err
}

// RenderFiles renders the files that install would write for a spec.
func RenderFiles(s Spec, v release.Version, positions config.Positions) ([]File, error) {
	b, err := Build(s, positions, Resolved{Artifact: release.Artifact{Version: v, Arch: s.arch()}})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(b.Files, func(f File) bool { return f.Kind != Text }), nil
}
