package hosttest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/scripts/gobuild"
)

const (
	podsImage = "podcheck.test/podcheck:1"
	// sandboxImage is what containerd 1.6 starts every pod with.
	sandboxImage = "registry.k8s.io/pause:3.6"
	manifest     = "/etc/kubernetes/manifests/check.yaml"
	podMemory    = 64 << 20
)

// bridge gives each pod an address of its own, which the probes then have to reach.
const bridge = `{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "pods0", "isGateway": true,
	"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.213.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}`

// checkPod has every kind of volume that a pod without an API server can have, every kind of probe, and a group that its
// volumes belong to. The container "mounter" mounts something itself, which the others and the host then see.
const checkPod = `apiVersion: v1
kind: Pod
metadata:
  name: check
  labels: {purpose: proof}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 4242, seccompProfile: {type: RuntimeDefault}}
  volumes:
  - {name: disk, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 8Mi}}
  - {name: labels, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: host, hostPath: {path: /srv/host, type: Directory}}
  - {name: made, hostPath: {path: /srv/made/deep, type: DirectoryOrCreate}}
  - {name: shared, hostPath: {path: /srv/shared, type: DirectoryOrCreate}}
  containers:
  - name: main
    image: ` + podsImage + `
    imagePullPolicy: IfNotPresent
    args: [serve, "8080"]
    resources: {limits: {memory: 64Mi, cpu: 500m}}
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    startupProbe: {periodSeconds: 1, exec: {command: [/podcheck, answers]}}
    readinessProbe: {periodSeconds: 1, httpGet: {port: 8080, path: /ready}}
    livenessProbe: {periodSeconds: 1, failureThreshold: 1, tcpSocket: {port: 8080}}
    volumeMounts:
    - {name: disk, mountPath: /disk}
    - {name: memory, mountPath: /memory}
    - {name: labels, mountPath: /labels}
    - {name: host, mountPath: /host, readOnly: true}
    - {name: host, mountPath: /part, subPath: part}
    - {name: made, mountPath: /made}
    - {name: shared, mountPath: /shared, mountPropagation: HostToContainer}
  - name: mounter
    image: ` + podsImage + `
    imagePullPolicy: IfNotPresent
    args: [mount, /shared/mounted]
    securityContext: {privileged: true, runAsUser: 0}
    volumeMounts:
    - {name: shared, mountPath: /shared, mountPropagation: Bidirectional}
`

// The unit's sandbox leaves pods all that they need of kubelet: volumes and their mounts, exec, probes, logs, limits, and
// an end that leaves no mount behind. And it is one: systemd has no complaint and a better opinion of it than of others.
func TestPodsWorkInTheSandbox(t *testing.T) {
	dir := os.Getenv(realRelease)
	if dir == "" {
		t.Skip(realRelease + " is not set; scripts/test --real sets it")
	}
	for _, version := range []string{"v1.34.4", "v1.36.3", "v1.37.2"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			h := start(t, dir)
			h.preparePods()
			h.must("kubeletctl", slices.Concat(h.install(version), given(t, dir, version), serving)...)
			h.sandboxed()
			p := h.runPod()
			p.volumes()
			p.execAndLogs()
			p.network()
			p.limits()
			p.staysReady()
			p.outlivesAHangingKubelet()
			p.volumes()
			p.leaves()
		})
	}
}

// A purge takes a real kubelet's pods with it: their containers, volumes, mounts and control groups.
func TestPurgeRemovesPods(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	h := start(t, dir)
	h.preparePods()
	h.must("kubeletctl", slices.Concat(h.install("v1.37.2"), given(t, dir, "v1.37.2"), serving)...)
	p := h.runPod()
	p.run("main", "write", "/part/kept", "hello")
	stranger := h.must("sh", "-c", "ctr -n k8s.io run -d --null-io "+podsImage+" stranger /podcheck pause; ctr -n k8s.io containers ls -q | wc -l")
	if strings.TrimSpace(stranger) != "4" {
		t.Fatalf("%s containers run", stranger)
	}
	r := h.exits(0, "kubeletctl", "uninstall", "--purge", "--yes")
	contains(t, r.Stderr, "1 pods? (is|are) removed from the container runtime")
	left := h.must("sh", "-c", "ctr -n k8s.io containers ls -q; ls -A /var/lib/kubelet; grep /var/lib/kubelet/ /proc/self/mountinfo; find /sys/fs/cgroup -type d -path '*kubepods*'; systemctl list-units --all --plain --no-legend 'kubepods*'; pgrep -fl 'podcheck (serve|mount)'; true")
	if strings.TrimSpace(left) != "stranger" {
		t.Errorf("left:\n%s", left)
	}
	// What the pod wrote outside of kubelet's directory is the administrator's.
	if got := h.must("cat", "/srv/host/part/kept"); got != "hello" {
		t.Errorf("a file of a hostPath volume is %q", got)
	}
	h.exits(4, "kubeletctl", "status")
	h.must("sh", "-c", "ctr -n k8s.io tasks kill -s KILL stranger; umount -R /srv/shared/mounted 2>/dev/null; true")
}

