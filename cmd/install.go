package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/probe"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
)

type installOptions struct {
	specFile, configFile string
	joinFile             string
	spec                 spec.Spec // what single flags say
	kubeletFlags, sets   []string
	reserve              string
	nodeFlags            map[string]*string
	with                 []string // programs beside kubelet
	only                 []string // what upgrade is limited to; empty for kubelet and all that is beside it
	change               changeOptions
	fetch                fetchOptions
	adopt                bool
	recorded             bool // begin with the recorded spec, whatever a spec file says
	refresh              bool // take the defaults that depend on this host anew
	replace              bool // drop what earlier installs asked for and this one does not repeat, and what was set
	unset                []string
	retry                bool // also what was rolled back before
	allowDowngrade       bool // upgrade may install an older release
}

// nodeFlags are the kubelet flags that describe this node; each is a flag of install, too.
var nodeFlags = []struct{ name, usage string }{
	{"container-runtime-endpoint", "`URL` of the container runtime's CRI socket"},
	{"register-node", "whether the node registers itself with the API server: `true` or false"},
	{"kubeconfig", "`PATH` on this host of the kubeconfig that kubelet uses"},
	{"bootstrap-kubeconfig", "`PATH` on this host of the kubeconfig that kubelet gets its first certificate with"},
	{"node-ip", "`IP` address of the node, or two for dual-stack"},
	{"hostname-override", "`NAME` of the node, instead of the host name"},
	{"node-labels", "`LABELS` that the node registers with: key=value,..."},
}

// nodeFlag is the value of such a flag. Given again, it is what kubelet makes of that: labels add up.
type nodeFlag struct{ name, value string }

func (n *nodeFlag) String() string { return n.value }
func (n *nodeFlag) Type() string   { return "string" }

// Set takes a value.
func (n *nodeFlag) Set(value string) error {
	n.value = config.AddValue(n.name, n.value, value)
	return nil
}

func installCommand(a *app) *cobra.Command {
	o := newInstallOptions()
	c := &cobra.Command{
		Use:   "install [--version VERSION] [-f SPEC]",
		Short: "Install and configure kubelet on this host",
		Long: `Install makes this host run the kubelet that the flags and the spec file ask for, and nothing else:
what is already so stays untouched, and the plan says for each step why it is needed. A change that
does not end with a healthy kubelet is rolled back.

Without -f, ` + hostfs.SpecFile + ` is the spec if it exists. Flags win over the spec.

--with installs kubeadm and kubectl of the same release beside kubelet, verified and recorded as it is. On a host with a
kubelet, --with without a version or settings adds them, and leaves kubelet and its settings as they are.

What --set takes, with the quotes that a shell needs:

  maxPods=50                                a field
  authentication.webhook.cacheTTL=1m        a field in a field
  'clusterDNS=[10.96.0.10, 10.96.0.11]'     a list: always the whole of it
  'evictionHard={memory.available: 200Mi}'  a map: always the whole of it
  'evictionHard.memory\.available=200Mi'    a key of a map, a dot in it with \
  maxPods=null                              removes it: kubelet's own default`,
		Example: `  kubeletctl install --version v1.37.2
  kubeletctl install --version 1.36 --set maxPods=50 \
    --set 'evictionHard.memory\.available=200Mi'
  kubeletctl install --version v1.37.2 --profile kubeadm --with kubeadm,kubectl
  kubeletctl install -f spec.yaml --dry-run
  kubeletctl install --version stable --root /mnt/image`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error { return endedEarly(c.Context(), a.install(c, o)) },
	}
	o.registerFile(c)
	o.registerVersion(c)
	o.registerWith(c)
	o.registerSpec(c)
	o.registerJoin(c)
	completes(c, "version", a.completeVersion)
	a.completesSettings(c)
	f := c.Flags()
	f.BoolVar(&o.adopt, "adopt", false, "take over the kubelet that runs here and that kubeletctl did not install: its flags and configuration are carried over")
	f.BoolVar(&o.replace, "replace", false, "drop the settings of earlier installs that this one does not repeat, and those of kubeletctl set")
	inGroup(f, groupConfig)
	o.registerChange(c)
	return c
}

