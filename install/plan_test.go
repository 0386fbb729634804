package install

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

const (
	unitFile = UnitDir + "/" + systemd.KubeletService
	linkFile = DefaultBinDir + "/kubelet"
)

// generation is a small but whole generation of a version.
func generation(t *testing.T, version, config string) *Generation {
	t.Helper()
	v, err := release.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return &Generation{
		Number: 1, Version: v,
		Files: []File{
			{Path: DefaultBinDir + "/kubelet-" + version, Kind: Binary, Mode: 0o755, SHA256: strings.Repeat(version[len(version)-1:], 64)},
			textFile(ConfigFile, 0o600, []byte(config)),
			{Path: linkFile, Kind: Link, Target: "kubelet-" + version},
			textFile(unitFile, 0o644, []byte("[Service]\nExecStart=/usr/local/bin/kubelet\n")),
		},
		Units: []Unit{{Name: systemd.KubeletService, Enabled: true, Run: Running}},
	}
}

// on is a live host that is exactly as the generation says, with kubelet running; nil is an empty host.
func on(g *Generation) *Seen {
	s := &Seen{Live: true, Credentials: true, Files: map[string]File{}, Units: map[string]systemd.UnitState{}}
	if g != nil {
		for _, f := range g.Files {
			s.Files[f.Path] = f
		}
		s.Units[systemd.KubeletService] = systemd.UnitState{ActiveState: "active", UnitFileState: "enabled"}
	}
	return s
}

// edit replaces the content of a text that was seen.
func (s *Seen) edit(path, content string) *Seen {
	s.Files[path] = textFile(path, s.Files[path].Mode, []byte(content))
	return s
}

func steps(p *Plan) []string {
	list := []string{}
	for _, s := range p.Steps {
		line := fmt.Sprintf("%s %s", s.Action, s.Target)
		if s.Cleanup {
			line += " (cleanup)"
		}
		list = append(list, line)
	}
	return list
}