// serving makes kubelet's own server answer on loopback, to anyone; only for a machine like this one.
var serving = []string{
	"--set", "enableServer=true", "--set", "address=127.0.0.1",
	"--set", "authentication.anonymous.enabled=true", "--set", "authorization.mode=AlwaysAllow",
}

// preparePods gives a host what its pods need.
func (h *host) preparePods() {
	h.t.Helper()
	archive := filepath.Join(h.t.TempDir(), "image.tar")
	if err := writeImage(archive); err != nil {
		h.t.Fatal(err)
	}
	if err := h.Copy(archive, "/root/image.tar", 0o644); err != nil {
		h.t.Fatal(err)
	}
	h.must("ctr", "-n", "k8s.io", "images", "import", "/root/image.tar")
	h.write("/etc/cni/net.d/10-bridge.conflist", bridge)
	h.write("/srv/host/part/file", "part of the host")
	h.write("/srv/host/file", "of the host")
	// Kubelet sees at once what changes in a directory that is there when it starts; else it looks every 20 seconds.
	h.must("mkdir", "-p", "/srv/shared/mounted", path.Dir(manifest))
	h.must("chmod", "0777", "/srv/host/part") // hostPath leaves modes alone
}

// write makes a file inside.
func (h *host) write(file, text string) {
	h.t.Helper()
	h.must("sh", "-ec", `mkdir -p "$1"; printf %s "$3" >"$2"`, "sh", path.Dir(file), file, text)
}

// pod is the one pod of a host.
type pod struct {
	*host
	name, uid string
}

// runPod hands the pod to kubelet and waits until all its containers are ready, which takes all three probes.
func (h *host) runPod() *pod {
	h.t.Helper()
	h.write(manifest, checkPod)
	p := &pod{host: h, name: "check-" + h.Name()}
	h.eventually("the pod is ready", func() bool {
		var ready bool
		p.uid, ready = p.state()
		return ready
	})
	return p
}

// state is kubelet's own view of the pod.
func (p *pod) state() (uid string, ready bool) {
	p.t.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ Name, UID string }
			Status   struct {
				ContainerStatuses []struct {
					Ready        bool
					RestartCount int
				}
			}
		}
	}
	r := p.try("curl", "-skf", "--max-time", "5", "https://127.0.0.1:10250/pods")
	if r.ExitCode != 0 || json.Unmarshal([]byte(r.Stdout), &list) != nil || len(list.Items) != 1 {
		return "", false
	}
	item := list.Items[0]
	ready = len(item.Status.ContainerStatuses) == 2
	for _, c := range item.Status.ContainerStatuses {
		ready = ready && c.Ready && c.RestartCount == 0
	}
	return item.Metadata.UID, ready
}

// run runs the image's program in a container, through kubelet.
func (p *pod) run(container string, args ...string) string {
	p.t.Helper()
	curl := []string{"-sk", "--max-time", "10", "-G", "-X", "POST", "-w", "%{http_code}",
		fmt.Sprintf("https://127.0.0.1:10250/run/default/%s/%s", p.name, container),
		"--data-urlencode", "cmd=/podcheck " + strings.Join(args, " ")}
	out, ok := strings.CutSuffix(p.must("curl", curl...), "200")
	if !ok {
		p.t.Errorf("%s: podcheck %q: %s", container, args, out)
	}
	return out
}

