package main

import (
	"go/ast"
	"go/parser"
	"go/token"
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
	{"config/rules"}, // for package config alone
	{"release", "config", "systemd", "install/hostfs", "install/document"},
	{"install/kubeletlog"},
	{"install/plan", "install/health", "install/cri"},
	{"install/spec", "install/store"},
	{"install/observe", "install/rehearsal", "install/purge"},
	{"install/node"},
	{"install/probe"},
	{"install/preflight/facts"},
	{"install/adopt", "install/preflight", "install/diagnose", "install/drain", "install/join", "install/label"},
	{"install/status"},
	{"install"},
	{"cmd/terminal"},
	{"cmd/archive", "cmd/logview"},
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
	for _, name := range slices.Concat(floors[:2]...) {
		for _, dep := range deps(t, name) {
			for _, banned := range []string{"github.com/spf13/cobra", "github.com/schollz/progressbar/v3"} {
				if dep == banned {
					t.Errorf("%s imports %s", name, banned)
				}
			}
		}
	}
}

// What draws on a terminal knows no verb, no flag and nothing of what a change is.
func TestTerminalKnowsNoVerb(t *testing.T) {
	for _, dep := range deps(t, "cmd/terminal") {
		if strings.HasPrefix(dep, module+"install") || strings.HasPrefix(dep, "github.com/spf13/") {
			t.Errorf("cmd/terminal imports %s", dep)
		}
	}
}

// closed are the packages of the standard library that a room may not import itself: what it does not have it cannot use.
var closed = map[string][]string{
	"install/plan":     {"os", "os/exec", "os/user", "net", "net/http", "syscall", "golang.org/x/sys/unix"},
	"install/store":    {"os/exec", "net", "net/http"},
	"install/document": {"os", "os/exec", "net", "net/http"},
	"install/spec":     {"os", "os/exec", "net/http"},
	"config":           {"os/exec", "net/http"},
	"config/rules":     {"os", "os/exec", "net", "net/http"},
}

func TestRoomsAreClosed(t *testing.T) {
	for name, banned := range closed {
		for _, dep := range list(t, "-f", `{{join .Imports "\n"}}`, module+name) {
			if slices.Contains(banned, dep) {
				t.Errorf("%s imports %s", name, dep)
			}
		}
	}
}

// A plan is decided without a clock.
func TestPlanKnowsNoTime(t *testing.T) {
	eachCall(t, "../../install/plan", func(file, call string) {
		if call == "time.Now" || call == "time.Since" || call == "time.Until" {
			t.Errorf("%s calls %s", file, call)
		}
	})
}

// opens are calls that open, change or name a file by its path: below a root they would follow a link out of it.
var opens = []string{"os.Open", "os.OpenFile", "os.Create", "os.CreateTemp", "os.ReadFile", "os.WriteFile", "os.ReadDir", "os.Stat", "os.Lstat", "os.Readlink",
	"os.Mkdir", "os.MkdirAll", "os.Remove", "os.RemoveAll", "os.Rename", "os.Symlink", "os.Link", "os.Chmod", "os.Chown", "os.Lchown", "os.Truncate", "os.Chtimes",
	"filepath.Glob", "filepath.Walk", "filepath.WalkDir", "filepath.EvalSymlinks", "unix.Open", "unix.Access", "unix.Rmdir", "syscall.Rmdir", "syscall.Open"}

// ofThisMachine are files in which such calls are right, since what they name is of this machine and never of a tree.
var ofThisMachine = map[string]string{
	"install/program.go":             "/proc/self/exe, or what --recover-binary names",
	"install/steps.go":               "the same",
	"install/cleanup.go":             "the same",
	"install/status/status.go":       "/proc/PID of the running kubelet",
	"install/observe/observe.go":     "/proc/PID of the running kubelet",
	"install/observe/environment.go": "the same",
	"install/store/lock.go":          "/proc/locks",
	"install/probe/probe.go":         "/sys of a live host",
	"install/probe/proc.go":          "/proc of a live host",
	"install/preflight/runtime.go":   "the runtime's socket of a live host",

	"install/preflight/facts/machine.go": "/proc and /sys of a live host",
	"install/preflight/facts/remote.go":  "the runtime's socket of a live host",
}

func TestOnlyHostfsOpensFiles(t *testing.T) {
	for _, room := range []string{"install", "install/plan", "install/spec", "install/store", "install/observe", "install/preflight", "install/preflight/facts", "install/adopt", "install/kubeletlog", "install/health", "install/diagnose", "install/status", "install/drain", "install/join", "install/label", "install/probe"} {
		eachCall(t, "../../"+room, func(file, call string) {
			file = room + "/" + file
			if _, allowed := ofThisMachine[file]; !allowed && slices.Contains(opens, call) {
				t.Errorf("%s calls %s: files of a host are opened by install/hostfs", file, call)
			}
		})
	}
}

// eachCall calls f with every call of a function of another package in the Go files of a directory, tests aside.
func eachCall(t *testing.T, dir string, f func(file, call string)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if selector, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := selector.X.(*ast.Ident); ok {
					f(filepath.Base(name), pkg.Name+"."+selector.Sel.Name)
				}
			}
			return true
		})
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

// maxBinary is the size in bytes that the stripped program may have, with what it takes to stand in for a container runtime
// when a kubelet is rehearsed.
const maxBinary = 20_000_000

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
