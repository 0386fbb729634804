package spec

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/document"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Verdict is what validation has to say about files that belong to one setup.
type Verdict struct {
	Findings []config.Finding
	// Missing are files that the setup names and that were not among the documents.
	Missing []string
}

// ErrNoRelease reports that nobody says which release is meant.
var ErrNoRelease = errors.New("no release given: use --version or set version in the file")

// Validate holds documents, as the one setup that they are, against what a kubelet of v accepts. A zero v is the release that a
// spec names.
func Validate(v release.Version, files []document.File) (*Verdict, error) {
	for _, f := range files {
		kind, err := f.Kind()
		if err != nil {
			return nil, err
		}
		if v.IsZero() && kind != document.Spec {
			return nil, ErrNoRelease
		}
	}
	d, err := read(files)
	c := validator{minor: config.Minor(v.Minor()), documents: d}
	c.errors(err)
	c.warnings(d.ignored)
	if c.minor > config.Newest && len(d.specs) < len(files) { // of a spec, rendering it tells
		c.warn("", fmt.Sprintf("%s is newer than the tables of this kubeletctl: flags and fields are those of %s", c.minor, config.Newest))
	}
	for _, f := range d.specs {
		found, err := validateSpec(v, f)
		if err != nil {
			return nil, err
		}
		c.found = append(c.found, found...)
	}
	if d.commands > 0 {
		c.command(Words(d.words), true)
	}
	for _, service := range d.services() {
		c.service(service)
	}
	for _, e := range d.environments {
		if !e.named {
			c.variables(e.variables, nil)
		}
	}
	for _, files := range d.configurations() {
		c.configuration(files)
	}
	config.SortFindings(c.found)
	c.found = slices.CompactFunc(c.found, func(a, b config.Finding) bool { return a == b })
	return &Verdict{c.found, slices.Compact(slices.Sorted(slices.Values(c.missing)))}, nil
}

// validator is the work of one Validate.
type validator struct {
	*documents
	minor   config.Minor
	found   []config.Finding
	missing []string
	args    []config.Arg // of all whole command lines
	whole   bool         // there is a command line, and all of it is known
}

func (c *validator) errors(err error) {
	for _, p := range problemsOf(err) {
		c.found = append(c.found, config.Finding{Severity: config.Error, Problem: p})
	}
}

func (c *validator) warnings(problems config.Problems) {
	for _, p := range problems {
		c.found = append(c.found, config.Finding{Severity: config.Warning, Problem: p})
	}
}

func (c *validator) warn(file, message string) {
	c.warnings(config.Problems{{Position: config.Position{File: file}, Message: message}})
}

// command checks the arguments of a kubelet. known says that there are no others.
func (c *validator) command(words []config.Word, known bool) {
	args := c.flags(words)
	if known {
		c.found = append(c.found, config.MissingFlags(c.minor, args)...)
		c.whole = true
	}
	c.args = append(c.args, args...)
}

// flags checks flags, whatever others there are.
func (c *validator) flags(words []config.Word) []config.Arg {
	args, problems := config.ParseArgs(words)
	for _, p := range problems {
		c.found = append(c.found, config.Finding{Severity: config.Error, Problem: p})
	}
	c.found = append(c.found, config.ValidateArgs(c.minor, args)...)
	return args
}

// service checks what a unit runs, with its drop-ins and environment files.
func (c *validator) service(files []*unitDocument) {
	if len(files) == 0 {
		return
	}
	command, err := c.documents.command(files)
	runs := !errors.Is(err, systemd.ErrNoCommand)
	c.errors(withoutNoCommand(err))
	c.warnings(Skipped(command.Warnings))
	c.missing = append(c.missing, command.Missing...)
	if runs {
		found := findKubelet(command.Path, command.Args)
		c.command(Words(found.args), len(command.Missing) == 0 && err == nil)
	}
	var used []string // nil without a command
	if runs {
		used = append([]string{}, command.Used...)
	}
	for _, u := range files {
		c.variables(u.Variables(), used)
	}
	for _, e := range c.environments {
		switch {
		case e.named:
			c.variables(e.variables, used)
		case runs && !files[0].isDropIn():
			c.warn(e.name, files[0].name+" does not name this file with EnvironmentFile=, so its kubelet does not get what it sets")
		}
	}
}

// variables checks the flags in variables that a command in a file that is not here may use; used are those that the command
// here does use, which was checked, and nil when there is none here.
func (c *validator) variables(variables []systemd.Variable, used []string) {
	for _, v := range variables {
		words := flagsIn(v)
		switch {
		case slices.Contains(used, v.Name) || len(words) == 0:
		case used != nil:
			c.warnings(config.Problems{{Position: config.Position(v.Position), Path: v.Name,
				Message: "the command line does not use this variable, so kubelet does not get these flags"}})
		default:
			c.flags(Words(words))
		}
	}
}

// configuration checks a configuration file with its drop-ins, and whether the command line names them.
func (c *validator) configuration(files configuration) {
	fields, positions, err := files.load()
	c.errors(err)
	if fields != nil {
		c.found = append(c.found, config.ValidateConfig(c.minor, fields, positions)...)
	}
	if !c.whole {
		return
	}
	for _, f := range files.files {
		flag := "config"
		if isConfigDropIn(f.Name) && len(files.files) > 1 {
			flag = "config-dir"
		}
		name, given := config.FlagValue(c.args, flag)
		if !given || flag == "config" && path.Base(name) != path.Base(f.Name) {
			c.warn(f.Name, "the command line does not name this file with --"+flag+", so kubelet does not read it")
		}
	}
}

// withoutNoCommand is err without the ErrNoCommand in it.
func withoutNoCommand(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return errors.Join(slices.DeleteFunc(slices.Clone(joined.Unwrap()), func(e error) bool { return e == systemd.ErrNoCommand })...)
	}
	return err
}

func validateSpec(v release.Version, s document.File) ([]config.Finding, error) {
	spec, positions, err := Parse(s.Name, s.Data)
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

// TargetName is what to call the release that TargetVersion reads from s: of a minor, that minor, since its newest patch is
// not known here.
func TargetName(s string) string {
	request, err := release.ParseRequest(s)
	if err != nil {
		return s
	}
	return request.String()
}
