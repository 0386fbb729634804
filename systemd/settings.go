package systemd

import (
	_ "embed"
	"errors"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
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
// know, and values that it cannot read; some of these make it refuse the unit. What is wrong with Environment= and
// ExecStart=, [UnitFile.ExecStart] tells.
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
		if kind == "command" && a.Key != "ExecStart" {
			ignored = append(ignored, a.commandProblems()...)
		} else if why := valueProblem(kind, a.Value); why != "" {
			add(a.Position, a.Key+"="+a.Value+": "+why+": "+a.effect(kind))
		}
	}
	slices.SortStableFunc(ignored, func(a, b *SyntaxError) int { return a.Line - b.Line })
	return ignored
}

// commandProblems says what is wrong with a command beside ExecStart=.
func (a Assignment) commandProblems() []*SyntaxError {
	r := &resolver{env: Environment{Partial: true}}
	r.commands(a.value)
	for _, err := range r.errs {
		if syntax := (*SyntaxError)(nil); errors.As(err, &syntax) {
			r.warnings = append(r.warnings, &SyntaxError{syntax.Position, a.Key + "=: " + syntax.Text + ": " + a.effect("command")})
		}
	}
	return r.warnings
}

// effect says what systemd does about a setting that it cannot read.
func (a Assignment) effect(kind string) string {
	forgiven := strings.HasPrefix(a.Value, "-")
	if kind == "user" || kind == "root" || kind == "pidfile" || !forgiven && (kind == "directory" || kind == "command") {
		return "systemd refuses the unit"
	}
	return "systemd ignores this line"
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

// words are the values of settings that take one of a few; "bool" among them stands for yes, no and the like.
var words = map[string]string{
	"type":          "simple exec forking oneshot dbus notify notify-reload idle",
	"exittype":      "main cgroup",
	"restart":       "no on-success on-failure on-abnormal on-watchdog on-abort always",
	"killmode":      "control-group process mixed none",
	"access":        "none main exec all",
	"timeoutmode":   "terminate abort kill",
	"oompolicy":     "continue stop kill",
	"devicepolicy":  "strict closed auto",
	"jobmode":       "fail replace replace-irreversibly isolate flush ignore-dependencies ignore-requirements",
	"keyring":       "inherit private shared",
	"mountflags":    "shared slave private",
	"preserve":      "bool restart",
	"privatetmp":    "bool disconnected",
	"protecthome":   "bool read-only tmpfs",
	"protectsystem": "bool full strict",
	"action": "none reboot reboot-force reboot-immediate poweroff poweroff-force poweroff-immediate exit exit-force soft-reboot" +
		" soft-reboot-force kexec kexec-force halt halt-force halt-immediate",
	"level": "emerg alert crit err warning notice info debug 0 1 2 3 4 5 6 7",
}

var facilities = strings.Fields("kern user mail daemon auth syslog lpr news uucp cron authpriv ftp" +
	" local0 local1 local2 local3 local4 local5 local6 local7")

// noEmpty are the kinds of settings that an empty value does not take back: it is skipped as well (systemd 252).
const noEmpty = " access action bool bytelimit devicepolicy exittype facility input jobmode keyring level limit mode oompolicy output preserve" +
	" privatetmp protecthome protectsystem restart seconds signal slice timeoutmode type unsigned "

// expanded are the kinds of settings in which a specifier, as %n, stands for something.
const expanded = " any condition directory output path pidfile root slice units urls user "

// ranges are the values of settings that are whole numbers.
var ranges = map[string][2]int64{
	"oomscore": {-1000, 1000}, "nice": {-20, 19}, "unsigned": {0, 1<<32 - 1}, "weight": {1, 10000}, "cpuweight": {1, 10000},
}

// form is what the values of a kind of settings look like, and what one is called that does not.
type form struct {
	is   *regexp.Regexp
	what string
}

// forms are the values of settings that have a form of their own.
var forms = sync.OnceValue(func() map[string]form {
	const span = `(infinity|([ \t]*[0-9]*\.?[0-9]+[ \t]*(usec|us|[µμ]s|msec|ms|sec(onds?)?|s|minutes?|min|m|hours?|hr|h|days?|d|weeks?|w|` +
		`months?|M|years?|y)?)+)`
	return map[string]form{
		"bool":      {regexp.MustCompile(`(?i)^(1|yes|y|true|t|on|0|no|n|false|f|off)$`), "not yes or no"},
		"seconds":   {regexp.MustCompile(`^` + span + `$`), "not a span of time such as 5s"},
		"mode":      {regexp.MustCompile(`^0*[0-7]{1,4}$`), "not a mode such as 0755"},
		"memory":    {regexp.MustCompile(`^(infinity|(100|\d\d?)(\.\d+)?%|([ \t]*\d+(\.\d+)?[ \t]*[BKMGTPE]?)+)$`), "not a size such as 512M"},
		"tasks":     {regexp.MustCompile(`^(infinity|(100|\d\d?)(\.\d+)?%|0*[1-9]\d*)$`), "not a number of tasks"},
		"percent":   {regexp.MustCompile(`^(\d*[1-9]\d*(\.\d+)?|0+\.0*[1-9]\d*)%$`), "not a percentage"},
		"limit":     {regexp.MustCompile(`^(infinity|0x[0-9a-fA-F]+|0[0-7]*|[1-9]\d*)(:(infinity|0x[0-9a-fA-F]+|0[0-7]*|[1-9]\d*))?$`), "not a limit"},
		"bytelimit": {regexp.MustCompile(`^(infinity|\d+(\.\d+)?[BKMGTPE]?)(:(infinity|\d+(\.\d+)?[BKMGTPE]?))?$`), "not a limit such as 512M"},
		"signal": {regexp.MustCompile(`^((SIG)?(HUP|INT|QUIT|ILL|TRAP|ABRT|IOT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|STKFLT|CHLD|CONT|STOP|TSTP|TTIN|` +
			`TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|PWR|SYS|RTMIN(\+([12]?\d|30))?|RTMAX(-([12]?\d|30))?)|0x[1-9a-fA-F]|[1-9]|[1-5]\d|6[0-4])$`), "not a signal"},
		"output": {regexp.MustCompile(`^(inherit|null|tty|(journal|kmsg)(\+console)?|syslog(\+console)?|socket|fd(:.*)?|(file|append|truncate)(:/.*)?)$`),
			"not an output such as journal"},
		"input":     {regexp.MustCompile(`^(null|data|tty|tty-force|tty-fail|socket|fd(:.*)?|file(:/.*)?)$`), "not an input such as null"},
		"nicelimit": {regexp.MustCompile(`^(infinity|\+(1?\d)|-(1?\d|20)|[1-9]|[1-3]\d|40)(:(infinity|\+(1?\d)|-(1?\d|20)|[1-9]|[1-3]\d|40))?$`), "not a limit such as -5"},
		"timelimit": {regexp.MustCompile(`^` + span + `(:` + span + `)?$`), "not a limit such as 5s"},
		"urls": {regexp.MustCompile(`^(?:\s*(?:"(?:https?://|file:/|info:|man:)[!-~ ]+"|'(?:https?://|file:/|info:|man:)[!-~ ]+'|(?:https?://|file:/|info:|man:)[!#-&(-~]+)\s*)+$`),
			"not a URL such as https://host/page or man:kubelet(8)"},
	}
})

// valueProblem says what is wrong with a value that systemd skips; empty when nothing is, or when that is not known here. What a
// specifier stands for is not known here.
func valueProblem(kind, value string) string {
	is := func(kinds string) bool { return strings.Contains(kinds, " "+kind+" ") }
	switch {
	case value == "" && is(noEmpty):
		return "it is empty"
	case value == "":
		return "" // takes the setting back
	case is(expanded) && strings.Contains(strings.ReplaceAll(value, "%%", ""), "%"):
		return ""
	case is(expanded):
		value = strings.ReplaceAll(value, "%%", "%")
	}
	if choices, ok := words[kind]; ok {
		return choiceProblem(strings.Fields(choices), value)
	}
	if form, ok := forms()[kind]; ok && !form.is.MatchString(value) {
		return form.what
	}
	if limits, ok := ranges[kind]; ok && !(kind == "cpuweight" && value == "idle") {
		if n, err := strconv.ParseInt(value, 0, 64); err != nil || n < limits[0] || n > limits[1] {
			return "not a number from " + strconv.FormatInt(limits[0], 10) + " to " + strconv.FormatInt(limits[1], 10)
		}
	}
	return nameProblem(kind, value)
}

func choiceProblem(choices []string, value string) string {
	if slices.Contains(choices, value) && value != "bool" || slices.Contains(choices, "bool") && forms()["bool"].is.MatchString(value) {
		return ""
	}
	return "not one of " + strings.Replace(strings.Join(choices, ", "), "bool", "yes, no", 1)
}

// nameProblem is for values that are names and paths.
func nameProblem(kind, value string) string {
	switch kind {
	case "path", "root":
		return relative(value)
	case "facility":
		if n, err := strconv.Atoi(value); err != nil || n < 0 || n > 127 {
			return choiceProblem(facilities, value)
		}
	case "memorymax":
		if strings.Trim(value, "0 BKMGTPE") == "" {
			return "not above 0"
		}
		return valueProblem("memory", value)
	case "limit", "bytelimit":
		return limitProblem(value)
	case "pidfile": // below /run where it is relative
		return relative("/" + value)
	case "user":
		return userProblem(value)
	case "directory":
		if dir := strings.TrimPrefix(value, "-"); dir != "~" {
			return relative(dir)
		}
	case "condition":
		return relative(strings.TrimPrefix(strings.TrimPrefix(value, "|"), "!"))
	case "slice":
		if path.Ext(value) != ".slice" || !isUnitName(value) || strings.Contains(value, "@") {
			return "not the name of a slice"
		}
	case "units":
		for _, name := range strings.Fields(value) {
			if !isUnitName(name) { // quotes are none here
				return strconv.Quote(name) + " is not the name of a unit, which ends in .service, .target or the like"
			}
		}
	case "delegate":
		if forms()["bool"].is.MatchString(value) {
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

// limitProblem is for a soft and a hard limit: 1024:4096, 1G:2G.
func limitProblem(value string) string {
	soft, hard, both := strings.Cut(value, ":")
	if both && limit(soft) > limit(hard) {
		return "the soft limit is above the hard one"
	}
	return ""
}

// limit is a number, with a suffix to the base of 1024, or infinity.
func limit(text string) float64 {
	digits := strings.TrimRight(text, "BKMGTPE")
	n, err := strconv.ParseFloat(digits, 64)
	if whole, wrong := strconv.ParseUint(digits, 0, 64); wrong == nil { // 0x10
		n, err = float64(whole), nil
	}
	if err != nil {
		return math.Inf(1)
	}
	return n * math.Pow(1024, float64(max(0, strings.Index("BKMGTPE", text[len(digits):]))))
}

// userProblem is for names and numbers of users and groups: 65535 and 4294967295 stand for none.
func userProblem(name string) string {
	n, err := strconv.ParseUint(name, 10, 64)
	if err == nil && (n == 1<<16-1 || n >= 1<<32-1) || strings.ContainsAny(name, "/:") || strings.ContainsFunc(name, unicode.IsControl) {
		return "not the name of a user or group"
	}
	return ""
}

var controllers = strings.Fields("cpu cpuacct cpuset io blkio memory devices pids" +
	" bpf-firewall bpf-devices bpf-foreign bpf-socket-bind bpf-restrict-network-interfaces bpf-bind-network-interface")

func relative(file string) string {
	switch {
	case !strings.HasPrefix(file, "/"):
		return "not an absolute path"
	case strings.Contains(file+"/", "/../"):
		return "a path with .."
	}
	return ""
}

func isUnitName(name string) bool {
	stem := strings.TrimSuffix(name, path.Ext(name))
	return slices.Contains(unitTypes, path.Ext(name)) && stem != "" && len(name) < 256 && !strings.HasPrefix(stem, "@") &&
		strings.Trim(stem, `:-_.\@0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ`) == ""
}
