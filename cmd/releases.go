package cmd

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
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
	var sources []string
	var caFile string
	c := &cobra.Command{
		Use:   "releases",
		Short: "List the releases that there are: channels, in a mirror, on this host",
		Long: `Releases lists what the channels of the source stand for now, what a directory that is a source (file://) has, and
what is installed on this host and can be gone back to. The source is the one that the installed kubelet came from, unless
another is named.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return releases(a, c, sources, caFile) },
	}
	registerSources(c.Flags(), &sources, &caFile)
	return c
}

func releases(a *app, c *cobra.Command, sources []string, caFile string) error {
	ctx := c.Context()
	record := store.In(hostfs.At(a.root))
	if err := checkNamed(c, sources); err != nil {
		return &usageError{err}
	}
	current, unknown := record.Installed()
	if unknown == nil {
		recorded, err := recordedSpec(current)
		if err != nil && len(sources) == 0 {
			return err
		}
		sources, caFile = named(c, sources, caFile, recorded)
	}
	client, _, err := a.client(sources, caFile, fetchOptions{})
	if err == nil {
		err = client.CheckSources()
	}
	if err != nil && unknown != nil {
		return err
	}
	r := releasesResult{Channels: []channelRow{}, Mirror: []release.Mirrored{}, Installed: []installedRow{}, Problems: []string{}}
	var failed []error
	if err != nil { // what was recorded is no longer of use; what is installed can still be told
		failed, sources = append(failed, err), nil
	}
	ask := func(name string) (release.Version, bool) {
		if len(failed) > 0 { // nor would anything else be answered
			return release.Version{}, false
		}
		request, err := release.ParseRequest(name)
		if err != nil {
			failed = append(failed, err)
			return release.Version{}, false
		}
		v, err := client.Resolve(ctx, request)
		var missing *release.NotFoundError
		switch {
		case err == nil:
			r.Channels = append(r.Channels, channelRow{name, v})
		case !errors.As(err, &missing): // a source need not have every channel
			failed = append(failed, err)
		}
		return v, err == nil
	}
	newest, _ := ask("stable")
	latest, _ := ask("latest")
	top := max(newest.Minor(), latest.Minor())
	for minor := top; minor > top-minorsShown && minor > 0; minor-- {
		ask(fmt.Sprintf("stable-1.%d", minor))
	}
	for _, source := range sources {
		list, err := release.InSource(source)
		if err != nil {
			failed = append(failed, err)
		}
		r.Mirror = append(r.Mirror, list...)
	}
	history, _, err := record.History(historyLimit)
	if err != nil {
		failed = append(failed, err)
	}
	for _, g := range history {
		if g.Reason == "" && !g.Event { // one that was reverted cannot be gone back to
			r.Installed = append(r.Installed, installedRow{g.Version, g.Number, g.Current})
		}
	}
	if ctx.Err() != nil {
		return install.ContextError(ctx)
	}
	if len(r.Channels)+len(r.Mirror)+len(r.Installed) == 0 && len(failed) > 0 {
		return errors.Join(failed...)
	}
	for _, err := range failed {
		r.Problems = append(r.Problems, err.Error())
	}
	printReleases(a, r)
	return nil
}

func printReleases(a *app, r releasesResult) {
	if a.output.structured() {
		a.print(r)
		return
	}
	for _, problem := range r.Problems {
		a.note(problem)
	}
	rows := [][]string{{"VERSION", "WHAT", "WHERE"}}
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
	if len(rows) == 1 {
		fmt.Fprintln(a.out, "no source knows a release, and none is installed")
		return
	}
	table(a.out, rows)
}
