package install

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"strconv"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/purge"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

const (
	// SpecAPIVersion and SpecKind are what a spec file must say of itself.
	SpecAPIVersion = "kubeletctl.dev/v1alpha1"
	SpecKind       = "KubeletInstallation"
)

// Spec is what a user wants of a host. Its zero value is a joined node with the newest stable kubelet.
type Spec struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	// Version is an exact version, a minor or a channel, as release.ParseRequest reads them.
	Version string `json:"version,omitempty"`
	// Sources are directories in release layout (http, https or file URLs), in order of preference.
	Sources []string `json:"sources,omitempty"`
	// SHA256 or SHA512 pins the digest of the binary.
	SHA256 string `json:"sha256,omitempty"`
	SHA512 string `json:"sha512,omitempty"`
	// RequireTrust is the least trust in the digest of a binary with which it is installed; any when empty.
	RequireTrust release.Trust `json:"requireTrust,omitempty"`
	// CAFile is a file on this host with the certificates that https sources are verified by, instead of the system's.
	CAFile string `json:"caFile,omitempty"`
	// Arch is a Go architecture name; the machine's own when empty.
	Arch string `json:"arch,omitempty"`
	// Flags are kubelet flags by name, without dashes; values are scalars.
	Flags map[string]any `json:"flags,omitempty"`
	// KubeletConfiguration are fields of that API object.
	KubeletConfiguration map[string]any `json:"kubeletConfiguration,omitempty"`
	// Profile chooses the defaults of the fields that are not given: hardened or upstream.
	Profile config.Profile `json:"profile,omitempty"`
	Paths   SpecPaths      `json:"paths,omitzero"`
	// Standalone runs kubelet without an API server.
	Standalone bool `json:"standalone,omitempty"`
	// NoStart leaves kubelet stopped, or running as it is; it still starts at the next boot.
	NoStart bool `json:"noStart,omitempty"`
	// KeepGenerations is how many of the newest generations are kept to go back to; DefaultKeep when 0.
	KeepGenerations int `json:"keepGenerations,omitempty"`
}

// DefaultKeep is how many generations are kept unless the spec says otherwise.
const DefaultKeep = 5

// SpecPaths are the places that a spec may choose.
type SpecPaths struct {
	// BinDir holds the kubelets and the symlink to the active one.
	BinDir string `json:"binDir,omitempty"`
}

// ParseSpec reads a spec file. Errors are config.Problems with line and column.
func ParseSpec(file string, data []byte) (Spec, config.Positions, error) {
	var s Spec
	positions, err := config.DecodeStrict(file, data, &s)
	if err != nil {
		return Spec{}, nil, err
	}
	var problems config.Problems
	expect := func(key, got, want string) {
		if got != want {
			at, known := positions[key]
			if !known {
				at.File = file
			}
			problems = append(problems, config.Problem{Position: at, Path: key,
				Message: fmt.Sprintf("is %q", got), Hint: fmt.Sprintf("a spec file says %s: %s", key, want)})
		}
	}
	expect("apiVersion", s.APIVersion, SpecAPIVersion)
	expect("kind", s.Kind, SpecKind)
	for _, check := range []struct{ key, value string }{{"sha256", s.SHA256}, {"sha512", s.SHA512}, {"requireTrust", string(s.RequireTrust)}, {"caFile", s.CAFile}} {
		if at, said := positions[check.key]; said && check.value == "" { // a template with a variable that is not set must not take a check away
			problems = append(problems, config.Problem{Position: at, Path: check.key, Message: "is empty", Hint: "give it a value, or leave it out"})
		}
	}
	if len(problems) > 0 {
		return Spec{}, nil, problems
	}
	return s, positions, nil
}

// For is the spec for another version. A pinned digest belongs to the version that it was given for.
func (s Spec) For(version string) Spec {
	old, err := release.ParseRequest(s.Version)
	new, err2 := release.ParseRequest(version)
	if s.Version != "" && (err != nil || err2 != nil || old != new) {
		s.SHA256, s.SHA512 = "", ""
	}
	s.Version = version
	return s
}

// arch is the wanted architecture.
func (s Spec) arch() string {
	if s.Arch != "" {
		return s.Arch
	}
	return runtime.GOARCH
}

func (s Spec) binDir() string {
	if s.Paths.BinDir != "" {
		return path.Clean(s.Paths.BinDir)
	}
	return DefaultBinDir
}

