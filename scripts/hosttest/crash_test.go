package hosttest

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/scripts/gobuild"
)

// trace puts the tracer on a host.
func (h *host) trace() {
	h.t.Helper()
	tracer := filepath.Join(h.t.TempDir(), "tracer")
	if err := gobuild.Static(tracer, "scripts/tracer"); err != nil {
		h.t.Fatal(err)
	}
	if err := h.Copy(tracer, "/usr/bin/tracer", 0o755); err != nil {
		h.t.Fatal(err)
	}
}

// point is a system call of a run that changes something.
type point struct {
	n    int
	what string
}

var (
	traced   = regexp.MustCompile(`(?m)^(\d+) ((?:open|write|rename|link|symlink|unlink|rmdir|mkdir|attributes|truncate|sync|start) .*)$`)
	volatile = regexp.MustCompile(`\d{5,}|socket:\[\d+\]`)
)

// points lists the calls that a command makes.
func (h *host) points(command []string) []point {
	h.t.Helper()
	r := h.exits(0, "tracer", append([]string{"list"}, command...)...)
	var all []point
	for _, m := range traced.FindAllStringSubmatch(r.Stderr, -1) {
		n, _ := strconv.Atoi(m[1])
		all = append(all, point{n, volatile.ReplaceAllString(m[2], "#")})
	}
	if len(all) < 20 {
		h.t.Fatalf("only %d calls were seen:\n%s", len(all), r.Stderr)
	}
	return all
}

// chosen are those of the points that are tried: all, but of calls of which many come one after the other, such as the
// chunks of a download and the questions of the gate, every tenth; and without the whole sweep a few of all, of which two are
// behind the commit.
func chosen(all []point, quick int) []point {
	var list []point
	same := 0
	for i, p := range all {
		if i > 1 && (p.what == all[i-1].what || p.what == all[i-2].what) {
			same++
		} else {
			same = 0
		}
		if same < 3 || same%10 == 0 {
			list = append(list, p)
		}
	}
	if fullSweep() {
		return list
	}
	commit := slices.IndexFunc(list, func(p point) bool {
		return strings.HasPrefix(p.what, "rename ") && strings.HasSuffix(p.what, "/kubeletctl/current")
	})
	if commit < 0 {
		return spread(list, quick)
	}
	return append(spread(list[:commit+1], quick-2), spread(list[commit+1:], 2)...)
}

// spread takes n points of a list, evenly.
func spread(list []point, n int) []point {
	var few []point
	for i := range n {
		few = append(few, list[(i+1)*len(list)/(n+1)])
	}
	return few
}

// crashing is a verb that is killed at every one of its calls.
type crashing struct {
	name string
	run  []string
	// start leads to where run starts, from an empty host as well as from where run leads to.
	start [][]string
	// fetches is the binary that run fetches: each try is to make the same calls, and so is not helped by the one before.
	fetches string
	// stuck is shell that tells the moments at which the recovery has nothing to go by; then next brings the host to an end.
	stuck string
	next  []string
}

const (
	binary      = "/usr/local/bin/kubelet-v1.37.2"
	otherBinDir = "/usr/local/other"
	kubeconfig  = "/var/lib/kubelet/kubeconfig"
)

// crashings are the verbs that are killed, with a source that is the same before and after a boot. In three of them much is
// left to be done after the commit.
func crashings(h *host) []crashing {
	h.source = "file:///release"
	quickly := []string{"--wait", "0", "--skip-rehearsal", "--keep-generations", "2"}
	kubeletctl := func(args ...string) []string { return append([]string{"kubeletctl"}, args...) }
	install := func(version string, more ...string) []string {
		return kubeletctl(h.install(version, slices.Concat(quickly, more)...)...)
	}
	a, b, uninstall := install("v1.37.1"), install("v1.37.2"), kubeletctl("uninstall")
	purge := kubeletctl("uninstall", "--purge", "--yes")
	joined := slices.DeleteFunc(slices.Clone(b), func(arg string) bool { return arg == "--standalone" })
	credentials := []string{"sh", "-c", "printf '" + nobodysKubeconfig + "' >" + kubeconfig}
	return []crashing{
		{name: "upgrade", start: [][]string{a}, run: kubeletctl("upgrade", "--version", "v1.37.2"), fetches: binary},
		{name: "rollback", start: [][]string{b, a}, run: kubeletctl("rollback")},
		{name: "install", start: [][]string{uninstall}, run: kubeletctl(h.install("v1.37.2")...), fetches: binary,
			// Nothing of kubelet's was begun, and what recovers was not in place.
			stuck: "! test -e /var/lib/kubelet/kubelet-config.yaml", next: uninstall},
		{name: "uninstall", start: [][]string{b}, run: uninstall,
			// All is gone but what recovers, which has nothing to do any more.
			stuck: "! test -e /etc/systemd/system/kubelet.service", next: uninstall},
		{name: "joined to standalone", start: [][]string{credentials, joined}, run: b},
		{name: "other --bin-dir", start: [][]string{uninstall, b}, run: install("v1.37.2", "--bin-dir", otherBinDir),
			fetches: otherBinDir + "/kubelet-v1.37.2"},
		// Data that is deleted does not come back, so once a purge has begun there is only one way.
		{name: "uninstall --purge", start: [][]string{b}, run: purge, stuck: "true", next: purge},
	}
}

