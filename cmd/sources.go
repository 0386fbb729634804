package cmd

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
)

// registerSources registers where releases come from.
func registerSources(f *pflag.FlagSet, sources *[]string, caFile *string) {
	f.StringArrayVar(sources, "source", nil, "`URL` of a directory in release layout (http, https, file); repeat it in order of preference")
	f.StringVar(caFile, "ca-file", "", "PEM `FILE` of CA certificates to verify https sources with, instead of the system's")
	inGroup(f, groupRelease)
}

// checkNamed finds what is wrong with the flags of registerSources.
func checkNamed(c *cobra.Command, sources []string) error {
	return errors.Join((&release.Client{Sources: sources}).CheckSources(), refuseEmpty(c.Flags(), "ca-file"))
}

// refuseEmpty refuses flags that were given without a value: a variable that is not set must not take a check away.
func refuseEmpty(f *pflag.FlagSet, names ...string) error {
	var errs []error
	for _, name := range names {
		if f.Changed(name) && f.Lookup(name).Value.String() == "" {
			errs = append(errs, fmt.Errorf("--%s is empty", name))
		}
	}
	return errors.Join(errs...)
}

// named are the sources, and the certificates that they are verified by, of a recorded spec, as far as the command line does
// not name others for this once.
func named(c *cobra.Command, sources []string, caFile string, recorded spec.Spec) ([]string, string) {
	if !c.Flags().Changed("source") {
		sources = recorded.Sources
	}
	if !c.Flags().Changed("ca-file") {
		return sources, recorded.CAFile
	}
	return sources, absolute(caFile)
}

// unrecorded says, once, of which sources only a part is recorded.
func unrecorded(sources []string, installed *plan.Generation) (lines []string) {
	var known []string
	if recorded, err := spec.Recorded(cmp.Or(installed, &plan.Generation{})); err == nil {
		known = recorded.Sources
	}
	for _, source := range sources {
		if short := release.Redact(source); short != source && !slices.Contains(known, short) {
			lines = append(lines, fmt.Sprintf("the credentials of the source %s are not recorded: what has to be fetched later needs --source again", short))
		}
	}
	return lines
}

// fetchOptions say how a download is made, and are not recorded.
type fetchOptions struct {
	connections int
	splay       time.Duration
}

func (o *fetchOptions) register(f *pflag.FlagSet) {
	f.IntVar(&o.connections, "connections", release.DefaultConnections, "maximum `NUMBER` of connections for a download; more than one only if one is slow")
	f.DurationVar(&o.splay, "splay", 0, "wait up to this time, at random, before the first request, and use one connection: for many hosts that start at once")
	inGroup(f, groupRelease)
}

func (o fetchOptions) check() error {
	var errs []error
	if o.connections < 1 || o.connections > 16 {
		errs = append(errs, fmt.Errorf("--connections %d: must be between 1 and 16", o.connections))
	}
	if o.splay < 0 {
		errs = append(errs, fmt.Errorf("--splay %s is negative", o.splay))
	}
	return errors.Join(errs...)
}

// maxCAFile is the size in bytes up to which a CA file is read; the certificates that systems trust take about 200 KiB.
const maxCAFile = 4 << 20

// absolute makes a path one that also means something to the next run.
func absolute(file string) string {
	if full, err := filepath.Abs(file); err == nil && file != "" {
		return full
	}
	return file
}

// client asks and downloads from sources, and shows how far it got.
func (a *app) client(sources []string, caFile string, o fetchOptions) (*release.Client, *terminal.Progress, error) {
	p := a.NewProgress()
	client := &release.Client{Sources: sources, Note: a.Note, Connections: o.connections}
	if p != nil {
		client.Progress = p.Show
	}
	if o.splay > 0 && o.connections == release.DefaultConnections {
		client.Connections = 1 // many hosts share what the mirror has
	}
	if caFile != "" {
		info, err := os.Stat(caFile)
		if err == nil && (!info.Mode().IsRegular() || info.Size() > maxCAFile) {
			err = fmt.Errorf("%s is not a regular file of at most %s", caFile, release.FormatSize(maxCAFile))
		}
		var data []byte
		if err == nil {
			data, err = os.ReadFile(caFile)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading the CA file: %w", err)
		}
		client.RootCAs = x509.NewCertPool()
		if !client.RootCAs.AppendCertsFromPEM(data) {
			return nil, nil, fmt.Errorf("the CA file %s has no certificate in PEM form", caFile)
		}
	}
	return client, p, nil
}

// spread waits for a random part of the time of --splay.
func (a *app) spread(ctx context.Context, splay time.Duration) error {
	if splay <= 0 {
		return nil
	}
	wait := rand.N(splay)
	a.Note(fmt.Sprintf("waiting %s before the first request", wait.Round(time.Millisecond)))
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return install.ContextError(ctx)
	}
}
