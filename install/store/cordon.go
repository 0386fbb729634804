package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"time"
)

// Cordon says that a change has cordoned the node of this host, which has to end with that change.
type Cordon struct {
	Node       string `json:"node"`
	Kubeconfig string `json:"kubeconfig"` // with which it was done, as a path of the host
	// RefusedSince is since when the API server refuses to uncordon it; zero while it does not.
	RefusedSince time.Time `json:"refusedSince,omitzero"`
}

// CordonFile exists while a node has to be uncordoned.
var CordonFile = in("cordoned")

// SaveCordon records a cordon, before it is made.
func (s Store) SaveCordon(c Cordon) error { return s.saveAside(CordonFile, c) }

// Cordon returns what SaveCordon recorded; nil for nothing.
func (s Store) Cordon() (*Cordon, error) { return loadAside[Cordon](s, CordonFile) }

// DropCordon forgets a cordon. Forgetting what is not recorded does nothing.
func (s Store) DropCordon() error { return s.tree.Remove(CordonFile) }

// saveAside records what is to be taken back or gone on with, whatever becomes of a change.
func (s Store) saveAside(file string, doc any) error {
	data, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	return s.tree.WriteFile(file, 0o600, nil, bytes.NewReader(append(data, '\n')))
}

// loadAside returns what saveAside recorded; nil for nothing.
func loadAside[T any](s Store, file string) (*T, error) {
	data, err := s.tree.ReadRegular(file, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing is recorded
	}
	if err != nil {
		return nil, err
	}
	doc := new(T)
	if err := json.Unmarshal(data, doc); err != nil {
		return nil, damaged("%s cannot be read: %v", file, err)
	}
	return doc, nil
}
