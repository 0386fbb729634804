package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path"
	"slices"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Resolution is the artifact that a spec leads to.
type Resolution struct {
	release.Artifact
	// Tools are those of the programs beside kubelet.
	Tools []Resolution
	// Installed is a generation that has its binary on the host already; nil when it has to be fetched.
	Installed *plan.Generation
	// AcceptedFlags are those that the binary itself lists; nil when it was not asked.
	AcceptedFlags map[string]bool
}

// Draft is a generation fresh from a spec, with what there is to say about it.
type Draft struct {
	*plan.Generation
	Spec     Spec
	Rendered *config.Rendered
	Artifact release.Artifact
	// Tools are the artifacts of the programs beside kubelet.
	Tools []release.Artifact

	accepted map[string]bool // the flags that the binary itself lists; nil when it was not asked
}

// Build renders a generation from a spec and the artifact that it resolved to. It is pure. Number, Created and Verb are
// left to the caller.
func Build(s Spec, positions config.Positions, a Resolution) (*Draft, error) {
	in, err := s.input(a.Version, positions)
	if err != nil {
		return nil, err
	}
	in.Accepted = a.AcceptedFlags
	r, err := config.Render(in)
	if err != nil {
		return nil, err
	}
	g := &plan.Generation{
		Version: a.Version, Arch: a.Arch, Trust: a.Trust, Digest: a.Digest, DigestFrom: a.From,
		Expanded: slices.Clone(s.Expand), Keep: s.KeepGenerations,
	}
	recorded := s.recorded(a.Version)
	recorded.With = nil
	var tools []release.Artifact
	for _, t := range a.Tools {
		recorded.AddTool(t.Program)
		recorded.With[t.Program] = t.Version.String()
		tools = append(tools, t.Artifact)
	}
	if g.Spec, err = json.Marshal(record{*recorded, s.Origins, s.Asked, s.HostDefaults}); err != nil {
		return nil, err
	}
	binary := s.binary(a, plan.Binary)
	if a.Installed != nil {
		g.URL = a.Installed.URL
	}
	link := plan.File{Path: path.Join(s.BinDir(), release.Kubelet), Kind: plan.Link, Target: path.Base(binary.Path)}
	unit := systemd.KubeletUnit{Binary: link.Path, Args: r.Args, Expanded: r.Expanded}
	if s.Profile == config.Kubeadm {
		g.Files = append(g.Files, binary, link)
		s.kubeadm(g, unit)
	} else {
		g.Files = append(g.Files, binary, plan.TextFile(hostfs.ConfigFile, 0o600, r.Config), link)
		s.configured(g, unit, r)
	}
	s.addTools(g, a.Tools)
	g.Units = append(g.Units, plan.Unit{Name: systemd.KubeletService, Enabled: true, Run: plan.Running})
	return &Draft{Generation: g, Spec: s, Rendered: r, Artifact: a.Artifact, Tools: tools, accepted: a.AcceptedFlags}, nil
}

// configured adds what a kubelet has that kubeletctl configures: its unit with all its flags, and what starts it when its
// credentials come.
func (s Spec) configured(g *plan.Generation, unit systemd.KubeletUnit, r *config.Rendered) {
	unit.RuntimeEndpoint, unit.Watchdog = runtimeEndpoint(r), answersWatchdog(g.Version, r)
	for _, name := range []string{"kubeconfig", "bootstrap-kubeconfig"} {
		if file, ok := config.Argument(r.Args, name); ok {
			unit.Credentials = append(unit.Credentials, file)
		}
	}
	g.Args, g.RootDir, g.HealthURL = r.Args, rootDir(r.Args), HealthURL(r.Fields)
	g.Credentials, g.StartFiles = unit.Credentials, StartFiles(g.Version, r.Fields)
	if s.HostDefaults > 0 {
		g.PodDir = podDir(r.Fields)
	}
	g.Files = append(g.Files, plan.TextFile(path.Join(hostfs.UnitDir, systemd.KubeletService), s.unitMode(), unit.Service()))
	if len(unit.Credentials) > 0 {
		g.Files = append(g.Files, plan.TextFile(path.Join(hostfs.UnitDir, systemd.KubeletPath), 0o644, unit.Path()))
		g.Units = append(g.Units, plan.Unit{Name: systemd.KubeletPath, Enabled: true, Run: plan.Running})
	}
}

// unitMode is the mode of the unit: the CIS benchmark wants 0600 (4.1.1).
func (s Spec) unitMode() fs.FileMode {
	if s.Profile != "" && s.Profile != config.Hardened || s.HostDefaults == 0 {
		return 0o644
	}
	return 0o600
}

// recorded is the spec as it is kept: with the exact version, without the digest of another one, and without secrets in its
// URLs.
func (s Spec) recorded(v release.Version) *Spec {
	s.APIVersion, s.Kind, s.Version, s.NoStart = APIVersion, Kind, v.String(), false // that was for one run
	if !s.Pin.For.IsZero() && s.Pin.For != v {
		s.SHA256, s.SHA512 = "", ""
	}
	s.Sources = slices.Clone(s.Sources)
	for i, source := range s.Sources {
		s.Sources[i] = release.Redact(source)
	}
	return &s
}

func runtimeEndpoint(r *config.Rendered) string {
	if endpoint, ok := config.Argument(r.Args, "container-runtime-endpoint"); ok {
		return endpoint
	}
	endpoint, _ := r.Fields["containerRuntimeEndpoint"].(string)
	return endpoint
}

