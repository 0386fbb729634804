package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/release"
)

type installOptions struct {
	specFile, configFile string
	spec                 install.Spec // what single flags say
	kubeletFlags, sets   []string
	nodeFlags            map[string]*string
	change               changeOptions
	fetch                fetchOptions
	adopt                bool
	recorded             bool            // begin with the recorded spec, whatever a spec file says
	digestFrom           string          // who gave the digest of the spec
	pinned               release.Version // what a digest of the recorded spec was given for
}

// What digestFrom may be.
const (
	fromCommandLine = "command line"
	fromSpecFile    = "spec file"
	fromRecord      = "recorded spec"
)

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

func (a *app) installCommand() *cobra.Command {
	o := newInstallOptions()
	c := &cobra.Command{
		Use:   "install [--version VERSION] [-f SPEC]",
		Short: "Make this host run the kubelet that is asked for",
		Long: `Install makes this host run the kubelet that the flags and the spec file ask for, and nothing else:
what is already so stays untouched, and the plan says for each step why it is needed. A change that
does not end with a healthy kubelet is rolled back.

Without -f, ` + install.SpecFile + ` is the spec if it exists. Flags win over the spec.`,
		Example: `  kubeletctl install --version v1.37.2
  kubeletctl install --version 1.36 --set maxPods=50 --set 'evictionHard.memory\.available=200Mi'
  kubeletctl install -f spec.yaml --dry-run
  kubeletctl install --version stable --root /mnt/image`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return endedEarly(c.Context(), a.install(c, o)) },
	}
	o.registerFile(c)
	o.registerSpec(c)
	f := c.Flags()
	f.BoolVar(&o.adopt, "adopt", false, "take over the kubelet that runs here and that kubeletctl did not install: its flags and configuration are carried over")
	o.registerChange(c)
	return c
}

// registerChange registers how the host is brought to what is wanted.
func (o *installOptions) registerChange(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&o.spec.NoStart, "no-start", false, "enable kubelet for the next boot, but do not start or restart it now")
	f.IntVar(&o.spec.KeepGenerations, "keep-generations", 0, fmt.Sprintf("`NUMBER` of generations to keep for rollback; default %d", install.DefaultKeep))
	f.StringSliceVar(&o.change.ignore, "ignore-preflight", nil, "`ID`s of preflight problems to go on with: "+strings.Join(preflightIDs, ", "))
	o.change.register(c)
	o.change.registerSwitch(c)
}

// registerFile registers the spec file of verbs that do not begin with the recorded spec.
func (o *installOptions) registerFile(c *cobra.Command) {
	c.Flags().StringVarP(&o.specFile, "file", "f", "", "`FILE` with the spec; - is standard input")
	inGroup(c.Flags(), groupConfig)
}

func newInstallOptions() *installOptions { return &installOptions{nodeFlags: map[string]*string{}} }

// registerSpec registers the flags that say what is wanted.
func (o *installOptions) registerSpec(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.spec.Version, "version", "", "exact `VERSION` (v1.36.3), minor (1.36: its newest) or channel (stable, latest, stable-1.36); default stable")
	registerSources(f, &o.spec.Sources, &o.spec.CAFile)
	o.fetch.register(f)
	f.StringVar((*string)(&o.spec.RequireTrust), "require-trust", "", "least `TRUST` in the digest of the binary: given, published or checksum")
	f.StringVar(&o.spec.SHA256, "sha256", "", "pinned SHA-256 `DIGEST` of the binary")
	f.StringVar(&o.spec.SHA512, "sha512", "", "pinned SHA-512 `DIGEST` of the binary")
	f.StringVar(&o.spec.Arch, "arch", "", "`ARCH` of the binary: "+strings.Join(release.Architectures(), ", ")+"; default: this machine's")
	f.StringVar(&o.spec.Paths.BinDir, "bin-dir", "", "`DIR` for the binaries; default "+install.DefaultBinDir)
	inGroup(f, groupRelease)
	for _, n := range nodeFlags {
		o.nodeFlags[n.name] = f.String(n.name, "", n.usage)
	}
	f.BoolVar(&o.spec.Standalone, "standalone", false, "run without an API server")
	inGroup(f, groupNode)
	f.StringArrayVar(&o.kubeletFlags, "kubelet-flag", nil, "any other kubelet flag: `NAME=VALUE`; repeat it")
	f.StringArrayVar(&o.sets, "set", nil, "a KubeletConfiguration field: `FIELD=VALUE`, dotted; a dot inside a key is escaped: \\.")
	f.StringVar(&o.configFile, "config-file", "", "KubeletConfiguration `FILE` to start from")
	f.StringVar((*string)(&o.spec.Profile), "profile", "", "defaults of the configuration file: `PROFILE` hardened, or upstream for kubelet's own")
	inGroup(f, groupConfig)
}

