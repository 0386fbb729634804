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
