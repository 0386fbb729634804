package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/health"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/join"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Join is a join of a host to a cluster.
type Join struct {
	Host *Host
	Lock *Lock
	// Credentials are what kubelet begins with; nil to go on with those that are there.
	Credentials *join.Credentials
	// Before is the generation of before the join.
	Before *plan.Generation
	// Name is that of the node.
	Name string

	generation *plan.Generation
	saved      map[string][]byte // what Prepare and Start replace, by path; what is not in it was not there
	existed    []string          // certificates of kubelet's of before
	request    string            // the newest one for a certificate of before
	restarts   int               // how often systemd had started kubelet again by itself before
	refused    time.Time         // since when the API server does not accept the credentials, which it had accepted; zero while it does
}

// Files are what a join to a generation writes beside what is planned, for people.
func (j *Join) Files(g *plan.Generation) string { return hostfs.ClusterCA + " and " + j.file(g) }

// file is where the credentials belong.
func (j *Join) file(g *plan.Generation) string {
	if j.Credentials.Whole {
		return g.Kubeconfig()
	}
	return bootstrapFile(g)
}

// Prepare writes the CA of the cluster, with which kubelet is rehearsed.
func (j *Join) Prepare(ctx context.Context) error {
	tree := j.Host.Tree
	saved := map[string][]byte{}
	var begun store.Joining
	for _, file := range []string{hostfs.ClusterCA, hostfs.BootstrapKubeconfig, bootstrapFile(j.Before), j.Before.Kubeconfig()} {
		content, err := tree.ReadFile(file)
		switch {
		case err == nil:
			saved[file] = content
		case errors.Is(err, fs.ErrNotExist):
			begun.New = append(begun.New, file)
		default:
			return err
		}
		begun.Files = append(begun.Files, file)
	}
	j.saved, j.existed = saved, certificateFiles(tree, j.Before)
	if !j.Credentials.Whole {
		begun.Bootstrap = bootstrapFile(j.Before)
	}
	if newest, err := j.Credentials.Newest(ctx, j.Name); err == nil && newest != nil {
		j.request = newest.Name
	}
	if err := j.Host.Store().Joining().Save(begun); err != nil {
		return err
	}
	return tree.WriteFile(hostfs.ClusterCA, 0o600, nil, bytes.NewReader(j.Credentials.Authority()))
}

// Start gives kubelet its credentials and starts it. g is what is installed by now.
func (j *Join) Start(ctx context.Context, g *plan.Generation) error {
	h := j.Host
	j.generation = g
	state, err := h.Units.State(ctx, systemd.KubeletService)
	if err != nil {
		return err
	}
	step := plan.Step{Action: plan.Start, Target: systemd.KubeletService}
	if state.Up() { // with credentials that have expired
		step.Action = plan.Restart
	}
	file := j.file(g)
	if err := h.Tree.MkdirAll(path.Dir(file), 0o755); err != nil {
		return err
	}
	if err := h.Tree.WriteFile(file, 0o600, nil, bytes.NewReader(j.Credentials.Kubeconfig)); err != nil {
		return err
	}
	return executor{host: h, change: &Change{Want: g}}.do(ctx, step)
}

// Resume goes on with a join that has begun.
func (j *Join) Resume(ctx context.Context) error {
	j.generation = j.Before
	state, err := j.Host.Units.State(ctx, systemd.KubeletService)
	j.restarts = state.Restarts
	if err != nil || state.Up() {
		return err
	}
	return executor{host: j.Host, change: &Change{Want: j.generation}}.do(ctx, plan.Step{Action: plan.Start, Target: systemd.KubeletService})
}

const (
	// joinPause is the time between two looks at a kubelet that joins.
	joinPause = time.Second
	// joinRefused is for how long credentials that were good have to be refused until they count as bad: an API server that starts knows
	// no bootstrap token until it has read all of them.
	joinRefused = 15 * time.Second
)

// Wait waits for some time until the node is Ready, and reports what it waits for each time. When the time is over it returns
// that.
func (j *Join) Wait(ctx context.Context, wait time.Duration, report func(error)) (n *node.Node, err error) {
	var last error
	err = join.WaitFor(ctx, time.Now().Add(wait), joinPause, func(err error) { last = err; report(err) }, func() (err error) {
		n, err = j.look(ctx)
		return j.lasting(err)
	})
	if ctx.Err() != nil && last != nil {
		return nil, last
	}
	return n, err
}

// lasting is an error as it counts: that credentials are refused passes at first.
func (j *Join) lasting(err error) error {
	var state *join.Error
	if !errors.As(err, &state) || state.State != join.Refused {
		j.refused = time.Time{}
		return err
	}
	if j.refused.IsZero() {
		j.refused = time.Now()
	}
	if time.Since(j.refused) >= joinRefused {
		return err
	}
	passing := *state
	passing.Passes = true
	return &passing
}

