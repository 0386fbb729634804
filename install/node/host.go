package node

import (
	"cmp"
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
	c, own, err := OpenNode(tree, kubeconfig, g)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return c.Get(ctx, cmp.Or(name, own))
}

// OpenNode is OpenIn, and the name of the node: the one that the client certificate is for, or else the one that a kubelet of the
// generation calls itself.
func OpenNode(tree hostfs.Tree, kubeconfig string, g *plan.Generation) (*Client, string, error) {
	c, err := OpenIn(tree, kubeconfig)
	if err != nil {
		return nil, "", err
	}
	name := c.Name
	if name == "" {
		name = RegisteredName(g)
	}
	return c, name, nil
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

// Server is the API server that a kubeconfig names, as it answers.
type Server struct {
	Release
	// URL is that of the server, Node the name of the node that the client certificate is for; empty for none.
	URL, Node string
	// Ahead is how far the clock of this host is ahead of the server's, to the second.
	Ahead time.Duration
}

// ServerOf is like ReleaseFor, and tells what is known also when the server does not answer.
func ServerOf(ctx context.Context, tree hostfs.Tree, kubeconfig string) (Server, error) {
	c, err := OpenIn(tree, kubeconfig)
	if err != nil {
		return Server{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := c.Version(ctx)
	return Server{r, c.Server, c.Name, c.Ahead}, err
}

// OpenIn is Open for a path of a host.
func OpenIn(tree hostfs.Tree, kubeconfig string) (*Client, error) {
	file, err := tree.PathFollowed(kubeconfig)
	if err != nil {
		return nil, err
	}
	c, err := Open(file)
	if err != nil {
		return nil, err
	}
	return c.Through(ProxyOf(tree)), nil
}

// RegisteredName is that under which a generation's kubelet registers, unless its certificate says it.
func RegisteredName(g *plan.Generation) string {
	if name, given := g.Arg("hostname-override"); given {
		return strings.ToLower(strings.TrimSpace(name))
	}
	name, _ := os.Hostname()
	return strings.ToLower(strings.TrimSpace(name))
}
