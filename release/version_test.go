package release_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/kubeletctl/kubeletctl/release"
)

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want, problem string }{
		{"with v", "v1.36.3", "v1.36.3", ""},
		{"without v", "1.36.3", "v1.36.3", ""},
		{"pre-release", "v1.38.0-alpha.1", "v1.38.0-alpha.1", ""},
		{"empty", "", "", "it is empty"},
		{"minor only", "v1.36", "", "the patch number is missing"},
		{"two v", "vv1.36.3", "", "three numbers"},
		{"four numbers", "1.36.3.1", "", "three numbers"},
		{"word", "stable", "", "three numbers"},
		{"leading zero", "1.036.3", "", "starts with 0"},
		{"suffix", "v1.36.3+k3s1", "", "no +suffix"},
		{"other major", "2.0.0", "", "always 1"},
		{"path", "v1.36.3-../../x", "", "three numbers"},
		{"space", "v1.36.3\n", "", "three numbers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v, err := release.ParseVersion(test.text)
			if v.String() != test.want || (err != nil) != (test.problem != "") {
				t.Fatalf("got %q, %v", v, err)
			}
			if err != nil {
				contains(t, err.Error(), test.problem)
				contains(t, hint(err), "v1.36.3")
			}
		})
	}
}

func TestVersionOrder(t *testing.T) {
	t.Parallel()
	var sorted []release.Version
	for _, s := range []string{"v1.9.11", "v1.36.2", "v1.36.10", "v1.38.0-alpha.2", "v1.38.0-alpha.10", "v1.38.0-rc.0", "v1.38.0"} {
		sorted = append(sorted, version(t, s))
	}
	shuffled := slices.Clone(sorted)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, release.Version.Compare)
	if !slices.Equal(shuffled, sorted) {
		t.Errorf("got %v, want %v", shuffled, sorted)
	}
	if got := sorted[1].Minor(); got != 36 {
		t.Errorf("minor is %d", got)
	}
}

func TestTextForms(t *testing.T) {
	t.Parallel()
	type texts struct {
		V, NoV release.Version
		D, NoD release.Digest
	}
	in := texts{V: version(t, "1.36.3"), D: digestOf(kubelet)}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"V":"v1.36.3","NoV":"","D":"sha256:` + sum(kubelet) + `","NoD":""}`; string(data) != want {
		t.Errorf("got  %s\nwant %s", data, want)
	}
	var out texts
	if err := json.Unmarshal(data, &out); err != nil || out != in {
		t.Errorf("got %+v, %v", out, err)
	}
	for _, bad := range []string{`{"V":"1.36"}`, `{"D":"abc"}`, `{"D":"md5:abc"}`} {
		if json.Unmarshal([]byte(bad), &out) == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestParseRequest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text, want string
		exact            bool
		problem          string
	}{
		{"nothing", "", "stable", false, ""},
		{"exact", "1.36.3", "v1.36.3", true, ""},
		{"pre-release", "v1.38.0-rc.1", "v1.38.0-rc.1", true, ""},
		{"minor", "1.36", "1.36", false, ""},
		{"minor with v", "v1.36", "1.36", false, ""},
		{"stable", "stable", "stable", false, ""},
		{"latest", "latest", "latest", false, ""},
		{"stable-1", "stable-1", "stable-1", false, ""},
		{"stable of a minor", "stable-1.36", "stable-1.36", false, ""},
		{"latest of a minor", "latest-1.36", "latest-1.36", false, ""},
		{"other channel", "edge", "", false, `"edge" is neither a Kubernetes version nor a channel; accepted are`},
		{"only v", "v", "", false, "neither"},
		{"other major", "2.1", "", false, "is not a Kubernetes version"},
		{"placeholder", "1.36.x", "", false, "three numbers"},
		{"path", "stable-1.36/../x", "", false, "neither"},
		{"only a one", "1", "", false, "three numbers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, err := release.ParseRequest(test.text)
			if test.problem != "" {
				if err == nil {
					t.Fatalf("got %v", r)
				}
				contains(t, err.Error(), test.problem, "v1.36.3", "stable-1.36")
				return
			}
			if _, exact := r.Exact(); err != nil || r.String() != test.want || exact != test.exact {
				t.Errorf("got %q, exact %v, %v", r, exact, err)
			}
		})
	}
	if got := (release.Request{}).String(); got != "stable" {
		t.Errorf("the zero request is %q", got)
	}
}

// The minor of a request is known where it names one.
func TestMinorOfARequest(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"v1.36.3": 36, "1.36": 36, "stable-1.36": 36, "latest-1.36": 36, "stable": -1, "latest-1": -1, "": -1} {
		r, err := release.ParseRequest(text)
		if err != nil {
			t.Fatal(err)
		}
		if minor, known := r.Minor(); known != (want >= 0) || known && minor != want {
			t.Errorf("%q: %d, %t", text, minor, known)
		}
	}
}
