package spec

import (
	"maps"
	"slices"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
)

// Migration is a setup carried over to a release.
type Migration struct {
	*config.Migration
	Spec  *Spec
	Files []plan.File // what install would write
}

// Migrate carries a setup over to v. from is the release that it ran; zero when that is not known.
func (s *Setup) Migrate(v, from release.Version, profile config.Profile) (*Migration, error) {
	return s.migrate(v, from, profile, false)
}

// Keep carries a setup over to v with all that is in force: what would change by itself is asked for as it was.
func (s *Setup) Keep(v, from release.Version) (*Migration, error) {
	return s.migrate(v, from, config.Upstream, true)
}

func (s *Setup) migrate(v, from release.Version, profile config.Profile, pin bool) (*Migration, error) {
	if len(s.Problems) > 0 {
		return nil, s.Problems
	}
	spec := Spec{}
	if s.Spec != nil {
		spec = *s.Spec
	} else {
		_, hasKubeconfig := config.FlagValue(s.Args, "kubeconfig")
		_, bootstraps := config.FlagValue(s.Args, "bootstrap-kubeconfig")
		spec.Standalone = s.whole && len(s.Args) > 0 && !hasKubeconfig && !bootstraps
	}
	if profile != "" {
		spec.Profile = profile
	}
	in, err := spec.input(v, s.Positions)
	if err != nil {
		return nil, err
	}
	in.Config = s.Fields
	_, namesConfig := config.FlagValue(s.Args, "config")
	withoutFile := s.Spec == nil && s.Fields == nil && len(s.Args) > 0
	m, err := config.Migrate(config.MigrateInput{
		Input: in, Args: s.Args, From: config.Minor(from.Minor()),
		NoConfigFile: withoutFile && s.whole && !namesConfig, UnknownConfigFile: withoutFile && (!s.whole || namesConfig),
		Pin: pin,
	})
	if err != nil {
		return nil, err
	}
	spec.APIVersion, spec.Kind, spec.Version = APIVersion, Kind, v.String()
	spec.Flags, spec.Expand, spec.KubeletConfiguration = nil, m.Expand, m.Fields
	for name, value := range m.Flags {
		spec = spec.WithFlag(name, value)
	}
	if spec.Standalone && s.Spec == nil {
		m.Rendered.Warnings = append(m.Rendered.Warnings, config.Problem{
			Message: "neither --kubeconfig nor --bootstrap-kubeconfig is given: this is a standalone kubelet, without an API server"})
	}
	files, err := RenderFiles(spec, v, nil)
	return &Migration{m, &spec, files}, err
}

// WithFlag is the spec with a flag of that value.
func (s Spec) WithFlag(name, value string) Spec {
	flags := maps.Clone(s.Flags)
	if flags == nil {
		flags = map[string]any{}
	}
	flags[name] = value
	s.Flags = flags
	return s
}

// RenderFiles renders the files that install would write for a spec.
func RenderFiles(s Spec, v release.Version, positions config.Positions) ([]plan.File, error) {
	s, err := s.WithChoices(nil) // as a new installation
	if err != nil {
		return nil, err
	}
	b, err := Build(s, positions, Resolution{Artifact: release.Artifact{Version: v, Arch: s.Architecture()}})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(b.Files, func(f plan.File) bool { return f.Kind != plan.Text }), nil
}
