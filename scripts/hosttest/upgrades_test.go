package hosttest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// upgrade is a change of a host that runs a real v1.36.3.
type upgrade struct {
	name string
	// flags come after "upgrade --version v1.37.2"; with standin it is v1.37.1, a stand-in.
	flags   []string
	standin bool
	// before and after are shell, run in the host.
	before, after string
	// by is who catches it: the tables, preflight, the download, the rehearsal or the gate. A good one is caught by nobody.
	by string
	// words are what the user is told.
	words string
	quick bool
	// slow runs kubelet, and kubeletctl with the rehearsal, with a tenth of a core.
	slow bool
}

// mostDown is for how long no bad upgrade may keep a node without a healthy kubelet: the control plane calls it NotReady after
// 40 s without a status up to 1.31, after 50 s from 1.32 on.
const mostDown = 30 * time.Second

func set(fields ...string) []string {
	var flags []string
	for _, f := range fields {
		flags = append(flags, "--set", f)
	}
	return flags
}

var badUpgrades = []upgrade{
	{name: "removed flag", flags: []string{"--kubelet-flag", "network-plugin=kubenet"}, by: "tables", words: "network-plugin", quick: true},
	{name: "unknown flag", flags: []string{"--kubelet-flag", "no-such=1"}, by: "tables", words: "no-such"},
	{name: "unknown field", flags: set("noSuchField=1"), by: "tables", words: "noSuchField"},
	{name: "wrong type", flags: set("maxPods=many"), by: "tables", words: "maxPods"},
	{name: "no such version", flags: []string{"--version", "v1.37.77"}, by: "download", words: "1.37.77"},
	{name: "binary is not kubelet", standin: true, before: `printf '#!/bin/sh\nexit 0\n' >/srv/k/v1.37.1/bin/linux/amd64/kubelet`, after: `cp /srv/good /srv/k/v1.37.1/bin/linux/amd64/kubelet`, by: "download", words: "SHA-256|digest"},
	{name: "cgroup v1", flags: set("failCgroupV1=true"), by: "preflight", words: "cgroup-v1", quick: true},
	{name: "wrong runtime endpoint", flags: []string{"--container-runtime-endpoint", "unix:///run/none.sock"}, by: "preflight", words: "no container runtime listens on /run/none.sock"},
	{name: "CPU manager policy without a reset", flags: set("cpuManagerPolicy=static", "reservedSystemCPUs=0"), by: "preflight", words: "manager-state"},
	{name: "cgroup v1, preflight ignored", flags: append(set("failCgroupV1=true"), "--ignore-preflight", "cgroup-v1"), by: "rehearsal", words: "cgroup v1"},
	{name: "removed feature gate", flags: set("featureGates.DynamicKubeletConfig=true"), by: "tables", words: "DynamicKubeletConfig is gone since 1.26"},
	{name: "unknown feature gate", flags: set("featureGates.NoSuchGate=true"), by: "tables", words: "no release has a feature gate NoSuchGate"},
	{name: "locked feature gate", flags: set("featureGates.CPUManagerPolicyOptions=false"), by: "tables", words: "CPUManagerPolicyOptions is locked to true"},
	{name: "negative maxPods", flags: set("maxPods=-5"), by: "tables", words: "maxPods: -5: must not be negative"},
	{name: "image thresholds crossed", flags: set("imageGCHighThresholdPercent=50", "imageGCLowThresholdPercent=60"), by: "tables", words: "imageGCLowThresholdPercent 60 must be less"},
	{name: "image threshold over 100", flags: set("imageGCHighThresholdPercent=101"), by: "tables", words: "imageGCHighThresholdPercent: 101"},
	{name: "missing client CA", flags: append(set("authentication.x509.clientCAFile=/etc/none.crt"), "--ignore-preflight", "client-ca"), by: "rehearsal", words: "none.crt.*clientCAFile", quick: true},
	{name: "missing certificate", flags: append(set("tlsCertFile=/etc/none.crt", "tlsPrivateKeyFile=/etc/none.key"), "--ignore-preflight", "tls-cert"), by: "rehearsal", words: "none.crt"},
	{name: "certificate that is none", flags: set("tlsCertFile=/etc/hostname", "tlsPrivateKeyFile=/etc/hostname"), by: "rehearsal", words: "PEM"},
	{name: "unknown cipher suite", flags: set("tlsCipherSuites=[TLS_WISHFUL]"), by: "tables", words: "TLS_WISHFUL"},
	{name: "unknown TLS version", flags: set("tlsMinVersion=VersionTLS77"), by: "tables", words: "VersionTLS77"},
	{name: "eviction threshold", flags: set(`evictionHard.memory\.available=abc`), by: "tables", words: "abc"},
	{name: "eviction signal", flags: set(`evictionHard.moon\.phase=5%`), by: "tables", words: "no such eviction signal"},
	{name: "reservation", flags: set("kubeReserved.cpu=abc"), by: "tables", words: "kubeReserved.cpu"},
	{name: "topology manager policy", flags: set("topologyManagerPolicy=wishful"), by: "tables", words: "wishful"},
	{name: "CPU manager policy", flags: append(set("cpuManagerPolicy=wishful"), "--reset-manager-state"), by: "tables", words: "wishful"},
	{name: "enforcement", flags: set("enforceNodeAllocatable=[moon]"), by: "tables", words: "moon"},
	{name: "log format", flags: set("logging.format=verse"), by: "tables", words: "verse"},
	{name: "port out of range", flags: set("port=70000"), by: "tables", words: "70000"},
	{name: "taint", flags: set("registerWithTaints=[{key: a, effect: Wishful}]"), by: "tables", words: "Wishful"},
	{name: "grace periods crossed", flags: set("shutdownGracePeriod=10s", "shutdownGracePeriodCriticalPods=20s"), by: "tables", words: "shutdownGracePeriodCriticalPods 20s must not be longer"},
	{name: "log size", flags: set("containerLogMaxSize=abc"), by: "tables", words: "containerLogMaxSize"},
	{name: "CPUs that this machine has not", flags: append(set("reservedSystemCPUs=4000"), "--reset-manager-state"), by: "rehearsal", words: "4000"},
	{name: "broken kubeconfig", flags: []string{"--standalone=false", "--kubeconfig", "/etc/hostname"}, by: "rehearsal", words: "kubeconfig"},
	{name: "broken bootstrap kubeconfig", flags: []string{"--standalone=false", "--kubeconfig", "/var/lib/kubelet/none", "--bootstrap-kubeconfig", "/etc/hostname"}, by: "rehearsal", words: "bootstrap|kubeconfig|load"},
	{name: "health port taken", flags: set("healthzPort=10999"), before: `systemd-run -q --unit=squatter socat TCP-LISTEN:10999,bind=127.0.0.1,fork,reuseaddr SYSTEM:true; sleep 0.5`, after: "systemctl stop squatter; systemctl reset-failed squatter 2>/dev/null || true", by: "preflight", words: "health-port: another program already listens on 127.0.0.1:10999"},
	{name: "health port taken, preflight ignored", flags: append(set("healthzPort=10999"), "--ignore-preflight", "health-port"), before: `systemd-run -q --unit=squatter socat TCP-LISTEN:10999,bind=127.0.0.1,fork,reuseaddr SYSTEM:true; sleep 0.5`, after: "systemctl stop squatter; systemctl reset-failed squatter 2>/dev/null || true", by: "gate", words: "10999", quick: true},
	{name: "runtime gone, preflight ignored", flags: []string{"--container-runtime-endpoint", "unix:///run/none.sock", "--ignore-preflight", "runtime"}, by: "gate", words: "none.sock|runtime"},
	{name: "crash at once", standin: true, before: "echo 'v1.37.1 crash' >/run/standin", by: "gate", words: "told to crash"},
	{name: "crash after READY", standin: true, before: "echo 'v1.37.1 crash-after 1s' >/run/standin", by: "gate", words: "told to crash after 1s", quick: true},
	{name: "crash after 3 s", standin: true, before: "echo 'v1.37.1 crash-after 3s' >/run/standin", by: "gate", words: "told to crash after 3s"},
	{name: "unhealthy", standin: true, before: "echo 'v1.37.1 sick' >/run/standin", by: "gate", words: "told to be sick"},
	{name: "unhealthy after 3 s", standin: true, before: "echo 'v1.37.1 sick-after 3s' >/run/standin", by: "gate", words: "told to be sick"},
	{name: "hang without READY", standin: true, before: "echo 'v1.37.1 hang' >/run/standin", by: "gate", words: "not healthy within 20s", quick: true},
	{name: "ignores SIGTERM", standin: true, before: "echo 'v1.37.1 stubborn' >/run/standin", by: "gate", words: "not healthy within 20s"},
}

