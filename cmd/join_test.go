package cmd_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// cluster is an API server of which nothing but the discovery is there. What it is sent is recorded.
type cluster struct {
	*httptest.Server
	mode string

	mu   sync.Mutex
	sent []string // a line a request: its path, and how it was authorized
}

type clusterKey struct{}

// startCluster starts one in a mode, and sets
//
//	$SERVER  its URL
//	$PIN     the hash of its CA, which is in the file ca.crt
//
// The modes are: joinable; unsigned, forged: cluster-info is so; closed: it is for nobody without credentials; refused: the token
// is not accepted; taken: the node worker-1 is Ready already.
func startCluster(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: cluster MODE")
	}
	c := &cluster{mode: args[0]}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(c.serve))
	c.Config.ErrorLog = log.New(io.Discard, "", 0)
	c.StartTLS()
	ts.Defer(c.Close)
	certificate := c.Certificate()
	sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	ts.Setenv("SERVER", c.URL)
	ts.Setenv("PIN", "sha256:"+hex.EncodeToString(sum[:]))
	ts.Check(os.WriteFile(ts.MkAbs("ca.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), 0o644))
	*ts.Value(clusterKey{}).(**cluster) = c
}

// sent prints what the cluster was sent, and forgets it.
func sent(ts *testscript.TestScript, _ bool, _ []string) {
	c := *ts.Value(clusterKey{}).(**cluster)
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintln(ts.Stdout(), strings.Join(c.sent, "\n"))
	c.sent = nil
}

func (c *cluster) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Authorization")))
	code, body := c.answer(r.URL.Path)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func (c *cluster) answer(path string) (code int, body any) {
	data := func(pairs map[string]string) map[string]any { return map[string]any{"data": pairs} }
	switch {
	case strings.HasSuffix(path, "/cluster-info") && c.mode == "closed":
		return 403, map[string]string{"message": "forbidden"}
	case strings.HasSuffix(path, "/cluster-info"):
		return 200, data(c.info())
	case c.mode == "refused":
		return 401, map[string]string{"message": "Unauthorized"}
	case strings.HasSuffix(path, "/kubelet-config"):
		return 200, data(map[string]string{"kubelet": "clusterDNS: [10.96.0.10]\nclusterDomain: cluster.test\ncgroupDriver: systemd\nmaxPods: 7\n"})
	case strings.HasSuffix(path, "/nodes/worker-1") && c.mode == "taken":
		return 200, map[string]any{"status": map[string]any{"conditions": []map[string]string{{"type": "Ready", "status": "True"}}}}
	}
	return 404, map[string]string{"message": "not found"}
}

// info is cluster-info as kubeadm and the bootstrap-signer write it.
func (c *cluster) info() map[string]string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
	kubeconfig := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: '', cluster: {server: %q, certificate-authority-data: %s}}]\n",
		c.URL, base64.StdEncoding.EncodeToString(ca))
	info := map[string]string{"kubeconfig": kubeconfig}
	if c.mode == "unsigned" {
		return info
	}
	encode := base64.RawURLEncoding.EncodeToString
	header := encode([]byte(`{"alg":"HS256","kid":"abcdef"}`))
	mac := hmac.New(sha256.New, []byte("0123456789abcdef"))
	fmt.Fprintf(mac, "%s.%s", header, encode([]byte(kubeconfig)))
	info["jws-kubeconfig-abcdef"] = header + ".." + encode(mac.Sum(nil))
	if c.mode == "forged" {
		info["kubeconfig"] = strings.Replace(kubeconfig, "https://", "https://evil.test/", 1)
	}
	return info
}