// volumes asserts that what kubelet mounted is what the containers see.
func (p *pod) volumes() {
	p.t.Helper()
	tests := []struct{ name, path, want string }{
		{"the disk belongs to the group, and so will its files", "/disk", `^2777 0:4242 tmpfs`},
		{"so does the memory, which is a mount of kubelet's", "/memory", `^3777 0:4242 tmpfs`},
		{"the root directory is no tmpfs", "/", `^0755 0:0 0x`},
		{"a directory that kubelet made", "/made", `^0755 0:0 0x`},
	}
	for _, tt := range tests {
		if got := p.run("main", "stat", tt.path); !regexp.MustCompile(tt.want).MatchString(got) {
			p.t.Errorf("%s: %s is %q, want %s", tt.name, tt.path, got, tt.want)
		}
	}
	contains(p.t, p.run("main", "id"), `^1000 1000 \[.*4242.*\]`)
	contains(p.t, p.run("main", "print", "/labels/labels"), `purpose="proof"`)
	for file, want := range map[string]string{"/host/file": "of the host", "/host/part/file": "part of the host", "/part/file": "part of the host"} {
		if got := p.run("main", "print", file); got != want {
			p.t.Errorf("%s holds %q, want %q", file, got, want)
		}
	}

	// Written inside, read on the host: it is one file, and on a mount that both see.
	volumes := "/var/lib/kubelet/pods/" + p.uid + "/volumes/kubernetes.io~empty-dir/"
	for inside, outside := range map[string]string{
		"/disk/new":   volumes + "disk/new",
		"/memory/new": volumes + "memory/new",
		"/part/new":   "/srv/host/part/new",
	} {
		p.run("main", "write", inside, "hello")
		if got := p.must("cat", outside); got != "hello" {
			p.t.Errorf("%s, written as %s, holds %q", outside, inside, got)
		}
	}
	contains(p.t, p.must("stat", "-c", "%g", volumes+"disk/new"), `^4242`)
	contains(p.t, p.must("findmnt", "-n", "-o", "FSTYPE", volumes+"memory"), `^tmpfs`)
	contains(p.t, p.must("findmnt", "-n", "-o", "TARGET", "-T", volumes+"disk"), `^/var/lib/kubelet\n$`) // a tmpfs on test hosts

	// Mounts travel both ways.
	if got := p.must("cat", "/srv/shared/mounted/inner"); got != "mounted inside" {
		p.t.Errorf("what a container mounted holds %q on the host", got)
	}
	p.must("sh", "-c", "mkdir -p /srv/shared/late && mount -t tmpfs late /srv/shared/late && echo late >/srv/shared/late/file")
	contains(p.t, p.run("main", "print", "/shared/late/file"), "late")
	contains(p.t, p.run("main", "print", "/shared/mounted/inner"), "mounted inside")
	p.must("umount", "/srv/shared/late")
}

// execAndLogs asserts that a stream reaches a container and that its output is kept.
func (p *pod) execAndLogs() {
	p.t.Helper()
	url := fmt.Sprintf("https://127.0.0.1:10250/exec/default/%s/main?output=1&error=1&command=/podcheck&command=print&command=/host/file", p.name)
	r := p.try("curl", "-sk", "--http1.1", "--max-time", "5", "-i", "-N", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket",
		"-H", "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: "+base64.StdEncoding.EncodeToString(make([]byte, 16)),
		"-H", "Sec-WebSocket-Protocol: v4.channel.k8s.io", url)
	contains(p.t, r.Stdout, "101 Switching Protocols(?s:.*)of the host(?s:.*)Success")
	log := p.must("curl", "-skf", "--max-time", "5", fmt.Sprintf("https://127.0.0.1:10250/containerLogs/default/%s/main", p.name))
	contains(p.t, log, "serving on port 8080")
	contains(p.t, log, "asked for /ready")
}

// network asserts that programs that kubelet calls do their work: its chains of packet filters are there.
func (p *pod) network() {
	p.t.Helper()
	contains(p.t, p.must("iptables", "-t", "mangle", "-S"), "KUBE-KUBELET-CANARY")
}

// limits asserts that the pod has a control group with its limits, outside of kubelet's own.
func (p *pod) limits() {
	p.t.Helper()
	slice := "pod" + strings.ReplaceAll(p.uid, "-", "_") + ".slice"
	found := p.must("sh", "-c", `cd /sys/fs/cgroup && find . -path '*`+slice+`/*' \( -name memory.max -o -name memory.limit_in_bytes \) | xargs grep -H .`)
	contains(p.t, found, fmt.Sprintf(`/kubepods\.slice/.*%s/cri-containerd-[^/]*/memory[^:]*:%d\n`, slice, podMemory))

	// Kubelet is counted alone, in all hierarchies in the same place; else it would not report what it uses itself.
	for group := range strings.Lines(p.must("cat", "/proc/"+p.show("MainPID")+"/cgroup")) {
		for _, controller := range []string{"cpu", "memory", "name=systemd", ""} {
			parts := strings.SplitN(strings.TrimSpace(group), ":", 3)
			if slices.Contains(strings.Split(parts[1], ","), controller) && parts[2] != "/system.slice/kubelet.service" {
				p.t.Errorf("kubelet is in the control group %s", group)
			}
		}
	}
}

