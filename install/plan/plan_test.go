package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

const (
	unitFile = hostfs.UnitDir + "/" + systemd.KubeletService
	linkFile = hostfs.DefaultBinDir + "/kubelet"
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
			{Path: hostfs.DefaultBinDir + "/kubelet-" + version, Kind: Binary, Mode: 0o755, SHA256: strings.Repeat(version[len(version)-1:], 64)},
			TextFile(hostfs.ConfigFile, 0o600, []byte(config)),
			{Path: linkFile, Kind: Link, Target: "kubelet-" + version},
			TextFile(unitFile, 0o644, []byte("[Service]\nExecStart=/usr/local/bin/kubelet\n")),
		},
		Units: []Unit{{Name: systemd.KubeletService, Enabled: true, Run: Running}},
	}
}

// on is a live host that is exactly as the generation says, with kubelet running; nil is an empty host.
func on(g *Generation) *Observation {
	o := &Observation{Live: true, Credentials: true, Files: map[string]File{}, Units: map[string]systemd.UnitState{}}
	if g != nil {
		for _, f := range g.Files {
			o.Files[f.Path] = f
		}
		o.Units[systemd.KubeletService] = systemd.UnitState{ActiveState: "active", UnitFileState: "enabled"}
	}
	return o
}

// edit replaces the content of a text that was observed.
func (o *Observation) edit(path, content string) *Observation {
	o.Files[path] = TextFile(path, o.Files[path].Mode, []byte(content))
	return o
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

// with is an observation in which one thing is otherwise.
func (o *Observation) with(change func(*Observation)) *Observation {
	change(o)
	return o
}

// service replaces the state of kubelet.service that was observed.
func (o *Observation) service(state systemd.UnitState) *Observation {
	o.Units[systemd.KubeletService] = state
	return o
}

func TestNewPlan(t *testing.T) {
	const kubelet37, kubelet36 = hostfs.DefaultBinDir + "/kubelet-v1.37.2", hostfs.DefaultBinDir + "/kubelet-v1.36.3"
	g37, g36 := generation(t, "v1.37.2", "a: 1\n"), generation(t, "v1.36.3", "a: 1\n")
	changed := generation(t, "v1.37.2", "a: 2\n")
	noStart := generation(t, "v1.37.2", "a: 2\n")
	noStart.Units[0].Run = AsIs
	withDir := generation(t, "v1.37.2", "a: 1\n")
	withDir.Dirs = []string{hostfs.KubeletDir}
	empty := &Generation{Snapshot: true}
	stranger := &Generation{Snapshot: true, Files: []File{TextFile(unitFile, 0o644, []byte("[Service]\nExecStart=/usr/bin/kubelet\n"))},
		Units: []Unit{{Name: systemd.KubeletService, Enabled: true, Run: Running}}}

	tests := []struct {
		name       string
		want, have *Generation
		seen       *Observation
		steps      []string
		conflicts  []string
		blocked    []string
		kept       []string
	}{
		{name: "nothing to do", want: g37, have: g37, seen: on(g37)},
		{name: "an empty host", want: g37,
			seen: on(nil).with(func(o *Observation) {
				o.MissingDirs = []string{hostfs.KubeletDir, path.Dir(hostfs.DefaultBinDir), hostfs.DefaultBinDir}
			}),
			steps: []string{"mkdir " + path.Dir(hostfs.DefaultBinDir), "mkdir " + hostfs.DefaultBinDir, "download " + kubelet37,
				"mkdir " + hostfs.KubeletDir, "write " + hostfs.ConfigFile, "link " + linkFile, "write " + unitFile,
				"reload systemd", "enable kubelet.service", "start kubelet.service"}},
		{name: "one field changed", want: changed, have: g37, seen: on(g37),
			steps: []string{"write " + hostfs.ConfigFile, "restart kubelet.service"}},
		{name: "one field changed, no start asked for", want: noStart, have: g37, seen: on(g37),
			steps: []string{"write " + hostfs.ConfigFile}},
		{name: "another version keeps the old binary", want: g37, have: g36, seen: on(g36),
			steps: []string{"download " + kubelet37, "link " + linkFile, "restart kubelet.service"}},
		{name: "a kubelet of a package runs", want: g37,
			seen: on(nil).service(systemd.UnitState{ActiveState: "active", UnitFileState: "enabled", FragmentPath: "/usr/lib/systemd/system/kubelet.service"}),
			steps: []string{"download " + kubelet37, "write " + hostfs.ConfigFile, "link " + linkFile, "write " + unitFile,
				"reload systemd", "restart kubelet.service"},
			conflicts: []string{"/usr/lib/systemd/system/kubelet.service"}},
		{name: "a tree that is not running", want: g37,
			seen:  on(nil).with(func(o *Observation) { o.Live = false }),
			steps: []string{"download " + kubelet37, "write " + hostfs.ConfigFile, "link " + linkFile, "write " + unitFile, "enable kubelet.service"}},
		{name: "no credentials: nothing is started", want: g37,
			seen: on(nil).with(func(o *Observation) { o.Credentials = false }),
			steps: []string{"download " + kubelet37, "write " + hostfs.ConfigFile, "link " + linkFile, "write " + unitFile,
				"reload systemd", "enable kubelet.service"}},
		{name: "stopped by hand", want: g37, have: g37,
			seen:  on(g37).service(systemd.UnitState{ActiveState: "inactive", UnitFileState: "enabled"}),
			steps: []string{"start kubelet.service"}},
		{name: "disabled by hand", want: g37, have: g37,
			seen:  on(g37).service(systemd.UnitState{ActiveState: "active", UnitFileState: "disabled"}),
			steps: []string{"enable kubelet.service"}},
		{name: "systemd has not read the unit", want: g37, have: g37,
			seen:  on(g37).service(systemd.UnitState{ActiveState: "active", UnitFileState: "enabled", NeedReload: true}),
			steps: []string{"reload systemd"}},
		{name: "only a mode differs", want: g37, have: g37,
			seen: on(g37).with(func(o *Observation) {
				f := o.Files[hostfs.ConfigFile]
				f.Mode = 0o644
				o.Files[hostfs.ConfigFile] = f
			}),
			steps: []string{"chmod " + hostfs.ConfigFile}},
		{name: "a file is missing", want: g37, have: g37,
			seen:  on(g37).with(func(o *Observation) { delete(o.Files, hostfs.ConfigFile) }),
			steps: []string{"write " + hostfs.ConfigFile, "restart kubelet.service"}},
		{name: "edited by hand, and we do not care to change it", want: g37, have: g37,
			seen:      on(g37).edit(hostfs.ConfigFile, "a: 9\n"),
			steps:     []string{"write " + hostfs.ConfigFile, "restart kubelet.service"},
			conflicts: []string{hostfs.ConfigFile}},
		{name: "edited by hand to what we want", want: changed, have: g37, seen: on(g37).edit(hostfs.ConfigFile, "a: 2\n")},
		{name: "a stranger's unit", want: g37, seen: on(nil).edit(unitFile, "mine\n"),
			steps: []string{"download " + kubelet37, "write " + hostfs.ConfigFile, "link " + linkFile, "write " + unitFile,
				"reload systemd", "enable kubelet.service", "start kubelet.service"},
			conflicts: []string{unitFile}},
		{name: "a directory in the link's place", want: changed, have: g37,
			seen:    on(g37).with(func(o *Observation) { o.Files[linkFile] = File{Path: linkFile, Kind: Other} }),
			steps:   []string{"write " + hostfs.ConfigFile, "restart kubelet.service"},
			blocked: []string{linkFile}},
		{name: "a directory in the binary's place", want: g37, have: g36,
			seen:    on(g36).with(func(o *Observation) { o.Files[kubelet37] = File{Path: kubelet37, Kind: Other} }),
			steps:   []string{"link " + linkFile, "restart kubelet.service"},
			blocked: []string{kubelet37}},
		{name: "a damaged binary is no conflict", want: g37, have: g37,
			seen: on(g37).with(func(o *Observation) {
				o.Files[kubelet37] = File{Path: kubelet37, Kind: Binary, Mode: 0o755, SHA256: "bad"}
			}),
			steps: []string{"download " + kubelet37}},
		{name: "a stranger's binary of the same name", want: g37,
			seen: on(g37).with(func(o *Observation) {
				o.Files[kubelet37] = File{Path: kubelet37, Kind: Binary, Mode: 0o755, SHA256: "other"}
			}),
			steps:     []string{"download " + kubelet37},
			conflicts: []string{kubelet37}},
		{name: "uninstall", want: empty, have: withDir, seen: on(withDir),
			steps: []string{"stop kubelet.service", "disable kubelet.service", "remove " + kubelet37 + " (cleanup)",
				"remove " + hostfs.ConfigFile + " (cleanup)", "remove " + linkFile + " (cleanup)", "remove " + unitFile + " (cleanup)",
				"reload systemd (cleanup)", "rmdir " + hostfs.KubeletDir + " (cleanup)"}},
		{name: "uninstall keeps what was edited", want: empty, have: g37, seen: on(g37).edit(hostfs.ConfigFile, "a: 9\n"),
			steps: []string{"stop kubelet.service", "disable kubelet.service", "remove " + kubelet37 + " (cleanup)",
				"remove " + linkFile + " (cleanup)", "remove " + unitFile + " (cleanup)", "reload systemd (cleanup)"},
			kept: []string{hostfs.ConfigFile}},
		{name: "uninstall of what is gone already", want: empty, have: g37, seen: on(nil)},
		{name: "uninstall gives a stranger's unit back", want: stranger, have: g37, seen: on(g37),
			steps: []string{"write " + unitFile, "reload systemd", "restart kubelet.service", "remove " + kubelet37 + " (cleanup)",
				"remove " + hostfs.ConfigFile + " (cleanup)", "remove " + linkFile + " (cleanup)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := NewPlan(tt.want, tt.have, tt.seen, Options{})
			if got := steps(p); !slices.Equal(got, tt.steps) {
				t.Errorf("steps\n got %q\nwant %q", got, tt.steps)
			}
			if got := paths(p.Conflicts); !slices.Equal(got, tt.conflicts) {
				t.Errorf("conflicts %q, want %q", got, tt.conflicts)
			}
			if got := paths(p.Blocked); !slices.Equal(got, tt.blocked) {
				t.Errorf("blocked %q, want %q", got, tt.blocked)
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
		if p := NewPlan(g, nil, on(g), Options{}); !p.Empty() {
			t.Errorf("%s: %q", version, steps(p))
		}
	}
}

func TestChangeReason(t *testing.T) {
	text := func(s string) File { return TextFile("/f", 0o644, []byte(s)) }
	tests := []struct{ name, old, new, want string }{
		{"one line", "a: 1\nb: 2\n", "a: 1\nb: 3\n", "removed b: 2, added b: 3"},
		{"a continuation is not a change", "x \\\n  --a\n", "x \\\n  --a \\\n  --b\n", "added --b"},
		{"one too many", "", "1\n2\n3\n4\n5\n", "added 1, added 2, added 3, added 4, and 1 more line"},
		{"many", "", "1\n2\n3\n4\n5\n6\n", "added 1, added 2, added 3, added 4, and 2 more lines"},
		{"only blanks", "a\n", "a \n", "its content changes"},
		{"a comment goes with its line", "# why\na: 1\n", "a: 2\n", "removed a: 1, added a: 2"},
		{"only a comment", "a: 1\n", "# mine\na: 1\n", "added # mine"},
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
	got := string(NewPlan(h, g, on(g), Options{}).Diff())
	want := "--- a/var/lib/kubelet/kubelet-config.yaml\n+++ b/var/lib/kubelet/kubelet-config.yaml\n@@ -1,1 +1,1 @@\n-a: 1\n+a: 2\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What a drop-in of somebody else's starts is not kubeletctl's to start anew: the same would run again. With consent to mask
// it, it is.
func TestForeignOverride(t *testing.T) {
	t.Parallel()
	g := generation(t, "v1.37.2", "maxPods: 5\n")
	g.Args = []string{"--config=" + hostfs.ConfigFile}
	seen := on(g).with(func(o *Observation) {
		o.Process = &Process{PID: 7, SHA256: strings.Repeat("f", 64), Args: []string{"--v=4"}}
		o.Overrides = []DropIn{{Path: DropInDir + "/10-kubeadm.conf"}}
		o.Files[DropInDir+"/10-kubeadm.conf"] = TextFile(DropInDir+"/10-kubeadm.conf", 0o644, []byte("[Service]\nExecStart=\n"))
	})
	if p := NewPlan(g, g, seen, Options{LeaveOverrides: true}); !p.Empty() || len(p.Conflicts) > 0 {
		t.Errorf("a repair does %v, with the conflicts %v", steps(p), p.Conflicts)
	}
	if drift := seen.DriftFrom(g); len(drift) != 1 || !drift[0].Kept {
		t.Errorf("drift: %+v", drift)
	}
	masking := g.Clone()
	masking.Mask("10-kubeadm.conf")
	p := NewPlan(masking, g, seen, Options{})
	want := []string{"link " + DropInDir + "/10-kubeadm.conf", "reload systemd", "restart kubelet.service"}
	if got := steps(p); !slices.Equal(got, want) {
		t.Errorf("an install does %v, want %v", got, want)
	}
	if len(p.Conflicts) != 1 || p.Conflicts[0].Reason != (&Observation{}).setsCommand("") {
		t.Errorf("conflicts: %+v", p.Conflicts)
	}
}

// A new kubeletctl that words a comment otherwise changes no file, and so restarts no kubelet.
func TestKeepComments(t *testing.T) {
	file := func(text string) File { return TextFile(hostfs.ConfigFile, 0o600, []byte(text)) }
	for _, tt := range []struct{ name, have, want, kept string }{
		{"another comment", "# old\na: 1\n", "# new\n# and more\na: 1\n", "# old\na: 1\n"},
		{"another value", "# old\na: 1\n", "# new\na: 2\n", "# new\na: 2\n"},
		{"a value with a #", "a: x\n", "a: x #1\n", "a: x #1\n"},
	} {
		g := &Generation{Files: []File{file(tt.want)}}
		g.KeepComments(&Generation{Files: []File{file(tt.have)}})
		if f := g.Files[0]; string(f.Content) != tt.kept || f.SHA256 != Sum(f.Content) {
			t.Errorf("%s: %q", tt.name, f.Content)
		}
		g = &Generation{Files: []File{file(tt.want)}}
		g.KeepComments(&Generation{Snapshot: true, Files: []File{file(tt.have)}})
		if f := g.Files[0]; string(f.Content) != tt.want {
			t.Errorf("%s: somebody else's file was taken: %q", tt.name, f.Content)
		}
	}
}
