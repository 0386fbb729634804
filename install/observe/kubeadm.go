package observe

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// ReadKubeadm fills in what kubeadm and the administrator say of a generation that is kubeadm's, as the host has it at this
// moment: the arguments, the configuration file, and what follows from them. Of any other generation it changes nothing. That
// kubeadm has not written a file yet is no error; what cannot be read, by systemd or by kubelet, is one. It returns the flags,
// of which each knows where it is written.
func (o Observer) ReadKubeadm(g *plan.Generation) ([]config.Arg, error) {
	if g == nil || !g.Kubeadm {
		return nil, nil
	}
	args, err := o.KubeadmArgs(g)
	if err != nil {
		return nil, err
	}
	g.Args = nil
	for _, a := range args {
		g.Args = append(g.Args, "--"+a.Name+"="+a.Value)
		if a.Unknown && !slices.Contains(g.Expanded, a.Name) {
			g.Expanded = append(g.Expanded, a.Name)
		}
	}
	if dir, given := g.Arg("root-dir"); given {
		g.RootDir = path.Clean(dir)
	}
	file, _ := g.Arg("config")
	g.StartFiles = []string{file}
	if g.KubeadmConfig, err = o.Look(plan.File{Path: file, Kind: plan.Text}); err != nil {
		return nil, err
	}
	fields := map[string]any{}
	if err := yaml.Unmarshal(g.KubeadmConfig.Content, &fields); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	g.StartFiles = append(g.StartFiles, spec.StartFiles(g.Version, fields)...)
	for flag, field := range map[string]string{"healthz-port": "healthzPort", "healthz-bind-address": "healthzBindAddress"} {
		if value, given := g.Arg(flag); given {
			fields[field] = value
		}
	}
	g.HealthURL = spec.HealthURL(fields)
	return args, nil
}

// KubeadmArgs are the flags that kubelet is started with when a generation that is kubeadm's is in place; each knows where it is
// written.
func (o Observer) KubeadmArgs(g *plan.Generation) ([]config.Arg, error) {
	unit := g.File(path.Join(hostfs.UnitDir, systemd.KubeletService))
	parsed, err := systemd.ParseUnit(unit.Path, unit.Content)
	if err != nil {
		return nil, err
	}
	dropIns, err := o.dropInsWith(g)
	if err != nil {
		return nil, err
	}
	command, err := o.UnitCommand(parsed, dropIns)
	if err != nil {
		return nil, err
	}
	if len(command.Skipped) > 0 {
		return nil, fmt.Errorf("kubelet would start without the flags of a file that systemd cannot read: %w", errors.Join(command.Skipped...))
	}
	args, problems := config.ParseArgs(spec.Words(command.Args))
	if len(problems) > 0 {
		return nil, problems
	}
	return args, nil
}

// dropInsWith are the drop-ins of the host as they are when those of a generation are in place.
func (o Observer) dropInsWith(g *plan.Generation) ([]DropIn, error) {
	dropIns, err := o.DropIns()
	if err != nil {
		return nil, err
	}
	for _, f := range g.Files {
		if path.Dir(f.Path) != plan.DropInDir {
			continue
		}
		dropIns = slices.DeleteFunc(dropIns, func(d DropIn) bool { return d.Name() == path.Base(f.Path) })
		if f.Kind != plan.Text {
			continue // it masks one
		}
		unit, err := systemd.ParseUnit(f.Path, f.Content)
		if err != nil {
			return nil, err
		}
		dropIns = append(dropIns, DropIn{f.Path, unit})
	}
	slices.SortFunc(dropIns, func(a, b DropIn) int { return cmp.Compare(a.Name(), b.Name()) })
	return dropIns, nil
}

// setUp are files that only kubeadm init and kubeadm join make, and kubeadm reset removes.
var setUp = []string{config.KubeadmKubeconfig, config.KubeadmFlags, config.KubeadmAPIServer, hostfs.ClientCertificate}

// LostFiles are the files that a kubelet of kubeadm's cannot start without and that are not there, although kubeadm has set up this
// node; none while that is still to come.
func (o Observer) LostFiles(g *plan.Generation) (lost []string) {
	if !g.Kubeadm || !slices.ContainsFunc(setUp, o.exists) {
		return nil
	}
	for _, file := range g.Requires {
		if !o.exists(file) {
			lost = append(lost, file)
		}
	}
	if !slices.ContainsFunc(g.Credentials, o.exists) && g.Kubeconfig() != "" { // the one to begin with is gone on a node that has joined
		lost = append(lost, g.Kubeconfig())
	}
	return lost
}
