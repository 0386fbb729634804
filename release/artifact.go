package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
)

// Trust is how well the digest of an artifact is known. See the package comment.
type Trust string

// The kinds of trust, the strongest first.
const (
	Given     Trust = "given"
	Published Trust = "published"
	Checksum  Trust = "checksum"
)

// Trusts lists the kinds of trust, the strongest first.
func Trusts() []Trust { return []Trust{Given, Published, Checksum} }

// Meets reports whether a trust is at least as strong as another; any is as strong as none.
func (t Trust) Meets(least Trust) bool {
	return least == "" || t != "" && slices.Index(Trusts(), t) <= slices.Index(Trusts(), least)
}

// Require fails with a *VerifyError when the digest of an artifact is less
// well known than it has to be.
func (a Artifact) Require(least Trust) error {
	if a.Trust.Meets(least) {
		return nil
	}
	e := &VerifyError{
		Name:    a.String(),
		Problem: fmt.Sprintf("the trust in its digest is %q (from %s), %q is required", a.Trust, a.From, least),
		hint:    "give its digest with --sha256 or --sha512",
	}
	switch {
	case a.isTool():
		e.hint = toolHint
	case least == Published:
		e.hint += "; upstream's published digests are known up to " + lastPublished().String()
	}
	return e
}

// The programs of a release that are known here.
const (
	Kubelet = "kubelet"
	Kubeadm = "kubeadm"
	Kubectl = "kubectl"
)

// Tools are the programs that may come with a kubelet. Of their digests no table is built in, and none can be given.
func Tools() []string { return []string{Kubeadm, Kubectl} }

// toolHint says what to do where the checksum file of a tool is not trusted.
const toolHint = "the digests of kubeadm and kubectl are known from their checksum files alone: leave --require-trust out, and name a source with https"

// Artifact is one program of a release that can be fetched, and what it must be.
type Artifact struct {
	Program string   `json:"program,omitempty"` // one of Tools; empty for kubelet
	Version Version  `json:"version"`
	Arch    string   `json:"arch"`
	URLs    []string `json:"-"` // in order of preference; they may hold secrets
	Digest  Digest   `json:"digest"`
	Trust   Trust    `json:"trust"`
	From    string   `json:"from"` // where the digest is from, for people
	// Local is a file of this machine that holds it, perhaps, as that of a process does; it is tried before the URLs, and
	// verified as they are.
	Local string `json:"-"`
	// Recorded is set when the digest is that of an earlier install, whatever the sources say now.
	Recorded bool `json:"-"`
}

// isTool reports whether it is another program than kubelet.
func (a Artifact) isTool() bool { return slices.Contains(Tools(), a.Program) }

// Name is what its program is called.
func (a Artifact) Name() string { return cmp.Or(a.Program, Kubelet) }

// String names it for people.
func (a Artifact) String() string {
	return fmt.Sprintf("%s %s for linux/%s", a.Name(), a.Version, a.Arch)
}

// Tool finds out what one of Tools must be, and where it may be had: the first source that has a usable checksum file decides.
// With a digest that is known already no source is asked.
func (c *Client) Tool(ctx context.Context, program string, v Version, arch string, known Digest) (Artifact, error) {
	return c.artifact(ctx, Artifact{Program: program, Version: v, Arch: arch}, known)
}

// Artifact finds out what a kubelet must be, and where it may be had. With a
// given digest, or one of the table, that needs no network and does not say
// that a source has the file: Fetch does. Otherwise the first source that
// has a usable checksum file decides.
func (c *Client) Artifact(ctx context.Context, v Version, arch string, given Digest) (Artifact, error) {
	return c.artifact(ctx, Artifact{Version: v, Arch: arch}, given)
}

func (c *Client) artifact(ctx context.Context, a Artifact, given Digest) (Artifact, error) {
	if err := errors.Join(c.CheckSources(), checkPlatform(a.Version, a.Arch)); err != nil {
		return Artifact{}, err
	}
	for _, source := range c.sources(a.Version) {
		a.URLs = append(a.URLs, at(source, programPath(a.Name(), a.Version, a.Arch)))
	}
	if !given.IsZero() {
		a.Digest, a.Trust, a.From = given, Given, "command line"
		return a, nil
	}
	if d, found := PublishedDigest(a.Version, a.Arch); found && !a.isTool() {
		a.Digest, a.Trust, a.From = d, Published, "table of published digests"
		return a, nil
	}
	d, from, err := c.checksum(ctx, a)
	if err != nil {
		return Artifact{}, err
	}
	a.Digest, a.Trust, a.From = d, Checksum, Redact(from)
	return a, nil
}

