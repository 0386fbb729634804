package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// nodeTimeout bounds the time that an API server gets to answer.
const nodeTimeout = 2 * time.Second

// membership is what a kubelet was to its cluster before a change, and has to be afterwards; nil for nothing.
type membership struct {
	kubeconfig, name string
	ready            bool
}

// kubeconfig is the file with which a generation's kubelet talks to its API server; empty for a standalone one.
func (g *Generation) kubeconfig() string {
	if g == nil {
		return ""
	}
	args, err := g.args()
	if err != nil {
		return ""
	}
	file, _ := argument(args, "kubeconfig")
	return file
}

// nodeName is the name under which a generation's kubelet registers, unless its certificate says it.
func (g *Generation) nodeName() string {
	if args, err := g.args(); err == nil {
		if name, given := argument(args, "hostname-override"); given {
			return strings.ToLower(strings.TrimSpace(name))
		}
	}
	name, _ := os.Hostname()
	return strings.ToLower(strings.TrimSpace(name))
}

// askNode asks the API server for this host's node. name is empty for the one that the client certificate is for, or else
// the one that a kubelet of the generation calls itself.
func (h *Host) askNode(ctx context.Context, kubeconfig, name string, g *Generation) (*node.Node, error) {
	file, err := h.Tree.Locate(kubeconfig)
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
		name = g.nodeName()
	}
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	return c.Get(ctx, name)
}

// joined finds out, before kubelet is touched, whether the cluster hears from this host.
func (h *Host) joined(ctx context.Context, c *Change, o ApplyOptions) *membership {
	file := c.Want.kubeconfig()
	touched := slices.ContainsFunc(c.Plan.Steps, func(s Step) bool {
		return (s.Action == Start || s.Action == Restart) && s.Target == systemd.KubeletService
	})
	if file == "" || !touched || !h.gated(c, o) || c.Have != nil && c.Have.kubeconfig() != file {
		return nil
	}
	current := c.Have
	if current == nil {
		current = c.Want
	}
	n, err := h.askNode(ctx, file, "", current)
	var status *node.StatusError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.As(err, &status):
		return nil // not joined yet, or not any more: there is nothing to lose
	case err != nil:
		h.note("whether this node stays joined to its cluster can not be watched: %v", err)
		return nil
	case n.Ready == "Unknown":
		return nil
	}
	return &membership{kubeconfig: file, name: n.Name, ready: n.IsReady()}
}

// lost says what is missing of the membership, or nothing. unknown tells that nobody could say.
func (h *Host) lost(ctx context.Context, m *membership, g *Generation, started time.Time) (missing string, unknown bool) {
	if m == nil {
		return "", false
	}
	n, err := h.askNode(ctx, m.kubeconfig, m.name, g)
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
func (h *Host) nodeStatus(ctx context.Context, current *Generation, waiting bool) (*NodeStatus, []Problem) {
	file := current.kubeconfig()
	if file == "" || waiting {
		return nil, nil
	}
	n, err := h.askNode(ctx, file, "", current)
	var status *node.StatusError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &NodeStatus{Error: cause(err).Error() + " (" + file + ")"}, nil // one line says it
	case errors.Is(err, fs.ErrNotExist):
		return &NodeStatus{Error: "kubelet has no credentials of its own yet"}, []Problem{{ID: "not-joined", Severity: Warning,
			Message: "kubelet has no credentials of its own yet: " + err.Error(),
			Hint:    "kubectl get csr shows whether its request waits to be approved; journalctl -u kubelet.service what it says itself"}}
	case errors.As(err, &status):
		return &NodeStatus{Error: err.Error()}, []Problem{{ID: "not-joined", Severity: Warning, Message: "this node is not joined to its cluster: " + err.Error(),
			Hint: "journalctl -u kubelet.service shows what kubelet says"}}
	case errors.Is(err, node.ErrPlugin):
		return &NodeStatus{Error: err.Error()}, nil
	case err != nil:
		return &NodeStatus{Error: err.Error()}, []Problem{{ID: "api-server", Severity: Warning, Message: err.Error(), Hint: ""}}
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
	return s, []Problem{{ID: "node-not-ready", Severity: Warning, Message: fmt.Sprintf("the node %s is not Ready: %s", n.Name, n.Message)}}
}
