package install

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/spec"
)

const (
	resolvedUnit = "systemd-resolved.service"
	// resolvedFile has the servers that systemd-resolved asks, and not itself (systemd-resolved.service(8)). kubeadm takes it
	// as well (k8s.io/kubernetes/cmd/kubeadm/app/componentconfigs, kubeletSystemdResolverConfig).
	resolvedFile = "/run/systemd/resolve/resolv.conf"
	// pluginDir is kubelet's default for volumePluginDir, which it makes when it starts; pluginDirBelowVar takes its place.
	pluginDir         = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec"
	pluginDirBelowVar = hostfs.KubeletDir + "/volumeplugins"
)

// Choices are the defaults for a kubelet of a minor release that depend on this host, for a spec that does not speak of
// them. Of a tree that does not run there are none. Several container runtimes are a *preflight.FailedError.
func (h *Host) Choices(ctx context.Context, s spec.Spec, minor config.Minor) ([]spec.Choice, error) {
	if !h.Live || s.Profile == config.Kubeadm { // which looks at the host itself
		return nil, nil
	}
	var choices []spec.Choice
	if !s.Mentions("container-runtime-endpoint", "containerRuntimeEndpoint") {
		runtime, err := h.chooseRuntime(ctx)
		if err != nil {
			return nil, err
		}
		choices = append(choices, runtime...)
	}
	resolved, err := h.Units.State(ctx, resolvedUnit)
	if err != nil {
		return nil, err
	}
	if _, err := h.Tree.Stat(resolvedFile); err == nil && resolved.ActiveState == "active" {
		choices = append(choices, spec.Choice{Flag: "resolv-conf", Field: "resolvConf", Value: resolvedFile, Old: "/etc/resolv.conf",
			Why: "pods cannot reach 127.0.0.53, which systemd-resolved writes there"})
	}
	if lacksPluginDir(h.Tree) {
		field, known := config.LookupField("volumePluginDir")
		choices = append(choices, spec.Choice{Flag: "volume-plugin-dir", Field: "volumePluginDir", Value: pluginDirBelowVar,
			AsFlag: !known || !field.AcceptedBy(min(minor, config.Newest)), Old: pluginDir, Why: "that file system is read-only"})
	}
	return choices, nil
}

// chooseRuntime looks which of the known container runtimes answers; without one that is containerd, which is the default.
func (h *Host) chooseRuntime(ctx context.Context) ([]spec.Choice, error) {
	if h.AskRuntime == nil {
		h.note("could not ask which container runtime answers; run this as root")
	}
	answering := cri.Answering(ctx, h.AskRuntime)
	usual := cri.Known[0]
	switch {
	case len(answering) > 1:
		return nil, preflight.Failed(preflight.Runtime, "several container runtimes answer: "+strings.Join(answering, ", "),
			"choose one: --container-runtime-endpoint "+answering[0])
	case len(answering) == 0 || answering[0] == usual.Endpoint:
		return nil, nil
	}
	return []spec.Choice{{Flag: "container-runtime-endpoint", Field: "containerRuntimeEndpoint", Value: answering[0], AsFlag: true, Old: usual.Endpoint,
		Why: "it is the container runtime that answers on this host"}}, nil
}

// lacksPluginDir reports whether kubelet could not make its directory for volume plugins.
func lacksPluginDir(tree hostfs.Tree) bool {
	_, err := tree.Stat(pluginDir)
	return errors.Is(err, fs.ErrNotExist) && errors.Is(tree.Writable(path.Join(pluginDir, "plugin")), syscall.EROFS)
}
