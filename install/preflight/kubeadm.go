package preflight

import (
	"fmt"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
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

// remedyOf says what to do about a flag, by the file that it is written in.
func remedyOf(p config.Problem) string {
	switch p.File {
	case config.KubeadmFlags:
		return "run kubeadm upgrade node first, with the kubeadm of the new release: it writes " + p.File + " anew"
	case "":
		return "kubeadm init and kubeadm join write what is missing"
	}
	return "remove it from " + p.File
}
