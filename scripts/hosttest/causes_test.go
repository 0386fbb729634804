package hosttest

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"runtime"
	"strings"
	"testing"
	"time"
)

// causes are failures of a real kubelet, and what kubeletctl diagnose has to say of each. A failure is made by what is written
// into its configuration, by flags, or by what a shell does before it starts and after.
var causes = []struct {
	rule, version string
	fields, flags string
	before, after string
	runs          bool // whether it stays, while no pod does
}{
	{rule: "unknown-flag", version: "v1.37.2", flags: "--no-such-flag"},
	{rule: "unknown-gate", version: "v1.36.3", fields: "featureGates: {NoSuchGate: true}"},
	{rule: "config-invalid", version: "v1.34.4", fields: "maxPods: -5"},
	{rule: "reserved-cgroup", version: "v1.37.2", fields: "enforceNodeAllocatable: [pods, system-reserved]\nsystemReservedCgroup: /nope.slice\nsystemReserved: {cpu: 100m}"},
	{rule: "reserved-cgroup", version: "v1.34.4", fields: "enforceNodeAllocatable: [pods, kube-reserved]\nkubeReservedCgroup: /nope.slice\nkubeReserved: {cpu: 100m}"},
	{rule: "cgroup-root", version: "v1.36.3", fields: "cgroupRoot: /nope"},
	{rule: "kernel-flags", version: "v1.36.3", fields: "protectKernelDefaults: true", before: "echo 0 >/run/vm_overcommit; mount --bind /run/vm_overcommit /proc/sys/vm/overcommit_memory", after: "umount /proc/sys/vm/overcommit_memory"},
	{rule: "swap-v1", version: "v1.37.2", fields: "memorySwap: {swapBehavior: LimitedSwap}"},
	{rule: "cpu-static", version: "v1.34.4", fields: "cpuManagerPolicy: static"},
	{rule: "cpu-state", version: "v1.37.2", fields: "cpuManagerPolicy: static\nkubeReserved: {cpu: 500m}", before: `echo '{"policyName":"none","defaultCpuSet":"","checksum":1353318690}' >/var/lib/kubelet/cpu_manager_state`, after: "rm /var/lib/kubelet/cpu_manager_state"},
	{rule: "memory-static", version: "v1.37.2", fields: "memoryManagerPolicy: Static"},
	{rule: "memory-static", version: "v1.36.3", fields: "memoryManagerPolicy: Static\nreservedMemory: [{numaNode: 0, limits: {memory: 300Mi}}]"},
	{rule: "reserved-cpus", version: "v1.36.3", fields: "reservedSystemCPUs: '4000'"},
	{rule: "eviction-signal", version: "v1.37.2", fields: "evictionHard: {memory.avail: 100Mi}"},
	{rule: "port-in-use", version: "v1.37.2", before: "systemd-run --quiet --unit=squatter socat TCP-LISTEN:10250,fork,reuseaddr EXEC:cat; sleep 1", after: "systemctl stop squatter; systemctl reset-failed squatter"},
	{rule: "port-in-use", version: "v1.34.4", before: "systemd-run --quiet --unit=squatter socat TCP-LISTEN:10250,fork,reuseaddr EXEC:cat; sleep 1", after: "systemctl stop squatter; systemctl reset-failed squatter"},
	{rule: "credential-provider", version: "v1.37.2", flags: "--image-credential-provider-bin-dir=/nope --image-credential-provider-config=/run/providers.yaml", before: `echo '{"apiVersion":"kubelet.config.k8s.io/v1","kind":"CredentialProviderConfig","providers":[{"name":"helper","matchImages":["*.example.com"],"defaultCacheDuration":"1m","apiVersion":"credentialprovider.kubelet.k8s.io/v1"}]}' >/run/providers.yaml`},
	{rule: "cri-no-socket", version: "v1.36.3", fields: "containerRuntimeEndpoint: unix:///run/nope.sock"},
	{rule: "cri-refused", version: "v1.37.2", before: "systemctl stop containerd; systemd-run --quiet --unit=stale socat UNIX-LISTEN:/run/containerd/containerd.sock,unlink-close=0 EXEC:cat; sleep 1; systemctl kill -s KILL stale", after: "systemctl reset-failed stale; rm -f /run/containerd/containerd.sock; systemctl start containerd"},
	{rule: "cri-disabled", version: "v1.37.2", before: `cp /etc/containerd/config.toml /run/containerd.toml; printf 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n' >/etc/containerd/config.toml; systemctl restart containerd`, after: "cp /run/containerd.toml /etc/containerd/config.toml; systemctl restart containerd"},
	{rule: "bootstrap-missing", version: "v1.36.3", flags: "--kubeconfig=/nope/kubeconfig --bootstrap-kubeconfig=/nope/bootstrap"},
	{rule: "file-missing", version: "v1.37.2", fields: "authentication: {webhook: {enabled: false}, anonymous: {enabled: false}, x509: {clientCAFile: /nope/ca.crt}}"},
	{rule: "disk-full", version: "v1.36.3", flags: "--root-dir=/run/small", before: "mkdir -p /run/small; mount -t tmpfs -o size=4k tmpfs /run/small; head -c 4096 /dev/zero >/run/small/full || true", after: "umount /run/small"},
	{rule: "exec-denied", version: "v1.37.2", before: "cp /release/v1.37.2/bin/linux/" + runtime.GOARCH + "/kubelet /run/kubelet; chmod -x /run/kubelet; sed -i 's,^ExecStart=[^ ]*,ExecStart=/run/kubelet,' /etc/systemd/system/kubelet.service; systemctl daemon-reload", after: "rm /run/kubelet"},
	// Healthy and useless.
	{rule: "sandbox-image", version: "v1.37.2", fields: static, before: pausePod + "ctr -n k8s.io images rm " + sandboxImage, runs: true, after: "ctr -n k8s.io images import /root/image.tar; " + noPod},
	{rule: "cgroup-driver-runtime", version: "v1.37.2", fields: static + "\ncgroupDriver: cgroupfs", before: pausePod, runs: true, after: noPod},
	{rule: "resolv-conf", version: "v1.36.3", fields: static + "\nresolvConf: /run/systemd/resolve/nope.conf", before: pausePod, runs: true, after: noPod},
	{rule: "volume", version: "v1.37.2", fields: static, before: strings.Replace(strings.Replace(pausePod, `"hostNetwork"`, `"volumes":[{"name":"v","hostPath":{"path":"/nope","type":"Directory"}}],"hostNetwork"`, 1), `"args"`, `"volumeMounts":[{"name":"v","mountPath":"/v"}],"args"`, 1), runs: true, after: noPod},
	{rule: "manifest", version: "v1.37.2", fields: static, before: "mkdir -p /etc/kubernetes/manifests; echo 'kind: Pod {' >/etc/kubernetes/manifests/broken.yaml", runs: true, after: "rm /etc/kubernetes/manifests/broken.yaml"},
	{rule: "runtime-down", version: "v1.37.2", runs: true, after: "systemctl start containerd", before: "systemd-run --quiet --on-active=8 --timer-property=AccuracySec=100ms systemctl stop containerd"},
}

