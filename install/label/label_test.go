package label

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

func TestLabelPatch(t *testing.T) {
	type labels = map[string]string
	for _, tt := range []struct {
		name               string
		have, before, want labels
		patch              string
	}{
		{"nothing", labels{"a": "1"}, labels{"a": "1"}, labels{"a": "1"}, ""},
		{"another value", labels{"a": "1", "x": "y"}, labels{"a": "1"}, labels{"a": "2"}, "a=2"},
		{"a new one and an empty one", nil, nil, labels{"b": "", "a": "1"}, "a=1 b="},
		{"one that goes", labels{"a": "1", "b": "2"}, labels{"a": "1", "b": "2"}, labels{"a": "1"}, "b-"},
		{"one that goes has another value by now", labels{"b": "3"}, labels{"b": "2"}, nil, ""},
		{"one that goes is gone", nil, labels{"b": "2"}, nil, ""},
		{"somebody else's", labels{"c": "3"}, nil, nil, ""},
		{"changed by somebody else", labels{"a": "3"}, labels{"a": "1"}, labels{"a": "1"}, "a=1"},
		{"one of kubelet's own gets its value back", labels{"kubernetes.io/hostname": "x"}, labels{"kubernetes.io/hostname": "x"}, nil, "kubernetes.io/hostname=n"},
		{"one of kubelet's own with its value stays", labels{"kubernetes.io/os": "linux"}, labels{"kubernetes.io/os": "linux"}, nil, ""},
	} {
		if got := strings.Join(labelWords(labelPatch(tt.have, tt.before, tt.want, ownLabels("n", "amd64"))), " "); got != tt.patch {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.patch)
		}
	}
}

func TestTaintWords(t *testing.T) {
	generation := func(config string, args ...string) []node.Taint {
		return registeredTaints(&plan.Generation{Args: args, Files: []plan.File{plan.TextFile(hostfs.ConfigFile, 0o600, []byte(config))}})
	}
	const a = "registerWithTaints:\n- {key: a, value: b, effect: NoSchedule}\n"
	taintA := node.Taint{Key: "a", Value: "b", Effect: "NoSchedule"}
	for _, tt := range []struct {
		name         string
		have         []node.Taint
		before, want []node.Taint
		words        []string
	}{
		{"a new one", nil, generation(""), generation(a), []string{"a=b:NoSchedule"}},
		{"a new one, by flag", nil, nil, generation("", "--register-with-taints=a=b:NoSchedule,c=:NoExecute"), []string{"a=b:NoSchedule", "c:NoExecute"}},
		{"it is there", []node.Taint{taintA}, nil, generation(a), nil},
		{"somebody took it away since", nil, generation(a), generation(a), nil},
		{"one that goes", []node.Taint{taintA}, generation(a), nil, []string{"a:NoSchedule-"}},
		{"one that goes is gone", nil, generation(a), nil, nil},
	} {
		if got := taintWords(tt.have, tt.before, tt.want); !slices.Equal(got, tt.words) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.words)
		}
	}
}
