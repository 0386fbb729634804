package node

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/observe"
)

// kubeconfig is what is used here of the format that "Organizing Cluster Access Using kubeconfig Files" describes.
type kubeconfig struct {
	CurrentContext string `json:"current-context"`
	Contexts       []struct {
		Name    string
		Context struct{ Cluster, User string }
	}
	Clusters []struct {
		Name    string
		Cluster cluster
	}
	Users []struct {
		Name string
		User user
	}
}

type cluster struct {
	Server                   string
	CertificateAuthority     string `json:"certificate-authority"`
	CertificateAuthorityData []byte `json:"certificate-authority-data"`
	InsecureSkipTLSVerify    bool   `json:"insecure-skip-tls-verify"`
	TLSServerName            string `json:"tls-server-name"`
	ProxyURL                 string `json:"proxy-url"`
}

type user struct {
	ClientCertificate     string `json:"client-certificate"`
	ClientCertificateData []byte `json:"client-certificate-data"`
	ClientKey             string `json:"client-key"`
	ClientKeyData         []byte `json:"client-key-data"`
	Token                 string
	TokenFile             string
	Exec                  any
	AuthProvider          any `json:"auth-provider"`
}

// Client asks the API server that a kubeconfig names. Errors never hold credentials.
type Client struct {
	// Name is the node that the client certificate is for; empty when it does not say.
	Name string
	// Certificate is that certificate; nil when there is none.
	Certificate *x509.Certificate
	// Server is the URL of the API server, and Authority what its certificate is verified by, in PEM; empty for the
	// certificates of the system.
	Server    string
	Authority []byte
	// Unverified reports that the kubeconfig asks for any certificate to be taken for good.
	Unverified bool
	// Ahead is how far the clock of this host was ahead of the server's at its last answer, to the second.
	Ahead time.Duration

	host, token string
	http        *http.Client
	transport   *http.Transport
}

// Proxy says through which proxy a request goes; nil for none.
type Proxy func(*http.Request) (*url.URL, error)

// ProxyOf is the way to the API server that the kubelet of a host takes, by the proxies that kubelet.service has. Those of this program's
// own environment are not kubelet's.
func ProxyOf(tree hostfs.Tree) Proxy {
	through := sync.OnceValue(func() func(*url.URL) (*url.URL, error) { // many a kubeconfig is only read
		return observe.ProxyConfig(observe.Observer{Tree: tree}.Proxies()).ProxyFunc()
	})
	return func(r *http.Request) (*url.URL, error) { return through()(r.URL) }
}

// Through makes requests go through a proxy, unless the kubeconfig names one itself (k8s.io/client-go/rest).
func (c *Client) Through(proxy Proxy) *Client {
	if c.transport.Proxy == nil {
		c.transport.Proxy = proxy
	}
	return c
}

// Expires is when the client certificate does; zero without one.
func (c *Client) Expires() time.Time {
	if c.Certificate == nil {
		return time.Time{}
	}
	return c.Certificate.NotAfter
}

// ErrPlugin reports that the credentials come from a program, which is kubelet's to run.
var ErrPlugin = errors.New("its credentials come from a plugin")

// Open reads a kubeconfig and the files that it names. The certificates are those of this moment: kubelet replaces its
// own now and then.
func Open(file string) (*Client, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c, err := Parse(filepath.Dir(file), data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// Parse is Open for the content of a kubeconfig whose relative paths begin at a directory.
func Parse(dir string, data []byte) (*Client, error) {
	var k kubeconfig
	if err := yaml.Unmarshal(data, &k); err != nil {
		return nil, errors.New("not a kubeconfig") // the reason might quote a token
	}
	cl, u, err := k.current()
	if err != nil {
		return nil, err
	}
	server, err := url.Parse(cl.Server)
	if err != nil || server.Host == "" || server.Scheme != "https" && server.Scheme != "http" {
		return nil, errors.New("its cluster has no server that could be asked")
	}
	if u.Exec != nil || u.AuthProvider != nil {
		return nil, ErrPlugin
	}
	transport := &http.Transport{TLSHandshakeTimeout: 5 * time.Second}
	authority, err := material(dir, cl.CertificateAuthorityData, cl.CertificateAuthority)
	if err != nil {
		return nil, err
	}
	if transport.TLSClientConfig, err = cl.trust(authority); err != nil {
		return nil, err
	}
	c := &Client{Server: strings.TrimSuffix(cl.Server, "/"), Authority: authority, Unverified: cl.InsecureSkipTLSVerify, host: server.Host}
	if certificate, err := u.certificate(dir); err != nil {
		return nil, err
	} else if certificate != nil {
		transport.TLSClientConfig.Certificates = []tls.Certificate{*certificate}
		c.Name, c.Certificate = nameOf(certificate.Leaf.Subject.CommonName), certificate.Leaf
	}
	if c.token, err = u.bearer(dir); err != nil {
		return nil, err
	}
	if cl.ProxyURL != "" {
		proxy, err := url.Parse(cl.ProxyURL)
		if err != nil {
			return nil, errors.New("its proxy-url is not a URL")
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	c.transport = transport
	c.http = &http.Client{
		Transport: transport,
		// Credentials are for the server that was named, and for no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// trust says which certificates of the server are good.
func (c *cluster) trust(authority []byte) (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: c.InsecureSkipTLSVerify, ServerName: c.TLSServerName}
	if len(authority) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authority) {
			return nil, errors.New("its certificate authority is not a certificate")
		}
	}
	return config, nil
}

// certificate is that of the client, with its key; nil when there is none.
func (u *user) certificate(dir string) (*tls.Certificate, error) {
	certificate, err := material(dir, u.ClientCertificateData, u.ClientCertificate)
	if err != nil {
		return nil, err
	}
	key, err := material(dir, u.ClientKeyData, u.ClientKey)
	if err != nil || len(certificate) == 0 {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("its client certificate: %w", err)
	}
	return &pair, nil
}

// bearer is the token: what a file has, before what the kubeconfig says.
func (u *user) bearer(dir string) (string, error) {
	token, err := material(dir, nil, u.TokenFile)
	if err != nil || len(token) == 0 {
		return u.Token, err
	}
	return strings.TrimSpace(string(token)), nil
}

// material is what a kubeconfig has in itself, else what is in the file that it names, by a path from its directory.
func material(dir string, data []byte, file string) ([]byte, error) {
	if len(data) > 0 || file == "" {
		return data, nil
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	return os.ReadFile(file)
}

// current finds the cluster and the user of the current context.
func (k *kubeconfig) current() (*cluster, *user, error) {
	for _, c := range k.Contexts {
		if c.Name != k.CurrentContext {
			continue
		}
		for i, cl := range k.Clusters {
			if cl.Name != c.Context.Cluster {
				continue
			}
			for j, u := range k.Users {
				if u.Name == c.Context.User {
					return &k.Clusters[i].Cluster, &k.Users[j].User, nil
				}
			}
			return &k.Clusters[i].Cluster, &user{}, nil
		}
	}
	return nil, nil, errors.New("its current context names no cluster that is in it")
}
