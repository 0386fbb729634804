package terminal

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestPhases(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		out  Output
		tty  bool
		want string
	}{
		{name: "in a log", want: "kubeletctl: switching\nkubeletctl: a note\n" +
			"kubeletctl: waiting\nkubeletctl: waiting (10 s)\nkubeletctl: waiting (20 s)\n"},
		{name: "on a terminal", tty: true, want: eraseLine + "kubeletctl: switching" + eraseLine + "kubeletctl: switching (1 s)" +
			eraseLine + "kubeletctl: a note\n" + eraseLine + "kubeletctl: switching (2 s)" + eraseLine +
			waitingOnTerminal(25) + eraseLine},
		{name: "quiet", out: Output{Quiet: true}},
		{name: "quiet on a terminal", out: Output{Quiet: true}, tty: true},
		{name: "json", out: Output{Format: "json"}},
		{name: "json on a terminal", out: Output{Format: "json"}, tty: true},
	}
	for i := range tests {
		tt := &tests[i]
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var b bytes.Buffer
				tt.out.Err = &b
				p := &Phases{output: &tt.out, plain: !tt.tty}
				p.Begin("switching")
				time.Sleep(1500 * time.Millisecond)
				tt.out.Note("a note")
				time.Sleep(time.Second)
				p.Begin("waiting")
				time.Sleep(25*time.Second + time.Millisecond)
				p.End()
				p.End()
				if b.String() != tt.want {
					t.Errorf("it said\n%q, want\n%q", b.String(), tt.want)
				}
			})
		})
	}
}

// waitingOnTerminal is what a terminal gets while it is waited for some seconds.
func waitingOnTerminal(seconds int) string {
	text := eraseLine + "kubeletctl: waiting"
	for i := range seconds {
		text += fmt.Sprintf("%skubeletctl: waiting (%d s)", eraseLine, i+1)
	}
	return text
}
