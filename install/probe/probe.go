// Package probe answers single questions about the machine, for a diagnosis: who listens on a port, whether a file system is full,
// what a container runtime says. It changes nothing, and each answer has a time limit.
package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/node"
)

// Machine is this machine.
type Machine struct {
	Tree hostfs.Tree
	// CRI is the endpoint of kubelet's container runtime; empty for that of kubelet's default.
	CRI string
}

// defaultEndpoint is where a kubelet looks for its runtime.
const defaultEndpoint = "unix:///run/containerd/containerd.sock"

// Endpoint is that of kubelet's container runtime.
func (m Machine) Endpoint() string { return cmp.Or(m.CRI, defaultEndpoint) }

// Runtime is what a container runtime says of itself; the error says why it does not: see [cri.Ask].
func (m Machine) Runtime(ctx context.Context, endpoint string) (cri.Description, error) {
	return cri.Ask(ctx, endpoint)
}

// FileSystem is the one that holds a file.
type FileSystem struct {
	ReadOnly, NoExec bool
	// Free and Size are in bytes, as a normal user may use them, FreeFiles and Files count inodes; zero where there is no limit.
	Free, Size, FreeFiles, Files uint64
}

// Full reports whether there is no room left for data, or for files.
func (f FileSystem) Full() bool {
	return f.Size > 0 && f.Free < f.Size/100 || f.Files > 0 && f.FreeFiles < f.Files/100
}

// FileSystem is that of a file or, as long as that is not there, of the directory above it.
func (m Machine) FileSystem(name string) (FileSystem, error) {
	for {
		var s unix.Statfs_t
		file, err := m.Tree.PathFollowed(name)
		if err == nil {
			err = unix.Statfs(file, &s)
		}
		if errors.Is(err, fs.ErrNotExist) && name != "/" {
			name = path.Dir(name)
			continue
		}
		return FileSystem{
			ReadOnly: s.Flags&unix.ST_RDONLY != 0, NoExec: s.Flags&unix.ST_NOEXEC != 0,
			Free: s.Bavail * uint64(s.Bsize), Size: s.Blocks * uint64(s.Bsize), FreeFiles: s.Ffree, Files: s.Files,
		}, err
	}
}

// Memory is how much this machine has, in bytes; 0 when that is not known.
func Memory() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit) //nolint:unconvert // 32 bits on some machines
}

// Stat is the file behind a path.
func (m Machine) Stat(name string) (fs.FileInfo, error) { return m.Tree.Stat(name) }

// SELinux is the label of a file, empty where there is none, and whether SELinux is enforcing.
func (m Machine) SELinux(name string) (label string, enforcing bool) {
	state, _ := os.ReadFile("/sys/fs/selinux/enforce")
	file, err := m.Tree.PathFollowed(name)
	if err != nil {
		return "", string(state) == "1"
	}
	value := make([]byte, 256)
	n, err := unix.Getxattr(file, "security.selinux", value)
	if err != nil {
		n = 0
	}
	return strings.TrimRight(string(value[:n]), "\x00"), string(state) == "1"
}

// mostOfCertificate is how much of a file with certificates is read, in bytes.
const mostOfCertificate = 1 << 20

// Certificate is the first one in a PEM file.
func (m Machine) Certificate(name string) (*x509.Certificate, error) {
	data, err := m.Tree.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(data[:min(len(data), mostOfCertificate)]); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, fmt.Errorf("%s has no certificate", name)
}

// Server is what the API server shows to anybody who asks.
type Server struct {
	// Time is its clock, to the second.
	Time time.Time
	// Certificate is what it serves with, whoever has signed it.
	Certificate *x509.Certificate
}

// serverTimeout bounds the time that an API server gets to answer.
const serverTimeout = 2 * time.Second

// Server asks an API server for the time. Nothing is sent to it, and nothing that it says is relied on: neither needs trust.
func (m Machine) Server(ctx context.Context, address string) (Server, error) {
	u, err := url.Parse(address)
	if err != nil {
		return Server{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+u.Host+"/version", nil)
	if err != nil {
		return Server{}, err
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: node.ProxyOf(m.Tree), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // see above
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return Server{}, err
	}
	defer resp.Body.Close()
	s := Server{Certificate: resp.TLS.PeerCertificates[0]}
	s.Time, err = http.ParseTime(resp.Header.Get("Date"))
	return s, err
}

// containerdConfig is where containerd reads its configuration.
const containerdConfig = "/etc/containerd/config.toml"

// DisabledCRI is the line with which the configuration of containerd disables its CRI plugin, as FILE:LINE: TEXT; empty when there
// is none.
func (m Machine) DisabledCRI() string {
	text, err := m.Tree.ReadFile(containerdConfig)
	if err != nil {
		return ""
	}
	disables := regexp.MustCompile(`^\s*disabled_plugins\s*=.*"(io\.containerd\.grpc\.v1\.)?cri"`)
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if disables.MatchString(line) {
			return fmt.Sprintf("%s:%d: %s", containerdConfig, number, strings.TrimSpace(line))
		}
	}
	return ""
}
