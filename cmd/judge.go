package cmd

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/document"
	"github.com/kubeletctl/kubeletctl/install/rehearsal"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
)

// judge is a kubelet that is asked what it has against a setup.
type judge struct {
	file    string
	version release.Version
}

// newJudge asks a kubelet for its version, which has to be a patch of the minor that --version names, if it names one.
func newJudge(ctx context.Context, file string, wanted release.Version) (judge, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return judge{}, err
	}
	v, err := release.VersionByNobody(ctx, path)
	if err != nil {
		return judge{}, fmt.Errorf("--kubelet: %v", err) //nolint:errorlint // nothing was downloaded: not the exit code of that
	}
	if !wanted.IsZero() && wanted.Minor() != v.Minor() {
		return judge{}, &usageError{fmt.Errorf("%s is kubelet %s, and --version names 1.%d", file, v, wanted.Minor())}
	}
	return judge{path, v}, nil
}

// findings are what the kubelet has against the files, as the one setup that they are. What keeps it from a judgement is noted.
func (j judge) findings(ctx context.Context, a *app, files []document.File) ([]config.Finding, error) {
	by := "kubelet " + j.version.String()
	args, written, err := spec.Given(j.version, files)
	if err != nil {
		a.Note(by + " was not asked: " + err.Error())
		return nil, nil //nolint:nilerr // the tables find what is wrong with a file
	}
	answer, err := rehearsal.Ask(ctx, rehearsal.Question{Binary: j.file, Minor: config.Minor(j.version.Minor()), Args: args, Config: written})
	if err != nil {
		return nil, err
	}
	var found []config.Finding
	say := func(message string) {
		p := config.Problem{Path: by, Message: string(config.HideSecrets([]byte(message)))}
		found = append(found, config.Finding{Severity: config.Error, Problem: p})
	}
	if answer.Refused != "" {
		say("refuses this: " + answer.Refused)
	}
	if len(answer.Ignored) > 0 {
		say("ignores fields that it does not know: " + strings.Join(answer.Ignored, ", "))
	}
	if answer.Machine != "" {
		a.Note(by + " found no error before this machine ended it: " + string(config.HideSecrets([]byte(answer.Machine))))
	}
	return found, nil
}