// registerChange registers how the host is brought to what is wanted.
func (o *installOptions) registerChange(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&o.spec.NoStart, "no-start", false, "enable kubelet for the next boot, but do not start or restart it now")
	f.IntVar(&o.spec.KeepGenerations, "keep-generations", 0, fmt.Sprintf("`NUMBER` of generations to keep for rollback; default %d", spec.DefaultKeep))
	o.change.registerIgnore(c)
	f.BoolVar(&o.retry, "retry", false, "try again what was rolled back on this host before")
	o.change.register(c)
	o.change.registerSwitch(c)
}

// registerFile registers the spec file of verbs that do not begin with the recorded spec.
func (o *installOptions) registerFile(c *cobra.Command) {
	c.Flags().StringVarP(&o.specFile, "file", "f", "", "`FILE` with the spec; - is standard input")
	inGroup(c.Flags(), groupConfig)
}

func newInstallOptions() *installOptions { return &installOptions{nodeFlags: map[string]*string{}} }

// versionForms says what --version takes.
const versionForms = "exact `VERSION` (v1.36.3), minor (1.36: its newest) or channel (stable, latest, stable-1.36)"

// registerVersion registers the flag that says which release is wanted.
func (o *installOptions) registerVersion(c *cobra.Command) {
	c.Flags().StringVar(&o.spec.Version, "version", "", versionForms+"; default stable")
	inGroup(c.Flags(), groupRelease)
}

// registerSpec registers the flags that say what is wanted of a release.
func (o *installOptions) registerSpec(c *cobra.Command) {
	f := c.Flags()
	registerSources(f, &o.spec.Sources, &o.spec.CAFile)
	o.fetch.register(f)
	f.StringVar((*string)(&o.spec.RequireTrust), "require-trust", "", "minimum `TRUST` in the digest of the binary: given, published or checksum")
	f.StringVar(&o.spec.SHA256, "sha256", "", "pinned SHA-256 `DIGEST` of the binary")
	f.StringVar(&o.spec.SHA512, "sha512", "", "pinned SHA-512 `DIGEST` of the binary")
	f.StringVar(&o.spec.Arch, "arch", "", "`ARCH` of the binary: "+strings.Join(release.Architectures(), ", ")+"; default: this machine's")
	f.StringVar(&o.spec.Paths.BinDir, "bin-dir", "", "`DIR` for the binaries; default "+hostfs.DefaultBinDir)
	inGroup(f, groupRelease)
	for _, n := range nodeFlags {
		value := &nodeFlag{name: n.name}
		f.Var(value, n.name, n.usage)
		o.nodeFlags[n.name] = &value.value
	}
	f.BoolVar(&o.spec.Standalone, "standalone", false, "run without an API server")
	inGroup(f, groupNode)
	f.StringArrayVar(&o.kubeletFlags, "kubelet-flag", nil, "any other kubelet flag: `NAME=VALUE`; repeat it")
	f.StringArrayVar(&o.sets, "set", nil, "a KubeletConfiguration field: `FIELD=VALUE`; FIELD=null removes it; kubeletctl install --help shows lists, maps and dotted keys")
	f.StringVar(&o.reserve, "reserve", "", "`auto`: keep memory, CPU, disk space and process IDs from pods, as much as the size of this machine asks for (kubeReserved, systemReserved)")
	f.StringVar(&o.configFile, "config-file", "", "KubeletConfiguration `FILE` to start from")
	f.StringVar((*string)(&o.spec.Profile), "profile", "", "defaults of the configuration file: `PROFILE` hardened, or upstream for kubelet's own; kubeadm leaves the configuration to kubeadm")
	inGroup(f, groupConfig)
	completes(c, "require-trust", oneOf(release.Given, release.Published, release.Checksum))
	completes(c, "arch", oneOf(release.Architectures()...))
	completes(c, "profile", oneOf(config.Profiles()...))
}

