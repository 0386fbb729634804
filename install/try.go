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
	binary := f.change.Want.Binary()
	if f.change.Plan.Downloads() {
		d := download{host: f.host, artifact: f.change.Artifact, client: f.options.Release}
		if seen := f.change.Seen; seen.Executes(binary) {
			d.artifact.Local = fmt.Sprintf("/proc/%d/exe", seen.Process.PID)
		}
		fetched, err := d.fetch(ctx, binary)
		if err != nil {
			d.tidy()
			return trial{}, err
		}
		f.complete(fetched)
		binary.Path = d.partial
		if f.options.Fetched != nil {
			f.options.Fetched()
		}
	}
	if f.change.Plan.Has(plan.SetMode, binary.Path) || f.change.Plan.Has(plan.SetOwner, binary.Path) {
		copied, err := f.asItWillBe(binary)
		if err != nil {
			return trial{}, err
		}
		defer func() { _ = f.host.Tree.Remove(copied) }() // the next download drops one that stays
		binary.Path = copied
	}
	if err := f.checkFlags(ctx, binary.Path); err != nil {
		return trial{}, err
	}
	if err := f.ask(ctx, binary.Path); err != nil {
		return trial{}, err
	}
	took, err := f.rehearse(ctx, binary.Path)
	if err != nil {
		return trial{}, err
	}
	took = max(took, f.change.Want.Took) // what was installed before has been started here before
	if ctx.Err() != nil {
		return trial{}, errors.New("before anything was changed")
	}
	return trial{took: took, member: f.member(ctx)}, nil
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

// complete adds to what is wanted what is known of the binary since it was fetched.
func (f firstHalf) complete(fetched release.Fetched) {
	want := f.change.Want
	for i, file := range want.Files {
		if file.Kind == plan.Binary {
			want.Files[i].SHA256 = fetched.SHA256
		}
	}
	want.URL = cmp.Or(fetched.URL, want.URL)
}

// download fetches a binary into a hidden file beside its place, and verifies it.
type download struct {
	host     *Host
	artifact release.Artifact
	client   *release.Client

	partial string // where it is, as a path of the host
}

// fetch fetches and verifies a binary. A file of an earlier run is gone on with.
func (d *download) fetch(ctx context.Context, file plan.File) (release.Fetched, error) {
	tree := d.host.Tree
	missing, err := tree.MissingDirs(path.Dir(file.Path))
	if err != nil {
		return release.Fetched{}, err
	}
	record, err := d.host.Store().Downloads().Begin(file, d.artifact.Digest, missing)
	if err != nil {
		return release.Fetched{}, fmt.Errorf("recording the download: %w", err)
	}
	for _, dir := range missing {
		if err := tree.Mkdir(dir, 0o755); err != nil {
			return release.Fetched{}, err
		}
	}
	d.partial = record.Partial
	name, err := tree.Path(d.partial)
	if err != nil {
		return release.Fetched{}, err
	}
	fetched, err := d.client.Fetch(ctx, d.artifact, name)
	if err != nil {
		return fetched, err
	}
	if err := d.verify(ctx, name, file); err != nil {
		if ctx.Err() != nil {
			return fetched, err // it has the right digest, and the next run checks it again
		}
		return fetched, errors.Join(err, tree.Remove(d.partial))
	}
	return fetched, nil
}

// verify holds a binary that has the right digest against what it should be: by its header, and by its own word.
func (d *download) verify(ctx context.Context, name string, file plan.File) error {
	if err := d.host.Tree.Chmod(d.partial, file.Mode); err != nil {
		return err
	}
	if !d.host.mayExecute(d.artifact) {
		return release.CheckHeader(name, d.artifact.Arch)
	}
	return release.Check(ctx, name, d.artifact.Arch, d.artifact.Version)
}

// tidy forgets a download that failed and has left no file to go on with.
func (d *download) tidy() {
	if err := d.host.Store().Downloads().Forget(); err != nil {
		d.host.note("forgetting the download: %v", err)
	}
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
	case !f.host.Live && !c.Plan.Downloads(): // that a tree has a binary, and records its digest, is no reason to execute it here
		return nil
	case c.Plan.Downloads() && !f.host.mayExecute(c.Artifact):
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
