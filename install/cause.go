package install

import (
	"strings"

	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// causeFinder finds out which of several places kubelet's words speak of. Of several the most specific, which is the longest text,
// is the one.
type causeFinder struct {
	words string // in lower case
	place string
	best  int
}

func newCauseFinder(words string) *causeFinder {
	return &causeFinder{words: strings.ToLower(words), best: 4} // what is shorter than that says nothing
}

func (f *causeFinder) consider(text, place string) {
	text = strings.ToLower(strings.Trim(text, `"'`))
	if len(text) > f.best && containsWord(f.words, text) {
		f.best, f.place = len(text), place
	}
}

// foreignCause is the line, of a file that is not ours, with what kubelet complains of: FILE:LINE: TEXT, without secrets.
// Where its words do not tell, it is the line of a drop-in that sets the command line. Empty when all of that is ours.
func (h *Host) foreignCause(words string, ours *plan.Generation) string {
	o := h.Observer()
	dropIns, err := o.DropIns()
	if err != nil {
		return ""
	}
	finder := newCauseFinder(words)
	if unit, _, err := o.UnitFile(); err == nil && unit != nil {
		command, _ := o.UnitCommand(unit, dropIns) // one that cannot be read is told by systemd
		for _, w := range command.Args {
			if ours.File(w.File).Kind == plan.Absent {
				name, value, _ := strings.Cut(w.Text, "=")
				place := o.Line(w.Position)
				finder.consider(name, place)
				finder.consider(value, place)
			}
		}
	}
	if finder.place != "" {
		return finder.place
	}
	for _, d := range dropIns {
		if line := d.Command(); line != nil && ours.File(d.Path).Kind == plan.Absent {
			finder.place = o.Line(line.Position)
		}
	}
	return finder.place
}

// foreignHint says what to do about the line of foreignCause, which kubeletctl leaves as it is.
const foreignHint = "fix or remove that line, then: systemctl daemon-reload && systemctl restart " + systemd.KubeletService
