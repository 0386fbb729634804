// Command jws prints signatures of cluster-info, good and bad ones, each with what upstream's own code says of it. They are the test data
// of install/join: go run . >../../install/join/testdata/signatures.json
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log"
	"os"
	"strings"

	"k8s.io/cluster-bootstrap/token/jws"
)

// signature is a case: what the token's part in cluster-info says of a content, and whether upstream believes it.
type signature struct {
	Name      string `json:"name"`
	Token     string `json:"token"`
	Content   []byte `json:"content"`
	Signature string `json:"signature"`
	Valid     bool   `json:"valid"`
}

const (
	id, secret = "abcdef", "0123456789abcdef"
	kubeconfig = "apiVersion: v1\nkind: Config\nclusters:\n- name: \"\"\n  cluster: {server: https://10.0.0.1:6443}\n"
)

func main() {
	var cases []signature
	add := func(name, token, content, sig string) {
		tokenID, tokenSecret, _ := strings.Cut(token, ".")
		cases = append(cases, signature{Name: name, Token: token, Content: []byte(content), Signature: sig,
			Valid: jws.DetachedTokenIsValid(sig, content, tokenID, tokenSecret)})
	}
	sign := func(content, id, secret string) string {
		sig, err := jws.ComputeDetachedSignature(content, id, secret)
		if err != nil {
			log.Fatal(err)
		}
		return sig
	}
	const token = id + "." + secret
	for _, content := range []string{kubeconfig, "x", strings.TrimSpace(kubeconfig), "name: \u00e9\u4e16\U0001f600\n", "\x00\x01\xff\xfe",
		strings.Repeat(kubeconfig, 50), "<a href=\"x\">&</a>"} {
		add("signed", token, content, sign(content, id, secret))
	}
	add("another token", "zzzzzz.zzzzzzzzzzzzzzzz", kubeconfig, sign(kubeconfig, "zzzzzz", strings.Repeat("z", 16)))

	good := sign(kubeconfig, id, secret)
	header, mac, _ := strings.Cut(good, "..")
	add("another content", token, kubeconfig+" ", good)
	add("another secret", id+".0123456789abcdee", kubeconfig, good)
	add("another ID", "abcdeg."+secret, kubeconfig, good)
	for i := range good {
		changed := []byte(good)
		changed[i] ^= 1
		add("another byte", token, kubeconfig, string(changed))
	}
	for _, bad := range []string{"", ".", "..", "...", header, header + "..", ".." + mac, header + "." + mac, good + "=", good + "\n", " " + good, good + "." + mac,
		header + "." + base64.RawURLEncoding.EncodeToString([]byte(kubeconfig)) + "." + mac, good[:len(good)-1], strings.ToUpper(good)} {
		add("another form", token, kubeconfig, bad)
	}
	// Signed with the secret, under headers that upstream's signer does not write.
	for _, header := range []string{`{"kid":"abcdef","alg":"HS256"}`, `{"alg":"HS256","kid":"abcdef","x":1}`, `{"alg":"HS256"}`, `{"alg":"none","kid":"abcdef"}`,
		`{"alg":"HS512","kid":"abcdef"}`, `{"alg":"RS256","kid":"abcdef"}`, `{"alg":"HS256","kid":"abcdeg"}`, `{"alg":"HS256","kid":"abcdef","crit":["x"],"x":1}`, `{}`, `x`} {
		encoded := base64.RawURLEncoding.EncodeToString([]byte(header))
		m := hmac.New(sha256.New, []byte(secret))
		m.Write([]byte(encoded + "." + base64.RawURLEncoding.EncodeToString([]byte(kubeconfig))))
		add("header "+header, token, kubeconfig, encoded+".."+base64.RawURLEncoding.EncodeToString(m.Sum(nil)))
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for _, c := range cases {
		if err := out.Encode(c); err != nil {
			log.Fatal(err)
		}
	}
}
