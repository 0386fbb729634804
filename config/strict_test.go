package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

type specLike struct {
	Version string   `json:"version"`
	Sources []string `json:"sources,omitempty"`
	Paths   struct {
		BinDir string `json:"binDir"`
	} `json:"paths"`
	Flags      map[string]string `json:"flags"`
	Config     map[string]any    `json:"kubeletConfiguration"`
	Standalone *bool             `json:"standalone"`
	Retries    int               `json:"retries"`
	Built      time.Time         `json:"built"`
	Mirrors    []struct {
		URL string `json:"url"`
	} `json:"mirrors"`
	hidden int //lint:ignore U1000 an unexported field is no key, which is what it is here to show
}

func TestDecodeStrict(t *testing.T) {
	yes := true
	tests := []struct {
		name string
		yaml string
		want specLike
		err  string // all of it
	}{
		{name: "everything fits",
			yaml: "version: v1.37.2\nsources: [a, b]\npaths: {binDir: /b}\nflags: {v: \"4\"}\nkubeletConfiguration:\n  anyThing: {goes: [1, 2.5, true]}\nstandalone: yes\nmirrors:\n- url: u\n",
			want: specLike{Version: "v1.37.2", Sources: []string{"a", "b"}, Paths: struct {
				BinDir string `json:"binDir"`
			}{"/b"}, Flags: map[string]string{"v": "4"}, Config: tree{"anyThing": tree{"goes": []any{int64(1), 2.5, true}}}, Standalone: &yes, Mirrors: []struct {
				URL string `json:"url"`
			}{{"u"}}}},
		{name: "null is nothing", yaml: "version: v1\nflags: null\nkubeletConfiguration: ~\n", want: specLike{Version: "v1"}},
		{name: "merge keys", yaml: "kubeletConfiguration:\n  a: &a {x: 1}\n  b:\n    <<: *a\n    z: 2\n",
			want: specLike{Config: tree{"a": tree{"x": int64(1)}, "b": tree{"x": int64(1), "z": int64(2)}}}},
		{name: "unknown key", yaml: "verson: v1\n", err: "f.yaml:1:1: verson: unknown key; did you mean version?"},
		{name: "nothing like it", yaml: "colour: red\n", err: "f.yaml:1:1: colour: unknown key"},
		{name: "an unexported field is no key", yaml: "hidden: 1\n", err: "f.yaml:1:1: hidden: unknown key"},
		{name: "wrong case", yaml: "version: v1\npaths:\n  bindir: /b\n", err: "f.yaml:3:3: paths.bindir: unknown key; did you mean binDir? (case)"},
		{name: "duplicate key", yaml: "version: v1\nversion: v2\n", err: "f.yaml:2:1: version: given twice, first in line 1"},
		{name: "duplicate key in free territory", yaml: "kubeletConfiguration:\n  evictionHard:\n    memory.available: 1Mi\n    memory.available: 2Mi\n",
			err: `f.yaml:4:5: kubeletConfiguration.evictionHard.memory\.available: given twice, first in line 3`},
		{name: "wrong types, all at once", yaml: "version: 1.30\nsources: a\nflags: {v: 4, w: [a]}\nstandalone: maybe\nretries: 1.5\nbuilt: tomorrow\nmirrors: [{url: u}, 5, {url: true}]\npaths: []\nkubeletConfiguration: 1\n",
			err: `f.yaml:1:1: version: wanted a string, got the number 1.3; put it in quotes
f.yaml:2:1: sources: wanted a list, got the string "a"
f.yaml:3:9: flags.v: wanted a string, got the number 4; put it in quotes
f.yaml:3:15: flags.w: wanted a string, got a list
f.yaml:4:1: standalone: wanted true or false, got the string "maybe"
f.yaml:5:1: retries: wanted a whole number, got the number 1.5
f.yaml:6:1: built: wanted Time, got the string "tomorrow"
f.yaml:7:21: mirrors[1]: wanted a mapping, got the number 5
f.yaml:7:25: mirrors[2].url: wanted a string, got the boolean true; put it in quotes
f.yaml:8:1: paths: wanted a mapping, got a list
f.yaml:9:1: kubeletConfiguration: wanted a mapping, got the number 1`},
		{name: "a tab", yaml: "version: v1\n\tsources: []\n", err: "f.yaml:2:1: found a tab character that violates indentation"},
		{name: "a mapping within a line", yaml: "version: v1\n sources: []\n", err: "f.yaml:2:9: mapping values are not allowed in this context"},
		{name: "empty", yaml: "", err: "f.yaml: the file is empty"},
		{name: "comments only", yaml: "# nothing\n---\n", err: "f.yaml: the file is empty"},
		{name: "two documents", yaml: "version: v1\n---\nversion: v2\n", err: "f.yaml:2:1: a second document: one file holds one"},
		{name: "an anchor in itself", yaml: "sources: &s [*s]\n", err: "f.yaml: anchor 's' value contains itself"},
		{name: "not a mapping", yaml: "- a\n", err: "f.yaml:1:1: wanted a mapping, got a list"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got specLike
			_, err := DecodeStrict("f.yaml", []byte(tt.yaml), &got)
			if tt.err != "" {
				var problems Problems
				if !errors.As(err, &problems) || err.Error() != tt.err {
					t.Errorf("got:\n%v\nwant:\n%s", err, tt.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func TestDecodeStrictPositions(t *testing.T) {
	var spec specLike
	got, err := DecodeStrict("f.yaml", []byte("mirrors:\n- url: u\nkubeletConfiguration:\n  evictionHard:\n    memory.available: 1Mi\n"), &spec)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"mirrors[0].url": "f.yaml:2:3",
		`kubeletConfiguration.evictionHard.memory\.available`: "f.yaml:5:5",
	} {
		if at := got[path].String(); at != want {
			t.Errorf("%s: got %q, want %q", path, at, want)
		}
	}
	// what was not written is where its surroundings are
	if at := got.of(`kubeletConfiguration.evictionHard.nodefs\.available`).String(); at != "f.yaml:4:3" {
		t.Errorf("nearest: got %q", at)
	}
}

func TestDecodeStrictWantsPointer(t *testing.T) {
	if _, err := DecodeStrict("f.yaml", nil, specLike{}); err == nil {
		t.Error("a value was taken")
	}
}

func TestLoadKubeletConfiguration(t *testing.T) {
	const head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
	tests := []struct {
		name, yaml string
		want       tree
		err        string
	}{
		{name: "fields without head", yaml: head + "maxPods: 5\nevictionHard: {memory.available: 1Mi}\n",
			want: tree{"maxPods": int64(5), "evictionHard": tree{"memory.available": "1Mi"}}},
		{name: "no fields", yaml: head, want: tree{}},
		{name: "no apiVersion", yaml: "apiversion: x\nkind: KubeletConfiguration\n",
			err: `f.yaml: apiVersion: missing, wanted "kubelet.config.k8s.io/v1beta1"; it is written apiversion here (case)`},
		{name: "another kind", yaml: "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n",
			err: "f.yaml:1:1: apiVersion: wanted \"kubelet.config.k8s.io/v1beta1\", got the string \"kubeadm.k8s.io/v1beta4\"\nf.yaml:2:1: kind: wanted \"KubeletConfiguration\", got the string \"ClusterConfiguration\""},
		{name: "duplicate", yaml: head + "maxPods: 5\nmaxPods: 6\n", err: "f.yaml:4:1: maxPods: given twice, first in line 3"},
		{name: "syntax", yaml: head + "a: [\n", err: "f.yaml:4:1: did not find expected node content"},
		{name: "a list", yaml: "[]\n", err: "f.yaml:1:1: wanted a KubeletConfiguration, got a list"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, positions, err := LoadKubeletConfiguration("f.yaml", []byte(tt.yaml))
			if tt.err != "" {
				if fmt.Sprint(err) != tt.err {
					t.Errorf("got:\n%v\nwant:\n%s", err, tt.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
			if _, ok := tt.want["maxPods"]; ok && positions["kubeletConfiguration.maxPods"].Line != 3 {
				t.Errorf("positions: %v", positions)
			}
		})
	}
}

func TestProblem(t *testing.T) {
	tests := []struct {
		name string
		p    Problem
		want string
	}{
		{"all", Problem{Position: Position{"spec.yaml", 7, 3}, Path: "a.b", Message: "unknown", Hint: "did you mean c?"}, "spec.yaml:7:3: a.b: unknown; did you mean c?"},
		{"no column", Problem{Position: Position{"spec.yaml", 7, 0}, Message: "m"}, "spec.yaml:7: m"},
		{"no line", Problem{Position: Position{File: "spec.yaml"}, Message: "m"}, "spec.yaml: m"},
		{"no file", Problem{Path: "a", Message: "m"}, "a: m"},
	}
	for _, tt := range tests {
		if got := tt.p.Error(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	ps := Problems{tests[2].p, tests[3].p}
	if got := ps.Error(); strings.Count(got, "\n") != 1 {
		t.Errorf("one a line: %q", got)
	}
	if p, ok := errors.AsType[Problem](fmt.Errorf("reading: %w", ps)); !ok || p != ps[0] {
		t.Errorf("unwrapped %v, %v", p, ok)
	}
	if err := (Problems)(nil).err(); err != nil {
		t.Errorf("nothing is an error: %v", err)
	}
}

func FuzzDecodeStrict(f *testing.F) {
	for _, seed := range []string{
		"", "a: 1", "version: v1\nflags: {v: \"2\"}\n", "a: &a [*a]", "<<: {a: 1}", "? [a]\n: b", "a: !!binary x", "mirrors: [{url: 1}, ~]",
		"1: a\n1.0: b", "\xff\xfe", "built: 2026-01-01T00:00:00Z", "%YAML 1.1\n---\na: 010", "a: 1\n...\nb: 2", "kubeletConfiguration: {a.b: {\"c\\\\d\": [[1]]}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var spec specLike
		DecodeStrict("f.yaml", data, &spec)
		LoadKubeletConfiguration("f.yaml", data)
	})
}
