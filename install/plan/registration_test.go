package plan

import (
	"slices"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// member is a generation whose kubelet belongs to a cluster, with what it says when it registers its node.
func member(t *testing.T, labels, config string, more ...string) *Generation {
	t.Helper()
	g := generation(t, "v1.37.2", config)
	g.Args = append([]string{"--kubeconfig=/var/lib/kubelet/kubeconfig", "--node-labels=" + labels}, more...)
	g.Files[3] = TextFile(unitFile, 0o644, systemd.KubeletUnit{Binary: linkFile, Args: g.Args}.Service())
	return g
}

// What counts only when a node is registered needs no start of kubelet, but a change of the Node.
func TestRegistration(t *testing.T) {
	const taint = "registerWithTaints:\n- effect: NoSchedule\n  key: a\n"
	have := member(t, "a=1", "maxPods: 5\n")
	alone := member(t, "a=1", "maxPods: 5\n")
	alone.Args = alone.Args[1:]
	runs := func(g *Generation, args []string) *Observation {
		o := on(g)
		o.Joined, o.Process = true, &Process{Args: args}
		return o
	}
	const write, config, reload, label, restart = "write " + unitFile, "write " + hostfs.ConfigFile, "reload systemd", "label node (cleanup)", "restart kubelet.service"
	for _, tt := range []struct {
		name       string
		want, have *Generation
		seen       *Observation
		steps      []string
	}{
		{"nothing", have, have, runs(have, have.Args), nil},
		{"a label", member(t, "a=2", "maxPods: 5\n"), have, runs(have, have.Args), []string{write, reload, label}},
		{"a label, once more: the process has what it was started with", have, have, runs(have, []string{have.Args[0], "--node-labels=b=7"}), nil},
		{"a taint", member(t, "a=1", "maxPods: 5\n"+taint), have, runs(have, have.Args), []string{config, label}},
		{"no taint any more", have, member(t, "a=1", taint+"maxPods: 5\n"), runs(member(t, "a=1", taint+"maxPods: 5\n"), have.Args), []string{config, label}},
		{"a label and a flag", member(t, "a=2", "maxPods: 5\n", "--v=4"), have, runs(have, have.Args), []string{write, reload, restart, label}},
		{"a taint and a field", member(t, "a=1", taint+"maxPods: 6\n"), have, runs(have, have.Args), []string{config, restart, label}},
		{"it has not joined yet", member(t, "a=2", "maxPods: 5\n"), have, runs(have, have.Args).with(func(o *Observation) { o.Joined = false }), []string{write, reload, restart}},
		{"it does not run", member(t, "a=2", "maxPods: 5\n"), have, on(have), []string{write, reload, restart}},
		{"standalone", alone, have, runs(alone, []string{"--node-labels=a=7"}), []string{restart}},
		{"somebody changed the Node", have, have, runs(have, have.Args).with(func(o *Observation) { o.NodeLabels = map[string]string{"a": "3"} }), []string{label}},
		{"the Node has more", have, have, runs(have, have.Args).with(func(o *Observation) { o.NodeLabels = map[string]string{"a": "1", "b": "2"} }), nil},
	} {
		if got := steps(NewPlan(tt.want, tt.have, tt.seen, Options{})); !slices.Equal(got, tt.steps) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.steps)
		}
	}
	seen := on(have)
	seen.NodeLabels = map[string]string{"b": "1"}
	if list := seen.DriftFrom(have); len(list) != 1 || list[0] != (Drift{Target: "node", Reason: "has no label a=1"}) {
		t.Errorf("drift: %v", list)
	}
}
