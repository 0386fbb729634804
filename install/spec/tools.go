package spec

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
)

// withTools begins the paths of the settings that say which programs are installed beside kubelet.
const withTools = "with."

// Tools are the names of the programs that are wanted beside kubelet.
func (s Spec) Tools() []string { return slices.Sorted(maps.Keys(s.With)) }

// AddTool adds a program that is wanted beside kubelet, of the same release; one that is wanted already stays as it is.
func (s *Spec) AddTool(name string) {
	if _, wanted := s.With[name]; wanted {
		return
	}
	with := map[string]string{name: ""}
	maps.Copy(with, s.With)
	s.With = with
}

// ToolVersion is the release that a tool is wanted of, beside a kubelet of another one.
func (s Spec) ToolVersion(name string, kubelet release.Version) (release.Version, error) {
	if s.With[name] == "" {
		return kubelet, nil
	}
	return release.ParseVersion(s.With[name])
}

func (s Spec) checkTools() error {
	var errs []error
	for _, name := range s.Tools() {
		if !slices.Contains(release.Tools(), name) {
			errs = append(errs, fmt.Errorf("with: unknown program %q: there are %s", name, strings.Join(release.Tools(), " and ")))
			continue
		}
		if _, err := s.ToolVersion(name, release.Version{}); err != nil {
			errs = append(errs, fmt.Errorf("%s%s: %w", withTools, name, err))
		}
	}
	return errors.Join(errs...)
}

// toolsSchema is what the schema says of the programs beside kubelet.
func toolsSchema() map[string]any {
	properties := map[string]any{}
	for _, name := range release.Tools() {
		properties[name] = map[string]any{"type": []string{"string", "null"}, "pattern": `^(v?1\.[0-9]+\.[0-9]+.*)?$`, "description": "The version of " + name + "."}
	}
	return map[string]any{"properties": properties, "additionalProperties": false}
}

// addTools adds to a generation the programs beside kubelet.
func (s Spec) addTools(g *plan.Generation, tools []Resolution) {
	for _, r := range tools {
		t := plan.Tool{Name: r.Program, Version: r.Version, Trust: r.Trust, Digest: r.Digest, DigestFrom: r.From}
		binary := s.binary(r, plan.ToolBinary)
		if r.Installed != nil {
			t.URL = r.Installed.Tool(r.Program).URL
		}
		g.Tools = append(g.Tools, t)
		g.Files = append(g.Files, binary, plan.File{Path: path.Join(s.BinDir(), r.Program), Kind: plan.Link, Target: path.Base(binary.Path)})
	}
}

// binary is the file that an artifact becomes.
func (s Spec) binary(r Resolution, kind plan.Kind) plan.File {
	f := plan.File{Path: path.Join(s.BinDir(), plan.FileName(r.Name(), r.Version)), Kind: kind, Mode: 0o755}
	switch r.Digest.Algorithm {
	case "sha256":
		f.SHA256 = r.Digest.Hex
	case "sha512":
		f.SHA512 = r.Digest.Hex
	}
	if r.Installed != nil { // its record knows more digests than the release publishes
		recorded := r.Installed.File(f.Path)
		f.SHA256, f.SHA512 = recorded.SHA256, recorded.SHA512
	}
	return f
}

// OnlyTools reports whether what is asked for differs from what is installed in the programs beside kubelet and in nothing
// else.
func (d *Draft) OnlyTools(have *plan.Generation) bool {
	if have == nil || have.Snapshot || have.Damage != nil || have.Version != d.Version || have.Digest != d.Digest {
		return false
	}
	_, err := Recorded(have)
	return err == nil && len(changedTools(have, d.Generation)) > 0 && len(changedSettings(have, d.Generation)) == 0
}

// changedTools lists how the programs beside kubelet differ.
func changedTools(have, want *plan.Generation) (changes []string) {
	for _, name := range release.Tools() {
		old, new := have.Tool(name), want.Tool(name)
		switch {
		case old.Version == new.Version:
		case old.Name == "":
			changes = append(changes, "added "+new.String())
		case new.Name == "":
			changes = append(changes, "removed "+name)
		default:
			changes = append(changes, fmt.Sprintf("%s %s -> %s", name, old.Version, new.Version))
		}
	}
	return changes
}
