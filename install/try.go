package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"time"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
)

// firstHalf is what happens before anything of the host is changed: the binary is fetched, asked and rehearsed. It has
// nothing to undo, and no means to.
type firstHalf struct{ attempt }

// trial is what the first half found out.
type trial struct {
	// took is how long the kubelet took to be healthy when it was rehearsed; 0 when it was not.
	took time.Duration
	// member is what kubelet is to its cluster; nil for nothing.
	member *membership
}

func (f firstHalf) run(ctx context.Context) (trial, error) {
	took, err := f.try(ctx)
	if err != nil || f.change.Plan.OnlyTools() {
		return trial{}, err
	}
	took = max(took, f.change.Want.Took) // what was installed before has been started here before
	if ctx.Err() != nil {
		return trial{}, errors.New("before anything was changed")
	}
	return trial{took: took, member: f.member(ctx)}, nil
}

// TryOut fetches the kubelet of a change, asks it and rehearses it, and returns how long it took to be healthy; 0 when it could
// not be rehearsed. It changes nothing: what was fetched is kept for the change. The caller holds the lock.
func (h *Host) TryOut(ctx context.Context, c *Change, o ApplyOptions) (time.Duration, error) {
	o.always = true
	took, err := firstHalf{attempt{h, c, o}}.try(ctx)
	return took, Interrupted(ctx, unchanged(err))
}

// try fetches, asks and rehearses, and returns how long the kubelet took to be healthy.
func (f firstHalf) try(ctx context.Context) (time.Duration, error) {
	binary, err := f.download(ctx)
	if err != nil || f.change.Plan.OnlyTools() {
		return 0, err
	}
	if f.change.Plan.Has(plan.SetMode, binary.Path) || f.change.Plan.Has(plan.SetOwner, binary.Path) {
		copied, err := f.asItWillBe(binary)
		if err != nil {
			return 0, err
		}
		defer func() { _ = f.host.Tree.Remove(copied) }() // the next download drops one that stays
		binary.Path = copied
	}
	if err := f.checkFlags(ctx, binary.Path); err != nil {
		return 0, err
	}
	if err := f.ask(ctx, binary.Path); err != nil {
		return 0, err
	}
	return f.rehearse(ctx, binary.Path)
}

// asItWillBe copies a binary of which only the mode or the owner is wrong, beside it, with those that it is to have. The copy
// is verified: until now somebody else may have been able to write to the original.
func (f firstHalf) asItWillBe(binary plan.File) (string, error) {
	content, err := f.host.Tree.Open(binary.Path)
	if err != nil {
		return "", err
	}
	defer content.Close()
	name := store.PartialName(binary.Path, f.change.Want.Digest)
	if err := f.host.Tree.WriteFile(name, binary.Mode, binary.Owner, content); err != nil {
		return "", err
	}
	same, err := f.host.Observer().HasDigest(name, f.change.Want.Digest)
	if err == nil && !same {
		err = &release.VerifyError{Name: binary.Path, Problem: "it was changed while it was looked at"}
	}
	if err != nil {
		return "", errors.Join(err, f.host.Tree.Remove(name))
	}
	return name, nil
}

// download fetches what the plan needs, and returns kubelet's binary as it is on the host now.
func (f firstHalf) download(ctx context.Context) (plan.File, error) {
	binary, want := f.change.Want.Binary(), f.change.Want
	var all []*download
	for _, step := range f.change.Plan.Steps {
		if step.Action != plan.Stage {
			continue
		}
		d := &download{host: f.host, artifact: f.change.Artifacts.of(step.File), client: f.options.Release, file: step.File, done: f.options.Fetched}
		if seen := f.change.Seen; seen.Executes(step.File) {
			d.artifact.Local = fmt.Sprintf("/proc/%d/exe", seen.Process.PID)
		}
		all = append(all, d)
	}
	if err := f.host.fetchAll(ctx, all...); err != nil {
		return binary, err
	}
	for _, d := range all {
		d.complete(want)
		if d.file.Path == binary.Path {
			binary.Path = d.partial
		}
	}
	return binary, nil
}

// download fetches a binary into a hidden file beside its place, and verifies it.
type download struct {
	host     *Host
	artifact release.Artifact
	client   *release.Client
	file     plan.File // what it becomes
	done     func()    // called when it was fetched; nil is fine

	partial string // where it is, as a path of the host
	fetched release.Fetched
}

