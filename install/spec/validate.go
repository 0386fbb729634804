package spec

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/document"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Validate holds each document against what a kubelet of v accepts. A zero v is the release that a spec names.
func Validate(v release.Version, documents []document.File) ([]config.Finding, error) {
	var all []config.Finding
	for _, s := range documents {
		found, err := validate(v, s)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// ErrNoRelease reports that nobody says which release is meant.
var ErrNoRelease = errors.New("no release given: use --version or set version in the file")

func validate(v release.Version, s document.File) ([]config.Finding, error) {
	minor := config.Minor(v.Minor())
	kind, err := s.Kind()
	if err != nil {
		return nil, err
	}
	if v.IsZero() && kind != document.Spec {
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
	case document.Config:
		fields, positions, err := config.LoadKubeletConfiguration(s.Name, s.Data)
		if err != nil && fields == nil {
			return broken(err), nil
		}
		found = append(broken(err), config.ValidateConfig(minor, fields, positions)...)
		if second, more := config.SecondDocument(s.Name, s.Data); more {
			found = append(found, config.Finding{Severity: config.Warning,
				Problem: config.Problem{Position: second, Message: "a second document: kubelet reads the first one only"}})
		}
		return found, nil
	case document.Spec:
		return validateSpec(v, s)
	case document.Command:
		_, split, err := systemd.SplitCommandLine(s.Name, string(s.Data))
		if err != nil {
			return broken(err), nil
		}
		words = Words(split)
	case document.Environment:
		variables, skipped, err := systemd.ParseEnvironmentFile(s.Name, s.Data)
		if err != nil {
			return broken(err), nil
		}
		found = ignored(skipped)
		for _, variable := range variables {
			words = append(words, Words(flagsIn(variable))...)
		}
	case document.Unit:
		split, skipped, err := unitWords(s)
		if err != nil {
			return broken(err), nil
		}
		found = ignored(skipped)
		words = Words(split)
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
func unitWords(s document.File) (words []systemd.Word, skipped []*systemd.SyntaxError, err error) {
	u, err := systemd.ParseUnit(s.Name, s.Data)
	if err != nil {
		return nil, nil, err
	}
	command, err := u.ExecStart(systemd.Environment{
		ReadFile:  func(string) ([]byte, error) { return nil, nil }, // a document of its own, if it is one
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
