package release

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/google/renameio/v2"
)

// Mirrored is one program in a directory in release layout.
type Mirrored struct {
	Program string  `json:"program,omitempty"` // one of Tools; empty for kubelet
	Version Version `json:"version"`
	Arch    string  `json:"arch"`
	// State is what was found, or done.
	State MirrorState `json:"state,omitempty"`
	// Trust is how well its digest is known: published, when it is the one that upstream published, else checksum.
	Trust  Trust  `json:"trust,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Size   int64  `json:"size,omitempty"` // bytes
	// Problem says why it is not to be used.
	Problem string `json:"problem,omitempty"`
}

// MirrorState is what happened to a file of a mirror.
type MirrorState string

// The states of a Mirrored.
const (
	MirrorFetched MirrorState = "fetched"
	MirrorPresent MirrorState = "present" // and right
	MirrorPruned  MirrorState = "pruned"
	MirrorBad     MirrorState = "bad"
)

// mirrorAtOnce is how many programs are fetched at the same time.
const mirrorAtOnce = 2

// MirrorOptions say what a mirror is to have.
type MirrorOptions struct {
	Dir      string
	Versions []Version
	// Channels get a marker, also when the directory has none of them yet. None may be an exact version.
	Channels []Request
	Archs    []string
	// With are those of Tools that come with each kubelet.
	With []string
	// Least is the trust that the digest of each must have; empty for any.
	Least Trust
	// Done, which may be nil, is called for each, one at a time and never during a call of the Client's Note or Progress.
	Done func(Mirrored)
}

// Artifact names the program.
func (m Mirrored) Artifact() Artifact {
	return Artifact{Program: m.Program, Version: m.Version, Arch: m.Arch}
}

// Path is where the program is, below the directory.
func (m Mirrored) Path() string { return programPath(m.Artifact().Name(), m.Version, m.Arch) }

// each calls f for each program of each version and architecture.
func (o MirrorOptions) each(f func(m Mirrored)) {
	for _, v := range o.Versions {
		for _, arch := range o.Archs {
			f(Mirrored{Version: v, Arch: arch})
			for _, tool := range o.With {
				f(Mirrored{Program: tool, Version: v, Arch: arch})
			}
		}
	}
}

// Mirror makes a directory in release layout hold these releases for these architectures, with checksum files, and the
// markers of the channels; those that it has already are kept right. What is there and right is not fetched again; what was
// interrupted goes on. An error of one does not keep the others from being fetched.
func (c *Client) Mirror(ctx context.Context, o MirrorOptions) error {
	var mu sync.Mutex // for all that the caller hears, and errs
	var errs []error
	c = c.serialized(&mu)
	slots := make(chan struct{}, mirrorAtOnce)
	var running sync.WaitGroup
	o.each(func(m Mirrored) {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			m, err := c.mirror(ctx, o, m)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				errs = append(errs, err)
			case o.Done != nil:
				o.Done(m)
			}
		})
	})
	running.Wait()
	o.each(func(m Mirrored) { // a download that failed leaves directories
		removeEmpty(o.Dir, filepath.Join(o.Dir, m.Path()))
	})
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	return errors.Join(append(errs, writeMarkers(o.Dir, o.Channels))...)
}

// serialized is the same client for several goroutines: it calls Note and Progress with mu held.
func (c *Client) serialized(mu *sync.Mutex) *Client {
	locked := *c
	if c.Note != nil {
		locked.Note = func(line string) {
			mu.Lock()
			defer mu.Unlock()
			c.Note(line)
		}
	}
	if c.Progress != nil {
		locked.Progress = func(p Progress) {
			mu.Lock()
			defer mu.Unlock()
			c.Progress(p)
		}
	}
	return &locked
}

// mirror makes one program be in a mirror.
func (c *Client) mirror(ctx context.Context, o MirrorOptions, m Mirrored) (Mirrored, error) {
	file := filepath.Join(o.Dir, m.Path())
	if m := examine(o.Dir, m); m.State == MirrorPresent && m.Trust.Meets(o.Least) {
		return m, nil
	}
	if info, err := os.Lstat(file); err == nil && info.IsDir() {
		return Mirrored{}, &hinted{fmt.Errorf("%s is a directory", file), "remove it; a " + m.Artifact().Name() + " belongs there"}
	}
	a, err := c.artifact(ctx, m.Artifact(), Digest{})
	if missing := (*NotFoundError)(nil); errors.As(err, &missing) {
		return Mirrored{}, err
	}
	if err == nil {
		err = a.Require(o.Least)
	}
	if err != nil && a.isTool() {
		return Mirrored{}, err
	}
	if err != nil { // no digest can be given here, as an install would advise
		return Mirrored{}, advise(err, "the digests that upstream published are known up to "+lastPublished().String()+"; others need a source with https and checksum files")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return Mirrored{}, err
	}
	partial := filepath.Join(filepath.Dir(file), partPrefix+a.Name()+"-"+a.Digest.Hex[:16])
	fetched, err := c.Fetch(ctx, a, partial)
	if wrong := (*VerifyError)(nil); errors.As(err, &wrong) && a.Trust == Published { // no digest can be given here either
		return Mirrored{}, &hinted{err, "the source does not have what upstream published as " + m.Version.String() + ": name another --source"}
	}
	if err != nil {
		return Mirrored{}, err
	}
	if err := os.Chmod(partial, 0o755); err != nil {
		return Mirrored{}, err
	}
	if err := a.Check(ctx, partial); err != nil {
		return Mirrored{}, errors.Join(err, os.Remove(partial))
	}
	_, of512, err := sums(partial)
	if err != nil {
		return Mirrored{}, err
	}
	// The binary comes last: whoever finds it finds its checksums, too.
	for suffix, sum := range map[string]string{".sha256": fetched.SHA256, ".sha512": of512} {
		if err := renameio.WriteFile(file+suffix, []byte(sum), 0o644, renameio.WithTempDir(filepath.Dir(file))); err != nil {
			return Mirrored{}, err
		}
	}
	if err := os.Rename(partial, file); err != nil {
		return Mirrored{}, err
	}
	m.State, m.Trust, m.SHA256, m.Size = MirrorFetched, a.Trust, fetched.SHA256, fetched.Size
	return m, nil
}

// partPrefix begins the names of what is not complete yet in a mirror.
const partPrefix = ".part-"

// removeEmpty removes the directories that a file was to be in, below dir, as far as nothing is in them.
func removeEmpty(dir, file string) {
	for empty := filepath.Dir(file); empty != dir && os.Remove(empty) == nil; empty = filepath.Dir(empty) {
	}
}

// examine holds a program of a mirror against the checksum files beside it and against what upstream published.
func examine(dir string, m Mirrored) Mirrored {
	m.State = MirrorBad
	file := filepath.Join(dir, m.Path())
	info, err := os.Lstat(file)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	var of512 string
	if err == nil {
		m.Size = info.Size()
		m.SHA256, of512, err = sums(file)
	}
	if err != nil {
		m.Problem = pathless(err).Error()
		return m
	}
	if d, known := PublishedDigest(m.Version, m.Arch); known && m.Program == "" {
		if d.Hex != m.SHA256 {
			m.Problem = fmt.Sprintf("its sha256 is %s, upstream published %s", m.SHA256, d.Hex)
			return m
		}
		m.Trust = Published
	}
	for _, d := range []Digest{{"sha512", of512}, {"sha256", m.SHA256}} {
		body, err := readSmall(file + "." + d.Algorithm)
		if err != nil {
			m.Problem = fmt.Sprintf("its .%s file: %v", d.Algorithm, pathless(err))
			return m
		}
		said, err := parseChecksumFile(m.Artifact().Name(), d.Algorithm, body)
		if err != nil {
			m.Problem = fmt.Sprintf("its .%s file: %v", d.Algorithm, err)
			return m
		}
		if said != d {
			m.Problem = fmt.Sprintf("its %s is %s, its checksum file says %s", d.Algorithm, d.Hex, said.Hex)
			return m
		}
	}
	if err := CheckHeader(file, m.Arch); err != nil {
		m.Problem = err.Error()
		return m
	}
	if m.State = MirrorPresent; m.Trust == "" {
		m.Trust = Checksum
	}
	return m
}

func sums(file string) (of256, of512 string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	h256, h512 := sha256.New(), sha512.New()
	if _, err := io.Copy(io.MultiWriter(h256, h512), f); err != nil {
		return "", "", err
	}
	return fmt.Sprintf("%x", h256.Sum(nil)), fmt.Sprintf("%x", h512.Sum(nil)), nil
}

// CheckMirror examines every kubelet of a directory in release layout, in version order, and the tools with a checksum file
// beside them; also those of which only a checksum file is there. It asks nobody.
func CheckMirror(dir string) ([]Mirrored, error) {
	list, err := InMirror(dir)
	if err != nil {
		return nil, err
	}
	for _, program := range append([]string{""}, Tools()...) {
		for _, suffix := range []string{".sha256", ".sha512"} {
			more, err := inMirror(dir, program, func(m Mirrored) string { return m.Path() + suffix })
			if err != nil {
				return nil, err
			}
			for _, m := range more {
				if !slices.Contains(list, m) {
					list = append(list, m)
				}
			}
		}
	}
	sortMirrored(list)
	for i, m := range list {
		list[i] = examine(dir, m)
	}
	return list, nil
}

func sortMirrored(list []Mirrored) {
	slices.SortStableFunc(list, func(x, y Mirrored) int { return x.Version.Compare(y.Version) })
}

// BadMarker is a marker of a mirror that leads nowhere.
type BadMarker struct{ Name, Channel, Problem string }

// CheckMarkers examines the markers of a directory in release layout.
func CheckMarkers(dir string) (bad []BadMarker, err error) {
	list, err := InMirror(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		name := entry.Name()
		if !markerName().MatchString(name) {
			continue
		}
		channel := strings.TrimSuffix(name, ".txt")
		if problem := checkMarker(filepath.Join(dir, name), channel, list); problem != "" {
			bad = append(bad, BadMarker{name, channel, problem})
		}
	}
	return bad, nil
}

// checkMarker says what is wrong with the marker of a channel in a mirror that has these kubelets; nothing when it is right.
func checkMarker(file, channel string, list []Mirrored) string {
	body, err := readSmall(file)
	if err != nil {
		return pathless(err).Error()
	}
	v, err := ParseVersion(strings.TrimSpace(string(body)))
	if err != nil {
		return "it does not name a release"
	}
	request, err := ParseRequest(channel)
	if err == nil {
		err = request.fits(v)
	}
	if err != nil {
		return err.Error()
	}
	if !slices.ContainsFunc(list, func(m Mirrored) bool { return m.Version == v }) {
		return fmt.Sprintf("it names %s, which is not there", v)
	}
	return ""
}

// InSource lists the kubelets of a source that is a directory; others cannot be listed, and have none here.
func InSource(source string) ([]Mirrored, error) {
	dir, local := filePath(source)
	if !local {
		return nil, nil
	}
	list, err := InMirror(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, pathless(err))
	}
	return list, nil
}

// InMirror lists the kubelets of a directory in release layout, in version order, without a look into them.
func InMirror(dir string) ([]Mirrored, error) {
	return inMirror(dir, "", Mirrored.Path)
}

// inMirror lists a program of the releases of which a directory has the file that is named.
func inMirror(dir, program string, file func(Mirrored) string) ([]Mirrored, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []Mirrored
	for _, entry := range entries {
		v, err := ParseVersion(entry.Name())
		if err != nil || v.String() != entry.Name() {
			continue
		}
		for _, arch := range Architectures() {
			m := Mirrored{Program: program, Version: v, Arch: arch}
			if _, err := os.Lstat(filepath.Join(dir, file(m))); err == nil {
				list = append(list, m)
			}
		}
	}
	sortMirrored(list)
	return list, nil
}

// Prune takes everything out of a mirror that is not of these releases and architectures, and nothing that is not of a
// mirror.
func Prune(dir string, versions []Version, archs []string, done func(Mirrored)) error {
	// A run that was killed leaves directories with no more than a part of a file.
	list, err := inMirror(dir, "", func(m Mirrored) string { return filepath.Dir(m.Path()) })
	if err != nil {
		return err
	}
	resolved, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(resolved)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, m := range list {
		if slices.Contains(versions, m.Version) && slices.Contains(archs, m.Arch) {
			continue
		}
		below := filepath.Dir(m.Path())
		partials, _ := filepath.Glob(filepath.Join(resolved, below, partPrefix+"kube*"))
		programs := m.programsIn(root)
		isKubelet := func(p Mirrored) bool { return p.Program == "" }
		if !slices.ContainsFunc(programs, isKubelet) && len(partials) == 0 {
			continue // not of a mirror
		}
		// What a symlink leads to is not of this mirror, or is another release.
		if at, err := filepath.EvalSymlinks(filepath.Join(resolved, below)); err != nil || at != filepath.Join(resolved, below) {
			return &hinted{fmt.Errorf("%s is reached by a symlink", filepath.Join(dir, below)), "remove the symlink by hand; nothing behind it was touched"}
		}
		if len(programs) == 0 {
			programs = []Mirrored{m}
		}
		if err := prune(root, below, partials, programs); err != nil {
			return err
		}
		for _, p := range programs {
			p.State = MirrorPruned
			done(p)
		}
	}
	return writeMarkers(dir, nil)
}

// programsIn are the programs of a release that a mirror has: kubelet, and the tools with a checksum file beside them.
func (m Mirrored) programsIn(root *os.Root) (programs []Mirrored) {
	for program, file := range map[string]string{"": "", Kubeadm: ".sha256", Kubectl: ".sha256"} {
		m.Program = program
		if _, err := root.Lstat(m.Path() + file); !errors.Is(err, fs.ErrNotExist) {
			programs = append(programs, m)
		}
	}
	slices.SortFunc(programs, func(x, y Mirrored) int { return strings.Compare(x.Program, y.Program) })
	return programs
}

// prune removes programs and what was not complete from a directory of a mirror, and the directories that are empty then.
func prune(root *os.Root, below string, partials []string, programs []Mirrored) error {
	var names []string
	for _, name := range partials {
		names = append(names, filepath.Join(below, filepath.Base(name)))
	}
	for _, p := range programs {
		names = append(names, p.Path(), p.Path()+".sha256", p.Path()+".sha512") // the binary before its checksums
	}
	for _, name := range names {
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for empty := below; empty != "." && root.Remove(empty) == nil; empty = filepath.Dir(empty) {
	}
	return nil
}

var markerName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(stable|latest)(-1(\.\d+)?)?\.txt$`)
})

