package systemd

import (
	_ "embed"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed data/settings
var settingsData string

// settings are the settings that a service may have: by section and key, what its values are.
var settings = sync.OnceValue(func() map[string]map[string]string {
	all := map[string]map[string]string{}
	section := ""
	for line := range strings.Lines(settingsData) {
		words := strings.Fields(line)
		switch {
		case words[0] == "#":
		case strings.HasPrefix(words[0], "["):
			section = strings.Trim(words[0], "[]")
			all[section] = map[string]string{}
		default:
			for _, key := range words[1:] {
				all[section][key] = words[0]
			}
		}
	}
	return all
})

// Ignored lists what systemd skips, in the order of the file: lines that are no assignments, sections and keys that it does not
// know, and values that it cannot read. What is wrong with Environment= and the commands, [UnitFile.ExecStart] tells.
func (u *UnitFile) Ignored() []*SyntaxError {
	ignored := slices.Clone(u.Warnings)
	add := func(at Position, text string) { ignored = append(ignored, &SyntaxError{at, text}) }
	for _, h := range u.headers {
		if !isOwn(h.Section) && !isSection(h.File, h.Section) {
			add(h.Position, "unknown section ["+h.Section+"]: systemd ignores all of it"+sectionHint(h.Section))
		}
	}
	for _, a := range u.Assignments {
		keys, known := settings()[a.Section]
		if !known || isOwn(a.Key) {
			continue
		}
		kind, known := keys[a.Key]
		if !known {
			add(a.Position, "unknown key "+strconv.Quote(a.Key)+" in section ["+a.Section+"]: systemd ignores this line"+keyHint(a))
			continue
		}
		if why := valueProblem(kind, a.Value); why != "" {
			add(a.Position, a.Key+"="+a.Value+": "+why+": systemd ignores this line")
		}
	}
	slices.SortStableFunc(ignored, func(a, b *SyntaxError) int { return a.Line - b.Line })
	return ignored
}

// isOwn reports whether a name belongs to other programs, which systemd leaves alone.
func isOwn(name string) bool { return strings.HasPrefix(name, "X-") }

// isSection reports whether a unit may have a section: every kind of unit has one of its own.
func isSection(file, section string) bool {
	if _, known := settings()[section]; known {
		return true
	}
	own := path.Ext(strings.TrimSuffix(path.Base(file), ".d"))
	if own == ".conf" {
		own = path.Ext(strings.TrimSuffix(path.Base(path.Dir(file)), ".d"))
	}
	return slices.Contains(unitTypes, own) && own != ".service" && strings.EqualFold(own[1:], section)
}

func sectionHint(section string) string {
	for name := range settings() {
		if strings.EqualFold(name, section) {
			return "; did you mean [" + name + "]? (case)"
		}
	}
	return ""
}

// keyHint says what may be meant by a key that systemd does not know.
func keyHint(a Assignment) string {
	if strings.HasPrefix(a.Key, "-") {
		return "; is the backslash missing at the end of the line before?"
	}
	for section, keys := range settings() {
		for key := range keys {
			switch {
			case key == a.Key:
				return "; it belongs in [" + section + "]"
			case section == a.Section && strings.EqualFold(key, a.Key):
				return "; did you mean " + key + "? (case)"
			}
		}
	}
	return ""
}

// IsDependency reports whether a setting orders a unit, or binds it to others.
func IsDependency(a Assignment) bool {
	kind := settings()[a.Section][a.Key]
	return kind == "units" || a.Key == "RequiresMountsFor" || a.Key == "WantsMountsFor"
}

// IsCondition reports whether a setting says when a unit is started at all.
func IsCondition(a Assignment) bool {
	return a.Section == "Unit" && (strings.HasPrefix(a.Key, "Condition") || strings.HasPrefix(a.Key, "Assert"))
}

// ResetsConditions reports whether a setting takes back the conditions before it.
func ResetsConditions(a Assignment) bool { return IsCondition(a) && a.Value == "" }

var unitTypes = []string{".service", ".socket", ".target", ".mount", ".automount", ".swap", ".timer", ".path", ".slice", ".scope", ".device"}

// words are the values of settings that take one of a few.
var words = map[string]string{
	"type":         "simple exec forking oneshot dbus notify notify-reload idle",
	"exittype":     "main cgroup",
	"restart":      "no on-success on-failure on-abnormal on-watchdog on-abort always",
	"killmode":     "control-group process mixed none",
	"access":       "none main exec all",
	"timeoutmode":  "terminate abort kill",
	"oompolicy":    "continue stop kill",
	"devicepolicy": "strict closed auto",
	"jobmode":      "fail replace replace-irreversibly isolate flush ignore-dependencies ignore-requirements",
	"action": "none reboot reboot-force reboot-immediate poweroff poweroff-force poweroff-immediate exit exit-force soft-reboot" +
		" soft-reboot-force kexec kexec-force halt halt-force halt-immediate",
	"level": "emerg alert crit err warning notice info debug 0 1 2 3 4 5 6 7",
	"facility": "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp" +
		" local0 local1 local2 local3 local4 local5 local6 local7",
}

// ranges are the values of settings that are whole numbers.
var ranges = map[string][2]int64{
	"oomscore": {-1000, 1000}, "nice": {-20, 19}, "unsigned": {0, 1<<32 - 1}, "weight": {1, 10000}, "cpuweight": {1, 10000},
}

// forms are the values of settings that have a form of their own, and what that is called.
var forms = map[string]struct {
	is   *regexp.Regexp
	what string
}{
	"bool": {regexp.MustCompile(`(?i)^(1|yes|y|true|t|on|0|no|n|false|f|off)$`), "not yes or no"},
	"seconds": {regexp.MustCompile(`^(infinity|([ \t]*[0-9]*\.?[0-9]+[ \t]*(usec|us|[µμ]s|msec|ms|sec(onds?)?|s|minutes?|min|m|hours?|hr|h|days?|d|weeks?|w|` +
		`months?|M|years?|y)?)+)$`), "not a span of time such as 5s"},
	"mode":      {regexp.MustCompile(`^[0-7]{1,5}$`), "not a mode such as 0755"},
	"memory":    {regexp.MustCompile(`^(infinity|\d+(\.\d+)?%|[ \t]*\d+(\.\d+)?[ \t]*[BKMGTPE]?)$`), "not a size such as 512M"},
	"tasks":     {regexp.MustCompile(`^(infinity|\d+(\.\d+)?%|\d+)$`), "not a number of tasks"},
	"percent":   {regexp.MustCompile(`^\d+(\.\d+)?%$`), "not a percentage"},
	"limit":     {regexp.MustCompile(`^(infinity|\d+)(:(infinity|\d+))?$`), "not a limit"},
	"bytelimit": {regexp.MustCompile(`^(infinity|\d+(\.\d+)?[BKMGTPE]?)(:(infinity|\d+(\.\d+)?[BKMGTPE]?))?$`), "not a limit such as 512M"},
	"signal": {regexp.MustCompile(`^((SIG)?(HUP|INT|QUIT|ILL|TRAP|ABRT|IOT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|STKFLT|CHLD|CONT|STOP|TSTP|TTIN|` +
		`TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|POLL|PWR|SYS|RTM(IN|AX)([+-]\d+)?)|[1-9]|[1-5]\d|6[0-4])$`), "not a signal"},
	"output": {regexp.MustCompile(`^(inherit|null|tty|(journal|kmsg)(\+console)?|syslog(\+console)?|socket|fd(:.*)?|(file|append|truncate)(:/.*)?)$`),
		"not an output such as journal"},
}

// valueProblem says what is wrong with a value that systemd skips; empty when nothing is, or when that is not known here. An
// empty value takes a setting back, and what a specifier stands for is not known here.
func valueProblem(kind, value string) string {
	if value == "" || strings.Contains(value, "%") && kind != "memory" && kind != "tasks" && kind != "percent" {
		return ""
	}
	if choices, ok := words[kind]; ok && !slices.Contains(strings.Fields(choices), value) {
		return "not one of " + strings.Join(strings.Fields(choices), ", ")
	}
	if form, ok := forms[kind]; ok && !form.is.MatchString(value) {
		return form.what
	}
	if limits, ok := ranges[kind]; ok && !(kind == "cpuweight" && value == "idle") {
		if n, err := strconv.ParseInt(value, 0, 64); err != nil || n < limits[0] || n > limits[1] {
			return "not a number from " + strconv.FormatInt(limits[0], 10) + " to " + strconv.FormatInt(limits[1], 10)
		}
	}
	return nameProblem(kind, value)
}

// nameProblem is for values that are names and paths.
func nameProblem(kind, value string) string {
	switch kind {
	case "path":
		return relative(value)
	case "directory":
		if dir := strings.TrimPrefix(value, "-"); dir != "~" {
			return relative(dir)
		}
	case "condition":
		return relative(strings.TrimLeft(strings.TrimPrefix(strings.TrimLeft(value, " \t"), "|"), "! \t"))
	case "slice":
		if path.Ext(value) != ".slice" {
			return "not the name of a slice"
		}
	case "units":
		for _, name := range strings.Fields(value) {
			if !isUnitName(name) { // quotes are none here
				return strconv.Quote(name) + " is not the name of a unit, which ends in .service, .target or the like"
			}
		}
	case "delegate":
		if forms["bool"].is.MatchString(value) {
			return ""
		}
		for _, name := range strings.Fields(value) {
			if !slices.Contains(controllers, name) {
				return strconv.Quote(name) + " is not a controller"
			}
		}
	}
	return ""
}

var controllers = strings.Fields("cpu cpuacct cpuset io blkio memory devices pids" +
	" bpf-firewall bpf-devices bpf-foreign bpf-socket-bind bpf-restrict-network-interfaces bpf-bind-network-interface")

func relative(file string) string {
	if strings.HasPrefix(file, "/") {
		return ""
	}
	return "not an absolute path"
}

func isUnitName(name string) bool {
	stem := strings.TrimSuffix(name, path.Ext(name))
	return slices.Contains(unitTypes, path.Ext(name)) && stem != "" && len(name) < 256 && !strings.HasPrefix(stem, "@") &&
		strings.Trim(stem, `:-_.\@0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ`) == ""
}
