package join

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	tokenID = "abcdef"
	secret  = "0123456789abcdef"
)

var token = Token{tokenID, secret}

// authority is a certificate authority with the server certificate that it has signed for the loopback.
type authority struct {
	pem    []byte
	pin    Pin
	server tls.Certificate
}

func newAuthority(t *testing.T, notAfter time.Time) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), Pin(sha256.Sum256(ca.RawSubjectPublicKeyInfo)),
		tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}}
}

// fakeCluster is an API server that records what it is sent.
type fakeCluster struct {
	*httptest.Server
	ca *authority

	mu      sync.Mutex
	tokens  []string // the Authorization of each request
	infos   int      // how often cluster-info was asked for
	answers map[string]answer
	// info is the nth cluster-info.
	info func(n int) answer
	date time.Time
}

// answer is what the API server says.
type answer struct {
	code int
	body any
}

func newCluster(t *testing.T, ca *authority) *fakeCluster {
	t.Helper()
	c := &fakeCluster{ca: ca, answers: map[string]answer{}}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(c.serve))
	c.TLS = &tls.Config{Certificates: []tls.Certificate{ca.server}}
	c.Config.ErrorLog = log.New(io.Discard, "", 0)
	c.StartTLS()
	t.Cleanup(c.Close)
	c.info = func(int) answer { return c.signed(c.kubeconfig(ca.pem)) }
	return c
}

func (c *fakeCluster) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = append(c.tokens, r.Header.Get("Authorization"))
	if !c.date.IsZero() {
		w.Header().Set("Date", c.date.UTC().Format(http.TimeFormat))
	}
	said, known := c.answers[r.URL.Path]
	if r.URL.Path == clusterInfo {
		said, known = c.info(c.infos), true
		c.infos++
	}
	if !known {
		said = answer{404, nil}
	}
	w.WriteHeader(said.code)
	_ = json.NewEncoder(w).Encode(said.body)
}

func (c *fakeCluster) kubeconfig(bundle []byte) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters:\n- name: ''\n  cluster: {server: %q, certificate-authority-data: %s}\n",
		c.URL, base64.StdEncoding.EncodeToString(bundle))
}

// sign is the signature of content as a cluster makes it.
func sign(id, secret, content string) string {
	encode := base64.RawURLEncoding.EncodeToString
	header := encode(fmt.Appendf(nil, `{"alg":"HS256","kid":%q}`, id))
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s.%s", header, encode([]byte(content)))
	return header + ".." + encode(mac.Sum(nil))
}

func (c *fakeCluster) signed(content string) answer {
	return data("kubeconfig", content, "jws-kubeconfig-"+tokenID, sign(tokenID, secret, content))
}

func data(pairs ...string) answer {
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return answer{200, map[string]any{"data": values}}
}

// find looks for the cluster once, and asks it whether it takes the token.
func (c *fakeCluster) find(t *testing.T, known Authority) error {
	t.Helper()
	credentials, err := Discovery{Server: c.URL, Token: token, Authority: known}.Find(t.Context(), time.Now(), nil)
	if err != nil {
		return err
	}
	return credentials.Check(t.Context(), "worker-1", time.Now(), nil)
}

