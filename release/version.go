package release

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/Masterminds/semver/v3"
)

// Version is one exact Kubernetes release. It is comparable; the zero value
// means none.
type Version struct {
	major, minor, patch uint64
	pre                 string // "alpha.1", without the dash
}

const exactForm = "write it as v1.36.3"

// ParseVersion reads "v1.36.3", "1.36.3" or a pre-release as "v1.38.0-alpha.1".
func ParseVersion(s string) (Version, error) {
	bad := func(why string) error {
		return &hinted{fmt.Errorf("%q is not a Kubernetes version: %s", s, why), exactForm}
	}
	text := strings.TrimPrefix(s, "v")
	parsed, err := semver.StrictNewVersion(text)
	switch {
	case s == "":
		return Version{}, bad("it is empty")
	case minorForm.MatchString(s):
		return Version{}, bad("the patch number is missing")
	case errors.Is(err, semver.ErrSegmentStartsZero):
		return Version{}, bad("a number starts with 0")
	case err != nil:
		return Version{}, bad("three numbers with dots between them are expected")
	case parsed.Metadata() != "":
		upstream := Version{parsed.Major(), parsed.Minor(), parsed.Patch(), ""}
		return Version{}, &hinted{fmt.Errorf("%q is not a Kubernetes version: upstream releases have no +suffix", s), "ask for " + upstream.String()}
	case parsed.Major() != 1:
		return Version{}, bad("the first number is always 1")
	}
	return Version{parsed.Major(), parsed.Minor(), parsed.Patch(), parsed.Prerelease()}, nil
}

// String returns the form that upstream uses in its paths, "v1.36.3", and ""
// for the zero value.
func (v Version) String() string {
	if v.IsZero() {
		return ""
	}
	s := fmt.Sprintf("v%d.%d.%d", v.major, v.minor, v.patch)
	if v.pre != "" {
		s += "-" + v.pre
	}
	return s
}

// Minor returns 36 for v1.36.3.
func (v Version) Minor() int { return int(v.minor) }

// Pre says that this is a pre-release.
func (v Version) Pre() bool { return v.pre != "" }

// upstreamPre is how upstream names its pre-releases.
var upstreamPre = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(alpha|beta|rc)\.[0-9]+$`)
})

// foreign is the suffix of a version of somebody else's, as "-eks-a737599" or
// "-1.1", and the release that it stands for; "" for upstream's own.
func (v Version) foreign() (suffix string, upstream Version) {
	if v.pre == "" || upstreamPre().MatchString(v.pre) {
		return "", v
	}
	return "-" + v.pre, Version{v.major, v.minor, v.patch, ""}
}

// IsZero says that this is no version at all.
func (v Version) IsZero() bool { return v == Version{} }

// Compare returns -1, 0 or +1. A pre-release comes before its release.
func (v Version) Compare(w Version) int {
	return semver.New(v.major, v.minor, v.patch, v.pre, "").
		Compare(semver.New(w.major, w.minor, w.patch, w.pre, ""))
}

// MarshalText writes the form of String.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText accepts what ParseVersion accepts, and "" as the zero value.
func (v *Version) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*v = Version{}
		return nil
	}
	parsed, err := ParseVersion(string(text))
	if err == nil {
		*v = parsed
	}
	return err
}

// Request is what a user asks for. The zero value asks for the newest stable
// release.
type Request struct {
	exact Version
	minor string // "36" of the form 1.36
	name  string // a channel as upstream names its marker: "stable", "latest-1.36"
}

var (
	minorForm   = regexp.MustCompile(`^v?1\.(0|[1-9][0-9]{0,3})$`)
	channelForm = regexp.MustCompile(`^(stable|latest)(-1(\.(0|[1-9][0-9]{0,3}))?)?$`)
)

// ParseRequest reads an exact version, a minor ("1.36", "v1.36") or a channel
// (stable, latest, stable-1, latest-1, stable-1.36, latest-1.36). "" is stable.
func ParseRequest(s string) (Request, error) {
	if s == "" {
		s = "stable"
	}
	if m := minorForm.FindStringSubmatch(s); m != nil {
		return Request{minor: m[1]}, nil
	}
	if channelForm.MatchString(s) {
		return Request{name: s}, nil
	}
	v, err := ParseVersion(s)
	if err != nil {
		const forms = "accepted are a version (v1.36.3), a minor (1.36) and a channel (stable, latest, stable-1.36, latest-1.36)"
		if digits := strings.TrimPrefix(s, "v"); digits == "" || digits[0] < '0' || digits[0] > '9' {
			if strings.Contains(s, "@") { // a URL that got into the wrong place
				s = Redact(s)
			}
			err = fmt.Errorf("%q is neither a Kubernetes version nor a channel", s)
		}
		hint := "write it as v1.36.3, 1.36 or stable"
		if known, ok := errors.AsType[*hinted](err); ok && known.hint != exactForm {
			hint = known.hint // which release is meant
		}
		return Request{}, &hinted{fmt.Errorf("%w; %s", err, forms), hint}
	}
	return Request{exact: v}, nil
}

// Exact returns the version when the request names one.
func (r Request) Exact() (Version, bool) { return r.exact, !r.exact.IsZero() }

// Minor returns the minor of all releases that can be the answer, when the request names one.
func (r Request) Minor() (minor int, known bool) {
	if v, exact := r.Exact(); exact {
		return v.Minor(), true
	}
	_, line, _ := strings.Cut(strings.TrimSuffix(r.marker(), ".txt"), "-1.")
	minor, err := strconv.Atoi(line)
	return minor, err == nil
}

// String returns the request as a user would write it.
func (r Request) String() string {
	switch {
	case !r.exact.IsZero():
		return r.exact.String()
	case r.minor != "":
		return "1." + r.minor
	case r.name != "":
		return r.name
	}
	return "stable"
}

// marker is the name of the file at a source that answers the request.
func (r Request) marker() string {
	if r.minor != "" {
		return "stable-1." + r.minor + ".txt"
	}
	return r.String() + ".txt"
}

// fits reports whether v can be the answer to the request: a marker that was
// mixed up by a mirror would otherwise install another minor than asked.
func (r Request) fits(v Version) error {
	if minor, known := r.Minor(); known && minor != v.Minor() {
		return fmt.Errorf("it names %s, which is not of 1.%d", v, minor)
	}
	if strings.HasPrefix(r.marker(), "stable") && v.pre != "" {
		return fmt.Errorf("it names %s, which is a pre-release", v)
	}
	return nil
}

// MinorOf is the minor of what calls itself a release of Kubernetes, also with what a distribution adds: 37 for v1.37.2+k3s1.
func MinorOf(version string) (minor int, known bool) {
	_, err := fmt.Sscanf(version, "v1.%d.", &minor)
	return minor, err == nil
}
