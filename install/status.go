package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// Status is the truth about a host's kubelet, as far as this user may see it. Its JSON form is a stable interface: keys
// may be added, none is renamed or removed.
type Status struct {
	Installed  bool          `json:"installed"`
	Version    string        `json:"version,omitempty"`
	Generation int           `json:"generation,omitempty"`
	Trust      string        `json:"trust,omitempty"`
	Digest     string        `json:"digest,omitempty"`
	State      string        `json:"state"`
	Service    ServiceStatus `json:"service"`
	Running    RunningStatus `json:"running"`
	Health     Health        `json:"health"`
	Node       *NodeStatus   `json:"node,omitempty"` // none for a kubelet without a cluster
	Drift      []Drift       `json:"drift"`
	Problems   []Problem     `json:"problems"`
}

// ServiceStatus is what systemd says of kubelet.service, in systemd's words.
type ServiceStatus struct {
	Unit        string     `json:"unit"`
	LoadState   string     `json:"loadState"`
	ActiveState string     `json:"activeState"`
	SubState    string     `json:"subState"`
	Enabled     bool       `json:"enabled"`
	PID         int        `json:"pid"`
	Since       *time.Time `json:"since,omitempty"`
	Restarts    int        `json:"restarts"`
	MemoryBytes int64      `json:"memoryBytes"`
	CPUSeconds  float64    `json:"cpuSeconds"`
}

