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
// chunks of a download and the questions of the gate, every tenth; and without the whole sweep a few of all.
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
	var few []point
	for i := range quick {
		few = append(few, list[(i+1)*len(list)/(quick+1)])
	}
	return few
}

// crashing is a verb that is killed at every one of its calls.
type crashing struct {
	name string
	run  []string
	// version is what is installed before, and to what it leads; empty for nothing.
	before, after string
	// reset leads back to before from after.
	reset []string
}

// A kubeletctl that is killed at any of its system calls leaves the old or the new generation, whole and running, once
// systemd has recovered.
func TestCrashSweep(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"upgrade", "rollback", "install", "uninstall"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			h := start(t, tools.release)
			h.trace()
			h.source = "file:///release"
			quickly := []string{"--wait", "0", "--skip-rehearsal", "--keep-generations", "2"}
			install := func(v string) []string {
				return append([]string{"kubeletctl"}, h.install(v, quickly...)...)
			}
			var c crashing
			switch verb {
			case "upgrade":
				c = crashing{run: []string{"kubeletctl", "upgrade", "--version", "v1.37.2"}, before: "v1.37.1", after: "v1.37.2", reset: install("v1.37.1")}
			case "rollback":
				c = crashing{run: []string{"kubeletctl", "rollback"}, before: "v1.37.1", after: "v1.37.2", reset: install("v1.37.1")}
			case "install":
				c = crashing{run: append([]string{"kubeletctl"}, h.install("v1.37.2")...), after: "v1.37.2", reset: []string{"kubeletctl", "uninstall"}}
			case "uninstall":
				c = crashing{run: []string{"kubeletctl", "uninstall"}, before: "v1.37.2", reset: install("v1.37.2")}
			}
			c.name = verb
			c.sweep(t, h, install)
		})
	}
}

