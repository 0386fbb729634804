package systemd

import (
	"slices"
	"testing"
	"time"
)

func TestParseJournal(t *testing.T) {
	out := `{"MESSAGE":"first","__REALTIME_TIMESTAMP":"1700000000000000"}
{"MESSAGE":[98,97,255,100],"__REALTIME_TIMESTAMP":"1700000001000000"}
not json
{"MESSAGE":null}
`
	got := ParseEntries([]byte(out))
	if len(got) != 3 || got[0].Message != "first" || got[1].Message != "ba?d" || got[2].Message != "" {
		t.Fatalf("got %+v", got)
	}
	if want := time.Unix(1700000000, 0); !got[0].Time.Equal(want) {
		t.Errorf("time = %s, want %s", got[0].Time, want)
	}
}

// What is not of the run of a state does not count; a line of which journald does not know the run does when it is not older.
func TestOfRun(t *testing.T) {
	entries := ParseEntries([]byte(`{"MESSAGE":"another run","__REALTIME_TIMESTAMP":"1700000005000000","_SYSTEMD_INVOCATION_ID":"aa"}
{"MESSAGE":"before","__REALTIME_TIMESTAMP":"1700000001999999"}
{"MESSAGE":"this run, by a clock that was wrong","__REALTIME_TIMESTAMP":"1700000000000000","_SYSTEMD_INVOCATION_ID":"bb"}
{"MESSAGE":"systemd, of another run","__REALTIME_TIMESTAMP":"1700000003000000","INVOCATION_ID":"aa"}
{"MESSAGE":"systemd, of this run","__REALTIME_TIMESTAMP":"1700000003000000","INVOCATION_ID":"bb","_SYSTEMD_INVOCATION_ID":"cc"}
{"MESSAGE":"nobody knows, but after the start","__REALTIME_TIMESTAMP":"1700000002000000"}
`))
	got := messages(ofRun(entries, UnitState{InvocationID: "bb", Started: time.Unix(1700000002, 0)}))
	if want := []string{"this run, by a clock that was wrong", "systemd, of this run", "nobody knows, but after the start"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func messages(entries []Entry) (list []string) {
	for _, e := range entries {
		list = append(list, e.Message)
	}
	return list
}

// The same entry in each form in which journalctl prints it.
func TestParseEntries(t *testing.T) {
	want := Entry{Time: time.Date(2026, 11, 30, 9, 41, 4, 0, time.UTC), Message: "E1130 \tbad", Identifier: "kubelet", PID: 4711}
	export := "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1796031664000000\nSYSLOG_IDENTIFIER=kubelet\n_PID=4711\nMESSAGE"
	for name, text := range map[string]string{
		"short-iso":     "-- Boot 1 --\n2026-11-30T09:41:04+0000 host kubelet[4711]: E1130 \tbad\n",
		"short-full":    "Mon 2026-11-30 09:41:04 UTC host kubelet[4711]: E1130 \tbad\n",
		"json":          `{"__CURSOR":"s=1","MESSAGE":"E1130 \tbad","__REALTIME_TIMESTAMP":"1796031664000000","SYSLOG_IDENTIFIER":"kubelet","_PID":"4711"}`,
		"export":        export + "=E1130 \tbad\n\n",
		"export binary": export + "\n\x0a\x00\x00\x00\x00\x00\x00\x00E1130 \tbad\n\n",
		"export cut":    export + "\n\xff\x00\x00\x00\x00\x00\x00\xffE1130 \tbad",
	} {
		got := ParseEntries([]byte(text))
		if len(got) != 1 || !got[0].Time.Equal(want.Time) {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		if got[0].Time = want.Time; got[0] != want {
			t.Errorf("%s: %+v, want %+v", name, got[0], want)
		}
	}
	got := ParseEntries([]byte("Nov  3 09:41:04 host kubelet[4711]: short\nE1130 cat\n"))
	if len(got) != 2 || got[0].PID != 4711 || got[0].Time.Day() != 3 || got[1] != (Entry{Message: "E1130 cat"}) {
		t.Errorf("%+v", got)
	}
}

func TestLastRun(t *testing.T) {
	const failed = "Nov 30 09:41:04 h systemd[1]: kubelet.service: Failed with result 'exit-code'.\n"
	line := func(pid, text string) string { return "Nov 30 09:41:04 h kubelet[" + pid + "]: " + text + "\n" }
	tests := []struct {
		name, text string
		want       []string
	}{
		{"none", "", nil},
		{"another process", line("7", "a") + line("8", "b") + line("8", "c"), []string{"b", "c"}},
		{"a late line of the one that ended", line("7", "a") + failed + line("7", "b"), []string{"a", "kubelet.service: Failed with result 'exit-code'.", "b"}},
		{"it was only started again", line("7", "a") + "Nov 30 09:41:04 h systemd[1]: Started kubelet.service.\n", []string{"a", "Started kubelet.service."}},
		{"a helper of it", line("7", "a") + "Nov 30 09:41:04 h mount[9]: m\n", []string{"a", "m"}},
		{"nothing was started", line("7", "a") + failed + "Nov 30 09:41:05 h systemd[1]: kubelet.service: Failed to load environment files: No such file or directory\n",
			[]string{"kubelet.service: Failed to load environment files: No such file or directory"}},
		{"without processes", "a\nkubelet.service: Failed with result 'exit-code'.\nb\n", []string{"b"}},
		{"invocations", `{"MESSAGE":"a","_SYSTEMD_INVOCATION_ID":"1","_PID":"7"}
{"MESSAGE":"b","_SYSTEMD_INVOCATION_ID":"2","_PID":"8"}
{"MESSAGE":"c","_PID":"8"}
{"MESSAGE":"Started","INVOCATION_ID":"3","SYSLOG_IDENTIFIER":"systemd","_PID":"1"}`, []string{"b", "c"}},
	}
	for _, tt := range tests {
		if got := messages(LastRun(ParseEntries([]byte(tt.text)))); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestOfKubelet(t *testing.T) {
	entries := ParseEntries([]byte(`Nov 30 09:41:04 h sshd[1]: a
Nov 30 09:41:04 h kubelet-v1.37.2[2]: b
Nov 30 09:41:04 h (kubelet)[3]: c
Nov 30 09:41:04 h kubeletctl[4]: d
Nov 30 09:41:04 h systemd[1]: containerd.service: Failed with result 'signal'.
Nov 30 09:41:04 h systemd[1]: kubelet.service: e
f
`))
	if got, want := messages(OfKubelet(entries)), []string{"b", "c", "kubelet.service: e", "f"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzParseEntries(f *testing.F) {
	f.Add([]byte("__CURSOR=1\nMESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00a\n\n"))
	f.Add([]byte(`{"MESSAGE":[1,2],"_PID":"1"}`))
	f.Add([]byte("Nov  3 09:41:04 host kubelet[1]: short\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries := ParseEntries(data)
		if last := LastRun(entries); len(last) > len(entries) || len(entries) > 0 && len(last) == 0 {
			t.Errorf("%d entries, of which %d are of the last run", len(entries), len(last))
		}
	})
}