// preflightIDs are the problems that may be ignored.
var preflightIDs = []string{"cgroup-v1", "client-ca", "health-port", "kernel-defaults", "runtime", "serving-cert", "swap"}

func (a *app) install(c *cobra.Command, o *installOptions) error {
	ctx := c.Context()
	var h *install.Host
	var adoption adoption
	if o.adopt { // the host itself is a part of what is asked for
		host, done, err := a.host()
		if err != nil {
			return err
		}
		defer done()
		h = host
		if adoption, err = a.findToAdopt(ctx, h, o); err != nil {
			return err
		}
		o.pinned = adoption.pinned
	}
	spec, positions, err := a.readSpec(c, o, adoption.spec)
	if err != nil {
		return &usageError{err}
	}
	if h == nil {
		host, done, err := a.host()
		if err != nil {
			return err
		}
		defer done()
		h = host
	}
	unlock, err := a.lockLater(ctx, h, spec, o)
	if err != nil {
		return err
	}
	defer unlock()
	return a.converge(ctx, h, spec, positions, adoption, o, "install")
}

// lockLater takes the lock after the time of --splay, for a change that asks a source. The host is not locked meanwhile:
// nothing is being changed, and somebody may have to change it. If somebody did, what was planned for is no more.
func (a *app) lockLater(ctx context.Context, h *install.Host, spec install.Spec, o *installOptions) (unlock func(), err error) {
	if o.fetch.splay <= 0 || o.change.dryRun || !h.Asks(spec) {
		return a.lock(ctx, h, o.change.dryRun)
	}
	if err := h.Writable(nil); err != nil {
		return nil, err
	}
	before, err := h.Store().Current()
	if err != nil {
		return nil, err
	}
	if err := a.spread(ctx, o.fetch.splay); err != nil {
		return nil, err
	}
	if unlock, err = a.lock(ctx, h, false); err != nil {
		return nil, err
	}
	if now, err := h.Store().Current(); err != nil || !sameGeneration(before, now) {
		unlock()
		return nil, errors.Join(err, &overtakenError{})
	}
	return unlock, nil
}

func sameGeneration(x, y *install.Generation) bool {
	if x == nil || y == nil {
		return x == y
	}
	return x.Number == y.Number && x.Created.Equal(y.Created)
}

// overtakenError tells that another run changed the host while this one waited.
type overtakenError struct{}

func (*overtakenError) Error() string {
	return "another kubeletctl has changed this host while this one waited for its turn"
}

// Hint says what to do about it.
func (*overtakenError) Hint() string { return "run this again" }

// converge makes the host what a spec asks for.
func (a *app) converge(ctx context.Context, h *install.Host, spec install.Spec, positions config.Positions, adoption adoption, options *installOptions, verb string) error {
	o := options.change
	client, p, err := a.client(spec.Sources, spec.CAFile, options.fetch)
	if err != nil {
		return err
	}
	version, err := h.Version(ctx, spec, client)
	if err != nil {
		return err
	}
	if options.digestFrom == fromRecord && version != options.pinned { // it belongs to the release that it was given for
		spec.SHA256, spec.SHA512 = "", ""
	}
	artifact, err := h.Resolve(ctx, spec, version, options.digestFrom, client)
	if err != nil {
		return err
	}
	if !o.dryRun {
		h.KeepMarkers(client)
		if err := h.Ask(ctx, spec, &artifact, client); err != nil {
			return err
		}
	}
	built, err := install.Build(spec, positions, artifact)
	if err != nil {
		return err
	}
	for _, line := range built.Notes() {
		a.note(line)
	}
	if adoption.found != nil {
		built.Mask(adoption.found.Masks)
	}
	change, err := h.Prepare(ctx, built)
	if err != nil {
		return err
	}
	adoption.confirm(change.Plan)
	problems := h.Preflight(built, change, h.Units.Booting(ctx))
	if change.Have != nil && !o.dryRun { // what could be harder was said at the first install
		problems = slices.DeleteFunc(problems, func(p install.Problem) bool { return p.Severity == install.Info })
	}
	if err := a.preflight(problems, change.Plan, o.ignore); err != nil {
		return err
	}
	if err := a.managers(h, change, o); err != nil {
		return err
	}
	return a.change(ctx, h, change, o, install.ApplyOptions{Verb: verb, Release: client, Wait: o.wait}, p)
}

