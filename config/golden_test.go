package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestRenderGolden holds the defaults of the releases where something changed.
func TestRenderGolden(t *testing.T) {
	tests := []struct {
		name string
		in   Input
	}{
		{"1.13", Input{Minor: 13}},
		{"1.16", Input{Minor: 16}},
		{"1.20", Input{Minor: 20}},
		{"1.24", Input{Minor: 24}},
		{"1.27", Input{Minor: 27}},
		{"1.31", Input{Minor: 31}},
		{"1.35", Input{Minor: 35}},
		{"1.36", Input{Minor: 36}},
		{"1.37", Input{Minor: 37}},
		{"1.13-standalone", Input{Minor: 13, Standalone: true}},
		{"1.37-standalone", Input{Minor: 37, Standalone: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := Render(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Notes) > 0 || len(out.Warnings) > 0 {
				t.Errorf("a default made notes %v or warnings %v", out.Notes, out.Warnings)
			}
			golden(t, filepath.Join("testdata", tt.name+".args"), strings.Join(out.Args, "\n")+"\n")
			golden(t, filepath.Join("testdata", tt.name+".yaml"), string(out.Config))
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
