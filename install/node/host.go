package node

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// timeout bounds the time that an API server gets to answer.
const timeout = 2 * time.Second

// OfHost asks the API server for the node of a host. name is empty for the one that the client certificate is for, or else
// the one that a kubelet of the generation calls itself.
func OfHost(ctx context.Context, tree hostfs.Tree, kubeconfig, name string, g *plan.Generation) (*Node, error) {
	file, err := tree.PathFollowed(kubeconfig)
	if err != nil {
		return nil, err
	}
	c, err := Open(file)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = c.Name
	}
	if name == "" {
		name = registeredName(g)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return c.Get(ctx, name)
}

// registeredName is that under which a generation's kubelet registers, unless its certificate says it.
func registeredName(g *plan.Generation) string {
	if name, given := g.Arg("hostname-override"); given {
		return strings.ToLower(strings.TrimSpace(name))
	}
	name, _ := os.Hostname()
	return strings.ToLower(strings.TrimSpace(name))
}
