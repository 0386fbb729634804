package hosttest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/join"
	"github.com/kubeletctl/kubeletctl/scripts/controlplane"
)

// pinOf is the hash of the CA of the control plane, as kubeadm prints it.
func (h *host) pinOf() string {
	h.t.Helper()
	block, _ := pem.Decode([]byte(h.must("cat", controlPlane+"/ca.crt")))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		h.t.Fatal(err)
	}
	sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// admin asks the API server of the control plane, as an administrator.
func (h *host) admin(path string, args ...string) string {
	h.t.Helper()
	return h.must("curl", append([]string{"-sSf", "--max-time", "5", "--cacert", controlPlane + "/ca.crt", "-H", "Authorization: Bearer " + controlplane.AdminToken,
		controlplane.Server + path}, args...)...)
}

// decide approves or denies the request for a client certificate that waits; false when there is none.
func (h *host) decide(condition string) bool {
	h.t.Helper()
	const requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal([]byte(h.admin(requests)), &list); err != nil {
		h.t.Fatal(err)
	}
	for _, item := range list.Items {
		status, _ := item["status"].(map[string]any)
		if spec, _ := item["spec"].(map[string]any); len(status) > 0 || spec["signerName"] != join.ClientSigner {
			continue
		}
		item["status"] = map[string]any{"conditions": []any{map[string]any{"type": condition, "status": "True", "reason": "Test", "message": "the test says so"}}}
		data, err := json.Marshal(item)
		if err != nil {
			h.t.Fatal(err)
		}
		h.write("/run/request.json", string(data))
		name := item["metadata"].(map[string]any)["name"].(string)
		h.admin(requests+"/"+name+"/approval", "-o", "/dev/null", "-X", "PUT", "-H", "Content-Type: application/json", "--data-binary", "@/run/request.json")
		return true
	}
	return false
}