// nobodysKubeconfig leads to no API server.
const nobodysKubeconfig = `{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],` +
	`"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{"token":"t"}}],"current-context":"c"}`

// A kubeletctl that is killed at any of its system calls leaves the old or the new generation, whole and running, once
// systemd has recovered.
func TestCrashSweep(t *testing.T) {
	t.Parallel()
	for i, c := range crashings(&host{}) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, tools.release)
			h.trace()
			s := &crashSweep{host: h, crashing: crashings(h)[i], how: map[string]int{}}
			s.all()
		})
	}
}

// crashSweep kills one verb again and again.
type crashSweep struct {
	*host
	crashing
	// empty, old and new are the files without an installation, before the verb and after it.
	empty, old, new string

	tried, unreached, olds, news int
	how                          map[string]int // what has recovered
}

func (s *crashSweep) all() {
	s.empty = s.whole()
	s.begin()
	s.old = s.whole()
	all := s.points(s.run)
	s.new = s.whole()
	if s.old == s.new {
		s.t.Fatal("it changes nothing")
	}
	s.begin()
	for i, p := range chosen(all, 5) {
		s.kill(i, p)
	}
	s.t.Logf("verdict: %s: %d calls, %d tried (%d more were not reached), %d recovered (%d old, %d new); by %v",
		s.name, len(all), s.tried, s.unreached, s.olds+s.news, s.olds, s.news, s.how)
}

// begin makes the host one from which the verb starts.
func (s *crashSweep) begin() {
	s.t.Helper()
	for _, command := range s.start {
		s.must(command[0], command[1:]...)
	}
	s.forget()
}

// forget deletes what a run has fetched.
func (s *crashSweep) forget() {
	s.t.Helper()
	s.must("sh", "-c", "rm -f /usr/local/bin/.part-* "+otherBinDir+"/.part-* "+s.fetches)
}

// kill kills the verb at one point, and sees what becomes of the host.
func (s *crashSweep) kill(i int, p point) {
	r := s.try("tracer", append([]string{"kill", strconv.Itoa(p.n)}, s.run...)...)
	switch r.ExitCode {
	case 128 + 9:
	case 99: // this run made fewer calls than the one that was listed
		s.unreached++
		s.begin()
		return
	default:
		s.t.Errorf("call %d (%s): exit code %d\n%s", p.n, p.what, r.ExitCode, r.Stderr)
	}
	s.tried++
	means := s.recover(i)
	s.how[means]++
	files, problem := s.recovered(s.old, s.new)
	if problem != "" && s.stuck != "" && s.try("sh", "-c", s.stuck).ExitCode == 0 {
		s.goOn(s.next)
		s.how["the next run"]++
		files, problem = s.recovered(s.old, s.new)
	}
	switch {
	case problem != "":
		s.t.Errorf("call %d (%s), recovered by %s: %s\nexit code %d: %s%s\n%s", p.n, p.what, means, problem, r.ExitCode, r.Stderr,
			s.try("journalctl", "-u", "kubeletctl-recover.service", "-n", "12", "--no-pager").Stdout,
			s.try("sh", "-c", "ls -l /var/lib/kubeletctl; ps -ef | grep kubeletctl").Stdout)
		s.beginAnew()
	case files == s.old:
		s.olds++
		s.forget()
	default:
		s.news++
		s.begin()
	}
}

