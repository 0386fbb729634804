// Package cmd is the command line: verbs and flags, hints and exit codes. What the verbs do is in package install, and how that
// is shown in package terminal.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/rehearsal"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Main runs one command line and returns the exit code.
func Main(args []string, in io.Reader, out, errs io.Writer) int {
	// A run allocates about as much as makes the collector start for the first time, which then takes more than it gives back.
	debug.SetGCPercent(200)
	syscall.Umask(0o022) // modes are as this program says, not as strict or lax as a provisioning tool happens to be
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the run at once; what it leaves is recovered. One that comes right after the first does not count:
	// timeout(1) sends two.
	context.AfterFunc(ctx, func() {
		time.Sleep(signalPause)
		stop()
	})
	result := &terminal.CheckedWriter{Writer: out}
	a := &app{Output: terminal.Output{Out: result, Err: errs}, in: in}
	root := a.rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if a.detached && errors.Is(result.Err, syscall.EPIPE) {
		result.Err = nil // nobody listens any more; the history has it
	}
	if err == nil && result.Err != nil {
		a.Format = "" // nothing that goes to stdout would arrive
		err = fmt.Errorf("the result could not be printed: %w", result.Err)
	}
	if err != nil && !a.parsed {
		a.guessOutput(args)
		if hintOf(err) == "" {
			err = withHint(err, "kubeletctl --help lists the commands, kubeletctl COMMAND --help the flags")
		}
		err = &usageError{err}
	}
	return a.report(err)
}

// signalPause is the time in which several signals count as one.
const signalPause = time.Second

// guessOutput finds out how to print an error about a command line that could not be read to its end.
func (a *app) guessOutput(args []string) {
	for i, arg := range args {
		value, found := strings.CutPrefix(arg, "--output=")
		if !found {
			value, found = strings.CutPrefix(arg, "-o")
			value = strings.TrimPrefix(value, "=")
		}
		if (arg == "-o" || arg == "--output") && i+1 < len(args) {
			value, found = args[i+1], true
		}
		if found {
			_ = a.Format.Set(value) // another value leaves the table, which is right
		}
	}
}

// app is one run: the streams and the flags that all verbs share.
type app struct {
	terminal.Output
	in io.Reader

	root    string
	verbose bool
	timeout time.Duration

	plan     *plan.Plan         // of the change that this run is about; nil before there is one
	parsed   bool               // the command line made sense
	detached bool               // a change has begun; see detach
	cancel   context.CancelFunc // ends the timeout
}

func (a *app) rootCommand() *cobra.Command {
	var version bool
	c := &cobra.Command{
		Use:   "kubeletctl",
		Short: "Install a kubelet release on this host and look after it",
		Long: `kubeletctl installs a kubelet release on a Linux host with systemd and looks after it:
it downloads and verifies the binary, renders kubelet-config.yaml and the unit for exactly
that version, starts the service, and reports its actual state afterwards.

` + exitCodeHelp(),
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			return a.begin(c)
		},
		PersistentPostRun: func(*cobra.Command, []string) { a.cancel() },
		Args:              onlyCommands,
		RunE: func(c *cobra.Command, _ []string) error {
			if version {
				a.printVersion(c)
				return nil
			}
			return c.Help()
		},
	}
	c.SetIn(a.in)
	c.SetOut(a.Out)
	c.SetErr(a.Err)
	a.register(c.PersistentFlags())
	completes(c, "output", oneOf("table", "json", "yaml"))
	c.Flags().BoolVar(&version, "version", false, "print the version, as kubeletctl version does")
	inGroup(c.Flags(), groupGeneral)
	c.SetHelpFunc(func(c *cobra.Command, _ []string) { help(a, c) })
	c.SetUsageFunc(func(c *cobra.Command) error { return usage(a, c) })
	c.SetHelpCommand(helpCommand(a))
	c.CompletionOptions.HiddenDefaultCmd = false
	c.SetFlagErrorFunc(flagError)
	c.AddCommand(a.commands()...)
	c.InitDefaultCompletionCmd()
	for _, sub := range c.Commands() {
		if sub.HasSubCommands() {
			group(sub)
		}
	}
	return c
}

