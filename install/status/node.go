package status

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/join"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
)

// Node is what the API server says of this host's node.
type Node struct {
	Name           string     `json:"name,omitempty"`
	Ready          string     `json:"ready,omitempty"`
	Message        string     `json:"message,omitempty"`
	Cordoned       bool       `json:"cordoned,omitempty"`
	KubeletVersion string     `json:"kubeletVersion,omitempty"`
	Heartbeat      *time.Time `json:"heartbeat,omitempty"`
	// Error says why nothing is known.
	Error string `json:"error,omitempty"`

	labels map[string]string
}

// nodeStatus asks about the node of the current generation; nil for a standalone kubelet, or one that waits for
// credentials.
func nodeStatus(ctx context.Context, tree hostfs.Tree, current *plan.Generation, waiting bool) (*Node, []preflight.Problem) {
	file := current.Kubeconfig()
	if file == "" || waiting {
		return nil, nil
	}
	n, err := node.OfHost(ctx, tree, file, "", current)
	var status *node.StatusError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &Node{Error: hostfs.Pathless(err).Error() + " (" + file + ")"}, nil // one line says it
	case errors.Is(err, fs.ErrNotExist):
		return &Node{Error: "kubelet has no credentials of its own yet"}, []preflight.Problem{{ID: idNotJoined, Severity: preflight.Warning,
			Message: "kubelet has no credentials of its own yet: " + err.Error(),
			Hint:    "kubectl get csr shows whether its request waits to be approved; journalctl -u kubelet.service what it says itself"}}
	case errors.As(err, &status):
		return &Node{Error: err.Error()}, []preflight.Problem{{ID: idNotJoined, Severity: preflight.Warning, Message: "this node is not joined to its cluster: " + err.Error(),
			Hint: "journalctl -u kubelet.service shows what kubelet says"}}
	case errors.Is(err, node.ErrPlugin):
		return &Node{Error: err.Error()}, nil
	case err != nil:
		return &Node{Error: err.Error()}, []preflight.Problem{{ID: idAPIServer, Severity: preflight.Warning, Message: err.Error(), Hint: ""}}
	}
	s := &Node{Name: n.Name, Ready: n.Ready, Message: n.Message, Cordoned: n.Cordoned, KubeletVersion: n.KubeletVersion, labels: n.Labels}
	if heartbeat := n.Reported; !heartbeat.IsZero() {
		if n.Renewed.After(heartbeat) {
			heartbeat = n.Renewed
		}
		s.Heartbeat = &heartbeat
	}
	problems := waitingToServe(ctx, tree, current, n.Name)
	if !n.IsReady() {
		problems = append(problems, preflight.Problem{ID: idNotReady, Severity: preflight.Warning, Message: fmt.Sprintf("the node %s is not Ready: %s", n.Name, n.Message)})
	}
	return s, problems
}

// waitingToServe says that a kubelet that asks the cluster for its serving certificate waits for somebody to approve that.
func waitingToServe(ctx context.Context, tree hostfs.Tree, g *plan.Generation, name string) []preflight.Problem {
	fields, _ := preflight.Fields(g)
	if flag, _ := g.Arg("rotate-server-certificates"); fields["serverTLSBootstrap"] != true && flag != "true" {
		return nil
	}
	client, err := node.OpenIn(tree, g.Kubeconfig())
	if err != nil {
		return nil
	}
	request := join.WaitingToServe(ctx, client, name)
	if request == nil {
		return nil
	}
	return []preflight.Problem{{ID: idServing, Severity: preflight.Warning, Hint: "kubectl certificate approve " + request.Name,
		Message: fmt.Sprintf("the request %s for a serving certificate waits to be approved; until then kubectl logs and exec fail for this node", request.Name)}}
}
