package install

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
)

// Resolver finds out which release a spec asks for, and where its binary is: on the host already, or at a source.
type Resolver struct {
	Host *Host
	// Client asks the sources; it may be nil as long as none has to be asked.
	Client *release.Client
}

// Version tells which release a spec asks for. An exact version costs no request.
func (r Resolver) Version(ctx context.Context, s spec.Spec) (release.Version, error) {
	request, err := release.ParseRequest(s.Version)
	if err != nil {
		return release.Version{}, err
	}
	if version, exact := request.Exact(); exact {
		return version, nil
	}
	r.Client.Markers = r.markers()
	return r.Client.Resolve(ctx, request)
}

// Resolve finds the artifact for a spec, of the release that it asks for. One of which a verified binary is on the host costs
// no request.
func (r Resolver) Resolve(ctx context.Context, s spec.Spec, version release.Version) (spec.Resolution, error) {
	given, err := s.DigestFor(version)
	if err != nil {
		return spec.Resolution{}, err
	}
	g, err := r.installed(release.Kubelet, version, s, given)
	if err != nil {
		return spec.Resolution{}, err
	}
	tools, err := r.tools(ctx, s, version)
	if err != nil {
		return spec.Resolution{}, err
	}
	if g != nil {
		// Identified by the digest that was computed when it was downloaded.
		a := release.Artifact{Version: g.Version, Arch: g.Arch, Digest: g.Digest, Trust: g.Trust, From: g.DigestFrom}
		a.Recorded = a.Trust == release.Given && (given.IsZero() || s.Pin.From == spec.FromRecord)
		if !given.IsZero() && a.Trust != release.Given { // it is the digest that was just compared
			a.Trust, a.From = release.Given, s.Pin.From
		}
		return spec.Resolution{Artifact: a, Installed: g, Tools: tools}, a.Require(s.RequireTrust)
	}
	a, err := r.Client.Artifact(ctx, version, s.Architecture(), given)
	if a.Trust == release.Given {
		a.From = s.Pin.From
	}
	if err == nil {
		err = a.Require(s.RequireTrust)
	}
	return spec.Resolution{Artifact: a, Tools: tools}, err
}

// tools finds the artifacts of the programs that a spec wants beside a kubelet of a release, as Resolve finds that one's.
func (r Resolver) tools(ctx context.Context, s spec.Spec, kubelet release.Version) (found []spec.Resolution, err error) {
	for _, name := range s.Tools() {
		version, err := s.ToolVersion(name, kubelet)
		if err != nil {
			return nil, err
		}
		g, err := r.installed(name, version, s, release.Digest{})
		if err != nil {
			return nil, err
		}
		tool := spec.Resolution{Installed: g}
		if g != nil {
			tool.Artifact = artifactOf(g.Tool(name), g.Arch)
		} else if tool.Artifact, err = r.Client.Tool(ctx, name, version, s.Architecture(), release.Digest{}); err != nil {
			return nil, err
		}
		if err := tool.Require(s.RequireTrust); err != nil {
			return nil, err
		}
		found = append(found, tool)
	}
	return found, nil
}

// artifactOf is a tool that was verified when it was downloaded.
func artifactOf(t plan.Tool, arch string) release.Artifact {
	return release.Artifact{Program: t.Name, Version: t.Version, Arch: arch, Digest: t.Digest, Trust: t.Trust, From: t.DigestFrom}
}

// NeedsSource reports whether a source has to be asked for what a spec wants: for a channel, or for a binary that is not here.
func (r Resolver) NeedsSource(s spec.Spec) bool {
	request, err := release.ParseRequest(s.Version)
	version, exact := request.Exact()
	given, err2 := s.DigestFor(version)
	if err != nil || err2 != nil || !exact {
		return true
	}
	g, err := r.installed(release.Kubelet, version, s, given)
	if err != nil || g == nil {
		return true
	}
	return slices.ContainsFunc(s.Tools(), func(name string) bool {
		wanted, err := s.ToolVersion(name, version)
		if err == nil {
			g, err = r.installed(name, wanted, s, release.Digest{})
		}
		return err != nil || g == nil
	})
}

const markersFile = hostfs.StateDir + "/markers.json"

// markers are those that sources sent to earlier runs.
func (r Resolver) markers() *release.Answers {
	known := &release.Answers{}
	if !r.Host.Tree.ReadCache(markersFile, known) {
		return &release.Answers{} // so they are asked for once more
	}
	return known
}

// KeepMarkers saves the markers that came; the caller holds the lock. Without them the next run only asks for more.
func (r Resolver) KeepMarkers() {
	if r.Client.Markers != nil && r.Client.Markers.Fresh() {
		r.Host.Tree.WriteCache(markersFile, r.Client.Markers)
	}
}

// installed finds the newest generation whose binary of a program would do for the spec and is on the host as it was recorded.
func (r Resolver) installed(program string, v release.Version, s spec.Spec, given release.Digest) (*plan.Generation, error) {
	all, err := r.Host.Store().List()
	if err != nil {
		return nil, err
	}
	for _, g := range slices.Backward(all) {
		binary := g.File(path.Join(s.BinDir(), plan.FileName(program, v)))
		if g.Arch != s.Architecture() || !binary.FromRelease() {
			continue
		}
		if !given.IsZero() && given.Hex != binary.SHA256 && given.Hex != binary.SHA512 {
			continue
		}
		if r.Host.Observer().Has(binary) {
			return g, nil
		}
	}
	return nil, nil
}

