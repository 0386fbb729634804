package join

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/install/node"
)

const (
	// requestTimeout bounds one request, and maxInfo the size of its answer in bytes.
	requestTimeout = 10 * time.Second
	maxInfo        = 1 << 20
	// pause is the time between two tries.
	pause = 2 * time.Second
)

const clusterInfo = "/api/v1/namespaces/kube-public/configmaps/cluster-info"

// Discovery is what is known of a cluster before anybody there was asked.
type Discovery struct {
	// Server is the URL of an API server.
	Server    string
	Token     Token
	Authority Authority
	// Proxy is the way to it that kubelet will take; nil for the direct one.
	Proxy node.Proxy
}

// CheckServer refuses what is not the URL of an API server.
func CheckServer(server string) error {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("it is not of the form https://HOST:PORT")
	}
	return nil
}

// cluster is where a cluster is reached and by what it is verified.
type cluster struct {
	Server    string `json:"server"`
	Authority []byte `json:"certificate-authority-data,omitempty"`
	Name      string `json:"tls-server-name,omitempty"`
}

// Find asks the cluster for its CA, unless that is known, and returns the credentials that the token is. What passes by itself
// is waited for until end, and reported each time.
//
// As in kubeadm's discovery, cluster-info is asked for without trust in the server, believed only when the token has signed it
// and its CA has the pin, and asked for again over a connection that this CA verifies. Only then is the token shown to anybody.
func (d Discovery) Find(ctx context.Context, end time.Time, report func(error)) (*Credentials, error) {
	found := &cluster{Server: d.Server, Authority: d.Authority.PEM}
	if len(d.Authority.PEM) == 0 {
		if err := WaitFor(ctx, end, pause, report, func() (err error) {
			found, err = d.ask(ctx)
			return err
		}); err != nil {
			return nil, err
		}
	}
	c, err := found.credentials(d.Token)
	if err == nil {
		c.Through(d.Proxy)
	}
	return c, err
}

// WaitFor repeats f, with a pause, while it fails by something that passes, until end, and reports that each time.
func WaitFor(ctx context.Context, end time.Time, pause time.Duration, report func(error), f func() error) error {
	for {
		err := f()
		var e *Error
		left := time.Until(end)
		if err == nil || !errors.As(err, &e) || !e.Passes || left <= 0 || ctx.Err() != nil {
			return err
		}
		report(err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(min(left, pause)):
		}
	}
}

// ask is one try.
func (d Discovery) ask(ctx context.Context) (*cluster, error) {
	// Whatever it says is verified before it is believed.
	first, date, err := d.info(ctx, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	found, pinned, err := d.believe(first)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pinned)
	second, _, err := d.info(ctx, &tls.Config{RootCAs: pool, ServerName: found.Name})
	if late := clockError(date); late != nil { // which explains what is wrong with a certificate, too
		return nil, late
	}
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first.kubeconfig(), second.kubeconfig()) {
		return nil, &Error{State: BadSignature, Message: "cluster-info was another one over the verified connection than before",
			hint: "somebody between this host and the API server changes answers; or cluster-info was just changed, then run this again"}
	}
	return found, nil
}

// info is the ConfigMap cluster-info.
type info struct{ Data map[string]string }

func (i *info) kubeconfig() []byte { return []byte(i.Data["kubeconfig"]) }

// info asks for it, and for the time by the clock of the server; zero if it does not say.
func (d Discovery) info(ctx context.Context, config *tls.Config) (*info, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.Server+clusterInfo, nil)
	if err != nil {
		return nil, time.Time{}, err
	}
	req.Header.Set("Accept", "application/json")
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, Proxy: d.Proxy},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, time.Time{}, Explain(d.Server, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxInfo+1))
	if err != nil {
		return nil, time.Time{}, Explain(d.Server, err)
	}
	date, _ := http.ParseTime(resp.Header.Get("Date"))
	if err := d.refused(resp.StatusCode); err != nil {
		return nil, date, err
	}
	i := &info{}
	if len(body) > maxInfo || json.Unmarshal(body, i) != nil {
		return nil, date, &Error{State: TLS, Message: d.Server + " does not answer as an API server does", hint: "check --server"}
	}
	return i, date, nil
}

// refused explains an answer without cluster-info.
func (d Discovery) refused(code int) error {
	const hint = "make it on a control plane node: kubeadm init phase bootstrap-token; or name the CA with --ca-file, for which it is not needed"
	switch code {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return &Error{State: NoClusterInfo, Message: fmt.Sprintf("%s shows cluster-info to nobody without credentials (%d)", d.Server, code),
			hint: "name the CA of the cluster with --ca-file FILE, for which cluster-info is not needed"}
	case http.StatusNotFound:
		return &Error{State: NoClusterInfo, Passes: true, Message: d.Server + " has no cluster-info in the namespace kube-public", hint: hint}
	}
	return answered(d.Server, &node.StatusError{Code: code})
}

// believe takes cluster-info for true when the token has signed it and its CA has the pin. pinned are the certificates that have
// one; the others of the CA count once a server that these verify says the same.
func (d Discovery) believe(i *info) (found *cluster, pinned []byte, err error) {
	content := i.kubeconfig()
	signature, signed := i.Data["jws-kubeconfig-"+d.Token.ID]
	switch {
	case len(content) == 0:
		return nil, nil, &Error{State: NoClusterInfo, Passes: true, Message: "cluster-info of " + d.Server + " has no kubeconfig"}
	case !signed:
		return nil, nil, &Error{State: NoSignature, Passes: true, Message: fmt.Sprintf("cluster-info of %s has no signature for the token %s", d.Server, d.Token.ID),
			hint: "the token has expired or is of another cluster: kubeadm token create; or the controller bootstrap-signer does not run"}
	case !d.Token.signs(content, signature):
		return nil, nil, &Error{State: BadSignature, Message: fmt.Sprintf("the signature of cluster-info of %s for the token %s is wrong", d.Server, d.Token.ID),
			hint: "the secret of the token is wrong, or this is not the API server of the cluster"}
	}
	var k struct{ Clusters []struct{ Cluster cluster } }
	if err := yaml.Unmarshal(content, &k); err != nil || len(k.Clusters) == 0 || CheckServer(k.Clusters[0].Cluster.Server) != nil {
		return nil, nil, &Error{State: NoClusterInfo, Message: "cluster-info of " + d.Server + " names no API server"}
	}
	found = &k.Clusters[0].Cluster
	if pinned, err = d.Authority.pinned(found.Authority); err != nil || len(pinned) == 0 {
		return nil, nil, &Error{State: WrongCA, Message: "the CA in cluster-info of " + d.Server + " is not the one of --discovery-token-ca-cert-hash",
			hint: "openssl x509 -pubkey -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der | sha256sum, on a control plane node"}
	}
	return found, pinned, nil
}
