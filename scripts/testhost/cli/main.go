// Command testhost is the shell's way to test hosts; scripts/testhost/testhost runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/kubeletctl/kubeletctl/scripts/testhost"
)

const usage = `usage:
  testhost up [--containerd] NAME   make and boot a host
  testhost run NAME -- CMD...       run a command inside; its exit code is passed on
  testhost copy NAME SRC DST        copy a file in, with its mode
  testhost off NAME                 shut it down
  testhost cut NAME                 cut its power
  testhost boot NAME                boot it again
  testhost down NAME                remove it
  testhost list`

var errUsage = errors.New(usage)

func main() {
	code, err := run(context.Background(), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
		if errors.Is(err, errUsage) {
			code = 2
		}
	}
	os.Exit(code)
}

// run returns the exit code of the command that ran inside, if one did.
func run(ctx context.Context, args []string) (int, error) {
	if len(args) == 1 && args[0] == "list" {
		return 0, list()
	}
	if len(args) < 2 {
		return 0, errUsage
	}
	verb, args := args[0], args[1:]
	if verb == "up" {
		return 0, up(ctx, args)
	}
	name, args := args[0], args[1:]
	wantArgs := map[string]int{"off": 0, "cut": 0, "boot": 0, "down": 0, "copy": 2}
	if n, ok := wantArgs[verb]; verb != "run" && (!ok || n != len(args)) {
		return 0, errUsage
	}
	h, err := testhost.Open(name)
	if err != nil {
		return 0, err
	}
	switch verb {
	case "run":
		if len(args) < 2 || args[0] != "--" {
			return 0, errUsage
		}
		cmd := h.Command(ctx, args[1], args[2:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		err := cmd.Run()
		if code := testhost.ExitCode(err); code >= 0 {
			return code, nil
		}
		return 0, err
	case "copy":
		st, err := os.Stat(args[0])
		if err != nil {
			return 0, err
		}
		return 0, h.Copy(args[0], args[1], st.Mode())
	case "off":
		return 0, h.PowerOff(ctx)
	case "cut":
		return 0, h.PowerCut()
	case "boot":
		return 0, h.Boot(ctx)
	default:
		return 0, h.Close()
	}
}

func up(ctx context.Context, args []string) error {
	o := testhost.Options{Keep: true}
	if i := slices.Index(args, "--containerd"); i >= 0 {
		o.Containerd = true
		args = slices.Delete(args, i, i+1)
	}
	if len(args) != 1 {
		return errUsage
	}
	o.Name = args[0]
	if _, err := testhost.Open(o.Name); err == nil {
		return fmt.Errorf("there is a host %q already", o.Name)
	}
	_, err := testhost.Start(ctx, o)
	return err
}

func list() error {
	hosts, err := testhost.List()
	if err != nil {
		return err
	}
	for _, h := range hosts {
		state := "off"
		if pid := h.PID(); pid != 0 {
			state = fmt.Sprintf("pid %d", pid)
		}
		fmt.Printf("%-20s %-12s %s\n", h.Name(), state, h.Root())
	}
	return nil
}