// staysReady asserts that the probes, one of which kills at the first failure, go on succeeding.
func (p *pod) staysReady() {
	p.t.Helper()
	for range 3 {
		time.Sleep(time.Second)
		if _, ready := p.state(); !ready {
			p.t.Fatal("the pod was ready and is not any more")
		}
	}
}

// outlivesAHangingKubelet asserts that systemd replaces a kubelet that stopped to give signs of life, and that the pod
// does not notice.
func (p *pod) outlivesAHangingKubelet() {
	p.t.Helper()
	if got := p.show("WatchdogUSec"); got != "2min" {
		p.t.Errorf("the watchdog waits %s", got)
	}
	p.write("/etc/systemd/system/kubelet.service.d/watchdog.conf", "[Service]\nWatchdogSec=4s\nRestartSec=100ms\n")
	p.must("systemctl", "daemon-reload")
	p.must("systemctl", "restart", "kubelet.service")
	pid := p.show("MainPID")
	p.must("kill", "-STOP", pid)
	p.eventually("another kubelet is there", func() bool {
		return p.show("MainPID") != pid && p.show("ActiveState") == "active"
	})
	if n := p.show("NRestarts"); n != "1" {
		p.t.Errorf("systemd restarted kubelet %s times", n)
	}
	p.eventually("the pod is ready, and was not restarted", func() bool {
		uid, ready := p.state()
		return ready && uid == p.uid
	})
	p.must("sh", "-c", "rm -r /etc/systemd/system/kubelet.service.d && systemctl daemon-reload")
}

// leaves asserts that a pod that is taken away is gone, with its directories, its mounts and its control groups.
func (p *pod) leaves() {
	p.t.Helper()
	p.must("umount", "/srv/shared/mounted")
	p.must("rm", manifest)
	p.eventually("nothing of the pod is left", func() bool {
		left := p.must("sh", "-c", "find /var/lib/kubelet/pods -mindepth 1 -maxdepth 1; grep /var/lib/kubelet/pods /proc/self/mountinfo; "+
			"find /sys/fs/cgroup -type d -name '*"+strings.ReplaceAll(p.uid, "-", "_")+"*'; true")
		return left == ""
	})
}

// sandboxed asserts that the unit is what systemd calls well-formed and rather safe.
func (h *host) sandboxed() {
	h.t.Helper()
	r := h.exits(0, "systemd-analyze", "verify", "/etc/systemd/system/kubelet.service")
	if text := r.Stdout + r.Stderr; text != "" {
		h.t.Errorf("systemd-analyze verify prints:\n%s", text)
	}
	text := h.must("systemd-analyze", "security", "--no-pager", "kubelet.service")
	m := regexp.MustCompile(`Overall exposure level for kubelet\.service: ([0-9.]+)`).FindStringSubmatch(text)
	if m == nil {
		h.t.Fatalf("no exposure level in:\n%s", text)
	}
	if score, err := strconv.ParseFloat(m[1], 64); err != nil || score > 7 {
		h.t.Errorf("systemd-analyze security: %s", m[0])
	}
	h.t.Log(m[0])
}

// writeImage writes an image of the pod's program, under both names.
func writeImage(file string) error {
	program := filepath.Join(filepath.Dir(file), "podcheck")
	if err := gobuild.Static(program, "scripts/podcheck"); err != nil {
		return err
	}
	run := map[string]any{"Entrypoint": []string{"/podcheck"}, "Cmd": []string{"pause"}}
	return writeImageOf(file, program, run, podsImage, sandboxImage)
}

// writeImageOf writes an image of one static program, which lies in / there, in the format of docker save.
func writeImageOf(file, program string, run map[string]any, names ...string) error {
	binary, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	var layer bytes.Buffer
	if err := writeTar(&layer, tarFile{filepath.Base(program), 0o755, binary}); err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": run,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer.Bytes()))}},
	})
	if err != nil {
		return err
	}
	index, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": names, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	return writeTar(out, tarFile{"config.json", 0o644, config}, tarFile{"layer.tar", 0o644, layer.Bytes()}, tarFile{"manifest.json", 0o644, index})
}

type tarFile struct {
	name    string
	mode    int64
	content []byte
}

func writeTar(w io.Writer, files ...tarFile) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		if err := t.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content))}); err != nil {
			return err
		}
		if _, err := t.Write(f.content); err != nil {
			return err
		}
	}
	return t.Close()
}
