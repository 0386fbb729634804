package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
)

// kubeadmFilesHint says what to do about a file that kubelet is started with and that cannot be read.
const kubeadmFilesHint = "fix it; kubeadm upgrade node writes kubeadm's own files anew"

// CheckKubeadm reads what kubeadm and the administrator say of a generation that is kubeadm's, and refuses, with a
// *FailedError, what its kubelet would not start with: files that cannot be read, and flags that the release does not have.
// Of any other generation there is nothing to say.
func CheckKubeadm(o observe.Observer, g *plan.Generation) error {
	if !g.Kubeadm {
		return nil
	}
	args, err := o.ReadKubeadm(g)
	if err != nil {
		return Failed(KubeadmFiles, err.Error(), kubeadmFilesHint)
	}
	refused := &FailedError{}
	minor := config.Minor(g.Version.Minor())
	for _, f := range config.ValidateArgs(minor, args) {
		if f.Severity != config.Error || minor > config.Newest { // whose binary is asked
			continue
		}
		refused.Problems = append(refused.Problems, Problem{ID: KubeadmFiles, Severity: Failure,
			Message: fmt.Sprintf("kubelet %s would not start: %v", g.Version, f.Problem), Hint: remedyOf(f.Problem)})
	}
	if len(refused.Problems) == 0 {
		return nil
	}
	return refused
}

// CheckLost looks for files of kubeadm's that a kubelet cannot start without and that are lost.
func CheckLost(o observe.Observer, g *plan.Generation) (problems []Problem) {
	for _, file := range o.LostFiles(g) {
		hint := "kubeadm upgrade node phase kubelet-config writes it anew; or put it back from a backup"
		if file == g.Kubeconfig() {
			hint = "put it back from a backup; or, on a control plane node, kubeadm init phase kubeconfig kubelet; on another one, kubeadm reset and kubeadm join"
		}
		problems = append(problems, Problem{ID: KubeadmFiles, Severity: Failure, Message: file + " is missing: kubelet cannot be started", Hint: hint})
	}
	return problems
}

// remedyOf says what to do about a flag, by the file that it is written in.
func remedyOf(p config.Problem) string {
	switch p.File {
	case config.KubeadmFlags:
		return "run kubeadm upgrade node first, with the kubeadm of that release, which drops flags that kubeadm itself has written; what it leaves, remove from " + p.File
	case "":
		return "kubeadm init and kubeadm join write what is missing"
	}
	return "remove it from " + p.File
}

// CheckKubeadmNode looks for what kubeadm has left undone on a node before the kubelet of a generation that is kubeadm's is
// installed there. have is what was installed last; nil for nothing.
func CheckKubeadmNode(o observe.Observer, g, have *plan.Generation) []Problem {
	if !g.Kubeadm || g.KubeadmConfig.Kind != plan.Text {
		return nil
	}
	args, err := o.KubeadmArgs(g)
	if err != nil {
		return nil // which CheckKubeadm has said
	}
	problems := checkConfig(g, args)
	minor := g.Version.Minor()
	server, _ := apiServerRelease(o) // empty on a worker
	_, err = o.Tree.Lstat(config.KubeadmInstanceConfig)
	if server == "" && errors.Is(err, fs.ErrNotExist) && minor >= firstInstanceConfig && have != nil && minor > have.Version.Minor() {
		problems = append(problems, Problem{ID: KubeadmFiles, Severity: Warning, Hint: "run it first",
			Message: fmt.Sprintf("kubeadm upgrade node of %s has not been run on this node, where it would have written %s",
				config.Minor(minor), config.KubeadmInstanceConfig)})
	}
	if problem := CheckInstanceConfig(o, g); problem != nil {
		problems = append(problems, *problem)
	}
	return problems
}

// firstInstanceConfig is the first minor whose kubeadm upgrade node writes instance-config.yaml on every node that lacks it
// (cmd/kubeadm/app/phases/upgrade/postupgrade.go; up to 1.35 a feature gate of kubeadm's turns it off).
const firstInstanceConfig = 36

