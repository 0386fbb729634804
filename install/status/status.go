// Package status describes the kubelet of a host: what runs, whether it is healthy, and whether it is what was installed; with
// each problem comes what to do about it. It changes nothing and needs no privilege.
package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/diagnose"
	"github.com/kubeletctl/kubeletctl/install/health"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Status is the actual state of a host's kubelet, as far as this user may see it. Its JSON form is a stable interface: keys
// may be added, none is renamed or removed.
type Status struct {
	Installed  bool          `json:"installed"`
	Version    string        `json:"version,omitempty"`
	Generation int           `json:"generation,omitempty"`
	Trust      string        `json:"trust,omitempty"`
	Digest     string        `json:"digest,omitempty"`
	Tools      []plan.Tool   `json:"tools,omitempty"`  // installed beside kubelet
	SHA256     string        `json:"sha256,omitempty"` // of the installed binary, whatever kind of digest it was verified by
	State      State         `json:"state"`
	Service    Service       `json:"service"`
	Running    Running       `json:"running"`
	Health     health.Health `json:"health"`
	Runtime    *Runtime      `json:"runtime,omitempty"` // none when it was not asked
	Node       *Node         `json:"node,omitempty"`    // none for a kubelet without a cluster
	// Certificates are kubelet's, as far as this user may read them.
	Certificates []Certificate       `json:"certificates,omitempty"`
	Drift        []plan.Drift        `json:"drift"`
	Problems     []preflight.Problem `json:"problems"`
	// Diagnosis is why kubelet is not well; nil where that was not looked at.
	Diagnosis *diagnose.Diagnosis `json:"-"`
}

// Runtime is the container runtime of a kubelet that runs.
type Runtime struct {
	Endpoint string `json:"endpoint"`
	Answers  bool   `json:"answers"`
	Name     string `json:"name,omitempty"`
	Version  string `json:"version,omitempty"`
}

// Service is what systemd says of kubelet.service, in systemd's words.
type Service struct {
	Unit        string     `json:"unit"`
	LoadState   string     `json:"loadState"`
	ActiveState string     `json:"activeState"`
	SubState    string     `json:"subState"`
	Enabled     bool       `json:"enabled"`
	PID         int        `json:"pid"`
	Since       *time.Time `json:"since,omitempty"`
	Restarts    int        `json:"restarts"`
	LastExit    *Exit      `json:"lastExit,omitempty"` // before systemd started it again
	MemoryBytes int64      `json:"memoryBytes"`
	CPUSeconds  float64    `json:"cpuSeconds"`
}

