package cmd

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
)

// releasesResult is what releases prints.
type releasesResult struct {
	Channels  []channelRow       `json:"channels"`
	Mirror    []release.Mirrored `json:"mirror"`
	Installed []installedRow     `json:"installed"`
	Problems  []string           `json:"problems"`
}

type channelRow struct {
	Name    string          `json:"name"`
	Version release.Version `json:"version"`
}

type installedRow struct {
	Version    release.Version `json:"version"`
	Generation int             `json:"generation"`
	Current    bool            `json:"current"`
}

// minorsShown is how many minors before the newest have their channels listed: those that upstream still mends, and one.
const minorsShown = 4

func releasesCommand(a *app) *cobra.Command {
	r := &releasesRun{app: a}
	c := &cobra.Command{
		Use:   "releases",
		Short: "List available and installed releases",
		Long: `Releases lists what the channels of the source stand for now, what a directory that is a source (file://) has, and
what is installed on this host and can be gone back to. The source is the one that the installed kubelet came from, unless
another is named.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error { return r.run(c) },
	}
	registerSources(c.Flags(), &r.sources, &r.caFile)
	return c
}

// releasesRun is one run of the verb.
type releasesRun struct {
	app     *app
	sources []string
	caFile  string

	client *release.Client
	result releasesResult
	failed []error
}

func (r *releasesRun) run(c *cobra.Command) error {
	if err := checkNamed(c, r.sources); err != nil {
		return &usageError{err}
	}
	record := r.app.record()
	if err := r.open(c, record); err != nil {
		return err
	}
	r.result = releasesResult{Channels: []channelRow{}, Mirror: []release.Mirrored{}, Installed: []installedRow{}, Problems: []string{}}
	r.addChannels(c.Context())
	r.addMirrors()
	r.addInstalled(record)
	if c.Context().Err() != nil {
		return install.ContextError(c.Context())
	}
	if len(r.result.Channels)+len(r.result.Mirror)+len(r.result.Installed) == 0 && len(r.failed) > 0 {
		return errors.Join(r.failed...)
	}
	for _, err := range r.failed {
		r.result.Problems = append(r.result.Problems, err.Error())
	}
	printReleases(r.app, r.result)
	return nil
}

// open makes a client of the sources that are named, or else were recorded. If those are no longer of use, what is installed
// can still be told.
func (r *releasesRun) open(c *cobra.Command, record store.Store) error {
	current, unknown := record.Installed()
	if unknown == nil {
		recorded, err := recordedSpec(current)
		if err != nil && len(r.sources) == 0 {
			return err
		}
		r.sources, r.caFile = named(c, r.sources, r.caFile, recorded)
	}
	var err error
	if r.client, _, err = r.app.client(r.sources, r.caFile, fetchOptions{}); err == nil {
		err = r.client.CheckSources()
	}
	if err != nil && unknown != nil {
		return err
	}
	if err != nil {
		r.failed, r.sources = append(r.failed, err), nil
	}
	return nil
}

// addChannels lists the channels that the sources have, those of single minors only for the newest of these.
func (r *releasesRun) addChannels(ctx context.Context) {
	top := max(r.addChannel(ctx, "stable").Minor(), r.addChannel(ctx, "latest").Minor())
	for minor := top; minor > top-minorsShown && minor > 0; minor-- {
		r.addChannel(ctx, fmt.Sprintf("stable-1.%d", minor))
	}
}

// addChannel asks for one channel, unless something has failed: then nothing else would be answered. It returns the version
// that the channel stands for, if any.
func (r *releasesRun) addChannel(ctx context.Context, name string) release.Version {
	if len(r.failed) > 0 {
		return release.Version{}
	}
	request, err := release.ParseRequest(name)
	if err != nil {
		r.failed = append(r.failed, err)
		return release.Version{}
	}
	v, err := r.client.Resolve(ctx, request)
	var missing *release.NotFoundError
	switch {
	case err == nil:
		r.result.Channels = append(r.result.Channels, channelRow{name, v})
	case !errors.As(err, &missing): // a source need not have every channel
		r.failed = append(r.failed, err)
	}
	return v
}

// addMirrors lists what is in sources that are directories.
func (r *releasesRun) addMirrors() {
	for _, source := range r.sources {
		list, err := release.InSource(source)
		if err != nil {
			r.failed = append(r.failed, err)
		}
		r.result.Mirror = append(r.result.Mirror, list...)
	}
}

// addInstalled lists what can be gone back to.
func (r *releasesRun) addInstalled(record store.Store) {
	history, err := committed(record)
	if err != nil {
		r.failed = append(r.failed, err)
	}
	for _, g := range history {
		r.result.Installed = append(r.result.Installed, installedRow{g.Version, g.Number, g.Current})
	}
}

func printReleases(a *app, r releasesResult) {
	if a.Structured() {
		a.Print(r)
		return
	}
	for _, problem := range r.Problems {
		a.Warn(problem)
	}
	var rows [][]string
	for _, c := range r.Channels {
		rows = append(rows, []string{c.Version.String(), "channel", c.Name})
	}
	for _, m := range r.Mirror {
		rows = append(rows, []string{m.Version.String(), "mirror", "linux/" + m.Arch})
	}
	for _, i := range r.Installed {
		where := "generation " + strconv.Itoa(i.Generation)
		if i.Current {
			where += " (current)"
		}
		rows = append(rows, []string{i.Version.String(), "installed", where})
	}
	if len(rows) == 0 {
		fmt.Fprintln(a.Out, "no releases found, and none installed")
		return
	}
	a.Table(a.Out, []terminal.Column{{Title: "VERSION"}, {Title: "WHAT"}, {Title: "WHERE", Fit: terminal.Cuttable}}, rows)
}