// recover has an interrupted change recovered in one of the ways in which that happens, and tells which one.
func (s *crashSweep) recover(i int) (means string) {
	switch {
	case i%12 == 4:
		for range 150 {
			if s.try("test", "-e", "/var/lib/kubeletctl/pending").ExitCode != 0 || s.try("test", "-e", "/etc/systemd/system/kubeletctl-recover.service").ExitCode != 0 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		return "the timer"
	case i%6 == 2:
		s.reboot()
		return "a power cut and a boot"
	}
	s.try("systemctl", "start", "kubeletctl-recover.service")
	return "systemctl start"
}

// goOn runs a command once the recovery, which may be under way at the moment, has let go of the lock.
func (s *crashSweep) goOn(command []string) {
	s.t.Helper()
	s.eventually("the lock is free", func() bool { return s.try(command[0], command[1:]...).ExitCode != 75 })
	s.must(command[0], command[1:]...)
}

// beginAnew makes the host usable again after a point at which it was not recovered.
func (s *crashSweep) beginAnew() {
	s.t.Helper()
	s.try("kubeletctl", "uninstall")
	if now := s.whole(); now != s.empty {
		s.t.Fatalf("the host cannot be used any more:\n%s", difference(s.empty, now))
	}
	s.begin()
}

func (h *host) reboot() {
	h.t.Helper()
	if err := h.PowerCut(); err != nil {
		h.t.Fatal(err)
	}
	if err := h.Boot(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.eventually("the boot is over", func() bool {
		return !slices.Contains([]string{"starting", "initializing"}, strings.TrimSpace(h.try("systemctl", "is-system-running").Stdout))
	})
}

// whole are the files of an installation, without the record, and without what only waits to be used: a download that can
// be gone on with, a binary that no generation knows yet.
func (h *host) whole() string {
	h.t.Helper()
	var lines []string
	for line := range strings.Lines(h.ours()) {
		switch {
		case strings.Contains(line, "/var/lib/kubeletctl"), strings.Contains(line, "/.part-kubelet-"), strings.Contains(line, "/kubelet-v"):
		case strings.HasSuffix(line, "\n") && strings.Contains(line, " d "): // directories come and go with their content
		default:
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// recovered returns the files that are there after a recovery, and what is wrong: they have to be the old ones or the new
// ones, and what they describe has to run.
func (h *host) recovered(old, new string) (files, problem string) {
	h.t.Helper()
	if h.try("test", "-e", "/var/lib/kubeletctl/pending").ExitCode == 0 {
		return "", "a change is still pending: " + h.try("systemctl", "status", "kubeletctl-recover.service").Stdout
	}
	files = h.whole()
	if files != old && files != new {
		return files, fmt.Sprintf("neither old nor new; from old:\n%sfrom new:\n%s", difference(old, files), difference(new, files))
	}
	if !strings.Contains(files, "kubelet.service") {
		return files, h.uninstalled()
	}
	return files, h.whatFails(strings.Contains(files, "kubelet.path"))
}

// uninstalled says what is left of a kubelet that is not installed.
func (h *host) uninstalled() (problem string) {
	h.t.Helper()
	if load := h.show("LoadState"); load != "not-found" {
		return "kubelet.service is " + load
	}
	if r := h.try("pgrep", "-f", "/usr/local/(bin|other)/kubelet "); r.ExitCode == 0 {
		return "a kubelet runs: " + r.Stdout
	}
	return ""
}

// whatFails says what is wrong with an installed kubelet.
func (h *host) whatFails(waits bool) (problem string) {
	h.t.Helper()
	r := h.try("kubeletctl", "status")
	for range 100 {
		if r.ExitCode == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
		r = h.try("kubeletctl", "status")
	}
	if r.ExitCode != 0 {
		return r.Stdout
	}
	if d := h.try("kubeletctl", "diff"); d.ExitCode != 0 {
		return "drift: " + d.Stdout
	}
	if state := h.show("UnitFileState"); state != "enabled" {
		return "kubelet.service is " + state
	}
	if active := h.try("systemctl", "is-active", "kubelet.path").ExitCode == 0; active != waits {
		return fmt.Sprintf("kubelet.path is active: %t, want %t", active, waits)
	}
	link := h.must("sed", "-n", `s/^ExecStart=\([^ ]*\).*/\1/p`, "/etc/systemd/system/kubelet.service")
	want := h.must("readlink", "-f", strings.TrimSpace(link))
	if exe := h.must("readlink", "/proc/"+h.show("MainPID")+"/exe"); exe != want {
		return fmt.Sprintf("the process runs %s, want %s", exe, want)
	}
	return ""
}
