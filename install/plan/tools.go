package plan

import (
	"path"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/release"
)

// Tool is a program that was installed beside kubelet, from a release of its own choice, and how it was verified.
type Tool struct {
	Name       string          `json:"name"` // one of release.Tools
	Version    release.Version `json:"version"`
	Trust      release.Trust   `json:"trust"`
	Digest     release.Digest  `json:"digest"`
	DigestFrom string          `json:"digestFrom,omitempty"`
	URL        string          `json:"url,omitempty"`
}

// String names it for people.
func (t Tool) String() string { return t.Name + " " + t.Version.String() }

// FileName is what the binary of a program of a release is called.
func FileName(program string, v release.Version) string { return program + "-" + v.String() }

// ProgramOf is the program of which a file name is that of the binary of a release; empty for none.
func ProgramOf(name string) string {
	for _, program := range append(release.Tools(), release.Kubelet) {
		if version, found := strings.CutPrefix(name, program+"-"); found {
			if _, err := release.ParseVersion(version); err == nil {
				return program
			}
		}
	}
	return ""
}

// IsActive reports whether a file is the link to one of the binaries of a program beside it, as BIN_DIR/kubelet is.
func (f File) IsActive() bool { return f.Kind == Link && ProgramOf(f.Target) == path.Base(f.Path) }

// ToolOf is the tool of which a path is the binary of a release, or the link to it; empty for none.
func ToolOf(target string) string {
	for _, tool := range release.Tools() {
		if name := path.Base(target); name == tool || ProgramOf(name) == tool {
			return tool
		}
	}
	return ""
}

// IsTool reports whether a path is that of a tool. kubelet needs none of them.
func IsTool(target string) bool { return ToolOf(target) != "" }

// Tool returns the tool of a name; the zero value for none.
func (g *Generation) Tool(name string) Tool {
	if g != nil {
		for _, t := range g.Tools {
			if t.Name == name {
				return t
			}
		}
	}
	return Tool{}
}

// DigestOf is the digest by which the binary at a path was verified, or is to be.
func (g *Generation) DigestOf(file string) release.Digest {
	if t := g.Tool(ProgramOf(path.Base(file))); t.Name != "" {
		return t.Digest
	}
	return g.Digest
}

// Binaries are the files whose bytes come from a release, kubelet's first.
func (g *Generation) Binaries() []File {
	var files []File
	if g == nil {
		return nil
	}
	for _, kind := range []Kind{Binary, ToolBinary} {
		for _, f := range g.Files {
			if f.Kind == kind {
				files = append(files, f)
			}
		}
	}
	return files
}

// WithTools is the generation with the tools of another one, and with what that was built from.
func (g *Generation) WithTools(other *Generation) *Generation {
	c := g.Clone()
	c.Tools, c.Spec, c.Keep = other.Tools, other.Spec, other.Keep
	c.Files = slices.DeleteFunc(c.Files, func(f File) bool { return IsTool(f.Path) })
	for _, f := range other.Files {
		if IsTool(f.Path) {
			c.Files = append(c.Files, f)
		}
	}
	return c
}

// OnlyTools reports whether all that a plan does is done to tools and to what recovers, so that kubelet stays as it is.
func (p *Plan) OnlyTools() bool {
	some := false
	for _, s := range p.Steps {
		switch {
		case IsTool(s.Target):
			some = true
		case !IsRecovery(s.Target) && s.Action != MakeDir && s.Action != Reload:
			return false
		}
	}
	return some
}

// concerns reports whether a plan speaks of a path.
func (p *planner) concerns(target string) bool {
	return !p.options.OnlyTools || IsTool(target) || IsRecovery(target)
}
