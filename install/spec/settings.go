package spec

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
)

// Origin says who asked for a setting.
type Origin string

const (
	ByFlags    Origin = "install" // a flag of install
	ByFile     Origin = "file"    // a spec file, or a file that a flag of install names
	BySet      Origin = "set"     // kubeletctl set, or a flag of upgrade
	ByAdoption Origin = "adopted" // the kubelet that was taken over
	ByHost     Origin = "host"    // a default that depends on the host; see Choice
	ByCluster  Origin = "cluster" // what the cluster asks for that the host was joined to
)

// isInstall reports whether it is an install that asked; one of before there were origins counts as one.
func (o Origin) isInstall() bool { return o == ByFlags || o == ByFile || o == "" }

// Settings are what a spec asks for, by path: the fields of its file, dotted as --set takes them, down to what is no map. The
// version, its digest and noStart are not settings: they belong to one release or to one run.
func (s Spec) Settings() (map[string]any, error) {
	fields, err := s.fields()
	settings := map[string]any{}
	addSettings(settings, nil, fields)
	return settings, err
}

func addSettings(settings map[string]any, path []string, fields map[string]any) {
	for key, value := range fields {
		at := append(slices.Clone(path), key)
		if below, ok := value.(map[string]any); ok && len(below) > 0 {
			addSettings(settings, at, below)
			continue
		}
		if len(path) == 1 && path[0] == "flags" {
			value = fmt.Sprint(value) // 4 in a file is what "4" is on a command line
		}
		settings[config.JoinPath(at)] = value
	}
}

// fields are the settings as the document of a spec file.
func (s Spec) fields() (fields map[string]any, err error) {
	s.APIVersion, s.Kind, s.Version, s.SHA256, s.SHA512, s.NoStart = "", "", "", "", "", false
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return fields, config.DecodeJSON(data, &fields)
}

// withFields is the spec with these settings instead of its own.
func (s Spec) withFields(fields map[string]any) (Spec, error) {
	data, err := json.Marshal(fields)
	if err != nil {
		return Spec{}, err
	}
	next := Spec{APIVersion: s.APIVersion, Kind: s.Kind, Version: s.Version, SHA256: s.SHA256, SHA512: s.SHA512, NoStart: s.NoStart,
		Pin: s.Pin, Origins: maps.Clone(s.Origins), Asked: maps.Clone(s.Asked), HostDefaults: s.HostDefaults, HasFile: s.HasFile, FromTree: s.FromTree}
	return next, config.DecodeJSON(data, &next)
}

// Attribute notes who asked for the settings in which the spec is another than it was before, and for those that are named,
// also where they are taken back.
func (s *Spec) Attribute(before Spec, by Origin, named ...string) error {
	was, err := before.Settings()
	if err != nil {
		return err
	}
	now, err := s.Settings()
	if err != nil {
		return err
	}
	origins, asked := map[string]Origin{}, map[string]any{}
	for path, value := range now {
		old, known := was[path]
		origin, kept := before.Origins[path]
		switch {
		case known && reflect.DeepEqual(old, value):
			if kept {
				origins[path] = origin
			}
			if last, ok := before.Asked[path]; ok {
				asked[path] = last
			}
			continue
		case by == BySet && known && origin.isInstall():
			asked[path] = old
		case by == BySet && before.Asked[path] != nil:
			asked[path] = before.Asked[path]
		}
		origins[path] = by
	}
	for _, path := range named {
		origins[path] = by
	}
	s.Origins, s.Asked = origins, asked
	return nil
}

// Unset is the spec without a setting and what is below it. Its name may be short: the path of a field of the
// KubeletConfiguration, or the name of a flag. It returns false when there is no such setting.
func (s Spec) Unset(name string) (Spec, bool, error) {
	settings, err := s.Settings()
	if err != nil {
		return s, false, err
	}
	for _, prefix := range []string{"", "kubeletConfiguration.", "flags."} {
		if !covered(settings, prefix+name) {
			continue
		}
		path, err := config.SplitPath(prefix + name)
		if err != nil {
			return s, false, err
		}
		fields, err := s.fields()
		if err != nil {
			return s, false, err
		}
		if !remove(fields, path) {
			return s, false, nil
		}
		next, err := s.withFields(fields)
		next.Expand = slices.DeleteFunc(next.Expand, func(flag string) bool { return next.Flags[flag] == nil })
		return next, true, err
	}
	return s, false, nil
}

