package spec

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// asked is the spec of an install or set with these settings, as "max-pods=50 standalone"; names with a capital M are fields.
func asked(t *testing.T, before Spec, by Origin, settings string) Spec {
	t.Helper()
	s := before.Clone()
	for word := range strings.FieldsSeq(settings) {
		name, value, isFlag := strings.Cut(word, "=")
		switch {
		case !isFlag:
			s.Standalone = true
		case strings.HasPrefix(name, "node"):
			if s.Flags == nil {
				s.Flags = map[string]any{}
			}
			s.Flags[name] = value
		default:
			if s.KubeletConfiguration == nil {
				s.KubeletConfiguration = map[string]any{}
			}
			s.KubeletConfiguration[name] = value
		}
	}
	if err := s.Attribute(before, by); err != nil {
		t.Fatal(err)
	}
	s.HasFile = by == ByFile
	return s
}

func TestReconcile(t *testing.T) {
	install := func(settings string) Spec { return asked(t, Spec{}, ByFlags, settings) }
	file := func(settings string) Spec { return asked(t, Spec{}, ByFile, settings) }
	set := func(before Spec, settings string) Spec { return asked(t, before, BySet, settings) }
	adopted := asked(t, Spec{}, ByAdoption, "pods=110 standalone")
	old := install("pods=50 standalone")
	old.Origins = nil // of a record from before there were origins
	kept, err := install("pods=50").Reconcile(set(install("pods=50"), "pods=60"), false)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name                     string
		said, recorded           Spec
		replace                  bool
		want                     string // settings and who asked for them
		kept, dropped, forgotten string
	}{
		{name: "the same again", said: install("pods=50 node-ip=a"), recorded: install("pods=50 node-ip=a"),
			want: "flags.node-ip=a(install) kubeletConfiguration.pods=50(install)"},
		{name: "another value", said: install("pods=60"), recorded: install("pods=50"), want: "kubeletConfiguration.pods=60(install)"},
		{name: "not repeated", said: install("pods=50"), recorded: install("pods=50 node-ip=a standalone"), forgotten: "flags.node-ip standalone",
			want: "kubeletConfiguration.pods=50(install)"},
		{name: "not repeated, on purpose", said: install("pods=50"), recorded: install("pods=50 standalone"), replace: true, dropped: "standalone",
			want: "kubeletConfiguration.pods=50(install)"},
		{name: "a file that says less", said: file("pods=50"), recorded: file("pods=50 standalone"), dropped: "standalone", want: "kubeletConfiguration.pods=50(file)"},
		{name: "no file any more", said: install("pods=50"), recorded: file("pods=50 standalone"), forgotten: "standalone", want: "kubeletConfiguration.pods=50(install)"},
		{name: "a file instead of flags", said: file("pods=50"), recorded: install("pods=50 standalone"), forgotten: "standalone", want: "kubeletConfiguration.pods=50(file)"},
		{name: "a flag over a file, the file alone", said: file("pods=50"), recorded: asked(t, file("pods=50"), ByFlags, "pods=60"), forgotten: "kubeletConfiguration.pods",
			want: "kubeletConfiguration.pods=50(file)"},
		{name: "a flag over a file, the file alone on purpose", said: file("pods=50"), recorded: asked(t, file("pods=50"), ByFlags, "pods=60"), replace: true,
			dropped: "kubeletConfiguration.pods", want: "kubeletConfiguration.pods=50(file)"},
		{name: "a flag over a file, the file says the same by now", said: file("pods=60"), recorded: asked(t, file("pods=50"), ByFlags, "pods=60"),
			want: "kubeletConfiguration.pods=60(file)"},
		{name: "before origins, flags", said: install("pods=50"), recorded: old, forgotten: "standalone", want: "kubeletConfiguration.pods=50(install)"},
		{name: "before origins, a file", said: file("pods=50"), recorded: old, dropped: "standalone", want: "kubeletConfiguration.pods=50(file)"},
		{name: "set since, not spoken of", said: install("pods=50"), recorded: set(install("pods=50"), "node-ip=a standalone"), kept: "flags.node-ip standalone",
			want: "flags.node-ip=a(set) kubeletConfiguration.pods=50(install) standalone=true(set)"},
		{name: "set since, asked for as before", said: install("pods=50"), recorded: set(install("pods=50"), "pods=60"), kept: "kubeletConfiguration.pods",
			want: "kubeletConfiguration.pods=60(set)"},
		{name: "the same once more", said: install("pods=50"), recorded: kept.Spec, kept: "kubeletConfiguration.pods", want: "kubeletConfiguration.pods=60(set)"},
		{name: "set twice since", said: install("pods=50"), recorded: set(set(install("pods=50"), "pods=60"), "pods=70"), kept: "kubeletConfiguration.pods",
			want: "kubeletConfiguration.pods=70(set)"},
		{name: "set since, asked for anew", said: install("pods=70"), recorded: set(install("pods=50"), "pods=60"), want: "kubeletConfiguration.pods=70(install)"},
		{name: "set since, asked for the same", said: install("pods=60"), recorded: set(install("pods=50"), "pods=60"), want: "kubeletConfiguration.pods=60(set)"},
		{name: "set since, replaced", said: install("pods=50"), recorded: set(install("pods=50"), "pods=60 node-ip=a"), replace: true, dropped: "flags.node-ip",
			want: "kubeletConfiguration.pods=50(install)"},
		{name: "adopted", said: install("pods=50"), recorded: adopted, kept: "standalone", want: "kubeletConfiguration.pods=50(install) standalone=true(adopted)"},
		{name: "adopted stays when all is replaced", said: install("node-ip=a"), recorded: adopted, replace: true, kept: "kubeletConfiguration.pods standalone",
			want: "flags.node-ip=a(install) kubeletConfiguration.pods=110(adopted) standalone=true(adopted)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := tt.said.Reconcile(tt.recorded, tt.replace)
			if err != nil {
				t.Fatal(err)
			}
			settings, err := r.Spec.Settings()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for path, value := range settings {
				got = append(got, fmt.Sprintf("%s=%v(%s)", path, value, r.Spec.Origins[path]))
			}
			slices.Sort(got)
			if strings.Join(got, " ") != tt.want {
				t.Errorf("settings %q, want %q", got, tt.want)
			}
			for _, list := range []struct {
				name, want string
				got        []Setting
			}{{"kept", tt.kept, r.Kept}, {"dropped", tt.dropped, r.Dropped}, {"forgotten", tt.forgotten, r.Forgotten}} {
				var paths []string
				for _, s := range list.got {
					paths = append(paths, s.Path)
				}
				if strings.Join(paths, " ") != list.want {
					t.Errorf("%s %q, want %q", list.name, paths, list.want)
				}
			}
		})
	}
}