// Running is what the process itself is, whatever the files say by now.
type Running struct {
	Version string `json:"version,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
}

// State of a kubelet, as a token: a stable interface.
type State string

const (
	Healthy      State = "healthy"
	Unhealthy    State = "unhealthy"
	Starting     State = "starting"
	Stopped      State = "stopped"
	Waiting      State = "waiting-for-credentials"
	ForKubeadm   State = "waiting-for-kubeadm"
	NotInstalled State = "not-installed"
	Offline      State = "offline"     // installed in a tree that does not run
	Changing     State = "changing"    // by another run, at this moment
	Interrupted  State = "interrupted" // by a change that did not get to its end
	Unknown      State = "unknown"     // the record cannot be made sense of
	Unreadable   State = "unreadable"  // this user may not read the record
)

// Problem IDs of a status; their values are a stable interface.
const (
	IDDrift   = "drift"
	IDWaiting = "waiting-for-credentials"
	// IDStopped is that kubelet does not run, although nothing has ended it.
	IDStopped = "stopped"

	idInterrupted = "interrupted-change"
	idUnreadable  = "unreadable"
	idDamaged     = "damaged-record"
	idCordoned    = "cordoned"
	idCannotStart = "cannot-start"
	idCertificate = "certificate-expires"
	idServing     = "serving-certificate"
	idNotReady    = "node-not-ready"
	idNotJoined   = "not-joined"
	idAPIServer   = "api-server"
	IDKubeadm     = "waiting-for-kubeadm"
)

// CredentialsHint and KubeadmHint say what to do about a kubelet that waits for credentials, or for kubeadm.
const (
	CredentialsHint = "kubeletctl join writes them; or put the node's kubeconfig there, owned by root, mode 0600"
	KubeadmHint     = "run kubeadm init, or kubeadm join, which starts kubelet"
)

func (s *Status) problem(id string, severity preflight.Severity, message, hint string) {
	s.Problems = append(s.Problems, preflight.Problem{ID: id, Severity: severity, Message: message, Hint: hint})
}

// Reader looks at a host for its status.
type Reader struct {
	observe.Observer
	// AskRuntime reports, as an error, that no container runtime answers at an endpoint; nil asks nobody. See package cri.
	AskRuntime func(ctx context.Context, endpoint string) error
	// RuntimeVersion asks one for its name and version; nil asks nobody.
	RuntimeVersion func(ctx context.Context, endpoint string) (name, version string, err error)
}

func (r Reader) store() store.Store { return store.In(r.Tree) }

// Read reads what there is to know. It changes nothing and needs no privilege; what could not be read is a problem with
// the ID "unreadable".
func (r Reader) Read(ctx context.Context) (*Status, error) {
	s := &Status{State: NotInstalled, Drift: []plan.Drift{}, Problems: []preflight.Problem{}, Service: Service{Unit: systemd.KubeletService}}
	state, err := r.Unit(ctx, systemd.KubeletService)
	if err != nil {
		return nil, err
	}
	s.Service.fill(state)
	current, err := r.store().Current()
	if err == nil && current != nil {
		err = current.Damage
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		s.State = Unreadable
		s.problem(idUnreadable, preflight.Failure, err.Error(), "run this as root")
	case err != nil:
		s.State = Unknown
		s.problem(idDamaged, preflight.Failure, err.Error(), hintOf(err))
	}
	if err != nil {
		r.liveHalf(ctx, s, state)
		r.damagedHistory(s, current)
		return s, nil
	}
	change := changeUnderWay(r.store(), s)
	switch {
	case current == nil && change != "":
	case current == nil || current.Snapshot:
		r.notInstalled(ctx, s, current, state)
	default:
		if err := r.installed(ctx, s, current, state, change); err != nil {
			return nil, err
		}
	}
	r.damagedHistory(s, current)
	if change != "" {
		s.State = change
	}
	return s, nil
}

// liveHalf says of a kubelet what can be said without a record: what runs, and whether it is well.
func (r Reader) liveHalf(ctx context.Context, s *Status, state systemd.UnitState) {
	s.Health.Error = "kubelet is not running"
	if !r.Live || state.ActiveState != "active" {
		return
	}
	s.Health = health.Probe(ctx, HealthURL(r.Observer))
	process, err := r.Process(state, r.Tree.LoadDigests(observe.DigestsFile))
	if err != nil {
		s.problem(idUnreadable, preflight.Warning, fmt.Sprintf("could not check process %d: %v", state.MainPID, hostfs.Pathless(err)), "run this as root to see all")
	} else if process != nil {
		s.Running = running(ctx, r.store(), process, &plan.Generation{})
	}
}

// HealthURL is where a kubelet with the configuration that is there answers, whatever was recorded. Where it cannot be read,
// kubelet's defaults are as good as anything.
func HealthURL(o observe.Observer) string {
	config, _ := o.Look(plan.File{Path: hostfs.ConfigFile, Kind: plan.Text})
	fields, _ := preflight.Fields(&plan.Generation{Files: []plan.File{config}})
	return spec.HealthURL(fields)
}

// mostChecked is of how many generations a status looks for damage: of as many as a host usually keeps to go back to.
const mostChecked = 2 * spec.DefaultKeep

// damagedHistory names what is damaged of the record beside what was said of the current generation.
func (r Reader) damagedHistory(s *Status, current *plan.Generation) {
	damaged, err := r.store().Damaged(mostChecked)
	if err != nil {
		return // it was said
	}
	for _, d := range damaged {
		switch {
		case current == nil || d.Generation != current.Number:
			s.problem(idDamaged, preflight.Warning, d.Error(), d.Hint())
		case current.Damage == nil:
			s.problem(idDamaged, preflight.Warning, d.Error(), "kubeletctl install with all its settings records it anew; upgrade, set and rollback to it need it")
		}
	}
}

func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// changeUnderWay reports whether a change is being made, or was left in the middle; empty when neither is.
func changeUnderWay(record store.Store, s *Status) State {
	if notice := record.Notice().Text(); notice != "" {
		defer s.problem("recovered", preflight.Warning, notice, "")
	}
	pid, busy := record.Busy()
	_, pending, err := record.Pending().Number()
	switch {
	case err != nil:
		s.problem(idDamaged, preflight.Failure, err.Error(), (&store.DamagedError{}).Hint())
	case busy && !pending: // it fetches, or asks, and has changed nothing yet
		s.problem("busy", preflight.Info, fmt.Sprintf("another kubeletctl (pid %d) is preparing a change of this host", pid), "run kubeletctl status again when it is done")
	case busy:
		s.problem("changing", preflight.Info, fmt.Sprintf("another kubeletctl (pid %d) is changing this host", pid), "run kubeletctl status again when it is done")
		return Changing
	case pending:
		s.problem(idInterrupted, preflight.Failure, "a run of kubeletctl was interrupted while it changed this host",
			systemd.RecoverService+" undoes it within "+systemd.RecoverEvery.String()+", or at the next boot; so does the next run of kubeletctl install")
		return Interrupted
	}
	if c, err := record.Cordon().Load(); c != nil && err == nil && !busy {
		s.problem(idCordoned, preflight.Warning, "a change that was interrupted has left the node "+c.Node+" cordoned", "kubeletctl uncordon; so do the next change and the next boot")
	}
	return ""
}

// notInstalled says what is there instead of a kubelet of ours.
func (r Reader) notInstalled(ctx context.Context, s *Status, current *plan.Generation, state systemd.UnitState) {
	switch {
	case current != nil:
		s.problem("interrupted-uninstall", preflight.Warning, "an uninstall did not finish", "run kubeletctl uninstall again")
	case r.RecordLost():
		s.problem("lost-record", preflight.Failure, observe.LostRecord, observe.AdoptHint)
		r.liveHalf(ctx, s, state)
	case state.LoadState == "loaded":
		s.problem("foreign-kubelet", preflight.Info, "a kubelet.service is here that kubeletctl did not install", observe.AdoptHint)
		if r.liveHalf(ctx, s, state); !s.Health.OK { // it may answer elsewhere
			s.Health = health.Health{}
		}
	}
}

// aroundIt is what kubeadm and the packages of the distribution have to do with a kubelet.
func (r Reader) aroundIt(s *Status, current *plan.Generation) {
	var refused *preflight.FailedError
	if !current.SpecHidden && errors.As(preflight.CheckKubeadm(r.Observer, current), &refused) { // what runs may run on
		for _, p := range refused.Problems {
			p.Severity = preflight.Warning
			s.Problems = append(s.Problems, p)
		}
	}
	for _, problem := range []*preflight.Problem{preflight.CheckInstanceConfig(r.Observer, current), preflight.CheckPackages(r.Tree)} {
		if problem != nil {
			s.Problems = append(s.Problems, *problem)
		}
	}
}

// installed describes a host with a kubelet of ours.
func (r Reader) installed(ctx context.Context, s *Status, current *plan.Generation, state systemd.UnitState, change State) error {
	s.Installed, s.Version, s.Generation = true, current.Version.String(), current.Number
	s.Trust, s.Digest, s.SHA256 = string(current.Trust), current.Digest.String(), current.Binary().SHA256
	r.aroundIt(s, current)
	s.Tools = current.Tools
	seen, err := r.Observe(ctx, current)
	if err != nil {
		return err
	}
	s.Drift = seen.DriftFrom(current)
	for _, p := range slices.Sorted(maps.Keys(seen.Unreadable)) {
		s.problem(idUnreadable, preflight.Warning, fmt.Sprintf("could not check %s: %v", p, hostfs.Pathless(seen.Unreadable[p])), "run this as root to see all")
	}
	if !r.Live {
		s.State = Offline
		return nil
	}
	a := assessment{reader: r, status: s, unit: state, current: current, seen: seen}
	_, a.busy = r.store().Busy()
	a.process(ctx, change)
	// These are asked side by side; each has a time limit of its own.
	certificates := beside(ctx, func() []Certificate { return certificates(r.Tree, current) })
	exit := beside(ctx, func() *Exit { return lastExit(ctx, state) })
	a.log = sync.OnceValue(func() logged { return readLog(ctx, state, wordsTimeout) })
	if state.ActiveState == "active" { // its last minutes are looked at in any case
		a.log = sync.OnceValue(beside(ctx, a.log))
	}
	runtime := beside(ctx, func() runtimeAnswer { return a.askRuntime(ctx) })
	waits := !seen.Credentials && !state.Up()
	asked := beside(ctx, func() nodeAnswer {
		n, problems := nodeStatus(ctx, r.Tree, current, waits)
		return nodeAnswer{n, problems}
	})
	a.assess(ctx)
	s.Certificates, s.Service.LastExit = certificates(), exit()
	if change == "" && s.State == Healthy && (len(seen.OtherProcess(current)) > 0 || seen.Process == nil && len(seen.ForeignOverrides(current)) > 0) {
		s.State = Unhealthy // somebody else's kubelet may be healthy, too
	}
	answer := runtime()
	s.Runtime = answer.Runtime
	if answer.problem != nil {
		s.Problems = append(s.Problems, *answer.problem)
	}
	found := asked()
	if s.Node = found.Node; s.Node != nil {
		seen.NodeLabels = s.Node.labels
		s.Drift = append(s.Drift, seen.NodeDrift(current)...)
	}
	a.remarks(change)
	s.checkCertificates(time.Now())
	s.Problems = append(s.Problems, found.problems...)
	if s.State == Healthy {
		r.useless(ctx, s, current, state, a.log())
	}
	failed := func(p preflight.Problem) bool { return p.Severity == preflight.Failure }
	if s.State == Healthy && slices.ContainsFunc(s.Problems, failed) {
		s.State = Unhealthy
	}
	return nil
}

// process looks whether what runs is what was installed.
func (a assessment) process(ctx context.Context, change State) {
	r, s, seen, current := a.reader, a.status, a.seen, a.current
	if seen.Process == nil {
		return
	}
	s.Running = running(ctx, r.store(), seen.Process, current)
	if change == "" && len(seen.OtherProcess(current)) > 0 {
		hint := a.advise("kubeletctl repair starts the installed one")
		if names := seen.ForeignOverrides(current); len(names) > 0 {
			hint = "this drop-in starts another one: " + diagnose.ForeignCause(r.Observer, "", current)
		}
		s.problem("running-differs", preflight.Failure, "the process that runs is not the kubelet that was installed: "+strings.Join(seen.OtherProcess(current), "; "), hint)
	}
}

// assessment finds out how an installed kubelet is.
type assessment struct {
	reader  Reader
	status  *Status
	unit    systemd.UnitState
	current *plan.Generation
	seen    *plan.Observation
	// log is what the journal has of the run, read once.
	log func() logged
	// busy reports that another run is at work, beside which there is nothing to repair.
	busy bool
}

// advise is a hint to change this host, unless another run does that already.
func (a assessment) advise(hint string) string {
	if a.busy {
		return "another kubeletctl is at work here: run kubeletctl status again when it is done"
	}
	return hint
}

// repairable reports whether anything differs that kubeletctl repair would put back.
func (a assessment) repairable() bool {
	return slices.ContainsFunc(a.status.Drift, func(d plan.Drift) bool { return !d.Kept })
}

// assess sets the state and says what is wrong and what to do about it.
func (a assessment) assess(ctx context.Context) {
	s, state := a.status, a.unit
	s.Health = health.Health{URL: a.current.HealthURL, Error: "kubelet is not running"}
	if state.ActiveState == "active" {
		s.Health = health.Probe(ctx, a.current.HealthURL)
	}
	lost := a.nextStart()
	switch {
	case state.ActiveState == "active" && (s.Health.OK || a.current.HealthURL == ""):
		s.State = Healthy
	case state.ActiveState == "active":
		s.State = Unhealthy
		hint := "journalctl -u kubelet.service shows what it said"
		if d := a.reader.diagnose(ctx, s, a.current, state, a.log()); d.Cause != "" {
			hint = d.Hint()
		}
		s.problem("unhealthy", preflight.Failure, "kubelet runs, but its health endpoint says: "+s.Health.Error, a.advise(hint+"; kubeletctl restart starts it anew"))
	case !a.seen.Credentials && !state.Up() && lost:
		s.State = Stopped // which nextStart has explained
	case !a.seen.Credentials && !state.Up() && a.current.Kubeadm:
		s.State = ForKubeadm
		s.problem(IDKubeadm, preflight.Info, "kubeadm has not set up this node yet: "+a.reader.Absent(a.current)+" does not exist", KubeadmHint)
	case !a.seen.Credentials && !state.Up():
		s.State = Waiting
		s.problem(IDWaiting, preflight.Info, "kubelet starts as soon as one of these exists: "+strings.Join(a.current.Credentials, ", "),
			CredentialsHint)
	case state.Restarting() || state.ActiveState == "failed" || state.Restarts > 0 && state.Up():
		a.crashed(ctx)
	case state.Up():
		s.State = Starting
		s.problem("starting", preflight.Warning, "kubelet is starting", a.advise("run kubeletctl status again in a few seconds; kubeletctl restart helps one that hangs"))
	default:
		a.stopped()
	}
}

// nextStart says what the next start of kubelet would lack, whatever runs now. lost reports that files of kubeadm's are among that.
func (a assessment) nextStart() (lost bool) {
	for _, missed := range a.unstartable() {
		id, effect := idCannotStart, "kubelet cannot be started"
		switch {
		case missed.Target == a.current.Binary().Path && missed.Reason == missing:
			id = "binary-missing"
		case path.Dir(missed.Target) == plan.DropInDir:
			effect = "kubelet would start without its flags"
		}
		a.status.problem(id, preflight.Failure, fmt.Sprintf("%s is %s: %s", missed.Target, missed.Reason, effect), a.advise("kubeletctl repair puts it back"))
	}
	problems := preflight.CheckLost(a.reader.Observer, a.current)
	for _, p := range problems {
		a.status.problem(idCannotStart, preflight.Failure, p.Message, p.Hint)
	}
	return len(problems) > 0
}

// crashed says why kubelet has exited, and what has to be done: to a line of somebody else's, to what differs from what was
// installed, or nothing but to start it again.
func (a assessment) crashed(ctx context.Context) {
	a.status.State = Unhealthy
	message := health.ExitReason(a.unit, 0)
	d := a.reader.diagnose(ctx, a.status, a.current, a.unit, a.log())
	if d.Words != "" {
		message += ": " + d.Words
	}
	hint := "journalctl -u kubelet.service"
	if d.Foreign || d.Cause != "" {
		hint = d.Hint()
	}
	switch {
	case d.Foreign:
		message += " (" + d.Place + ")"
	case !a.unit.NextTry.IsZero():
		message += "; systemd starts it again at " + a.unit.NextTry.Format(time.TimeOnly)
		if !a.repairable() && d.Cause == "" {
			hint += " shows what it said; " + a.advise("when the cause is removed, kubeletctl repair starts it at once")
		}
	}
	a.status.problem("crash-loop", preflight.Failure, message, hint)
}

type nodeAnswer struct {
	*Node
	problems []preflight.Problem
}

type runtimeAnswer struct {
	*Runtime
	problem *preflight.Problem
}

// askRuntime looks whether the container runtime answers a kubelet that runs: kubelet itself calls itself well without one.
func (a assessment) askRuntime(ctx context.Context) (answer runtimeAnswer) {
	endpoint, err := preflight.Endpoint(a.current)
	if a.reader.AskRuntime == nil || err != nil || endpoint == "" || a.unit.ActiveState != "active" {
		return answer
	}
	var name, version string // none of an old one, whose answer is not understood
	ask := a.reader.AskRuntime
	if a.reader.RuntimeVersion != nil {
		ask = func(ctx context.Context, endpoint string) (err error) {
			name, version, err = a.reader.RuntimeVersion(ctx, endpoint)
			return err
		}
	}
	answer.problem = preflight.CheckRuntime(ctx, endpoint, config.Minor(a.current.Version.Minor()), ask)
	answer.Runtime = &Runtime{Endpoint: endpoint, Answers: answer.problem == nil}
	if answer.Answers {
		answer.Name, answer.Version = name, version
	}
	return answer
}

// missing is why a file is unstartable that is not there.
const missing = "missing"

// unstartable lists the files without which the next start of kubelet fails, whatever runs now.
func (a assessment) unstartable() (lost []plan.Drift) {
	for _, f := range a.current.Files {
		found, looked := a.seen.Files[f.Path]
		needed := f.Kind == plan.Binary || f.Kind == plan.Link && !f.Masks() && !plan.IsTool(f.Path) || f.Path == hostfs.ConfigFile ||
			path.Base(f.Path) == systemd.KubeletService || path.Base(f.Path) == systemd.KubeadmDropIn && !f.Masks()
		reason := ""
		switch {
		case !looked || !needed:
		case found.Kind == plan.Absent:
			reason = missing
		case found.Kind == plan.Other:
			reason = "not a file"
		case f.Kind == plan.Binary && found.Mode&0o111 == 0:
			reason = "not executable"
		case f.Kind == plan.Link && a.dangles(f.Path):
			reason = "a symlink to nothing"
		}
		if reason != "" {
			lost = append(lost, plan.Drift{Target: f.Path, Reason: reason})
		}
	}
	return lost
}

// dangles reports whether a symlink leads to a file that is not there, and that is not named for itself.
func (a assessment) dangles(link string) bool {
	_, err := a.reader.Tree.Stat(link)
	return errors.Is(err, fs.ErrNotExist) && a.seen.Files[a.current.Binary().Path].Kind != plan.Absent
}

func (a assessment) stopped() {
	a.status.State = Stopped
	severity, hint := preflight.Failure, a.advise("systemctl start kubelet.service, or kubeletctl repair")
	if !a.current.Runs() {
		severity = preflight.Info
	}
	if len(a.unstartable()) > 0 {
		hint = a.advise("kubeletctl repair")
	}
	if len(a.seen.ForeignOverrides(a.current)) > 0 {
		hint = "a drop-in sets its command line: " + diagnose.ForeignCause(a.reader.Observer, "", a.current)
	}
	a.status.problem(IDStopped, severity, "kubelet is not running", hint)
}

// remarks says what else is worth knowing.
func (a assessment) remarks(change State) {
	s := a.status
	if a.unit.Restarts > 0 && s.State == Healthy {
		message := "systemd had to start kubelet again: " + times(a.unit.Restarts)
		if exit := s.Service.LastExit; exit != nil {
			message += "; the last time it ended: " + cmp.Or(exit.Reason, exit.Status)
		}
		s.problem("restarts", preflight.Warning, message, "kubeletctl logs shows what it said")
	}
	switch {
	case change == Interrupted: // which is what there is to put right
	case a.repairable() && len(a.seen.ForeignOverrides(a.current)) > 0:
		s.problem(IDDrift, preflight.Warning, "this host is not as it was installed", "kubeletctl diff shows how; kubeletctl repair puts it back once the drop-in that is not kubeletctl's is removed")
	case a.repairable():
		s.problem(IDDrift, preflight.Warning, "this host is not as it was installed", a.advise("kubeletctl diff shows how; kubeletctl repair puts it back"))
	case len(s.Drift) > 0:
		s.problem(IDDrift, preflight.Warning, "this host is not as it was installed", "kubeletctl diff shows how; only an administrator can fix what kubeletctl does not own")
	}
	var dropIns []string
	for _, name := range a.unit.DropIns {
		if a.current.File(path.Join(plan.DropInDir, path.Base(name))).Kind == plan.Absent {
			dropIns = append(dropIns, name)
		}
	}
	if len(dropIns) > 0 {
		s.problem("drop-ins", preflight.Info, "local drop-ins change the unit: "+strings.Join(dropIns, ", "), "")
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func (s *Service) fill(state systemd.UnitState) {
	s.LoadState, s.ActiveState, s.SubState = state.LoadState, state.ActiveState, state.SubState
	s.Enabled, s.PID, s.Restarts = state.Enabled(), state.MainPID, state.Restarts
	s.MemoryBytes, s.CPUSeconds = state.MemoryBytes, state.CPU.Seconds()
	if !state.Since.IsZero() {
		s.Since = &state.Since
	}
}

// running says what the process is, whatever the files say by now.
func running(ctx context.Context, record store.Store, p *plan.Process, current *plan.Generation) Running {
	r := Running{SHA256: p.SHA256}
	if p.SHA256 == current.Binary().SHA256 {
		r.Version = current.Version.String()
		return r
	}
	if all, err := record.List(); err == nil {
		for _, g := range all {
			if g.Binary().SHA256 == p.SHA256 {
				r.Version = g.Version.String()
				return r
			}
		}
	}
	exe := fmt.Sprintf("/proc/%d/exe", p.PID)
	// Not one of ours: ask it, if it calls itself a kubelet. What else a unit may run is not ours to start.
	if target, err := os.Readlink(exe); err != nil || !strings.HasPrefix(path.Base(target), "kubelet") {
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, exe, "--version").Output(); err == nil {
		line, _, _ := strings.Cut(string(out), "\n")
		r.Version = strings.TrimPrefix(strings.TrimSpace(line), "Kubernetes ")
	}
	return r
}