// remove takes away what is at a path, and what it leaves empty above; false when there is nothing.
func remove(level map[string]any, path []string) bool {
	if len(path) == 1 {
		delete(level, path[0])
		return true
	}
	below, isMap := level[path[0]].(map[string]any)
	if !isMap || !remove(below, path[1:]) {
		return false
	}
	if len(below) == 0 {
		delete(level, path[0])
	}
	return true
}

// covered reports whether settings speak of a path: of itself, of what is above or of what is below it.
func covered(settings map[string]any, path string) bool {
	for said := range settings {
		if said == path || strings.HasPrefix(path, said+".") || strings.HasPrefix(said, path+".") {
			return true
		}
	}
	return false
}

// Reconciliation is what becomes of the settings of an install on a host that has recorded some.
type Reconciliation struct {
	Spec Spec
	// Kept are settings of others than install: it does not speak of them, or asks for what it asked for before they did.
	Kept []Setting
	// Dropped are recorded settings that end with this install.
	Dropped []Setting
	// Forgotten are settings that flags of an earlier install asked for and this one does not repeat.
	Forgotten []Setting
}

// Setting names a setting and who asked for it.
type Setting struct {
	Path   string `json:"path"`
	Origin Origin `json:"origin"`
}

// Reconcile holds what an install asks for against what is recorded. An install speaks for the settings of earlier installs.
// What a spec file no longer says is dropped; what flags no longer say is forgotten, and a reason to refuse. Settings of
// others stay, unless the install newly asks for something else. With replace nothing of earlier installs and of set stays.
func (s Spec) Reconcile(recorded Spec, replace bool) (*Reconciliation, error) {
	said, err := s.Settings()
	if err != nil {
		return nil, err
	}
	old, err := recorded.Settings()
	if err != nil {
		return nil, err
	}
	fields, err := s.fields()
	if err != nil {
		return nil, err
	}
	r := &Reconciliation{}
	next := s.Clone()
	next.HostDefaults = recorded.HostDefaults
	if next.Origins == nil {
		next.Origins = map[string]Origin{}
	}
	next.Asked = map[string]any{}
	for _, path := range slices.Sorted(maps.Keys(old)) {
		setting := Setting{path, recorded.origin(path, s.HasFile)}
		asks, exact := said[path]
		if _, named := s.Origins[path]; named && !exact {
			continue // it is taken back
		}
		// The file has another value than a flag of an earlier install, which won over it.
		overridden := exact && setting.Origin == ByFlags && s.Origins[path] == ByFile && !reflect.DeepEqual(asks, old[path])
		if exact && strings.HasPrefix(path, withTools) {
			continue // the release of a tool is no setting, as that of kubelet is none
		}
		switch others := !setting.Origin.isInstall() && (setting.Origin != BySet || !replace); {
		case others && !covered(said, path):
			r.Kept = append(r.Kept, setting)
		case others && exact && reflect.DeepEqual(asks, old[path]):
			next.Asked[path] = asks
		case others && exact && reflect.DeepEqual(asks, recorded.Asked[path]):
			next.Asked[path] = asks
			r.Kept = append(r.Kept, setting)
		case covered(said, path) && !overridden:
			continue
		case replace || setting.Origin == ByFile && s.HasFile:
			r.Dropped = append(r.Dropped, setting)
			continue
		default:
			r.Forgotten = append(r.Forgotten, setting)
			continue
		}
		next.Origins[path] = setting.Origin
		keys, err := config.SplitPath(path)
		if err == nil {
			err = config.SetField(fields, keys, old[path])
		}
		if err != nil {
			return nil, err
		}
	}
	r.Spec, err = next.withFields(fields)
	return r, err
}

// origin says who asked for a recorded setting. One from before there were origins is taken for one of a file where a file
// is in use, and for one of flags elsewhere.
func (s Spec) origin(path string, file bool) Origin {
	if origin, known := s.Origins[path]; known {
		return origin
	}
	if file {
		return ByFile
	}
	return ByFlags
}

// Masked is the spec as it may be shown: without its secrets.
func (s Spec) Masked() Spec {
	s.Flags, s.KubeletConfiguration = config.MaskFields(s.Flags), config.MaskFields(s.KubeletConfiguration)
	return s
}