func TestUnset(t *testing.T) {
	s := Spec{Standalone: true, Flags: map[string]any{"node-ip": "a"}, KubeletConfiguration: map[string]any{
		"maxPods": int64(50), "evictionHard": map[string]any{"memory.available": "1Gi", "nodefs.available": "1Gi"}}}
	for _, tt := range []struct{ name, left string }{
		{"standalone", `flags.node-ip kubeletConfiguration.evictionHard.memory\.available kubeletConfiguration.evictionHard.nodefs\.available kubeletConfiguration.maxPods`},
		{"node-ip", `kubeletConfiguration.evictionHard.memory\.available kubeletConfiguration.evictionHard.nodefs\.available kubeletConfiguration.maxPods standalone`},
		{"evictionHard", `flags.node-ip kubeletConfiguration.maxPods standalone`},
		{`evictionHard.memory\.available`, `flags.node-ip kubeletConfiguration.evictionHard.nodefs\.available kubeletConfiguration.maxPods standalone`},
		{"kubeletConfiguration.maxPods", `flags.node-ip kubeletConfiguration.evictionHard.memory\.available kubeletConfiguration.evictionHard.nodefs\.available standalone`},
	} {
		next, found, err := s.Unset(tt.name)
		if err != nil || !found {
			t.Errorf("%s: found %t, %v", tt.name, found, err)
			continue
		}
		settings, err := next.Settings()
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for path := range settings {
			paths = append(paths, path)
		}
		slices.Sort(paths)
		if strings.Join(paths, " ") != tt.left {
			t.Errorf("%s: left %q", tt.name, paths)
		}
	}
	for _, name := range []string{"maxPodz", "memory", `evictionHard.memory`, "maxPods.x", ""} {
		if _, found, _ := s.Unset(name); found {
			t.Errorf("%q was found", name)
		}
	}
}