// Whatever is wrong is told by its state, and nobody who is not the cluster sees the token.
func TestRefusals(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t, time.Now().Add(time.Hour)), newAuthority(t, time.Now().Add(time.Hour))
	expired := newAuthority(t, time.Now().Add(-time.Minute))
	bundle := string(ca.pem) + string(other.pem)
	tests := []struct {
		name  string
		ca    *authority
		known Authority
		setUp func(c *fakeCluster)
		want  State
		shown bool // the token, to the cluster itself
	}{
		{name: "anonymous access is closed", setUp: func(c *fakeCluster) { c.info = func(int) answer { return answer{403, nil} } }, want: NoClusterInfo},
		{name: "anonymous access is off", setUp: func(c *fakeCluster) { c.info = func(int) answer { return answer{401, nil} } }, want: NoClusterInfo},
		{name: "no cluster-info", setUp: func(c *fakeCluster) { c.info = func(int) answer { return answer{404, nil} } }, want: NoClusterInfo},
		{name: "no kubeconfig in it", setUp: func(c *fakeCluster) { c.info = func(int) answer { return data() } }, want: NoClusterInfo},
		{name: "no cluster in it", setUp: func(c *fakeCluster) { c.info = func(int) answer { return c.signed("{}") } }, want: NoClusterInfo},
		{name: "not signed for this token", want: NoSignature, setUp: func(c *fakeCluster) {
			c.info = func(int) answer { return data("kubeconfig", "{}", "jws-kubeconfig-fedcba", "x") }
		}},
		{name: "signed with another secret", want: BadSignature, setUp: func(c *fakeCluster) {
			c.info = func(int) answer {
				text := c.kubeconfig(ca.pem)
				return data("kubeconfig", text, "jws-kubeconfig-"+tokenID, sign(tokenID, "fedcba9876543210", text))
			}
		}},
		{name: "changed after it was signed", want: BadSignature, setUp: func(c *fakeCluster) {
			c.info = func(int) answer {
				return data("kubeconfig", c.kubeconfig(other.pem), "jws-kubeconfig-"+tokenID, sign(tokenID, secret, c.kubeconfig(ca.pem)))
			}
		}},
		{name: "another CA", known: Authority{Pins: []Pin{other.pin}}, want: WrongCA},
		{name: "true cluster-info, told by somebody else", ca: other, known: Authority{Pins: []Pin{ca.pin}}, want: WrongCA, setUp: func(c *fakeCluster) {
			c.info = func(int) answer { return c.signed(c.kubeconfig(ca.pem)) }
		}},
		{name: "the same with the CA of somebody else beside it", ca: other, known: Authority{Pins: []Pin{ca.pin}}, want: WrongCA, setUp: func(c *fakeCluster) {
			c.info = func(int) answer { return c.signed(c.kubeconfig([]byte(bundle))) }
		}},
		{name: "another answer over the verified connection", want: BadSignature, setUp: func(c *fakeCluster) {
			c.info = func(n int) answer { return c.signed(c.kubeconfig(ca.pem) + strings.Repeat("\n", n)) }
		}},
		{name: "an old certificate", ca: expired, known: Authority{Pins: []Pin{expired.pin}}, want: Clock},
		{name: "the clock of this host is behind", setUp: func(c *fakeCluster) { c.date = time.Now().Add(10 * time.Minute) }, want: Clock},
		{name: "no API server", setUp: func(c *fakeCluster) { c.info = func(int) answer { return answer{200, "hello"} } }, want: TLS},
		{name: "too long", setUp: func(c *fakeCluster) { c.info = func(int) answer { return answer{200, strings.Repeat("x", 2<<20)} } }, want: TLS},
		{name: "nobody there", setUp: func(c *fakeCluster) { c.Close() }, want: TCP},
		{name: "the CA as a file is another one", known: Authority{PEM: other.pem}, want: WrongCA},
		{name: "the token is not accepted", want: Refused, shown: true, setUp: func(c *fakeCluster) { c.answers["/api/v1/nodes/worker-1"] = answer{401, nil} }},
		{name: "the name is taken", want: NameTaken, shown: true, setUp: func(c *fakeCluster) {
			c.answers["/api/v1/nodes/worker-1"] = answer{200, map[string]any{"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}}}
		}},
		{name: "the API server is not ready", want: TLS, shown: true, setUp: func(c *fakeCluster) { c.answers["/api/v1/nodes/worker-1"] = answer{503, nil} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, ca)
			if tt.ca != nil {
				c = newCluster(t, tt.ca)
			}
			if tt.setUp != nil {
				tt.setUp(c)
			}
			known := tt.known
			if known.Pins == nil && known.PEM == nil {
				known.Pins = []Pin{ca.pin}
			}
			err := c.find(t, known)
			var state *Error
			if !errors.As(err, &state) || state.State != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if text := fmt.Sprintf("%v %+v %#v", err, state, state); strings.Contains(text, secret) {
				t.Errorf("the error has the token: %s", text)
			}
			if got := strings.Join(c.tokens, ""); (got != "") != tt.shown {
				t.Errorf("the server was sent the token: %q", c.tokens)
			}
		})
	}
}