// settled are the files of the host without the record, which grows.
func (h *host) settled() string {
	h.t.Helper()
	var lines []string
	for line := range strings.Lines(h.ours()) {
		if !strings.Contains(line, "/var/lib/kubeletctl") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// relabels changes what counts only when a node is registered: the Node follows, and kubelet goes on as it is.
func (h *host) relabels(name string) {
	t := h.t
	t.Helper()
	node := "/api/v1/nodes/" + name

	pid := h.show("MainPID")
	set := func(words string, args ...string) {
		t.Helper()
		contains(t, h.exits(0, "kubeletctl", append([]string{"set", "--skip-rehearsal"}, args...)...).Stderr, words)
		h.status(0)
		h.exits(0, "kubeletctl", "diff")
		if now := h.show("MainPID"); now != pid {
			t.Errorf("set %q restarted kubelet", args)
		}
	}
	set(`labels of node `+name+` changed: example\.com/a=1 topology\.kubernetes\.io/zone=z1`, "--node-labels", "example.com/a=1,topology.kubernetes.io/zone=z1")
	set(`labels of node `+name+` changed: example\.com/a=2 topology\.kubernetes\.io/zone-`, "--node-labels", "example.com/a=2")
	contains(t, h.admin(node), `"example\.com/a": ?"2"`)
	set(`an administrator does: kubectl taint node `+name+` gpu=yes:NoSchedule\n`, "--set", `registerWithTaints=[{"key":"gpu","value":"yes","effect":"NoSchedule"}]`)

	// One that somebody changed is shown, and put back.
	h.admin(node, "-o", "/dev/null", "-X", "PATCH", "-H", "Content-Type: application/merge-patch+json", "-d", `{"metadata":{"labels":{"example.com/a":"3"}}}`)
	contains(t, h.exits(5, "kubeletctl", "diff").Stdout, `^node: has the label example\.com/a=3, want 2\n`)
	if s := h.try("kubeletctl", "status"); !strings.Contains(s.Stdout, "has the label example.com/a=3, want 2") {
		t.Errorf("status says nothing of the Node: %s", s.Stdout)
	}
	contains(t, h.exits(0, "kubeletctl", "repair").Stderr, `labels of node `+name+` changed: example\.com/a=2\n`)
	h.exits(0, "kubeletctl", "diff")

	// A serving certificate is asked for, and nobody approves that by himself.
	h.must("kubeletctl", "set", "--skip-rehearsal", "--set", "serverTLSBootstrap=true")
	h.eventually("the request for a serving certificate is named", func() bool {
		return strings.Contains(h.try("kubeletctl", "status").Stdout, "hint: kubectl certificate approve csr-")
	})
	contains(t, h.exits(0, "kubeletctl", "set", "--skip-rehearsal", "--unset", "node-labels", "--unset", "registerWithTaints", "--unset", "serverTLSBootstrap").Stderr,
		`labels of node `+name+` changed: example\.com/a-\n`)
}

// startUnjoined makes a host with a kubelet that is in no cluster, a network for pods, and a control plane of which it has the token.
func startUnjoined(t *testing.T) *host {
	t.Helper()
	h := start(t, realDir(t))
	h.write("/etc/cni/net.d/10-bridge.conflist", bridge)
	h.startControlPlane()
	h.must("kubeletctl", h.installUnjoined()...)
	h.write("/run/token", controlplane.BootstrapToken)
	return h
}

func (h *host) installUnjoined() []string {
	return append([]string{"install", "--version", "v1.37.2", "--source", h.source, "--set", "failCgroupV1=false", "--node-ip", "192.0.2.1"}, given(h.t, h.dir, "v1.37.2")...)
}

// A host joins a cluster by a request that somebody has to approve, is Ready, and leaves it.
func TestJoin(t *testing.T) {
	t.Parallel()
	h := startUnjoined(t)
	h.admin("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/test:nodeclient", "-o", "/dev/null", "-X", "DELETE")
	before, name := h.settled(), h.Name()
	args := func(pin string, more ...string) []string {
		return append([]string{"join", "--server", controlplane.Server, "--discovery-token-ca-cert-hash", pin, "--token-file", "/run/token"}, more...)
	}
	pin := h.pinOf()
	outside := func() {
		t.Helper()
		h.must("sh", "-c", "! ls /var/lib/kubelet/kubeconfig /var/lib/kubelet/bootstrap-kubeconfig /var/lib/kubelet/cluster-ca.crt /var/lib/kubelet/pki/kubelet-client* 2>/dev/null")
		if after := h.settled(); after != before {
			t.Errorf("the host is another one than before:\n%s\n%s", difference(before, after), h.must("cat", "/var/lib/kubelet/kubelet-config.yaml"))
		}
		if state := h.show("ActiveState"); state != "inactive" {
			t.Errorf("kubelet is %s", state)
		}
	}

	// One that is denied leaves the host as it was.
	denied := h.Command(t.Context(), "kubeletctl", args(pin)...)
	var said bytes.Buffer
	denied.Stdout, denied.Stderr = &said, &said
	if err := denied.Start(); err != nil {
		t.Fatal(err)
	}
	for !h.decide("Denied") && h.show("LoadState") == "loaded" && denied.ProcessState == nil { // until the deadline of the test
		time.Sleep(time.Second)
	}
	if err := denied.Wait(); err == nil || denied.ProcessState.ExitCode() != 1 {
		t.Errorf("a join that was denied: %v", err)
	}
	contains(t, said.String(), `error: the request csr-\w+ for a client certificate was denied: the test says so; the host is as it was before`)
	outside()

	// A wait that runs out keeps the join.
	r := h.exits(1, "kubeletctl", args(pin, "--wait-ready", "20s")...)
	contains(t, r.Stderr, `error: timed out \(--wait-ready 20s\): the request csr-\w+ for a client certificate waits to be approved`)
	contains(t, r.Stderr, `hint: kubectl certificate approve csr-\w+; kubelet goes on by itself`)
	if !h.decide("Approved") {
		t.Error("no request waits")
	}
	contains(t, h.must("kubeletctl", args(pin)...), `(?m)^joined https://127\.0\.0\.1:6443: the node `+name+` is Ready$`)
	if version, ready := h.clusterNode(name); version != "v1.37.2" || ready != "True" {
		t.Errorf("the API server says: %s, Ready %s", version, ready)
	}
	h.status(0)
	h.exits(0, "kubeletctl", "diff")
	contains(t, h.must("cat", "/var/lib/kubelet/kubelet-config.yaml"), `(?m)^clusterDomain: cluster\.test$`)
	contains(t, h.must("kubeletctl", args(pin)...), `^joined to https://127\.0\.0\.1:6443 already: nothing to do`)
	secret := strings.Split(controlplane.BootstrapToken, ".")[1]
	h.must("sh", "-c", "! grep -rl "+secret+" /var/lib/kubelet /var/lib/kubeletctl /etc /var/log 2>/dev/null")
	if journal := h.must("journalctl", "--no-pager", "-t", "kubeletctl"); strings.Contains(journal, secret) {
		t.Error("the token is in the journal")
	}
	r = h.exits(7, "kubeletctl", args("sha256:"+strings.Repeat("00", 32))...)
	contains(t, r.Stderr, `error: joined: this host is joined to another cluster already: https://127\.0\.0\.1:6443`)

	h.relabels(name)
	contains(t, h.must("kubeletctl", "leave", "--skip-rehearsal"), `the Node object stays until an administrator deletes it: kubectl delete node `+name)
	outside()
	contains(t, h.must("kubeletctl", "leave"), `this host is joined to no cluster: nothing to do`)
	if _, ready := h.clusterNode(name); ready == "True" { // for less than a minute after kubelet was stopped
		contains(t, h.exits(7, "kubeletctl", args(pin, "--wait-ready", "20s")...).Stderr, `error: the cluster has a node `+name+` already, and it is Ready`)
	} else {
		t.Log("the node is not Ready any more: its name is free")
	}
	outside()

	// One command, as at a first boot and at the next.
	h.admin("/api/v1/nodes/"+name, "-o", "/dev/null", "-X", "DELETE")
	h.write("/run/join.yaml", "server: "+controlplane.Server+"\ntoken: "+controlplane.BootstrapToken+"\ncaFile: "+controlPlane+"/ca.crt\nwaitReady: 20s\n")
	install := append(h.installUnjoined(), "--join-file", "/run/join.yaml")
	h.must("chmod", "0644", "/run/join.yaml")
	contains(t, h.exits(2, "kubeletctl", install...).Stderr, `hint: chmod 0600 /run/join\.yaml`)
	h.must("chmod", "0600", "/run/join.yaml")
	contains(t, h.exits(1, "kubeletctl", install...).Stderr, `waits to be approved`)
	h.decide("Approved")
	h.must("sed", "-i", "s/waitReady: .*/waitReady: 90s/", "/run/join.yaml") // kubelet has waited for long, and tries again only now and then
	contains(t, h.must("kubeletctl", install...), `is Ready`)
	contains(t, h.must("kubeletctl", install...), `joined to https://127\.0\.0\.1:6443 already: nothing to do`)
}

// A join that is killed at any of its system calls is taken back by the recovery, or gone on with by the same command; the token stays
// nowhere. scripts/sweep join tries all calls.
func TestKilledJoin(t *testing.T) {
	t.Parallel()
	h := startUnjoined(t)
	h.trace()
	before, name := h.settled(), h.Name()
	join := []string{"kubeletctl", "join", "--server", controlplane.Server, "--discovery-token-ca-cert-hash", h.pinOf(), "--token-file", "/run/token", "--skip-rehearsal"}
	leave := func() {
		t.Helper()
		h.must("kubeletctl", "leave", "--skip-rehearsal")
		h.admin("/api/v1/nodes/"+name, "-o", "/dev/null", "-X", "DELETE")
		if after := h.settled(); after != before {
			t.Fatalf("the host is another one than before:\n%s", difference(before, after))
		}
	}
	secret := strings.Split(controlplane.BootstrapToken, ".")[1]
	all := h.points(join)
	leave()
	tried, back := 0, 0
	for _, p := range chosen(all, 5) {
		switch r := h.try("tracer", append([]string{"kill", strconv.Itoa(p.n)}, join...)...); r.ExitCode {
		case 128 + 9:
		case 99: // this run made fewer calls than the one that was listed
			leave()
			continue
		default:
			t.Errorf("call %d (%s): exit code %d\n%s", p.n, p.what, r.ExitCode, r.Stderr)
		}
		tried++
		h.must("systemctl", "start", "kubeletctl-recover.service")
		if h.settled() == before {
			back++
			h.must("sh", "-c", "! grep -rl "+secret+" /var/lib/kubelet /var/lib/kubeletctl /etc")
		}
		if half := h.must("find", "/var/lib/kubelet", "/var/lib/kubeletctl", "-name", ".bootstrap-kubeconfig*", "-o", "-name", ".kubeconfig*", "-o", "-name", ".cluster-ca*"); half != "" {
			t.Errorf("call %d (%s): left half written: %s", p.n, p.what, half)
		}
		contains(t, h.must(join[0], join[1:]...), "^joined ")
		h.status(0)
		if left := h.must("sh", "-c", "grep -rl "+secret+" /var/lib/kubelet /var/lib/kubeletctl /etc /var/log || true; ls -d /var/lib/kubeletctl/joining 2>/dev/null || true"); left != "" {
			t.Errorf("call %d (%s): left: %s", p.n, p.what, left)
		}
		leave()
	}
	if tried == 0 {
		t.Error("no call was reached")
	}
	t.Logf("verdict: join: %d calls, %d tried, %d back to where it began, %d gone on with", len(all), tried, back, tried-back)
}

// badJoins are joins that are refused, and the words that say why. The script before breaks something of the cluster or of the host, and the
// one after repairs it.
var badJoins = []struct {
	name, before, after string
	args                []string // instead of those of a good join that they name
	code                int
	words               string
}{
	{name: "a name that nobody knows", args: []string{"--server", "https://none.invalid:6443"}, code: 7, words: `the name none\.invalid of the API server cannot be resolved`},
	{name: "nobody listens", args: []string{"--server", "https://127.0.0.1:6499"}, code: 7, words: `no connection to the API server: dial tcp 127\.0\.0\.1:6499: connect: connection refused`},
	{name: "another service", args: []string{"--server", "https://127.0.0.1:6500"}, code: 7, words: `no TLS connection to the API server: `,
		before: "systemd-run -q --collect --unit=stranger socat TCP-LISTEN:6500,fork,reuseaddr SYSTEM:'echo hello'; sleep 1", after: "systemctl stop stranger"},
	{name: "nobody answers", args: []string{"--server", "https://127.0.0.1:6501"}, code: 7, words: `no (TLS )?connection to the API server: `,
		before: "systemd-run -q --collect --unit=stranger socat TCP-LISTEN:6501,fork,reuseaddr EXEC:'sleep 60'; sleep 1", after: "systemctl stop stranger"},
	{name: "another CA", args: []string{"--discovery-token-ca-cert-hash", "sha256:" + strings.Repeat("00", 32)}, code: 7, words: `the CA in cluster-info of \S+ is not the one of --discovery-token-ca-cert-hash`},
	{name: "a token of another cluster", args: []string{"--token-file", "/run/other"}, code: 7, words: `cluster-info of \S+ has no signature for the token zzzzzz`,
		before: "echo zzzzzz.0123456789abcdef >/run/other"},
	{name: "a token that is misspelt", args: []string{"--token-file", "/run/other"}, code: 7, words: `the signature of cluster-info .* is wrong`,
		before: "echo abcdef.0123456789abcdee >/run/other"},
	{name: "no token", args: []string{"--token-file", "/run/other"}, code: 2, words: `not a bootstrap token`, before: "echo token >/run/other"},
	{name: "the cluster publishes nothing", code: 7, words: `cluster-info`,
		before: `get "$API/api/v1/namespaces/kube-public/configmaps/cluster-info" | jq '{metadata: {name: .metadata.name}, data}' >/run/info; ask -X DELETE "$API/api/v1/namespaces/kube-public/configmaps/cluster-info"`,
		after:  `ask -H "Content-Type: application/json" --data-binary @/run/info "$API/api/v1/namespaces/kube-public/configmaps"`},
	{name: "nobody may see it without credentials", code: 7, words: `shows cluster-info to nobody without credentials \(403\)`,
		before: `get "$API/apis/rbac.authorization.k8s.io/v1/namespaces/kube-public/rolebindings/test:cluster-info" | jq 'del(.metadata.uid, .metadata.resourceVersion)' >/run/binding
			ask -X DELETE "$API/apis/rbac.authorization.k8s.io/v1/namespaces/kube-public/rolebindings/test:cluster-info"; sleep 1`,
		after: `ask -H "Content-Type: application/json" --data-binary @/run/binding "$API/apis/rbac.authorization.k8s.io/v1/namespaces/kube-public/rolebindings"; sleep 1`},
	{name: "the CA as a file is another one", args: []string{"--discovery-token-ca-cert-hash", "", "--ca-file", "/run/other.crt"}, code: 7, words: `the certificate of \S+ is not signed by the CA of the cluster`,
		before: "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj /CN=other -days 1 -out /run/other.crt 2>/dev/null"},
	{name: "a token that is not accepted", args: []string{"--server", "", "--token-file", "", "--discovery-token-ca-cert-hash", "", "--bootstrap-kubeconfig", "/run/other.conf"}, code: 7,
		words: `\S+ does not accept the token: it is wrong, or it has expired`, before: "sed 's/abcdef.0123456789abcdef/zzzzzz.0123456789abcdef/' " + controlPlane + "/bootstrap-kubeconfig >/run/other.conf"},
	{name: "a proxy that is not there", args: []string{"--server", "https://192.0.2.9:6443"}, code: 7, words: `no connection to the API server: proxyconnect tcp: dial tcp 127\.0\.0\.1:9: `,
		before: "mkdir /etc/systemd/system/kubelet.service.d; printf '[Service]\\nEnvironment=HTTPS_PROXY=http://127.0.0.1:9\\n' >/etc/systemd/system/kubelet.service.d/proxy.conf",
		after:  "rm -r /etc/systemd/system/kubelet.service.d"},
	{name: "read-only", code: 7, words: `read-only file system`, before: "mount -o remount,bind,ro /var/lib/kubelet", after: "mount -o remount,bind,rw /var/lib/kubelet"},
	{name: "disk full", code: 7, words: `disk: the file system of /var/lib/kubelet has 0 B free`, before: "mount -o remount,size=$(df --output=used -B1 /var/lib/kubelet | tail -n 1) /var/lib/kubelet",
		after: "mount -o remount,size=8g /var/lib/kubelet"},
}

// A join that cannot succeed says why, leaves the host as it was, and the token nowhere.
func TestBadJoins(t *testing.T) {
	t.Parallel()
	h := startUnjoined(t)
	before, name, pin := h.settled(), h.Name(), h.pinOf()
	secret := strings.Split(controlplane.BootstrapToken, ".")[1][:12]
	args := func(more ...string) []string {
		flags := []string{"--server", controlplane.Server, "--discovery-token-ca-cert-hash", pin, "--token-file", "/run/token", "--wait-ready", "3s"}
		for i := 0; i < len(more); i += 2 {
			at := slices.Index(flags, more[i])
			switch {
			case at < 0:
				flags = append(flags, more[i:i+2]...)
			case more[i+1] == "":
				flags = slices.Delete(flags, at, at+2)
			default:
				flags[at+1] = more[i+1]
			}
		}
		return append([]string{"HTTPS_PROXY=http://127.0.0.1:9", "kubeletctl", "join", "--skip-rehearsal"}, flags...) // the loopback is not asked through it
	}
	shell := func(h *host, script string) {
		h.t.Helper()
		h.must("sh", "-ec", `API=`+controlplane.Server+`; get() { curl -sSf --max-time 5 --cacert `+controlPlane+`/ca.crt -H "Authorization: Bearer `+controlplane.AdminToken+`" "$@"; }
			ask() { get -o /dev/null "$@"; }
			`+script)
	}
	asBefore := func(t *testing.T) {
		t.Helper()
		if after := h.settled(); after != before {
			t.Errorf("the host is another one than before:\n%s", difference(before, after))
		}
		if state := h.show("ActiveState"); state != "inactive" {
			t.Errorf("kubelet is %s", state)
		}
		if left := h.must("sh", "-c", "grep -rl "+secret+" /var/lib/kubelet /var/lib/kubeletctl /etc/systemd /etc/kubeletctl /var/log 2>/dev/null; ls -d /var/lib/kubeletctl/joining 2>/dev/null; journalctl --no-pager | grep "+secret+"; true"); left != "" {
			t.Errorf("left: %s", left)
		}
	}
	for _, b := range badJoins {
		t.Run(b.name, func(t *testing.T) {
			h := h.in(t)
			shell(h, cmp.Or(b.before, "true"))
			r := h.exits(b.code, "env", args(b.args...)...)
			shell(h, cmp.Or(b.after, "true"))
			contains(t, r.Stderr, `(?m)^kubeletctl: error: .*`+b.words)
			asBefore(t)
		})
	}

	// What goes wrong while the node's request waits.
	const bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/test:nodeclient"
	h.admin(bindings, "-o", "/dev/null", "-X", "DELETE")
	waiting := func(then func()) (said string, code int) {
		t.Helper()
		var text bytes.Buffer
		c := h.Command(t.Context(), "env", args("--wait-ready", "90s")...)
		c.Stdout, c.Stderr = &text, &text
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { t.Log(text.String()) })
		h.within(time.Minute, "a request waits", func() bool {
			return strings.Contains(h.admin("/apis/certificates.k8s.io/v1/certificatesigningrequests"), `"kubernetes.io/kube-apiserver-client-kubelet"`)
		})
		then()
		_ = c.Wait() // the exit code tells
		return text.String(), c.ProcessState.ExitCode()
	}
	said, code := waiting(func() {
		shell(h, `get "$API/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef" | jq 'del(.metadata.uid, .metadata.resourceVersion)' >/run/secret
			ask -X DELETE "$API/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef"`)
	})
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	contains(t, said, `error: \S+ does not accept the token: it is wrong, or it has expired; the host is as it was before`)
	asBefore(t)
	shell(h, `ask -H "Content-Type: application/json" --data-binary @/run/secret "$API/api/v1/namespaces/kube-system/secrets"
		ask -X DELETE "$API/apis/certificates.k8s.io/v1/certificatesigningrequests"`)
	h.eventually("cluster-info is signed again", func() bool {
		return strings.Contains(h.admin("/api/v1/namespaces/kube-public/configmaps/cluster-info"), "jws-kubeconfig-abcdef")
	})

	// The API server is away for a moment.
	said, code = waiting(func() {
		shell(h, "systemctl kill -s KILL apiserver-test; sleep 2; for i in $(seq 60); do ask $API/readyz && break; sleep 0.5; done")
		h.within(time.Minute, "the request is approved", func() bool { return h.decide("Approved") })
	})
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	contains(t, said, `(?m)^joined \S+: the node `+name+` is Ready$`)
	h.must("kubeletctl", "leave", "--skip-rehearsal")
	asBefore(t)
	h.must("sh", "-c", "kubeletctl report /run/report.tar.gz >/dev/null && ! zcat /run/report.tar.gz | grep -a "+secret)
}