// complete adds to what is wanted what is known of a binary since it was fetched.
func (d *download) complete(want *plan.Generation) {
	for i, file := range want.Files {
		if file.Path == d.file.Path {
			want.Files[i].SHA256 = d.fetched.SHA256
		}
	}
	if d.file.Kind == plan.Binary {
		want.URL = cmp.Or(d.fetched.URL, want.URL)
	}
	for i, t := range want.Tools {
		if t.Name == d.artifact.Program {
			want.Tools[i].URL = cmp.Or(d.fetched.URL, t.URL)
		}
	}
}

// fetchAll fetches and verifies the binaries of a change, all or none. What was fetched stays for the next try.
func (h *Host) fetchAll(ctx context.Context, all ...*download) error {
	if len(all) == 0 {
		return nil
	}
	err := h.beginDownloads(all)
	for _, d := range all {
		if err == nil {
			err = d.fetch(ctx)
		}
	}
	if err != nil {
		if err := h.Store().Downloads().Forget(); err != nil {
			h.note("forgetting the download: %v", err)
		}
	}
	return err
}

// beginDownloads records what is about to be fetched, all into one directory, and makes that.
func (h *Host) beginDownloads(all []*download) error {
	missing, err := h.Tree.MissingDirs(path.Dir(all[0].file.Path))
	if err != nil {
		return err
	}
	var records []store.Download
	for _, d := range all {
		record := store.NewDownload(d.file, d.artifact.Digest, missing)
		records, d.partial = append(records, record), record.Partial
	}
	if err := h.Store().Downloads().Begin(records...); err != nil {
		return fmt.Errorf("recording the download: %w", err)
	}
	for _, dir := range missing {
		if err := h.Tree.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// fetch fetches and verifies a binary. A file of an earlier run is gone on with.
func (d *download) fetch(ctx context.Context) error {
	tree := d.host.Tree
	name, err := tree.Path(d.partial)
	if err != nil {
		return err
	}
	if d.fetched, err = d.client.Fetch(ctx, d.artifact, name); err != nil {
		return err
	}
	if err := d.verify(ctx, name); err != nil {
		if ctx.Err() != nil {
			return err // it has the right digest, and the next run checks it again
		}
		return errors.Join(err, tree.Remove(d.partial))
	}
	if d.done != nil {
		d.done()
	}
	return nil
}

// verify holds a binary that has the right digest against what it should be: by its header, and by its own word.
func (d *download) verify(ctx context.Context, name string) error {
	if err := d.host.Tree.Chmod(d.partial, d.file.Mode); err != nil {
		return err
	}
	if !d.host.mayExecute(d.artifact) {
		return release.CheckHeader(name, d.artifact.Arch)
	}
	return d.artifact.Check(ctx, name)
}

// FlagsRejectedError reports that the binary rejects the flags that were rendered for it, whatever the tables say. Nothing
// was changed.
type FlagsRejectedError struct {
	Version release.Version
	Err     error // in kubelet's own words
}

func (e *FlagsRejectedError) Error() string {
	return fmt.Sprintf("kubelet %s rejects the flags that were rendered for it: %v", e.Version, e.Err)
}
func (e *FlagsRejectedError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *FlagsRejectedError) Hint() string { return "leave the flag out, or choose another version" }

// checkFlags holds what was rendered against what the binary says of itself. A binary for another architecture cannot be
// asked.
func (f firstHalf) checkFlags(ctx context.Context, binary string) error {
	c := f.change
	switch {
	case c.Draft == nil, c.Want.Arch != runtime.GOARCH:
		return nil
	case !f.host.Live && !c.Plan.Has(plan.Stage, c.Want.Binary().Path): // that a tree has a binary, and records its digest, is no reason to execute it here
		return nil
	case c.Plan.Has(plan.Stage, c.Want.Binary().Path) && !f.host.mayExecute(c.Artifacts.Kubelet):
		return nil
	}
	name, err := f.host.Tree.Path(binary)
	if err != nil {
		return err
	}
	help, err := release.ReadHelp(ctx, name, c.Want.KnownArgs()...)
	if refused := (*release.RefusedError)(nil); errors.As(err, &refused) {
		return &FlagsRejectedError{c.Want.Version, err}
	}
	if err != nil {
		return err
	}
	gates, _ := c.Draft.Rendered.Fields["featureGates"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(gates)) {
		if _, known := help.Gates[name]; known || len(help.Gates) == 0 {
			continue
		}
		// The list leaves out what is generally available or deprecated, so this is no reason to refuse.
		text := fmt.Sprintf("kubelet %s does not list the feature gate %s; it does not start if it has none of that name", c.Want.Version, name)
		if hint := config.DidYouMean(name, slices.Sorted(maps.Keys(help.Gates))); hint != "" {
			text += "; " + hint
		}
		f.host.note("%s", text)
	}
	return nil
}
