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
	got := parseJournal([]byte(out), UnitState{})
	if len(got) != 3 || got[0].Message != "first" || got[1].Message != "ba?d" || got[2].Message != "" {
		t.Fatalf("got %q", got)
	}
	if want := time.Unix(1700000000, 0); !got[0].Time.Equal(want) {
		t.Errorf("time = %s, want %s", got[0].Time, want)
	}
}

// Lines of another run do not count; those of which journald does not know the run do when they are not older than it.
func TestParseJournalOfARun(t *testing.T) {
	out := `{"MESSAGE":"another run","__REALTIME_TIMESTAMP":"1700000005000000","_SYSTEMD_INVOCATION_ID":"aa"}
{"MESSAGE":"before","__REALTIME_TIMESTAMP":"1700000001999999"}
{"MESSAGE":"this run, by a clock that was wrong","__REALTIME_TIMESTAMP":"1700000000000000","_SYSTEMD_INVOCATION_ID":"bb"}
{"MESSAGE":"nobody knows, but after the start","__REALTIME_TIMESTAMP":"1700000002000000"}
`
	var got []string
	for _, e := range parseJournal([]byte(out), UnitState{InvocationID: "bb", Started: time.Unix(1700000002, 0)}) {
		got = append(got, e.Message)
	}
	if want := []string{"this run, by a clock that was wrong", "nobody knows, but after the start"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLastFailure(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  string
	}{
		{"none", []string{"I1123 21:54:01.000000       1 a.go:1] fine"}, ""},
		{"the last error counts", []string{
			`E1123 21:54:01.000000    4711 a.go:1] "first"`,
			`I1123 21:54:01.000000    4711 a.go:1] "fine"`,
			`E1123 21:54:02.000000    4711 run.go:72] "command failed" err="unknown flag"`,
		}, `"command failed" err="unknown flag"`},
		{"fatal", []string{"F1123 21:54:01.000000 1 server.go:9] no kubeconfig"}, "no kubeconfig"},
		{"a panic counts more than what comes after", []string{
			"panic: unrecognized feature gate: Foo", "goroutine 1 [running]:", `E1123 21:54:01.000000 1 a.go:1] "later"`,
		}, "panic: unrecognized feature gate: Foo"},
		{"cobra's own", []string{"Error: unknown command", "Usage:"}, "Error: unknown command"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var entries []Entry
			for _, line := range tt.lines {
				entries = append(entries, Entry{Message: line})
			}
			if got := LastFailure(entries); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