// The token is shown last, when the server has proved what it is, and the CA is taken whole.
func TestPinBeforeToken(t *testing.T) {
	t.Parallel()
	ca, next := newAuthority(t, time.Now().Add(time.Hour)), newAuthority(t, time.Now().Add(time.Hour))
	c := newCluster(t, ca)
	bundle := append(bytes.Clone(ca.pem), next.pem...)
	c.info = func(int) answer { return c.signed(c.kubeconfig(bundle)) }
	credentials, err := Discovery{Server: c.URL, Token: token, Authority: Authority{Pins: []Pin{next.pin, ca.pin}}}.Find(t.Context(), time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := credentials.Check(t.Context(), "worker-1", time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%q", c.tokens), fmt.Sprintf("%q", []string{"", "", "Bearer " + tokenID + "." + secret}); !strings.HasPrefix(got, strings.TrimSuffix(want, "]")) {
		t.Errorf("the server was sent %s, want %s", got, want)
	}
	if credentials.Server() != c.URL || !bytes.Equal(credentials.Authority(), bundle) {
		t.Errorf("%s: %s", credentials.Server(), credentials.Authority())
	}
	for _, known := range []Authority{{Pins: []Pin{ca.pin}}, {PEM: ca.pem}, {PEM: bundle}} {
		if !known.Is(bundle) || known.Is([]byte("none")) {
			t.Errorf("%v", known)
		}
	}
}

// What passes by itself is waited for.
func TestWaitsForTheSignature(t *testing.T) {
	t.Parallel()
	c := newCluster(t, newAuthority(t, time.Now().Add(time.Hour)))
	text := c.kubeconfig(c.ca.pem)
	c.info = func(n int) answer {
		if n == 0 {
			return data("kubeconfig", text)
		}
		return c.signed(text)
	}
	var said []string
	if _, err := (Discovery{Server: c.URL, Token: token, Authority: Authority{Pins: []Pin{c.ca.pin}}}).Find(t.Context(), time.Now().Add(time.Minute), func(err error) { said = append(said, err.Error()) }); err != nil {
		t.Fatal(err)
	}
	if len(said) != 1 || !strings.Contains(said[0], "no signature for the token abcdef") {
		t.Errorf("it said %q", said)
	}
}