// work is one verb that brings a host to what a spec asks for.
type work struct {
	changer
	want *installOptions

	spec      spec.Spec
	positions config.Positions
	adoption  adoption
	// chooses reports that nothing is recorded of which defaults that depend on this host are to be kept.
	chooses bool
	// base is the generation that the spec was put together from without the lock; nil when it was held, or for none.
	base *plan.Generation
	// current is what an upgrade begins with; nil for other verbs.
	current *plan.Generation
	// upgradeFrom is the release that must not be newer than what is installed; zero when that does not matter.
	upgradeFrom release.Version
}

func (a *app) install(c *cobra.Command, o *installOptions) error {
	w := newWork(a, o, "install")
	var recorded *spec.Spec
	if o.addsTools(a, c) {
		done, err := w.open()
		if err != nil {
			return err
		}
		defer done()
		if recorded, err = w.recordedIfAny(c.Context()); err != nil {
			return err
		}
	}
	if o.adopt { // the host itself is a part of what is asked for
		done, err := w.open()
		if err != nil {
			return err
		}
		defer done()
		if err := w.lockEarly(c.Context()); err != nil {
			return err
		}
		if err := w.readSpecFile(c.Context()); err != nil {
			return &usageError{err}
		}
		if w.adoption, err = findToAdopt(a, c.Context(), w.host, o, w.spec); err != nil {
			return err
		}
		if w.lock == nil {
			w.base = w.adoption.current
		}
		recorded = w.adoption.spec
	}
	if err := errors.Join(w.readSpec(c, recorded), w.joinAfter(c.Context())); err != nil {
		return &usageError{err}
	}
	if w.host == nil {
		done, err := w.open()
		if err != nil {
			return err
		}
		defer done()
	}
	return w.run(c.Context())
}

func newWork(a *app, o *installOptions, verb string) *work {
	return &work{changer: changer{app: a, verb: verb, options: o.change}, want: o}
}

// open opens the host. Close it with the function that comes with it, which gives the lock up, too.
func (w *work) open() (done func(), err error) {
	h, closeHost, err := w.app.host()
	w.host = h
	return func() {
		w.unlock()
		closeHost()
	}, err
}

// run takes the lock and makes the host what the spec asks for.
func (w *work) run(ctx context.Context) error {
	if err := w.lockLater(ctx); err != nil {
		return err
	}
	return w.converge(ctx)
}

// lockEarly takes the lock before what is recorded on the host is read. With --splay it only brings an interrupted change to
// an end, and gives the lock up again: see lockLater.
func (w *work) lockEarly(ctx context.Context) error {
	err := w.takeLock(ctx)
	if w.want.fetch.splay > 0 {
		w.unlock()
	}
	return err
}

// lockLater takes the lock, if it is not held yet, after the time of --splay for a change that asks a source. The host is not
// locked meanwhile: nothing is being changed, and somebody may have to change it. If somebody did since the recorded spec was
// read, what was planned for is no more.
func (w *work) lockLater(ctx context.Context) error {
	splay := w.want.fetch.splay
	if w.options.dryRun || w.lock != nil {
		return nil
	}
	before := w.base
	if splay > 0 && (install.Resolver{Host: w.host}).NeedsSource(w.spec) {
		if err := preflight.Writable(w.host.Tree, nil); err != nil {
			return err
		}
		if err := w.app.spread(ctx, splay); err != nil {
			return err
		}
	}
	if err := w.takeLock(ctx); err != nil || before == nil { // else what is recorded is read with the lock held
		return err
	}
	now, err := w.host.Store().Current()
	if err == nil && !sameGeneration(before, now) {
		err = &overtakenError{}
	}
	return err
}

// sameGeneration reports whether two generations are one. An uninstall that is brought to its end makes no difference.
func sameGeneration(x, y *plan.Generation) bool {
	installed := func(g *plan.Generation) bool { return g != nil && !g.Snapshot }
	if !installed(x) || !installed(y) {
		return installed(x) == installed(y)
	}
	return x.Number == y.Number && x.Created.Equal(y.Created) && bytes.Equal(x.Spec, y.Spec)
}