// UnvouchedError reports that a binary would have to be executed for which only the tree itself vouches.
type UnvouchedError struct{ Version release.Version }

func (e *UnvouchedError) Error() string {
	return fmt.Sprintf("the flags of kubelet %s have to be read from its binary, and only the tree says where that comes from", e.Version)
}

// Hint says what to do about it.
func (e *UnvouchedError) Hint() string { return "name the source: --source URL" }

// mayExecute reports whether a binary may be executed here: on a live host every one that was verified, for a tree that
// says itself where its binaries come from only those that upstream published.
func (h *Host) mayExecute(a release.Artifact) bool {
	if a.Arch != runtime.GOARCH {
		return false
	}
	if !h.Unvouched {
		return true
	}
	published, known := release.PublishedDigest(a.Version, a.Arch)
	return known && published == a.Digest
}

// ReadFlags fetches the binary of a release that is newer than the tables and reads from it which flags it takes, so that
// spec.Build knows. Of a release that the tables know nothing is read. What is fetched is the download of the change.
func (r Resolver) ReadFlags(ctx context.Context, s spec.Spec, found *spec.Resolution) error {
	if config.Minor(found.Version.Minor()) <= config.Newest || found.Arch != runtime.GOARCH {
		return nil
	}
	if !r.Host.mayExecute(found.Artifact) {
		return &UnvouchedError{found.Version}
	}
	file := plan.File{Path: path.Join(s.BinDir(), plan.FileName(release.Kubelet, found.Version)), Kind: plan.Binary, Mode: 0o755}
	if found.Installed == nil {
		d := download{host: r.Host, artifact: found.Artifact, client: r.Client, file: file}
		if err := r.Host.fetchAll(ctx, &d); err != nil {
			return unchanged(err)
		}
		file.Path = d.partial
	} else if err := r.vouch(ctx, found); err != nil {
		return err
	}
	name, err := r.Host.Tree.Path(file.Path)
	if err != nil {
		return err
	}
	help, err := release.ReadHelp(ctx, name)
	found.AcceptedFlags = help.Flags
	return err
}

// vouch holds the installed binary of a tree against the digest that was given, or that its source has: that the tree records
// it is no reason to execute it here.
func (r Resolver) vouch(ctx context.Context, found *spec.Resolution) error {
	if r.Host.Live {
		return nil
	}
	binary, digest := found.Installed.Binary(), found.Digest
	if found.Trust != release.Given {
		a, err := r.Client.Artifact(ctx, found.Version, found.Arch, release.Digest{})
		if err != nil {
			return fmt.Errorf("verifying %s before it is asked for its flags: %w", binary.Path, err)
		}
		digest = a.Digest
	}
	same, err := r.Host.Observer().HasDigest(binary.Path, digest)
	if err == nil && !same {
		err = &release.VerifyError{Name: binary.Path, Problem: "its digest is not the one that the source has"}
	}
	return err
}

// Artifacts are where the binaries of a generation come from.
type Artifacts struct {
	Kubelet release.Artifact
	Tools   []release.Artifact
}

// of is the artifact that a file becomes.
func (a Artifacts) of(f plan.File) release.Artifact {
	for _, t := range a.Tools {
		if path.Base(f.Path) == plan.FileName(t.Name(), t.Version) {
			return t
		}
	}
	return a.Kubelet
}

// RestoreArtifacts are the binaries of a generation that was installed before. They are identified by the digests of then;
// where to get them is asked only if one has to be fetched, with the client that connect makes then.
func (h *Host) RestoreArtifacts(ctx context.Context, g *plan.Generation, connect func() (*release.Client, error)) (Artifacts, *release.Client, error) {
	a := Artifacts{Kubelet: release.Artifact{Version: g.Version, Arch: g.Arch, Digest: g.Digest, Trust: g.Trust, From: g.DigestFrom, Recorded: g.Trust == release.Given}}
	for _, t := range g.Tools {
		a.Tools = append(a.Tools, artifactOf(t, g.Arch))
	}
	if !slices.ContainsFunc(g.Binaries(), func(f plan.File) bool { return !h.Observer().Has(f) }) {
		return a, nil, nil
	}
	c, err := connect()
	if err != nil {
		return a, nil, err
	}
	found, err := c.Artifact(ctx, a.Kubelet.Version, a.Kubelet.Arch, a.Kubelet.Digest)
	if err != nil {
		return a, nil, err
	}
	a.Kubelet = verifiedBefore(found, a.Kubelet)
	for i, t := range a.Tools {
		if found, err = c.Tool(ctx, t.Program, t.Version, t.Arch, t.Digest); err != nil {
			return a, nil, err
		}
		a.Tools[i] = verifiedBefore(found, t)
	}
	return a, c, nil
}

// verifiedBefore is an artifact whose digest was verified when it was installed.
func verifiedBefore(found, recorded release.Artifact) release.Artifact {
	found.Trust, found.From, found.Recorded = recorded.Trust, recorded.From, true
	return found
}

// ErrInterrupted reports that the user, or the system, asked for an end.
var ErrInterrupted = errors.New("interrupted")

// ContextError says why a context ended that a run was given: an error that is ErrInterrupted, whatever it is called.
func ContextError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return timedOut{}
	}
	return ErrInterrupted
}

type timedOut struct{}

func (timedOut) Error() string        { return "timed out (--timeout)" }
func (timedOut) Is(target error) bool { return target == ErrInterrupted }