// Commands are all commands, for a text about them: kubeletctl, with the verbs below it.
func Commands() *cobra.Command {
	c := (&app{Output: terminal.Output{Out: io.Discard, Err: io.Discard}}).rootCommand()
	c.InitDefaultHelpCmd()
	return c
}

// commands are the verbs.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		installCommand(a),
		upgradeCommand(a),
		setCommand(a),
		rollbackCommand(a),
		restartCommand(a),
		joinCommand(a),
		leaveCommand(a),
		drainCommand(a),
		uncordonCommand(a),
		preflightCommand(a),
		statusCommand(a),
		diagnoseCommand(a),
		logsCommand(a),
		reportCommand(a),
		diffCommand(a),
		repairCommand(a),
		historyCommand(a),
		uninstallCommand(a),
		releasesCommand(a),
		mirrorCommand(a),
		configCommand(a),
		recoverCommand(a),
		rehearseCommand(a),
		versionCommand(a),
	}
}

// register registers the flags that all verbs share.
func (a *app) register(f *pflag.FlagSet) {
	f.VarP(&a.Format, "output", "o", "how to print the result: table, json or yaml")
	f.BoolVarP(&a.Quiet, "quiet", "q", false, "print only results, warnings and errors")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "print the differences of each file, too")
	f.BoolVar(&a.Wide, "wide", false, "print tables as wide as they are, also on a terminal that is narrower")
	inGroup(f, groupOutput)
	f.StringVar(&a.root, "root", "/", "work on the tree below `DIR`, such as an image, and do not contact systemd")
	f.DurationVar(&a.timeout, "timeout", 0, "give up after this time, and roll back what was changed (0: no limit)")
	inGroup(f, groupGeneral)
}

// begin checks what all verbs share.
func (a *app) begin(c *cobra.Command) error {
	if a.timeout < 0 {
		return fmt.Errorf("--timeout %s is negative", a.timeout)
	}
	if a.Format == terminal.Prometheus && c.Name() != "status" {
		return errors.New("-o prometheus is of kubeletctl status alone")
	}
	if a.root == "" {
		return errors.New("--root is empty")
	}
	root, err := filepath.Abs(a.root)
	if err != nil {
		return err
	}
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return fmt.Errorf("--root %s is not a directory", a.root)
	}
	a.root, a.parsed = root, true
	a.cancel = func() {}
	if a.timeout > 0 {
		ctx, cancel := context.WithTimeout(c.Context(), a.timeout)
		a.cancel = cancel
		c.SetContext(ctx)
	}
	return nil
}

// host opens the host, or the tree that --root names. Close it with the function that comes with it.
func (a *app) host() (*install.Host, func(), error) {
	h := &install.Host{Tree: hostfs.At(a.root), Ask: rehearsal.Ask, Note: a.Note}
	if a.root != "/" {
		h.Units = systemd.Offline{Files: h.Tree}
		return h, func() {}, nil
	}
	conn, err := systemd.Connect()
	if errors.Is(err, systemd.ErrNotRunning) {
		return nil, nil, withHint(err, "to prepare the tree of another system, or an image, name it: --root DIR")
	}
	if err != nil {
		return nil, nil, err
	}
	h.Units, h.Live, h.Rehearse, h.Log = conn, true, rehearsal.Run, systemd.Log
	if os.Geteuid() == 0 { // nobody else may
		h.AskRuntime = cri.Answers
	}
	return h, conn.Close, nil
}

// detach makes a change that has begun go on to its end when the terminal is gone or nobody reads its output any more: neither
// is a wish to undo it. SIGINT and SIGTERM are.
func (a *app) detach() {
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	a.detached = true
}