var goodUpgrades = []upgrade{
	{name: "as it is", quick: true},
	{name: "another number of pods", flags: set("maxPods=50")},
	{name: "thresholds and reservations", flags: set(`evictionHard.memory\.available=200Mi`, "kubeReserved.memory=100Mi", "kubeReserved.cpu=100m")},
	{name: "a feature gate", flags: set("featureGates.GracefulNodeShutdown=true")},
	{name: "cgroupfs driver", flags: set("cgroupDriver=cgroupfs")},
	{name: "another health port", flags: set("healthzPort=10777")},
	{name: "an address of the host", flags: set("address=192.0.2.9"), before: "ip addr add 192.0.2.9/32 dev lo", after: "ip addr del 192.0.2.9/32 dev lo"},
	{name: "kubelet's own defaults", flags: []string{"--profile", "upstream"}},
	{name: "static CPUs", flags: append(set("cpuManagerPolicy=static", "reservedSystemCPUs=0"), "--reset-manager-state")},
	{name: "a tenth of a core", slow: true},
	{name: "verbose", flags: []string{"--kubelet-flag", "v=5", "--node-labels", "disk=ssd"}},
	{name: "no API server answers", flags: []string{"--standalone=false", "--kubeconfig", "/etc/kubeconfig"},
		before: `printf '{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{"token":"t"}}],"current-context":"c"}' >/etc/kubeconfig`, after: "rm /etc/kubeconfig"},
	{name: "the first certificate is to come", flags: []string{"--standalone=false", "--kubeconfig", "/var/lib/kubelet/none", "--bootstrap-kubeconfig", "/etc/kubeconfig"},
		before: `printf '{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{"token":"t"}}],"current-context":"c"}' >/etc/kubeconfig`, after: "rm /etc/kubeconfig"},
	{name: "certificates below /run", flags: set("tlsCertFile=/run/k/a.crt", "tlsPrivateKeyFile=/run/k/a.key"),
		before: `mkdir -p /run/k; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /run/k/a.key -out /run/k/a.crt -subj /CN=x -days 2 2>/dev/null`},
}

