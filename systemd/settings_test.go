package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// judged is a unit with lines that systemd takes and others that it skips; those have a ! before them, and a piece of our reason
// behind it.
var judged = `
[Unit]
Description=a kubelet
After=network-online.target containerd.service %p.service
!not the name of a unit|After=network-online
!not the name of a unit|Wants=containerd
Requires=var-lib-kubelet.mount x@y.service
!not the name of a unit|Requires="a.service"
!not the name of a unit|Before=a/b.service
!unknown key|ExecStart=/bin/true
!unknown key|after=x.service
ConditionPathExists=/x
ConditionPathExists=|!/x
ConditionPathExists=!/x
!not an absolute path|ConditionPathExists=x/y
!not an absolute path|ConditionPathExists=|!x/y
!not an absolute path|AssertFileNotEmpty=etc/x
ConditionVirtualization=!container
StartLimitIntervalSec=0
StartLimitIntervalSec=1min 30s
!not a span of time|StartLimitIntervalSec=5x
StartLimitBurst=5
!not a number|StartLimitBurst=five
!not one of|StartLimitAction=restart
DefaultDependencies=no
!not yes or no|DefaultDependencies=maybe
X-Own=1
!unknown section|[Foo]
A=1
[X-Foo]
A=1
!unknown section|[service]
Type=x
[Service]
Type=notify
!not one of|Type=daemon
ExecStart=/bin/true \
  --config=/x
!is the backslash missing|  --kubeconfig=/y
!is the backslash missing|-v=2
!it belongs in [Unit]|After=x.service
!it belongs in [Unit]|ConditionPathExists=/x
!did you mean RestartSec|RestartSEC=5
Restart=on-failure
!not one of|Restart=allways
!not one of|Restart=Always
RestartSec=5
RestartSec=500ms
RestartSec=1h30m
TimeoutStartSec=infinity
!not a span of time|TimeoutStopSec=5 fortnights
KillMode=process
!not one of|KillMode=processes
KillSignal=SIGTERM
KillSignal=TERM
KillSignal=15
KillSignal=RTMIN+3
!not a signal|KillSignal=SIGFOO
!not a signal|KillSignal=99
OOMScoreAdjust=-999
!not a number|OOMScoreAdjust=2000
Nice=-5
!not a number|Nice=20
CPUWeight=100
CPUWeight=idle
!not a number|CPUWeight=0
!not a number|IOWeight=10001
MemoryMax=512M
MemoryMax=10%
MemoryMax=infinity
!not a size|MemoryMax=512Mi
!not a size|MemoryHigh=lots
TasksMax=infinity
TasksMax=10%
!not a number of tasks|TasksMax=many
LimitNOFILE=1048576
LimitNOFILE=1024:infinity
!not a limit|LimitNOFILE=unlimited
LimitCORE=infinity
LimitMEMLOCK=8M
!not a limit|LimitCORE=x
UMask=0022
!not a mode|UMask=0999
Delegate=yes
Delegate=cpu memory
CPUAccounting=true
!not yes or no|CPUAccounting=enabled
!not yes or no|MemoryAccounting=2
Slice=system.slice
!not the name of a slice|Slice=kube
WorkingDirectory=/
WorkingDirectory=-/var/lib/x
WorkingDirectory=~
StandardOutput=journal
StandardOutput=append:/var/log/kubelet.log
!not an output|StandardOutput=/var/log/kubelet.log
StandardError=file
!not an output|StandardError=none
CPUQuota=50%
!not a percentage|CPUQuota=0.5
OOMPolicy=continue
!not one of|OOMPolicy=ignore
SyslogLevel=info
!not one of|SyslogLevel=verbose
NotifyAccess=all
!not one of|NotifyAccess=yes
WatchdogSec=2min
[Install]
WantedBy=multi-user.target
`