// checksum asks the sources in turn for a checksum file.
func (c *Client) checksum(ctx context.Context, a Artifact) (Digest, string, error) {
	var failed several
	missing := &NotFoundError{Program: a.Program, Version: a.Version, Arch: a.Arch}
	for _, binary := range a.URLs {
		d, asked, err := c.checksumBeside(ctx, a.Name(), binary)
		if err == nil {
			return d, asked, nil
		}
		if ctx.Err() != nil {
			return Digest{}, "", fmt.Errorf("asking for the checksum of %s %s: %w", a.Name(), a.Version, contextError(ctx))
		}
		missing.note(binary, err)
		failed = append(failed, fmt.Errorf("%s: %w", Redact(asked), err))
	}
	if len(missing.Tried) == len(failed) {
		missing.Nearest = c.nearest(ctx, a.Version, a.Arch)
		return Digest{}, "", missing
	}
	hint := "give its digest with --sha256 or --sha512, or a source that has it over https"
	if a.isTool() {
		hint = "name a source that has it over https, with its checksum file: --source"
	}
	return Digest{}, "", advise(fmt.Errorf("no checksum for %s: %w", a, failed), hint)
}

// ErrInsecure reports that nothing vouches for what a source has.
var ErrInsecure = errors.New("plain http can be changed on its way, and a checksum file with it")

// checksumBeside reads the checksum file beside the binary of a program, preferably .sha512
// (from v1.12 on), else .sha256 (from about v1.16 on), and returns which URL it
// asked. The error is that of a missing file only when the binary is missing as
// well.
func (c *Client) checksumBeside(ctx context.Context, program, binary string) (d Digest, asked string, err error) {
	if insecure(binary) {
		return Digest{}, binary, ErrInsecure
	}
	for _, algorithm := range []string{"sha512", "sha256"} {
		var body []byte
		var from string
		file := suffixed(binary, "."+algorithm)
		if body, from, err = c.read(ctx, file, nil); err != nil {
			if notFound(err) {
				continue
			}
			return Digest{}, file, err
		}
		if insecure(from) {
			return Digest{}, file, fmt.Errorf("it is redirected to %s: %w", Redact(from), ErrInsecure)
		}
		if d, err = parseChecksumFile(program, algorithm, body); err != nil {
			return Digest{}, binary, &VerifyError{Name: "its ." + algorithm + " file", Problem: err.Error()}
		}
		return d, file, nil
	}
	if c.exists(ctx, binary) {
		return Digest{}, binary, errors.New("it is there, without a .sha512 or .sha256 file beside it")
	}
	return Digest{}, binary, err
}

// parseChecksumFile reads the checksum file of a program: upstream's have bare
// hex digits, those of sha256sum(1) a file name after them.
func parseChecksumFile(program, algorithm string, body []byte) (Digest, error) {
	if what := looksLike(body); what != text {
		return Digest{}, fmt.Errorf("it looks like %s, not like a checksum", what)
	}
	fields := strings.Fields(strings.TrimPrefix(string(body), "\ufeff"))
	if len(fields) == 2 && path.Base(strings.TrimPrefix(fields[1], "*")) == program {
		fields = fields[:1]
	}
	return ParseDigest(algorithm, strings.Join(fields, " "))
}

// suffixed appends to the path of a URL, before its query.
func suffixed(rawURL, suffix string) string {
	path, query, found := strings.Cut(rawURL, "?")
	if !found {
		return path + suffix
	}
	return path + suffix + "?" + query
}

// exists makes the difference between "no such release" and "no checksum".
func (c *Client) exists(ctx context.Context, rawURL string) bool {
	if path, local := filePath(rawURL); local {
		_, err := os.Stat(path)
		return err == nil
	}
	resp, err := c.open(ctx, httpRequest{method: http.MethodHead, url: rawURL})
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
