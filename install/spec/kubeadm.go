package spec

import (
	"path"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// kubeadm adds what a kubelet has that kubeadm configures: a unit that waits for what kubeadm writes, and the drop-in that
// reads it. There is no path unit: kubeadm starts kubelet itself, when it has written all.
func (s Spec) kubeadm(g *plan.Generation, unit systemd.KubeletUnit) {
	unit.Kubeadm, unit.Requires = true, []string{config.KubeadmConfig}
	if g.Version.Minor() >= firstKubeconfigBeforeStart {
		unit.Credentials = []string{config.KubeadmBootstrapKubeconfig, config.KubeadmKubeconfig}
	}
	unit.Watchdog = g.Version.Minor() >= firstWatchdogWithoutGate
	g.Kubeadm, g.Requires, g.Credentials = true, unit.Requires, unit.Credentials
	g.RootDir = rootDir(unit.Args)
	g.Files = append(g.Files,
		plan.TextFile(path.Join(hostfs.UnitDir, systemd.KubeletService), s.unitMode(), unit.Service()),
		plan.TextFile(path.Join(plan.DropInDir, systemd.KubeadmDropIn), 0o644, unit.DropIn(systemd.KubeadmFiles{
			Config: config.KubeadmConfig, Flags: config.KubeadmFlags,
			Kubeconfig: config.KubeadmKubeconfig, BootstrapKubeconfig: config.KubeadmBootstrapKubeconfig,
		})))
}

// firstKubeconfigBeforeStart is the first minor whose kubeadm init writes kubelet's kubeconfig before it starts kubelet; with a
// condition on that file an older one would start nothing (cmd/kubeadm/app/cmd/init.go, the order of the phases).
const firstKubeconfigBeforeStart = 19

// firstWatchdogWithoutGate is the first minor whose kubelet gives systemd signs of life whatever its feature gates are.
const firstWatchdogWithoutGate = 35
