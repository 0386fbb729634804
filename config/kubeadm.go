package config

import (
	"fmt"
	"maps"
	"slices"
)

// Files of a node that kubeadm has set up (k8s.io/kubernetes/cmd/kubeadm/app/constants).
const (
	KubeadmConfig              = "/var/lib/kubelet/config.yaml"
	KubeadmFlags               = "/var/lib/kubelet/kubeadm-flags.env"
	KubeadmInstanceConfig      = "/var/lib/kubelet/instance-config.yaml"
	KubeadmKubeconfig          = "/etc/kubernetes/kubelet.conf"
	KubeadmBootstrapKubeconfig = "/etc/kubernetes/bootstrap-kubelet.conf"
	KubeadmDir                 = "/etc/kubernetes"
	KubeadmAPIServer           = "/etc/kubernetes/manifests/kube-apiserver.yaml"
)

// kubeadmFlags are flags that kubeadm, or the drop-in that reads what it writes, gives kubelet; with how kubeadm is told.
var kubeadmFlags = map[string]string{
	"config":                     "kubelet reads " + KubeadmConfig,
	"kubeconfig":                 "kubeadm writes " + KubeadmKubeconfig,
	"bootstrap-kubeconfig":       "kubeadm join writes " + KubeadmBootstrapKubeconfig,
	"container-runtime-endpoint": "use kubeadm's --cri-socket, or nodeRegistration.criSocket in its configuration",
}

// forKubeadm renders for a kubelet that kubeadm configures: only flags, and none that kubeadm sets. There are no defaults:
// those are kubeadm's.
func (r *renderer) forKubeadm() (*Rendered, error) {
	for _, field := range slices.Sorted(maps.Keys(r.fields)) {
		path := below(root, field)
		r.problems = append(r.problems, Problem{Position: r.in.Positions.of(path), Path: path,
			Message: "kubeadm writes kubelet's configuration on this node", Hint: kubeadmFieldHint(r.minor)})
	}
	r.fields = map[string]any{}
	r.in.Flags = maps.Clone(r.in.Flags)
	for _, written := range slices.Sorted(maps.Keys(r.in.Flags)) {
		if hint, owned := kubeadmFlags[FlagName(written)]; owned {
			r.problem(written, hint, "kubeadm sets it on this node")
			delete(r.in.Flags, written)
		}
	}
	r.userFlags()
	r.rules()
	for _, field := range slices.Sorted(maps.Keys(r.movers)) {
		r.problems = append(r.problems, Problem{Path: r.movers[field], Hint: kubeadmFieldHint(r.minor),
			Message: fmt.Sprintf("it is the field %s, and kubeadm writes kubelet's configuration on this node", field)})
	}
	if err := r.problems.err(); err != nil {
		return nil, err
	}
	out := &Rendered{Args: words(r.args), Fields: map[string]any{}, Notes: r.notes, Warnings: r.warnings}
	Problems(out.Warnings).sort()
	return out, nil
}

// kubeadmFieldHint says how a field of the configuration is set on a node of kubeadm's: the ConfigMap has no minor in its name
// from 1.24 on (cmd/kubeadm/app/constants), and a patch may be of the configuration from 1.25 on (cmd/kubeadm/app/util/patches).
func kubeadmFieldHint(m Minor) string {
	configMap := "kubelet-config"
	if m < 24 {
		configMap += "-" + m.String()
	}
	hint := "before kubeadm init, put it in a KubeletConfiguration document of kubeadm's configuration; later, in the ConfigMap " + configMap +
		" of kube-system, then run kubeadm upgrade node"
	if m >= 25 {
		hint += "; for one node, use kubeadm's --patches"
	}
	return hint
}
