package status

import (
	"context"
	"crypto/x509"
	"fmt"
	"path"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/probe"
)

// Certificate is one of kubelet's.
type Certificate struct {
	// Use is "client", towards the API server, or "serving".
	Use     string    `json:"use"`
	Subject string    `json:"subject"`
	Expires time.Time `json:"expires"`

	began time.Time
	// selfSigned is set for the one that kubelet makes for itself, which nobody checks.
	selfSigned bool
}

// warnBefore is how long before its end a certificate is a problem.
const warnBefore = 14 * 24 * time.Hour

// ends reports whether a certificate should have been renewed by now. kubelet renews its own when 70 to 90 % of their time are over
// (k8s.io/client-go/util/certificate, nextRotationDeadline), so that one of a day is no problem for most of it.
func (c Certificate) ends(now time.Time) bool {
	return c.Expires.Sub(now) < min(warnBefore, c.Expires.Sub(c.began)/10)
}

// certificates are those of a kubelet that can be read. What cannot is left out: the credentials of the node say it.
func certificates(tree hostfs.Tree, g *plan.Generation) (list []Certificate) {
	add := func(use string, c *x509.Certificate, own bool) {
		list = append(list, Certificate{Use: use, Subject: c.Subject.CommonName, Expires: c.NotAfter, began: c.NotBefore, selfSigned: own})
	}
	if file := g.Kubeconfig(); file != "" {
		if c, err := node.Certificate(tree, file); err == nil && c != nil {
			add("client", c, false)
		}
	}
	machine := probe.Machine{Tree: tree}
	for i, file := range servingFiles(g) {
		if c, err := machine.Certificate(file); err == nil {
			add("serving", c, i > 0 && path.Base(file) == ownCertificate)
			break
		}
	}
	return list
}

// ownCertificate is what kubelet makes when it has no other (cmd/kubelet/app/server.go, InitializeTLS).
const ownCertificate = "kubelet.crt"

// servingFiles are where the certificate is that kubelet serves with, the first that is there.
func servingFiles(g *plan.Generation) []string {
	if file, given := g.Arg("tls-cert-file"); given {
		return []string{file}
	}
	fields, _ := preflight.Fields(g)
	if file, _ := fields["tlsCertFile"].(string); file != "" {
		return []string{file}
	}
	return []string{path.Join(g.CertDir(), "kubelet-server-current.pem"), path.Join(g.CertDir(), ownCertificate)}
}

// checkCertificates says which of them end soon, or have ended.
func (s *Status) checkCertificates(now time.Time) {
	for _, c := range s.Certificates {
		if c.selfSigned || !c.ends(now) {
			continue
		}
		hint := "kubelet renews it itself with rotateCertificates: true; kubectl get csr shows whether a request waits to be approved"
		if c.Use == "serving" {
			hint = "with serverTLSBootstrap: true, kubectl get csr shows whether a request waits to be approved; else replace it"
		}
		severity, what := preflight.Warning, fmt.Sprintf("expires %s, in %s", c.Expires.Local().Format(time.DateTime), Days(c.Expires.Sub(now)))
		if !now.Before(c.Expires) {
			what = "expired " + c.Expires.Local().Format(time.DateTime)
			if c.Use == "client" { // the API server lets nobody in with it
				severity = preflight.Failure
			}
		}
		s.problem(idCertificate, severity, fmt.Sprintf("the %s certificate of kubelet %s", c.Use, what), hint)
	}
}

// Days is a time in days, or, if there are fewer than two, in hours.
func Days(d time.Duration) string {
	const day = 24 * time.Hour
	if d < 2*day {
		return d.Round(time.Hour).String()
	}
	return fmt.Sprintf("%d days", d/day)
}

// beside runs f at the same time, and returns its result when it is asked for, or when ctx ends.
func beside[T any](ctx context.Context, f func() T) func() (result T) {
	done := make(chan T, 1)
	go func() { done <- f() }()
	return func() (result T) {
		select {
		case result = <-done:
		case <-ctx.Done():
		}
		return result
	}
}
