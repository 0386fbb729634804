package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/purge"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
)

// Exit codes. 3 and 4 are those that the Linux Standard Base gives to the status action of an init script.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitUnhealthy    = 3
	exitNotInstalled = 4
	exitDrift        = 5
	exitUnverified   = 6
	exitRefused      = 7
	exitRolledBack   = 8
	exitHalfChanged  = 9
	exitLocked       = 75
)

// exitCodes is the one table of exit codes, as the help shows it.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitOK, "done; status: healthy"},
	{exitFailed, "failed"},
	{exitUsage, "usage, or an invalid spec"},
	{exitUnhealthy, "status, diagnose: installed, not healthy"},
	{exitNotInstalled, "kubeletctl has not installed a kubelet"},
	{exitDrift, "diff: the host is not as it was installed"},
	{exitUnverified, "a download could not be verified"},
	{exitRefused, "refused before anything was changed; preflight: kubelet would not run"},
	{exitRolledBack, "the change failed and was rolled back"},
	{exitHalfChanged, "the change failed and could not be rolled back fully"},
	{exitLocked, "another run is changing this host"},
}

func exitCodeHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "  %2d  %s\n", e.code, e.meaning)
	}
	return strings.TrimRight(b.String(), "\n")
}

// exitCode maps an error to its code; the outermost meaning wins.
func exitCode(err error) int {
	var (
		only       *exitError
		rolledBack *install.RolledBackError
		incomplete *install.NotRolledBackError
		locked     *store.LockedError
		mirrored   *mirrorLockedError
		overtaken  *overtakenError
		verify     *release.VerifyError
		failed     *preflight.FailedError
		conflict   *install.ConflictError
		flags      *install.FlagsRejectedError
		unvouched  *install.UnvouchedError
		downgrade  *downgradeError
		forgotten  *forgottenError
		tried      *install.TriedError
		rehearsal  *install.RehearsalError
		recovery   *install.RecoveryError
		refused    *purge.RefusedError
		unwritable *preflight.UnwritableError
		unchanged  *install.UnchangedError
		waits      *joinWaitsError
		unjoined   *install.JoinError
		usage      *usageError
		problems   config.Problems
		after      *afterChangeError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &after):
		if code := exitCode(after.error); code != exitRefused {
			return code
		}
		return exitFailed // something was changed
	case errors.As(err, &only):
		return only.code
	case errors.As(err, &waits):
		return exitFailed
	case errors.As(err, &incomplete), errors.As(err, &unjoined) && len(unjoined.Left) > 0:
		return exitHalfChanged
	case errors.As(err, &rolledBack):
		return exitRolledBack
	case errors.As(err, &unjoined):
		return exitFailed
	case errors.As(err, &locked), errors.As(err, &mirrored), errors.As(err, &overtaken):
		return exitLocked
	case errors.As(err, &verify):
		return exitUnverified
	case errors.Is(err, store.ErrNotInstalled):
		return exitNotInstalled
	case errors.As(err, &failed), errors.As(err, &conflict), errors.As(err, &flags), errors.As(err, &unvouched), errors.As(err, &rehearsal),
		errors.As(err, &recovery), errors.As(err, &refused), errors.As(err, &forgotten), errors.As(err, &tried), errors.As(err, &downgrade),
		errors.As(err, &unwritable) && !errors.Is(err, fs.ErrPermission), errors.As(err, &unchanged), errors.Is(err, release.ErrInsecure):
		return exitRefused
	case errors.As(err, &usage), errors.As(err, &problems):
		return exitUsage
	}
	return exitFailed
}

// exitError ends the program with a code of which the output has already told the reason.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// usageError is a mistake in what the user wrote, on the command line or in a spec.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// afterChangeError is one of what comes after a change that is done.
type afterChangeError struct{ error }

func (e *afterChangeError) Error() string { return "kubelet is installed, and: " + e.error.Error() }
func (e *afterChangeError) Unwrap() error { return e.error }

// hintedError is an error with a word on what to do.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

// Hint is that word.
func (e *hintedError) Hint() string { return e.hint }

func withHint(err error, hint string) error { return &hintedError{err, hint} }

// failure is the document that -o json prints instead of a result.
type failure struct {
	Error    string              `json:"error"`
	Errors   []failureItem       `json:"errors"`
	Problems []preflight.Problem `json:"problems,omitempty"`
	Notes    []string            `json:"notes,omitempty"`
	Plan     *plan.Plan          `json:"plan,omitempty"` // of a change that was refused
	ExitCode int                 `json:"exitCode"`
}

type failureItem struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// report prints an error, as text or as the document, and returns the exit code.
func (a *app) report(err error) int {
	code := exitCode(err)
	var only *exitError
	if err == nil || errors.As(err, &only) {
		return code
	}
	var items []failureItem
	for _, e := range flatten(err) {
		items = append(items, failureItem{e.Error(), hintOf(e)})
	}
	if a.Structured() {
		doc := failure{Error: err.Error(), Errors: items, Notes: a.Notes(), ExitCode: code}
		if code == exitRefused {
			doc.Plan = a.plan
		}
		var failed *preflight.FailedError
		if errors.As(err, &failed) {
			doc.Problems = failed.Problems
		}
		a.Print(doc)
		return code
	}
	var back *install.RolledBackError
	if errors.As(err, &back) {
		items[0].Message = back.Cause.Error()
		if back.Ill != nil {
			defer terminal.Say(a.Err, "kubeletctl: the former kubelet runs again but is not healthy: %v", back.Ill)
		}
		defer terminal.Say(a.Err, "kubeletctl: the change was rolled back: %s", back.To)
	}
	for _, item := range items {
		terminal.Say(a.Err, "kubeletctl: error: %s", item.Message)
		if item.Hint != "" {
			terminal.Say(a.Err, "kubeletctl: hint: %s", item.Hint)
		}
	}
	return code
}

// flatten takes a list of errors apart into those that a person is to read one by one.
func flatten(err error) []error {
	var failed *preflight.FailedError
	if errors.As(err, &failed) {
		var list []error
		for _, p := range failed.Problems {
			list = append(list, withHint(fmt.Errorf("%s: %s", p.ID, p.Text()), p.Hint))
		}
		return list
	}
	if usage, ok := err.(*usageError); ok { //nolint:errorlint // only the outermost layer is taken off
		return flatten(usage.error)
	}
	many, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // a wrapper's own words must not be lost
	if !ok {
		return []error{err}
	}
	var texts []string
	var list []error
	for _, e := range many.Unwrap() {
		texts = append(texts, e.Error())
		list = append(list, flatten(e)...)
	}
	if strings.Join(texts, "\n") != err.Error() {
		return []error{err}
	}
	return list
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	switch {
	case errors.As(err, &h):
		return h.Hint()
	case errors.Is(err, store.ErrNotInstalled):
		return "kubeletctl install installs one"
	case errors.Is(err, syscall.ENOSPC):
		return "free some space on that file system and run this again"
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		return "run this as root, for example with sudo"
	}
	return ""
}
