package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
)

// Cordon says that a change has cordoned the node of this host, which has to end with that change.
type Cordon struct {
	Node       string `json:"node"`
	Kubeconfig string `json:"kubeconfig"` // with which it was done, as a path of the host
}

// CordonFile exists while a node has to be uncordoned.
var CordonFile = in("cordoned")

// SaveCordon records a cordon, before it is made.
func (s Store) SaveCordon(c Cordon) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return s.tree.WriteFile(CordonFile, 0o600, nil, bytes.NewReader(append(data, '\n')))
}

// Cordon returns what SaveCordon recorded; nil for nothing.
func (s Store) Cordon() (*Cordon, error) {
	data, err := s.tree.ReadRegular(CordonFile, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing is recorded
	}
	if err != nil {
		return nil, err
	}
	c := &Cordon{}
	return c, json.Unmarshal(data, c)
}

// DropCordon forgets a cordon. Forgetting what is not recorded does nothing.
func (s Store) DropCordon() error {
	if _, err := s.tree.Lstat(CordonFile); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.tree.Remove(CordonFile)
}
