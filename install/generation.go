package install

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
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
	// Program is the copy of kubeletctl that recovers; only its digest is stored, the bytes are those that run.
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
	Owner *Owner `json:"owner,omitempty"`
	// Content is the text of a Text file, kept in a file of its own.
	Content []byte `json:"-"`

	// source is a path of this machine that holds the content of a Text that is too large to be held in memory.
	source string
	// modified is when a file that was seen was last written.
	modified time.Time
}

// Owner of a file, as numbers.
type Owner struct {
	UID int `json:"uid"`
	GID int `json:"gid"`
}

func textFile(path string, mode fs.FileMode, content []byte) File {
	sum := sha256.Sum256(content)
	return File{Path: path, Kind: Text, Mode: mode, SHA256: hex.EncodeToString(sum[:]), Content: content}
}

// open returns the content of a Text for reading.
func (f File) open() (io.ReadCloser, error) {
	if f.source != "" {
		return os.Open(f.source)
	}
	return io.NopCloser(bytes.NewReader(f.Content)), nil
}

// sameContent tells whether both hold the same thing, whatever their modes. Binaries, programs and texts are all regular files:
// what decides is the digest, by any algorithm that both know.
func (f File) sameContent(g File) bool {
	regular := func(k Kind) bool { return k == Text || k == Binary || k == Program }
	switch {
	case regular(f.Kind) && regular(g.Kind):
		if f.SHA256 != "" && g.SHA256 != "" {
			return f.SHA256 == g.SHA256
		}
		return f.SHA512 != "" && f.SHA512 == g.SHA512
	case f.Kind == Other || f.Kind != g.Kind:
		return false
	}
	return f.Target == g.Target
}

// same tells whether nothing would have to be done to turn one into the other.
func (f File) same(g File) bool {
	return f.sameContent(g) && (f.Kind == Absent || f.Kind == Link || f.Mode == g.Mode && f.sameOwner(g))
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

// Generation is a whole installation: every file and the state of every unit.
type Generation struct {
	Number  int       `json:"number"`
	Created time.Time `json:"created"`
	// Verb is the command that made it: install, rollback ...
	Verb string `json:"verb"`
	// By is the user who ran it.
	By string `json:"by,omitempty"`
	// Snapshot marks a record of a host, made before a change, instead of something that was installed. Going back to one
	// removes everything that is not in it, binaries and directories included.
	Snapshot bool `json:"snapshot,omitempty"`
	// Version is empty for a host without a kubelet of ours.
	Version release.Version `json:"version"`
	Arch    string          `json:"arch,omitempty"`
	// Trust, Digest, DigestFrom and URL tell where the binary came from and how it was proved.
	Trust      release.Trust  `json:"trust,omitempty"`
	Digest     release.Digest `json:"digest"`
	DigestFrom string         `json:"digestFrom,omitempty"`
	URL        string         `json:"url,omitempty"`
	Spec       *Spec          `json:"spec,omitempty"`
	Files      []File         `json:"files"`
	Units      []Unit         `json:"units"`
	// Dirs are the directories that were made for it, outermost first.
	Dirs []string `json:"dirs,omitempty"`
	// HealthURL answers when kubelet is well; empty when its configuration turned that off.
	HealthURL string `json:"healthURL,omitempty"`
	// Credentials are files of which one must exist before kubelet can run.
	Credentials []string `json:"credentials,omitempty"`
	// Outcome is how the change to it ended; Reason says why it was reverted.
	Outcome Outcome `json:"outcome,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	// Invocation is systemd's name of the run of kubelet that was started with it.
	Invocation string `json:"invocation,omitempty"`
}

// file returns what the generation has at a path; Absent when it has nothing there.
func (g *Generation) file(path string) File {
	if g != nil {
		for _, f := range g.Files {
			if f.Path == path {
				return f
			}
		}
	}
	return File{Path: path}
}

// binary returns the versioned kubelet of the generation.
func (g *Generation) binary() File {
	if g != nil {
		for _, f := range g.Files {
			if f.Kind == Binary {
				return f
			}
		}
	}
	return File{}
}

// unit returns what the generation wants of a unit.
func (g *Generation) unit(name string) (Unit, bool) {
	if g != nil {
		for _, u := range g.Units {
			if u.Name == name {
				return u, true
			}
		}
	}
	return Unit{Name: name}, false
}
