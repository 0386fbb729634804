package rehearsal

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Verb {
		keepThreadsBusy()
		if err := Inside(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// keepThreadsBusy makes it likely that a goroutine without a thread of its own changes threads, as it may on a busy host: it
// loses its turn in every system call that takes a moment.
func keepThreadsBusy() {
	for range 4 * runtime.GOMAXPROCS(0) {
		go func() {
			for {
				runtime.Gosched()
			}
		}()
	}
}

// A candidate has the capabilities of this process less those that are dropped, not more and not fewer. Without a thread of
// its own the stage drops them for the wrong thread once in about ten runs: hence the number of them.
func TestCapabilities(t *testing.T) {
	for range 30 {
		checkCapabilities(t, rehearseShell(t, "cat /proc/self/status; exit 1"))
	}
}

func checkCapabilities(t *testing.T, log string) {
	t.Helper()
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"CapBnd", "CapPrm", "CapEff"} {
		want := capabilities(t, string(own), set)
		for _, c := range []int{unix.CAP_SYS_MODULE, unix.CAP_SYS_TIME, unix.CAP_SYS_BOOT, unix.CAP_SYS_RAWIO, unix.CAP_MKNOD} {
			want &^= 1 << c
		}
		if got := capabilities(t, log, set); got != want {
			t.Errorf("%s of the candidate is %016x, want %016x", set, got, want)
		}
	}
}

// rehearseShell rehearses a shell command that fails in place of a kubelet, and returns what it printed.
func rehearseShell(t *testing.T, command string) string {
	t.Helper()
	_, err := Run(t.Context(), Trial{Binary: "/bin/sh", Args: []string{"-c", command}, RootDir: hostfs.KubeletDir, Timeout: 30 * time.Second})
	if errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	}
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	return refused.Log
}

// capabilities reads a set from the text of /proc/PID/status.
func capabilities(t *testing.T, status, set string) uint64 {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + set + `:\s*([0-9a-f]+)$`).FindStringSubmatch(status)
	if found == nil {
		t.Fatalf("no %s in:\n%s", set, status)
	}
	n, err := strconv.ParseUint(found[1], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
