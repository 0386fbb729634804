package adopt

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// account says of each setting of the files that are replaced where it is: in our unit, in the drop-in, or lost. There is
// nothing else.
func (f *Found) account(a *Adoption) error {
	var units []*systemd.UnitFile
	for _, file := range a.Files {
		if path.Base(file.Path) == systemd.KubeletService || path.Dir(file.Path) == plan.DropInDir {
			unit, err := systemd.ParseUnit(file.Path, file.Content)
			if err != nil {
				return err
			}
			units = append(units, unit)
		}
	}
	ours := systemd.Combine(units...)
	kept := dropIn{}
	for _, s := range systemd.Combine(f.replaced...).Assignments {
		switch {
		case s.Key == "ExecStart":
			if why := f.aroundCommand(s); why != "" {
				a.Lost = append(a.Lost, s.File+": "+why)
			}
		case systemd.ResetsConditions(s):
			kept.unit = slices.DeleteFunc(kept.unit, systemd.IsCondition)
		case s.Value == "" || isIn(ours, s) || f.hasOnlyFlags(s):
			// An empty value has taken back what came before it; and flags have been read.
		case isKept(s):
			kept.add(s)
			a.Kept = append(a.Kept, show(s)+f.variablesIn(s))
		default:
			a.lose(s, ourValue(ours, s))
		}
	}
	a.Lost = append(a.Lost, f.unknownFlags(ours)...)
	for _, u := range f.replaced {
		a.Ignored = append(a.Ignored, spec.Skipped(u.Ignored())...)
	}
	a.Ignored = append(a.Ignored, spec.Skipped(f.command.Warnings)...)
	a.DropIn = kept.render(f.Unit)
	return nil
}

// lose notes a setting that is not taken over, and why if there is a word to say.
func (a *Adoption) lose(s systemd.Assignment, why string) {
	line := show(s)
	if why != "" {
		line += " (" + why + ")"
	}
	a.Lost = append(a.Lost, line)
}

// show is a setting with its file, without secrets.
func show(s systemd.Assignment) string {
	return s.File + ": " + string(config.HideSecrets([]byte(s.Key+"="+s.Value)))
}

// aroundCommand is what a command line has beside kubelet and its flags; empty for nothing.
func (f *Found) aroundCommand(s systemd.Assignment) string {
	prefix := s.Value[:len(s.Value)-len(strings.TrimLeft(s.Value, "-@:+!"))]
	switch {
	case f.Setup.Wrapper != "":
		return "the program " + f.Setup.Wrapper + " that runs kubelet"
	case prefix != "" && s.Value != "":
		return "the prefix " + prefix + " of ExecStart="
	}
	return ""
}

// isIn reports whether our unit says the same, or, of a list of units, that and more.
func isIn(ours *systemd.UnitFile, s systemd.Assignment) bool {
	for _, o := range ours.Assignments {
		if o.Section != s.Section || o.Key != s.Key {
			continue
		}
		listed := strings.Fields(o.Value)
		missing := func(name string) bool { return !slices.Contains(listed, name) }
		isList := systemd.IsDependency(s) || s.Section == "Install"
		if o.Value == s.Value || isList && !slices.ContainsFunc(strings.Fields(s.Value), missing) {
			return true
		}
	}
	return false
}

// ourValue says what our unit has instead of a setting; empty when it has nothing.
func ourValue(ours *systemd.UnitFile, s systemd.Assignment) string {
	if values := ours.Values(s.Section, s.Key); len(values) > 0 {
		return "kubeletctl has " + s.Key + "=" + values[len(values)-1].Value
	}
	return ""
}

// isKept reports whether a setting goes with kubelet to the new unit: what it waits for, and its environment.
func isKept(s systemd.Assignment) bool {
	switch s.Section {
	case "Unit":
		return systemd.IsDependency(s) || systemd.IsCondition(s)
	case "Service":
		return slices.Contains([]string{"Environment", "EnvironmentFile", "PassEnvironment", "UnsetEnvironment"}, s.Key)
	}
	return false
}

// variables are those that a setting of the environment sets, and whether they are known.
func (f *Found) variables(s systemd.Assignment) (all []systemd.Variable, known bool) {
	switch s.Key {
	case "Environment":
		return (&systemd.UnitFile{Assignments: []systemd.Assignment{s}}).Variables(), true
	case "EnvironmentFile":
		file := strings.TrimPrefix(s.Value, "-")
		data, err := f.observer.Tree.ReadFile(file)
		if err != nil { // with a wildcard or a specifier there is no such file
			return nil, false
		}
		all, _, _ = systemd.ParseEnvironmentFile(file, data)
		return all, true
	}
	return nil, false
}

// variablesIn names what an environment file sets, in brackets.
func (f *Found) variablesIn(s systemd.Assignment) string {
	variables, known := f.variables(s)
	switch {
	case s.Key != "EnvironmentFile":
		return ""
	case !known:
		return " (no such file yet)"
	}
	var names []string
	for _, v := range variables {
		names = append(names, v.Name)
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// hasOnlyFlags reports whether a setting of the environment holds nothing but what the command line is put together from.
func (f *Found) hasOnlyFlags(s systemd.Assignment) bool {
	variables, known := f.variables(s)
	return known && !slices.ContainsFunc(variables, func(v systemd.Variable) bool {
		return !slices.Contains(f.command.Used, v.Name)
	})
}

// unknownFlags are the variables with flags that a file which is not there may set, and that ours does not read.
func (f *Found) unknownFlags(ours *systemd.UnitFile) []string {
	if f.Running {
		return nil
	}
	var read []string
	for _, command := range ours.Values("Service", "ExecStart") {
		read = append(read, strings.Fields(command.Value)...)
	}
	var all []string
	for _, w := range f.command.Args {
		if w.Unknown && strings.HasPrefix(w.Text, "$") && !slices.Contains(read, w.Text) {
			all = append(all, fmt.Sprintf("%s: the flags in %s (there is no %s)", w.File, w.Text, strings.Join(f.command.Missing, " and no ")))
		}
	}
	return all
}

// dropIn is what is kept of the former unit, by section.
type dropIn struct{ unit, service []systemd.Assignment }

func (d *dropIn) add(s systemd.Assignment) {
	if s.Section == "Unit" {
		d.unit = append(d.unit, s)
	} else {
		d.service = append(d.service, s)
	}
}

// render writes the drop-in; nil when nothing is kept. Each line says where it came from.
func (d *dropIn) render(unit string) []byte {
	if len(d.unit)+len(d.service) == 0 {
		return nil
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by kubeletctl when it took over the kubelet of %s: what that had beside its flags.\n", unit)
	for _, part := range []struct {
		section string
		lines   []systemd.Assignment
	}{{"Unit", d.unit}, {"Service", d.service}} {
		if len(part.lines) > 0 {
			fmt.Fprintf(&b, "[%s]\n", part.section)
		}
		for _, s := range part.lines {
			fmt.Fprintf(&b, "# %s:%d\n%s=%s\n", s.File, s.Line, s.Key, s.Value)
		}
	}
	return b.Bytes()
}
