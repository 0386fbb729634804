package hosttest

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A disk that fails, or is full, at any write of an upgrade: a clear error, and the host as before, or as wanted.
func TestDiskSweep(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.trace()
	h.source = "file:///release"
	reset := h.install("v1.37.1", "--wait", "0", "--skip-rehearsal", "--keep-generations", "2")
	h.must("kubeletctl", reset...)
	run := []string{"kubeletctl", "upgrade", "--version", "v1.37.2", "--skip-rehearsal", "--retry"}
	old := h.whole()
	all := h.points(run)
	new := h.whole()
	h.must("kubeletctl", reset...)
	var disk []point
	for _, p := range all {
		if !strings.HasPrefix(p.what, "start ") && !strings.Contains(p.what, "write #") && !strings.Contains(p.what, " socket") {
			disk = append(disk, p)
		}
	}
	again := func() {
		h.must("kubeletctl", reset...)
		h.must("sh", "-c", "rm -f /usr/local/bin/.part-* /usr/local/bin/kubelet-v1.37.2") // to be downloaded each time
	}
	again()
	tried, right, olds, later, unreached := 0, 0, 0, 0, 0
	for i, p := range chosen(disk, 4) {
		errno, words := "5", []string{"input/output error"}
		if i%2 == 1 { // what fails in a download is told as what it needs and what there is
			errno, words = "28", []string{"no space left on device", "free disk space"}
		}
		r := h.try("tracer", append([]string{"fail", strconv.Itoa(p.n), errno}, run...)...)
		if r.ExitCode == 99 {
			unreached++
			again()
			continue
		}
		tried++
		if r.ExitCode != 0 && !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(r.Stderr, w) }) || strings.Contains(r.Stderr, "panic") {
			t.Errorf("call %d (%s) fails: exit code %d\n%s", p.n, p.what, r.ExitCode, r.Stderr)
		}
		got, problem := h.recovered(old, new)
		if problem != "" { // what failed was the way back itself: the disk is well again, and systemd goes on
			later++
			h.try("systemctl", "start", "kubeletctl-recover.service")
			got, problem = h.recovered(old, new)
		}
		if problem != "" {
			t.Errorf("call %d (%s) fails, exit code %d: %s\n%s", p.n, p.what, r.ExitCode, problem, r.Stderr)
			h.try("kubeletctl", "uninstall")
			again()
			continue
		}
		right++
		if got == old {
			olds++
			h.must("sh", "-c", "rm -f /usr/local/bin/.part-* /usr/local/bin/kubelet-v1.37.2")
			if r.ExitCode == 0 {
				t.Errorf("call %d (%s): exit code 0, and the old kubelet runs", p.n, p.what)
			}
			continue
		}
		again()
	}
	t.Logf("verdict: %d calls that write, %d failed (EIO or ENOSPC; %d more were not reached), %d times the host was right (%d old, %d new), %d of them after systemd had recovered", len(disk), tried, unreached, right, olds, right-olds, later)
}

// The machine loses its power at any moment of an upgrade: after the next boot it is old or new, whole and running.
func TestPowerSweep(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.source = "file:///release"
	reset := h.install("v1.37.1", "--wait", "0", "--skip-rehearsal", "--keep-generations", "2")
	h.must("kubeletctl", reset...)
	run := []string{"upgrade", "--version", "v1.37.2"}
	old := h.whole()
	began := time.Now()
	h.must("kubeletctl", run...)
	took := time.Since(began)
	new := h.whole()
	h.must("kubeletctl", reset...)
	points, tried, right, olds := 2, 0, 0, 0
	if fullSweep() {
		points = 24
	}
	for i := range points {
		tried++
		// The first second has all the changes, then the gate waits.
		after := time.Duration(i+1) * took / time.Duration(points+1)
		if i%2 == 0 {
			after = time.Duration(i+1) * time.Second * 3 / 2 / time.Duration(points+1)
		}
		running := h.Command(t.Context(), "kubeletctl", run...)
		if err := running.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		h.reboot()
		_ = running.Wait()
		got, problem := h.recovered(old, new)
		if problem != "" {
			t.Errorf("power cut after %s: %s", after, problem)
			h.try("kubeletctl", "uninstall")
			h.must("kubeletctl", reset...)
			continue
		}
		right++
		if got == old {
			olds++
			continue
		}
		h.must("kubeletctl", reset...)
	}
	t.Logf("verdict: %d power cuts over %.1f s, %d recovered (%d old, %d new)", tried, took.Seconds(), right, olds, right-olds)
}
