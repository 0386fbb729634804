package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestRenderGolden holds the defaults of every release.
func TestRenderGolden(t *testing.T) {
	inputs := map[string]Input{
		"1.13-standalone": {Minor: 13, Standalone: true},
		"1.37-standalone": {Minor: 37, Standalone: true},
		"1.13-upstream":   {Minor: 13, Profile: Upstream},
		"1.37-upstream":   {Minor: 37, Profile: Upstream},
	}
	for m := Oldest; m <= Newest; m++ {
		inputs[m.String()] = Input{Minor: m}
	}
	for name, in := range inputs {
		t.Run(name, func(t *testing.T) {
			out, err := Render(in)
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Notes) > 0 || len(out.Warnings) > 0 {
				t.Errorf("a default made notes %v or warnings %v", out.Notes, out.Warnings)
			}
			golden(t, filepath.Join("testdata", name+".args"), strings.Join(out.Args, "\n")+"\n")
			golden(t, filepath.Join("testdata", name+".yaml"), string(out.Config))
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n got:\n%s\nwant:\n%s", path, got, want)
	}
}
