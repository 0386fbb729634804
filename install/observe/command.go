package observe

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// MaskedError reports that somebody made kubelet.service a unit that cannot be started.
type MaskedError struct{ Path string }

func (e *MaskedError) Error() string {
	return systemd.KubeletService + " is masked: " + e.Path + " leads to /dev/null, so systemd starts no kubelet"
}

// Hint says what to do about it.
func (e *MaskedError) Hint() string { return "systemctl unmask " + systemd.KubeletService }

// UnitFile is the kubelet.service that systemd reads, whoever wrote it; nil when there is no such unit. The error is a
// [MaskedError] when it is masked: by a link to /dev/null, or by an empty file.
func (o Observer) UnitFile() (*systemd.UnitFile, string, error) {
	for _, dir := range UnitPath {
		file := path.Join(dir, systemd.KubeletService)
		if target, err := o.Tree.Readlink(file); err == nil && target == os.DevNull {
			return nil, "", &MaskedError{file}
		}
		data, err := o.Tree.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && len(data) == 0 {
			return nil, "", &MaskedError{file}
		}
		if err != nil {
			return nil, "", err
		}
		unit, err := systemd.ParseUnit(file, data)
		return unit, file, err
	}
	return nil, "", nil
}

// UnitCommand is the command line of a unit with its drop-ins and environment files; each word knows where it is written. What
// only systemd knows, or only a file that is not there, stays as it is written.
func (o Observer) UnitCommand(unit *systemd.UnitFile, dropIns []DropIn) (systemd.Command, error) {
	sources := []*systemd.UnitFile{unit}
	for _, d := range dropIns {
		sources = append(sources, d.Unit)
	}
	command, err := systemd.Combine(sources...).ExecStart(systemd.Environment{ReadFile: o.Tree.ReadFile, Glob: o.glob, Partial: true})
	if err != nil {
		return command, fmt.Errorf("reading how kubelet is started: %w", err)
	}
	return command, nil
}

// glob lists the files that a pattern without wildcards in its directory names.
func (o Observer) glob(pattern string) ([]string, error) {
	entries, err := o.Tree.ReadDir(path.Dir(pattern))
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if match, err := path.Match(path.Base(pattern), e.Name()); err != nil {
			return nil, err
		} else if match {
			files = append(files, path.Join(path.Dir(pattern), e.Name()))
		}
	}
	return files, nil
}

// Line shows what is written at a position, FILE:LINE: TEXT, without secrets.
func (o Observer) Line(at systemd.Position) string {
	place := fmt.Sprintf("%s:%d", at.File, at.Line)
	data, err := o.Tree.ReadRegular(at.File, maxText)
	lines := bytes.Split(data, []byte("\n"))
	if err != nil || at.Line < 1 || at.Line > len(lines) {
		return place
	}
	return place + ": " + string(bytes.TrimSpace(config.HideSecrets(lines[at.Line-1])))
}
