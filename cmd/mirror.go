package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/diagnose"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
)

type mirrorOptions struct {
	versions, channels, archs, sources []string
	with                               []string
	caFile, require                    string
	prune, check                       bool
	lockWait                           lockWait
	fetch                              fetchOptions
}

func mirrorCommand(a *app) *cobra.Command {
	var o mirrorOptions
	c := &cobra.Command{
		Use:   "mirror DIR --version VERSION...",
		Short: "Make a directory of releases to serve, or to carry to a place without internet",
		Long: `Mirror makes DIR a directory in release layout: the kubelets of the versions and channels, verified, with checksum
files. What is there and right is not fetched again. Serve it with any web server, copy it with rsync or tar, or name it:
--source file:///DIR.

A channel that is named with --channel gets a marker, which says what --version stable, for example, means to a host that
uses DIR. Markers that are in DIR already are kept right. Each names the newest release of its channel in DIR.

With --check nothing is fetched and nobody is asked: each kubelet in DIR is held against its checksum files and against
the digests that upstream published, and each marker has to name a release that is there.`,
		Example: `  kubeletctl mirror /srv/mirror --version v1.36.4 --channel stable-1.37 \
    --arch amd64,arm64
  kubeletctl mirror --check /srv/mirror
  kubeletctl install --version v1.36.4 --source file:///srv/mirror \
    --require-trust published`,
		Args: takes("DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			if args[0] == "" {
				return &usageError{errors.New("DIR is empty")}
			}
			if strings.Contains(args[0], "://") {
				return &usageError{withHint(errors.New("DIR is a URL"), "DIR is a local directory; name the URL to copy from with --source")}
			}
			m := &mirrorRun{app: a, given: args[0], dir: absolute(args[0]), options: o, done: []release.Mirrored{}}
			return m.run(c)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&o.versions, "version", nil, versionForms+"; repeat it")
	f.StringArrayVar(&o.channels, "channel", nil, "a `CHANNEL` (stable, latest, stable-1.36) or minor (1.36): its release, and its marker, so that hosts can follow it; repeat it")
	f.StringSliceVar(&o.archs, "arch", []string{runtime.GOARCH}, "`ARCH` of the binaries, several with commas")
	f.StringSliceVar(&o.with, "with", nil, "`PROGRAMS` to have beside each kubelet: kubeadm, kubectl")
	completes(c, "with", someOf(release.Tools()...))
	registerSources(f, &o.sources, &o.caFile)
	o.fetch.register(f)
	f.StringVar(&o.require, "require-trust", "", "minimum `TRUST` in the digest of a binary: published or checksum")
	completes(c, "version", a.completeVersion)
	completes(c, "channel", oneOf(channels()...))
	completes(c, "arch", someOf(release.Architectures()...))
	completes(c, "require-trust", oneOf(release.Published, release.Checksum))
	f.BoolVar(&o.prune, "prune", false, "remove the releases and architectures that are not asked for")
	f.BoolVar(&o.check, "check", false, "verify what is in DIR, and fetch nothing")
	o.lockWait.register(f)
	return c
}

// mirrorRun is one run of the verb.
type mirrorRun struct {
	app     *app
	given   string // dir, as the user writes it
	dir     string
	options mirrorOptions

	requests []release.Request
	channels []release.Request // those of requests that get a marker
	versions []release.Version // that they stand for
	client   *release.Client
	done     []release.Mirrored // an empty list is printed as one
}

func (m *mirrorRun) run(c *cobra.Command) error {
	if err := m.checkFlags(c); err != nil {
		return &usageError{err}
	}
	if m.options.check {
		return checkMirror(m.app, m.given, m.least())
	}
	if err := m.resolve(c.Context()); err != nil {
		return err
	}
	if _, err := os.Lstat(m.dir); errors.Is(err, fs.ErrNotExist) {
		defer os.Remove(m.dir) // it stays when anything is in it
	}
	var unlock func()
	err := m.options.lockWait.take(c.Context(), m.app, func() (err error) {
		if err = os.MkdirAll(m.dir, 0o755); err == nil {
			unlock, err = lockMirror(m.dir)
		}
		return err
	})
	if err != nil {
		return err
	}
	defer unlock()
	if err := m.fill(c.Context()); err != nil {
		return err
	}
	printMirror(m.app, m.done)
	return nil
}

