package join

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Pin is the SHA-256 of the public key of a certificate authority, as kubeadm prints it: of the SubjectPublicKeyInfo
// (RFC 7469, 2.4).
type Pin [sha256.Size]byte

// ParsePin reads sha256:HEX.
func ParsePin(text string) (Pin, error) {
	digits, found := strings.CutPrefix(strings.TrimSpace(text), "sha256:")
	sum, err := hex.DecodeString(digits)
	if !found || err != nil || len(sum) != sha256.Size {
		return Pin{}, fmt.Errorf("%q is not of the form sha256:HEX with 64 hexadecimal digits", text)
	}
	return Pin(sum), nil
}

// certificates are those of a PEM bundle, at least one.
func certificates(bundle []byte) (all []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, certificate)
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate in PEM form")
	}
	return all, nil
}

// CheckAuthority refuses what is not a bundle of certificates of CAs, in PEM.
func CheckAuthority(bundle []byte) error {
	all, err := certificates(bundle)
	for _, c := range all {
		if !c.IsCA && !bytes.Equal(c.RawIssuer, c.RawSubject) { // an old CA may not say that it is one
			return fmt.Errorf("the certificate of %s is not that of a CA", c.Subject)
		}
	}
	return err
}

// Authority says by what a cluster is known: by pins, or by the certificates of its authority in PEM.
type Authority struct {
	Pins []Pin
	PEM  []byte
}

// pinned are the certificates of a bundle that the pins are for, in PEM: a bundle may have others, which nobody vouches for.
func (a Authority) pinned(bundle []byte) ([]byte, error) {
	all, err := certificates(bundle)
	if err != nil {
		return nil, err
	}
	var kept bytes.Buffer
	for _, c := range all {
		if slices.Contains(a.Pins, Pin(sha256.Sum256(c.RawSubjectPublicKeyInfo))) {
			_ = pem.Encode(&kept, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // to memory
		}
	}
	return kept.Bytes(), nil
}

// Is reports whether a bundle is of the same cluster: it has a certificate that is pinned, or one in common.
func (a Authority) Is(bundle []byte) bool {
	if len(a.Pins) > 0 {
		kept, err := a.pinned(bundle)
		return err == nil && len(kept) > 0
	}
	ours, err := certificates(a.PEM)
	if err != nil {
		return false
	}
	theirs, err := certificates(bundle)
	return err == nil && slices.ContainsFunc(theirs, func(c *x509.Certificate) bool { return slices.ContainsFunc(ours, c.Equal) })
}
