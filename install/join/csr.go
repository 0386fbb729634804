package join

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/node"
)

// The signers of the two certificates of a kubelet
// (https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/).
const (
	ClientSigner  = "kubernetes.io/kube-apiserver-client-kubelet"
	ServingSigner = "kubernetes.io/kubelet-serving"
)

// Request is a CertificateSigningRequest of a node.
type Request struct {
	Name    string
	Created time.Time
	// Approved, Denied and Failed are its conditions, Message that of the last two, and Issued says that there is a certificate.
	Approved, Denied, Failed, Issued bool
	Message                          string
}

// Waits reports whether nobody has approved or denied the request.
func (r *Request) Waits() bool { return !r.Approved && !r.Denied && !r.Failed && !r.Issued }

// Err says what becomes of a request for a client certificate.
func (r *Request) Err() *Error {
	switch {
	case r.Denied:
		return &Error{State: Denied, Message: fmt.Sprintf("the request %s for a client certificate was denied: %s", r.Name, r.Message),
			hint: "ask whoever denied it; kubectl describe csr " + r.Name}
	case r.Failed:
		return &Error{State: Denied, Message: fmt.Sprintf("the request %s for a client certificate failed: %s", r.Name, r.Message),
			hint: "kubectl describe csr " + r.Name}
	case r.Waits():
		return &Error{State: Pending, Passes: true, Message: fmt.Sprintf("the request %s for a client certificate waits to be approved", r.Name),
			hint: "kubectl certificate approve " + r.Name}
	}
	return &Error{State: NoCertificate, Passes: true, Message: fmt.Sprintf("the request %s is approved, and the certificate is not signed yet", r.Name),
		hint: "the signing controller of kube-controller-manager has to run: --cluster-signing-cert-file"}
}

// NewestRequest is the newest request to a signer by a node; nil when there is none. It needs credentials that may list them, as
// those of a bootstrapper and of a node may.
func NewestRequest(ctx context.Context, c *node.Client, signer, name string) (*Request, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var list struct{ Items []csr }
	query := url.Values{"fieldSelector": {"spec.signerName=" + signer}}
	if err := c.Ask(ctx, "/apis/certificates.k8s.io/v1/certificatesigningrequests?"+query.Encode(), &list); err != nil {
		return nil, err
	}
	var newest *Request
	for _, item := range list.Items {
		if r := item.request(); item.node() == name && (newest == nil || r.Created.After(newest.Created)) {
			newest = r
		}
	}
	return newest, nil
}

// WaitingToServe is the request of a node for a serving certificate that nobody has approved or denied yet; nil for none, or when the API
// server does not tell.
func WaitingToServe(ctx context.Context, c *node.Client, name string) *Request {
	newest, err := NewestRequest(ctx, c, ServingSigner, name)
	if err != nil || newest == nil || !newest.Waits() {
		return nil
	}
	return newest
}

// csr is what is used here of a CertificateSigningRequest of certificates.k8s.io/v1.
type csr struct {
	Metadata struct {
		Name              string
		CreationTimestamp time.Time
	}
	Spec   struct{ Request []byte }
	Status struct {
		Certificate []byte
		Conditions  []struct{ Type, Message string }
	}
}

// node is the name of the node that the certificate would be for; empty for others.
func (c *csr) node() string {
	block, _ := pem.Decode(c.Spec.Request)
	if block == nil {
		return ""
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return ""
	}
	name, _ := strings.CutPrefix(request.Subject.CommonName, "system:node:")
	return name
}

func (c *csr) request() *Request {
	r := &Request{Name: c.Metadata.Name, Created: c.Metadata.CreationTimestamp, Issued: len(c.Status.Certificate) > 0}
	for _, condition := range c.Status.Conditions {
		switch condition.Type {
		case "Approved":
			r.Approved = true
		case "Denied":
			r.Denied, r.Message = true, condition.Message
		case "Failed":
			r.Failed, r.Message = true, condition.Message
		}
	}
	return r
}
