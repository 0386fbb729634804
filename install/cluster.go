package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/drain"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Cluster is what a host has to do with the cluster that its kubelet is, or is to be, a node of.
type Cluster struct{ host *Host }

// Cluster is that of the kubelet of this host.
func (h *Host) Cluster() Cluster { return Cluster{h} }

// Member describes the cluster that the kubelet of a host has joined, by its files; the zero value means none.
type Member struct {
	Server string
	// Authority is the CA of the cluster, in PEM.
	Authority []byte
	// Asking reports that kubelet has no certificate yet, and what it takes to ask for one.
	Asking bool
	// Expires is when its certificate does; zero when it has none.
	Expires time.Time
}

// Expired reports that kubelet has a certificate that is not valid any more.
func (m Member) Expired() bool { return !m.Expires.IsZero() && time.Now().After(m.Expires) }

// Member looks which cluster a kubelet is joined to, or asks to be.
func (c Cluster) Member(g *plan.Generation) (Member, error) {
	if g.Kubeconfig() == "" { // a kubelet without an API server
		return Member{}, nil
	}
	client, err := node.OpenIn(c.host.Tree, g.Kubeconfig())
	if err == nil {
		return Member{Server: client.Server, Authority: client.Authority, Expires: client.Expires()}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return Member{}, fmt.Errorf("reading the credentials of kubelet: %w", err)
	}
	if client, err = node.OpenIn(c.host.Tree, bootstrapFile(g)); err == nil {
		return Member{Server: client.Server, Authority: client.Authority, Asking: true}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return Member{}, err
}

// bootstrapFile is where a kubelet reads with what to ask for its first certificate.
func bootstrapFile(g *plan.Generation) string {
	if file, given := g.Arg("bootstrap-kubeconfig"); given && file != "" {
		return file
	}
	return hostfs.BootstrapKubeconfig
}

// CheckJoin refuses a kubelet that join has nothing to do with, with a *preflight.FailedError.
func CheckJoin(g *plan.Generation) error {
	const id = "join"
	switch {
	case g.Kubeadm:
		return preflight.Failed(id, "this kubelet is installed for kubeadm, which joins it", "kubeadm join; or install it with --profile hardened")
	case g.Kubeconfig() == "":
		return preflight.Failed(id, "this kubelet is installed without an API server", "kubeletctl set --standalone=false, then kubeletctl join")
	}
	return nil
}

// CheckLeave refuses a kubelet that leave has nothing to do with, with a *preflight.FailedError.
func CheckLeave(g *plan.Generation) error {
	const id = "leave"
	switch {
	case g.Kubeadm:
		return preflight.Failed(id, "this kubelet is installed for kubeadm, which takes it out of its cluster", "kubeadm reset")
	case g.Kubeconfig() == "":
		return preflight.Failed(id, "this kubelet is installed without an API server, and is in no cluster", "")
	}
	return nil
}

// ClusterSettings are what a kubelet has to be told to be of a cluster: where its bootstrap kubeconfig and the CA of its clients
// are, and the fields that the cluster asks for.
func ClusterSettings(fields map[string]any, bootstraps bool) []spec.ClusterSetting {
	settings := []spec.ClusterSetting{{Flag: "client-ca-file", Field: "authentication.x509.clientCAFile", Value: hostfs.ClusterCA}}
	if bootstraps {
		settings = append(settings, spec.ClusterSetting{Flag: "bootstrap-kubeconfig", Value: hostfs.BootstrapKubeconfig})
	}
	for _, known := range []struct{ flag, field string }{{"cluster-dns", "clusterDNS"}, {"cluster-domain", "clusterDomain"}, {"cgroup-driver", "cgroupDriver"}} {
		if value, given := fields[known.field]; given {
			settings = append(settings, spec.ClusterSetting{Flag: known.flag, Field: known.field, Value: value})
		}
	}
	return settings
}

// ErrNotJoined reports that this host is no node of a cluster.
var ErrNotJoined = errors.New("this host has not joined a cluster")

// OpenDrain makes ready to drain the node of this host, with the credentials of its kubelet. A host without any is [ErrNotJoined].
func (c Cluster) OpenDrain(g *plan.Generation) (*drain.Drain, error) {
	file := g.Kubeconfig()
	if file == "" {
		return nil, ErrNotJoined
	}
	client, name, err := node.OpenNode(c.host.Tree, file, g)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNotJoined
	case errors.Is(err, node.ErrPlugin):
		return nil, preflight.Failed("drain", fmt.Sprintf("the node cannot be drained from here: %v", err), "kubectl drain, from where there are credentials for it")
	case err != nil:
		return nil, err
	}
	return drain.New(client, name), nil
}

