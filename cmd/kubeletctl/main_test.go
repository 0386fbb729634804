package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubeletctl/kubeletctl/scripts/gobuild"
)

const module = "github.com/kubeletctl/kubeletctl/"

// floors is the house, from the ground up. A package imports only what is on lower floors.
var floors = [][]string{
	{"release", "config", "systemd"},
	{"install/rehearsal", "install/purge", "install/node"},
	{"install"},
	{"cmd"},
	{"cmd/kubeletctl"},
}

func TestImportsPointDown(t *testing.T) {
	floorOf := map[string]int{}
	for n, floor := range floors {
		for _, name := range floor {
			floorOf[name] = n
		}
	}
	for n, floor := range floors {
		for _, name := range floor {
			for _, dep := range deps(t, name) {
				ours, found := strings.CutPrefix(dep, module)
				if !found || ours == name {
					continue
				}
				if below, known := floorOf[ours]; !known || below >= n {
					t.Errorf("%s imports %s, which is not below it", name, ours)
				}
			}
		}
	}
}

// The ground floor is for libraries, too: whoever uses release in another program should not get a command line with it.
func TestGroundFloorKnowsNoCommandLine(t *testing.T) {
	for _, name := range floors[0] {
		for _, dep := range deps(t, name) {
			for _, banned := range []string{"github.com/spf13/cobra", "github.com/schollz/progressbar/v3"} {
				if dep == banned {
					t.Errorf("%s imports %s", name, banned)
				}
			}
		}
	}
}

// Every package of the product stands on a floor; what is under scripts never ships.
func TestEveryPackageHasAFloor(t *testing.T) {
	known := slices.Concat(floors...)
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(p, module)
		if !strings.HasPrefix(name, "scripts/") && !slices.Contains(known, name) {
			t.Errorf("%s is on no floor", name)
		}
	}
}

// maxBinary is the size in bytes that the stripped program may have: 12 MiB, and what it takes to stand in for a container
// runtime when a kubelet is rehearsed.
const maxBinary = 18 << 20

func TestStrippedBinaryIsSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program")
	}
	out := filepath.Join(t.TempDir(), "kubeletctl")
	if err := gobuild.Static(out, "cmd/kubeletctl"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > maxBinary {
		t.Errorf("the stripped program has %d bytes, more than %d", info.Size(), maxBinary)
	}
}

func deps(t *testing.T, name string) []string {
	t.Helper()
	return list(t, "-deps", module+name)
}

func list(t *testing.T, args ...string) []string {
	t.Helper()
	c := exec.Command("go", append([]string{"list"}, args...)...)
	c.Dir = "../.." // the module's root
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Fields(string(out))
}
