// Package mirror is a Kubernetes release mirror for tests and the demo: a
// directory in upstream's layout (WriteTree) and an HTTP server over it
// (Handler) that keeps a log of requests and can be told to misbehave.
package mirror

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Release is one program to put into a tree: its bytes, or a file that has them.
type Release struct {
	Program       string // kubelet when it is empty
	Version, Arch string
	Binary        []byte
	Path          string
}

// WriteTree adds releases to a tree: for each the program (a hard link where
// that is possible), its checksum files as upstream writes them (hex digits
// and nothing else), and then the markers of everything that is in the tree.
func WriteTree(dir string, rs ...Release) error {
	for _, r := range rs {
		if err := r.write(dir); err != nil {
			return fmt.Errorf("writing %s %s for %s: %w", r.name(), r.Version, r.Arch, err)
		}
	}
	return writeMarkers(dir)
}

func (r Release) name() string { return cmp.Or(r.Program, "kubelet") }

func (r Release) write(dir string) error {
	version, err := semver.NewVersion(r.Version)
	if err != nil {
		return err
	}
	target := filepath.Join(dir, "v"+version.String(), "bin", "linux", r.Arch, r.name())
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if err := os.Remove(target); err != nil && !os.IsNotExist(err) {
		return err
	}
	if r.Path == "" || os.Link(r.Path, target) != nil {
		if err := r.copy(target); err != nil {
			return err
		}
	}
	f, err := os.Open(target)
	if err != nil {
		return err
	}
	defer f.Close()
	sum256, sum512 := sha256.New(), sha512.New()
	if _, err := io.Copy(io.MultiWriter(sum256, sum512), f); err != nil {
		return err
	}
	if err := os.WriteFile(target+".sha256", fmt.Appendf(nil, "%x", sum256.Sum(nil)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(target+".sha512", fmt.Appendf(nil, "%x", sum512.Sum(nil)), 0o644)
}

func (r Release) copy(target string) error {
	var from io.Reader = bytes.NewReader(r.Binary)
	if r.Path != "" {
		f, err := os.Open(r.Path)
		if err != nil {
			return err
		}
		defer f.Close()
		from = f
	}
	to, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		return err
	}
	return to.Close()
}

// writeMarkers names the newest release of each channel.
func writeMarkers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	newest := map[string]*semver.Version{}
	for _, entry := range entries {
		v, err := semver.StrictNewVersion(strings.TrimPrefix(entry.Name(), "v"))
		if err != nil || !entry.IsDir() {
			continue
		}
		channels := []string{"latest"}
		if v.Prerelease() == "" {
			channels = append(channels, "stable")
		}
		for _, channel := range channels {
			for _, marker := range []string{"", fmt.Sprintf("-%d", v.Major()), fmt.Sprintf("-%d.%d", v.Major(), v.Minor())} {
				if old := newest[channel+marker]; old == nil || v.GreaterThan(old) {
					newest[channel+marker] = v
				}
			}
		}
	}
	for marker, v := range newest {
		if err := os.WriteFile(filepath.Join(dir, marker+".txt"), []byte("v"+v.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
