package observe

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// UnitFile is the kubelet.service that systemd reads, whosever it is; nil when there is none.
func (o Observer) UnitFile() (*systemd.UnitFile, string, error) {
	for _, dir := range UnitPath {
		file := path.Join(dir, systemd.KubeletService)
		data, err := o.Tree.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		unit, err := systemd.ParseUnit(file, data)
		return unit, file, err
	}
	return nil, "", nil
}

// UnitCommand is the command line of a unit with its drop-ins and environment files; each word knows where it is written.
func (o Observer) UnitCommand(unit *systemd.UnitFile, dropIns []DropIn) (systemd.Command, error) {
	sources := []*systemd.UnitFile{unit}
	for _, d := range dropIns {
		sources = append(sources, d.Unit)
	}
	command, err := systemd.Combine(sources...).ExecStart(systemd.Environment{ReadFile: o.Tree.ReadFile})
	if err != nil {
		return command, fmt.Errorf("reading how kubelet is started: %w", err)
	}
	return command, nil
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