func TestNewPlan(t *testing.T) {
	const kubelet37, kubelet36 = DefaultBinDir + "/kubelet-v1.37.2", DefaultBinDir + "/kubelet-v1.36.3"
	g37, g36 := generation(t, "v1.37.2", "a: 1\n"), generation(t, "v1.36.3", "a: 1\n")
	changed := generation(t, "v1.37.2", "a: 2\n")
	noStart := generation(t, "v1.37.2", "a: 2\n")
	noStart.Units[0].Run = AsIs
	withDir := generation(t, "v1.37.2", "a: 1\n")
	withDir.Dirs = []string{KubeletDir}
	empty := &Generation{Snapshot: true}
	stranger := &Generation{Snapshot: true, Files: []File{textFile(unitFile, 0o644, []byte("[Service]\nExecStart=/usr/bin/kubelet\n"))},
		Units: []Unit{{Name: systemd.KubeletService, Enabled: true, Run: Running}}}

	tests := []struct {
		name       string
		want, have *Generation
		seen       func() *Seen
		steps      []string
		conflicts  []string
		kept       []string
	}{
		{"nothing to do", g37, g37, func() *Seen { return on(g37) }, nil, nil, nil},
		{"an empty host", g37, nil, func() *Seen {
			s := on(nil)
			s.MissingDirs = []string{KubeletDir, path.Dir(DefaultBinDir), DefaultBinDir}
			return s
		}, []string{"mkdir " + path.Dir(DefaultBinDir), "mkdir " + DefaultBinDir, "download " + kubelet37, "mkdir " + KubeletDir, "write " + ConfigFile, "link " + linkFile, "write " + unitFile,
			"reload systemd", "enable kubelet.service", "start kubelet.service"}, nil, nil},
		{"one field changed", changed, g37, func() *Seen { return on(g37) },
			[]string{"write " + ConfigFile, "restart kubelet.service"}, nil, nil},
		{"one field changed, no start asked for", noStart, g37, func() *Seen { return on(g37) }, []string{"write " + ConfigFile}, nil, nil},
		{"another version keeps the old binary", g37, g36, func() *Seen { return on(g36) },
			[]string{"download " + kubelet37, "link " + linkFile, "restart kubelet.service"}, nil, nil},
		{"a tree that is not running", g37, nil, func() *Seen {
			s := on(nil)
			s.Live = false
			return s
		}, []string{"download " + kubelet37, "write " + ConfigFile, "link " + linkFile, "write " + unitFile, "enable kubelet.service"}, nil, nil},
		{"no credentials: nothing is started", g37, nil, func() *Seen {
			s := on(nil)
			s.Credentials = false
			return s
		}, []string{"download " + kubelet37, "write " + ConfigFile, "link " + linkFile, "write " + unitFile, "reload systemd", "enable kubelet.service"}, nil, nil},
		{"stopped by hand", g37, g37, func() *Seen {
			s := on(g37)
			s.Units[systemd.KubeletService] = systemd.UnitState{ActiveState: "inactive", UnitFileState: "enabled"}
			return s
		}, []string{"start kubelet.service"}, nil, nil},
		{"disabled by hand", g37, g37, func() *Seen {
			s := on(g37)
			s.Units[systemd.KubeletService] = systemd.UnitState{ActiveState: "active", UnitFileState: "disabled"}
			return s
		}, []string{"enable kubelet.service"}, nil, nil},
		{"systemd has not read the unit", g37, g37, func() *Seen {
			s := on(g37)
			s.Units[systemd.KubeletService] = systemd.UnitState{ActiveState: "active", UnitFileState: "enabled", NeedReload: true}
			return s
		}, []string{"reload systemd"}, nil, nil},
		{"only a mode differs", g37, g37, func() *Seen {
			s := on(g37)
			f := s.Files[ConfigFile]
			f.Mode = 0o644
			s.Files[ConfigFile] = f
			return s
		}, []string{"chmod " + ConfigFile}, nil, nil},
		{"a file is missing", g37, g37, func() *Seen {
			s := on(g37)
			delete(s.Files, ConfigFile)
			return s
		}, []string{"write " + ConfigFile, "restart kubelet.service"}, nil, nil},
		{"edited by hand, and we do not care to change it", g37, g37, func() *Seen { return on(g37).edit(ConfigFile, "a: 9\n") },
			[]string{"write " + ConfigFile, "restart kubelet.service"}, []string{ConfigFile}, nil},
		{"edited by hand to what we want", changed, g37, func() *Seen { return on(g37).edit(ConfigFile, "a: 2\n") }, nil, nil, nil},
		{"a stranger's unit", g37, nil, func() *Seen { return on(nil).edit(unitFile, "mine\n") },
			[]string{"download " + kubelet37, "write " + ConfigFile, "link " + linkFile, "chmod", "reload"}, []string{unitFile}, nil},
		{"a damaged binary is no conflict", g37, g37, func() *Seen {
			s := on(g37)
			s.Files[kubelet37] = File{Path: kubelet37, Kind: Binary, Mode: 0o755, SHA256: "bad"}
			return s
		}, []string{"download " + kubelet37}, nil, nil},
		{"a stranger's binary of the same name", g37, nil, func() *Seen {
			s := on(g37)
			s.Files[kubelet37] = File{Path: kubelet37, Kind: Binary, Mode: 0o755, SHA256: "other"}
			return s
		}, []string{"download " + kubelet37}, []string{kubelet37}, nil},
		{"uninstall", empty, withDir, func() *Seen { return on(withDir) },
			[]string{"stop kubelet.service", "disable kubelet.service", "remove " + kubelet37 + " (cleanup)", "remove " + ConfigFile + " (cleanup)",
				"remove " + linkFile + " (cleanup)", "remove " + unitFile + " (cleanup)", "reload systemd (cleanup)", "rmdir " + KubeletDir + " (cleanup)"}, nil, nil},
		{"uninstall keeps what was edited", empty, g37, func() *Seen { return on(g37).edit(ConfigFile, "a: 9\n") },
			[]string{"stop kubelet.service", "disable kubelet.service", "remove " + kubelet37 + " (cleanup)", "remove " + linkFile + " (cleanup)",
				"remove " + unitFile + " (cleanup)", "reload systemd (cleanup)"}, nil, []string{ConfigFile}},
		{"uninstall of what is gone already", empty, g37, func() *Seen { return on(nil) }, nil, nil, nil},
		{"uninstall gives a stranger's unit back", stranger, g37, func() *Seen { return on(g37) },
			[]string{"write " + unitFile, "reload systemd", "restart kubelet.service", "remove " + kubelet37 + " (cleanup)",
				"remove " + ConfigFile + " (cleanup)", "remove " + linkFile + " (cleanup)"}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := NewPlan(tt.want, tt.have, tt.seen())
			if tt.name == "a stranger's unit" { // its other steps are those of an empty host
				if !p.has(Write, unitFile) {
					t.Errorf("the unit is not replaced: %q", steps(p))
				}
			} else if got := steps(p); !slices.Equal(got, tt.steps) {
				t.Errorf("steps\n got %q\nwant %q", got, tt.steps)
			}
			if got := paths(p.Conflicts); !slices.Equal(got, tt.conflicts) {
				t.Errorf("conflicts %q, want %q", got, tt.conflicts)
			}
			if got := paths(p.Kept); !slices.Equal(got, tt.kept) {
				t.Errorf("kept %q, want %q", got, tt.kept)
			}
			for _, s := range p.Steps {
				if s.Reason == "" {
					t.Errorf("%s %s has no reason", s.Action, s.Target)
				}
			}
		})
	}
}

func paths(list []Conflict) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.Path)
	}
	return out
}

// What is done twice must be the same as done once: a plan for a host on which the plan was carried out is empty.
func TestPlanOfWhatIsWantedIsEmpty(t *testing.T) {
	for _, version := range []string{"v1.13.0", "v1.37.2"} {
		g := generation(t, version, "a: 1\n")
		if p := NewPlan(g, nil, on(g)); !p.Empty() {
			t.Errorf("%s: %q", version, steps(p))
		}
	}
}

func TestChangeReason(t *testing.T) {
	text := func(s string) File { return textFile("/f", 0o644, []byte(s)) }
	tests := []struct{ name, old, new, want string }{
		{"one line", "a: 1\nb: 2\n", "a: 1\nb: 3\n", "-b: 2, +b: 3"},
		{"a continuation is not a change", "x \\\n  --a\n", "x \\\n  --a \\\n  --b\n", "+--b"},
		{"many", "", "1\n2\n3\n4\n5\n6\n", "+1, +2, +3, +4, and 2 more lines"},
		{"only blanks", "a\n", "a \n", "its content changes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := changeReason(text(tt.old), text(tt.new)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDiffIsUnified(t *testing.T) {
	g, h := generation(t, "v1.37.2", "a: 1\n"), generation(t, "v1.37.2", "a: 2\n")
	got := string(NewPlan(h, g, on(g)).Diff())
	want := "--- a/var/lib/kubelet/kubelet-config.yaml\n+++ b/var/lib/kubelet/kubelet-config.yaml\n@@ -1,1 +1,1 @@\n-a: 1\n+a: 2\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