// readSpec puts the spec together from the file and the flags, and finds all that is wrong with it before anything is
// asked or touched.
//
// base is the spec to begin with when there is no file; nil for an empty one.
func (a *app) readSpec(c *cobra.Command, o *installOptions, base *install.Spec) (install.Spec, config.Positions, error) {
	var spec install.Spec
	if base != nil {
		spec, o.digestFrom = *base, fromRecord
	}
	positions := config.Positions{}
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	file := o.specFile
	if file == "" && !o.recorded {
		file = a.defaultSpec()
	}
	if file != "" {
		data, err := a.read(c.Context(), file)
		if err != nil {
			return spec, nil, fmt.Errorf("reading the spec: %w", err)
		}
		if spec, positions, err = install.ParseSpec(file, data); err != nil {
			return spec, nil, err
		}
		o.digestFrom = fromSpecFile
	}
	if o.configFile != "" {
		data, err := a.read(c.Context(), o.configFile)
		add(err)
		if err == nil {
			base, at, err := config.LoadKubeletConfiguration(o.configFile, data)
			add(err)
			for path, position := range at {
				if _, said := positions[path]; !said {
					positions[path] = position
				}
			}
			spec.KubeletConfiguration = overlay(base, spec.KubeletConfiguration)
		}
	}
	add(o.mergeFlags(c, &spec))
	add(spec.Check())
	add(o.change.check())
	add(o.fetch.check())
	for _, id := range o.change.ignore {
		if !slices.Contains(preflightIDs, id) {
			add(fmt.Errorf("--ignore-preflight: there is no problem %q; there are %s", id, strings.Join(preflightIDs, ", ")))
		}
	}
	// What a version accepts can be said at once when the version is; a channel has to be resolved first.
	if request, err := release.ParseRequest(spec.Version); err == nil {
		if version, exact := request.Exact(); exact {
			add(spec.CheckFor(version, positions))
		}
	}
	return spec, positions, errors.Join(errs...)
}

// defaultSpec is the spec file that a provisioning tool put on the host; empty when there is none.
func (a *app) defaultSpec() string {
	name, err := (install.Tree{Root: a.root}).Locate(install.SpecFile)
	if err != nil {
		return ""
	}
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return name
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

// waitFor runs what can not be interrupted, and leaves it behind when ctx ends.
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
		return none, install.Ended(ctx)
	}
}

// mergeFlags lets the command line win over the spec.
func (o *installOptions) mergeFlags(c *cobra.Command, spec *install.Spec) error {
	f := c.Flags()
	var errs []error
	if f.Changed("version") && o.spec.Version == "" {
		errs = append(errs, errors.New("--version is empty"))
	} else if f.Changed("version") && o.digestFrom == fromRecord {
		spec.Version = o.spec.Version // whether the digest fits is seen when it is resolved
	} else if f.Changed("version") {
		*spec = spec.For(o.spec.Version)
	}
	errs = append(errs, refuseEmpty(f, "sha256", "sha512", "require-trust", "ca-file"))
	if f.Changed("source") {
		spec.Sources = o.spec.Sources
	}
	if f.Changed("ca-file") {
		spec.CAFile = absolute(o.spec.CAFile)
	}
	if f.Changed("require-trust") {
		spec.RequireTrust = o.spec.RequireTrust
	}
	if f.Changed("sha256") || f.Changed("sha512") {
		spec.SHA256, spec.SHA512 = o.spec.SHA256, o.spec.SHA512
		o.digestFrom = fromCommandLine
	}
	if f.Changed("arch") {
		spec.Arch = o.spec.Arch
	}
	if f.Changed("bin-dir") {
		spec.Paths.BinDir = o.spec.Paths.BinDir
	}
	if f.Changed("standalone") {
		spec.Standalone = o.spec.Standalone
	}
	if f.Changed("profile") {
		spec.Profile = o.spec.Profile
	}
	if f.Changed("no-start") {
		spec.NoStart = o.spec.NoStart
	}
	if f.Changed("keep-generations") {
		spec.KeepGenerations = o.spec.KeepGenerations
		if spec.KeepGenerations < 1 {
			errs = append(errs, fmt.Errorf("--keep-generations %d: at least 1 is kept", spec.KeepGenerations))
		}
	}
	setFlag := func(name, value string) {
		if spec.Flags == nil {
			spec.Flags = map[string]any{}
		}
		spec.Flags[name] = value
	}
	for _, n := range nodeFlags {
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
		setFlag(strings.ReplaceAll(name, "_", "-"), value)
	}
	for _, text := range o.sets {
		path, value, err := config.ParseSet(text)
		if err == nil {
			if spec.KubeletConfiguration == nil {
				spec.KubeletConfiguration = map[string]any{}
			}
			err = config.SetField(spec.KubeletConfiguration, path, value)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--set %s: %w", text, err))
		}
	}
	return errors.Join(errs...)
}

// overlay merges maps; where both have a value, top's counts.
func overlay(base, top map[string]any) map[string]any {
	for key, value := range top {
		below, ok1 := base[key].(map[string]any)
		above, ok2 := value.(map[string]any)
		if ok1 && ok2 {
			value = overlay(below, above)
		}
		if base == nil {
			base = map[string]any{}
		}
		base[key] = value
	}
	return base
}
