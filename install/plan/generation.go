package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Kind says what a path holds.
type Kind string

const (
	// Absent: nothing is there.
	Absent Kind = ""
	// Text is a rendered file; its bytes are stored with the generation.
	Text Kind = "file"
	// Binary is a kubelet; only its digest is stored, the bytes come from a release.
	Binary Kind = "binary"
	// ToolBinary is a program beside kubelet, of which the same is stored; see Tool.
	ToolBinary Kind = "tool"
	// Program is the copy of kubeletctl that recovers; only its digest is stored, the bytes are of this machine.
	Program Kind = "program"
	// Link is a symlink.
	Link Kind = "link"
	// Other is what kubeletctl never makes: a directory, a device, a socket.
	Other Kind = "other"
)

// File is what one path holds, or should hold.
type File struct {
	Path string      `json:"path"`
	Kind Kind        `json:"kind"`
	Mode fs.FileMode `json:"mode,omitempty"`
	// SHA256 and SHA512 are of the content, in hexadecimal. A binary that was not downloaded yet may have only the one that
	// its release publishes.
	SHA256 string `json:"sha256,omitempty"`
	SHA512 string `json:"sha512,omitempty"`
	// Target is where a link points.
	Target string `json:"target,omitempty"`
	// Owner is set when it is not the user who runs this.
	Owner *hostfs.Owner `json:"owner,omitempty"`
	// Content is the text of a Text file, kept in a file of its own.
	Content []byte `json:"-"`
	// Source is the path on the host that holds the content of a Text that is too large to be held in memory.
	Source string `json:"-"`
	// Modified is when a file that was observed was last written.
	Modified time.Time `json:"-"`
}

// TextFile is a Text with this content.
func TextFile(path string, mode fs.FileMode, content []byte) File {
	return File{Path: path, Kind: Text, Mode: mode, SHA256: Sum(content), Content: content}
}

// Sum is the SHA-256 of a text, in hexadecimal.
func Sum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// SameContent reports whether both hold the same thing, whatever their modes. Binaries, programs and texts are all regular
// files: what decides is the digest, by any algorithm that both know.
func (f File) SameContent(g File) bool {
	switch {
	case f.regular() && g.regular():
		if f.SHA256 != "" && g.SHA256 != "" {
			return f.SHA256 == g.SHA256
		}
		return f.SHA512 != "" && f.SHA512 == g.SHA512
	case f.Kind == Other || f.Kind != g.Kind:
		return false
	}
	return f.Target == g.Target
}

func (f File) regular() bool { return f.Kind == Text || f.IsProgram() }

// IsProgram reports whether only the digest of a file is stored, since it is large: a binary or the copy of kubeletctl.
func (f File) IsProgram() bool { return f.FromRelease() || f.Kind == Program }

// FromRelease reports whether the bytes of a file come from a release.
func (f File) FromRelease() bool { return f.Kind == Binary || f.Kind == ToolBinary }

// Same reports whether nothing would have to be done to turn one into the other.
func (f File) Same(g File) bool {
	return f.SameContent(g) && (f.Kind == Absent || f.Kind == Link || f.Mode == g.Mode && f.sameOwner(g))
}

func (f File) sameOwner(g File) bool {
	return f.Owner == g.Owner || f.Owner != nil && g.Owner != nil && *f.Owner == *g.Owner
}

// RunState is what a generation wants of a unit's process.
type RunState string

const (
	// AsIs leaves a unit running or stopped, as it is found.
	AsIs RunState = ""
	// Running wants it active.
	Running RunState = "running"
	// Stopped wants it inactive.
	Stopped RunState = "stopped"
)

// Unit is the wanted state of a unit.
type Unit struct {
	Name    string   `json:"name"`
	Enabled bool     `json:"enabled"`
	Run     RunState `json:"run,omitempty"`
}

// Outcome is how a change ended.
type Outcome string

