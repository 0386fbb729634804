package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/rehearsal"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Manager is what this package needs of the service manager; systemd.Conn and systemd.Offline have it. Every verb may be
// called twice.
type Manager interface {
	Reload(ctx context.Context) error
	Enable(ctx context.Context, unit string) error
	Disable(ctx context.Context, unit string) error
	Start(ctx context.Context, unit string) error
	Restart(ctx context.Context, unit string) error
	Stop(ctx context.Context, unit string) error
	// Queue asks for a restart, or a start, and does not wait for it.
	Queue(ctx context.Context, unit string) error
	// Arm makes systemd start the recovery again and again; see systemd.Conn.
	Arm(ctx context.Context, every time.Duration) error
	Disarm(ctx context.Context) error
	ResetFailed(ctx context.Context, unit string) error
	State(ctx context.Context, unit string) (systemd.UnitState, error)
	Booting(ctx context.Context) bool
}

// Host is a machine, or the tree of one, and the means to change it.
type Host struct {
	Tree  Tree
	Units Manager
	// Live tells that Units is a systemd that runs, so that there are services to start, stop and ask.
	Live bool
	// Rehearse tries a kubelet where it can do no harm; nil for none. See package rehearsal.
	Rehearse func(context.Context, rehearsal.Trial) error
	// Note gets one line for people, now and then; nil is fine.
	Note func(string)

	// parents are directories above the record that were made for it, outermost first.
	parents []string
}

func (h *Host) note(format string, args ...any) {
	if h.Note != nil {
		h.Note(fmt.Sprintf(format, args...))
	}
}

// Lock takes the lock on the record; see Store.Lock. When nothing is left of the record in the end, the directories that
// were made for it go, too.
func (h *Host) Lock() (release func(), err error) {
	if err := h.missingDirs(path.Dir(StateDir), &h.parents); err != nil {
		return nil, err
	}
	unlock, err := h.Store().Lock()
	if err != nil {
		return nil, err
	}
	return func() {
		unlock()
		for _, dir := range slices.Backward(h.parents) {
			if name, err := h.Tree.LocateDir(dir); err == nil {
				_ = syscall.Rmdir(name) // it stays when anything is in it
			}
		}
	}, nil
}

// Store is the record of what was installed there.
func (h *Host) Store() Store { return Store{h.Tree} }

// Version tells which release a spec asks for. An exact version costs no request.
func (h *Host) Version(ctx context.Context, s Spec, c *release.Client) (release.Version, error) {
	request, err := release.ParseRequest(s.Version)
	if err != nil {
		return release.Version{}, err
	}
	if version, exact := request.Exact(); exact {
		return version, nil
	}
	c.Markers = h.markers()
	return c.Resolve(ctx, request)
}

// Resolve finds the artifact for a spec, of the release that it asks for. One of which a verified binary is on the host costs
// no request. from says where a digest in the spec comes from, for people.
func (h *Host) Resolve(ctx context.Context, s Spec, version release.Version, from string, c *release.Client) (Resolved, error) {
	given, err := s.digest()
	if err != nil {
		return Resolved{}, err
	}
	g, err := h.installed(version, s, given)
	if err != nil {
		return Resolved{}, err
	}
	if g != nil {
		// Identified by the digest that was computed when it was downloaded.
		a := release.Artifact{Version: g.Version, Arch: g.Arch, Digest: g.Digest, Trust: g.Trust, From: g.DigestFrom}
		if !given.IsZero() && a.Trust != release.Given { // it is the digest that was just compared
			a.Trust, a.From = release.Given, from
		}
		return Resolved{Artifact: a, installed: g}, a.Require(s.RequireTrust)
	}
	a, err := c.Artifact(ctx, version, s.arch(), given)
	if a.Trust == release.Given {
		a.From = from
	}
	if err == nil {
		err = a.Require(s.RequireTrust)
	}
	return Resolved{Artifact: a}, err
}

// Asks tells whether a source has to be asked for what a spec wants: for a channel, or for a binary that is not here.
func (h *Host) Asks(s Spec) bool {
	request, err := release.ParseRequest(s.Version)
	version, exact := request.Exact()
	given, err2 := s.digest()
	if err != nil || err2 != nil || !exact {
		return true
	}
	g, err := h.installed(version, s, given)
	return err != nil || g == nil
}

const markersFile = StateDir + "/markers.json"

// markers are those that sources sent to earlier runs.
func (h *Host) markers() *release.Answers {
	known := &release.Answers{}
	if !readCache(h.Tree, markersFile, known) {
		return &release.Answers{} // so they are asked for once more
	}
	return known
}

// KeepMarkers saves the markers that came; the caller holds the lock. Without them the next run only asks for more.
func (h *Host) KeepMarkers(c *release.Client) {
	if c.Markers != nil && c.Markers.Fresh() {
		writeCache(h.Tree, markersFile, c.Markers)
	}
}

// installed finds the newest generation whose binary would do for the spec and is on the host as it was recorded.
func (h *Host) installed(v release.Version, s Spec, given release.Digest) (*Generation, error) {
	all, err := h.Store().List()
	if err != nil {
		return nil, err
	}
	known := loadFingerprints(h.Tree)
	for _, g := range slices.Backward(all) {
		binary := g.binary()
		if g.Version != v || g.Arch != s.arch() || binary.Path != s.binDir()+"/"+binaryName(v) {
			continue
		}
		if !given.IsZero() && given.Hex != binary.SHA256 && given.Hex != binary.SHA512 {
			continue
		}
		if found, err := h.lookAt(binary, known); err == nil && found.sameContent(binary) {
			return g, nil
		}
	}
	return nil, nil
}