// checkConfig holds kubeadm's configuration file against the release of a generation: what its kubelet would refuse, and what it
// does not know. Both get there when kubeadm is of another release than kubelet.
func checkConfig(g *plan.Generation, args []config.Arg) (problems []Problem) {
	file, minor := g.KubeadmConfig, config.Minor(g.Version.Minor())
	fields, positions, err := config.LoadKubeletConfiguration(file.Path, file.Content)
	if err != nil || minor > config.Newest {
		return nil // whether it goes on with that is kubelet's to say
	}
	hint := fmt.Sprintf("kubeadm upgrade node, with kubeadm %s, writes %s anew", g.Version, file.Path)
	var ignored []string
	for _, f := range config.ValidateWritten(minor, fields, positions, args) {
		_, f.Path, _ = strings.Cut(f.Path, ".")
		if f.Severity == config.Warning {
			ignored = append(ignored, f.Error())
			continue
		}
		problems = append(problems, Problem{ID: KubeadmConfig, Severity: Failure, Hint: hint,
			Message: fmt.Sprintf("kubelet %s would not start: %v", g.Version, f.Problem)})
	}
	if len(ignored) > 0 {
		problems = append(problems, Problem{ID: KubeadmConfig, Severity: Warning, Hint: hint,
			Message: fmt.Sprintf("kubelet %s ignores fields that it does not know: %s", g.Version, strings.Join(ignored, "; "))})
	}
	return problems
}

// CheckInstanceConfig looks whether kubeadm has another container runtime in instance-config.yaml than the one that the kubelet
// of a generation of kubeadm's is started with: kubeadm upgrade node uses that one, and writes it to the configuration file.
// Of any other generation there is nothing to say.
func CheckInstanceConfig(o observe.Observer, g *plan.Generation) *Problem {
	if !g.Kubeadm {
		return nil
	}
	var instance struct{ ContainerRuntimeEndpoint string }
	data, err := o.Tree.ReadRegular(config.KubeadmInstanceConfig, maxManifest)
	if err != nil || yaml.Unmarshal(data, &instance) != nil || instance.ContainerRuntimeEndpoint == "" {
		return nil // kubeadm would complain of it
	}
	const flag = "container-runtime-endpoint"
	endpoint, _ := Endpoint(g) // without an error: it was read before
	kubeadms := instance.ContainerRuntimeEndpoint
	if endpoint == "" || slices.Contains(g.Expanded, flag) || cri.SameSocket(endpoint, kubeadms) {
		return nil
	}
	args, err := o.KubeadmArgs(g)
	if err != nil {
		return nil // which CheckKubeadm has said
	}
	place := g.KubeadmConfig.Path
	for _, a := range args {
		if a.Name == flag {
			place = a.Position.String()
		}
	}
	return &Problem{ID: KubeadmFiles, Severity: Warning, Hint: "name the same container runtime in both files",
		Message: fmt.Sprintf("kubelet uses the container runtime at %s (%s), and kubeadm the one at %s (%s)",
			endpoint, place, kubeadms, config.KubeadmInstanceConfig)}
}

// CheckControlPlane holds the kubelet of a control plane node that kubeadm has set up against the API server that runs there; nil
// when they fit. known reports whether there is one whose release is known. back is that of CheckSkew.
func CheckControlPlane(o observe.Observer, g *plan.Generation, back bool) (p *Problem, known bool) {
	if !g.Kubeadm {
		return nil, false
	}
	version, minor := apiServerRelease(o)
	if version == "" {
		return nil, false
	}
	p = CheckSkew(g.Version, minor, fmt.Sprintf("the kube-apiserver of this node, which is %s (%s)", version, config.KubeadmAPIServer), back)
	if p != nil && g.Version.Minor() > minor {
		p.Hint = fmt.Sprintf("run kubeadm upgrade node first (kubeadm upgrade apply on the first control plane node), with kubeadm %s", g.Version)
	}
	return p, true
}

// apiServerRelease is the tag of the image in kubeadm's manifest of the API server, such as v1.37.2; empty when there is none that
// names a release.
func apiServerRelease(o observe.Observer) (version string, minor int) {
	var pod struct {
		Spec struct {
			Containers []struct{ Name, Image string }
		}
	}
	data, err := o.Tree.ReadRegular(config.KubeadmAPIServer, maxManifest)
	if err != nil || yaml.Unmarshal(data, &pod) != nil {
		return "", 0
	}
	for _, c := range pod.Spec.Containers {
		image, _, _ := strings.Cut(path.Base(c.Image), "@")
		_, tag, _ := strings.Cut(image, ":")
		if minor, known := release.MinorOf(tag); known && c.Name == "kube-apiserver" {
			return tag, minor
		}
	}
	return "", 0
}

// maxManifest bounds what is read of a file of kubeadm's, in bytes.
const maxManifest = 1 << 20
