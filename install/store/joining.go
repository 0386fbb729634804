package store

// Joining says what a join that has begun writes beside its change, until kubelet has its own credentials.
type Joining struct {
	// Files are all of these, as paths of the host; New are those that were not there before.
	Files, New []string
	// Bootstrap is the one with the token; empty for none.
	Bootstrap string
}

// JoiningFile exists while a join is under way.
var JoiningFile = in("joining")

// SaveJoining records a join, before it writes anything.
func (s Store) SaveJoining(j Joining) error { return s.saveAside(JoiningFile, j) }

// Joining returns what SaveJoining recorded; nil for nothing.
func (s Store) Joining() (*Joining, error) { return loadAside[Joining](s, JoiningFile) }

// DropJoining forgets a join. Forgetting what is not recorded does nothing.
func (s Store) DropJoining() error { return s.tree.Remove(JoiningFile) }

// DropHalfWritten deletes what a join that was killed had not renamed yet.
func (s Store) DropHalfWritten(j *Joining) error { return dropTemporary(s.tree, j.Files) }