// RunningStatus is what the process itself is, whatever the files say by now.
type RunningStatus struct {
	Version string `json:"version,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
}

// States of a kubelet, as Status.State says them.
const (
	StateHealthy      = "healthy"
	StateUnhealthy    = "unhealthy"
	StateStarting     = "starting"
	StateStopped      = "stopped"
	StateWaiting      = "waiting for credentials"
	StateNotInstalled = "not installed"
	StateNotRunning   = "installed in a tree"
	StateChanging     = "being changed"
	StateInterrupted  = "half changed"
	StateUnknown      = "of unknown origin"
	StateUnreadable   = "not for this user to see"
)

// Status reads what there is to know. It changes nothing and needs no privilege; what could not be read is a problem
// with the ID "unreadable".
func (h *Host) Status(ctx context.Context) (*Status, error) {
	s := &Status{State: StateNotInstalled, Drift: []Drift{}, Problems: []Problem{}, Service: ServiceStatus{Unit: systemd.KubeletService}}
	problem := func(id string, severity Severity, message, hint string) {
		s.Problems = append(s.Problems, Problem{ID: id, Severity: severity, Message: message, Hint: hint})
	}
	current, err := h.Store().Current()
	if errors.Is(err, fs.ErrPermission) {
		s.State = StateUnreadable
		problem("unreadable", Failure, err.Error(), "run this as root")
	} else if err != nil {
		s.State = StateUnknown
		problem("damaged-record", Failure, err.Error(), (&DamagedError{}).Hint())
	}
	state, stateErr := h.Units.State(ctx, systemd.KubeletService)
	if stateErr != nil {
		return nil, stateErr
	}
	s.Service.fill(state)
	if err != nil {
		return s, nil
	}
	pid, busy := h.Store().Busy()
	_, pending, err := h.Store().Pending()
	switch {
	case err != nil:
		problem("damaged-record", Failure, err.Error(), (&DamagedError{}).Hint())
	case busy:
		problem("changing", Info, fmt.Sprintf("another kubeletctl (pid %d) is changing this host", pid), "run kubeletctl status again when it is done")
	case pending:
		problem("interrupted-change", Failure, "a run of kubeletctl was interrupted while it changed this host",
			systemd.RecoverService+" undoes it within "+recoverEvery.String()+", or at the next boot; so does the next run of kubeletctl install")
	}
	if left := h.Left(); left != "" {
		problem("recovered", Warning, left, "")
	}
	switch {
	case busy:
		defer func() { s.State = StateChanging }()
	case pending:
		defer func() { s.State = StateInterrupted }()
	}
	if current == nil && (busy || pending) {
		return s, nil
	}
	if current == nil || current.Snapshot {
		if current != nil {
			problem("interrupted-uninstall", Warning, "an uninstall did not get to its end", "run kubeletctl uninstall again")
		} else if state.LoadState == "loaded" {
			problem("foreign-kubelet", Info, "a kubelet.service is here that kubeletctl did not install", "")
		}
		return s, nil
	}
	s.Installed, s.Version, s.Generation = true, current.Version.String(), current.Number
	s.Trust, s.Digest = string(current.Trust), current.Digest.String()

	seen, err := h.Observe(ctx, current)
	if err != nil {
		return nil, err
	}
	s.Drift = drift(current, seen)
	for _, p := range sortedKeys(seen.Unreadable) {
		problem("unreadable", Warning, fmt.Sprintf("could not check %s: %v", p, cause(seen.Unreadable[p])), "run this as root to see all")
	}
	if !h.Live {
		s.State = StateNotRunning
		return s, nil
	}
	if seen.Process != nil {
		s.Running = h.running(ctx, seen.Process, current)
		if want := current.binary().SHA256; s.Running.SHA256 != want && !pending {
			hint := "kubeletctl repair starts the installed one"
			if len(state.DropIns) > 0 {
				hint = "look at the drop-ins of the unit: " + strings.Join(state.DropIns, ", ")
			}
			problem("running-differs", Failure, "the process that runs is not the kubelet that was installed", hint)
		}
	}
	h.judge(ctx, s, state, current, seen, problem)
	var problems []Problem
	s.Node, problems = h.nodeStatus(ctx, current, s.State == StateWaiting)
	s.Problems = append(s.Problems, problems...)
	return s, nil
}

// judge sets State and says what is wrong and what to do about it.
func (h *Host) judge(ctx context.Context, s *Status, state systemd.UnitState, current *Generation, seen *Seen, problem func(string, Severity, string, string)) {
	if state.ActiveState == "active" {
		s.Health = Probe(ctx, current.HealthURL)
	} else {
		s.Health = Health{URL: current.HealthURL, Error: "kubelet is not running"}
	}
	service, _ := current.unit(systemd.KubeletService)
	lost := seen.Files[current.binary().Path].Kind == Absent && seen.Unreadable[current.binary().Path] == nil
	if lost {
		problem("binary-missing", Failure, current.binary().Path+" is missing: kubelet can not be started", "kubeletctl repair puts it back")
	}
	switch {
	case state.ActiveState == "active" && (s.Health.OK || current.HealthURL == ""):
		s.State = StateHealthy
	case state.ActiveState == "active":
		s.State = StateUnhealthy
		problem("unhealthy", Failure, "kubelet runs, but its health endpoint says: "+s.Health.Error, "journalctl -u kubelet.service")
	case !seen.Credentials && !state.Up():
		s.State = StateWaiting
		problem("waiting-for-credentials", Info, "kubelet starts as soon as one of these exists: "+strings.Join(current.Credentials, ", "),
			"put the node's kubeconfig there, owned by root, mode 0600")
	case state.Restarting() || state.ActiveState == "failed" || state.Restarts > 0:
		s.State = StateUnhealthy
		message := died(state, 0)
		if entries, err := systemd.Journal(ctx, state, 60); err == nil {
			if words := systemd.LastFailure(entries); words != "" {
				message += ": " + words
			}
		}
		problem("crash-loop", Failure, message, "journalctl -u kubelet.service")
	case state.Up():
		s.State = StateStarting
		problem("starting", Warning, "kubelet is starting", "run kubeletctl status again in a few seconds")
	default:
		s.State = StateStopped
		severity, hint := Failure, "systemctl start kubelet.service, or kubeletctl repair"
		if service.Run != Running {
			severity = Info
		}
		if lost {
			hint = "kubeletctl repair"
		}
		problem("stopped", severity, "kubelet is not running", hint)
	}
	if state.Restarts > 0 && s.State == StateHealthy {
		problem("restarts", Warning, "systemd had to start kubelet again: "+times(state.Restarts), "journalctl -u kubelet.service")
	}
	interrupted := slices.ContainsFunc(s.Problems, func(p Problem) bool { return p.ID == "interrupted-change" })
	if len(s.Drift) > 0 && !interrupted { // which is what there is to mend
		problem("drift", Warning, "this host is not as it was installed", "kubeletctl diff shows how; kubeletctl repair puts it back")
	}
	if len(state.DropIns) > 0 {
		problem("drop-ins", Info, "local drop-ins change the unit: "+strings.Join(state.DropIns, ", "), "")
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func (s *ServiceStatus) fill(state systemd.UnitState) {
	s.LoadState, s.ActiveState, s.SubState = state.LoadState, state.ActiveState, state.SubState
	s.Enabled, s.PID, s.Restarts = state.Enabled(), state.MainPID, state.Restarts
	s.MemoryBytes, s.CPUSeconds = state.MemoryBytes, state.CPU.Seconds()
	if !state.Since.IsZero() {
		s.Since = &state.Since
	}
}

// running says what the process is, whatever the files say by now.
func (h *Host) running(ctx context.Context, p *Process, current *Generation) RunningStatus {
	r := RunningStatus{SHA256: p.SHA256}
	if p.SHA256 == current.binary().SHA256 {
		r.Version = current.Version.String()
		return r
	}
	if all, err := h.Store().List(); err == nil {
		for _, g := range all {
			if g.binary().SHA256 == p.SHA256 {
				r.Version = g.Version.String()
				return r
			}
		}
	}
	// Not one of ours: ask it, if it calls itself a kubelet. What else a unit may run is not ours to start.
	if target, err := os.Readlink(p.exe()); err != nil || !strings.HasPrefix(path.Base(target), "kubelet") {
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, p.exe(), "--version").Output(); err == nil {
		line, _, _ := strings.Cut(string(out), "\n")
		r.Version = strings.TrimPrefix(strings.TrimSpace(line), "Kubernetes ")
	}
	return r
}

// cause takes the path off an error whose message names it anyway.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func sortedKeys(m map[string]error) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
