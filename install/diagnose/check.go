package diagnose

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/probe"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Host answers what a rule wants to know before it speaks; see probe.Machine. Each answer has a time limit.
type Host interface {
	Listener(port int) (*probe.Process, error)
	// Endpoint is that of kubelet's container runtime.
	Endpoint() string
	Runtime(ctx context.Context, endpoint string) (cri.Description, error)
	// Unit is the state of a unit of systemd.
	Unit(ctx context.Context, name string) (systemd.UnitState, error)
	// Said is the last line that a unit's own process has logged in the run that a state is of; empty for none.
	Said(ctx context.Context, state systemd.UnitState) string
	Inotify() (probe.Inotify, error)
	FileSystem(name string) (probe.FileSystem, error)
	Stat(name string) (fs.FileInfo, error)
	SELinux(name string) (label string, enforcing bool)
	Certificate(name string) (*x509.Certificate, error)
	Server(ctx context.Context, address string) (probe.Server, error)
	DisabledCRI() string
	// Kubeconfig is the file with kubelet's credentials, the node that they are for, empty where that is not known, and why they
	// cannot be used.
	Kubeconfig() (file, node string, err error)
}

// verdict is what a look at the host says of a cause.
type verdict int

const (
	unsure verdict = iota
	confirmed
	refuted
)

// check lets a rule look at the host. checked is what was seen; empty for nothing.
func (r rule) check(ctx context.Context, host Host, found []string) (v verdict, checked string) {
	if r.Probe == nil || host == nil {
		return unsure, ""
	}
	return r.Probe(ctx, host, found)
}

// advice is what a rule says to do on the host; nil where it does not know.
func (r rule) advice(ctx context.Context, host Host, found []string) []string {
	if r.Advice == nil || host == nil {
		return nil
	}
	return r.Advice(ctx, host, found)
}

// A probe decides by what a host answers, and by what the pattern of its rule has found.
type check func(ctx context.Context, h Host, found []string) (verdict, string)

// portTaken looks who listens on the port that is found second. That nobody does by now refutes nothing: kubelet met somebody.
func portTaken(_ context.Context, h Host, found []string) (verdict, string) {
	port, err := strconv.Atoi(found[2])
	if err != nil {
		return unsure, ""
	}
	switch p, err := h.Listener(port); {
	case err != nil:
		return unsure, ""
	case p == nil:
		return unsure, fmt.Sprintf("nothing listens on port %d at this moment: systemctl restart kubelet may be enough", port)
	default:
		return confirmed, fmt.Sprintf("%s listens on port %d", p, port)
	}
}

// inotifyUsed compares what root uses with the limits.
func inotifyUsed(_ context.Context, h Host, _ []string) (verdict, string) {
	i, err := h.Inotify()
	if err != nil {
		return unsure, ""
	}
	seen := fmt.Sprintf("root has %d of %d inotify instances and %d of %d watches", i.Instances, i.MaxInstances, i.Watches, i.MaxWatches)
	if i.UsedUp() {
		return confirmed, seen
	}
	return unsure, seen // it may be another user namespace, or over by now
}

// diskFull looks at the file system of the path that is found first, or of kubelet's root directory.
func diskFull(_ context.Context, h Host, found []string) (verdict, string) {
	name := pathOr(found, "/var/lib/kubelet")
	f, err := h.FileSystem(name)
	if err != nil {
		return unsure, ""
	}
	const mib = 1 << 20
	seen := fmt.Sprintf("the file system of %s has %d of %d MiB and %d of %d inodes left", name, f.Free/mib, f.Size/mib, f.FreeFiles, f.Files)
	if f.Full() {
		return confirmed, seen
	}
	return unsure, seen
}

func pathOr(found []string, otherwise string) string {
	if len(found) > 1 && found[1] != "" {
		return found[1]
	}
	return otherwise
}

