package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/diagnose"
	"github.com/kubeletctl/kubeletctl/install/health"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/probe"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// wordsTimeout is how long a status waits for what the journal has of a kubelet that died; that takes 20 ms on a host with
// little to do. patience is that of whoever asks for a diagnosis.
const (
	wordsTimeout = 2 * time.Second
	patience     = 8 * time.Second
)

// Subject is the kubelet of this host for a diagnosis; current is nil for one that kubeletctl has not installed.
func (r Reader) Subject(current *plan.Generation) diagnose.Subject {
	m := machine{probe.Machine{Tree: r.Tree}, r.Observer}
	if current != nil {
		m.CRI, _ = preflight.Endpoint(current) // where it cannot be read, kubelet's default is as good as any
	}
	return diagnose.Subject{Observer: r.Observer, Host: m, Ours: current}
}

// machine answers also what is of kubelet.
type machine struct {
	probe.Machine
	observer observe.Observer
}

// Kubeconfig reads the kubeconfig that the unit names. The node is that of the certificate in it or, where it has none, of the one
// that kubelet has got.
func (m machine) Kubeconfig() (file, name string, err error) {
	file = cmp.Or(diagnose.Flag(m.observer, "kubeconfig"), config.KubeadmKubeconfig)
	if _, err := m.Stat(file); err != nil {
		return file, m.certifiedName(), err
	}
	client, err := node.OpenIn(m.Tree, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = errors.New(err.Error()) // that is of a file that the kubeconfig names
	case errors.Is(err, node.ErrPlugin):
		err = nil
	case err == nil:
		name = client.Name
		if expires := client.Expires(); !expires.IsZero() && time.Now().After(expires) {
			err = fmt.Errorf("its client certificate expired on %s", expires.UTC().Format(time.DateTime+" MST"))
		}
	}
	return file, cmp.Or(name, m.certifiedName()), err
}

// Unit asks systemd.
func (m machine) Unit(ctx context.Context, name string) (systemd.UnitState, error) {
	return m.observer.Unit(ctx, name)
}

// journalLines is how many of the last lines of a unit are read for its last words.
const journalLines = 20

// Said reads the journal.
func (m machine) Said(ctx context.Context, state systemd.UnitState) string {
	entries, _ := systemd.Journal(ctx, state, journalLines) // without its words the state says enough
	for _, e := range slices.Backward(entries) {
		if e.Identifier != "systemd" && strings.TrimSpace(e.Message) != "" {
			return strings.TrimSpace(e.Message)
		}
	}
	return ""
}

// certifiedName is the node that kubelet has got its certificate for; empty where that is not known.
func (m machine) certifiedName() string {
	certificate, err := m.Certificate(hostfs.ClientCertificate)
	if err != nil {
		return ""
	}
	name, isNode := strings.CutPrefix(certificate.Subject.CommonName, "system:node:")
	if !isNode {
		return ""
	}
	return name
}

// logged is what the journal has of a run.
type logged struct {
	entries []kubeletlog.Entry
	err     error
}

// readLog reads it, for no longer than wait.
func readLog(ctx context.Context, state systemd.UnitState, wait time.Duration) logged {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	entries, err := health.Log(ctx, state)
	return logged{entries, err}
}

// diagnose finds out why a kubelet is not well, by what the journal has of its run, and by what was seen of its node.
func (r Reader) diagnose(ctx context.Context, s *Status, current *plan.Generation, state systemd.UnitState, log logged) diagnose.Diagnosis {
	run := diagnose.Run{Log: log.entries, Started: state.Started, Now: time.Now(), Ready: s.Node != nil && s.Node.Ready == "True", Complaint: s.NodeProblem().Message}
	d := r.Subject(current).Explain(ctx, run)
	if log.err != nil {
		s.problem(idUnreadable, preflight.Warning, log.err.Error(), "run this as root to see all")
		d.Checked = append(d.Checked, log.err.Error())
	}
	s.Diagnosis = &d
	return d
}

// NodeProblem is what a status complains of about its node; empty for nothing.
func (s *Status) NodeProblem() (p preflight.Problem) {
	about := []string{idNotReady, idNotJoined, idAPIServer}
	if i := slices.IndexFunc(s.Problems, func(p preflight.Problem) bool { return slices.Contains(about, p.ID) }); i >= 0 {
		p = s.Problems[i]
	}
	return p
}

// useless looks whether a kubelet that says that it is healthy does its work, too: its errors of the last minutes and its node say so.
func (r Reader) useless(ctx context.Context, s *Status, current *plan.Generation, state systemd.UnitState, log logged) {
	d := r.diagnose(ctx, s, current, state, log)
	if d.Cause == "" {
		return
	}
	s.problem(d.Rule, preflight.Warning, "kubelet is healthy, but "+d.Says(), cmp.Or(d.Place, "kubeletctl diagnose says what to do"))
}

// Diagnose finds out why the kubelet of this host does not do its work, whoever has installed it; current is nil for another's.
func (r Reader) Diagnose(ctx context.Context, s *Status, current *plan.Generation, state systemd.UnitState) diagnose.Diagnosis {
	if s.Diagnosis != nil && (s.Diagnosis.Cause != "" || s.Diagnosis.Words != "") {
		return *s.Diagnosis
	}
	if current == nil {
		if command, err := r.RunningCommand(ctx); err == nil && command != nil {
			g := &plan.Generation{}
			for _, word := range command.Args {
				g.Args = append(g.Args, word.Text)
			}
			var problems []preflight.Problem
			s.Node, problems = nodeStatus(ctx, r.Tree, g, false)
			s.Problems = append(s.Problems, problems...)
		}
	}
	return r.diagnose(ctx, s, current, state, readLog(ctx, state, patience))
}