func TestKubeletConfig(t *testing.T) {
	t.Parallel()
	c := newCluster(t, newAuthority(t, time.Now().Add(time.Hour)))
	credentials, err := Discovery{Server: c.URL, Token: token, Authority: Authority{PEM: c.ca.pem}}.Find(t.Context(), time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const path = "/api/v1/namespaces/kube-system/configmaps/kubelet-config"
	c.answers[path] = data("kubelet", "clusterDNS: [10.96.0.10]\nclusterDomain: cluster.test\nmaxPods: 7\n")
	fields, err := credentials.KubeletConfig(t.Context())
	if err != nil || fmt.Sprint(fields) != "map[clusterDNS:[10.96.0.10] clusterDomain:cluster.test]" {
		t.Errorf("got %v, %v", fields, err)
	}
	for _, said := range []answer{{403, nil}, {404, nil}, data("kubelet", "- x")} {
		c.answers[path] = said
		if fields, err := credentials.KubeletConfig(t.Context()); err == nil {
			t.Errorf("%v: got %v", said, fields)
		}
	}
}

func TestReadKubeconfig(t *testing.T) {
	t.Parallel()
	c := newCluster(t, newAuthority(t, time.Now().Add(time.Hour)))
	found := cluster{Server: c.URL, Authority: c.ca.pem}
	credentials, err := found.credentials(token)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	zipper := gzip.NewWriter(&packed)
	if _, err := zipper.Write(credentials.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	zipper.Close()
	got, err := ReadKubeconfig([]byte(base64.StdEncoding.EncodeToString(packed.Bytes()) + "\n"))
	if err != nil || !bytes.Equal(got.Kubeconfig, credentials.Kubeconfig) {
		t.Errorf("a packed one: %v", err)
	}
	text := string(credentials.Kubeconfig)
	for _, bad := range []struct{ text, want string }{
		{"{", "not a kubeconfig"},
		{strings.Replace(text, "https:", "http:", 1), "not asked by https"},
		{strings.Replace(text, "    server:", "    insecure-skip-tls-verify: true\n    server:", 1), "insecure-skip-tls-verify"},
		{strings.Replace(text, "certificate-authority-data", "other", 1), "no certificate in PEM form"},
		{base64.StdEncoding.EncodeToString([]byte("\x1f\x8bx")), "cannot be unpacked"},
	} {
		if _, err := ReadKubeconfig([]byte(bad.text)); err == nil || !strings.Contains(err.Error(), bad.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("got %v, want %s", err, bad.want)
		}
	}
}

// A server certificate is refused as a CA, although it would verify that one server.
func TestCheckAuthority(t *testing.T) {
	ca := newAuthority(t, time.Now().Add(time.Hour))
	if err := CheckAuthority(ca.pem); err != nil {
		t.Error(err)
	}
	leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.server.Certificate[0]})
	if err := CheckAuthority(append(leaf, ca.pem...)); err == nil || !strings.Contains(err.Error(), "is not that of a CA") {
		t.Errorf("%v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{"zyxwvu.9876543210zyxwvu\n": true, "zyxwvu.9876543210zyxwv": false, "zyxwvu.9876543210zyxwvU": false, "zyxwvu9876543210zyxwvu": false, "": false, "zyxwvu.9876543210zyxwvu.x": false} {
		got, err := ParseToken(text)
		if (err == nil) != good || err != nil && strings.Contains(err.Error(), "9876") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if text := fmt.Sprintf("%v %s %#v %+v", token, token, token, token); strings.Contains(text, secret) {
		t.Errorf("a token is printed: %s", text)
	}
	for text, good := range map[string]bool{"sha256:" + strings.Repeat("ab", 32): true, strings.Repeat("ab", 32): false, "sha256:" + strings.Repeat("ab", 31): false, "sha512:" + strings.Repeat("ab", 32): false} {
		if _, err := ParsePin(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, good := range map[string]bool{"https://10.0.0.1:6443": true, "https://[fd00::1]:6443": true, "http://10.0.0.1": false, "10.0.0.1:6443": false, "https://u:p@x": false, "https://x?y": false} {
		if err := CheckServer(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The newest request of the node counts, and says what is to be done.
func TestRequests(t *testing.T) {
	t.Parallel()
	c := newCluster(t, newAuthority(t, time.Now().Add(time.Hour)))
	credentials, err := Discovery{Server: c.URL, Token: token, Authority: Authority{PEM: c.ca.pem}}.Find(t.Context(), time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	item := func(name, node, created string, status map[string]any) map[string]any {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:" + node}}, key)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]any{"metadata": map[string]any{"name": name, "creationTimestamp": created}, "status": status,
			"spec": map[string]any{"request": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})}}
	}
	condition := func(kind string) map[string]any {
		return map[string]any{"conditions": []any{map[string]any{"type": kind, "message": "because"}}}
	}
	tests := []struct {
		status map[string]any
		want   State
		says   string
	}{
		{nil, Pending, "the request new for a client certificate waits to be approved"},
		{condition("Denied"), Denied, "was denied: because"},
		{condition("Failed"), Denied, "failed: because"},
		{condition("Approved"), NoCertificate, "is approved, and the certificate is not signed yet"},
	}
	for _, tt := range tests {
		c.answers["/apis/certificates.k8s.io/v1/certificatesigningrequests"] = answer{200, map[string]any{"items": []any{
			item("old", "worker-1", "2026-01-01T00:00:00Z", condition("Denied")), item("new", "worker-1", "2026-01-01T00:00:01Z", tt.status),
			item("newer", "worker-2", "2026-01-01T00:00:02Z", condition("Denied"))}}}
		newest, err := credentials.Newest(t.Context(), "worker-1")
		if err != nil {
			t.Fatal(err)
		}
		if got := newest.Err(); got.State != tt.want || !strings.Contains(got.Error(), tt.says) {
			t.Errorf("got %s %v, want %s", got.State, got, tt.want)
		}
	}
	if newest, err := credentials.Newest(t.Context(), "worker-3"); newest != nil || err != nil {
		t.Errorf("got %v, %v", newest, err)
	}
}
