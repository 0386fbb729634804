package kubeletlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// An entry is the same, whether a log is read as a whole or line by line.
func TestReadIsParse(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.log")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got []Entry
		for event, err := range Read(systemd.ReadEntries(strings.NewReader(string(text)))) {
			if err != nil {
				t.Fatal(err)
			}
			if event.Entry != nil {
				got = append(got, *event.Entry)
			}
		}
		if want := Parse(lines(string(text))); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d entries, want %d", file, len(got), len(want))
		}
	}
}

func TestRuns(t *testing.T) {
	const (
		at     = "Nov 30 09:41:04 h "
		failed = at + "systemd[1]: kubelet.service: Main process exited, code=exited, status=1/FAILURE\n" + at + "systemd[1]: kubelet.service: Failed with result 'exit-code'.\n"
	)
	said := func(pid, severity, text string) string {
		return fmt.Sprintf("%skubelet[%s]: %s1130 09:41:04.100000 %s a.go:1] %s\n", at, pid, severity, pid, text)
	}
	tests := []struct {
		name, text string
		want       []string
	}{
		{"it runs", said("7", "E", `"a"`), nil},
		{"its last words", said("7", "I", `"Kubelet version" kubeletVersion="v1.37.2"`) + said("7", "E", `"command failed" err="no"`) + failed,
			[]string{"v1.37.2 code=exited, status=1/FAILURE no"}},
		{"its last error", said("7", "I", "Kubelet version: v1.18.0") + said("7", "E", `"a" err="b"`) + failed, []string{"v1.18.0 code=exited, status=1/FAILURE a: b"}},
		{"stopped", said("7", "E", `"a"`) + at + "systemd[1]: kubelet.service: Stopping x\n" + at + "systemd[1]: kubelet.service: Deactivated successfully.\n", []string{"  it was stopped"}},
		{"nobody says why, and another one", said("7", "I", "a") + said("8", "I", "a"), []string{"  "}},
		{"a secret", said("7", "E", `"command failed" err="password=hunter2"`) + failed, []string{" code=exited, status=1/FAILURE password=(hidden)"}},
	}
	for _, tt := range tests {
		var got []string
		for event := range Read(systemd.ReadEntries(strings.NewReader(tt.text))) {
			if r := event.Ended; r != nil {
				got = append(got, r.Version+" "+r.Exit+" "+r.Reason)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A run ends when systemd says so, or with its last line. What a kubelet has said is no reason why somebody else has killed it.
func TestEndOfRuns(t *testing.T) {
	line := func(second int, who, text string) string {
		return fmt.Sprintf("Nov 30 09:41:%02d h %s: %s\n", second, who, text)
	}
	systemd1 := func(second int, text string) string { return line(second, "systemd[1]", "kubelet.service: "+text) }
	said := func(second, pid int, text string) string {
		return line(second, fmt.Sprintf("kubelet[%d]", pid), fmt.Sprintf("E1130 09:41:%02d.000000 %d a.go:1] %s", second, pid, text))
	}
	const forbidden = `"Failed to watch" err="podcertificaterequests is forbidden"`
	begun := line(0, "systemd[1]", "Started kubelet.service - kubelet.")
	again := systemd1(15, "Scheduled restart job, restart counter is at 1.") + line(15, "systemd[1]", "Started kubelet.service - kubelet.") + said(16, 8, `"a"`)
	tests := []struct{ name, text, want string }{
		{"killed", begun + said(1, 7, forbidden) + systemd1(10, "Main process exited, code=killed, status=9/KILL") + systemd1(10, "Failed with result 'signal'.") + again,
			"10s killed by SIGKILL"},
		{"killed after a last word", begun + said(1, 7, `"Failed to start ContainerManager" err="x"`) + systemd1(10, "Main process exited, code=killed, status=15/TERM") + again,
			"10s killed by SIGTERM"},
		{"memory", begun + said(1, 7, forbidden) + systemd1(9, "A process of this unit has been killed by the OOM killer.") +
			systemd1(10, "Main process exited, code=killed, status=9/KILL") + systemd1(10, "Failed with result 'oom-kill'.") + again,
			"10s A process of this unit has been killed by the OOM killer."},
		{"watchdog", begun + said(1, 7, forbidden) + systemd1(9, "Watchdog timeout (limit 30s)!") + systemd1(9, "Killing process 7 (kubelet) with signal SIGABRT.") +
			systemd1(10, "Main process exited, code=dumped, status=6/ABRT") + systemd1(10, "Failed with result 'watchdog'.") + again, "10s Watchdog timeout (limit 30s)!"},
		{"dumped by somebody", begun + said(1, 7, forbidden) + systemd1(10, "Main process exited, code=dumped, status=11/SEGV") + again, "10s killed by SIGSEGV"},
		{"it dumps itself", begun + line(9, "kubelet[7]", "panic: a") + line(9, "kubelet[7]", "") + systemd1(10, "Main process exited, code=dumped, status=6/ABRT") + again, "10s panic: a"},
		{"it exits", begun + said(1, 7, forbidden) + systemd1(10, "Main process exited, code=exited, status=1/FAILURE") + systemd1(10, "Failed with result 'exit-code'.") + again,
			"10s Failed to watch: podcertificaterequests is forbidden"},
		{"it does not stop", begun + systemd1(5, "Stopping x") + systemd1(9, "State 'stop-sigterm' timed out. Killing.") + systemd1(10, "Main process exited, code=killed, status=9/KILL") +
			systemd1(10, "Failed with result 'timeout'."), "10s killed by SIGKILL"},
		{"systemd does not say when", begun + said(10, 7, forbidden) + again, "10s "},
		{"the beginning was not read", said(1, 7, forbidden) + systemd1(10, "Main process exited, code=killed, status=9/KILL") + again, "unknown killed by SIGKILL"},
		{"only the end was read", systemd1(10, "Main process exited, code=killed, status=9/KILL") + systemd1(10, "Failed with result 'signal'.") + again, "unknown killed by SIGKILL"},
	}
	for _, tt := range tests {
		got := ""
		for event := range Read(systemd.ReadEntries(strings.NewReader(tt.text))) {
			r := event.Ended
			if r == nil {
				continue
			}
			if at := r.Last.Second(); at != 10 {
				t.Errorf("%s: it ended at second %d, want 10", tt.name, at)
			}
			lasted := "unknown"
			if d, known := r.Lasted(); known {
				lasted = d.String()
			}
			got = lasted + " " + r.Reason
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestReadEndsWithTheError(t *testing.T) {
	broken := errors.New("broken")
	var got []string
	for event, err := range Read(func(yield func(systemd.Entry, error) bool) {
		_ = yield(systemd.Entry{Message: "a"}, nil) && yield(systemd.Entry{}, broken)
	}) {
		if event.Entry != nil {
			got = append(got, event.Entry.Message)
		}
		if err != nil {
			got = append(got, err.Error())
		}
	}
	if !slices.Equal(got, []string{"a", "broken"}) {
		t.Errorf("%q", got)
	}
}

func TestFold(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"nothing is repeated", "abc", "a b c"},
		{"in turns", "ababcab", "a b a b c a3 b3"},
		{"often", "aaaab", "a a4 b"},
		{"often, in turns", "abcabcabcd", "a b c a3 b3 c3 d"},
		{"again, later", "aaab" + "aaa", "a a3 b a6"},
	}
	for _, tt := range tests {
		var folder Folder
		var got []string
		show := func(list []Folded) {
			for _, f := range list {
				text := f.Message
				if f.Times > 1 {
					text += fmt.Sprint(f.Times)
				}
				got = append(got, text)
			}
		}
		for i, letter := range tt.in {
			show(folder.Add(Entry{Message: string(letter), Time: time.Unix(int64(i), 0)}))
		}
		show(folder.Close())
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, text, tt.want)
		}
	}
	// While it is followed, there is a sign of life.
	folder := Folder{Every: time.Minute}
	told := 0
	for i := range 200 {
		told += len(folder.Add(Entry{Message: "a", Time: time.Unix(int64(i), 0)}))
	}
	if told != 4 {
		t.Errorf("told %d times, want 4", told)
	}
}
