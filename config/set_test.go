package config

import (
	"fmt"
	"math"
	"reflect"
	"testing"
)

func TestParseSet(t *testing.T) {
	tests := []struct {
		name, expr string
		path       []string
		value      any
		err        string
	}{
		{name: "number", expr: "maxPods=110", path: []string{"maxPods"}, value: int64(110)},
		{name: "a number that no float64 holds", expr: "podPidsLimit=9007199254740993", path: []string{"podPidsLimit"}, value: int64(9007199254740993)},
		{name: "the least number", expr: "podPidsLimit=-9223372036854775808", path: []string{"podPidsLimit"}, value: int64(math.MinInt64)},
		{name: "numbers in a list of mappings", expr: "reservedMemory=[{numaNode: 9007199254740993}]", path: []string{"reservedMemory"},
			value: []any{tree{"numaNode": int64(9007199254740993)}}},
		{name: "a fraction", expr: "x=0.5", path: []string{"x"}, value: 0.5},
		{name: "no fraction after all", expr: "x=5.0", path: []string{"x"}, value: int64(5)},
		{name: "boolean", expr: "authentication.anonymous.enabled=false", path: []string{"authentication", "anonymous", "enabled"}, value: false},
		{name: "text", expr: "syncFrequency=30s", path: []string{"syncFrequency"}, value: "30s"},
		{name: "a dot inside a key", expr: `evictionHard.memory\.available=200Mi`, path: []string{"evictionHard", "memory.available"}, value: "200Mi"},
		{name: "a backslash inside a key", expr: `a.b\\c=1`, path: []string{"a", `b\c`}, value: int64(1)},
		{name: "list", expr: "clusterDNS=[10.0.0.10, 10.0.0.11]", path: []string{"clusterDNS"}, value: []any{"10.0.0.10", "10.0.0.11"}},
		{name: "mapping", expr: "featureGates={A: true}", path: []string{"featureGates"}, value: tree{"A": true}},
		{name: "equal signs in the value", expr: "staticPodURL=http://h/?a=b", path: []string{"staticPodURL"}, value: "http://h/?a=b"},
		{name: "a number where the field is text", expr: "clusterDomain=123", path: []string{"clusterDomain"}, value: "123"},
		{name: "a number in a map of text", expr: "kubeReserved.cpu=1", path: []string{"kubeReserved", "cpu"}, value: "1"},
		{name: "nothing where the field is text", expr: "resolvConf=", path: []string{"resolvConf"}, value: ""},
		{name: "nothing else is null", expr: "maxPods=", path: []string{"maxPods"}, value: nil},
		{name: "null", expr: "cgroupDriver=null", path: []string{"cgroupDriver"}, value: nil},
		{name: "a colon is text", expr: "x=a: b", path: []string{"x"}, value: "a: b"},
		{name: "quotes", expr: `x="1"`, path: []string{"x"}, value: "1"},
		{name: "text that YAML would not take", expr: "clusterDomain=*.example", path: []string{"clusterDomain"}, value: "*.example"},
		{name: "no equal sign", expr: "maxPods", err: `"maxPods": want FIELD=VALUE`},
		{name: "no field", expr: "=1", err: `"" has an empty part`},
		{name: "an empty part", expr: "a..b=1", err: `"a..b" has an empty part`},
		{name: "a dot at the end", expr: "a.=1", err: `"a." has an empty part`},
		{name: "a backslash at the end", expr: `a\=1`, err: `"a\\" ends in a backslash`},
		{name: "an index", expr: "clusterDNS[0]=1", err: `"clusterDNS[0]=1": a list cannot be set by index; give the whole list, as in clusterDNS=[a, b]`},
		{name: "an open list", expr: "x=[a", err: `x: "[a" is not a YAML value (quote it if it is text)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, value, err := ParseSet(tt.expr)
			if tt.err != "" || err != nil {
				if fmt.Sprint(err) != tt.err {
					t.Errorf("got %v, want %s", err, tt.err)
				}
				return
			}
			if !reflect.DeepEqual(path, tt.path) || !reflect.DeepEqual(value, tt.value) {
				t.Errorf("got %q %#v, want %q %#v", path, value, tt.path, tt.value)
			}
		})
	}
}

func TestSetField(t *testing.T) {
	tests := []struct {
		name   string
		config tree
		path   []string
		want   tree
		err    string
	}{
		{name: "makes the maps on the way", config: tree{}, path: []string{"a", "b", "c"}, want: tree{"a": tree{"b": tree{"c": 1}}}},
		{name: "keeps the neighbours", config: tree{"a": tree{"x": 2}}, path: []string{"a", "b"}, want: tree{"a": tree{"x": 2, "b": 1}}},
		{name: "replaces", config: tree{"a": tree{"x": 2}}, path: []string{"a"}, want: tree{"a": 1}},
		{name: "below null", config: tree{"a": nil}, path: []string{"a", "b"}, want: tree{"a": tree{"b": 1}}},
		{name: "below a value", config: tree{"a": tree{"b": "text"}}, path: []string{"a", "b", "c"}, err: `a.b is the string "text", it has no fields`},
		{name: "no map", path: []string{"a"}, err: "no configuration to set a field in"},
		{name: "no path", config: tree{}, err: "no field to set"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := SetField(tt.config, tt.path, 1)
			if tt.err != "" || err != nil {
				if fmt.Sprint(err) != tt.err {
					t.Errorf("got %v, want %s", err, tt.err)
				}
				return
			}
			if !reflect.DeepEqual(tt.config, tt.want) {
				t.Errorf("got %v, want %v", tt.config, tt.want)
			}
		})
	}
}

func FuzzParseSet(f *testing.F) {
	for _, seed := range []string{"", "=", "a=b", `evictionHard.memory\.available=200Mi`, "a.b=[1, {c: d}]", `\=`, "a=&x [*x]", "a=!!int x", "kubeReserved.cpu=1", "a=---\n", "a=%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		path, value, err := ParseSet(expr)
		if err != nil {
			return
		}
		config := map[string]any{}
		if err := SetField(config, path, value); err != nil {
			t.Fatalf("%q: parsed, but not set: %v", expr, err)
		}
		back, err := SplitPath(JoinPath(path))
		if err != nil || !reflect.DeepEqual(back, path) {
			t.Fatalf("%q: path %q became %q, %v", expr, path, back, err)
		}
		if _, ok := get(config, path); !ok {
			t.Fatalf("%q: set, but not there", expr)
		}
		Render(Input{Minor: Newest, Config: config})
	})
}
