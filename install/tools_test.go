package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/rehearsal"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/scripts/gobuild"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

const kubeadmLink = hostfs.DefaultBinDir + "/kubeadm"

// newToolsBench is a bench whose release tree has a kubeadm for each kubelet.
func newToolsBench(t *testing.T, versions ...string) *bench {
	t.Helper()
	b := newBench(t, versions...)
	for _, v := range versions {
		file := filepath.Join(t.TempDir(), "kubeadm-"+v)
		err := gobuild.Tool(file, release.Kubeadm, v)
		if err == nil {
			err = mirror.WriteTree(b.upstream, mirror.Release{Program: release.Kubeadm, Version: v, Arch: "amd64", Path: file})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// withKubeadm is a spec with a kubeadm of a version.
func withKubeadm(s spec.Spec, version string) spec.Spec {
	s.With = map[string]string{release.Kubeadm: version}
	return s
}

// prepareTools plans a change that is one of the tools alone.
func (b *bench) prepareTools(s spec.Spec) *Change {
	b.t.Helper()
	have, err := b.Store().Current()
	if err != nil {
		b.t.Fatal(err)
	}
	d := b.draft(s)
	c, err := b.Prepare(b.t.Context(), d, PrepareOptions{OnlyTools: d.OnlyTools(have)})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// kubeadm is what the link to the active kubeadm says; empty when it is none.
func (b *bench) kubeadm() string {
	target, _ := os.Readlink(b.file(kubeadmLink))
	return target
}

// A change of the tools alone does nothing to kubelet: also where it is ill, could not be rehearsed, and a restart is due.
func TestToolsLeaveKubeletAlone(t *testing.T) {
	t.Parallel()
	b := newToolsBench(t, "v1.37.1", "v1.37.2")
	b.install(b.spec("v1.37.1", nil))
	b.write(hostfs.ConfigFile, 0o600, []byte("# edited\n"))
	b.execute(kubeletOne) // with other arguments
	b.healthy = false
	b.Rehearse = func(context.Context, rehearsal.Trial) ([]string, error) {
		t.Error("kubelet is rehearsed")
		return nil, nil
	}
	format := func() string {
		text, err := os.ReadFile(b.file(hostfs.StateDir + "/format"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	if format() != "2" {
		t.Errorf("without tools the record has format %s", format())
	}
	b.fake.calls = nil
	for _, version := range []string{"v1.37.1", "v1.37.2", ""} {
		s := b.spec("v1.37.1", nil)
		if version != "" {
			s = withKubeadm(s, version)
		}
		c := b.prepareTools(s)
		if outcome, err := b.apply(t.Context(), c, time.Second); err != nil || outcome != plan.Installed {
			t.Errorf("kubeadm %q: outcome %q, %v", version, outcome, err)
		}
		if want := map[bool]string{true: "kubeadm-" + version}[version != ""]; b.kubeadm() != want {
			t.Errorf("kubeadm is %q, want %q", b.kubeadm(), want)
		}
		after, err := b.Store().Current()
		if err != nil || !after.OnlyTools || after.Took != c.Have.Took || after.Invocation != c.Have.Invocation {
			t.Errorf("kubeadm %q: the record is %+v, %v", version, after, err)
		}
	}
	if calls := slices.DeleteFunc(b.fake.calls, func(call string) bool { return call == "arm" }); len(calls) > 0 {
		t.Errorf("systemd was asked %q", calls)
	}
	if format() != "3" {
		t.Errorf("with tools the record has format %s", format())
	}
	if text, err := os.ReadFile(b.file(hostfs.ConfigFile)); err != nil || string(text) != "# edited\n" {
		t.Errorf("the configuration is %q, %v", text, err)
	}
}

// Whatever fails, interrupts or kills a change of the tools, they are those of before, and kubelet is not touched.
func TestToolsLeadBack(t *testing.T) {
	t.Parallel()
	b := newToolsBench(t, "v1.37.1", "v1.37.2")
	b.install(withKubeadm(b.spec("v1.37.1", nil), "v1.37.1"))
	s := withKubeadm(b.spec("v1.37.1", nil), "v1.37.2")
	before := b.state()
	b.healthy, b.fake.calls = false, nil
	for i := 1; i <= len(b.prepareTools(s).Plan.Steps); i++ {
		c, lock, done := b.prepareTools(s), b.lock(), 0
		ctx, cancel := context.WithCancel(t.Context())
		_, err := b.Apply(ctx, c, ApplyOptions{Command: "upgrade", Lock: lock, Release: b.release, Wait: time.Minute, Done: func(plan.Step) {
			if done++; done == i {
				cancel()
			}
		}})
		lock.Release()
		cancel()
		if back := (*RolledBackError)(nil); !errors.As(err, &back) || back.Ill != nil || back.To != "the host is as it was before" {
			t.Errorf("step %d: %v", i, err)
		}
		b.discard()
		b.same(before, fmt.Sprintf("after step %d", i))
	}
	b.killed(b.prepareTools(s), false)
	if said, err := b.recover(); err != nil || !strings.Contains(said, "interrupted") {
		t.Errorf("%q, %v", said, err)
	}
	b.discard()
	b.same(before, "after the recovery")

	// One that fails is no reason to refuse the kubelet that it came with.
	b.fake.failAt = 1 + len(b.fake.calls)
	if _, err := b.apply(t.Context(), b.prepareTools(s), 0); err == nil {
		t.Error("no request was failed")
	}
	b.fake.failAt = 0
	c := b.prepareTools(s)
	if err := b.RefuseRetry(c); err != nil {
		t.Error(err)
	}
	b.killed(c, true)
	if _, err := b.recover(); err != nil {
		t.Fatal(err)
	}
	if b.kubeadm() != "kubeadm-v1.37.2" {
		t.Errorf("a committed change was undone: kubeadm is %q", b.kubeadm())
	}
	for _, call := range b.fake.calls {
		if verb, _, _ := strings.Cut(call, " "); verb != "arm" && verb != "reload" {
			t.Errorf("systemd was asked %q", call)
		}
	}
}

// Rollback to a generation with other tools touches what differs, and is one of the tools.
func TestRollbackOfTools(t *testing.T) {
	t.Parallel()
	b := newToolsBench(t, "v1.37.1", "v1.37.2")
	b.install(withKubeadm(b.spec("v1.37.1", nil), "v1.37.1"))
	if _, err := b.apply(t.Context(), b.prepareTools(withKubeadm(b.spec("v1.37.1", nil), "v1.37.2")), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(b.file(kubeadmLink + "-v1.37.1")); err != nil { // it has to be fetched again
		t.Fatal(err)
	}
	target, err := b.RollbackTarget(0)
	if err != nil || target.Number != 1 {
		t.Fatalf("target: %+v, %v", target, err)
	}
	a, client, err := b.RestoreArtifacts(t.Context(), target, func() (*release.Client, error) { return b.release, nil })
	if err != nil || client == nil {
		t.Fatalf("client %v, %v", client, err)
	}
	b.write(hostfs.ConfigFile, 0o600, []byte("# edited\n"))
	c, err := b.PrepareRestore(t.Context(), target, a, PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := steps(c.Plan), []string{"download " + kubeadmLink + "-v1.37.1", "link " + kubeadmLink}; !slices.Equal(got, want) {
		t.Errorf("steps %q, want %q", got, want)
	}
	if _, err := b.apply(t.Context(), c, time.Second); err != nil || b.kubeadm() != "kubeadm-v1.37.1" {
		t.Errorf("kubeadm is %q, %v", b.kubeadm(), err)
	}
}

// With the record lost, what is asked for is kubeletctl's again, and a tool that nobody asks for stays.
func TestToolsOfALostRecord(t *testing.T) {
	t.Parallel()
	b := newToolsBench(t, "v1.37.1")
	for _, s := range []spec.Spec{withKubeadm(b.spec("v1.37.1", nil), ""), b.spec("v1.37.1", nil)} {
		b.install(withKubeadm(b.spec("v1.37.1", nil), ""))
		if err := os.RemoveAll(b.file(hostfs.StateDir)); err != nil {
			t.Fatal(err)
		}
		c := b.prepare(s)
		if slices.ContainsFunc(c.Plan.Conflicts, func(x plan.Conflict) bool { return plan.IsTool(x.Path) }) || slices.ContainsFunc(c.Plan.Steps, func(s plan.Step) bool { return plan.IsTool(s.Target) }) {
			t.Errorf("steps %q, conflicts %v", steps(c.Plan), c.Plan.Conflicts)
		}
		if _, err := b.apply(t.Context(), c, 0); err != nil {
			t.Fatal(err)
		}
		b.uninstall()
		if left := b.kubeadm() != ""; left != (len(s.With) == 0) {
			t.Errorf("with %v: kubeadm is %q after the uninstall", s.With, b.kubeadm())
		}
	}
}
