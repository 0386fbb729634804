// Package node asks the API server of a cluster about the Node object of this host, with the credentials of its kubelet:
// whether the cluster hears from this kubelet is nothing that the host itself can tell.
package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
)

// Node is what the API server knows of a node.
type Node struct {
	Name string
	// Ready is the status of the condition of that name: "True", "False", or "Unknown" when the cluster heard nothing from
	// the node for some time (40 s by default). Message says why it is not "True".
	Ready, Message string
	// KubeletVersion is the release that the kubelet told last, such as v1.37.2.
	KubeletVersion string
	// Reported is when kubelet wrote its status last, to the second, and Renewed when it renewed its Lease, to the
	// microsecond; zero when there is none, as before 1.14. Both are by the clock of the node.
	Reported, Renewed time.Time

	Labels map[string]string
	Taints []Taint
	// Cordoned reports that no new pods are scheduled to it.
	Cordoned bool
}

// Taint is one of a node, or of a kubelet's configuration.
type Taint struct{ Key, Value, Effect string }

// String is a taint as kubectl taint takes it.
func (t Taint) String() string {
	if t.Value == "" {
		return t.Key + ":" + t.Effect
	}
	return t.Key + "=" + t.Value + ":" + t.Effect
}

// IsReady reports whether pods may be scheduled to the node.
func (n *Node) IsReady() bool { return n.Ready == "True" }

// HeardSince reports whether the API server heard from a kubelet that was started at that time.
func (n *Node) HeardSince(started time.Time) bool {
	return !n.Reported.Before(started.Truncate(time.Second)) && (n.Renewed.IsZero() || !n.Renewed.Before(started))
}

// StatusError is an answer of the API server other than the one that was asked for.
type StatusError struct {
	Code    int // of HTTP
	Message string
}

func (e *StatusError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("the API server answers %d %s", e.Code, http.StatusText(e.Code))
	}
	return fmt.Sprintf("the API server answers %d: %s", e.Code, e.Message)
}

// maxAnswer bounds what is read of an answer, in bytes. The images that a node lists take the most.
const maxAnswer = 4 << 20

// Path is that of a node in the API.
func Path(name string) string { return "/api/v1/nodes/" + url.PathEscape(name) }

// Get asks for a node. Its error is a *StatusError when the API server was reached.
func (c *Client) Get(ctx context.Context, name string) (*Node, error) {
	var object struct {
		Metadata struct{ Labels map[string]string }
		Spec     struct {
			Taints        []Taint
			Unschedulable bool
		}
		Status struct {
			Conditions []struct {
				Type, Status, Message string
				LastHeartbeatTime     time.Time
			}
			NodeInfo struct{ KubeletVersion string }
		}
	}
	defer c.http.CloseIdleConnections()
	if err := c.get(ctx, Path(name), &object); err != nil {
		return nil, err
	}
	n := &Node{Name: name, Ready: "Unknown", KubeletVersion: object.Status.NodeInfo.KubeletVersion, Labels: object.Metadata.Labels, Taints: object.Spec.Taints,
		Cordoned: object.Spec.Unschedulable}
	for _, condition := range object.Status.Conditions {
		if condition.Type == "Ready" {
			n.Ready, n.Message, n.Reported = condition.Status, condition.Message, condition.LastHeartbeatTime
		}
	}
	var lease struct{ Spec struct{ RenewTime time.Time } }
	err := c.get(ctx, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/"+url.PathEscape(name), &lease)
	var status *StatusError
	if err != nil && !errors.As(err, &status) {
		return nil, err
	}
	n.Renewed = lease.Spec.RenewTime // zero where there is none, or where it may not be read
	return n, nil
}

// Release is what an API server says that it is.
type Release struct {
	// Version is in its own words, such as v1.37.2 or, of a distribution, v1.37.2+k3s1.
	Version string
	// Minor is 37 for these.
	Minor int
}

// Version asks which release the API server is; every node may. Its errors are those of Get.
func (c *Client) Version(ctx context.Context) (Release, error) {
	var answer struct{ GitVersion string }
	defer c.http.CloseIdleConnections()
	if err := c.get(ctx, "/version", &answer); err != nil {
		return Release{}, err
	}
	minor, known := release.MinorOf(answer.GitVersion)
	if !known {
		return Release{}, fmt.Errorf("%s does not answer as an API server does: its version is %q", c.host, answer.GitVersion)
	}
	return Release{answer.GitVersion, minor}, nil
}

// Ask gets an object of the API, by its path and query. Its errors are those of Get.
func (c *Client) Ask(ctx context.Context, path string, into any) error {
	defer c.http.CloseIdleConnections()
	return c.get(ctx, path, into)
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	return c.send(ctx, http.MethodGet, path, nil, into)
}

// Send is Ask with another method and a document, as JSON; into may be nil. A PATCH is a merge patch (RFC 7386).
func (c *Client) Send(ctx context.Context, method, path string, document, into any) error {
	defer c.http.CloseIdleConnections()
	body, err := json.Marshal(document)
	if err != nil {
		return err
	}
	return c.send(ctx, method, path, body, into)
}

func (c *Client) send(ctx context.Context, method, path string, document []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.Server+path, bytes.NewReader(document))
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	switch method {
	case http.MethodGet:
	case http.MethodPatch:
		req.Header.Set("Content-Type", "application/merge-patch+json")
	default:
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.Ahead = time.Since(date).Truncate(time.Second)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreachable(err)
	}
	if resp.StatusCode/100 != 2 {
		var status struct{ Message string }
		_ = json.Unmarshal(body, &status) // what is not of the API has no message
		return &StatusError{Code: resp.StatusCode, Message: status.Message}
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s does not answer as an API server does: %w", c.host, err)
	}
	return nil
}

// unreachable says in one line why there was no answer, and from whom.
func (c *Client) unreachable(err error) error {
	var op *net.OpError
	var u *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		err = errors.New("no answer in time")
	case errors.As(err, &op):
		err = op
	case errors.As(err, &u):
		err = u.Err
	}
	return fmt.Errorf("asking the API server %s: %w", c.host, err)
}

// nameOf is the name of the node that a client certificate is for, as the Node authorizer reads it; empty for others.
func nameOf(commonName string) string {
	name, isNode := strings.CutPrefix(commonName, "system:node:")
	if !isNode {
		return ""
	}
	return name
}
