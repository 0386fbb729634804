package config

import (
	"slices"
	"strconv"
	"strings"
)

// Word is one word of a command line and the place where it was written.
type Word struct {
	Text string
	Position
	// Unknown says that a part of it, a variable or a specifier of systemd, stands
	// for something that is not known here. Then all of it is in the notation of
	// systemd, where a percent sign or a dollar sign for itself is doubled.
	Unknown bool
}

// Arg is a flag with its value, as a command line has it.
type Arg struct {
	Name  string // as the table has it: without dashes, "-" for "_"
	Value string // "true" for a switch that stands alone
	Position
	Unknown bool // the value is not known here: see Word
}

// String is the flag as it may be shown, without a secret.
func (a Arg) String() string { return show(a.Name, a.Value) }

// shorthands are the one-letter flags of a kubelet.
var shorthands = map[byte]string{'v': "v", 'h': "help"}

// ParseArgs splits words into flags the way the kubelet's own parser (pflag)
// does: "--name=value", "--name value", "--switch", "-v 2", "-v=2", "-v2". What
// is not a flag ends a kubelet at start, so it is a problem here.
func ParseArgs(words []Word) ([]Arg, Problems) {
	var args []Arg
	var problems Problems
	complain := func(w Word, hint, message string) {
		problems = append(problems, Problem{Position: w.Position, Path: strconv.Quote(string(HideSecrets([]byte(w.Text)))), Message: message, Hint: hint})
	}
	for i := 0; i < len(words); i++ {
		w := words[i]
		name, value, hasValue := strings.Cut(w.Text, "=")
		unknown := w.Unknown
		switch {
		case w.Unknown && strings.HasPrefix(w.Text, "$"):
			continue // any number of flags, or none
		case w.Text == "":
			complain(w, "a variable without braces, $NAME, leaves no argument when it is empty", "an empty argument is no flag; kubelet exits")
			continue
		case w.Text == "--":
			if i+1 < len(words) {
				complain(words[i+1], "", "not a flag; kubelet exits")
			}
			return args, problems
		case strings.HasPrefix(name, "---") || name == "--":
			complain(w, "", "bad flag syntax")
			continue
		case strings.HasPrefix(name, "--"):
			name = FlagName(name)
		case len(name) > 1 && name[0] == '-' && shorthands[name[1]] != "":
			if rest := name[2:]; rest != "" { // -v2
				value, hasValue = strings.TrimPrefix(w.Text[2:], "="), true
			}
			name = shorthands[name[1]]
		case len(name) > 1 && name[0] == '-':
			complain(w, "long flags begin with two dashes: -"+string(HideSecrets([]byte(w.Text))), "unknown shorthand flag")
			if !hasValue && i+1 < len(words) && !strings.HasPrefix(words[i+1].Text, "-") {
				i++ // its value, most likely
			}
			continue
		default:
			complain(w, "", "not a flag; kubelet exits")
			continue
		}
		if !hasValue {
			f, known := LookupFlag(name)
			switch {
			case isSwitch(f) && known:
				value = "true"
			case i+1 < len(words) && (known || !strings.HasPrefix(words[i+1].Text, "-")):
				i++
				value, unknown = words[i].Text, words[i].Unknown
			case known:
				complain(w, "", "needs a value")
				continue
			}
		}
		args = append(args, Arg{Name: name, Value: value, Position: w.Position, Unknown: unknown})
	}
	return args, problems
}

// isSwitch reports whether a flag may stand alone, without a value.
func isSwitch(f Flag) bool { return f.Type == "bool" || f.Name == "version" || f.Name == "help" }

// collects reports whether giving a flag again adds to it instead of replacing
// it. Taints do not (pkg/util/flag, RegisterWithTaintsVar).
func collects(f Flag) bool {
	return slices.Contains([]string{typeStringList, typeMap, typeEviction, typeGates, typeHeaders}, f.Type)
}

// AddValue is the value of a flag that is given once more, as a kubelet takes it.
func AddValue(name, old, value string) string {
	if f, _ := LookupFlag(name); collects(f) && old != "" {
		return old + "," + value
	}
	return value
}

// SameValue reports whether a kubelet reads two values of a flag as the same.
func SameValue(name, x, y string) bool {
	f, _ := LookupFlag(name)
	return sameValue(f, x, y)
}

// flagMap is what a kubelet makes of args: of a flag that is given twice the
// last value counts, lists and maps collect. A value of which a part is not
// known is in the notation of systemd. Positions are of "flags.NAME".
func flagMap(args []Arg) (flags map[string]string, unknown []string, positions Positions) {
	flags, positions = map[string]string{}, Positions{}
	for _, a := range args {
		f, _ := LookupFlag(a.Name)
		if open := slices.Contains(unknown, a.Name); collects(f) && open != a.Unknown {
			a.Value, flags[a.Name] = asUnit(a.Value, a.Unknown), asUnit(flags[a.Name], open)
			a.Unknown = true
		}
		unknown = slices.DeleteFunc(unknown, func(name string) bool { return name == a.Name })
		if a.Unknown {
			unknown = append(unknown, a.Name)
		}
		flags[a.Name] = AddValue(a.Name, flags[a.Name], a.Value)
		positions[below("flags", a.Name)] = a.Position
	}
	return flags, unknown, positions
}

// asUnit writes a value as a unit has it, if it is not so already.
func asUnit(value string, written bool) string {
	if written {
		return value
	}
	return strings.NewReplacer("%", "%%", "$", "$$").Replace(value)
}

// Argument is the value of --name=value among arguments; the last one counts.
func Argument(args []string, name string) (value string, given bool) {
	for _, arg := range args {
		if v, found := strings.CutPrefix(arg, "--"+name+"="); found {
			value, given = v, true
		}
	}
	return value, given
}
