package observe

import (
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// managerVariables are those that systemd sets for a service by itself (systemd.exec(5)), and beginnings of such.
var (
	managerVariables = []string{
		"PATH", "LANG", "LANGUAGE", "USER", "LOGNAME", "HOME", "SHELL", "TERM", "INVOCATION_ID", "MAINPID", "MANAGERPID", "NOTIFY_SOCKET",
		"WATCHDOG_PID", "WATCHDOG_USEC", "SYSTEMD_EXEC_PID", "JOURNAL_STREAM", "LOG_NAMESPACE", "FDSTORE", "PIDFILE", "DEBUG_INVOCATION",
	}
	managerPrefixes = []string{"LC_", "XDG_", "LISTEN_", "MEMORY_PRESSURE_", "TRIGGER_", "MANAGERPID"}
)

// lostVariables reports whether a process of the unit has a variable that neither systemd nor anything that is there by now sets.
func (o Observer) lostVariables(pid int, dropIns []DropIn) bool {
	entries, err := environment(pid)
	if err != nil {
		return false
	}
	set := slices.Clone(managerVariables)
	for _, d := range dropIns {
		for _, v := range d.Unit.Variables() {
			set = append(set, v.Name)
		}
		for _, a := range d.Unit.Values("Service", "PassEnvironment") {
			set = append(set, strings.Fields(a.Value)...)
		}
		for _, a := range d.Unit.Values("Service", "EnvironmentFile") {
			file := strings.TrimPrefix(a.Value, "-")
			data, _ := o.Tree.ReadRegular(file, maxText) // what is not there sets nothing
			variables, _, _ := systemd.ParseEnvironmentFile(file, data)
			for _, v := range variables {
				set = append(set, v.Name)
			}
		}
	}
	for _, entry := range entries {
		name, _, found := strings.Cut(entry, "=")
		begins := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
		if found && !slices.Contains(set, name) && !strings.HasSuffix(name, "_DIRECTORY") && !slices.ContainsFunc(managerPrefixes, begins) {
			return true
		}
	}
	return false
}
