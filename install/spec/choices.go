package spec

import (
	"slices"

	"github.com/kubeletctl/kubeletctl/config"
)

// hostDefaults is the newest edition of the defaults that a new installation gets and an installed one keeps as they are, so
// that a newer kubeletctl changes no kubelet by itself. 0 are those of before there were editions; 1 looks at the host (see
// Choice) and keeps a unit with hardened defaults from other users.
const hostDefaults = 1

// Choice is a default that depends on the host.
type Choice struct {
	// Flag is the name of the kubelet flag, and Field the path in the KubeletConfiguration that says the same.
	Flag, Field string
	Value       string
	// AsFlag says that it has to be given as a flag.
	AsFlag bool
	// Old is what counts without it, and Why says why that does not do here.
	Old, Why string
}

// path is the setting that the choice becomes.
func (c Choice) path() string {
	if c.AsFlag {
		return "flags." + c.Flag
	}
	return "kubeletConfiguration." + c.Field
}

// Mentions reports whether a spec has a flag, or the field that says the same.
func (s Spec) Mentions(flag, field string) bool {
	for name := range s.Flags {
		if config.FlagName(name) == flag {
			return true
		}
	}
	_, named := s.KubeletConfiguration[field]
	return named
}

// WithChoices is the spec of a new installation: with what was chosen for its host where the spec itself says nothing.
func (s Spec) WithChoices(choices []Choice) (Spec, error) {
	fields, err := s.fields()
	if err != nil {
		return s, err
	}
	var taken []Choice
	for _, c := range choices {
		if s.Mentions(c.Flag, c.Field) {
			continue
		}
		path, err := config.SplitPath(c.path())
		if err == nil {
			err = config.SetField(fields, path, c.Value)
		}
		if err != nil {
			return s, err
		}
		taken = append(taken, c)
	}
	next, err := s.withFields(fields)
	if err != nil {
		return s, err
	}
	if next.Origins == nil {
		next.Origins = map[string]Origin{}
	}
	for _, c := range taken {
		next.Origins[c.path()] = ByHost
		next.Chosen = append(next.Chosen, config.Item{Item: SettingName(c.path()),
			Outcome: config.Changed, Old: c.Old, New: c.Value, Why: c.Why})
	}
	next.HostDefaults = hostDefaults
	return next, nil
}

// Rechoose is the spec with other choices for its host in the place of those that it has. Those that are the same as before are
// nothing that was chosen now.
func (s Spec) Rechoose(choices []Choice) (Spec, error) {
	had, err := s.Settings()
	if err != nil {
		return s, err
	}
	next, err := s.WithoutChoices()
	if err != nil {
		return s, err
	}
	next, err = next.WithChoices(choices)
	next.Chosen = slices.DeleteFunc(next.Chosen, func(i config.Item) bool {
		return had["flags."+i.Item] == i.New || had["kubeletConfiguration."+i.Item] == i.New
	})
	return next, err
}

// WithoutChoices is the spec without what was chosen for its host.
func (s Spec) WithoutChoices() (Spec, error) { return s.withoutOrigin(ByHost) }
