package join

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/install/node"
)

// Credentials are a kubeconfig and the API server that it leads to.
type Credentials struct {
	// Kubeconfig is the content of the file. It is a secret.
	Kubeconfig []byte
	// Whole reports that kubelet needs no certificate besides: what is in it is for good.
	Whole bool

	client *node.Client
}

// Server is the URL of the API server.
func (c *Credentials) Server() string { return c.client.Server }

// Through makes requests go through a proxy, unless the kubeconfig names one itself.
func (c *Credentials) Through(proxy node.Proxy) { c.client.Through(proxy) }

// Authority are the certificates of the CA of the cluster, in PEM.
func (c *Credentials) Authority() []byte { return c.client.Authority }

// credentials are a token as kubelet takes it.
func (found *cluster) credentials(t Token) (*Credentials, error) {
	const name = "bootstrap"
	doc := map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": name,
		"clusters": []any{map[string]any{"name": name, "cluster": found}},
		"users":    []any{map[string]any{"name": name, "user": map[string]any{"token": t.ID + "." + t.secret}}},
		"contexts": []any{map[string]any{"name": name, "context": map[string]any{"cluster": name, "user": name}}},
	}
	data, err := yaml.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return ReadKubeconfig(data)
}

// maxKubeconfig is the size in bytes that an unpacked kubeconfig may have.
const maxKubeconfig = 1 << 20

// ReadKubeconfig reads a kubeconfig, or one that is packed as k0s packs its tokens: gzip in base64. It may name files of this
// host by absolute paths. Errors do not quote it.
func ReadKubeconfig(data []byte) (*Credentials, error) {
	if unpacked, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(data))); err == nil && bytes.HasPrefix(unpacked, []byte("\x1f\x8b")) {
		if data, err = unpack(unpacked); err != nil {
			return nil, errors.New("the kubeconfig in it cannot be unpacked")
		}
	}
	client, err := node.Parse("/", data)
	switch {
	case err != nil:
		return nil, err
	case !strings.HasPrefix(client.Server, "https://"):
		return nil, errors.New("its server is not asked by https, and would not have to prove what it is")
	case client.Unverified:
		return nil, errors.New("it has insecure-skip-tls-verify: the server would not have to prove what it is")
	}
	if _, err := certificates(client.Authority); err != nil {
		return nil, fmt.Errorf("its certificate authority: %w", err)
	}
	return &Credentials{Kubeconfig: data, client: client}, nil
}

func unpack(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxKubeconfig))
}

// Check asks the API server whether it accepts the credentials, and whether a node of that name is there already. A node that is
// Ready has another kubelet. What passes by itself is waited for until end, and reported each time.
func (c *Credentials) Check(ctx context.Context, name string, end time.Time, report func(error)) error {
	return WaitFor(ctx, end, pause, report, func() error {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		n, err := c.client.Get(ctx, name)
		var status *node.StatusError
		switch {
		case errors.As(err, &status) && (status.Code == 404 || status.Code == 403):
			return nil // no such node, or these credentials may not read it
		case err != nil:
			return Explain(c.Server(), err)
		case n.IsReady() && !c.Whole:
			return &Error{State: NameTaken, Message: fmt.Sprintf("the cluster has a node %s already, and it is Ready", name),
				hint: "give this host another name: kubeletctl set --hostname-override NAME; or, if it is this host, kubectl delete node " + name}
		}
		return nil
	})
}

// KubeletConfig returns the fields that the cluster sets for all its kubelets (kube-system/kubelet-config, as kubeadm writes it). It
// returns nil if the cluster sets none, or with an error if the credentials may not read them.
func (c *Credentials) KubeletConfig(ctx context.Context) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var i info
	if err := c.client.Ask(ctx, "/api/v1/namespaces/kube-system/configmaps/kubelet-config", &i); err != nil {
		return nil, err
	}
	var all map[string]any
	if err := yaml.Unmarshal([]byte(i.Data["kubelet"]), &all); err != nil {
		return nil, errors.New("it is not a KubeletConfiguration")
	}
	fields := map[string]any{}
	for _, name := range []string{"clusterDNS", "clusterDomain", "cgroupDriver"} {
		if value, given := all[name]; given {
			fields[name] = value
		}
	}
	return fields, nil
}

// Newest is the newest request of a node for a client certificate; see NewestRequest.
func (c *Credentials) Newest(ctx context.Context, name string) (*Request, error) {
	return NewestRequest(ctx, c.client, ClientSigner, name)
}
