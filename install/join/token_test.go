package join

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"testing"
)

// signatures are of scripts/jws: what k8s.io/cluster-bootstrap signs, changes of each part, and its own verdict on each.
//
//go:embed testdata/signatures.json
var signatures []byte

// A signature of cluster-info is believed if and only if upstream's own code believes it.
func TestSignatures(t *testing.T) {
	valid, refused := 0, 0
	for decoder := json.NewDecoder(bytes.NewReader(signatures)); decoder.More(); {
		var c struct {
			Name, Token, Signature string
			Content                []byte
			Valid                  bool
		}
		if err := decoder.Decode(&c); err != nil {
			t.Fatal(err)
		}
		token, err := ParseToken(c.Token)
		if err != nil {
			t.Fatal(err)
		}
		if got := token.signs(c.Content, c.Signature); got != c.Valid {
			t.Errorf("%s: %q of %.50q: believed: %t, by upstream: %t", c.Name, c.Signature, c.Content, got, c.Valid)
		}
		if c.Valid {
			valid++
		} else {
			refused++
		}
	}
	if valid < 8 || refused < 100 {
		t.Errorf("only %d good ones and %d bad ones", valid, refused)
	}
}
