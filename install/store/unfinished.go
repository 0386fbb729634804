package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
)

// Unfinished is the record of something on this host that has to be ended, whatever becomes of a change.
type Unfinished[T any] struct {
	tree hostfs.Tree
	file string
}

// Save records it, before it is begun.
func (u Unfinished[T]) Save(doc T) error {
	data, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	return u.tree.WriteFile(u.file, 0o600, nil, bytes.NewReader(append(data, '\n')))
}

// Load returns what Save recorded; nil for nothing.
func (u Unfinished[T]) Load() (*T, error) {
	data, err := u.tree.ReadRegular(u.file, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing is recorded
	}
	if err != nil {
		return nil, err
	}
	doc := new(T)
	if err := json.Unmarshal(data, doc); err != nil {
		return nil, damaged("%s cannot be read: %v", u.file, err)
	}
	return doc, nil
}

// Drop forgets it. Forgetting what is not recorded does nothing.
func (u Unfinished[T]) Drop() error { return u.tree.Remove(u.file) }

// Cordon says that a change has cordoned the node of this host, which has to end with that change.
type Cordon struct {
	Node       string `json:"node"`
	Kubeconfig string `json:"kubeconfig"` // with which it was done, as a path of the host
	// RefusedSince is since when the API server refuses to uncordon it; zero while it does not.
	RefusedSince time.Time `json:"refusedSince,omitzero"`
}

// CordonFile exists while a node has to be uncordoned.
var CordonFile = in("cordoned")

// Cordon is that of the node of this host.
func (s Store) Cordon() Unfinished[Cordon] { return Unfinished[Cordon]{s.tree, CordonFile} }

// Joining says what a join that has begun writes beside its change, until kubelet has its own credentials.
type Joining struct {
	// Files are all of these, as paths of the host; New are those that were not there before.
	Files, New []string
	// Bootstrap is the one with the token; empty for none.
	Bootstrap string
}

// JoiningFile exists while a join is under way.
var JoiningFile = in("joining")

// Joining is that of this host.
func (s Store) Joining() Unfinished[Joining] { return Unfinished[Joining]{s.tree, JoiningFile} }

// DropHalfWritten deletes what a join that was killed had not renamed yet.
func (s Store) DropHalfWritten(j *Joining) error { return dropTemporary(s.tree, j.Files) }
