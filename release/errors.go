package release

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// VerifyError says that a file is there and is not what was asked for.
type VerifyError struct {
	Name    string // its path or redacted URL
	Problem string
	hint    string
}

func (e *VerifyError) Error() string { return e.Name + ": " + e.Problem }

// Hint says what to do.
func (e *VerifyError) Hint() string { return e.hint }

// NotFoundError says that none of the sources has what was asked for.
type NotFoundError struct {
	Program string  // of the release; empty for kubelet
	Version Version // zero when a channel or minor was asked for
	Request Request
	Arch    string
	Tried   []Tried
	Nearest []Version // that do exist, as far as a source can tell
}

// Tried is one source that was asked, and its answer.
type Tried struct{ URL, Answer string }

func (e *NotFoundError) Error() string {
	var b strings.Builder
	if e.Version.IsZero() {
		fmt.Fprintf(&b, "no source knows a release for %q", e.Request)
	} else {
		fmt.Fprintf(&b, "%s was not found", Artifact{Program: e.Program, Version: e.Version, Arch: e.Arch})
	}
	for i, t := range e.Tried {
		fmt.Fprintf(&b, "%s %s: %s", map[bool]string{true: ":", false: ";"}[i == 0], t.URL, t.Answer)
	}
	if len(e.Nearest) > 0 {
		fmt.Fprintf(&b, "; what exists nearby: %s", join(e.Nearest, ", "))
	}
	return b.String()
}

// Hint says what to do.
func (e *NotFoundError) Hint() string {
	if e.Version.IsZero() {
		return "the source has no marker of that channel; name a release: --version v1.36.3"
	}
	if suffix, upstream := e.Version.foreign(); suffix != "" {
		return fmt.Sprintf("ask for %s: upstream has no suffix %s", upstream, suffix)
	}
	if len(e.Nearest) > 0 {
		return "ask for " + join(e.Nearest, " or ")
	}
	return "check the version and the sources"
}

// note adds what a source answered, if it is that it has no such file.
func (e *NotFoundError) note(rawURL string, err error) {
	if notFound(err) {
		e.Tried = append(e.Tried, Tried{Redact(rawURL), err.Error()})
	}
}

// notFound reports whether an error means that the source does not have the
// file, so that only another source can help.
func notFound(err error) bool {
	if status := (*statusError)(nil); errors.As(err, &status) {
		return status.code == http.StatusNotFound || status.code == http.StatusGone
	}
	return errors.Is(err, fs.ErrNotExist)
}

// SpaceError says that the disk is too small for the download.
type SpaceError struct {
	Path       string
	Need, Free int64
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s needs %s of free disk space, only %s is available", e.Path, FormatSize(e.Need), FormatSize(e.Free))
}

// Hint says what to do.
func (e *SpaceError) Hint() string { return "free some space on that file system and try again" }

// Unwrap makes errors.Is(err, syscall.ENOSPC) work.
func (e *SpaceError) Unwrap() error { return syscall.ENOSPC }

// hinted adds to an error what to do about it.
type hinted struct {
	error
	hint string
}

func (e *hinted) Hint() string  { return e.hint }
func (e *hinted) Unwrap() error { return e.error }

// advise adds what to do to the error of sources that could not be asked, or something else where one of them had other
// reasons to fail; nothing if that is empty, too.
func advise(err error, otherwise string) error {
	if hint := remedy(err); hint != "" {
		return &hinted{err, hint}
	}
	if otherwise != "" {
		return &hinted{err, otherwise}
	}
	return err
}

func remedy(err error) string {
	var (
		all       several
		status    *statusError
		network   *networkError
		proxy     *proxyError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		host      x509.HostnameError
	)
	switch {
	case errors.As(err, &all):
		first := ""
		for i, e := range all {
			switch hint := remedy(e); {
			case hint == "":
				return ""
			case i == 0:
				first = hint
			}
		}
		return first
	case errors.As(err, &authority):
		return "if the source has a certificate authority of its own, give its certificate: --ca-file"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "compare the clock of this host with the dates of the certificate"
	case errors.As(err, &host):
		return "name the source by a name that its certificate is for"
	case errors.Is(err, errRedirects), errors.Is(err, errDowngrade):
		return "name another source, or the target of the redirect: --source"
	case errors.As(err, &proxy), errors.As(err, &status) && status.code == http.StatusProxyAuthRequired:
		return "check the proxy in the environment (HTTPS_PROXY, HTTP_PROXY), and the user and the password in it"
	case errors.As(err, &status) && status.code == http.StatusUnauthorized:
		return "check the user and the password in the URL of the source; the spec file is the place where nobody sees them"
	case errors.As(err, &network):
		return "check the network of this host and its proxy (HTTPS_PROXY), or name another source: --source"
	}
	return ""
}

// statusError is an answer of a server that is not the file.
type statusError struct {
	code  int
	after time.Duration // Retry-After
}

func (e *statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", e.code, http.StatusText(e.code)))
}

// proxyError is the answer of a proxy that does not lead to a server. It says nothing of what the server has.
type proxyError struct {
	error
	busy bool // it may have another answer in a moment
}

func (e *proxyError) Error() string { return "the proxy answered: " + e.error.Error() }

// contextError says that a request was interrupted, in other words than those of package context.
func contextError(ctx context.Context) error { return &interruptedError{ctx.Err()} }

type interruptedError struct{ error }

func (e *interruptedError) Error() string { return "interrupted" }
func (e *interruptedError) Unwrap() error { return e.error }

// networkError is a fault on the way, worth another try.
type networkError struct{ error }

func (e *networkError) Unwrap() error { return e.error }

// several is errors.Join on one line, for errors that are shown to a person.
type several []error

func (e several) Error() string   { return join(e, "; ") }
func (e several) Unwrap() []error { return e }

func join[T any](items []T, separator string) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = fmt.Sprint(item)
	}
	return strings.Join(texts, separator)
}

// FormatCount writes how many there are of something.
func FormatCount(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// FormatSize writes a number of bytes in binary units.
func FormatSize(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, units := float64(n)/unit, "KMGT"
	for value >= unit && len(units) > 1 {
		value, units = value/unit, units[1:]
	}
	return fmt.Sprintf("%.1f %ciB", value, units[0])
}
