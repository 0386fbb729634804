package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
)

// apiServer answers for one node to whoever shows a client certificate of the authority.
func apiServer(t *testing.T, answers map[string]string) (server *httptest.Server, certificate []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "system:node:worker-1", Organization: []string{"system:nodes"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, known := answers[r.URL.Path]
		code, body, coded := strings.Cut(answer, " ")
		switch {
		case len(r.TLS.PeerCertificates) == 0 || !r.TLS.PeerCertificates[0].Equal(leaf):
			http.Error(w, `{"message":"Unauthorized"}`, http.StatusUnauthorized)
		case !known:
			http.Error(w, fmt.Sprintf(`{"message":"%s not found"}`, r.URL.Path), http.StatusNotFound)
		case coded && code == "302":
			http.Redirect(w, r, body, http.StatusFound)
		default:
			fmt.Fprint(w, answer)
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	pair := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return server, append(pair, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})...)
}

// write writes a kubeconfig as kubelet's own bootstrap does: certificate and key are one file beside it.
func write(t *testing.T, server *httptest.Server, pair []byte, user string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "current.pem"), pair, 0o600); err != nil {
		t.Fatal(err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "%s", certificate-authority-data: %s}}]
contexts: [{name: other, context: {}}, {name: x, context: {cluster: c, user: u}}]
current-context: x
users: [{name: u, user: %s}]
`, server.URL, base64.StdEncoding.EncodeToString(ca), user)
	file := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const (
	byCertificate = `{client-certificate: current.pem, client-key: current.pem}`
	worker        = "/api/v1/nodes/worker-1"
	workerLease   = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/worker-1"
)

func TestGet(t *testing.T) {
	t.Parallel()
	server, pair := apiServer(t, map[string]string{
		worker: `{"status":{"nodeInfo":{"kubeletVersion":"v1.36.3"},"conditions":[{"type":"MemoryPressure","status":"False"},
			{"type":"Ready","status":"False","message":"no network","lastHeartbeatTime":"2026-01-02T03:04:05Z"}]}}`,
		workerLease: `{"spec":{"renewTime":"2026-01-02T03:04:06.000007Z"}}`,
	})
	c, err := Open(write(t, server, pair, byCertificate))
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "worker-1" {
		t.Errorf("the certificate is for %q", c.Name)
	}
	n, err := c.Get(t.Context(), c.Name)
	if err != nil {
		t.Fatal(err)
	}
	want := Node{Name: "worker-1", Ready: "False", Message: "no network", KubeletVersion: "v1.36.3",
		Reported: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Renewed: time.Date(2026, 1, 2, 3, 4, 6, 7000, time.UTC)}
	if !reflect.DeepEqual(*n, want) {
		t.Errorf("got %+v, want %+v", *n, want)
	}
	if n.IsReady() {
		t.Error("it is ready")
	}
	var status *StatusError
	if _, err = c.Get(t.Context(), "worker-2"); !errors.As(err, &status) || status.Code != 404 {
		t.Errorf("another node: %v", err)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		answer string
		want   Release
		fails  string // empty when it does not
	}{
		{`{"major":"1","minor":"37","gitVersion":"v1.37.2"}`, Release{"v1.37.2", 37}, ""},
		{`{"major":"1","minor":"33+","gitVersion":"v1.33.5-gke.1080000"}`, Release{"v1.33.5-gke.1080000", 33}, ""},
		{`{"gitVersion":"v1.34.1+k3s1"}`, Release{"v1.34.1+k3s1", 34}, ""},
		{`{"gitVersion":"version 1"}`, Release{}, `does not answer as an API server does: its version is "version 1"`},
		{"<html>", Release{}, "does not answer as an API server does: "},
		{"302 https://example.com/", Release{}, "the API server answers 302"},
	}
	for _, tt := range tests {
		server, pair := apiServer(t, map[string]string{"/version": tt.answer})
		got, err := ReleaseFor(t.Context(), hostfs.At("/"), write(t, server, pair, byCertificate))
		if got != tt.want || (err == nil) != (tt.fails == "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
			t.Errorf("%s: got %+v, %v", tt.answer, got, err)
		}
	}
	if _, err := ReleaseFor(t.Context(), hostfs.At(t.TempDir()), "/etc/kubernetes/kubelet.conf"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no kubeconfig: %v", err)
	}
}

// A kubelet of before leases has none; a node that never reported is not ready.
func TestGetWithoutLeaseAndConditions(t *testing.T) {
	t.Parallel()
	server, pair := apiServer(t, map[string]string{worker: `{}`})
	c, err := Open(write(t, server, pair, byCertificate))
	if err != nil {
		t.Fatal(err)
	}
	n, err := c.Get(t.Context(), "worker-1")
	if err != nil || n.Ready != "Unknown" || !n.Renewed.IsZero() {
		t.Errorf("got %+v, %v", n, err)
	}
}

func TestHeardSince(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.UnixMilli(1_800_000_000_000 + int64(ms)) }
	tests := []struct {
		name              string
		reported, renewed time.Time
		want              bool
	}{
		{"both after the start", at(1000), at(700), true},
		{"reported in the second of the start", at(0), at(501), true},
		{"no lease", at(0), time.Time{}, true},
		{"the lease is of the kubelet before", at(0), at(499), false},
		{"the status is of the kubelet before", at(-1000), at(700), false},
		{"never", time.Time{}, time.Time{}, false},
	}
	for _, tt := range tests {
		if got := (&Node{Reported: tt.reported, Renewed: tt.renewed}).HeardSince(at(500)); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// What can go wrong is said without the credentials.
func TestErrors(t *testing.T) {
	t.Parallel()
	server, pair := apiServer(t, map[string]string{worker: "302 https://example.com/", "/api/v1/nodes/page": "<html>"})
	const secret = "hush-hush"
	tests := []struct {
		name, user, node, want string
	}{
		{"token that is not accepted", "{token: " + secret + "}", "worker-1", "the API server answers 401"},
		{"redirect", byCertificate, "worker-1", "the API server answers 302"},
		{"not an API server", byCertificate, "page", "does not answer as an API server does"},
		{"plugin", "{exec: {command: get, args: [" + secret + "]}}", "", ErrPlugin.Error()},
		{"no certificate", "{client-certificate: none.pem, client-key: none.pem}", "", "none.pem: no such file"},
		{"no certificate in it", "{client-certificate: kubeconfig, client-key: current.pem}", "", "its client certificate: "},
		{"no YAML", "{token: " + secret + "]", "", "not a kubeconfig"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := Open(write(t, server, pair, tt.user))
			if err == nil {
				_, err = c.Get(t.Context(), tt.node)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// A server that is not there, and one that does not answer, are told by their address.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	server, pair := apiServer(t, nil)
	c, err := Open(write(t, server, pair, byCertificate))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	address := server.Listener.Addr().String()
	if _, err := c.Get(ctx, "worker-1"); err == nil || !strings.Contains(err.Error(), address+": no answer in time") {
		t.Errorf("too late: %v", err)
	}
	server.Close()
	var status *StatusError
	if _, err := c.Get(t.Context(), "worker-1"); err == nil || errors.As(err, &status) || !strings.Contains(err.Error(), address+": dial tcp") {
		t.Errorf("closed: %v", err)
	}
}

// A server that cannot prove its name is not told anything.
func TestServerName(t *testing.T) {
	t.Parallel()
	server, pair := apiServer(t, map[string]string{worker: `{}`})
	file := write(t, server, pair, byCertificate)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(filepath.Dir(file), []byte(strings.Replace(string(data), "server:", "tls-server-name: nowhere.test, server:", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), "worker-1"); err == nil || !strings.Contains(err.Error(), "not nowhere.test") {
		t.Errorf("got %v", err)
	}
}

// The API server is asked through the proxy that kubelet.service has, and directly where NO_PROXY says so.
func TestThroughTheProxyOfKubelet(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"gitVersion":"v1.37.2","major":"1","minor":"37"}`)
	}))
	t.Cleanup(server.Close)
	asked := ""
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked += r.Method + " " + r.Host + "\n"
		there, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		here, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(there, here); there.Close() }()
		_, _ = io.Copy(here, there)
		here.Close()
	}))
	t.Cleanup(proxy.Close)
	root := t.TempDir()
	put := func(name, content string) {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	put("kubeconfig", `{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{"token":"t"}}],
		"clusters":[{"name":"c","cluster":{"server":"https://example.com:6443","certificate-authority-data":"`+base64.StdEncoding.EncodeToString(ca)+`"}}]}`)
	put("etc/kubelet.env", "NO_PROXY=10.0.0.0/8\n")
	put("etc/systemd/system/kubelet.service.d/proxy.conf", "[Service]\nEnvironment=HTTPS_PROXY="+proxy.URL+"\nEnvironmentFile=/etc/kubelet.env\n")
	if r, err := ReleaseFor(t.Context(), hostfs.At(root), "/kubeconfig"); err != nil || r.Version != "v1.37.2" || asked != "CONNECT example.com:6443\n" {
		t.Errorf("%+v, %v; the proxy was asked for %q", r, err, asked)
	}

	asked = ""
	put("etc/kubelet.env", "NO_PROXY=example.com\n")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := ReleaseFor(ctx, hostfs.At(root), "/kubeconfig"); err == nil || asked != "" {
		t.Errorf("%v; the proxy was asked for %q", err, asked)
	}
}
