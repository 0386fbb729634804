package diagnose

import (
	"regexp"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// owner is who looks after the configuration of a kubelet, and so says how it is changed.
type owner int

const (
	anybody owner = iota // of another host
	user                 // somebody else than kubeletctl, on this host
	kubeadm              // with a binary and a unit that are kubeletctl's
	ourselves
)

func ownerOf(ours *plan.Generation) owner {
	switch {
	case ours == nil:
		return user
	case ours.Kubeadm:
		return kubeadm
	}
	return ourselves
}

// remedy are the lines of a rule's remedy, or of its advice, as they are right for an owner. What a log has said is one word for a shell.
func (o owner) remedy(r rule, found, advice []string) []string {
	var words, lines []string
	for _, word := range found {
		words = append(words, ShellQuote(hide(word)))
	}
	changed, script := false, r.Remedy
	if r.Kubeadm != nil && (o == kubeadm || o != ourselves && slices.ContainsFunc(found, ofKubeadm)) {
		script = r.Kubeadm
	}
	if advice != nil {
		script = advice
	}
	for _, line := range script {
		own := o.line(line)
		changed = changed || len(own) != 1 || own[0] != line
		for _, line := range own {
			lines = append(lines, fill(line, words))
		}
	}
	if last := len(lines) - 1; changed && strings.HasPrefix(lines[last], "# ") {
		lines[last] += ", then:"
		lines = append(lines, restart)
	}
	return lines
}

// ofKubeadm reports whether a file is one that kubeadm gives a kubelet (cmd/kubeadm/app/constants).
func ofKubeadm(file string) bool {
	return file == config.KubeadmConfig || file == config.KubeadmBootstrapKubeconfig
}

// named fills in NODE and KUBECONFIG in the lines of a remedy, if the host knows them.
func named(host Host, lines []string) []string {
	text := strings.Join(lines, "")
	if host == nil || !strings.Contains(text, "NODE") && !strings.Contains(text, "KUBECONFIG") {
		return lines
	}
	file, node, _ := host.Kubeconfig()
	var pairs []string
	for name, value := range map[string]string{"NODE": node, "KUBECONFIG": file} {
		if value == ShellQuote(value) {
			pairs = append(pairs, name, value)
		}
	}
	var list []string
	for _, line := range lines {
		list = append(list, strings.NewReplacer(pairs...).Replace(line))
	}
	return list
}

// line is a line of a remedy for an owner. Those with kubeletctl are written for a kubelet that it has installed.
func (o owner) line(line string) []string {
	change := regexp.MustCompile(`^kubeletctl set '?(--)?([\w.-]+)[= ]([^' ]+)'?(?:  # (.*))?$`).FindStringSubmatch(line)
	repair, isRepair := strings.CutPrefix(line, "kubeletctl repair")
	switch {
	case o == ourselves || change == nil && !isRepair, isRepair && o == kubeadm:
		return []string{line}
	case isRepair && o == user:
		return []string{"# install this kubelet again, in the way in which it was installed"}
	case isRepair:
		return []string{"kubeletctl repair" + repair + "  # or install it again, in the way in which it was installed"}
	}
	isFlag, name, value, note := change[1] != "", change[2], change[3], change[4]
	if note != "" {
		note = " (" + note + ")"
	}
	switch {
	case isFlag && o == kubeadm:
		return []string{"# set --" + name + "=" + value + " in KUBELET_EXTRA_ARGS in /etc/default/kubelet or /etc/sysconfig/kubelet" + note}
	case isFlag:
		return []string{"# set --" + name + "=" + value + " on the command line of kubelet (systemctl cat kubelet.service)" + note}
	case o == kubeadm:
		return []string{"# set " + name + ": " + value + " in " + hostfs.KubeletDir + "/config.yaml" + note,
			"# and in the cluster (kubectl -n kube-system edit configmap kubelet-config), or the next kubeadm upgrade undoes it"}
	}
	return []string{"# set " + name + ": " + value + " in the configuration file of kubelet (its flag --config)" + note}
}

// ShellQuote writes a word so that a shell reads it back.
func ShellQuote(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") == "" && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
