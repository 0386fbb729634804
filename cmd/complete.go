package cmd

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
)

// completes makes a shell complete the values of a flag that was registered before.
func completes(c *cobra.Command, flag string, values cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, values); err != nil {
		panic(err) // the flags are a part of the program
	}
}

// oneOf completes one of a few values.
func oneOf[T ~string](values ...T) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var list []cobra.Completion
		for _, v := range values {
			list = append(list, cobra.Completion(v))
		}
		return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// someOf completes the last of several values with commas between them.
func someOf(values ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		before := word[:strings.LastIndexByte(word, ',')+1]
		given := strings.Split(before, ",")
		var list []cobra.Completion
		for _, v := range values {
			if !slices.Contains(given, v) {
				list = append(list, before+v)
			}
		}
		return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// minors are the minor releases that are known, the newest first.
func minors() []string {
	var list []string
	for m := config.Newest; m >= config.Oldest; m-- {
		list = append(list, m.String())
	}
	return list
}

// channels are the names of channels: those of all releases, and of the newest minors.
func channels() []string {
	list := []string{"stable", "latest"}
	for _, minor := range minors()[:minorsShown] {
		list = append(list, "stable-"+minor)
	}
	return list
}

// completeVersion completes channels, the releases that were installed on the host, those of a directory that is a source and, of
// a minor that is begun (v1.36), those that are known. It asks no server.
func (a *app) completeVersion(c *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	list := channels()
	known := map[release.Version]bool{}
	add := func(v release.Version, what string) {
		if !known[v] {
			list = append(list, cobra.CompletionWithDesc(v.String(), what))
		}
		known[v] = true
	}
	record := a.record()
	history, _ := committed(record) // without it nothing is known of what was installed
	for _, e := range history {
		add(e.Version, fmt.Sprintf("generation %d", e.Number))
	}
	sources, err := c.Flags().GetStringArray("source")
	if current, missing := record.Installed(); err == nil && missing == nil && len(sources) == 0 {
		recorded, _ := spec.Recorded(current) // without it nothing is known of its sources
		sources = recorded.Sources
	}
	for _, source := range sources {
		found, _ := release.InSource(source) // what cannot be read has nothing to offer
		for _, m := range slices.Backward(found) {
			add(m.Version, "in "+release.Redact(source))
		}
	}
	if len(word) >= len("v1.36") {
		for _, v := range slices.Backward(release.PublishedVersions(word)) {
			add(v, "published")
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// completeGeneration completes the generations that a rollback can go to.
func (a *app) completeGeneration(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeEntries(func(e store.Entry) bool { return e.IsGeneration() && !e.Current })
}

// completeHistory completes the number of an entry of the history.
func (a *app) completeHistory(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeEntries(func(store.Entry) bool { return len(args) == 0 })
}

// completeCompared completes two generations that are compared.
func (a *app) completeCompared(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeEntries(func(e store.Entry) bool {
		return e.IsGeneration() && len(args) < 2 && !slices.Contains(args, strconv.Itoa(e.Number))
	})
}

// completeEntries completes the numbers of those of the newest entries of the history that fit.
func (a *app) completeEntries(fits func(store.Entry) bool) ([]cobra.Completion, cobra.ShellCompDirective) {
	var list []cobra.Completion
	history, _, _ := a.record().History().List(historyLimit)
	for _, e := range history {
		if fits(e) {
			what := fmt.Sprintf("%s, %s, %s", e.Version, e.Command, e.Created.Local().Format("2006-01-02"))
			list = append(list, cobra.CompletionWithDesc(strconv.Itoa(e.Number), what))
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// record is the record of what was installed; also for a completion, before which nothing is checked.
func (a *app) record() store.Store { return store.In(hostfs.At(absolute(a.root))) }

// committed are the newest generations that can be gone back to, and the current one. One that was reverted cannot.
func committed(record store.Store) ([]store.Entry, error) {
	history, _, err := record.History().List(historyLimit)
	return slices.DeleteFunc(history, func(e store.Entry) bool { return !e.IsGeneration() }), err
}

// target is the minor that a command is about: that of its --version, else of what is installed, else the newest that is known.
func (a *app) target(c *cobra.Command) config.Minor {
	if f := c.Flags().Lookup("version"); f != nil {
		if v, err := spec.TargetVersion(strings.TrimPrefix(f.Value.String(), "stable-")); err == nil {
			return min(config.Minor(v.Minor()), config.Newest)
		}
	}
	if current, err := a.record().Installed(); err == nil {
		if minor, known := release.MinorOf(current.Version.String()); known {
			return min(config.Minor(minor), config.Newest)
		}
	}
	return config.Newest
}

// completesSettings makes a shell complete the settings of kubelet that install, set and upgrade take.
func (a *app) completesSettings(c *cobra.Command) {
	completes(c, "set", a.completeField)
	completes(c, "kubelet-flag", a.completeKubeletFlag)
}

// completeKubeletFlag completes the name of a flag of the kubelet that the command is about.
func (a *app) completeKubeletFlag(c *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if strings.Contains(word, "=") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var list []cobra.Completion
	for _, f := range config.FlagsOf(a.target(c)) {
		list = append(list, cobra.CompletionWithDesc(f.Name+"=", f.Type))
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeField completes the path of a field of the kubelet that the command is about, one level at a time.
func (a *app) completeField(c *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if strings.Contains(word, "=") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	minor, parent := a.target(c), word[:strings.LastIndexByte(word, '.')+1]
	var list []cobra.Completion
	for _, f := range config.AllFields() {
		name, below := strings.CutPrefix(f.Path, parent)
		switch {
		case !below || !f.AcceptedBy(minor) || strings.ContainsAny(name, ".["):
		case f.Type == "object":
			list = append(list, f.Path+".")
		case f.Path != "apiVersion" && f.Path != "kind":
			list = append(list, cobra.CompletionWithDesc(f.Path+"=", f.Type))
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeUnset completes what set --unset takes away: what is recorded.
func (a *app) completeUnset(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	current, err := a.record().Installed()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	recorded, _ := spec.Recorded(current) // without it there is nothing to take away
	return slices.Concat(slices.Sorted(maps.Keys(recorded.Flags)), slices.Sorted(maps.Keys(recorded.KubeletConfiguration))), cobra.ShellCompDirectiveNoFileComp
}
