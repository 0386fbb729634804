package node

import (
	"context"
	"crypto/x509"
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
	c, err := OpenIn(tree, kubeconfig)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = c.Name
	}
	if name == "" {
		name = RegisteredName(g)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return c.Get(ctx, name)
}

// ReleaseFor asks the API server that the kubelet of a host talks to which release it is.
func ReleaseFor(ctx context.Context, tree hostfs.Tree, kubeconfig string) (Release, error) {
	c, err := OpenIn(tree, kubeconfig)
	if err != nil {
		return Release{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return c.Version(ctx)
}

// Certificate is the client certificate of the kubelet of a host; nil when it has none. Nobody is asked.
func Certificate(tree hostfs.Tree, kubeconfig string) (*x509.Certificate, error) {
	c, err := OpenIn(tree, kubeconfig)
	if err != nil {
		return nil, err
	}
	return c.Certificate, nil
}

// OpenIn is Open for a path of a host.
func OpenIn(tree hostfs.Tree, kubeconfig string) (*Client, error) {
	file, err := tree.PathFollowed(kubeconfig)
	if err != nil {
		return nil, err
	}
	return Open(file)
}

// RegisteredName is that under which a generation's kubelet registers, unless its certificate says it.
func RegisteredName(g *plan.Generation) string {
	if name, given := g.Arg("hostname-override"); given {
		return strings.ToLower(strings.TrimSpace(name))
	}
	name, _ := os.Hostname()
	return strings.ToLower(strings.TrimSpace(name))
}