func (m *mirrorRun) least() release.Trust { return release.Trust(m.options.require) }

// checkFlags finds what is wrong with the command line, and puts what it says into its final form.
func (m *mirrorRun) checkFlags(c *cobra.Command) error {
	o := &m.options
	if err := refuseEmpty(c.Flags(), "require-trust"); err != nil {
		return err
	}
	if o.check {
		if o.prune || len(o.versions)+len(o.channels)+len(o.with) > 0 {
			return errors.New("--check cannot be combined with --version, --channel, --with or --prune")
		}
		return checkLeast(o.require)
	}
	errs := []error{o.fetch.check(), o.lockWait.check(), (&release.Client{Sources: o.sources}).CheckSources()}
	if len(o.versions)+len(o.channels) == 0 {
		errs = append(errs, errors.New("no releases given: use --version or --channel"))
	}
	var err1, err2 error
	m.requests, err1 = parseRequests("version", o.versions)
	m.channels, err2 = parseRequests("channel", o.channels)
	errs = append(errs, err1, err2)
	for _, r := range m.channels {
		if v, exact := r.Exact(); exact {
			errs = append(errs, withHint(fmt.Errorf("--channel %s is a release, not a channel", v), "--version "+v.String()))
		}
	}
	m.requests = append(m.requests, m.channels...)
	slices.Sort(o.archs)
	if o.archs = slices.Compact(o.archs); len(o.archs) == 0 {
		errs = append(errs, errors.New("--arch is empty"))
	}
	for _, name := range o.with {
		if !slices.Contains(release.Tools(), name) {
			errs = append(errs, fmt.Errorf("--with %s: unknown program: there are %s", name, strings.Join(release.Tools(), " and ")))
		}
	}
	for _, arch := range o.archs {
		if !slices.Contains(release.Architectures(), arch) {
			errs = append(errs, fmt.Errorf("unknown architecture %q: kubelets exist for %v", arch, release.Architectures()))
		}
	}
	return errors.Join(append(errs, checkLeast(o.require))...)
}

// parseRequests reads the values of a flag that names releases.
func parseRequests(flag string, values []string) ([]release.Request, error) {
	var requests []release.Request
	var errs []error
	for _, text := range values {
		r, err := release.ParseRequest(text)
		if text == "" {
			err = fmt.Errorf("--%s is empty", flag)
		}
		requests, errs = append(requests, r), append(errs, err)
	}
	return requests, errors.Join(errs...)
}

// resolve asks the sources which versions are meant.
func (m *mirrorRun) resolve(ctx context.Context) error {
	o := m.options
	client, _, err := m.app.client(o.sources, o.caFile, o.fetch)
	if err != nil {
		return err
	}
	client.Progress = nil // several files at once
	m.client = client
	if err := m.app.spread(ctx, o.fetch.splay); err != nil {
		return err
	}
	for _, r := range m.requests {
		v, err := client.Resolve(ctx, r)
		if err != nil {
			return err
		}
		if !slices.Contains(m.versions, v) {
			m.versions = append(m.versions, v)
		}
	}
	return nil
}

// fill makes the directory have what it is to have, and no more than that with --prune.
func (m *mirrorRun) fill(ctx context.Context) error {
	archs := m.options.archs
	err := m.client.Mirror(ctx, release.MirrorOptions{Dir: m.dir, Versions: m.versions, Channels: m.channels, Archs: archs, With: m.options.with, Least: m.least(), Done: m.report})
	if err != nil && ctx.Err() != nil {
		return withHint(fmt.Errorf("%w: %w", install.ContextError(ctx), err), "run this again to go on")
	}
	if err != nil || !m.options.prune {
		return err
	}
	if err := release.Prune(m.dir, m.versions, archs, m.report); err != nil {
		return fmt.Errorf("pruning %s: %w", m.dir, err)
	}
	return nil
}

