// Package spec is what a user wants of a host, and how it becomes a generation.
//
// A [Spec] comes from flags, a file, a record, or the setup of a kubelet that is there: see [ReadSetup]. [Build] makes of it
// and of a release.Artifact (exact version, URL, digest) a [Draft]: every file and the state of every unit, rendered.
package spec

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/release"
)

const (
	// APIVersion and Kind are what a spec file must say of itself.
	APIVersion = "kubeletctl.dev/v1alpha1"
	Kind       = "KubeletInstallation"
)

// Spec is what a user wants of a host. Its zero value is a joined node with the newest stable kubelet. The tags doc describe
// the fields, also in the JSON schema: see Schema.
type Spec struct {
	APIVersion string `json:"apiVersion,omitempty" doc:"The version of this format."`
	Kind       string `json:"kind,omitempty" doc:"What this file is."`

	Version string   `json:"version,omitempty" doc:"An exact version (v1.37.2), a minor (\"1.37\", with quotes: its newest) or a channel (stable, latest, stable-1.37). Default: stable."`
	Sources []string `json:"sources,omitempty" doc:"Directories in release layout (http, https or file URLs), in order of preference. Default: where upstream publishes."`

	SHA256       string        `json:"sha256,omitempty" doc:"The SHA-256 that the binary must have, in hexadecimal; or give sha512."`
	SHA512       string        `json:"sha512,omitempty" doc:"The SHA-512 that the binary must have, in hexadecimal; or give sha256."`
	RequireTrust release.Trust `json:"requireTrust,omitempty" doc:"The least trust in the digest of a binary with which it is installed. Default: any."`
	CAFile       string        `json:"caFile,omitempty" doc:"A file on this host with the certificates that https sources are verified by. Default: the system's."`
	Arch         string        `json:"arch,omitempty" doc:"The architecture of the binary. Default: that of the machine."`

	With map[string]string `json:"with,omitempty" doc:"Programs to install beside kubelet, kubeadm and kubectl, each with its exact version; one without is of kubelet's release."`

	Flags                map[string]any `json:"flags,omitempty" doc:"Kubelet flags by name, without dashes; each has one value."`
	Expand               []string       `json:"expand,omitempty" doc:"Names of flags in whose values systemd expands specifiers (%H) and variables (${NAME}); % and $ for themselves are doubled there."`
	KubeletConfiguration map[string]any `json:"kubeletConfiguration,omitempty" doc:"Fields of kubelet's configuration file."`
	Profile              config.Profile `json:"profile,omitempty" doc:"Who configures kubelet: kubeletctl, with the defaults hardened, or upstream for kubelet's own; or kubeadm. Default: hardened."`

	Paths           Paths `json:"paths,omitzero" doc:"Where things lie on the host."`
	Standalone      bool  `json:"standalone,omitempty" doc:"Run kubelet without an API server."`
	NoStart         bool  `json:"noStart,omitempty" doc:"Leave kubelet stopped, or running as it is; it still starts at the next boot."`
	KeepGenerations int   `json:"keepGenerations,omitempty" doc:"How many of the newest generations are kept to go back to. Default: 5."`

	// Pin says where a pinned digest comes from.
	Pin Pin `json:"-"`
	// Origins say who asked for each setting, by its path. A setting that is not in it is from a record of before there were
	// origins.
	Origins map[string]Origin `json:"-"`
	// Asked is what install has asked for where somebody else has the last word, by path.
	Asked map[string]any `json:"-"`
	// HostDefaults is the edition of the defaults that an installed host keeps; see WithChoices.
	HostDefaults int `json:"-"`
	// Chosen are the defaults that this run chose for its host.
	Chosen []config.Item `json:"-"`
	// HasFile reports that the spec begins with a spec file.
	HasFile bool `json:"-"`
	// FromTree reports that the host itself says where its binaries come from, in its record or its spec file.
	FromTree bool `json:"-"`
}

// Pin says where the pinned digest of a spec comes from, and which release it belongs to.
type Pin struct {
	// From is FromCommandLine, FromSpecFile or FromRecord.
	From string
	// For is the release; any when it is zero.
	For release.Version
}

// Where a pinned digest may come from, for people.
const (
	FromCommandLine = "command line"
	FromSpecFile    = "spec file"
	FromRecord      = "recorded spec"
)

// DefaultKeep is how many generations are kept unless the spec says otherwise.
const DefaultKeep = 5

// Paths are the places that a spec may choose.
type Paths struct {
	BinDir string `json:"binDir,omitempty" doc:"The directory of the kubelets and of the symlink to the active one. Default: /usr/local/bin."`
}

