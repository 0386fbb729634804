package systemd

import (
	"fmt"
	"strings"
)

// KubeadmDropIn is the name that kubeadm's packages give to the drop-in with which kubelet reads what kubeadm writes. One of
// this name in /etc/systemd/system takes the place of theirs (systemd.unit(5)).
const KubeadmDropIn = "10-kubeadm.conf"

// KubeadmFiles are where a kubelet of kubeadm's finds what it is started with.
type KubeadmFiles struct {
	Config, Kubeconfig, BootstrapKubeconfig string
	// Flags is the environment file with KUBELET_KUBEADM_ARGS.
	Flags string
}

// DropIn renders KubeadmDropIn. The variables, their order and the environment files are those of kubeadm's packages, which
// kubeadm and its documentation count on (k8s.io/kubernetes 1.13 to 1.17, build/debs and build/rpms). The Debian packages read
// /etc/default/kubelet and the others /etc/sysconfig/kubelet: here the one that is there counts. The flags of the unit come
// before KUBELET_EXTRA_ARGS, so that what an administrator says there has the last word.
func (u KubeletUnit) DropIn(f KubeadmFiles) []byte {
	var b strings.Builder
	b.WriteString("# Written by kubeletctl, in place of the drop-in of kubeadm's packages. Local flags belong in KUBELET_EXTRA_ARGS.\n")
	b.WriteString("[Service]\n")
	fmt.Fprintf(&b, "Environment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=%s --kubeconfig=%s\"\n", f.BootstrapKubeconfig, f.Kubeconfig)
	fmt.Fprintf(&b, "Environment=\"KUBELET_CONFIG_ARGS=--config=%s\"\n", f.Config)
	b.WriteString("# kubeadm init and kubeadm join write this file, with KUBELET_KUBEADM_ARGS.\n")
	fmt.Fprintf(&b, "EnvironmentFile=-%s\n", f.Flags)
	b.WriteString("# KUBELET_EXTRA_ARGS is for an administrator: it has the last word.\n")
	for _, file := range KubeadmExtraFiles {
		fmt.Fprintf(&b, "EnvironmentFile=-%s\n", file)
	}
	b.WriteString("ExecStart=\n")
	fmt.Fprintf(&b, "ExecStart=%s $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS", QuoteArg(u.Binary))
	for _, arg := range u.Args {
		b.WriteString(" " + u.word(arg))
	}
	b.WriteString(" $KUBELET_EXTRA_ARGS\n")
	return []byte(b.String())
}

// KubeadmExtraFiles are the environment files with KUBELET_EXTRA_ARGS, the one that counts last.
var KubeadmExtraFiles = []string{"/etc/default/kubelet", "/etc/sysconfig/kubelet"}
