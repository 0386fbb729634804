package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
)

// nodeTimeout bounds the time that an API server gets to answer.
const nodeTimeout = 2 * time.Second

// membership is what a kubelet was to its cluster before a change, and has to be afterwards; nil for nothing.
type membership struct {
	kubeconfig, name string
	ready            bool
}

// nodeName is the name under which a generation's kubelet registers, unless its certificate says it.
func nodeName(g *plan.Generation) string {
	if name, given := g.Arg("hostname-override"); given {
		return strings.ToLower(strings.TrimSpace(name))
	}
	name, _ := os.Hostname()
	return strings.ToLower(strings.TrimSpace(name))
}

// askNode asks the API server for this host's node. name is empty for the one that the client certificate is for, or else
// the one that a kubelet of the generation calls itself.
func askNode(ctx context.Context, tree hostfs.Tree, m membership, g *plan.Generation) (*node.Node, error) {
	kubeconfig, name := m.kubeconfig, m.name
	file, err := tree.PathFollowed(kubeconfig)
	if err != nil {
		return nil, err
	}
	c, err := node.Open(file)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = c.Name
	}
	if name == "" {
		name = nodeName(g)
	}
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	return c.Get(ctx, name)
}

// member finds out, before kubelet is touched, whether the cluster hears from this host.
func (f firstHalf) member(ctx context.Context) *membership {
	h, c, o := f.host, f.change, f.options
	file := c.Want.Kubeconfig()
	if file == "" || !c.Plan.StartsKubelet() || !h.gated(c, o) || c.Have != nil && c.Have.Kubeconfig() != file {
		return nil
	}
	current := c.Have
	if current == nil {
		current = c.Want
	}
	n, err := askNode(ctx, h.Tree, membership{kubeconfig: file}, current)
	var status *node.StatusError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.As(err, &status):
		return nil // not joined yet, or not any more: there is nothing to lose
	case err != nil:
		h.note("whether this node stays joined to its cluster cannot be watched: %v", err)
		return nil
	case n.Ready == "Unknown":
		return nil
	}
	return &membership{kubeconfig: file, name: n.Name, ready: n.IsReady()}
}

// missing says what is missing of the membership, or nothing. unknown reports that nobody could say.
func (m *membership) missing(ctx context.Context, tree hostfs.Tree, g *plan.Generation, started time.Time) (what string, unknown bool) {
	if m == nil {
		return "", false
	}
	n, err := askNode(ctx, tree, *m, g)
	var status *node.StatusError
	switch {
	case errors.As(err, &status):
		return fmt.Sprintf("kubelet is healthy, but its credentials do not lead to the node %s any more: %v", m.name, err), false
	case err != nil:
		return err.Error(), true
	case !n.HeardSince(started):
		return fmt.Sprintf("kubelet is healthy, but the API server did not hear from the node %s since it was started", m.name), false
	case m.ready && !n.IsReady():
		return fmt.Sprintf("kubelet is healthy, but the node %s is not Ready, as it was before: %s", m.name, n.Message), false
	}
	return "", false
}

// NodeStatus is what the API server says of this host's node.
type NodeStatus struct {
	Name           string     `json:"name,omitempty"`
	Ready          string     `json:"ready,omitempty"`
	Message        string     `json:"message,omitempty"`
	KubeletVersion string     `json:"kubeletVersion,omitempty"`
	Heartbeat      *time.Time `json:"heartbeat,omitempty"`
	// Error says why nothing is known.
	Error string `json:"error,omitempty"`
}

// nodeStatus asks about the node of the current generation; nil for a standalone kubelet, or one that waits for
// credentials.
func nodeStatus(ctx context.Context, tree hostfs.Tree, current *plan.Generation, waiting bool) (*NodeStatus, []preflight.Problem) {
	file := current.Kubeconfig()
	if file == "" || waiting {
		return nil, nil
	}
	n, err := askNode(ctx, tree, membership{kubeconfig: file}, current)
	var status *node.StatusError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &NodeStatus{Error: hostfs.Pathless(err).Error() + " (" + file + ")"}, nil // one line says it
	case errors.Is(err, fs.ErrNotExist):
		return &NodeStatus{Error: "kubelet has no credentials of its own yet"}, []preflight.Problem{{ID: "not-joined", Severity: preflight.Warning,
			Message: "kubelet has no credentials of its own yet: " + err.Error(),
			Hint:    "kubectl get csr shows whether its request waits to be approved; journalctl -u kubelet.service what it says itself"}}
	case errors.As(err, &status):
		return &NodeStatus{Error: err.Error()}, []preflight.Problem{{ID: "not-joined", Severity: preflight.Warning, Message: "this node is not joined to its cluster: " + err.Error(),
			Hint: "journalctl -u kubelet.service shows what kubelet says"}}
	case errors.Is(err, node.ErrPlugin):
		return &NodeStatus{Error: err.Error()}, nil
	case err != nil:
		return &NodeStatus{Error: err.Error()}, []preflight.Problem{{ID: "api-server", Severity: preflight.Warning, Message: err.Error(), Hint: ""}}
	}
	s := &NodeStatus{Name: n.Name, Ready: n.Ready, Message: n.Message, KubeletVersion: n.KubeletVersion}
	if heartbeat := n.Reported; !heartbeat.IsZero() {
		if n.Renewed.After(heartbeat) {
			heartbeat = n.Renewed
		}
		s.Heartbeat = &heartbeat
	}
	if n.IsReady() {
		return s, nil
	}
	return s, []preflight.Problem{{ID: "node-not-ready", Severity: preflight.Warning, Message: fmt.Sprintf("the node %s is not Ready: %s", n.Name, n.Message)}}
}
