package spec

import (
	"maps"
	"slices"

	"github.com/kubeletctl/kubeletctl/config"
)

// ClusterSetting is a setting that a cluster asks for.
type ClusterSetting struct {
	// Flag is the name of the kubelet flag, and Field the path in the KubeletConfiguration that says the same; empty for a
	// setting that is a flag only.
	Flag, Field string
	Value       any
}

func (c ClusterSetting) path() string {
	if c.Field == "" {
		return "flags." + c.Flag
	}
	return "kubeletConfiguration." + c.Field
}

// WithCluster is the spec with what its cluster asks for, in the place of what another one did. What somebody on this host has
// asked for otherwise stays, and is returned as kept.
func (s Spec) WithCluster(settings []ClusterSetting) (next Spec, kept []Setting, err error) {
	if s, err = s.WithoutCluster(); err != nil {
		return s, nil, err
	}
	said, err := s.Settings()
	if err != nil {
		return s, nil, err
	}
	fields, err := s.fields()
	if err != nil {
		return s, nil, err
	}
	var taken []string
	for _, c := range settings {
		if c.Field != "" && covered(said, c.path()) || s.Mentions(c.Flag, c.Field) {
			kept = append(kept, Setting{c.path(), s.Origins[c.path()]})
			continue
		}
		keys, err := config.SplitPath(c.path())
		if err == nil {
			err = config.SetField(fields, keys, c.Value)
		}
		if err != nil {
			return s, nil, err
		}
		taken = append(taken, c.path())
	}
	next, err = s.withFields(fields)
	if next.Origins == nil {
		next.Origins = map[string]Origin{}
	}
	for _, path := range taken {
		next.Origins[path] = ByCluster
	}
	return next, kept, err
}

// WithoutCluster is the spec without what a cluster asks for.
func (s Spec) WithoutCluster() (Spec, error) { return s.withoutOrigin(ByCluster) }

// withoutOrigin is the spec without what one of its origins asked for.
func (s Spec) withoutOrigin(origin Origin) (Spec, error) {
	for _, path := range slices.Sorted(maps.Keys(s.Origins)) {
		if s.Origins[path] != origin {
			continue
		}
		next, _, err := s.Unset(path)
		if err != nil {
			return s, err
		}
		delete(next.Origins, path)
		s = next
	}
	return s, nil
}
