package hosttest

import (
	"os"
	"strings"
	"testing"
)

// sweepVar asks for all of a sweep, instead of a quick part of it: scripts/sweep sets it.
const sweepVar = "KUBELETCTL_SWEEP"

func fullSweep() bool { return os.Getenv(sweepVar) == "full" }

// drifts are ways in which a host stops being what was installed. quick ones are tried by every test run.
var drifts = []struct {
	name  string
	do    string // shell; $unit, $config and $bin are paths
	finds string // what diff says
	// restarts reports that the mending takes a restart, or a start.
	restarts bool
	// stays reports that it is an administrator's and is still there afterwards.
	stays bool
	quick bool
}{
	{name: "configuration edited", do: `echo '# mine' >>$config`, finds: `kubelet-config.yaml: edited: added # mine`, quick: true},
	{name: "configuration edited and kubelet restarted", do: `echo 'maxPods: 7' >>$config; systemctl restart kubelet`, finds: `kubelet-config.yaml: edited: added maxPods: 7`, restarts: true, quick: true},
	{name: "configuration edited, kubelet restarted, edit taken back", do: `cp $config /tmp/c; echo 'maxPods: 7' >>$config; systemctl restart kubelet; sleep 1.1; cp /tmp/c $config`,
		finds: `kubelet.service: restart due: changed since the process was started: kubelet-config.yaml`, restarts: true, quick: true},
	{name: "configuration removed", do: `rm $config`, finds: `kubelet-config.yaml: missing`},
	{name: "configuration readable by all", do: `chmod 644 $config`, finds: `kubelet-config.yaml: its mode is 0644, want 0600`},
	{name: "configuration of another owner", do: `chown 65534:65534 $config`, finds: `kubelet-config.yaml: its owner is 65534:65534, want 0:0`},
	{name: "configuration replaced by a symlink", do: `mv $config /tmp/moved; ln -s /tmp/moved $config`, finds: `kubelet-config.yaml: is a symlink to /tmp/moved`},
	{name: "unit edited", do: `sed -i s/RestartSec=5s/RestartSec=9s/ $unit`, finds: `kubelet.service: edited: removed RestartSec=5s, added RestartSec=9s`, quick: true},
	{name: "unit edited and reloaded", do: `sed -i s/RestartSec=5s/RestartSec=9s/ $unit; systemctl daemon-reload`, finds: `kubelet.service: edited`},
	{name: "unit edited, reloaded and restarted", do: `sed -i s/RestartSec=5s/RestartSec=9s/ $unit; systemctl daemon-reload; systemctl restart kubelet`, finds: `kubelet.service: edited`, restarts: true},
	{name: "unit edited, reloaded, and edited back", do: `cp $unit /tmp/u; echo '# x' >>$unit; systemctl daemon-reload; sleep 1.1; cp /tmp/u $unit`, finds: `systemd has not read the changed unit file`, quick: true},
	{name: "unit removed", do: `rm $unit; systemctl daemon-reload`, finds: `kubelet.service: missing`},
	{name: "unit masked", do: `mv $unit /tmp/u; systemctl mask kubelet.service`, finds: `kubelet.service: is a symlink to /dev/null`},
	{name: "service disabled", do: `systemctl disable kubelet`, finds: `kubelet.service: not enabled`},
	{name: "service stopped", do: `systemctl stop kubelet`, finds: `kubelet.service: not running`, restarts: true, quick: true},
	{name: "service failed for good", do: `mkdir -p /run/systemd/system/kubelet.service.d; printf '[Service]\nRestart=no\n' >/run/systemd/system/kubelet.service.d/x.conf; systemctl daemon-reload; kill -9 $(systemctl show -P MainPID kubelet); sleep 0.3
		rm -r /run/systemd/system/kubelet.service.d; systemctl daemon-reload`, finds: `kubelet.service: not running`, restarts: true},
	{name: "binary replaced under the process", do: `cp /bin/true $bin.new; mv $bin.new $bin`, finds: `kubelet-v1.37.2: edited: another digest`},
	{name: "binary replaced and kubelet restarted", do: `cp /release/v1.37.1/bin/linux/amd64/kubelet $bin.new; chmod 755 $bin.new; mv $bin.new $bin; systemctl restart kubelet`, finds: `kubelet.service: the process runs another binary`, restarts: true, quick: true},
	{name: "binary removed", do: `rm $bin`, finds: `kubelet-v1.37.2: missing`},
	{name: "binary not executable", do: `chmod 644 $bin`, finds: `kubelet-v1.37.2: its mode is 0644, want 0755`},
	{name: "link to another release", do: `cp /release/v1.37.1/bin/linux/amd64/kubelet /usr/local/bin/kubelet-v1.37.1; ln -sfn kubelet-v1.37.1 /usr/local/bin/kubelet`, finds: `bin/kubelet: points to kubelet-v1.37.1 instead of kubelet-v1.37.2`},
	{name: "another release started, and the link put back", do: `cp /release/v1.37.1/bin/linux/amd64/kubelet /usr/local/bin/kubelet-v1.37.1; chmod 755 /usr/local/bin/kubelet-v1.37.1; ln -sfn kubelet-v1.37.1 /usr/local/bin/kubelet
		systemctl restart kubelet; ln -sfn kubelet-v1.37.2 /usr/local/bin/kubelet`, finds: `kubelet.service: the process runs another binary`, restarts: true},
	{name: "link replaced by a file", do: `rm /usr/local/bin/kubelet; cp $bin /usr/local/bin/kubelet`, finds: `bin/kubelet: is a file instead of a symlink`},
	{name: "link removed", do: `rm /usr/local/bin/kubelet`, finds: `bin/kubelet: missing`},
	{name: "environment of a drop-in", do: `mkdir -p $unit.d; echo GOGC=90 >/etc/default/kubelet; printf '[Service]\nEnvironmentFile=-/etc/default/kubelet\n' >$unit.d/environment.conf; systemctl daemon-reload
		systemctl restart kubelet; sleep 1.1; echo GOGC=80 >/etc/default/kubelet`, finds: `kubelet.service: restart due: changed since the process was started: /etc/default/kubelet$`, restarts: true, quick: true},
	{name: "environment of a drop-in removed", do: `mkdir -p $unit.d; echo GOGC=90 >/etc/default/kubelet; printf '[Service]\nEnvironmentFile=-/etc/default/kubelet\n' >$unit.d/environment.conf; systemctl daemon-reload
		systemctl restart kubelet; sleep 1.1; rm /etc/default/kubelet`, finds: `kubelet.service: restart due: changed since the process was started: /etc/default/kubelet$`, restarts: true, quick: true},
	{name: "drop-in that replaces the command line", do: `mkdir -p $unit.d; printf '[Service]\nExecStart=\nExecStart=/usr/local/bin/kubelet --config=/var/lib/kubelet/kubelet-config.yaml --v=4\n' >$unit.d/mine.conf; systemctl daemon-reload`,
		finds: `kubelet.service.d/mine.conf: a drop-in that sets kubelet's command line`, stays: true, quick: true},
	{name: "recovery program replaced", do: `cp /bin/true /usr/local/bin/kubeletctl-recover`, finds: `kubeletctl-recover: edited`},
	{name: "recovery disabled", do: `systemctl disable kubeletctl-recover.service`, finds: `kubeletctl-recover.service: not enabled`},
	{name: "recovery unit removed", do: `rm /etc/systemd/system/kubeletctl-recover.service`, finds: `kubeletctl-recover.service: missing`},
}

