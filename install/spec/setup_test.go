package spec

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/document"
	"github.com/kubeletctl/kubeletctl/release"
)

func version(t testing.TB, s string) release.Version {
	t.Helper()
	v, err := TargetVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestMigrateGolden carries setups as they are found in the world over to three newer releases. What migrates must stay
// what it is when it is migrated again.
func TestMigrateGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/migrate/*.txtar")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d setups, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			from := version(t, strings.TrimSpace(string(archive.Comment)))
			var documents []document.File
			for _, f := range archive.Files {
				documents = append(documents, document.File{Name: f.Name, Data: f.Data})
			}
			var out bytes.Buffer
			for _, minor := range []int{from.Minor() + 1, (from.Minor() + int(config.Newest)) / 2, int(config.Newest)} {
				to := version(t, config.Minor(minor).String())
				setup, err := ReadSetup(documents)
				if err != nil {
					t.Fatal(err)
				}
				m, err := setup.Migrate(to, from, "")
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&out, "=== %s -> %s, binary %q, missing %v\n", from, to, setup.Binary, setup.Missing)
				for _, i := range m.Items {
					fmt.Fprintf(&out, "%s: %s: %s", i.Position, i.Outcome, i.Item)
					if i.Outcome == config.Changed {
						fmt.Fprintf(&out, ": %s -> %s", i.Old, i.New)
					}
					fmt.Fprintf(&out, "; %s\n", i.Why)
					if strings.Contains(i.Item+i.Why, "secret") {
						t.Errorf("%s shows a password", i.Item)
					}
				}
				for _, w := range m.Rendered.Warnings {
					fmt.Fprintf(&out, "warning: %s\n", w.Error())
				}
				spec, err := yaml.Marshal(m.Spec)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&out, "%s", spec)
				for _, arg := range m.Rendered.Args {
					fmt.Fprintln(&out, arg)
				}
				fmt.Fprintf(&out, "%s", m.Rendered.Config)
				migratesToItself(t, spec, to, m)
			}
			golden(t, strings.TrimSuffix(file, ".txtar")+".golden", out.Bytes())
		})
	}
}

func migratesToItself(t *testing.T, spec []byte, to release.Version, first *Migration) {
	t.Helper()
	again, err := ReadSetup([]document.File{{Name: "spec.yaml", Data: spec}})
	if err != nil {
		t.Fatalf("%v in\n%s", err, spec)
	}
	m, err := again.Migrate(to, to, "")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m.Rendered.Args, first.Rendered.Args) || !bytes.Equal(m.Rendered.Config, first.Rendered.Config) {
		t.Errorf("migrated again to %s: got\n%s%s\nwant\n%s%s", to, m.Rendered.Args, m.Rendered.Config, first.Rendered.Args, first.Rendered.Config)
	}
	for _, i := range m.Items {
		if i.Outcome != config.Kept && i.Outcome != config.Changed {
			t.Errorf("migrated again to %s: %s %s: %s", to, i.Item, i.Outcome, i.Why)
		}
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s", file, got)
	}
}

// FuzzMigrate: whatever a document holds, reading, checking and migrating it ends without a panic, and what comes out
// migrates to itself.
func FuzzMigrate(f *testing.F) {
	files, _ := filepath.Glob("testdata/migrate/*.txtar")
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range archive.Files {
			f.Add(part.Name, part.Data, 37)
			f.Add("x", part.Data, 20)
		}
	}
	f.Fuzz(func(t *testing.T, name string, data []byte, minor int) {
		to := version(t, fmt.Sprintf("1.%d", 13+max(0, minor)%26))
		documents := []document.File{{Name: name, Data: data}}
		if _, err := Validate(to, documents); err != nil {
			t.Skip(err)
		}
		setup, err := ReadSetup(documents)
		if err != nil {
			return
		}
		m, err := setup.Migrate(to, release.Version{}, "")
		if err != nil {
			return
		}
		spec, err := yaml.Marshal(m.Spec)
		if err != nil {
			t.Fatal(err)
		}
		migratesToItself(t, spec, to, m)
	})
}

// TestGoldenOfEveryMinor holds what an install with defaults writes: the configuration file and the units.
func TestGoldenOfEveryMinor(t *testing.T) {
	for m := config.Oldest; m <= config.Newest; m++ {
		files, err := RenderFiles(Spec{}, version(t, m.String()), nil)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		for _, f := range files {
			fmt.Fprintf(&out, "==> %s (%04o) <==\n%s", f.Path, f.Mode, f.Content)
		}
		golden(t, "testdata/default-"+m.String()+".golden", out.Bytes())
	}
}