// overtakenError reports that another run changed the host while this one waited.
type overtakenError struct{}

func (*overtakenError) Error() string {
	return "another kubeletctl changed this host in the meantime"
}

// Hint says what to do about it.
func (*overtakenError) Hint() string { return "run this again" }

// converge makes the host what the spec asks for.
func (w *work) converge(ctx context.Context) error {
	change, err := w.prepare(ctx)
	if err != nil {
		return err
	}
	return w.change(ctx, change)
}

// prepare plans what makes the host what the spec asks for, and refuses what cannot be.
func (w *work) prepare(ctx context.Context) (*install.Change, error) {
	a, h := w.app, w.host
	var err error
	if w.client, w.progress, err = a.client(w.spec.Sources, w.spec.CAFile, w.want.fetch); err != nil {
		return nil, err
	}
	if !w.want.recorded {
		if err := w.reconcile(); err != nil {
			return nil, err
		}
	}
	h.Unvouched = !h.Live && w.spec.FromTree
	draft, err := w.build(ctx)
	if errors.Is(err, release.ErrNoCredentials) {
		return nil, &usageError{err}
	}
	if err != nil {
		return nil, err
	}
	installed, err := h.Store().Current()
	if err != nil {
		return nil, err
	}
	for _, remark := range draft.Notes(installed) {
		if remark.Warning {
			a.Warn(remark.Line)
		} else {
			a.Note(remark.Line)
		}
	}
	for _, line := range unrecorded(w.spec.Sources, installed) {
		a.Note(line)
	}
	prepare := w.options.prepare()
	prepare.OnlyTools = w.want.recorded && draft.OnlyTools(installed)
	if w.adoption.found != nil {
		prepare.TakeOver, prepare.Adopted = w.adoption.found.Unit, w.adoption.dropIn
	}
	change, err := h.Prepare(ctx, draft, prepare)
	if err != nil {
		return nil, err
	}
	if change.Have != nil {
		w.warnOlder(draft, change.Have)
	}
	problems := w.problems(ctx, change)
	a.plan = change.Plan
	w.noteKubeadm(draft)
	if err := w.preflight(problems, change.Plan); err != nil {
		return nil, err
	}
	if !w.want.retry {
		if err := h.RefuseRetry(change); err != nil {
			return nil, err
		}
	}
	return change, nil
}

// problems are what preflight has to say about a change of kubelet.
func (w *work) problems(ctx context.Context, change *install.Change) []preflight.Problem {
	if change.Plan.OnlyTools() {
		return nil
	}
	// What could be better was said at the first install, and is by kubeletctl preflight.
	first := change.Have == nil || w.options.dryRun
	return slices.DeleteFunc(w.host.PreflightHost(ctx, change, false), func(p preflight.Problem) bool {
		return p.Severity == preflight.Info && (!first || !preflight.OfConfiguration(p.ID))
	})
}

// build resolves the spec to a release and its artifact, and renders it.
func (w *work) build(ctx context.Context) (*spec.Draft, error) {
	r := install.Resolver{Host: w.host, Client: w.client}
	version, err := r.Version(ctx, w.spec)
	if err != nil {
		return nil, err
	}
	if w.staysInMinor() {
		w.noteNewerMinor(ctx)
	}
	switch older := version.Compare(w.upgradeFrom) < 0; {
	case older && w.want.allowDowngrade:
	case older && w.staysInMinor(): // the source is behind, so what is installed is the newest patch
		version = w.upgradeFrom
	case older:
		_, exact := w.request().Exact()
		return nil, &downgradeError{asked: w.request().String(), to: version, from: w.upgradeFrom, exact: exact}
	}
	version = w.shareOut(version)
	if err := w.choose(ctx, version); err != nil {
		return nil, err
	}
	resolution, err := r.Resolve(ctx, w.spec, version)
	if err != nil {
		return nil, err
	}
	if !w.options.dryRun {
		r.KeepMarkers()
		if err := r.ReadFlags(ctx, w.spec, &resolution); err != nil {
			return nil, err
		}
	}
	return spec.Build(w.spec, w.positions, resolution)
}

