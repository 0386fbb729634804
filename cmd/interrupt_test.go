package cmd_test

import (
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A second Ctrl-C ends a run at once that the first one did not end: here one that nobody reads from, in the midst of what it
// prints.
func TestSecondInterrupt(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, os.Getpagesize()); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("kubeletctl", "completion", "bash") // more than the pipe holds
	c.Stdout = w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil { // it listens to signals by now
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	deadline := time.After(longest)
	for n := 1; ; n++ {
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if status := c.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGINT {
				t.Errorf("it ended with %v, not by the signal", err)
			}
			if n < 2 {
				t.Error("the first signal ended it: this shows nothing of the second")
			}
			return
		case <-time.After(200 * time.Millisecond):
		case <-deadline:
			_ = c.Process.Kill()
			t.Fatal("it did not end")
		}
	}
}
