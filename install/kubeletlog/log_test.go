package kubeletlog

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/systemd"
)

func lines(text string) []systemd.Entry { return systemd.ParseEntries([]byte(text)) }

// The logs are of real kubelets, which were run without privilege and without a runtime; what is far from their end is cut.
func TestReasonOfRealKubelets(t *testing.T) {
	tests := map[string]string{ // how the reason begins
		"bootstrap-v1.34.4":  "failed to run Kubelet: unable to load bootstrap kubeconfig: stat /nope/bootstrap: no such file or directory",
		"clientca-v1.36.3":   "failed to run Kubelet: open /nope/ca.crt: no such file or directory",
		"flag-v1.37.2":       "failed to parse kubelet flag: unknown flag: --no-such-flag",
		"gate-v1.36.3":       "panic: failed to merge global and in-flight KubeletConfiguration while setting defaults, error: unrecognized feature gate: NoSuchGate",
		"gateflag-v1.34.4":   "failed to set feature gates from initial flags-based config: unrecognized feature gate: NoSuchGate",
		"json-v1.34.4":       `failed to run Kubelet: validate service connection: validate CRI v1 runtime API for endpoint "unix:///run/k/no-runtime.sock": rpc error`,
		"label-v1.36.3":      "failed to validate kubelet flags: unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [node-role.kubernetes.io/x] --node-labels in the",
		"lenient-v1.37.2":    "failed to run Kubelet: validate service connection: ",
		"missing-v1.34.4":    "failed to load kubelet config file, path: /nope/config.yaml, error: ",
		"noapi-v1.34.4":      "failed to load kubelet config file, path: /run/k/config.yaml, error: failed to load Kubelet config file /run/k/config.yaml, error failed to decode: Object 'apiVersion' is missing in 'kind: KubeletConfiguration '",
		"nokind-v1.37.2":     "failed to load kubelet config file, path: /run/k/config.yaml, error: failed to load Kubelet config file /run/k/config.yaml, error failed to decode: Object 'Kind' is missing in ",
		"type-v1.36.3":       "failed to load kubelet config file, path: /run/k/config.yaml, error: failed to load Kubelet config file /run/k/config.yaml, error failed to decode: json: cannot unmarshal string",
		"value-v1.37.2":      "failed to validate kubelet configuration, error: invalid configuration: maxPods (--max-pods) -5 must not be a negative number, path: ",
		"webhook-v1.36.3":    "failed to run Kubelet: no client provided, cannot use webhook authentication",
		"cgv1-v1.37.2":       "failed to validate kubelet configuration, error: kubelet is configured to not run on a host using cgroup v1.",
		"denied-v1.36.3":     "failed to run Kubelet: validate service connection: ",
		"kubeconfig-v1.36.3": "failed to run Kubelet: invalid kubeconfig: stat /nope/kubeconfig: no such file or directory",
		"listval-v1.36.3":    "failed to validate kubelet configuration, error: [invalid configuration: maxPods (--max-pods) -5 must not be a negative number, invalid ",
		"lockedgate-v1.36.3": "panic: failed to merge global and in-flight KubeletConfiguration while setting defaults, error: cannot set feature gate SidecarContainers to false",
		"lockfile-v1.36.3":   `failed to run Kubelet: unable to acquire file lock on "/nope/lock": no such file or directory`,
		"newer-v1.36.3":      "failed to validate kubelet configuration, error: invalid configuration: FeatureGate KubeletCrashLoopBackOffMax not enabled, ",
		"refused-v1.36.3":    "failed to run Kubelet: validate service connection: ",
		"yaml-v1.36.3":       "failed to load kubelet config file, path: /run/k/config.yaml, error: failed to load Kubelet config file /run/k/config.yaml, error failed to decode: yaml: line 5: ",
	}
	files, _ := filepath.Glob("testdata/*.log")
	if len(files) != len(tests) {
		t.Errorf("%d logs and %d tests", len(files), len(tests))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".log")
		stripped := "" // as an old journald does
		for line := range strings.Lines(string(text)) {
			stripped += strings.TrimSpace(line) + "\n"
		}
		for how, text := range map[string]string{"": string(text), " without blanks": stripped} {
			reason, ok := Reason(Parse(lines(text)))
			if !ok || !strings.HasPrefix(reason.Text(), tests[name]) {
				t.Errorf("%s%s: %q, want %q", name, how, reason.Text(), tests[name])
			}
		}
	}
}