// writeMarkers makes the markers that a directory has, and those of the channels, name the newest release of each that is
// there, and removes the markers of channels without one.
func writeMarkers(dir string, channels []Request) error {
	list, err := InMirror(dir)
	if err != nil {
		return err
	}
	newest := map[string]Version{}
	for _, m := range list { // in version order
		for _, channel := range []string{"stable", "latest"} {
			if channel == "stable" && m.Version.Pre() {
				continue
			}
			for _, of := range []string{"", "-1", fmt.Sprintf("-1.%d", m.Version.Minor())} {
				newest[channel+of+".txt"] = m.Version
			}
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, r := range channels {
		wanted[r.marker()] = true
	}
	for _, entry := range entries {
		if markerName().MatchString(entry.Name()) {
			wanted[entry.Name()] = true
		}
	}
	for name := range wanted {
		if err := writeMarker(filepath.Join(dir, name), newest[name]); err != nil {
			return err
		}
	}
	return nil
}

// writeMarker makes a marker name a release; for none it removes the marker.
func writeMarker(file string, v Version) error {
	if v.IsZero() {
		if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if body, err := readSmall(file); err == nil && strings.TrimSpace(string(body)) == v.String() {
		return nil
	}
	return renameio.WriteFile(file, []byte(v.String()), 0o644, renameio.WithTempDir(filepath.Dir(file)))
}