// judgedUnit is the text of judged without its marks, and the reasons by line.
func judgedUnit() (text string, reasons map[int]string) {
	reasons = map[int]string{}
	var lines []string
	for line := range strings.Lines(strings.TrimPrefix(judged, "\n")) {
		if marked, found := strings.CutPrefix(line, "!"); found {
			reasons[len(lines)+1], line, _ = strings.Cut(marked, "|")
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ""), reasons
}

func TestIgnored(t *testing.T) {
	text, reasons := judgedUnit()
	u, err := ParseUnit("kubelet.service", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range u.Ignored() {
		want, expected := reasons[got.Line]
		if !expected || !strings.Contains(got.Text, want) {
			t.Errorf("got %v, want %q", got, want)
		}
		delete(reasons, got.Line)
	}
	for line, want := range reasons {
		t.Errorf("line %d, %q: nothing", line, want)
	}
}

// values are the lines of testdata/values.
func values(t *testing.T) (lines [][3]string) { // verdict, section, line
	data, err := os.ReadFile("testdata/values")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if words := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3); words[0] != "#" {
			lines = append(lines, [3]string(words))
		}
	}
	return lines
}

// unitWith is a unit with one more line.
func unitWith(section, line string) string {
	return "[Service]\nExecStart=/bin/true\n" + section + "\n" + line + "\n[Bad]\n"
}

func TestValues(t *testing.T) {
	for _, v := range values(t) {
		u, err := ParseUnit("kubelet.service", []byte(unitWith(v[1], v[2])))
		if err != nil {
			t.Fatal(err)
		}
		got := "ok"
		for _, ignored := range u.Ignored() {
			switch {
			case ignored.Line != 4:
			case strings.HasSuffix(ignored.Text, "systemd refuses the unit"):
				got = "refuse"
			default:
				got = "skip"
			}
		}
		if got != v[0] {
			t.Errorf("%s %s: %s, want %s", v[1], v[2], got, v[0])
		}
	}
}

// TestValuesAreThoseOfSystemd holds testdata/values against systemd itself, which reads no further in a unit that it refuses.
func TestValuesAreThoseOfSystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED: there is no systemd-analyze here, so nobody says what systemd does with testdata/values")
	}
	dir, args := t.TempDir(), []string{"verify", "--man=no"}
	for i, v := range values(t) {
		file := filepath.Join(dir, "v"+strconv.Itoa(i)+".service")
		if err := os.WriteFile(file, []byte(unitWith(v[1], v[2])), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	out, _ := exec.Command(analyze, args...).CombinedOutput() // it fails for what it refuses
	for i, v := range values(t) {
		at := "/v" + strconv.Itoa(i) + ".service:"
		said := regexp.MustCompile(at + `4: (.*)`).FindSubmatch(out)
		got := "ok"
		switch {
		case !strings.Contains(string(out), at+"5: "):
			got = "refuse"
		case said != nil && !strings.Contains(string(said[1]), "obsolete"):
			got = "skip"
		}
		if got != v[0] {
			t.Errorf("%s %s: systemd: %s, want %s", v[1], v[2], got, v[0])
		}
	}
}

// TestIgnoredAsSystemdDoes holds the same unit against systemd itself: it skips the very lines that we say it does.
func TestIgnoredAsSystemdDoes(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED: there is no systemd-analyze here, so nobody says whether systemd skips what we say it does")
	}
	text, reasons := judgedUnit()
	file := filepath.Join(t.TempDir(), "kubelet.service")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command(analyze, "verify", file).CombinedOutput() // it fails for some releases, and not for others
	var skipped []string
	for _, found := range regexp.MustCompile(`(?m)^\S*kubelet\.service:(\d+): `).FindAllSubmatch(out, -1) {
		skipped = append(skipped, string(found[1]))
	}
	lines := strings.Split(text, "\n")
	for n, line := range lines {
		_, ours := reasons[n+1]
		if theirs := slices.Contains(skipped, strconv.Itoa(n+1)); ours != theirs {
			t.Errorf("line %d, %s: systemd skips it: %t, we: %t", n+1, line, theirs, ours)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
