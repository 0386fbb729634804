package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/archive"
	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/release"
)

// sectionTimeout is how long one section may take.
const sectionTimeout = 4 * time.Second

func reportCommand(a *app) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "report FILE.tar.gz",
		Short: "Collect all that is known of the kubelet of this host in one archive, without secrets",
		Long: `Report writes an archive for whoever is to help: status, preflight, diagnose, history, the recorded spec, the configuration, the units with
their drop-ins, the journal of the last three boots, the container runtime, and what of the kernel matters to kubelet. It works for
a kubelet that kubeletctl has not installed, too, and changes nothing else. What could not be had is said in errors.txt.

Secrets are masked: values of flags, fields, headers and variables that hold one, credentials in URLs, tokens and private keys. Read
the archive all the same before you give it away: names of hosts, pods, users and images are in it.

FILE has mode 0600 and is not overwritten without --force; - is standard output.`,
		Example: `  kubeletctl report "$(hostname)".tar.gz
  ssh node7 kubeletctl report - >node7.tar.gz`,
		Args: takes("FILE"),
		RunE: func(c *cobra.Command, args []string) error { return report(c.Context(), a, args[0], force) },
	}
	c.Flags().BoolVar(&force, "force", false, "overwrite FILE")
	return c
}

// reportResult is the document of report.
type reportResult struct {
	File   string   `json:"file"`
	Bytes  int      `json:"bytes"`
	Files  []string `json:"files"`
	Errors []string `json:"errors,omitempty"`
}

func report(ctx context.Context, a *app, file string, force bool) error {
	exists := withHint(fmt.Errorf("%s exists", file), "name another file, or overwrite it with --force")
	_, err := os.Lstat(file)
	switch {
	case file == "-" && a.Format != "":
		return &usageError{errors.New("-o cannot be combined with -, where the archive goes")}
	case file == "-" && terminal.Is(a.Out):
		return &usageError{errors.New("an archive is nothing for a terminal: redirect it, or name a file")}
	case file != "-" && !force && err == nil:
		return exists
	}
	h, done, err := a.host()
	if err != nil {
		return err
	}
	defer done()
	r := collect(ctx, a, h)
	if ctx.Err() != nil {
		return install.ContextError(ctx)
	}
	now := time.Now()
	data, err := r.Pack("kubeletctl-report-"+now.Format("20060102-150405"), now)
	switch {
	case err != nil:
	case file == "-":
		_, err = a.Out.Write(data)
		return err
	case force:
		err = renameio.WriteFile(file, data, 0o600, renameio.WithStaticPermissions(0o600))
	default:
		if err = writeNew(file, data); errors.Is(err, fs.ErrExist) {
			return exists
		}
	}
	if err != nil {
		return err
	}
	doc := reportResult{File: file, Bytes: len(data), Files: r.Names(), Errors: r.Errors()}
	if a.Structured() {
		a.Print(doc)
		return nil
	}
	fmt.Fprintf(a.Out, "%s: %s, %s\n", file, release.FormatCount(len(doc.Files), "file", "files"), release.FormatSize(int64(len(data))))
	if len(doc.Errors) > 0 {
		a.Note(release.FormatCount(len(doc.Errors), "thing", "things") + " could not be had, see errors.txt in it")
	}
	return nil
}

// writeNew writes a file that must not exist. One that cannot be written is removed.
func writeNew(file string, data []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(file)
	}
	return err
}

// reporter is what the sections of a report share.
type reporter struct {
	archive.Archive
	app  *app
	host *install.Host
}

// collect runs all sections side by side.
func collect(ctx context.Context, a *app, h *install.Host) *reporter {
	r := &reporter{app: a, host: h}
	var running sync.WaitGroup
	for _, s := range sections {
		running.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, sectionTimeout)
			defer cancel()
			_, err := waitFor(ctx, func() (struct{}, error) { return struct{}{}, s.collect(ctx, r) })
			if err != nil {
				r.Fail(s.name, err)
			}
		})
	}
	running.Wait()
	return r
}

// numbered is the name of the file about a boot, 0 for this one.
func numbered(boot int) string { return "journal-boot" + strconv.Itoa(boot) + ".txt" }