// choose takes the defaults that depend on this host: for a new installation, and when that is asked for.
func (w *work) choose(ctx context.Context, version release.Version) (err error) {
	if !w.chooses && !w.want.refresh {
		return nil
	}
	var choices []spec.Choice
	if w.adoption.found == nil { // what is taken over stays as it is
		asked, err := w.spec.WithoutChoices()
		if err != nil {
			return err
		}
		if choices, err = w.host.Choices(ctx, asked, config.Minor(version.Minor())); err != nil {
			return err
		}
	}
	w.spec, err = w.spec.Rechoose(choices)
	return err
}

func (w *work) request() release.Request {
	request, _ := release.ParseRequest(w.spec.Version) // readSpec has checked it
	return request
}

// downgradeError refuses to go back to an older release by the verb for newer ones.
type downgradeError struct {
	asked    string
	to, from release.Version
	exact    bool // the user named that very release
}

func (e *downgradeError) Error() string {
	if e.exact {
		return fmt.Sprintf("%s is older than %s, which is installed", e.to, e.from)
	}
	return fmt.Sprintf("%s is %s now, which is older than %s, which is installed", e.asked, e.to, e.from)
}

// Hint says what to do about it.
func (e *downgradeError) Hint() string {
	return "kubeletctl rollback goes back to what was installed before; --allow-downgrade installs an older release"
}

// readSpec puts the spec together from the file and the flags, and finds all that is wrong with it before anything is
// asked or touched.
//
// base is the spec to begin with when there is no file; nil for an empty one.
func (w *work) readSpec(c *cobra.Command, base *spec.Spec) error {
	o := w.want
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	if !w.spec.HasFile { // else it was read for an adoption
		w.positions = config.Positions{}
		if base != nil {
			w.spec = base.Clone()
			w.spec.FromTree = true
		}
		if err := w.readSpecFile(c.Context()); err != nil {
			return err
		}
	}
	add(w.readConfigFile(c.Context()))
	before, by := w.spec.Clone(), spec.ByFlags
	if o.recorded {
		by = spec.BySet
	}
	add(o.mergeFlags(c, &w.spec))
	add(w.unset())
	var named []string // also to take them back: --standalone=false
	for flag, setting := range map[string]string{"standalone": "standalone", "bin-dir": "paths.binDir", "profile": "profile", "arch": "arch"} {
		if c.Flags().Changed(flag) {
			named = append(named, setting)
		}
	}
	add(w.spec.Attribute(before, by, named...))
	add(w.spec.Check())
	add(o.change.check(w.app, c.Flags()))
	add(o.fetch.check())
	// What a version accepts can be said at once when the version is; a channel has to be resolved first.
	if request, err := release.ParseRequest(w.spec.Version); err == nil {
		if version, exact := request.Exact(); exact && o.moves(release.Kubelet) {
			add(w.spec.CheckFor(version, w.positions))
		}
	}
	return errors.Join(errs...)
}

// readSpecFile reads the spec file, if there is one, in the place of what the spec was.
func (w *work) readSpecFile(ctx context.Context) error {
	o := w.want
	file, read := o.specFile, func() ([]byte, error) { return w.app.read(ctx, o.specFile) }
	fromTree := false
	if file == "" && !o.recorded {
		tree := hostfs.At(w.app.root)
		if _, err := tree.Lstat(hostfs.SpecFile); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		file, fromTree = hostfs.SpecFile, true
		read = func() ([]byte, error) { return tree.ReadFile(hostfs.SpecFile) }
	}
	if file == "" {
		return nil
	}
	data, err := read()
	if err != nil {
		return fmt.Errorf("reading the spec: %w", err)
	}
	if w.spec, w.positions, err = spec.Parse(file, data); err != nil {
		return err
	}
	w.spec.Pin, w.spec.HasFile = spec.Pin{From: spec.FromSpecFile}, true
	if err := w.spec.Attribute(spec.Spec{}, spec.ByFile); err != nil {
		return err
	}
	w.spec.FromTree = fromTree && (len(w.spec.Sources) > 0 || w.spec.CAFile != "")
	return nil
}