// answersWatchdog reports whether a kubelet gives systemd the signs of life that WatchdogSec= asks for: from 1.32 on, and
// until 1.35 behind a gate that can be turned off.
func answersWatchdog(v release.Version, r *config.Rendered) bool {
	if v.Minor() < 32 || v.Minor() > 34 {
		return v.Minor() > 34
	}
	gates, _ := r.Fields["featureGates"].(map[string]any)
	if on, given := gates["SystemdWatchdog"]; given {
		return on == true
	}
	return gates["AllBeta"] != false
}

// StartFiles are the files that a configuration names and that kubelet reads only when it starts. It reloads the client CA in
// all releases, and the serving certificate from 1.31 on, where the gate ReloadKubeletServerCertificateFile is on
// (k8s.io/kubernetes/pkg/features).
func StartFiles(v release.Version, fields map[string]any) []string {
	if v.Minor() >= 31 {
		return nil
	}
	var files []string
	for _, field := range []string{"tlsCertFile", "tlsPrivateKeyFile"} {
		if file, ok := fields[field].(string); ok && path.IsAbs(file) {
			files = append(files, file)
		}
	}
	return files
}

// podDir is the directory of static pods; empty when there is none, or when it is a single file.
func podDir(fields map[string]any) string {
	dir, _ := fields["staticPodPath"].(string)
	if !path.IsAbs(dir) || path.Ext(dir) != "" {
		return ""
	}
	return path.Clean(dir)
}

// rootDir is where a kubelet with these arguments keeps its data.
func rootDir(args []string) string {
	if dir, given := config.Argument(args, "root-dir"); given {
		return path.Clean(dir)
	}
	return hostfs.KubeletDir
}

// HealthURL is where a kubelet with this configuration answers; kubelet's defaults are 127.0.0.1 and 10248, and port 0
// turns it off.
func HealthURL(fields map[string]any) string {
	address, port := "127.0.0.1", "10248"
	if a, ok := fields["healthzBindAddress"].(string); ok && a != "" {
		address = a
	}
	if ip := net.ParseIP(address); ip != nil && ip.IsUnspecified() {
		address = "127.0.0.1"
	}
	if p, ok := fields["healthzPort"]; ok {
		port = fmt.Sprint(p)
	}
	if port == "0" {
		return ""
	}
	return "http://" + net.JoinHostPort(address, port) + "/healthz"
}

// Notes are what rendering had to say about a spec. What it said of the installed generation, nil for none, is not said again.
func (d *Draft) Notes(have *plan.Generation) (notes []Remark) {
	var told []string
	if former := d.former(have); former != nil {
		for _, r := range remarks(former) {
			told = append(told, r.what)
		}
	}
	return slices.DeleteFunc(remarks(d.Rendered), func(r Remark) bool { return slices.Contains(told, r.what) })
}

// Remark is something that rendering had to say.
type Remark struct {
	// Line is for people, and tells also where it was written.
	Line    string
	Warning bool

	what string
}

func remarks(r *config.Rendered) (all []Remark) {
	for _, n := range r.Notes {
		line := fmt.Sprintf("%s: %s (%s)", n.Item, n.What, n.Why)
		all = append(all, Remark{Line: line, what: line})
	}
	for _, w := range r.Warnings {
		what := w
		what.Position = config.Position{}
		all = append(all, Remark{Line: w.Error(), Warning: true, what: what.Error()})
	}
	return all
}

// former is what was rendered for the installed generation; nil when there is none, or when that cannot be told.
func (d *Draft) former(have *plan.Generation) *config.Rendered {
	if have == nil {
		return nil
	}
	recorded, err := Recorded(have)
	if err != nil {
		return nil
	}
	in, err := recorded.input(have.Version, nil)
	if err != nil {
		return nil
	}
	if have.Version == d.Version {
		in.Accepted = d.accepted
	}
	r, err := config.Render(in)
	if err != nil {
		return nil // it was rendered by a kubeletctl that knew other tables
	}
	return r
}

// Recorded is the spec that a generation was built from, with its exact version. A pinned digest in it belongs to that
// version. It fails when the record has no spec, or none that can be read.
func Recorded(g *plan.Generation) (Spec, error) {
	var r record
	if g.SpecHidden {
		return Spec{}, fmt.Errorf("reading the recorded spec: %w", fs.ErrPermission)
	}
	if len(g.Spec) == 0 {
		return Spec{}, ErrNoSpec
	}
	if err := config.DecodeJSON(g.Spec, &r); err != nil {
		return Spec{}, fmt.Errorf("reading the recorded spec: %w", err)
	}
	s := r.Spec
	s.NoStart = false
	s.Origins, s.Asked, s.HostDefaults = r.Origins, r.Asked, r.HostDefaults
	s.Pin = Pin{From: FromRecord, For: g.Version}
	return s, nil
}

// record is a spec as a generation keeps it.
type record struct {
	Spec
	Origins map[string]Origin `json:"origins,omitempty"`
	Asked   map[string]any    `json:"asked,omitempty"`

	HostDefaults int `json:"hostDefaults,omitempty"`
}

// ErrNoSpec reports that the record of a generation has no spec.
var ErrNoSpec = errors.New("the record has no spec")

// ChangedDefaults lists what is different although nobody asked for it: what was chosen for this host, and what another minor
// release brings.
func (d *Draft) ChangedDefaults(have *plan.Generation) []config.Item {
	return append(slices.Clone(d.Spec.Chosen), d.minorDefaults(have)...)
}

func (d *Draft) minorDefaults(have *plan.Generation) []config.Item {
	if have == nil || have.Version.Minor() == d.Version.Minor() || d.Kubeadm { // which says itself what it wants
		return nil
	}
	old := d.former(have)
	if old == nil {
		return nil
	}
	return config.ChangedDefaults(old, config.Minor(have.Version.Minor()), d.Rendered, config.Minor(d.Version.Minor()))
}