const (
	// Unchanged: there was nothing to do.
	Unchanged Outcome = "unchanged"
	// Healthy: kubelet runs and passed the gate.
	Healthy Outcome = "healthy"
	// WaitingForCredentials: all is in place, and kubelet starts when its kubeconfig appears.
	WaitingForCredentials Outcome = "waiting for credentials"
	// WaitingForKubeadm: all is in place, and kubeadm init or kubeadm join starts kubelet.
	WaitingForKubeadm Outcome = "waiting for kubeadm"
	// Queued: the machine is still booting, and systemd starts kubelet when its turn comes.
	Queued Outcome = "start queued"
	// Installed: the files are in place, and nobody asked for kubelet to be started or waited for.
	Installed Outcome = "installed"
	// Reverted: it failed, and what was there before is there again.
	Reverted Outcome = "reverted"
	// Removed: what was installed is gone.
	Removed Outcome = "removed"
	// Restarted: kubelet was restarted, and nobody waited for it.
	Restarted Outcome = "restarted"
	// Unhealthy: kubelet was restarted, and did not become healthy.
	Unhealthy Outcome = "unhealthy"
)

// Generation is a whole installation: every file and the state of every unit. What its JSON form has may be read by every
// user of the host; what may hold a secret is left out of it.
type Generation struct {
	Number  int       `json:"number"`
	Created time.Time `json:"created"`
	// Command is the verb that made it: install, rollback ...
	Command string `json:"verb"`
	// User is who ran it.
	User string `json:"by,omitempty"`
	// Changes say in a few words how it differs from what was installed before; a repair, what it put back.
	Changes []string `json:"changes,omitempty"`
	// Snapshot marks a record of a host, made before a change, instead of something that was installed. Going back to one
	// removes everything that is not in it, binaries and directories included.
	Snapshot bool `json:"snapshot,omitempty"`
	// Version is empty for a host without a kubelet of ours.
	Version release.Version `json:"version"`
	Arch    string          `json:"arch,omitempty"`
	// Trust, Digest, DigestFrom and URL tell where the binary came from and how it was verified.
	Trust      release.Trust  `json:"trust,omitempty"`
	Digest     release.Digest `json:"digest"`
	DigestFrom string         `json:"digestFrom,omitempty"`
	URL        string         `json:"url,omitempty"`
	// Tools are the programs beside kubelet.
	Tools []Tool `json:"tools,omitempty"`
	Files []File `json:"files"`
	Units []Unit `json:"units"`
	// Dirs are the directories that were made for it, outermost first.
	Dirs []string `json:"dirs,omitempty"`
	// RootDir is where kubelet keeps its data.
	RootDir string `json:"rootDir,omitempty"`
	// PodDir is the directory of static pods, which is made when it is missing; empty for none.
	PodDir string `json:"podDir,omitempty"`
	// HealthURL answers when kubelet is well; empty when its configuration turned that off.
	HealthURL string `json:"healthURL,omitempty"`
	// StartFiles are files that its configuration names and that kubelet reads only when it starts.
	StartFiles []string `json:"startFiles,omitempty"`
	// Requires are files that must all exist before kubelet can run, and Credentials are files of which one must.
	Requires    []string `json:"requires,omitempty"`
	Credentials []string `json:"credentials,omitempty"`
	// Kubeadm reports that kubeadm writes the configuration, the flags and the credentials of its kubelet. What they are is
	// read from the host each time: see observe.Observer.ReadKubeadm.
	Kubeadm bool `json:"kubeadm,omitempty"`
	// Keep is how many generations are kept to go back to.
	Keep int `json:"keepGenerations,omitempty"`
	// Outcome is how the change to it ended; Reason says why it was reverted.
	Outcome Outcome `json:"outcome,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	// Tried is the fingerprint of what failed, in what is left of a change that was undone; empty when it was interrupted.
	Tried string `json:"tried,omitempty"`
	// Invocation is systemd's name of the run of kubelet that was started with it.
	Invocation string `json:"invocation,omitempty"`
	// OnlyTools reports that the change to it left kubelet as it was.
	OnlyTools bool `json:"onlyTools,omitempty"`
	// Took is how long kubelet took to be healthy after it was started.
	Took time.Duration `json:"took,omitempty"`

	// Expanded are the names of flags in whose values systemd expands specifiers and variables: kubelet gets others than Args.
	Expanded []string `json:"expanded,omitempty"`
	// Args are the arguments that kubelet is started with, and Spec is what it was built from, opaque here. Both may hold
	// secrets.
	Args []string        `json:"-"`
	Spec json.RawMessage `json:"-"`
	// KubeadmConfig is the configuration file of kubeadm's, as it was read; Absent for none.
	KubeadmConfig File `json:"-"`
	// SpecHidden is set when this user may not read the two.
	SpecHidden bool `json:"-"`
	// Damage says why the record of a current generation cannot be read. Then this is a stand-in, which has what the other
	// generations have installed: a host can be changed from there, and what is found on it and not known is somebody else's.
	Damage error `json:"-"`
}

// KnownArgs are the arguments without those that only systemd knows.
func (g *Generation) KnownArgs() []string {
	return slices.DeleteFunc(slices.Clone(g.Args), g.expands)
}

// expands reports whether systemd expands an argument.
func (g *Generation) expands(arg string) bool {
	name, _, _ := strings.Cut(arg, "=")
	return slices.Contains(g.Expanded, strings.TrimPrefix(name, "--"))
}

// Clone is a copy whose lists may be changed.
func (g *Generation) Clone() *Generation {
	c := *g
	c.Files, c.Units, c.Dirs, c.Tools = slices.Clone(g.Files), slices.Clone(g.Units), slices.Clone(g.Dirs), slices.Clone(g.Tools)
	return &c
}

// File returns what the generation has at a path; Absent when it has nothing there.
func (g *Generation) File(path string) File {
	if g != nil {
		for _, f := range g.Files {
			if f.Path == path {
				return f
			}
		}
	}
	return File{Path: path}
}

// Binary returns the versioned kubelet of the generation.
func (g *Generation) Binary() File { return g.ofKind(Binary) }

// Program returns what recovers; Absent when it was left out.
func (g *Generation) Program() File { return g.ofKind(Program) }

// ofKind returns the only file of a kind; Absent when there is none.
func (g *Generation) ofKind(kind Kind) File {
	if g != nil {
		for _, f := range g.Files {
			if f.Kind == kind {
				return f
			}
		}
	}
	return File{}
}

// Unit returns what the generation wants of a unit, and whether it says anything of it.
func (g *Generation) Unit(name string) (Unit, bool) {
	if g != nil {
		for _, u := range g.Units {
			if u.Name == name {
				return u, true
			}
		}
	}
	return Unit{Name: name}, false
}

// Fingerprint is the same for two generations when they would make the same kubelet run with the same settings: a digest of
// all files but those of the recovery and the tools.
func (g *Generation) Fingerprint() string {
	var b strings.Builder
	for _, f := range g.Files {
		switch {
		case f.Kind == Binary: // which other digests it has is known only when it was fetched
			fmt.Fprintln(&b, f.Path, g.Digest)
		case !IsRecovery(f.Path) && !IsTool(f.Path):
			fmt.Fprintln(&b, f.Path, f.SHA256, f.Target)
		}
	}
	return Sum([]byte(b.String()))
}

// KeepComments keeps the texts of have that differ from what is wanted in comments only: nobody restarts a kubelet for the
// sake of a comment.
func (g *Generation) KeepComments(have *Generation) {
	if have == nil {
		return
	}
	for i, f := range g.Files {
		old := have.File(f.Path)
		ours := old.Kind == Text && !have.Snapshot || old.Marked()
		if f.Kind == Text && ours && bytes.Equal(withoutComments(f.Content), withoutComments(old.Content)) {
			g.Files[i].Content, g.Files[i].SHA256 = old.Content, old.SHA256
		}
	}
}

// withoutComments is a text without the lines that are comments, for YAML and for systemd.
func withoutComments(text []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("#")) {
			kept = append(kept, line...)
		}
	}
	return kept
}

// Runs reports whether the generation wants kubelet to run.
func (g *Generation) Runs() bool {
	service, _ := g.Unit(systemd.KubeletService)
	return service.Run == Running
}

// Arg is the value of the generation's argument --name=value.
func (g *Generation) Arg(name string) (value string, given bool) {
	if g == nil {
		return "", false
	}
	return config.Argument(g.Args, name)
}

// ConfigFile is the configuration file that its kubelet reads.
func (g *Generation) ConfigFile() File {
	if g != nil && g.Kubeadm {
		return g.KubeadmConfig
	}
	return g.File(hostfs.ConfigFile)
}

// Kubeconfig is the file with which kubelet talks to its API server; empty for a standalone one.
func (g *Generation) Kubeconfig() string {
	file, _ := g.Arg("kubeconfig")
	return file
}

// KubeletRoot is where the generation's kubelet keeps its data.
func (g *Generation) KubeletRoot() string {
	if g != nil && g.RootDir != "" {
		return g.RootDir
	}
	return hostfs.KubeletDir
}

// CertDir is where the generation's kubelet keeps the certificates that it gets or makes; kubelet's default does not depend on its
// root directory.
func (g *Generation) CertDir() string {
	if dir, _ := g.Arg("cert-dir"); dir != "" {
		return dir
	}
	return hostfs.KubeletDir + "/pki"
}

// DropInDir holds the drop-ins of this host.
const DropInDir = hostfs.UnitDir + "/" + systemd.KubeletService + ".d"

// nowhere is what a link points to that masks a drop-in (systemd.unit(5)).
const nowhere = "/dev/null"

// Mask adds that drop-ins of these names have no effect: a link to /dev/null takes their place. Masking what is masked
// does nothing.
func (g *Generation) Mask(names ...string) {
	for _, name := range names {
		file := path.Join(DropInDir, name)
		if g.File(file).Kind == Absent {
			g.Files = append(g.Files, File{Path: file, Kind: Link, Target: nowhere})
		}
	}
}

// AdoptedDropIn has what was kept of the unit of a kubelet that was adopted.
const AdoptedDropIn = DropInDir + "/10-adopted.conf"

// KeepAdopted adds the drop-in of an adoption: the one that is given, or else that of the generation before. It may hold
// credentials of a proxy.
func (g *Generation) KeepAdopted(have *Generation, content []byte) {
	f := have.File(AdoptedDropIn)
	if content != nil {
		f = TextFile(AdoptedDropIn, 0o600, content)
	}
	if f.Kind != Absent && g.File(AdoptedDropIn).Kind == Absent {
		g.Files = append(g.Files, f)
	}
}

// Masks are the names of the drop-ins that the generation masks.
func (g *Generation) Masks() []string {
	var names []string
	if g != nil {
		for _, f := range g.Files {
			if f.Masks() {
				names = append(names, path.Base(f.Path))
			}
		}
	}
	return names
}

// hasDropIn reports whether the generation has a drop-in of that name itself, which takes the place of every other one.
func (g *Generation) hasDropIn(name string) bool {
	f := g.File(path.Join(DropInDir, name))
	return f.Kind == Text || f.Masks()
}

// MaskDropInsOf masks the drop-ins of another generation that this one does not have: they go only after the commit, and
// kubelet is started before.
func (g *Generation) MaskDropInsOf(other *Generation) {
	if other == nil {
		return
	}
	for _, f := range other.Files {
		if f.Kind == Text && path.Dir(f.Path) == DropInDir && !g.hasDropIn(path.Base(f.Path)) {
			g.Mask(path.Base(f.Path))
		}
	}
}

// Masks reports whether the file is a link that masks a drop-in.
func (f File) Masks() bool {
	return f.Kind == Link && f.Target == nowhere && path.Dir(f.Path) == DropInDir
}

// Complete reports whether the content of a Text is what was recorded; of a large one, and of what is none, nothing else is known.
func (f File) Complete() bool {
	return f.Kind != Text || f.Source != "" || Sum(f.Content) == f.SHA256
}

// mark begins the first line of every text that kubeletctl renders.
const mark = "# Written by kubeletctl"

// Marked reports whether the file is a text that kubeletctl has written, whoever has edited it since.
func (f File) Marked() bool { return f.Kind == Text && bytes.HasPrefix(f.Content, []byte(mark)) }

// Without is the generation without what another one has installed, nil for nothing: without its files and directories, and
// with its units neither enabled nor running.
func (g *Generation) Without(other *Generation) *Generation {
	rest := g.Clone()
	if other == nil {
		return rest
	}
	rest.Dirs = slices.DeleteFunc(rest.Dirs, func(dir string) bool { return slices.Contains(other.Dirs, dir) })
	rest.Files = slices.DeleteFunc(rest.Files, func(f File) bool { return other.File(f.Path).Kind != Absent })
	for i, u := range rest.Units {
		if _, installed := other.Unit(u.Name); installed && u.Run == AsIs {
			rest.Units[i] = Unit{Name: u.Name}
		} else if installed {
			rest.Units[i] = Unit{Name: u.Name, Run: Stopped}
		}
	}
	return rest
}

// Installs reports whether two generations put the same on a host, but for what recovers.
func (g *Generation) Installs(other *Generation) bool {
	return g.SameKubelet(other) && g.sameFiles(other, func(File) bool { return true })
}

// SameKubelet reports whether two generations put the same on a host, but for what recovers and for the tools.
func (g *Generation) SameKubelet(other *Generation) bool {
	if !g.sameFiles(other, func(f File) bool { return !IsTool(f.Path) }) {
		return false
	}
	for _, u := range slices.Concat(g.Units, other.Units) {
		mine, _ := g.Unit(u.Name)
		theirs, _ := other.Unit(u.Name)
		if !IsRecovery(u.Name) && mine != theirs {
			return false
		}
	}
	return true
}

// sameFiles reports whether two generations have the same of those files that count, but for what recovers.
func (g *Generation) sameFiles(other *Generation, counts func(File) bool) bool {
	return !slices.ContainsFunc(slices.Concat(g.Files, other.Files), func(f File) bool {
		return counts(f) && !IsRecovery(f.Path) && f.Kind != Program && !g.File(f.Path).Same(other.File(f.Path))
	})
}

// Merge is everything that any of the generations installed; where several speak of one thing, current counts, then the
// newest.
func Merge(current *Generation, all []*Generation) *Generation {
	m := current.Clone()
	for _, g := range slices.Backward(all) {
		for _, f := range g.Files {
			if m.File(f.Path).Kind == Absent {
				m.Files = append(m.Files, f)
			}
		}
		for _, u := range g.Units {
			if _, known := m.Unit(u.Name); !known {
				m.Units = append(m.Units, u)
			}
		}
		for _, d := range g.Dirs {
			if !slices.Contains(m.Dirs, d) {
				m.Dirs = append(m.Dirs, d)
			}
		}
	}
	return m
}

// RecoverProgram is the copy of kubeletctl that recovers, in the directory of the kubelets: whatever becomes of the one that
// a user ran, this one is there.
const RecoverProgram = "kubeletctl-recover"

// IsRecovery reports whether a path, or the name of a unit, is a part of what recovers.
func IsRecovery(target string) bool {
	name := path.Base(target)
	return name == RecoverProgram || name == systemd.RecoverService
}

// checkpoints are the files in which kubelet's resource managers keep what they have set aside, below its root directory.
var checkpoints = []string{CPUCheckpoint, MemoryCheckpoint}

const (
	CPUCheckpoint    = "cpu_manager_state"
	MemoryCheckpoint = "memory_manager_state"
)

// IsCheckpoint reports whether a path is the checkpoint of a resource manager.
func IsCheckpoint(target string) bool { return slices.Contains(checkpoints, path.Base(target)) }