// poll asks kubelet for its health all the time, until stop returns for how long it did not answer.
func (h *host) poll() (stop func() time.Duration) {
	h.t.Helper()
	h.must("sh", "-c", `rm -f /run/polled; touch /run/polling; while [ -e /run/polling ]; do
		if curl -sf -m 1 -o /dev/null http://127.0.0.1:10248/healthz; then echo "$(date +%s%3N) ok"; else echo "$(date +%s%3N) no"; fi; sleep 0.03; done >/run/polled 2>/dev/null </dev/null &`)
	return func() time.Duration {
		h.t.Helper()
		h.must("rm", "/run/polling")
		var down time.Duration
		var since int64
		for line := range strings.Lines(h.must("cat", "/run/polled")) {
			at, answer, _ := strings.Cut(strings.TrimSpace(line), " ")
			ms, err := strconv.ParseInt(at, 10, 64)
			switch {
			case err != nil:
			case answer == "no" && since == 0:
				since = ms
			case answer == "ok" && since != 0:
				down += time.Duration(ms-since) * time.Millisecond
				since = 0
			}
		}
		return down
	}
}

// codes are the exit codes of the ones who catch a bad upgrade.
var codes = map[string][]int{"tables": {2}, "preflight": {7}, "rehearsal": {7}, "download": {1, 6}, "gate": {8}}

