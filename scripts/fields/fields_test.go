// Package fields holds the table of KubeletConfiguration fields against the types that Kubernetes publishes.
package fields

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/config"
)

// typesOf are the fields of one release by path, with their types.
func typesOf(t *testing.T, modfile string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "run", "-modfile="+modfile, ".")
	cmd.Dir = "types"
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	var complained bytes.Buffer
	cmd.Stderr = &complained
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, complained.Bytes())
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, kind, _ := strings.Cut(strings.TrimSpace(line), " ")
		fields[path] = kind
	}
	return fields
}

// sameType compares a type of Go with one of the table, which knows taints and writes enumerations as strings.
func sameType(published, ours string) bool {
	ours = strings.ReplaceAll(ours, "taint", "object")
	return published == ours
}

func TestTableAgainstPublishedTypes(t *testing.T) {
	files, err := filepath.Glob("types/v*.mod")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d releases, %v", len(files), err)
	}
	for _, file := range files {
		release := strings.TrimSuffix(filepath.Base(file), ".mod")
		t.Run(release, func(t *testing.T) {
			n, err := strconv.Atoi(strings.Split(release, ".")[1])
			if err != nil {
				t.Fatal(err)
			}
			minor := config.Minor(n)
			published := typesOf(t, filepath.Base(file))
			for path, kind := range published {
				f, known := config.LookupField(path)
				switch {
				case !known || !f.AcceptedBy(minor):
					t.Errorf("%s (%s) is in %s, but not in the table", path, kind, minor)
				case !sameType(kind, f.Type):
					t.Errorf("%s is %s in %s, and %s in the table", path, kind, minor, f.Type)
				}
			}
			for _, f := range config.AllFields() {
				if _, there := published[f.Path]; f.AcceptedBy(minor) && !there && f.Path != "apiVersion" && f.Path != "kind" {
					t.Errorf("%s is in the table for %s, but not published", f.Path, minor)
				}
			}
			if len(published) < 80 {
				t.Errorf("only %d fields", len(published))
			}
			t.Logf("%d fields", len(published))
		})
	}
}