// digest is the pinned digest; zero when there is none.
func (s Spec) digest() (release.Digest, error) {
	switch {
	case s.SHA256 != "" && s.SHA512 != "":
		return release.Digest{}, errors.New("sha256 and sha512 are both given: one digest is enough")
	case s.SHA256 != "":
		return release.ParseDigest("sha256", s.SHA256)
	case s.SHA512 != "":
		return release.ParseDigest("sha512", s.SHA512)
	}
	return release.Digest{}, nil
}

// Check finds what is wrong with a spec whatever version it resolves to, all at once and without any effect.
func (s Spec) Check() error {
	var errs []error
	if _, err := release.ParseRequest(s.Version); err != nil {
		errs = append(errs, err)
	}
	if _, err := s.digest(); err != nil {
		errs = append(errs, err)
	}
	if !slices.Contains(release.Architectures(), s.arch()) {
		errs = append(errs, fmt.Errorf("unknown architecture %q: kubelets exist for %v", s.arch(), release.Architectures()))
	}
	if s.RequireTrust != "" && !slices.Contains(release.Trusts(), s.RequireTrust) {
		errs = append(errs, fmt.Errorf("unknown trust %q to require: there are %v", s.RequireTrust, release.Trusts()))
	}
	if s.CAFile != "" && !path.IsAbs(s.CAFile) {
		errs = append(errs, fmt.Errorf("the CA file %q is not an absolute path", s.CAFile))
	}
	if s.Profile != "" && !slices.Contains(config.Profiles(), s.Profile) {
		errs = append(errs, fmt.Errorf("unknown profile %q: there are %v", s.Profile, config.Profiles()))
	}
	if s.KeepGenerations < 0 {
		errs = append(errs, fmt.Errorf("keepGenerations is %d: at least 1 is kept", s.KeepGenerations))
	}
	if !path.IsAbs(s.binDir()) {
		errs = append(errs, fmt.Errorf("the binary directory %q is not an absolute path", s.Paths.BinDir))
	}
	if err := (&release.Client{Sources: s.Sources}).CheckSources(); err != nil {
		errs = append(errs, err)
	}
	flags, err := s.flags()
	if err != nil {
		errs = append(errs, err)
	}
	if dir := flags["root-dir"]; dir != "" && (!path.IsAbs(dir) || purge.Never(dir)) {
		errs = append(errs, fmt.Errorf("--root-dir=%s can not be kubelet's: it needs an absolute path to a directory of its own, as %s", dir, KubeletDir))
	}
	return errors.Join(errs...)
}

// CheckFor finds what a kubelet of the given minor would not accept, all at once and without any effect.
func (s Spec) CheckFor(v release.Version, positions config.Positions) error {
	if _, err := s.flags(); err != nil {
		return nil // which Check tells already
	}
	if config.Minor(v.Minor()) > config.Newest {
		return nil // its binary has to be asked first
	}
	_, err := s.render(v, positions)
	return err
}

// flags are the flags as text.
func (s Spec) flags() (map[string]string, error) {
	var errs []error
	flags := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(s.Flags)) {
		switch v := s.Flags[name].(type) { // as YAML has them
		case string:
			flags[name] = v
		case bool, int, int64:
			flags[name] = fmt.Sprint(v)
		case float64:
			flags[name] = strconv.FormatFloat(v, 'f', -1, 64)
		default:
			errs = append(errs, fmt.Errorf("flags.%s: a flag has one value, not a list or a map", name))
		}
	}
	return flags, errors.Join(errs...)
}

func (s Spec) render(v release.Version, positions config.Positions) (*config.Rendered, error) {
	in, err := s.input(v, positions)
	if err != nil {
		return nil, err
	}
	return config.Render(in)
}

// input is the spec as package config wants it.
func (s Spec) input(v release.Version, positions config.Positions) (config.Input, error) {
	flags, err := s.flags()
	return config.Input{
		Minor: config.Minor(v.Minor()), Version: v.String(), ConfigPath: ConfigFile, Flags: flags, Config: s.KubeletConfiguration,
		Positions: positions, Standalone: s.Standalone, Kubeconfig: Kubeconfig, Profile: s.Profile,
	}, err
}

// Resolved is the artifact that a spec leads to.
type Resolved struct {
	release.Artifact
	// installed is a generation that has its binary on the host already; nil when it has to be fetched.
	installed *Generation
	// accepted are the flags that the binary lists; see Ask.
	accepted map[string]bool
}