// Parse reads a spec file. Errors are config.Problems with line and column.
func Parse(file string, data []byte) (Spec, config.Positions, error) {
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
	expect("apiVersion", s.APIVersion, APIVersion)
	expect("kind", s.Kind, Kind)
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

// Clone is a copy whose maps and lists may be changed.
func (s Spec) Clone() Spec {
	s.Sources, s.Expand = slices.Clone(s.Sources), slices.Clone(s.Expand)
	s.Flags, _ = cloneValue(s.Flags).(map[string]any)
	s.KubeletConfiguration, _ = cloneValue(s.KubeletConfiguration).(map[string]any)
	s.Origins, s.Asked, s.With = maps.Clone(s.Origins), maps.Clone(s.Asked), maps.Clone(s.With)
	return s
}

func cloneValue(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if v == nil {
			return v
		}
		c := make(map[string]any, len(v))
		for key, value := range v {
			c[key] = cloneValue(value)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, value := range v {
			c[i] = cloneValue(value)
		}
		return c
	}
	return value
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

// Architecture is the wanted architecture.
func (s Spec) Architecture() string {
	if s.Arch != "" {
		return s.Arch
	}
	return runtime.GOARCH
}

// BinDir is the directory of the kubelets.
func (s Spec) BinDir() string {
	if s.Paths.BinDir != "" {
		return path.Clean(s.Paths.BinDir)
	}
	return hostfs.DefaultBinDir
}

// DigestFor is the digest that is pinned for a release; zero when there is none.
func (s Spec) DigestFor(v release.Version) (release.Digest, error) {
	if !s.Pin.For.IsZero() && s.Pin.For != v {
		return release.Digest{}, nil
	}
	return s.digest()
}

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
	if !slices.Contains(release.Architectures(), s.Architecture()) {
		errs = append(errs, fmt.Errorf("unknown architecture %q: kubelets exist for %v", s.Architecture(), release.Architectures()))
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
	if err := s.checkTools(); err != nil {
		errs = append(errs, err)
	}
	if s.KeepGenerations < 0 {
		errs = append(errs, fmt.Errorf("keepGenerations is %d: must be at least 1", s.KeepGenerations))
	}
	if !path.IsAbs(s.BinDir()) {
		errs = append(errs, fmt.Errorf("the binary directory %q is not an absolute path", s.Paths.BinDir))
	}
	// Credentials that are not recorded are missed only where something has to be fetched.
	complete := slices.DeleteFunc(slices.Clone(s.Sources), release.Redacted)
	if err := (&release.Client{Sources: complete}).CheckSources(); err != nil {
		errs = append(errs, err)
	}
	if s.Standalone && s.Profile == config.Kubeadm {
		errs = append(errs, errors.New("kubeadm makes a node of a cluster: standalone and the profile kubeadm contradict each other"))
	}
	flags, err := s.flags()
	return errors.Join(append(append(errs, err), s.checkFlags(flags)...)...)
}

// checkFlags finds what is wrong with flags that kubeletctl itself goes by.
func (s Spec) checkFlags(flags map[string]string) (errs []error) {
	for _, name := range s.Expand {
		if _, given := flags[name]; !given || !config.CanExpand(name) {
			errs = append(errs, fmt.Errorf("expand: %q is not a flag of this spec whose value systemd may expand", name))
		}
	}
	if registers, _ := strconv.ParseBool(flags["register-node"]); registers && s.Standalone && s.Origins["flags.register-node"] != ByAdoption {
		errs = append(errs, errors.New("a standalone kubelet has no API server to register its node with: standalone and register-node=true contradict each other"))
	}
	for _, name := range []string{"kubeconfig", "bootstrap-kubeconfig"} {
		if file := flags[name]; file != "" && !path.IsAbs(file) {
			errs = append(errs, fmt.Errorf("--%s=%s is not an absolute path", name, file))
		}
	}
	if endpoint := flags["container-runtime-endpoint"]; endpoint != "" && !path.IsAbs(endpoint) && !strings.Contains(endpoint, "://") {
		errs = append(errs, fmt.Errorf("--container-runtime-endpoint=%s is neither a URL, as unix:///run/containerd/containerd.sock, nor an absolute path", endpoint))
	}
	if dir := flags["root-dir"]; dir != "" && (!path.IsAbs(dir) || hostfs.IsProtected(dir)) {
		errs = append(errs, fmt.Errorf("--root-dir=%s cannot be kubelet's: it needs an absolute path to a directory of its own, as %s", dir, hostfs.KubeletDir))
	}
	return errs
}

// CheckFor finds what a kubelet of the given minor would not accept, all at once and without any effect.
func (s Spec) CheckFor(v release.Version, positions config.Positions) error {
	if _, err := s.flags(); err != nil {
		return nil // which Check tells already
	}
	if config.Minor(v.Minor()) > config.Newest {
		return nil // its binary has to be asked first
	}
	_, err := s.Render(v, positions)
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

// Render renders the flags and the configuration for a release.
func (s Spec) Render(v release.Version, positions config.Positions) (*config.Rendered, error) {
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
		Minor: config.Minor(v.Minor()), Version: v.String(), ConfigPath: hostfs.ConfigFile, Flags: flags, Expand: s.Expand, Config: s.KubeletConfiguration,
		Positions: positions, Standalone: s.Standalone, Kubeconfig: hostfs.Kubeconfig, Profile: s.Profile,
	}, err
}
