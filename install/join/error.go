package join

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/kubeletctl/kubeletctl/install/node"
)

// State is what a join waits for, or by what it failed.
type State string

const (
	Name          State = "name"            // of the API server, which is not known
	TCP           State = "tcp"             // no connection to the API server
	TLS           State = "tls"             // no handshake with it
	Clock         State = "clock"           // of this host, which is wrong
	Refused       State = "token-refused"   // the API server does not accept the credentials
	NoClusterInfo State = "no-cluster-info" // which the cluster does not publish
	NoSignature   State = "no-signature"    // of cluster-info by this token
	BadSignature  State = "bad-signature"   // so somebody else has written it
	WrongCA       State = "wrong-ca"        // not the one that was asked for
	NameTaken     State = "name-taken"      // by a Ready node
	Pending       State = "csr-pending"     // nobody has approved the certificate yet
	Denied        State = "csr-denied"      // somebody has denied it
	NoCertificate State = "no-certificate"  // and nobody says why
	Unregistered  State = "unregistered"    // kubelet has a certificate, and its node is not there yet
	NoNetwork     State = "cni-missing"     // the node has no network plugin
	NotReady      State = "not-ready"       // for another reason
	Ready         State = "ready"
)

// Error says in which state a join is that is not at its end, or how it failed.
type Error struct {
	State   State
	Message string
	// Passes reports that waiting may help.
	Passes bool

	hint string
}

func (e *Error) Error() string { return e.Message }

// Hint says what to do about it.
func (e *Error) Hint() string { return e.hint }

// Waits is the error of a state that passes by itself, or by what the hint says.
func (s State) Waits(message, hint string) *Error {
	return &Error{State: s, Message: message, Passes: true, hint: hint}
}

// Trusted reports whether the error leaves a join that has begun as it is: nobody has refused it.
func (e *Error) Trusted() bool {
	switch e.State {
	case Refused, BadSignature, WrongCA, NameTaken, Denied:
		return false
	}
	return true
}

// maxClockOffset is how far the clock of a host may be from that of the API server. The certificates that a cluster signs
// begin 5 minutes before they are signed (k8s.io/kubernetes/pkg/controller/certificates/authority, backdate).
const maxClockOffset = 5 * time.Minute

// clockError is the error about a clock that is off, by the time that the server says that it is; nil when it is not, or when
// the server did not say.
func clockError(server time.Time) error {
	if server.IsZero() {
		return nil
	}
	offset := time.Since(server).Round(time.Second)
	way := "ahead of"
	if offset < 0 {
		way = "behind"
	}
	if offset.Abs() <= maxClockOffset {
		return nil
	}
	return &Error{State: Clock, Message: fmt.Sprintf("the clock of this host is %s %s that of the API server", offset.Abs(), way),
		hint: "set the clock: timedatectl; a certificate that the cluster signs would not be valid on this host"}
}

// Explain says in which state a request to an API server failed.
func Explain(server string, err error) error {
	var (
		known    *Error
		dns      *net.DNSError
		invalid  x509.CertificateInvalidError
		stranger x509.UnknownAuthorityError
		verify   *tls.CertificateVerificationError
		status   *node.StatusError
		op       *net.OpError
	)
	say := func(state State, passes bool, hint, format string, args ...any) error {
		return &Error{State: state, Passes: passes, Message: fmt.Sprintf(format, args...), hint: hint}
	}
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return say(TCP, true, "check the proxy of kubelet.service, HTTPS_PROXY and NO_PROXY in its drop-ins: systemctl cat kubelet", "no connection to the API server: %s", inner(err))
	case errors.As(err, &dns):
		return say(Name, true, "check --server, and the name servers in /etc/resolv.conf", "the name %s of the API server cannot be resolved: %s", dns.Name, dns.Err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return say(Clock, false, "compare the clock of this host with that of the API server: timedatectl; else the certificate has to be renewed",
			"the certificate of %s is not valid now: %s", server, invalid.Detail)
	case errors.As(err, &stranger):
		return say(WrongCA, false, "compare the CA with that of the cluster; a proxy in between may also show a certificate of its own",
			"the certificate of %s is not signed by the CA of the cluster", server)
	case errors.As(err, &verify):
		return say(TLS, false, "the certificate has to name the host of --server", "the certificate of %s cannot be verified: %v", server, verify.Err)
	case errors.As(err, &status):
		return answered(server, status)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &op) && op.Op == "dial":
		return say(TCP, true, "check that the API server runs, and that no firewall is in between", "no connection to the API server: %s", inner(err))
	}
	return say(TLS, true, "check that --server is the API server and no other service", "no TLS connection to the API server: %s", inner(err))
}

// answered explains an answer that is not the one that was asked for.
func answered(server string, status *node.StatusError) error {
	e := &Error{Message: fmt.Sprintf("%s: %v", server, status), Passes: status.Code >= 500 || status.Code == 429, State: TLS,
		hint: "check that --server is the API server and no other service"}
	if status.Code == 401 {
		e.State, e.Message = Refused, server+" does not accept the token: it is wrong, or it has expired"
		e.hint = "make a new one on a control plane node: kubeadm token create --print-join-command"
	}
	return e
}

// inner is what an error says without its URL.
func inner(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Error()
	}
	return err.Error()
}