// look says how far the join is at this moment.
func (j *Join) look(ctx context.Context) (*node.Node, error) {
	h, g := j.Host, j.generation
	unit, err := h.Units.State(ctx, systemd.KubeletService)
	if err != nil {
		return nil, err
	}
	if reason := health.ExitReason(unit, j.restarts); reason != "" {
		return nil, h.explain(ctx, g, &GateError{Reason: reason})
	}
	n, err := node.OfHost(ctx, h.Tree, g.Kubeconfig(), "", g)
	var status *node.StatusError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, j.certificate(ctx)
	case errors.As(err, &status) && status.Code == 404:
		return nil, join.Unregistered.Waits(fmt.Sprintf("kubelet has its certificate, and the node %s is not registered yet", j.Name),
			"kubeletctl diagnose says what kubelet has to say")
	case err != nil:
		return nil, join.Explain("the API server", err)
	case !n.HeardSince(unit.Started):
		return nil, join.NotReady.Waits(fmt.Sprintf("the API server has not heard from the node %s yet", n.Name), "kubeletctl diagnose says what kubelet has to say")
	case !n.IsReady() && lacksNetwork(n.Message):
		return nil, join.NoNetwork.Waits(fmt.Sprintf("the node %s is registered, and has no network plugin yet: %s", n.Name, n.Message),
			"install a network plugin (CNI) in the cluster, or a configuration in /etc/cni/net.d")
	case !n.IsReady():
		return nil, join.NotReady.Waits(fmt.Sprintf("the node %s is registered, and not Ready: %s", n.Name, n.Message), "kubeletctl diagnose says what kubelet has to say")
	}
	return n, nil
}

// lacksNetwork reports whether a node is not Ready because it has no network plugin, by kubelet's words
// (k8s.io/kubernetes/pkg/kubelet, runtimeState.networkErrors).
func lacksNetwork(message string) bool {
	return strings.Contains(message, "NetworkPluginNotReady") || strings.Contains(message, "cni plugin not initialized") ||
		strings.Contains(message, "network plugin is not ready")
}

// certificate says what became of kubelet's request for its first certificate.
func (j *Join) certificate(ctx context.Context) error {
	c := j.Credentials
	if c == nil {
		data, err := j.Host.Tree.ReadFile(bootstrapFile(j.generation))
		if err == nil {
			c, err = join.ReadKubeconfig(data)
		}
		if err != nil {
			return err
		}
		c.Through(node.ProxyOf(j.Host.Tree))
	}
	newest, err := c.Newest(ctx, j.Name)
	var status *node.StatusError
	switch {
	case errors.As(err, &status) && status.Code != 401:
		return join.NoCertificate.Waits("kubelet has no certificate yet, and its token may not see what becomes of its request", "kubectl get csr shows whether it waits to be approved")
	case err != nil:
		return join.Explain(c.Server(), err)
	case newest == nil || newest.Name == j.request:
		return join.NoCertificate.Waits("kubelet has not asked for its certificate yet", "kubeletctl diagnose says what kubelet has to say")
	}
	return newest.Err()
}

// Finish deletes the bootstrap kubeconfig, if kubelet has its certificate, and with that the join is over.
func (j *Join) Finish() error {
	_, err := j.Host.Cluster().finishJoin(j.generation, bootstrapFile(j.generation))
	return err
}

// Serving is the request for a serving certificate that waits to be approved; nil for none, or when nobody can say.
func (j *Join) Serving(ctx context.Context) *join.Request {
	c, err := node.OpenIn(j.Host.Tree, j.generation.Kubeconfig())
	if err != nil {
		return nil
	}
	return join.WaitingToServe(ctx, c, j.Name)
}

// JoinError reports that a join has failed after it had begun, and that the host is as it was before, but for what is left.
type JoinError struct {
	Cause error
	Left  []error
}

func (e *JoinError) Error() string {
	if len(e.Left) > 0 {
		return fmt.Sprintf("%v; the join could not be undone fully: %v", e.Cause, lines(e.Left))
	}
	return fmt.Sprintf("%v; the host is as it was before", e.Cause)
}
func (e *JoinError) Unwrap() error { return e.Cause }

// Undo puts the host back to what it was before, because of an error, which it returns as a *JoinError.
func (j *Join) Undo(ctx context.Context, cause error) error {
	if j.saved == nil {
		return &UnchangedError{cause} // not even what is there could be read
	}
	ctx = context.WithoutCancel(ctx)
	h := j.Host
	failed := &JoinError{Cause: cause}
	did := func(err error) {
		if err != nil {
			failed.Left = append(failed.Left, err)
		}
	}
	if j.generation != nil {
		did(h.Units.Stop(ctx, systemd.KubeletService))
	}
	for _, file := range certificateFiles(h.Tree, j.Before) {
		if !slices.Contains(j.existed, file) {
			did(h.Tree.Remove(file))
		}
	}
	// The credentials go before the settings change, so that nothing starts kubelet meanwhile; the CA after, which they name.
	did(j.putBack(bootstrapFile(j.Before), hostfs.BootstrapKubeconfig, j.Before.Kubeconfig()))
	current, err := h.Installed()
	did(err)
	if err == nil && current.Number != j.Before.Number {
		did(h.restore(ctx, j.Before, "join", j.Lock))
	}
	did(j.putBack(hostfs.ClusterCA))
	if len(failed.Left) == 0 {
		did(h.Store().Joining().Drop())
	}
	return failed
}

// putBack gives files the content that they had before.
func (j *Join) putBack(files ...string) error {
	var errs []error
	for _, file := range files {
		if content, existed := j.saved[file]; existed {
			errs = append(errs, j.Host.Tree.WriteFile(file, 0o600, nil, bytes.NewReader(content)))
		} else {
			errs = append(errs, j.Host.Tree.Remove(file))
		}
	}
	return errors.Join(errs...)
}

// restore puts a generation back whose binary is on the host.
func (h *Host) restore(ctx context.Context, g *plan.Generation, command string, lock *Lock) error {
	c, err := h.PrepareRestore(ctx, g, Artifacts{}, PrepareOptions{})
	if err != nil {
		return err
	}
	_, err = h.Apply(ctx, c, ApplyOptions{Command: command, Lock: lock, SkipRehearsal: true})
	return err
}