func (c crashing) sweep(t *testing.T, h *host, install func(string) []string) {
	sh := func(args []string) {
		h.must(args[0], args[1:]...)
		// Each run is to make the same calls: what the one before has downloaded must not help it.
		h.must("sh", "-c", "rm -f /usr/local/bin/.part-*; [ "+strconv.FormatBool(c.name == "upgrade" || c.name == "install")+" = false ] || rm -f /usr/local/bin/kubelet-v1.37.2")
	}
	empty := h.whole()
	if c.name == "rollback" {
		sh(install("v1.37.2"))
	}
	if c.before != "" {
		sh(install(c.before))
	}
	old := h.whole()
	all := h.points(c.run)
	new := h.whole()
	if c.name == "rollback" { // the next one needs another generation before it again
		sh(install("v1.37.2"))
	}
	sh(c.reset)
	tried, recovered, olds, unreached, how := 0, 0, 0, 0, map[string]int{}
	for i, p := range chosen(all, 5) {
		r := h.try("tracer", append([]string{"kill", strconv.Itoa(p.n)}, c.run...)...)
		if r.ExitCode != 128+9 && r.ExitCode != 99 {
			t.Errorf("call %d (%s): exit code %d\n%s", p.n, p.what, r.ExitCode, r.Stderr)
		}
		if r.ExitCode == 99 { // this run made fewer calls than the one that was listed
			unreached++
			if c.name == "rollback" {
				sh(install("v1.37.2"))
			}
			sh(c.reset)
			continue
		}
		tried++
		means := "systemctl start"
		switch {
		case i%12 == 4:
			means = "the timer"
			for range 150 {
				if h.try("test", "-e", "/var/lib/kubeletctl/pending").ExitCode != 0 || h.try("test", "-e", "/etc/systemd/system/kubeletctl-recover.service").ExitCode != 0 {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
		case i%6 == 2:
			means = "a power cut and a boot"
			h.reboot()
		default:
			h.try("systemctl", "start", "kubeletctl-recover.service")
		}
		how[means]++
		got, problem := h.recovered(old, new)
		if problem != "" && c.name == "uninstall" && h.try("test", "-e", "/etc/systemd/system/kubelet.service").ExitCode != 0 {
			// All is gone but what recovers, which has nothing to do any more: the next run takes it away.
			h.nextUninstall()
			how["the next run"]++
			got, problem = h.recovered(old, new)
		}
		if problem != "" && c.before == "" && h.try("test", "-e", "/var/lib/kubelet/kubelet-config.yaml").ExitCode != 0 {
			// Nothing of kubelet's was begun, and what recovers was not in place: the next run of kubeletctl clears it away.
			h.nextUninstall()
			how["the next run"]++
			got, problem = h.recovered(old, new)
		}
		if problem != "" {
			t.Errorf("call %d (%s), recovered by %s: %s\nexit code %d: %s%s\n%s", p.n, p.what, means, problem, r.ExitCode, r.Stderr,
				h.try("journalctl", "-u", "kubeletctl-recover.service", "-n", "12", "--no-pager").Stdout, h.try("sh", "-c", "ls -l /var/lib/kubeletctl; ps -ef | grep kubeletctl").Stdout)
			h.try("kubeletctl", "uninstall") // and begin anew
			if h.whole() != empty {
				t.Fatalf("the host cannot be used any more:\n%s", difference(empty, h.whole()))
			}
			if c.name == "rollback" {
				sh(install("v1.37.2"))
			}
			if c.before != "" {
				sh(install(c.before))
			}
			continue
		}
		recovered++
		if got == c.before {
			olds++
			h.must("sh", "-c", "rm -f /usr/local/bin/.part-*; [ "+strconv.FormatBool(c.name == "upgrade" || c.name == "install")+" = false ] || rm -f /usr/local/bin/kubelet-v1.37.2")
			continue
		}
		if c.name == "rollback" {
			sh(install("v1.37.2"))
		}
		sh(c.reset)
	}
	t.Logf("verdict: %s: %d calls, %d tried (%d more were not reached), %d recovered (%d old, %d new); by %v", c.name, len(all), tried, unreached, recovered, olds, recovered-olds, how)
}

// nextUninstall uninstalls, once the recovery, which may be under way at the moment, has let go of the lock.
func (h *host) nextUninstall() {
	h.t.Helper()
	h.eventually("kubelet is uninstalled", func() bool { return h.try("kubeletctl", "uninstall").ExitCode != 75 })
	h.must("kubeletctl", "uninstall")
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
		case strings.Contains(line, "/var/lib/kubeletctl"), strings.Contains(line, "/usr/local/bin/.part-kubelet-"):
		case strings.Contains(line, "/usr/local/bin/kubelet-v"):
		case strings.HasSuffix(line, "\n") && strings.Contains(line, " d "): // directories come and go with their content
		default:
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// recovered tells the version that is installed after a recovery, or what is wrong.
func (h *host) recovered(old, new string) (version, problem string) {
	h.t.Helper()
	if h.try("test", "-e", "/var/lib/kubeletctl/pending").ExitCode == 0 {
		return "", "a change is still pending: " + h.try("systemctl", "status", "kubeletctl-recover.service").Stdout
	}
	files := h.whole()
	if files != old && files != new {
		return "", fmt.Sprintf("neither old nor new; from old:\n%sfrom new:\n%s", difference(old, files), difference(new, files))
	}
	if !strings.Contains(files, "kubelet.service") {
		if load := h.show("LoadState"); load != "not-found" {
			return "", "kubelet.service is " + load
		}
		if r := h.try("pgrep", "-f", "/usr/local/bin/kubelet "); r.ExitCode == 0 {
			return "", "a kubelet runs: " + r.Stdout
		}
		return "", ""
	}
	for range 100 {
		if h.try("kubeletctl", "status").ExitCode == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	r := h.try("kubeletctl", "status")
	if r.ExitCode != 0 {
		return "", r.Stdout
	}
	if d := h.try("kubeletctl", "diff"); d.ExitCode != 0 {
		return "", "drift: " + d.Stdout
	}
	if h.show("UnitFileState") != "enabled" {
		return "", "kubelet.service is not enabled"
	}
	version = strings.TrimPrefix(strings.TrimSpace(h.must("readlink", "/usr/local/bin/kubelet")), "kubelet-")
	if exe := strings.TrimSpace(h.must("readlink", "/proc/"+h.show("MainPID")+"/exe")); exe != "/usr/local/bin/kubelet-"+version {
		return "", "the process runs " + exe
	}
	return version, ""
}