const (
	static   = "staticPodPath: /etc/kubernetes/manifests"
	pausePod = `mkdir -p /etc/kubernetes/manifests; echo '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"hostNetwork":true,"containers":[{"name":"c","image":"` + podsImage + `","imagePullPolicy":"IfNotPresent","args":["pause"]}]}}' >/etc/kubernetes/manifests/p.yaml; `
	noPod    = "rm -f /etc/kubernetes/manifests/p.yaml"
)

// plainUnit is a kubelet.service that somebody else has written.
const plainUnit = `[Service]
ExecStart=/release/VERSION/bin/linux/` + runtime.GOARCH + `/kubelet --config=/etc/kubelet.yaml FLAGS
Restart=no
`

const plainConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: systemd
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {webhook: {enabled: false}, anonymous: {enabled: true}}
authorization: {mode: AlwaysAllow}
`

// A failure that is known is told from every other, for a kubelet that kubeletctl has not installed. scripts/sweep causes tries all.
func TestCausesOfRealKubelets(t *testing.T) {
	t.Parallel()
	h := start(t, realDir(t))
	h.preparePods()
	for i, c := range causes {
		if i%8 != 0 && !fullSweep() {
			continue
		}
		t.Run(c.rule+"-"+c.version, func(t *testing.T) {
			h := h.in(t)
			h.plainKubelet(c.version, c.fields, c.flags)
			t.Cleanup(func() { h.must("sh", "-c", "systemctl stop kubelet; "+cmp.Or(c.after, "true")) })
			h.must("sh", "-ec", cmp.Or(c.before, "true"))
			h.must("sh", "-c", "systemctl daemon-reload; systemctl restart kubelet || true")
			if c.runs {
				h.within(time.Minute, "kubelet runs", func() bool { return h.try("curl", "-sf", "http://127.0.0.1:10248/healthz").ExitCode == 0 })
				h.within(2*time.Minute, "kubelet complains", func() bool { return h.diagnosis().Rule == c.rule })
			} else {
				h.within(time.Minute, "kubelet has ended", func() bool { return h.show("ActiveState") == "failed" })
			}
			t.Log(h.exits(3, "kubeletctl", "diagnose").Stdout)
			if d := h.diagnosis(); d.Rule != c.rule {
				t.Errorf("the rule is %q", d.Rule)
			}
		})
	}
}

// diagnosis is what kubeletctl diagnose says, decoded.
func (h *host) diagnosis() (d struct {
	Healthy bool
	Rule    string
}) {
	h.t.Helper()
	r := h.try("kubeletctl", "diagnose", "-o", "json")
	if err := json.Unmarshal([]byte(r.Stdout), &d); err != nil || (r.ExitCode == 0) != d.Healthy {
		h.t.Fatalf("exit code %d: %v\n%s%s", r.ExitCode, err, r.Stdout, r.Stderr)
	}
	return d
}

// A kubelet whose /healthz is ok, and whose node is not Ready, is not well; what is normal right after its start is none of that.
func TestHealthyKubeletOfANodeThatIsNotReady(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	h := start(t, dir)
	h.startControlPlane()
	h.must("install", "-D", "-m", "0600", controlPlane+"/bootstrap-kubeconfig", "/var/lib/kubelet/bootstrap-kubeconfig")
	h.must("kubeletctl", append([]string{"install", "--version", "v1.37.2", "--source", h.source, "--set", "failCgroupV1=false",
		"--bootstrap-kubeconfig", "/var/lib/kubelet/bootstrap-kubeconfig", "--node-ip", "192.0.2.1"}, given(t, dir, "v1.37.2")...)...)
	becomes := func(rule, checked string) {
		t.Helper()
		h.within(90*time.Second, "the rule is "+rule, func() bool { return h.diagnosis().Rule == rule })
		said := h.try("kubeletctl", "diagnose").Stdout
		t.Log(said)
		contains(t, said, "^kubelet runs, but ")
		contains(t, said, `(?m)^  checked +`+checked)
		contains(t, h.try("kubeletctl", "status").Stdout, "(?m)^warning "+rule+": ")
	}
	contains(t, h.must("kubeletctl", "diagnose"), "^kubelet is healthy; it was started less than a minute ago, and the node .* is not Ready: ")
	becomes("cni", "containerd .* says NetworkPluginNotReady: ")
	h.write("/etc/cni/net.d/10-bridge.conflist", bridge)
	h.within(90*time.Second, "the node is Ready", func() bool { return h.diagnosis().Healthy })

	h.must("systemctl", "stop", "manager-test")
	h.must("cp", controlPlane+"/server.crt", "/root/server.crt")
	h.write(controlPlane+"/server.crt", expired(t, h.must("cat", controlPlane+"/server.crt"), h.must("cat", controlPlane+"/server.key"),
		h.must("cat", controlPlane+"/ca.crt"), h.must("cat", controlPlane+"/ca.key")))
	h.must("systemctl", "restart", "apiserver-test")
	becomes("server-cert-expired", `the certificate of 127\.0\.0\.1:6443 expired on `)
	h.must("systemctl", "stop", "apiserver-test")
	h.within(150*time.Second, "the API server cannot be reached", func() bool { return h.diagnosis().Rule == "api-unreachable" })
}

// expired is a certificate as another one, that was valid until yesterday.
func expired(t *testing.T, certificate, key, authority, authorityKey string) string {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := tls.X509KeyPair([]byte(authority), []byte(authorityKey))
	if err != nil {
		t.Fatal(err)
	}
	old := *pair.Leaf
	old.NotBefore, old.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &old, ca.Leaf, old.PublicKey, ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// plainKubelet writes a unit and a configuration that kubeletctl knows nothing of.
func (h *host) plainKubelet(version, fields, flags string) {
	h.t.Helper()
	base := plainConfig
	for line := range strings.Lines(fields) { // a field that is given twice is an error
		key, _, _ := strings.Cut(line, ":")
		for old := range strings.Lines(base) {
			if strings.HasPrefix(old, key+":") {
				base = strings.Replace(base, old, "", 1)
			}
		}
	}
	h.write("/etc/kubelet.yaml", base+fields+"\n")
	h.write("/etc/systemd/system/kubelet.service", strings.NewReplacer("VERSION", version, "FLAGS", flags).Replace(plainUnit))
}
