// Package controlplane writes what a control plane of one node needs for tests: keys, certificates, kubeconfigs and the
// script that starts etcd, kube-apiserver and kube-controller-manager on the loopback of a host with systemd.
package controlplane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// Server is where the API server answers.
	Server = "https://127.0.0.1:6443"
	// AdminToken may do anything, BootstrapToken only ask for a client certificate. They are worth nothing elsewhere.
	AdminToken, BootstrapToken = "admin-of-the-test", "abcdef.0123456789abcdef"
)

// KubeletConfig is what the cluster says of its kubelets.
const KubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
clusterDNS: [10.96.0.10]
clusterDomain: cluster.test
cgroupDriver: systemd
maxPods: 7
`

// start is run on the host with the directory that Write wrote and the one with the programs. It returns when a kubelet
// could join.
const start = `#!/bin/sh
set -eu
dir=$1 bin=$2
unit() { name=$1; shift; systemd-run --quiet --collect --property=Restart=always --property=RestartSec=1 --unit="$name" "$@"; }
ask() { curl -sf --max-time 5 --cacert "$dir/ca.crt" -H "Authorization: Bearer ` + AdminToken + `" "$@"; }
create() { ask -o /dev/null -H 'Content-Type: application/json' --data "$2" "` + Server + `$1"; }

# kubelet wants an address that is not the loopback.
ip link show cluster0 >/dev/null 2>&1 || { ip link add cluster0 type veth peer name cluster1; ip addr add 192.0.2.1/24 dev cluster0; }
ip link set cluster0 up; ip link set cluster1 up
ip route replace default dev cluster0

unit etcd-test etcd --data-dir=/run/etcd-test --listen-peer-urls=http://127.0.0.1:2380 --logger=zap
unit apiserver-test "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --bind-address=127.0.0.1 --advertise-address=192.0.2.1 \
	--client-ca-file="$dir/ca.crt" --tls-cert-file="$dir/server.crt" --tls-private-key-file="$dir/server.key" \
	--service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$dir/accounts.key" \
	--service-account-signing-key-file="$dir/accounts.key" --service-cluster-ip-range=10.96.0.0/24 --token-auth-file="$dir/tokens.csv" \
	--authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --enable-bootstrap-token-auth
unit manager-test "$bin/kube-controller-manager" --kubeconfig="$dir/admin.kubeconfig" --cluster-signing-cert-file="$dir/ca.crt" \
	--controllers='*,bootstrap-signer-controller,token-cleaner-controller' --cluster-signing-key-file="$dir/ca.key" --service-account-private-key-file="$dir/accounts.key" --root-ca-file="$dir/ca.crt"
for i in $(seq 60); do
	if ask -o /dev/null "` + Server + `/readyz"; then break; fi
	[ "$i" != 60 ] || { echo "the API server is not ready" >&2; exit 1; }
	sleep 0.5
done

create /api/v1/namespaces/kube-system/secrets '{"metadata": {"name": "bootstrap-token-abcdef"}, "type": "bootstrap.kubernetes.io/token",
	"stringData": {"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true"}}'
for role in system:node-bootstrapper system:certificates.k8s.io:certificatesigningrequests:nodeclient; do
	create /apis/rbac.authorization.k8s.io/v1/clusterrolebindings '{"metadata": {"name": "'"test:${role##*:}"'"},
		"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "'"$role"'"},
		"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:bootstrappers"}]}'
done

# What kubeadm publishes of a cluster: to everybody, and to those who join.
publish() { # NAMESPACE CONFIGMAP GROUP KEY FILE
	data=$(sed 's/\\/\\\\/g; s/"/\\"/g; s/$/\\n/' "$5" | tr -d '\n')
	create "/api/v1/namespaces/$1/configmaps" '{"metadata": {"name": "'"$2"'"}, "data": {"'"$4"'": "'"$data"'"}}'
	create "/apis/rbac.authorization.k8s.io/v1/namespaces/$1/roles" '{"metadata": {"name": "'"test:$2"'"},
		"rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["'"$2"'"], "verbs": ["get"]}]}'
	create "/apis/rbac.authorization.k8s.io/v1/namespaces/$1/rolebindings" '{"metadata": {"name": "'"test:$2"'"},
		"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "'"test:$2"'"},
		"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "'"$3"'"}]}'
}
# As kubeadm does, those who join may look whether their name is taken.
create /apis/rbac.authorization.k8s.io/v1/clusterroles '{"metadata": {"name": "test:get-nodes"}, "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]}'
create /apis/rbac.authorization.k8s.io/v1/clusterrolebindings '{"metadata": {"name": "test:get-nodes"},
	"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "test:get-nodes"},
	"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:bootstrappers"}]}'
publish kube-public cluster-info system:unauthenticated kubeconfig "$dir/cluster-info"
publish kube-system kubelet-config system:bootstrappers kubelet "$dir/kubelet-config"
`

// Write fills a directory, and lists what is in it. "start DIR PROGRAMS" starts the control plane.
func Write(dir string) (names []string, err error) {
	authority, err := newPair("ca", nil)
	if err != nil {
		return nil, err
	}
	server, err := newPair("kube-apiserver", authority)
	if err != nil {
		return nil, err
	}
	accounts, err := newPair("service-accounts", authority)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		"ca.crt": authority.certificatePEM(), "ca.key": authority.keyPEM(),
		"server.crt": server.certificatePEM(), "server.key": server.keyPEM(), "accounts.key": accounts.keyPEM(),
		"tokens.csv":           []byte(AdminToken + `,admin,1,"system:masters"` + "\n"),
		"admin.kubeconfig":     kubeconfig(authority, AdminToken),
		"bootstrap-kubeconfig": kubeconfig(authority, BootstrapToken),
		"cluster-info": fmt.Appendf(nil, "apiVersion: v1\nkind: Config\nclusters: [{name: '', cluster: {server: %q, certificate-authority-data: %s}}]\n",
			Server, base64.StdEncoding.EncodeToString(authority.certificatePEM())),
		"kubelet-config": []byte(KubeletConfig),
		"start":          []byte(start),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o700); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// pair is a certificate and its key.
type pair struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newPair makes a certificate for a server on the loopback, signed by parent, or by itself when that is nil.
func newPair(name string, parent *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	signer, signerKey := template, crypto.Signer(key)
	if parent != nil {
		signer, signerKey = parent.certificate, parent.key
	} else {
		template.IsCA, template.BasicConstraintsValid, template.ExtKeyUsage = true, true, nil
		template.KeyUsage |= x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signerKey)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &pair{certificate, key}, err
}

func (p *pair) certificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.certificate.Raw})
}

func (p *pair) keyPEM() []byte {
	der, err := x509.MarshalECPrivateKey(p.key)
	if err != nil {
		panic(err) // of a curve that was chosen here
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

func kubeconfig(authority *pair, token string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "%s", certificate-authority-data: %s}}]
users: [{name: test, user: {token: %s}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
current-context: test
`, Server, base64.StdEncoding.EncodeToString(authority.certificatePEM()), token)
}
