package cmd

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/release"
)

const (
	// mostOfSection is how much of one file goes into a report, in bytes: its end.
	mostOfSection = 1 << 20
	// sectionTimeout is how long one section may take.
	sectionTimeout = 4 * time.Second
)

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
	data, err := r.archive(time.Now())
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
	doc := reportResult{File: file, Bytes: len(data), Errors: r.errors}
	for _, f := range r.files {
		doc.Files = append(doc.Files, f.name)
	}
	if a.Structured() {
		a.Print(doc)
		return nil
	}
	fmt.Fprintf(a.Out, "%s: %s, %s\n", file, release.FormatCount(len(doc.Files), "file", "files"), release.FormatSize(int64(len(data))))
	if len(r.errors) > 0 {
		a.Note(release.FormatCount(len(r.errors), "thing", "things") + " could not be had, see errors.txt in it")
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
	app  *app
	host *install.Host

	adding sync.Mutex
	files  []reportFile
	errors []string
}

type reportFile struct {
	name string
	data []byte
}

// add adds a file, without secrets. Of a large one it is the end.
func (r *reporter) add(name string, data []byte) { r.addMasked(name, config.HideSecrets(data)) }

// addMasked adds a file that has no secrets any more, unless it was added before.
func (r *reporter) addMasked(name string, data []byte) {
	if over := len(data) - mostOfSection; over > 0 {
		data = append([]byte("[...]\n"), data[over:]...)
	}
	r.adding.Lock()
	defer r.adding.Unlock()
	if !slices.ContainsFunc(r.files, func(f reportFile) bool { return f.name == name }) {
		r.files = append(r.files, reportFile{name, data})
	}
}

// addJSON adds a document.
func (r *reporter) addJSON(name string, doc any) error {
	data, err := json.MarshalIndent(doc, "", "  ")
	if err == nil {
		r.add(name, append(data, '\n'))
	}
	return err
}

// fail takes note of what could not be had.
func (r *reporter) fail(what string, err error) {
	r.adding.Lock()
	defer r.adding.Unlock()
	r.errors = append(r.errors, what+": "+config.HideInLine(strings.Join(strings.Fields(err.Error()), " ")))
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
				r.fail(s.name, err)
			}
		})
	}
	running.Wait()
	return r
}

// archive packs what was collected, each file below one directory. Their time has no fraction, which tar would round up.
func (r *reporter) archive(now time.Time) ([]byte, error) {
	r.adding.Lock() // for a section that was given up
	defer r.adding.Unlock()
	slices.Sort(r.errors)
	if len(r.errors) > 0 {
		r.files = append(r.files, reportFile{"errors.txt", []byte(strings.Join(r.errors, "\n") + "\n")})
	}
	slices.SortFunc(r.files, func(a, b reportFile) int { return strings.Compare(a.name, b.name) })
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	out := tar.NewWriter(zip)
	dir := "kubeletctl-report-" + now.Format("20060102-150405")
	for _, f := range r.files {
		header := &tar.Header{Name: path.Join(dir, f.name), Mode: 0o600, Size: int64(len(f.data)), ModTime: now.Truncate(time.Second)}
		if err := out.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.name, err)
		}
		if _, err := out.Write(f.data); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.name, err)
		}
	}
	err := errors.Join(out.Close(), zip.Close())
	return b.Bytes(), err
}

// numbered is the name of the file about a boot, 0 for this one.
func numbered(boot int) string { return "journal-boot" + strconv.Itoa(boot) + ".txt" }
