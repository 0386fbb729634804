package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestMaskFlag(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"v", "2", "2"},
		{"manifest-url-header", "A:pw", "(hidden)"},
		{"manifest_url_header", "A:pw", "(hidden)"},
		{"storage-driver-password", "true", "(hidden)"},
		{"storage-driver-password", "", ""},
		{"bootstrap-token", "pw", "(hidden)"},
		{"authentication-token-webhook-cache-ttl", "2m", "2m"},
		{"new-token-feature", "true", "true"},
		{"manifest-url", "https://u:p@w@h/p?sig=pw", "https://(hidden)@h/p?(hidden)"},
		{"manifest-url", "u:pw@h", "(hidden)@h"},
		{"container-runtime-endpoint", "unix:///run/x.sock", "unix:///run/x.sock"},
		{"new-endpoint", "a http://u:pw@h/ b", "a http://(hidden)@h/ b"},
	} {
		if got := maskFlag(tt.name, tt.value); got != tt.want {
			t.Errorf("--%s=%s: got %q, want %q", tt.name, tt.value, got, tt.want)
		}
	}
}

func TestMaskFields(t *testing.T) {
	fields := tree{
		"staticPodURLHeader":   map[string][]string{"Authorization": {"Bearer pw"}},
		"staticPodURL":         "http://u:pw@h/p",
		"kubeletConfiguration": tree{"staticPodURLHeader": tree{"A": []any{"pw"}}, "maxPods": 1},
		"flags":                tree{"storage-driver-password": "pw", "new-password": 12345, "v": 2},
		"featureGates":         tree{"KubeletEnsureSecretPulledImages": true},
		"sources":              []any{"http://u:pw@h", "file:///x"},
		"clusterDNS":           []string{"10.0.0.10"},
		"nothing":              nil,
	}
	before := fmt.Sprint(fields)
	want := tree{
		"staticPodURLHeader":   "(hidden)",
		"staticPodURL":         "http://(hidden)@h/p",
		"kubeletConfiguration": tree{"staticPodURLHeader": "(hidden)", "maxPods": int64(1)},
		"flags":                tree{"storage-driver-password": "(hidden)", "new-password": "(hidden)", "v": int64(2)},
		"featureGates":         tree{"KubeletEnsureSecretPulledImages": true},
		"sources":              []any{"http://(hidden)@h", "file:///x"},
		"clusterDNS":           []any{"10.0.0.10"},
		"nothing":              nil,
	}
	if got := MaskFields(fields); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if after := fmt.Sprint(fields); after != before {
		t.Errorf("the fields themselves are masked: %s", after)
	}
	if MaskFields(nil) != nil {
		t.Error("no fields became some")
	}
}

// No problem, note or item of a migration quotes a secret.
func TestMessagesHideSecrets(t *testing.T) {
	header := tree{"Authorization": []any{"Bearer pw"}}
	position := Position{File: "f"}
	render := func(flags map[string]string, fields tree) func() string {
		return func() string {
			out, err := Render(Input{Minor: Newest, Flags: flags, Config: fields})
			if err != nil {
				return err.Error()
			}
			return fmt.Sprint(out.Notes, out.Warnings)
		}
	}
	set := func(expr string) func() string {
		return func() string {
			path, value, err := ParseSet(expr)
			if err == nil {
				err = SetField(tree{"staticPodURLHeader": "pw"}, path, value)
			}
			return fmt.Sprint(err)
		}
	}
	args := func(words ...string) func() string {
		return func() string {
			var list []Word
			for _, w := range words {
				list = append(list, Word{Text: w, Position: position})
			}
			args, problems := ParseArgs(list)
			return fmt.Sprint(args, problems, ValidateArgs(Newest, args))
		}
	}
	asJSON := func(items []Item) string {
		text, err := json.Marshal(items)
		return fmt.Sprint(string(text), err)
	}
	migrate := func(args []Arg, fields tree) func() string {
		return func() string {
			m, err := Migrate(MigrateInput{Input: Input{Minor: Newest, Config: fields}, From: 36, Args: args})
			if err != nil {
				return err.Error()
			}
			return asJSON(m.Items)
		}
	}
	changedDefaults := func() string {
		old, err := Render(Input{Minor: 36, Config: tree{"staticPodURLHeader": header}})
		if err != nil {
			return err.Error()
		}
		new, err := Render(Input{Minor: 37})
		return fmt.Sprint(err) + asJSON(ChangedDefaults(old, 36, new, 37))
	}
	for _, tt := range []struct {
		name string
		text func() string
		want string
	}{
		{"note", render(map[string]string{"manifest-url-header": "A:pw"}, nil), "--manifest-url-header=(hidden)"},
		{"contradiction", render(map[string]string{"manifest-url-header": "A:pw"}, tree{"staticPodURLHeader": header}), "--manifest-url-header=(hidden) contradicts"},
		{"contradicting URLs", render(map[string]string{"manifest-url": "http://u:pw@h"}, tree{"staticPodURL": "http://u:pw@i"}), "http://(hidden)@i"},
		{"wrong type", render(nil, tree{"staticPodURLHeader": "pw"}), `got the string "(hidden)"`},
		{"wrong type within", render(nil, tree{"staticPodURLHeader": tree{"A": "pw"}}), `got the string "(hidden)"`},
		{"wrong type of a URL", render(nil, tree{"maxPods": "http://u:pw@h"}), "http://(hidden)@h"},
		{"no value", set("staticPodURLHeader: {A: [pw]}"), "staticPodURLHeader: (hidden)"},
		{"an index", set("staticPodURLHeader.A[0]=pw"), "staticPodURLHeader.A[0]=(hidden)"},
		{"no YAML", set("staticPodURLHeader={A: [pw"), `staticPodURLHeader: "(hidden)" is not a YAML value`},
		{"below text", set("staticPodURLHeader.A=[pw]"), `staticPodURLHeader is the string "(hidden)"`},
		{"an argument that is no flag", args("MY_TOKEN=pw"), "MY_TOKEN=(hidden)"},
		{"one dash", args("-manifest-url-header=A:pw"), "--manifest-url-header=(hidden)"},
		{"migrated flag", migrate([]Arg{{Name: "manifest-url-header", Value: "A:pw"}}, nil), "--manifest-url-header=(hidden)"},
		{"migrated field", migrate(nil, tree{"staticPodURLHeader": header}), "staticPodURLHeader: (hidden)"},
		{"impossible field", migrate(nil, tree{"staticPodURLHeader": tree{"A": "pw"}}), "staticPodURLHeader.A: (hidden)"},
		{"field that is gone", changedDefaults, "(hidden)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if text := tt.text(); strings.Contains(text, "pw") || !strings.Contains(text, tt.want) {
				t.Errorf("got %s, want it to have %s", text, tt.want)
			}
		})
	}
}