// readConfigFile reads the KubeletConfiguration to start from, under what the spec says.
func (w *work) readConfigFile(ctx context.Context) error {
	file := w.want.configFile
	if file == "" {
		return nil
	}
	data, err := w.app.read(ctx, file)
	if err != nil {
		return err
	}
	base, at, err := config.LoadKubeletConfiguration(file, data)
	for path, position := range at {
		if _, said := w.positions[path]; !said {
			w.positions[path] = position
		}
	}
	before := w.spec.Clone()
	w.spec.KubeletConfiguration = config.MergeFields(base, w.spec.KubeletConfiguration)
	return errors.Join(err, w.spec.Attribute(before, spec.ByFile))
}

// hasSpecFile reports whether a provisioning tool put a spec file on the host.
func hasSpecFile(a *app) bool {
	_, err := hostfs.At(a.root).Lstat(hostfs.SpecFile)
	return !errors.Is(err, fs.ErrNotExist)
}

// read reads a file, or standard input for "-", and gives up when ctx ends: a pipe may never say anything.
func (a *app) read(ctx context.Context, name string) ([]byte, error) {
	return waitFor(ctx, func() ([]byte, error) {
		if name == "-" {
			return io.ReadAll(a.in)
		}
		return os.ReadFile(name)
	})
}

// waitFor runs what cannot be interrupted, and leaves it behind when ctx ends.
func waitFor[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, install.ContextError(ctx)
	}
}

// mergeFlags lets the command line win over the spec.
func (o *installOptions) mergeFlags(c *cobra.Command, s *spec.Spec) error {
	f := c.Flags()
	errs := []error{o.mergeRelease(f, s), o.mergeKubelet(f, s), o.mergeTools(f, s)}
	if f.Changed("bin-dir") {
		s.Paths.BinDir = o.spec.Paths.BinDir
	}
	if f.Changed("standalone") {
		s.Standalone = o.spec.Standalone
	}
	if f.Changed("profile") {
		s.Profile = o.spec.Profile
	}
	if f.Changed("no-start") {
		s.NoStart = o.spec.NoStart
	}
	if f.Changed("keep-generations") {
		s.KeepGenerations = o.spec.KeepGenerations
		if s.KeepGenerations < 1 {
			errs = append(errs, fmt.Errorf("--keep-generations %d: must be at least 1", s.KeepGenerations))
		}
	}
	return errors.Join(errs...)
}

// mergeReserve takes over what the size of this machine asks for.
func (o *installOptions) mergeReserve(f *pflag.FlagSet, s *spec.Spec) error {
	if o.reserve != "auto" {
		return fmt.Errorf("--reserve %q: wanted auto; kubeletctl set 'kubeReserved={memory: 1Gi}' reserves what you say", o.reserve)
	}
	if root := f.Lookup("root"); root != nil && root.Value.String() != "/" {
		return errors.New("--reserve auto is for the machine that it runs on, and not for a tree (--root)")
	}
	if s.KubeletConfiguration == nil {
		s.KubeletConfiguration = map[string]any{}
	}
	minor := 0
	if request, err := release.ParseRequest(s.Version); err == nil {
		minor, _ = request.Minor()
	}
	r := config.Reserve(config.Minor(minor), probe.Memory(), runtime.NumCPU())
	var errs []error
	for field, values := range map[string]map[string]string{"kubeReserved": r.Kube, "systemReserved": r.System} {
		for resource, value := range values {
			errs = append(errs, config.SetField(s.KubeletConfiguration, []string{field, resource}, value))
		}
	}
	return errors.Join(errs...)
}