// report keeps what was done, and says what was fetched.
func (m *mirrorRun) report(done release.Mirrored) {
	m.done = append(m.done, done)
	if done.State == release.MirrorFetched {
		m.app.Note(fmt.Sprintf("fetched %s: %s, trust %s", done.Artifact(), release.FormatSize(done.Size), done.Trust))
	}
}

// checkLeast refuses a trust that a mirror cannot have.
func checkLeast(trust string) error {
	if trust != "" && trust != string(release.Published) && trust != string(release.Checksum) {
		return fmt.Errorf("--require-trust %q: a mirror can require published or checksum", trust)
	}
	return nil
}

// mirrorLockedError reports that another run is at work in a mirror.
type mirrorLockedError struct{ dir string }

func (e *mirrorLockedError) Error() string { return "another kubeletctl is changing " + e.dir }

// Hint says what to do about it.
func (e *mirrorLockedError) Hint() string { return (&store.LockedError{}).Hint() }

// lockMirror takes a lock on the directory itself: what is served has no file of ours in it.
func lockMirror(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &mirrorLockedError{dir}
		}
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return func() {
		_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // see store.Store.Lock
		f.Close()
	}, nil
}

// checkMirror fails with a VerifyError when something in a mirror is not to be used.
func checkMirror(a *app, dir string, least release.Trust) error {
	list, err := release.CheckMirror(dir)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return withHint(fmt.Errorf("no kubelet is in %s", dir), "a mirror has vX.Y.Z/bin/linux/ARCH/kubelet in it")
	}
	var bad []error
	var again []string
	for i, m := range list {
		if m.State == release.MirrorPresent && !m.Trust.Meets(least) {
			m.State, m.Problem = release.MirrorBad, fmt.Sprintf("the trust in its digest is %q, %q is required", m.Trust, least)
			list[i] = m
		}
		if m.State == release.MirrorBad {
			bad = append(bad, &release.VerifyError{Name: filepath.Join(dir, m.Path()), Problem: m.Problem})
			command := fmt.Sprintf("kubeletctl mirror %s --version %s --arch %s", diagnose.ShellQuote(dir), m.Version, m.Arch)
			if m.Program != "" {
				command += " --with " + m.Program
			}
			again = append(again, command)
		}
	}
	markers, err := release.CheckMarkers(dir)
	if err != nil {
		return err
	}
	for _, m := range markers {
		bad = append(bad, &release.VerifyError{Name: filepath.Join(dir, m.Name), Problem: m.Problem})
		again = append(again, fmt.Sprintf("kubeletctl mirror %s --channel %s", diagnose.ShellQuote(dir), m.Channel))
	}
	if !a.Structured() || len(bad) == 0 {
		printMirror(a, list)
	}
	if len(bad) > 0 {
		return withHint(errors.Join(bad...), "to download what is bad again: "+strings.Join(again, "; "))
	}
	return nil
}

func printMirror(a *app, list []release.Mirrored) {
	slices.SortStableFunc(list, func(x, y release.Mirrored) int { return x.Version.Compare(y.Version) })
	if a.Structured() {
		a.Print(list)
		return
	}
	var rows [][]string
	for _, m := range list {
		size := "-"
		if m.Size > 0 {
			size = release.FormatSize(m.Size)
		}
		rows = append(rows, []string{m.Version.String(), m.Artifact().Name(), m.Arch, string(m.State), orDash(string(m.Trust)), size, orDash(a.Digest(m.SHA256))})
	}
	a.Table(a.Out, []terminal.Column{{Title: "VERSION"}, {Title: "PROGRAM"}, {Title: "ARCH"}, {Title: "STATE"}, {Title: "TRUST"}, {Title: "SIZE"}, {Title: "SHA256", Fit: terminal.Cuttable}}, rows)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