// Minor asks the API server of the cluster that a kubelet has joined which minor release it is: "1.37". A host without
// credentials is [ErrNotJoined].
func (c Cluster) Minor(ctx context.Context, g *plan.Generation) (string, error) {
	if g.Kubeconfig() == "" {
		return "", ErrNotJoined
	}
	server, err := node.ReleaseFor(ctx, c.host.Tree, g.Kubeconfig())
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNotJoined
	}
	return fmt.Sprintf("1.%d", server.Minor), err
}

// Leave stops kubelet and removes its credentials, and lists what it removed; nobody can uncordon its node with them then. A second call
// does the same again.
func (c Cluster) Leave(ctx context.Context, g *plan.Generation) (removed []string, err error) {
	if err := c.host.Units.Stop(ctx, systemd.KubeletService); err != nil {
		return nil, err
	}
	for _, file := range c.CredentialFiles(g) {
		if err := c.host.Tree.Remove(file); err != nil {
			return removed, err
		}
		removed = append(removed, file)
	}
	return removed, errors.Join(c.ForgetCordon(ctx), c.host.Store().Joining().Drop())
}

// CredentialFiles lists the files that make a kubelet a node of its cluster, if they exist.
func (c Cluster) CredentialFiles(g *plan.Generation) (files []string) {
	for _, file := range []string{bootstrapFile(g), g.Kubeconfig()} {
		if _, err := c.host.Tree.Lstat(file); err == nil {
			files = append(files, file)
		}
	}
	return append(files, certificateFiles(c.host.Tree, g)...)
}

// RemoveCA removes the CA that join wrote, once no setting names it.
func (c Cluster) RemoveCA() error { return c.host.Tree.Remove(hostfs.ClusterCA) }

// certificateFiles are the certificates and keys that a kubelet has had from its cluster (k8s.io/client-go/util/certificate,
// fileStore), and a key for which it is still waiting.
func certificateFiles(tree hostfs.Tree, g *plan.Generation) (files []string) {
	dir := g.CertDir()
	entries, err := tree.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, "kubelet-client") || strings.HasPrefix(name, "kubelet-server-") {
			files = append(files, path.Join(dir, name))
		}
	}
	return files
}

// finishJoin ends a join if kubelet has its certificate, and deletes the bootstrap kubeconfig then; empty for none.
func (c Cluster) finishJoin(g *plan.Generation, bootstrap string) (done bool, err error) {
	m, err := c.Member(g)
	if err != nil || m.Asking || m.Server == "" || m.Expired() {
		return false, err
	}
	if bootstrap != "" {
		if err := c.host.Tree.Remove(bootstrap); err != nil {
			return false, err
		}
	}
	return true, c.host.Store().Joining().Drop()
}

// settleJoin is settle for one that does not stop for an error: what a join has left keeps no change from being made.
func (c Cluster) settleJoin() {
	if err := c.settle(); err != nil {
		c.host.note("a join that was interrupted cannot be brought to its end: %v; kubeletctl leave takes it back", err)
	}
}

// settle completes what it can of a join that was killed, without the token: it deletes the bootstrap kubeconfig if kubelet has its
// certificate, and all that the join wrote if kubelet was never given credentials.
func (c Cluster) settle() error {
	j, err := c.host.Store().Joining().Load()
	if j == nil || err != nil {
		return err
	}
	if err := c.host.Store().DropHalfWritten(j); err != nil {
		return err
	}
	g, err := c.host.Installed()
	if err != nil {
		return err
	}
	if done, err := c.finishJoin(g, j.Bootstrap); done || err != nil {
		return err
	}
	_, missing := c.host.Tree.Lstat(j.Bootstrap)
	switch m, err := c.Member(g); {
	case err != nil:
		return err
	case m.Asking || m.Expired() && missing == nil:
		return nil // kubelet goes on by itself
	case bytes.Contains(g.ConfigFile().Content, []byte(hostfs.ClusterCA)): // the settings of the cluster are there already
		c.host.note("a join was interrupted before kubelet had its credentials: kubeletctl join goes on with it, kubeletctl leave takes it back")
		return nil
	}
	for _, file := range j.New {
		if err := c.host.Tree.Remove(file); err != nil {
			return err
		}
	}
	return c.host.Store().Joining().Drop()
}

// ForgetCordon forgets that a change has cordoned the node, and has systemd try no more to uncordon it.
func (c Cluster) ForgetCordon(ctx context.Context) error {
	if err := c.host.Store().Cordon().Drop(); err != nil {
		return err
	}
	if _, pending, err := c.host.Store().Pending().Number(); err == nil && !pending { // else the timer is that of a change
		c.host.disarm(ctx)
	}
	return nil
}