// readOnly looks at the mount of the path that is found, first or second.
func readOnly(_ context.Context, h Host, found []string) (verdict, string) {
	name := strings.Join(found[1:], "")
	f, err := h.FileSystem(name)
	switch {
	case err != nil:
		return unsure, ""
	case f.ReadOnly:
		return confirmed, "the file system of " + name + " is mounted read-only"
	}
	return unsure, "the file system of " + name + " is mounted writable at this moment"
}

// notExecutable looks why the file that is found first may not be executed.
func notExecutable(_ context.Context, h Host, found []string) (verdict, string) {
	name := found[1]
	info, err := h.Stat(name)
	if err != nil {
		return unsure, ""
	}
	f, err := h.FileSystem(name)
	label, enforcing := h.SELinux(name)
	switch {
	case info.Mode()&0o111 == 0:
		return confirmed, fmt.Sprintf("%s has mode %04o, which nobody may execute", name, info.Mode().Perm())
	case err == nil && f.NoExec:
		return confirmed, "the file system of " + name + " is mounted noexec"
	case enforcing:
		return unsure, fmt.Sprintf("%s has mode %04o and the label %s, and SELinux is enforcing", name, info.Mode().Perm(), label)
	}
	return unsure, fmt.Sprintf("%s has mode %04o, and its file system is not noexec", name, info.Mode().Perm())
}

// fileMissing looks for the file that is found first.
func fileMissing(_ context.Context, h Host, found []string) (verdict, string) {
	_, err := h.Stat(found[1])
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return confirmed, found[1] + " does not exist"
	case err == nil:
		return unsure, found[1] + " exists at this moment: systemctl restart kubelet may be enough"
	}
	return unsure, ""
}

// fileThere refutes that the file that is found first is missing: systemd says so of its loader, too.
func fileThere(ctx context.Context, h Host, found []string) (verdict, string) {
	if _, err := h.Stat(found[1]); err == nil {
		return unsure, found[1] + " is there; the loader that it names may not be"
	}
	return fileMissing(ctx, h, found)
}

// runtimeAnswers asks the runtime at the endpoint that is found first, or else at kubelet's, for the failure that its error shows; nil
// is any.
func runtimeAnswers(want error) check {
	return func(ctx context.Context, h Host, found []string) (verdict, string) {
		endpoint := pathOr(found, h.Endpoint())
		a, err := h.Runtime(ctx, endpoint)
		switch {
		case err == nil && a.NotReady != "":
			return unsure, fmt.Sprintf("%s %s at %s answers, and is not ready: %s", a.Name, a.Version, endpoint, a.NotReady)
		case err == nil:
			return unsure, fmt.Sprintf("%s %s answers at %s at this moment: systemctl restart kubelet may be enough", a.Name, a.Version, endpoint)
		case want == nil || errors.Is(err, want):
			return confirmed, endpoint + ": " + runtimeError(err) + stopped(ctx, h, endpoint)
		}
		return unsure, endpoint + ": " + runtimeError(err) + stopped(ctx, h, endpoint)
	}
}

// mostOfWords is how much is quoted of what a container runtime said, in characters.
const mostOfWords = 300

// stopped is what systemd says of the container runtime of an endpoint, if it does not run, and what it said last itself.
func stopped(ctx context.Context, h Host, endpoint string) (text string) {
	for _, known := range cri.Known {
		state, err := h.Unit(ctx, known.Unit)
		if !cri.SameSocket(known.Endpoint, endpoint) || err != nil || state.LoadState != "loaded" || state.Up() && !state.Restarting() {
			continue
		}
		text += fmt.Sprintf("; %s is %s (%s)", known.Unit, state.ActiveState, state.SubState)
		if words := []rune(h.Said(ctx, state)); len(words) > 0 {
			text += ": " + string(words[:min(len(words), mostOfWords)])
		}
	}
	return text
}

