package install

import (
	"path"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/status"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// lostInstallation is what is here of an installation of which the record is lost; nil when none is. It is told by what
// kubeletctl writes into its texts and by how it calls its programs: otherwise all of that would count as somebody else's,
// which an uninstall gives back. It is a snapshot, since nobody can go back to it.
func (h *Host) lostInstallation() *plan.Generation {
	if !h.Observer().RecordLost() {
		return nil
	}
	r := remains{h.Observer(), &plan.Generation{Snapshot: true, HealthURL: status.HealthURL(h.Observer())}}
	binDir := ""
	for _, name := range []string{systemd.RecoverService, systemd.KubeletPath, systemd.KubeletService} {
		f, found := r.add(plan.File{Path: path.Join(hostfs.UnitDir, name), Kind: plan.Text}, plan.File.Marked)
		if !found {
			continue
		}
		r.found.Units = append(r.found.Units, plan.Unit{Name: name})
		if command := r.command(f); command.Path != "" {
			binDir = path.Dir(command.Path)
			r.found.Args = nil
			for _, word := range command.Args {
				r.found.Args = append(r.found.Args, word.Text) // kubelet's, which come last
			}
		}
	}
	r.add(plan.File{Path: hostfs.ConfigFile, Kind: plan.Text}, plan.File.Marked)
	r.addPrograms(binDir)
	for _, name := range r.names(plan.DropInDir) {
		f, _ := r.add(plan.File{Path: path.Join(plan.DropInDir, name)}, func(f plan.File) bool { return f.Masks() || f.Marked() })
		r.found.Kubeadm = r.found.Kubeadm || name == systemd.KubeadmDropIn && f.Marked()
	}
	for _, dir := range []string{hostfs.KubeletDir, plan.DropInDir} {
		r.addDir(dir)
	}
	h.complete(r.found)
	return r.found
}

// remains collects what kubeletctl has left on a host.
type remains struct {
	observe.Observer
	found *plan.Generation
}

// add adds what is at the place of a file, if it is kubeletctl's.
func (r *remains) add(like plan.File, ours func(plan.File) bool) (f plan.File, added bool) {
	f, err := r.Look(like)
	if err != nil || f.Kind == plan.Absent || !ours(f) {
		return f, false
	}
	r.found.Files = append(r.found.Files, f)
	return f, true
}

// addPrograms adds the kubelets and the tools in a directory, the link to one of each, and what recovers.
func (r *remains) addPrograms(dir string) {
	if dir == "" {
		return
	}
	r.add(plan.File{Path: path.Join(dir, plan.RecoverProgram), Kind: plan.Program}, plan.File.IsProgram)
	for _, program := range append(release.Tools(), release.Kubelet) {
		r.add(plan.File{Path: path.Join(dir, program), Kind: plan.Link}, plan.File.IsActive)
	}
	for _, name := range r.names(dir) {
		switch plan.ProgramOf(name) {
		case "":
		case release.Kubelet:
			r.add(plan.File{Path: path.Join(dir, name), Kind: plan.Binary}, plan.File.IsProgram)
		default:
			r.add(plan.File{Path: path.Join(dir, name), Kind: plan.ToolBinary}, plan.File.IsProgram)
		}
	}
}

// addDir adds a directory that has nothing in it but what was found.
func (r *remains) addDir(dir string) {
	for _, name := range r.names(dir) {
		if r.found.File(path.Join(dir, name)).Kind == plan.Absent {
			return
		}
	}
	r.found.Dirs = append(r.found.Dirs, dir)
}

// names are those of the entries of a directory; none where that cannot be read.
func (r *remains) names(dir string) (names []string) {
	entries, _ := r.Tree.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// command is what a unit starts; nothing for one that starts nothing.
func (r *remains) command(f plan.File) systemd.Command {
	unit, err := systemd.ParseUnit(f.Path, f.Content)
	if err != nil {
		return systemd.Command{}
	}
	command, _ := r.UnitCommand(unit, nil)
	return command
}