// Every kind of drift is found, named, and mended with no more disturbance than it takes.
func TestDriftSweep(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	const paths = "unit=/etc/systemd/system/kubelet.service; config=/var/lib/kubelet/kubelet-config.yaml; bin=/usr/local/bin/kubelet-v1.37.2\n"
	tried, mended, restarted := 0, 0, 0
	for _, d := range drifts {
		if !d.quick && !fullSweep() {
			continue
		}
		tried++
		t.Run(d.name, func(t *testing.T) {
			h := h.in(t)
			h.must("kubeletctl", "diff")
			h.must("sh", "-ec", paths+d.do)
			found := h.exits(5, "kubeletctl", "diff").Stdout
			contains(t, found, "(?m)"+d.finds)
			if h.status(h.try("kubeletctl", "status").ExitCode).Drift == nil {
				t.Error("status does not name it")
			}
			pid := h.show("MainPID")
			if d.stays {
				contains(t, h.exits(1, "kubeletctl", "repair").Stderr, "hint: remove the drop-in")
				contains(t, h.exits(5, "kubeletctl", "diff").Stdout, d.finds)
				h.must("sh", "-ec", "rm -r /etc/systemd/system/kubelet.service.d; systemctl daemon-reload")
			} else {
				h.must("kubeletctl", "repair")
			}
			if left := h.try("kubeletctl", "diff"); left.ExitCode != 0 {
				t.Errorf("after the repair, diff says:\n%s", left.Stdout)
			}
			h.running("v1.37.2")
			if got := h.show("MainPID") != pid; got != d.restarts {
				t.Errorf("kubelet was restarted: %t, want %t", got, d.restarts)
			} else if got {
				restarted++
			}
			if !t.Failed() {
				mended++
			}
			first, _, _ := strings.Cut(found, "\n")
			t.Logf("found: %s; restarted: %t", first, d.restarts)
		})
	}
	t.Logf("verdict: %d kinds of drift tried, %d found, named and mended (or left to their owner), %d of them with a restart of kubelet", tried, mended, restarted)
	h.must("kubeletctl", "uninstall")
}

// A binary that is lost, and that no source has, is taken from the kubelet that runs, which goes on. What runs may be another
// one: then there is nothing to take.
func TestLostBinary(t *testing.T) {
	t.Parallel()
	h := start(t, tools.release)
	h.must("kubeletctl", h.install("v1.37.2")...)
	pid := h.show("MainPID")
	sum := h.must("sha256sum", binary)
	repair := []string{"repair", "--source", "http://127.0.0.1:1/release"}

	h.must("rm", binary)
	contains(t, h.must("kubeletctl", append(repair, "--dry-run")...), `download +`+binary+` +it is missing; the kubelet that runs still has it`)
	h.must("kubeletctl", repair...)
	if now := h.must("sha256sum", binary); now != sum {
		t.Errorf("it was %s, it is %s", sum, now)
	}
	if now := h.show("MainPID"); now != pid {
		t.Errorf("kubelet was restarted: pid %s, then %s", pid, now)
	}
	h.must("kubeletctl", "diff")
	h.running("v1.37.2")

	// Somebody put another kubelet in its place, started it, and took it away.
	h.must("sh", "-ec", "cp /release/v1.37.1/bin/linux/amd64/kubelet "+binary+".new; chmod 755 "+binary+".new; mv "+binary+".new "+binary+"; systemctl restart kubelet; rm "+binary)
	r := h.exits(1, "kubeletctl", repair...)
	contains(t, r.Stderr, `(?m)^kubeletctl: error: downloading kubelet v1\.37\.2 for linux/amd64: `)
	if left := h.try("sh", "-c", "ls -A /usr/local/bin | grep -v '^kubelet$\\|^kubeletctl-recover$'").Stdout; left != "" {
		t.Errorf("left: %s", left)
	}
	h.must("kubeletctl", "repair")
	h.running("v1.37.2")
}