// startRuntime is what to do about a runtime that does not answer at the endpoint that is found first, or else at kubelet's: take
// another that answers, or start the one that is installed. Nil where neither is known.
func startRuntime(ctx context.Context, h Host, found []string) []string {
	endpoint := pathOr(found, h.Endpoint())
	for _, known := range cri.Known {
		if cri.SameSocket(known.Endpoint, endpoint) {
			continue
		}
		if a, err := h.Runtime(ctx, known.Endpoint); err == nil {
			return []string{fmt.Sprintf("kubeletctl set --container-runtime-endpoint %s  # %s %s answers there", known.Endpoint, a.Name, a.Version)}
		}
	}
	var lines []string
	for _, known := range cri.Known {
		state, err := h.Unit(ctx, known.Unit)
		if err != nil || state.LoadState == "not-found" || state.ActiveState == "" {
			continue
		}
		unit, verb := strings.TrimSuffix(known.Unit, ".service"), "start"
		if state.Up() {
			verb = "restart"
		}
		lines = append(lines, fmt.Sprintf("systemctl status --no-pager %s  # it is %s (%s)", unit, state.ActiveState, state.SubState),
			fmt.Sprintf("journalctl -u %s -n 20 --no-pager", unit))
		if state.LoadState == "masked" {
			lines = append(lines, "systemctl unmask "+unit)
		}
		lines = append(lines, "systemctl "+verb+" "+unit)
	}
	return lines
}

func runtimeError(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such socket"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens on this socket"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return err.Error()
}

// criDisabled asks the runtime, and reads containerd's configuration.
func criDisabled(ctx context.Context, h Host, _ []string) (verdict, string) {
	if line := h.DisabledCRI(); line != "" {
		return confirmed, line
	}
	return runtimeAnswers(cri.ErrNoV1)(ctx, h, nil)
}

// networkNotReady asks the runtime whether it has a network for pods.
func networkNotReady(ctx context.Context, h Host, _ []string) (verdict, string) {
	a, err := h.Runtime(ctx, h.Endpoint())
	switch {
	case err != nil:
		return unsure, ""
	case a.NoNetwork != "":
		return confirmed, fmt.Sprintf("%s %s says %s", a.Name, a.Version, a.NoNetwork)
	}
	return refuted, fmt.Sprintf("%s %s says that its network is ready", a.Name, a.Version)
}

// driverOfRuntime asks the runtime for its cgroup driver, which one before containerd 2.0 cannot tell.
func driverOfRuntime(ctx context.Context, h Host, _ []string) (verdict, string) {
	a, err := h.Runtime(ctx, h.Endpoint())
	if err != nil || a.CgroupDriver == "" {
		return unsure, ""
	}
	return confirmed, fmt.Sprintf("%s %s uses the cgroup driver %s at this moment", a.Name, a.Version, a.CgroupDriver)
}

// clientExpired looks at kubelet's client certificate.
func clientExpired(_ context.Context, h Host, _ []string) (verdict, string) {
	c, err := h.Certificate(hostfs.ClientCertificate)
	switch {
	case err != nil:
		return unsure, ""
	case time.Now().After(c.NotAfter):
		return confirmed, hostfs.ClientCertificate + " expired on " + day(c.NotAfter)
	}
	return refuted, hostfs.ClientCertificate + " is valid until " + day(c.NotAfter)
}

// kubeconfigUnusable looks why kubelet cannot use its kubeconfig, although the file exists.
func kubeconfigUnusable(_ context.Context, h Host, _ []string) (verdict, string) {
	file, _, err := h.Kubeconfig()
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return unsure, ""
	}
	return confirmed, file + ": " + strings.TrimPrefix(err.Error(), file+": ")
}

// noKubeconfig looks for the kubeconfig.
func noKubeconfig(_ context.Context, h Host, _ []string) (verdict, string) {
	switch file, _, err := h.Kubeconfig(); {
	case errors.Is(err, fs.ErrNotExist):
		return confirmed, file + " does not exist"
	case err == nil:
		return unsure, file + " exists at this moment: systemctl restart kubelet may be enough"
	}
	return unsure, ""
}