// Built is a generation fresh from a spec, with what there is to say about it.
type Built struct {
	*Generation
	Rendered *config.Rendered
	Artifact release.Artifact
}

// Build renders a generation from a spec and the artifact that it resolved to. It is pure. Number, Created and Verb are
// left to the caller.
func Build(s Spec, positions config.Positions, a Resolved) (*Built, error) {
	in, err := s.input(a.Version, positions)
	if err != nil {
		return nil, err
	}
	in.Accepted = a.accepted
	r, err := config.Render(in)
	if err != nil {
		return nil, err
	}
	g := &Generation{
		Version: a.Version, Arch: a.Arch, Trust: a.Trust, Digest: a.Digest, DigestFrom: a.From,
		Spec: s.recorded(a.Version), HealthURL: healthURL(r.Fields),
	}
	binary := File{Path: path.Join(s.binDir(), binaryName(a.Version)), Kind: Binary, Mode: 0o755}
	switch a.Digest.Algorithm {
	case "sha256":
		binary.SHA256 = a.Digest.Hex
	case "sha512":
		binary.SHA512 = a.Digest.Hex
	}
	if a.installed != nil { // its record knows more digests than the release publishes
		recorded := a.installed.binary()
		binary.SHA256, binary.SHA512, g.URL = recorded.SHA256, recorded.SHA512, a.installed.URL
	}
	link := path.Join(s.binDir(), binaryLinkName)
	unit := systemd.KubeletUnit{
		Binary: link, Args: r.Args, RuntimeEndpoint: runtimeEndpoint(r), Watchdog: answersWatchdog(a.Version, r),
	}
	for _, name := range []string{"kubeconfig", "bootstrap-kubeconfig"} {
		if file, ok := argument(r.Args, name); ok {
			unit.Credentials = append(unit.Credentials, file)
		}
	}
	g.Credentials = unit.Credentials
	run := Running
	if s.NoStart {
		run = AsIs
	}
	g.Files = append(g.Files, binary,
		textFile(ConfigFile, 0o600, r.Config),
		File{Path: link, Kind: Link, Target: binaryName(a.Version)},
		textFile(path.Join(UnitDir, systemd.KubeletService), 0o644, unit.Service()))
	if len(unit.Credentials) > 0 {
		g.Files = append(g.Files, textFile(path.Join(UnitDir, systemd.KubeletPath), 0o644, unit.Path()))
		g.Units = append(g.Units, Unit{Name: systemd.KubeletPath, Enabled: true, Run: run})
	}
	g.Units = append(g.Units, Unit{Name: systemd.KubeletService, Enabled: true, Run: run})
	return &Built{Generation: g, Rendered: r, Artifact: a.Artifact}, nil
}

func binaryName(v release.Version) string { return "kubelet-" + v.String() }

// recorded is the spec as it is kept: with the exact version, and without secrets in its URLs.
func (s Spec) recorded(v release.Version) *Spec {
	s.APIVersion, s.Kind, s.Version = SpecAPIVersion, SpecKind, v.String()
	s.Sources = slices.Clone(s.Sources)
	for i, source := range s.Sources {
		s.Sources[i] = release.Redact(source)
	}
	return &s
}

// argument finds --name=value.
func argument(args []string, name string) (string, bool) {
	prefix := "--" + name + "="
	for _, arg := range args {
		if len(arg) > len(prefix) && arg[:len(prefix)] == prefix {
			return arg[len(prefix):], true
		}
	}
	return "", false
}

func runtimeEndpoint(r *config.Rendered) string {
	if endpoint, ok := argument(r.Args, "container-runtime-endpoint"); ok {
		return endpoint
	}
	endpoint, _ := r.Fields["containerRuntimeEndpoint"].(string)
	return endpoint
}

// answersWatchdog tells whether a kubelet gives systemd the signs of life that WatchdogSec= asks for: from 1.32 on, and
// until 1.35 behind a gate that can be turned off.
func answersWatchdog(v release.Version, r *config.Rendered) bool {
	if v.Minor() < 32 || v.Minor() > 34 {
		return v.Minor() > 34
	}
	gates, _ := r.Fields["featureGates"].(map[string]any)
	if on, given := gates["SystemdWatchdog"]; given {
		return on == true
	}
	return gates["AllBeta"] != false
}