// What is made from the forms of the sources, since no such kubelet is at hand.
func TestReason(t *testing.T) {
	const at = " 4711 kubelet.go:1] "
	tests := []struct{ name, text, want string }{
		{"none", "I1123 21:54:01.000000" + at + "fine", ""},
		{"the last error", "E1123 21:54:01.000000" + at + "\"first\"\nE1123 21:54:01.000000" + at + `"second" err="e"` + "\nI1123 21:54:01.000000" + at + "fine", "second: e"},
		{"others follow", "E1123 21:54:01.000000" + at + "\"Failed to start ContainerManager\" err=\"no cgroup\"\nE1123 21:54:01.000000" + at + `"Failed to stop" err="x"`,
			"Failed to start ContainerManager: no cgroup"},
		{"others follow, JSON", `{"ts":1643.5,"caller":"kubelet/kubelet.go:1480","msg":"Failed to start ContainerManager","err":"no cgroup"}` + "\n" +
			`{"ts":1643.6,"caller":"x.go:1","msg":"later","err":"y"}`, "Failed to start ContainerManager: no cgroup"},
		{"fatal, 1.20", "F1123 21:54:01.000000" + at + "no kubeconfig\ngoroutine 1 [running]:\nk8s.io/klog.stacks(0x1)\nE1123 21:54:02.000000" + at + `"later"`, "no kubeconfig"},
		{"usage, 1.20", "Usage:\n  kubelet [flags]\nFlags:\n      --address ip   Error: no\nF1123 21:54:01.000000" + at + "unknown flag: --x", "unknown flag: --x"},
		{"usage, 1.22", "E1123 21:54:01.000000" + at + "\"Failed to parse kubelet flag\" err=\"unknown flag: --x\"\nUsage:\n  kubelet [flags]\n", "Failed to parse kubelet flag: unknown flag: --x"},
		{"usage, 1.24", "Error: failed to parse kubelet flag: unknown flag: --x\nUsage:\n  kubelet [flags]\n      --v Level\n", "failed to parse kubelet flag: unknown flag: --x"},
		{"a panic of two lines, and one again", "panic: a\n\tb [recovered]\n\tpanic: a\n\ngoroutine 1 [running]:\nx\nE1123 21:54:02.000000" + at + `"later"`, "panic: a b [recovered] panic: a"},
		{"a fatal error", "fatal error: concurrent map writes\n\ngoroutine 7 [running]:\npanic: in a stack", "fatal error: concurrent map writes"},
		{"no program", "kubelet.service: Failed at step EXEC spawning /usr/local/bin/kubelet: Permission denied\nkubelet.service: Main process exited, code=exited, status=203/EXEC\nkubelet.service: Failed with result 'exit-code'.",
			"Failed at step EXEC spawning /usr/local/bin/kubelet: Permission denied"},
		{"no program, and journald does not know why", "kubelet.service: Main process exited, code=exited, status=203/EXEC\nkubelet.service: Failed with result 'exit-code'.",
			"Main process exited, code=exited, status=203/EXEC"},
		{"an old kubelet's status is no step of systemd's", "E1123 21:54:01.000000" + at + "\"x\"\nkubelet.service: Main process exited, code=exited, status=255/EXCEPTION", "x"},
		{"the watchdog", "SIGABRT: abort\nPC=0x1\ngoroutine 1 [running]:\nkubelet.service: Watchdog timeout (limit 30s)!\nkubelet.service: Failed with result 'watchdog'.", "Watchdog timeout (limit 30s)!"},
		{"memory", "E1123 21:54:01.000000" + at + "\"x\"\nkubelet.service: A process of this unit has been killed by the OOM killer.", "A process of this unit has been killed by the OOM killer."},
		{"systemd between the lines", "E1123 21:54:01.000000" + at + "\"command failed\" err=<\n\ta\nkubelet.service: Failed with result 'exit-code'.\n\tb\n > \n", "a b"},
		{"what a terminal would obey", "E1123 21:54:01.000000" + at + `"a" err="b\x1b[2Jc"`, "a: b?[2Jc"},
		{"cut off", "E1123 21:54:01.000000" + at + "\"command failed\" err=<\n\ta\nI1123 21:54:01.000000" + at + `"x"`, "a"},
	}
	for _, tt := range tests {
		reason, ok := Reason(Parse(lines(tt.text)))
		if got := reason.Text(); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestParse(t *testing.T) {
	got := Parse(lines(`W1123 21:54:01.500000    4711 a/b.go:12] "a \"message\"" pod="ns/p" n=3 list=["a b","c"] err=<` + "\n\tone\n\t  two\n" +
		` > after=<` + "\n\tthree\n >\n" + `{"ts":1796031657158.5754,"caller":"app/server.go:257","msg":"Effective","v":0,"config":"a: b\n","n":2}`))
	want := []Entry{
		{Time: time.Date(0, 11, 23, 21, 54, 1, 5e8, time.UTC), Severity: Warning, Message: `a "message"`, Err: "one\n  two", Source: "a/b.go:12",
			Values: []Value{{"pod", "ns/p"}, {"n", "3"}, {"list", `["a b","c"]`}, {"after", "three"}}},
		{Severity: Info, Message: "Effective", Source: "app/server.go:257", Values: []Value{{"config", "a: b\n"}, {"n", "2"}}},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	if ms := got[1].Time.UnixMilli(); ms != 1796031657158 {
		t.Errorf("the time is %d", ms)
	}
	got[1].Time = time.Time{}
	for i, e := range got {
		if !slices.Equal(e.Values, want[i].Values) {
			t.Errorf("the values are %q, want %q", e.Values, want[i].Values)
		}
		if e.Time != want[i].Time || e.Severity != want[i].Severity || e.Message != want[i].Message || e.Err != want[i].Err || e.Source != want[i].Source {
			t.Errorf("%+v, want %+v", e, want[i])
		}
	}
}

// 1.37 prints its whole configuration when it starts: that is one entry.
func TestConfigurationIsOneEntry(t *testing.T) {
	text, err := os.ReadFile("testdata/value-v1.37.2.log")
	if err != nil {
		t.Fatal(err)
	}
	if entries := Parse(lines(string(text))); len(entries) != 2 || !strings.Contains(entries[0].Values[0].Value, "\ncgroupDriver: cgroupfs\n") {
		t.Errorf("%+v", entries)
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.log")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("goroutine 1 [running]:\npanic: boom\n")
	f.Add("panic: a\ngoroutine 1\nError: b\nUsage:\nE1123 21:54:01.000000 1 a.go:1] \"m\" k=< \n\ta\n > j={\"a\": 1} x")
	f.Fuzz(func(t *testing.T, text string) {
		in := lines(text)
		entries := Parse(in)
		if len(entries) > len(in) {
			t.Errorf("%d entries of %d lines", len(entries), len(in))
		}
		reason, ok := Reason(entries)
		if strings.ContainsAny(reason.Text(), "\n\x1b\u009b") || !ok && reason.Text() != "" {
			t.Errorf("the reason is %q", reason.Text())
		}
	})
}