// Bad upgrades are caught, most of them while the former kubelet goes on, and good ones are not.
func TestUpgradeSweep(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	h := start(t, dir)
	good := filepath.Join(tools.release, "v1.37.1/bin/linux/amd64/kubelet")
	h.must("mkdir", "-p", "/srv/k/v1.37.1/bin/linux/amd64")
	for _, to := range []string{"/srv/good", "/srv/k/v1.37.1/bin/linux/amd64/kubelet"} {
		if err := h.Copy(good, to, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := exec.Command("sha256sum", good).Output()
	if err != nil {
		t.Fatal(err)
	}
	standin := []string{"--version", "v1.37.1", "--source", "file:///srv/k", "--sha256", strings.Fields(string(sum))[0]}
	real := append([]string{"--version", "v1.37.2"}, given(t, dir, "v1.37.2")...)
	// A generation to be kept is one to go back to after each good upgrade.
	h.must("kubeletctl", h.install("v1.36.3", append(given(t, dir, "v1.36.3"), "--keep-generations", "50")...)...)
	h.running("v1.36.3")
	command := func(u upgrade) []string {
		args := []string{"kubeletctl", "upgrade", "--retry"}
		if u.slow {
			args = append([]string{"systemd-run", "--quiet", "--pipe", "--wait", "--slice=system.slice"}, args...)
		}
		if u.standin {
			return slices.Concat(args, standin, u.flags)
		}
		return slices.Concat(args, real, u.flags)
	}
	prepare := func(h *host, u upgrade) {
		if u.slow {
			h.must("systemctl", "set-property", "--runtime", "system.slice", "CPUQuota=10%")
		}
		if u.before != "" {
			h.must("sh", "-ec", u.before)
		}
	}
	clean := func(h *host, u upgrade) {
		h.must("rm", "-f", "/run/standin")
		if u.slow {
			h.must("systemctl", "set-property", "--runtime", "system.slice", "CPUQuota=")
		}
		if u.after != "" {
			h.must("sh", "-ec", u.after)
		}
	}
	tried, caught, byWhom := 0, 0, map[string]int{}
	var worst time.Duration
	worstOf := ""
	for _, u := range badUpgrades {
		if !u.quick && !fullSweep() {
			continue
		}
		tried++
		t.Run("bad/"+u.name, func(t *testing.T) {
			h := h.in(t)
			prepare(h, u)
			pid, files := h.show("MainPID"), h.kept()
			stop := h.poll()
			run := command(u)
			r := h.try(run[0], run[1:]...)
			h.running("v1.36.3")
			down := stop()
			clean(h, u)
			if down > worst {
				worst, worstOf = down, u.name
			}
			if down > mostDown {
				t.Errorf("no healthy kubelet for %s, more than %s", down, mostDown)
			}
			by, told := "", r.Stderr[max(0, strings.Index(r.Stderr, "kubeletctl: error:")):]
			for whom, list := range codes {
				for _, code := range list {
					rehearsed := strings.Contains(told, "in the rehearsal")
					if code == r.ExitCode && rehearsed == (whom == "rehearsal") {
						by = whom
					}
				}
			}
			if by != u.by {
				t.Errorf("caught by %q (exit code %d), want %q\n%s", by, r.ExitCode, u.by, r.Stderr)
			}
			contains(t, told, "(?s)"+u.words)
			if after := h.kept(); after != files {
				t.Errorf("files changed:\n%s", difference(files, after))
			}
			if again := h.show("MainPID"); u.by != "gate" && (again != pid || down > 0) {
				t.Errorf("kubelet was disturbed: pid %s, then %s; down for %s", pid, again, down)
			}
			if !t.Failed() {
				caught++
				byWhom[by]++
			}
			line, _, _ := strings.Cut(strings.TrimPrefix(told, "kubeletctl: error: "), "\n")
			t.Logf("caught by %-9s  down %5.2f s  %s: %s", by, down.Seconds(), u.name, line)
		})
	}
	goods, alarms := 0, 0
	for _, u := range goodUpgrades {
		if !u.quick && !fullSweep() {
			continue
		}
		goods++
		t.Run("good/"+u.name, func(t *testing.T) {
			h := h.in(t)
			prepare(h, u)
			defer clean(h, u)
			stop := h.poll()
			run := command(u)
			r := h.try(run[0], run[1:]...)
			down := stop()
			if r.ExitCode != 0 {
				alarms++
				t.Fatalf("a false alarm: exit code %d\n%s", r.ExitCode, r.Stderr)
			}
			contains(t, r.Stdout, "kubelet v1.37.2 .* is healthy")
			h.must("kubeletctl", "rollback", "--to", "1", "--reset-manager-state")
			h.running("v1.36.3")
			t.Logf("good: down %5.2f s  %s", down.Seconds(), u.name)
		})
	}
	t.Logf("verdict: %d bad upgrades tried, %d caught (%s), the former kubelet healthy after each, worst downtime %.2f s (%s); %d good ones, %d false alarms",
		tried, caught, counts(byWhom), worst.Seconds(), worstOf, goods, alarms)
	h.must("kubeletctl", "uninstall")
}

func counts(m map[string]int) string {
	var parts []string
	for _, name := range []string{"tables", "preflight", "download", "rehearsal", "gate"} {
		parts = append(parts, fmt.Sprintf("%d by %s", m[name], name))
	}
	return strings.Join(parts, ", ")
}

// For how long a good change keeps kubelet away, beside a plain restart of the same kubelet. It measures and judges nothing:
// scripts/sweep downtime runs it.
func TestDowntime(t *testing.T) {
	if !fullSweep() {
		t.Skip("scripts/sweep downtime runs this")
	}
	dir := realDir(t)
	h := start(t, dir)
	h.must("kubeletctl", h.install("v1.37.2", given(t, dir, "v1.37.2")...)...)
	h.running("v1.37.2")
	var changes, restarts []time.Duration
	for i := range 9 {
		stop := h.poll()
		h.must("kubeletctl", "upgrade", "--version", "v1.37.2", "--set", fmt.Sprintf("maxPods=%d", 50+i))
		changes = append(changes, stop())
		stop = h.poll()
		h.must("systemctl", "restart", "kubelet.service")
		h.eventually("kubelet is healthy again", func() bool {
			return h.try("curl", "-sf", "-m", "1", "http://127.0.0.1:10248/healthz").ExitCode == 0
		})
		time.Sleep(200 * time.Millisecond) // so that the poll sees it, too
		restarts = append(restarts, stop())
	}
	slices.Sort(changes)
	slices.Sort(restarts)
	change, restart := changes[len(changes)/2], restarts[len(restarts)/2]
	t.Logf("verdict: median of %d: a change keeps kubelet away for %.2f s, systemctl restart for %.2f s: %.2f of it",
		len(changes), change.Seconds(), restart.Seconds(), change.Seconds()/restart.Seconds())
}
