package install

import (
	"fmt"
	"path"
	"path/filepath"

	securejoin "github.com/cyphar/filepath-securejoin"
)

// Where things are on every host. All are paths of the host, which [Tree.Locate] maps to paths that can be opened.
const (
	KubeletDir     = "/var/lib/kubelet"
	ConfigFile     = KubeletDir + "/kubelet-config.yaml"
	Kubeconfig     = KubeletDir + "/kubeconfig"
	UnitDir        = "/etc/systemd/system"
	StateDir       = "/var/lib/kubeletctl"
	SpecFile       = "/etc/kubeletctl/spec.yaml"
	DefaultBinDir  = "/usr/local/bin"
	binaryLinkName = "kubelet"
)

// Tree is a file tree that looks like a host's: the host itself, or an image being baked.
type Tree struct {
	// Root is the directory that is the tree's "/"; "/" for the host itself.
	Root string
}

// Locate maps a path of the tree to one that can be opened. Symlinks in the directory part are followed inside the tree,
// so that an absolute symlink of an image never leads out to the machine that bakes it; the last element is not followed.
func (t Tree) Locate(p string) (string, error) {
	if t.Root == "/" {
		return p, nil
	}
	dir, err := securejoin.SecureJoin(t.Root, path.Dir(p))
	if err != nil {
		return "", fmt.Errorf("finding %s in %s: %w", p, t.Root, err)
	}
	return filepath.Join(dir, path.Base(p)), nil
}

// LocateDir maps a directory of the tree; when it is a symlink, that is followed, too, inside the tree.
func (t Tree) LocateDir(p string) (string, error) {
	if t.Root == "/" {
		return p, nil
	}
	dir, err := securejoin.SecureJoin(t.Root, p)
	if err != nil {
		return "", fmt.Errorf("finding %s in %s: %w", p, t.Root, err)
	}
	return dir, nil
}
