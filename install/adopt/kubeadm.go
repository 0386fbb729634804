package adopt

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
)

// Kubeadm reports whether kubeadm configures the kubelet: its unit reads the configuration and the credentials that kubeadm
// writes.
func (f *Found) Kubeadm() bool {
	args := lastValues(spec.ReadCommand(&f.command).Args)
	return args["config"].Value == config.KubeadmConfig &&
		(args["kubeconfig"].Value == config.KubeadmKubeconfig || args["bootstrap-kubeconfig"].Value == config.KubeadmBootstrapKubeconfig)
}

// lastValues are arguments by name, as kubelet takes those that are repeated: the last one counts, and lists and maps add up.
func lastValues(args []config.Arg) map[string]config.Arg {
	byName := map[string]config.Arg{}
	for _, a := range args {
		if before, repeated := byName[a.Name]; repeated {
			a.Value, a.Unknown = config.AddValue(a.Name, before.Value, a.Value), a.Unknown || before.Unknown
		}
		byName[a.Name] = a
	}
	return byName
}

// keepKubeadm leaves a kubelet to kubeadm: what kubeadm and the administrator say in files of their own stays there, and of the
// files that are replaced the flags go to the spec.
func (f *Found) keepKubeadm(to release.Version) (*spec.Migration, error) {
	wanted := spec.Spec{APIVersion: spec.APIVersion, Kind: spec.Kind, Version: to.String(), Profile: config.Kubeadm}
	before := lastValues(spec.ReadCommand(&f.command).Args)
	after, _, err := f.argumentsOf(wanted, to)
	if err != nil {
		return nil, err
	}
	m := &config.Migration{}
	item := func(a config.Arg, outcome config.Outcome, why string) {
		m.Items = append(m.Items, config.Item{Position: a.Position, Item: a.String(), Outcome: outcome, Why: why})
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		a := before[name]
		if now, given := after[name]; given && config.SameValue(name, now.Value, a.Value) {
			item(a, config.Kept, "")
			continue
		}
		next := wanted.WithFlag(name, a.Value)
		if a.Unknown {
			next.Expand = append(slices.Clone(wanted.Expand), name)
		}
		now, problem := after, error(nil)
		if now, _, problem = f.argumentsOf(next, to); problem == nil && !config.SameValue(name, now[name].Value, a.Value) {
			problem = fmt.Errorf("%s of %s has the last word", now[name], now[name].File)
		}
		if problem != nil {
			item(a, config.Impossible, reason(problem))
			continue
		}
		item(a, config.Moved, "to the spec")
		wanted = next
	}
	after, draft, err := f.argumentsOf(wanted, to)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if _, given := before[name]; !given {
			item(after[name], config.Impossible, "kubelet does not get it now, and would from "+after[name].File)
		}
	}
	m.Rendered = draft.Rendered
	files := slices.DeleteFunc(draft.Files, func(f plan.File) bool { return f.Kind != plan.Text })
	return &spec.Migration{Migration: m, Spec: &wanted, Files: files}, nil
}

// argumentsOf are the flags that kubelet would be started with by a spec that leaves it to kubeadm.
func (f *Found) argumentsOf(s spec.Spec, v release.Version) (map[string]config.Arg, *spec.Draft, error) {
	draft, err := spec.Build(s, nil, spec.Resolution{Artifact: release.Artifact{Version: v, Arch: s.Architecture()}})
	if err != nil {
		return nil, nil, err
	}
	draft.Mask(f.Masks...)
	args, err := f.observer.KubeadmArgs(draft.Generation)
	return lastValues(args), draft, err
}

// reason is the first problem in words.
func reason(err error) string {
	problems := config.Problems{}
	if errors.As(err, &problems) && len(problems) > 0 {
		return problems[0].Message
	}
	return err.Error()
}
