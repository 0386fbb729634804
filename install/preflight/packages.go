package preflight

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
)

// CheckPackages looks for packages of dpkg's that act on kubelet.service, too, whoever has written it: scripts of the package
// kubelet enable and stop it (kubernetes/release, cmd/krel/templates; older ones, and kubeadm's, restart it:
// kubernetes/release#2412), and kubeadm's brings another 10-kubeadm.conf. One that is on hold does not change by itself. What rpm
// has installed is not found: its database is for rpm alone.
func CheckPackages(tree hostfs.Tree) *Problem {
	var found []string
	for _, name := range []string{"kubelet", "kubeadm"} {
		if _, err := tree.Lstat("/var/lib/dpkg/info/" + name + ".list"); err == nil {
			found = append(found, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if len(found) == 0 {
		return nil
	}
	status, err := tree.ReadRegular("/var/lib/dpkg/status", maxPackages)
	if err != nil {
		return nil // nothing is known of the two
	}
	loose := loosePackages(status, found)
	if len(loose) == 0 {
		return nil
	}
	return &Problem{ID: Packages, Severity: Warning, Hint: "apt-mark hold " + strings.Join(loose, " "),
		Message: "the distribution's packages of kubelet are installed, too: " + strings.Join(loose, ", ") +
			"; an upgrade or removal of them can restart or stop kubelet.service"}
}

// maxPackages bounds what is read of dpkg's list of packages, in bytes: it has about 1 kB for each.
const maxPackages = 64 << 20

// loosePackages are those of the named packages that dpkg has installed and may replace (dpkg(1), "Package states").
func loosePackages(status []byte, names []string) []string {
	loose := map[string]bool{}
	name := ""
	for line := range bytes.Lines(status) {
		key, value, _ := strings.Cut(strings.TrimSpace(string(line)), ": ")
		switch key {
		case "Package":
			name = value
		case "Status": // such as "install ok installed", "hold ok installed", "deinstall ok config-files"
			words := strings.Fields(value)
			loose[name] = len(words) == 3 && words[0] != "hold" && words[2] == "installed"
		}
	}
	var found []string
	for _, n := range names {
		if loose[n] {
			found = append(found, n)
		}
	}
	return found
}