// Change is a planned change: what is wanted, what it starts from, and the way.
type Change struct {
	Want *Generation
	// Have is what was installed last; nil on a host without.
	Have *Generation
	Seen *Seen
	Plan *Plan
	// Artifact is where a binary that has to be staged comes from.
	Artifact release.Artifact
	// Rendered is what the binary must know; nil for what was installed before.
	Rendered *config.Rendered

	// states are checkpoints of resource managers that the plan removes.
	states []File
}

// Prepare plans the way to a generation that was built. It changes nothing.
func (h *Host) Prepare(ctx context.Context, b *Built) (*Change, error) {
	have, err := h.Store().Current()
	if err != nil {
		return nil, err
	}
	if have != nil && have.Snapshot { // an uninstall did not get to its end
		all, err := h.Store().List()
		if err != nil {
			return nil, err
		}
		have = merge(have, all)
	}
	return h.prepareOver(ctx, b, have)
}

// prepareOver plans the way from what was installed last to a generation.
func (h *Host) prepareOver(ctx context.Context, b *Built, have *Generation) (*Change, error) {
	for _, name := range have.masks() { // once adopted, a kubelet is not given back before it is uninstalled
		if b.file(path.Join(dropInDir, name)).Kind == Absent {
			b.Mask([]string{name})
		}
	}
	if err := h.addRecovery(b.Generation); err != nil {
		return nil, err
	}
	c, err := h.prepare(ctx, b.Generation, have)
	if err != nil {
		return nil, err
	}
	c.Artifact, c.Rendered = b.Artifact, b.Rendered
	return c, nil
}

func (h *Host) prepare(ctx context.Context, want, have *Generation) (*Change, error) {
	seen, err := h.Observe(ctx, want, have)
	if err != nil {
		return nil, err
	}
	var errs []error
	for path, err := range seen.Unreadable {
		errs = append(errs, fmt.Errorf("looking at %s: %w", path, err))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Change{Want: want, Have: have, Seen: seen, Plan: NewPlan(want, have, seen)}, nil
}

// PrepareUninstall plans the way back to what the host was before the first install. It returns nil when nothing is
// installed. It changes nothing. For a purge no kubelet is to run afterwards, also not the one of before.
func (h *Host) PrepareUninstall(ctx context.Context, purge bool) (*Change, error) {
	store := h.Store()
	current, err := store.Current()
	if err != nil || current == nil {
		return nil, err
	}
	origin, err := store.Load(0)
	if err != nil {
		return nil, err
	}
	for i, u := range origin.Units {
		if purge && u.Run == Running {
			origin.Units[i].Run = Stopped
		}
	}
	all, err := store.List()
	if err != nil {
		return nil, err
	}
	installed := merge(current, all)
	for _, dir := range installed.Dirs {
		if strings.HasPrefix(StateDir, dir+"/") {
			h.parents = append(h.parents, dir)
		}
	}
	return h.prepare(ctx, origin, installed)
}

// merge is everything that any generation installed, with the current one's word first.
func merge(current *Generation, all []*Generation) *Generation {
	m := *current
	m.Files, m.Units, m.Dirs = slices.Clone(current.Files), slices.Clone(current.Units), slices.Clone(current.Dirs)
	for _, g := range slices.Backward(all) {
		for _, f := range g.Files {
			if m.file(f.Path).Kind == Absent {
				m.Files = append(m.Files, f)
			}
		}
		for _, u := range g.Units {
			if _, known := m.unit(u.Name); !known {
				m.Units = append(m.Units, u)
			}
		}
		for _, d := range g.Dirs {
			if !slices.Contains(m.Dirs, d) {
				m.Dirs = append(m.Dirs, d)
			}
		}
	}
	return &m
}

// Problem is something that keeps this host from running this kubelet, or may.
type Problem struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// Severity of a Problem.
type Severity string

const (
	// Failure: it can not work.
	Failure Severity = "error"
	// Warning: it works, or may, but not as it should.
	Warning Severity = "warning"
	// Info: worth knowing.
	Info Severity = "info"
)

// stamp fills in what only the clock and the machine know.
func (g *Generation) stamp(n int, verb string) {
	g.Number, g.Verb, g.Created = n, verb, time.Now().UTC().Truncate(time.Second)
	if u, err := user.Current(); err == nil {
		g.By = u.Username
		if sudo := os.Getenv("SUDO_USER"); sudo != "" {
			g.By = sudo + " (sudo)"
		}
	}
}

// ChangedDefaults lists what will be different, with another minor release, although nobody asked for it.
func (c *Change) ChangedDefaults() []config.Item {
	if c.Have == nil || c.Have.Spec == nil || c.Rendered == nil || c.Have.Version.Minor() == c.Want.Version.Minor() {
		return nil
	}
	old, err := c.Have.Spec.render(c.Have.Version, nil)
	if err != nil {
		return nil // it was rendered by a kubeletctl that knew other tables
	}
	return config.ChangedDefaults(old, config.Minor(c.Have.Version.Minor()), c.Rendered, config.Minor(c.Want.Version.Minor()))
}

// Notes are what rendering had to say about a spec, as lines for people.
func (b *Built) Notes() []string {
	var lines []string
	for _, n := range b.Rendered.Notes {
		lines = append(lines, fmt.Sprintf("%s: %s (%s)", n.Item, n.What, n.Why))
	}
	for _, w := range b.Rendered.Warnings {
		lines = append(lines, config.Problem(w).Error())
	}
	return lines
}
