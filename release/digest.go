package release

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest is the checksum of a file. The zero value means none.
type Digest struct {
	Algorithm string // sha256 or sha512
	Hex       string // lower case
}

// hexLength has the algorithms that are strong enough to install by. Upstream
// also has MD5 and SHA-1 files up to v1.17; they are not asked.
var hexLength = map[string]int{"sha256": 64, "sha512": 128}

// ParseDigest checks length and alphabet; surrounding space, upper case and the
// algorithm in front of it, as String writes it, do not matter.
func ParseDigest(algorithm, text string) (Digest, error) {
	d := Digest{strings.ToLower(strings.TrimSpace(algorithm)), strings.ToLower(strings.TrimSpace(text))}
	d.Hex = strings.TrimPrefix(d.Hex, d.Algorithm+":")
	want, known := hexLength[d.Algorithm]
	if !known {
		return Digest{}, fmt.Errorf("%q is not a digest algorithm that kubeletctl uses: sha256 and sha512 are", algorithm)
	}
	if len(d.Hex) != want {
		like := ""
		switch len(d.Hex) {
		case 32:
			like = " (that is the length of an MD5)"
		case 40:
			like = " (that is the length of a SHA-1)"
		case 64:
			like = " (that is the length of a sha256)"
		case 128:
			like = " (that is the length of a sha512)"
		}
		return Digest{}, fmt.Errorf("a %s has %d hex digits, this text has %s%s", d.Algorithm, want, FormatCount(len(d.Hex), "character", "characters"), like)
	}
	if _, err := hex.DecodeString(d.Hex); err != nil {
		return Digest{}, fmt.Errorf("a %s has only the digits 0-9 and a-f", d.Algorithm)
	}
	return d, nil
}

// String returns "sha256:<hex>", and "" for the zero value.
func (d Digest) String() string {
	if d.IsZero() {
		return ""
	}
	return d.Algorithm + ":" + d.Hex
}

// IsZero says that there is no digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText writes the form of String.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the form of String, and "" as the zero value.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Digest{}
		return nil
	}
	algorithm, rest, found := strings.Cut(string(text), ":")
	if !found {
		return fmt.Errorf("%q is not a digest: write sha256:<hex> or sha512:<hex>", text)
	}
	parsed, err := ParseDigest(algorithm, rest)
	if err == nil {
		*d = parsed
	}
	return err
}

// The table of published digests, one release a line in version order:
//
//	v1.36.4 amd64=<sha256> arm64=<sha256> ppc64le=<sha256>
//
// It holds what upstream published for v1.15.0 to v1.36.4 as collected by
// kubernetes-sigs/kubespray. scripts/published adds a release as one more line:
// the content of upstream's kubelet.sha256, read over https, best on two
// networks. A line is never changed: upstream does not publish a version twice.
//
//go:embed published.txt
var published string

// PublishedDigest returns the digest that upstream published for a kubelet, when
// the built-in table has it.
func PublishedDigest(v Version, arch string) (Digest, bool) {
	if v.IsZero() || arch == "" {
		return Digest{}, false
	}
	_, line, found := strings.Cut("\n"+published, "\n"+v.String()+" ")
	if !found {
		return Digest{}, false
	}
	line, _, _ = strings.Cut(line, "\n")
	for _, field := range strings.Fields(line) {
		if name, sum, _ := strings.Cut(field, "="); name == arch {
			return Digest{"sha256", sum}, true
		}
	}
	return Digest{}, false
}

// lastPublished returns the newest release in the table.
func lastPublished() Version {
	lines := strings.Split(strings.TrimSpace(published), "\n")
	name, _, _ := strings.Cut(lines[len(lines)-1], " ")
	v, _ := ParseVersion(name)
	return v
}

// PublishedVersions lists the releases in the table that begin with prefix,
// oldest first.
func PublishedVersions(prefix string) (all []Version) {
	for line := range strings.Lines(published) {
		if name, _, _ := strings.Cut(line, " "); strings.HasPrefix(name, prefix) {
			if v, err := ParseVersion(name); err == nil {
				all = append(all, v)
			}
		}
	}
	return all
}

// newestPublished returns the newest release of a minor in the table that has
// a kubelet for arch.
func newestPublished(minor int, arch string) (newest Version) {
	prefix := fmt.Sprintf("v1.%d.", minor)
	for line := range strings.Lines(published) {
		if strings.HasPrefix(line, prefix) && strings.Contains(line, " "+arch+"=") {
			name, _, _ := strings.Cut(line, " ")
			if v, err := ParseVersion(name); err == nil && v.Compare(newest) > 0 {
				newest = v
			}
		}
	}
	return newest
}
