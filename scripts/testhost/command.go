package testhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Result is what a program that ran inside left.
type Result struct {
	Stdout, Stderr string
	ExitCode       int // 128 + the signal's number if a signal ended it, as in a shell
}

// Command returns a command that runs inside, as root, with a clean environment.
// Its Start fails when the host is off.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return h.enter(ctx, []string{"-m", "-u", "-i", "-n", "-p", "-C", "--", "env", "-i", "PATH=" + path, "HOME=/root", name}, args)
}

// Netns returns a command of the outside that sees the network of the host.
func (h *Host) Netns(ctx context.Context, name string, args ...string) *exec.Cmd {
	return h.enter(ctx, []string{"-n", "--", name}, args)
}

func (h *Host) enter(ctx context.Context, how, args []string) *exec.Cmd {
	pid := h.PID()
	cmd := exec.CommandContext(ctx, "nsenter", append(append([]string{"-t", strconv.Itoa(pid)}, how...), args...)...)
	if pid == 0 {
		cmd.Err = fmt.Errorf("host %s is off", h.Name())
	}
	// Killing nsenter would leave the program that it runs, its child, behind.
	cmd.Cancel = func() error {
		for _, child := range processOf(cmd.Process.Pid).children() {
			_ = child.signal(syscall.SIGKILL)
		}
		return cmd.Process.Kill()
	}
	cmd.WaitDelay = time.Second
	return cmd
}

// Run runs a program inside. Its exit code is part of the result; an error means
// that it did not run, or not to its end.
func (h *Host) Run(ctx context.Context, name string, args ...string) (Result, error) {
	cmd := h.Command(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	res := Result{Stdout: stdout.String(), Stderr: stderr.String()}
	if err == nil {
		return res, nil
	}
	res.ExitCode = ExitCode(err)
	switch {
	case ctx.Err() != nil:
		return res, fmt.Errorf("running %s in host %s: %w", name, h.Name(), ctx.Err())
	case res.ExitCode < 0:
		return res, fmt.Errorf("running %s in host %s: %w", name, h.Name(), err)
	case h.PID() == 0:
		return res, fmt.Errorf("running %s: host %s went off", name, h.Name())
	}
	return res, nil
}

// ExitCode is the exit code that a shell would show for the error of a command:
// 0 for nil, -1 for a command that did not run.
func ExitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		return -1
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

// Copy copies a file of the outside in. dst is a path inside; its directories are
// made, and a file that is there is replaced in one step, also while it runs.
func (h *Host) Copy(src, dst string, mode os.FileMode) error {
	if !filepath.IsAbs(dst) {
		return fmt.Errorf("copying to %s: not an absolute path", dst)
	}
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	// A program of the inside follows the symlinks of the inside.
	const script = `mkdir -p "$(dirname "$1")"; cat >"$1.new"; chmod "$2" "$1.new"; mv -T "$1.new" "$1"`
	args := []string{"-ec", script, "sh", dst, fmt.Sprintf("%o", mode.Perm())}
	cmd := h.Command(context.Background(), "sh", args...)
	if h.PID() == 0 {
		cmd = exec.Command("chroot", append([]string{h.Root(), "sh"}, args...)...)
	}
	cmd.Stdin = in
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copying to %s in host %s: %w: %s", dst, h.Name(), err, bytes.TrimSpace(out))
	}
	return nil
}
