package spec

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// Changes says in a few words what is different with a generation, for people: its version, settings, or else the names of
// files. have is what was installed before; nil for nothing. Secrets are masked.
func Changes(have, want *plan.Generation) []string {
	if want.Snapshot {
		return nil
	}
	if have == nil || have.Snapshot {
		return append([]string{want.Version.String()}, changedTools(nil, want)...)
	}
	var changes []string
	switch {
	case have.Version.IsZero(): // its record is damaged
		changes = append(changes, want.Version.String())
	case have.Version != want.Version:
		changes = append(changes, fmt.Sprintf("%s -> %s", have.Version, want.Version))
	}
	changes = append(changes, changedTools(have, want)...)
	changes = append(changes, changedSettings(have, want)...)
	if len(changes) > 0 {
		return changes
	}
	for _, f := range want.Files {
		if !f.SameContent(have.File(f.Path)) {
			changes = append(changes, path.Base(f.Path))
		}
	}
	return changes
}

// changedSettings lists the settings in which two generations differ; none if their records do not tell.
func changedSettings(have, want *plan.Generation) (changes []string) {
	before, err := Recorded(have)
	if err != nil {
		return nil
	}
	after, err := Recorded(want)
	if err != nil {
		return nil
	}
	old, err := before.Settings()
	if err != nil {
		return nil
	}
	now, err := after.Settings()
	if err != nil {
		return nil
	}
	masked, err := after.Masked().Settings()
	if err != nil {
		return nil
	}
	all := maps.Clone(old)
	maps.Copy(all, now)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value, given := now[name]
		switch {
		case strings.HasPrefix(name, withTools): // see changedTools
		case !given:
			changes = append(changes, "removed "+SettingName(name))
		case !reflect.DeepEqual(old[name], value):
			shown, whole := masked[name]
			if !whole { // something above it is a secret
				shown = config.Hidden
			}
			changes = append(changes, SettingName(name)+short(shown))
		}
	}
	return changes
}

// short is what is said of a new value: nothing when that would take more than a few words.
func short(value any) string {
	const most = 30
	text, isText := value.(string)
	if !isText {
		data, err := json.Marshal(value)
		if err != nil {
			return ""
		}
		text = string(data)
	}
	if len(text) > most {
		return ""
	}
	return "=" + text
}

// SettingName is how a setting is called on the command line.
func SettingName(path string) string {
	for _, prefix := range []string{"kubeletConfiguration.", "flags."} {
		if name, found := strings.CutPrefix(path, prefix); found {
			return name
		}
	}
	return path
}
