package verdicts

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/document"
	"github.com/kubeletctl/kubeletctl/install/rehearsal"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == rehearsal.Verb { // the stage of a kubelet that is asked
		if err := rehearsal.Inside(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// late are fields and flags that a kubelet looks at only after it has its runtime, so that one without cannot judge them. Real
// upgrades do: see scripts/sweep upgrades.
var late = []string{
	"--cloud-provider", "--image-credential-provider-bin-dir", "--image-credential-provider-config", "--node-ip", "authorization", "configMapAndSecretChangeDetectionStrategy", "containerLogMaxSize", "cpuManagerPolicy", "cpuManagerPolicyOptions",
	"evictionHard", "evictionMinimumReclaim", "evictionSoft", "evictionSoftGracePeriod", "kubeReserved", "memoryManagerPolicy", "qosReserved", "reservedMemory",
	"syncFrequency", "systemReserved", "topologyManagerPolicyOptions",
}

// isLate reports whether all that kubeletctl says is about what a kubelet looks at late.
func isLate(found []config.Finding) bool {
	for _, f := range found {
		if f.Severity != config.Error {
			continue
		}
		path := strings.TrimPrefix(f.Path, "kubeletConfiguration.")
		if flag, ok := config.LookupFlag(strings.TrimPrefix(path, "--")); ok && flag.Field != "" {
			path = flag.Field
		}
		base := strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' })
		if len(base) == 0 || !slices.Contains(late, base[0]) {
			return false
		}
	}
	return true
}

// outcome is what became of one input.
type outcome struct {
	input
	ours, theirs string // what each has against it; empty for nothing
	reason       string // why they may differ
}

func (o outcome) agree() bool { return (o.ours == "") == (o.theirs == "") }

// compare asks kubeletctl and a kubelet.
func compare(ctx context.Context, v release.Version, kubelet string, in input) (outcome, error) {
	o := outcome{input: in}
	verdict, err := spec.Validate(v, []document.File{in.document})
	if err != nil {
		return o, err
	}
	for _, f := range verdict.Findings {
		if f.Severity == config.Error && o.ours == "" {
			o.ours = f.Error()
		}
	}
	answer, err := rehearsal.Ask(ctx, rehearsal.Question{Binary: kubelet, Minor: config.Minor(v.Minor()), Args: in.args, Config: in.config})
	if err != nil {
		return o, err
	}
	o.theirs = answer.Refused
	if len(answer.Ignored) > 0 {
		o.theirs += " ignored: " + strings.Join(answer.Ignored, ", ")
	}
	switch {
	case o.agree():
	case answer.Machine != "":
		o.reason = "this machine: " + answer.Machine
	case o.theirs == "" && isLate(verdict.Findings):
		o.reason = "kubelet looks at it after it has its runtime, or its credentials"
	case strings.Contains(o.theirs, "FeatureGate KubeletCrashLoopBackOffMax is enabled"):
		o.reason = "without a file kubelet fills in the fields of a gate before it reads which gates its flags turn on"
	case o.ours == "" && in.document.Name == "kubelet.env" && strings.Contains(o.theirs, "FeatureGate KubeletCrashLoopBackOffMax not enabled"):
		o.reason = "an environment file does not say whether there is a configuration file, with which that is none"
	}
	return o, nil
}

// Each verdict of kubeletctl is that of the real kubelet: of 200 inputs for each release, or of as many as
// KUBELETCTL_VERDICTS says.
func TestVerdicts(t *testing.T) {
	dir := os.Getenv("KUBELETCTL_TEST_RELEASE")
	if dir == "" {
		t.Skip("no real kubelets: scripts/test --real gets them")
	}
	count := countOf(t)
	for _, name := range []string{"v1.34.4", "v1.36.3", "v1.37.2"} {
		t.Run(name, func(t *testing.T) {
			v, err := release.ParseVersion(name)
			if err != nil {
				t.Fatal(err)
			}
			judge(t, v, filepath.Join(dir, name, "bin", "linux", runtime.GOARCH, "kubelet"), inputs(config.Minor(v.Minor()), count))
		})
	}
}

// countOf is how many inputs are tried.
func countOf(t *testing.T) int {
	text := os.Getenv("KUBELETCTL_VERDICTS")
	if text == "" {
		return 200
	}
	count, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// judge compares the verdicts on all inputs, tells each disagreement with its reason, and counts.
func judge(t *testing.T, v release.Version, kubelet string, all []input) {
	var mu sync.Mutex
	var agreed, explained, refused int
	covered := map[string]bool{}
	work := make(chan input)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for in := range work {
				o, err := compare(t.Context(), v, kubelet, in)
				mu.Lock()
				for _, name := range in.of {
					covered[name] = true
				}
				switch {
				case err != nil:
					t.Errorf("%s: %v", in.of, err)
				case o.agree():
					agreed++
				case o.reason != "":
					explained++
					t.Logf("%s: kubeletctl: %q; kubelet: %q: %s", strings.Join(in.of, ", "), o.ours, o.theirs, o.reason)
				default:
					t.Errorf("%s: kubeletctl: %q; kubelet: %q\n%s", strings.Join(in.of, ", "), o.ours, o.theirs, in.document.Data)
				}
				if o.theirs != "" {
					refused++
				}
				mu.Unlock()
			}
		})
	}
	for _, in := range all {
		work <- in
	}
	close(work)
	workers.Wait()
	t.Logf("%s: %d inputs, %d refused by kubelet; the same verdict %d times, explained %d times (%.2f %%)", v, len(all), refused, agreed, explained,
		100*float64(agreed+explained)/float64(len(all)))
	if len(all) >= sweepInputs {
		checkCoverage(t, covered)
	}
}

// checkCoverage wants every field and every flag to have been tried.
func checkCoverage(t *testing.T, covered map[string]bool) {
	missing := map[string]bool{}
	for _, f := range leaves() {
		missing[f.Path] = true
	}
	for _, f := range flags() {
		missing["--"+f.Name] = true
	}
	total := len(missing)
	for name := range covered {
		delete(missing, name)
	}
	t.Logf("%d of %d fields and flags tried", total-len(missing), total)
	if len(missing) > 0 {
		t.Errorf("not tried: %s", strings.Join(slices.Sorted(maps.Keys(missing)), ", "))
	}
}
