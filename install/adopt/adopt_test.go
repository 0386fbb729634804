package adopt

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// found is the kubelet of a tree that an archive of testdata holds.
func found(t *testing.T, archive string) *Found {
	t.Helper()
	files, err := txtar.ParseFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, f := range files.Files {
		name := filepath.Join(root, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Find(context.Background(), observe.Observer{Tree: hostfs.At(root)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestEverySettingIsAccountedFor walks over the settings of units as they are found in the world, and finds each in the new unit,
// in the drop-in beside it, or among what is told to be lost.
func TestEverySettingIsAccountedFor(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) < 20 {
		t.Fatalf("%d setups, %v", len(archives), err)
	}
	to, err := spec.TargetVersion("v1.37.2")
	if err != nil {
		t.Fatal(err)
	}
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".txtar"), func(t *testing.T) {
			f := found(t, archive)
			a, err := f.Adopt(to, "")
			if err != nil {
				t.Fatal(err)
			}
			w := walker{t, f, a, ourSettings(t, a), settingsOf(t, a.DropIn)}
			for _, unit := range f.replaced {
				for _, s := range unit.Assignments {
					w.setting(s)
				}
			}
			for _, arg := range f.Setup.Args {
				if !slices.ContainsFunc(a.Items, func(i config.Item) bool { return strings.HasPrefix(i.Item, "--"+arg.Name+"=") }) {
					t.Errorf("--%s is nowhere", arg.Name)
				}
			}
			if t.Failed() {
				t.Logf("kept: %q\nlost: %q\n%s", a.Kept, a.Lost, unitOf(a))
			}
		})
	}
}

// ourSettings are those of our unit, and of the drop-in with which a kubelet of kubeadm's is started.
func ourSettings(t *testing.T, a *Adoption) (all []systemd.Assignment) {
	t.Helper()
	for _, f := range a.Files {
		if filepath.Base(f.Path) == systemd.KubeletService || filepath.Ext(f.Path) == ".conf" {
			all = append(all, settingsOf(t, f.Content)...)
		}
	}
	return all
}

func unitOf(a *Adoption) []byte {
	for _, f := range a.Files {
		if filepath.Base(f.Path) == systemd.KubeletService {
			return f.Content
		}
	}
	return nil
}

func settingsOf(t *testing.T, text []byte) []systemd.Assignment {
	t.Helper()
	u, err := systemd.ParseUnit("x", text)
	if err != nil {
		t.Fatal(err)
	}
	if ignored := u.Ignored(); len(ignored) > 0 {
		t.Errorf("systemd ignores %v", ignored)
	}
	return u.Assignments
}

type walker struct {
	*testing.T
	found        *Found
	adoption     *Adoption
	unit, dropIn []systemd.Assignment
}

func (w *walker) setting(s systemd.Assignment) {
	holds := func(all []systemd.Assignment) bool {
		return slices.ContainsFunc(all, func(o systemd.Assignment) bool {
			return o.Section == s.Section && o.Key == s.Key && (o.Value == s.Value || isSubset(s, o))
		})
	}
	switch lost := fmt.Sprintf("%s: %s=%s", s.File, s.Key, s.Value); {
	case s.Value == "" || s.Key == "ExecStart" || holds(w.unit) || holds(w.dropIn):
	case slices.ContainsFunc(w.adoption.Lost, func(line string) bool { return strings.HasPrefix(line, lost) }):
	case s.Key == "ConditionPathExists" && s.Value == "/old": // the next line takes it back
	case s.Key == "Environment" || s.Key == "EnvironmentFile":
		w.flags(s)
	default:
		w.Errorf("%s:%d: %s=%s is nowhere", s.File, s.Line, s.Key, s.Value)
	}
}

func isSubset(s, of systemd.Assignment) bool {
	if !systemd.IsDependency(s) && s.Section != "Install" {
		return false
	}
	for _, name := range strings.Fields(s.Value) {
		if !slices.Contains(strings.Fields(of.Value), name) {
			return false
		}
	}
	return true
}

// flags checks that a setting of the environment holds nothing but what the command line was put together from.
func (w *walker) flags(s systemd.Assignment) {
	if !strings.Contains(s.Value, "=") { // a file
		data, err := w.found.observer.Tree.ReadFile(strings.TrimPrefix(s.Value, "-"))
		if err != nil {
			w.Errorf("%s=%s is nowhere, and there is no such file", s.Key, s.Value)
		}
		for line := range strings.Lines(string(data)) {
			if name, _, assigns := strings.Cut(line, "="); assigns && !strings.HasPrefix(line, "-") && !slices.Contains(w.found.command.Used, name) {
				w.Errorf("%s of %s is nowhere", name, s.Value)
			}
		}
		return
	}
	if name, _, _ := strings.Cut(strings.Trim(s.Value, `"'`), "="); !slices.Contains(w.found.command.Used, name) {
		w.Errorf("Environment=%s is nowhere", s.Value)
	}
}

// Nothing that is in force changes with an adoption that asks for nothing else.
func TestAdoptionChangesNothing(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, archive := range archives {
		f := found(t, archive)
		to := f.Version
		if to.IsZero() {
			to, _ = spec.TargetVersion("v1.37.2")
		}
		a, err := f.Adopt(to, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range a.Items {
			if i.Outcome == config.Changed || i.Outcome == config.Impossible {
				t.Errorf("%s: %s %s: %s -> %s, %s", archive, i.Outcome, i.Item, i.Old, i.New, i.Why)
			}
		}
	}
}

func TestWhatIsToldOfOpenshift(t *testing.T) {
	to, _ := spec.TargetVersion("v1.37.2")
	a, err := found(t, "testdata/openshift.txtar").Adopt(to, "")
	if err != nil {
		t.Fatal(err)
	}
	unit, dropIn, lost := string(unitOf(a)), string(a.DropIn), strings.Join(a.Lost, "\n")
	for _, want := range []string{"--node-ip=${KUBELET_NODE_IP}", "--node-labels=node.openshift.io/os_id=rhel"} {
		if !strings.Contains(unit, want) {
			t.Errorf("the unit has no %s\n%s", want, unit)
		}
	}
	for _, want := range []string{
		"Requires=crio.service kubelet-dependencies.target", "ConditionPathExists=!/etc/ignition-machine-config-encapsulated.json",
		`Environment="KUBELET_LOG_LEVEL=2" AWS_REGION=eu-west-1`, "EnvironmentFile=/etc/os-release", "EnvironmentFile=-/etc/kubernetes/kubelet-env",
	} {
		if !strings.Contains(dropIn, want+"\n") {
			t.Errorf("the drop-in has no %s\n%s", want, dropIn)
		}
	}
	for _, want := range []string{
		"the program /usr/local/bin/kubenswrapper that runs kubelet", "ExecStartPre=/bin/mkdir", "RequiredBy=machine-ready.target",
		"RestartSec=10 (kubeletctl has RestartSec=5s)",
	} {
		if !strings.Contains(lost, want) {
			t.Errorf("nothing is said of %s\n%s", want, lost)
		}
	}
	if strings.Contains(dropIn, "node-sizing.env") {
		t.Errorf("a file with nothing but values of flags is kept\n%s", dropIn)
	}
}
