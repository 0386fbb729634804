package store

import (
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// KeepForeign adds to generation 0 the files of somebody else's that a committed change was the first to replace and that are
// newer than the first install, so that an uninstall gives them back as well: a drop-in that is masked, a file in another
// --bin-dir. have is what was installed before; nil for the first install. A second call adds nothing.
func (s Store) KeepForeign(want, have *plan.Generation) error {
	if have == nil || have.Snapshot || want.Snapshot || want.Number == have.Number {
		return nil
	}
	before, err := s.Directory(want.Number).Previous()
	if err != nil {
		return err
	}
	origin, err := s.Directory(0).Load()
	if isDamage(err) {
		return nil // an uninstall says so
	}
	if err != nil {
		return err
	}
	added := false
	for _, f := range before.Files {
		ours := want.File(f.Path)
		foreign := ours.Kind != plan.Absent && have.File(f.Path).Kind == plan.Absent && origin.File(f.Path).Kind == plan.Absent
		if foreign && (f.Kind == plan.Text || f.Kind == plan.Link) && !f.Same(ours) {
			origin.Files, added = append(origin.Files, f), true
		}
	}
	if !added {
		return nil
	}
	return s.Update(origin)
}