// mergeRelease takes over what the command line says of the release and of the trust in it.
func (o *installOptions) mergeRelease(f *pflag.FlagSet, s *spec.Spec) error {
	var errs []error
	switch {
	case !f.Changed("version"):
	case o.spec.Version == "":
		errs = append(errs, errors.New("--version is empty"))
	case s.Pin.From == spec.FromRecord:
		s.Version = o.spec.Version // whether the digest fits is seen when it is resolved
	default:
		*s = s.For(o.spec.Version)
	}
	errs = append(errs, refuseEmpty(f, "sha256", "sha512", "require-trust", "ca-file"))
	if f.Changed("source") {
		s.Sources, s.FromTree = o.spec.Sources, false
	}
	if f.Changed("ca-file") {
		s.CAFile = absolute(o.spec.CAFile)
	}
	if f.Changed("require-trust") {
		s.RequireTrust = o.spec.RequireTrust
	}
	if f.Changed("sha256") || f.Changed("sha512") {
		s.SHA256, s.SHA512 = o.spec.SHA256, o.spec.SHA512
		s.Pin = spec.Pin{From: spec.FromCommandLine}
	}
	if f.Changed("arch") {
		s.Arch = o.spec.Arch
	}
	return errors.Join(errs...)
}

// refuseFlag refuses a flag, of kubelet or of this command, in the place of a field. Of a flag that has a field the field is told with
// what else is wrong.
func refuseFlag(f *pflag.FlagSet, set string) error {
	name, value, given := strings.Cut(set, "=")
	if _, isField := config.LookupField(name); isField || !given {
		return nil
	}
	own := f.Lookup(config.FlagName(name))
	flag, ofKubelet := config.LookupFlag(name)
	var instead string
	switch {
	case own != nil && own.NoOptDefVal != "": // which takes no value as a word of its own
		instead = "--" + own.Name + "=" + value
	case own != nil:
		instead = "--" + own.Name + " " + value
	case ofKubelet && flag.Field == "":
		instead = "--kubelet-flag " + flag.Name + "=VALUE" // which may be a secret
	default:
		return nil
	}
	return withHint(fmt.Errorf("%s is a flag, and not a field of KubeletConfiguration", name), config.HideInLine(instead))
}

// mergeKubelet takes over the flags and fields of kubelet.
func (o *installOptions) mergeKubelet(f *pflag.FlagSet, s *spec.Spec) error {
	var errs []error
	given := map[string]string{} // by this command line
	setFlag := func(name, value string) {
		if s.Flags == nil {
			s.Flags = map[string]any{}
		}
		given[name] = config.AddValue(name, given[name], value)
		s.Flags[name] = given[name]
		s.Expand = slices.DeleteFunc(s.Expand, func(expanded string) bool { return expanded == name })
	}
	for _, n := range nodeFlags {
		errs = append(errs, refuseEmpty(f, n.name))
		if f.Changed(n.name) {
			setFlag(n.name, *o.nodeFlags[n.name])
		}
	}
	for _, text := range o.kubeletFlags {
		name, value, found := strings.Cut(strings.TrimLeft(text, "-"), "=")
		if !found || name == "" {
			errs = append(errs, fmt.Errorf("--kubelet-flag %q is not NAME=VALUE", text))
			continue
		}
		setFlag(config.FlagName(name), value)
	}
	if f.Changed("reserve") {
		errs = append(errs, o.mergeReserve(f, s))
	}
	for _, text := range o.sets {
		if err := refuseFlag(f, text); err != nil {
			errs = append(errs, err)
			continue
		}
		path, value, err := config.ParseSet(text)
		if err == nil {
			if s.KubeletConfiguration == nil {
				s.KubeletConfiguration = map[string]any{}
			}
			err = config.SetField(s.KubeletConfiguration, path, value)
		}
		if err != nil {
			field, _, _ := strings.Cut(text, "=") // the value may be a secret
			errs = append(errs, fmt.Errorf("--set %s: %w", field, err))
		}
	}
	return errors.Join(errs...)
}