// hasKubeconfig refutes that kubelet has the wrong credentials: it waits for its first ones.
func hasKubeconfig(_ context.Context, h Host, _ []string) (verdict, string) {
	if _, _, err := h.Kubeconfig(); errors.Is(err, fs.ErrNotExist) {
		return refuted, ""
	}
	return unsure, ""
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// maxSkew is how far the clocks of a node and of its API server may differ without being called wrong.
const maxSkew = time.Minute

// serverClock compares the clock here with that of the API server that is found first.
func serverClock(ctx context.Context, h Host, found []string) (verdict, string) {
	s, err := h.Server(ctx, "https://"+found[1])
	if err != nil || s.Time.IsZero() {
		return unsure, ""
	}
	switch ahead := time.Since(s.Time).Round(time.Minute); {
	case ahead >= maxSkew:
		return confirmed, fmt.Sprintf("the clock of this host is about %s ahead of that of %s", ahead, found[1])
	case ahead <= -maxSkew:
		return confirmed, fmt.Sprintf("the clock of this host is about %s behind that of %s", -ahead, found[1])
	}
	return refuted, "the clock of this host is that of " + found[1]
}

// serverIsPod looks whether the API server is a static pod of this host.
func serverIsPod(_ context.Context, h Host, _ []string) (verdict, string) {
	if _, err := h.Stat(config.KubeadmAPIServer); err != nil {
		return unsure, ""
	}
	return confirmed, "the API server is a static pod of this host (" + config.KubeadmAPIServer + "), which kubelet starts itself"
}

// startServerPod is what to do about an API server that is a static pod of this host; nil for another.
func startServerPod(ctx context.Context, h Host, found []string) []string {
	if isPod, _ := serverIsPod(ctx, h, found); isPod != confirmed {
		return nil
	}
	return []string{"crictl ps -a  # do kube-apiserver and etcd run, or why have they ended? crictl logs ID says it", "journalctl -u kubelet --since -5min --no-pager | grep -i -e sandbox -e static -e kube-apiserver"}
}

// serverExpired looks at the certificate of the API server that is found first, unless the clock here is wrong.
func serverExpired(ctx context.Context, h Host, found []string) (verdict, string) {
	if v, _ := serverClock(ctx, h, found); v == confirmed {
		return refuted, ""
	}
	s, err := h.Server(ctx, "https://"+found[1])
	switch {
	case err != nil:
		return unsure, ""
	case time.Now().After(s.Certificate.NotAfter):
		return confirmed, fmt.Sprintf("the certificate of %s expired on %s", found[1], day(s.Certificate.NotAfter))
	}
	return unsure, fmt.Sprintf("the certificate of %s is valid until %s at this moment", found[1], day(s.Certificate.NotAfter))
}

// clientEnds looks whether kubelet's client certificate has less than a tenth of its life left.
func clientEnds(_ context.Context, h Host, _ []string) (verdict, string) {
	c, err := h.Certificate(hostfs.ClientCertificate)
	if err != nil {
		return unsure, ""
	}
	left := time.Until(c.NotAfter) // what has expired is not what a kubelet uses that works
	if left > 0 && left < c.NotAfter.Sub(c.NotBefore)/10 {
		return confirmed, hostfs.ClientCertificate + " expires on " + day(c.NotAfter)
	}
	return refuted, ""
}

// driverChanged compares the cgroup driver that kubelet was told, which is found first, with what the runtime says now.
func driverChanged(ctx context.Context, h Host, found []string) (verdict, string) {
	a, err := h.Runtime(ctx, h.Endpoint())
	if err != nil || a.CgroupDriver == "" || a.CgroupDriver == found[1] {
		return unsure, ""
	}
	return confirmed, fmt.Sprintf("%s %s uses the cgroup driver %s, and kubelet %s", a.Name, a.Version, a.CgroupDriver, found[1])
}
