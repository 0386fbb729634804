package join

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// Token is a bootstrap token (https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/). It is never printed
// whole.
type Token struct {
	// ID is its public part.
	ID string

	secret string
}

// ParseToken reads a token of the form abcdef.0123456789abcdef. The error does not quote it.
func ParseToken(text string) (Token, error) {
	id, secret, _ := strings.Cut(strings.TrimSpace(text), ".")
	if !isToken(id, 6) || !isToken(secret, 16) {
		return Token{}, errors.New("not a bootstrap token, which is of the form abcdef.0123456789abcdef")
	}
	return Token{id, secret}, nil
}

// isToken reports whether a text is so many lower case letters and digits.
func isToken(text string, length int) bool {
	return len(text) == length && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

func (t Token) String() string { return t.ID + ".***" }

// GoString keeps the secret out of %#v.
func (t Token) GoString() string { return t.String() }

// signs reports whether signature is that of content with the token: a JWS (RFC 7515) in compact form without its payload,
// with HS256, as the bootstrap-signer of a cluster makes it (k8s.io/cluster-bootstrap/token/jws). It is computed here and
// compared whole, so that no header is read that somebody else has written.
func (t Token) signs(content []byte, signature string) bool {
	encode := base64.RawURLEncoding.EncodeToString
	header := encode([]byte(`{"alg":"HS256","kid":"` + t.ID + `"}`))
	mac := hmac.New(sha256.New, []byte(t.secret))
	mac.Write([]byte(header + "." + encode(content)))
	return hmac.Equal([]byte(signature), []byte(header+".."+encode(mac.Sum(nil))))
}
