package store

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
)

// Notice is a line about a recovery that nobody saw, for the next run to tell.
type Notice struct{ tree hostfs.Tree }

// Notice returns that of this record.
func (s Store) Notice() Notice { return Notice(s) }

const noticeFile = "recovered"

// Save keeps a line.
func (n Notice) Save(line string) error {
	return n.tree.WriteFile(in(noticeFile), 0o644, nil, strings.NewReader(line+"\n"))
}

// Text returns the line that Save kept; nothing when there is none.
func (n Notice) Text() string {
	text, _ := n.tree.ReadRegular(in(noticeFile), maxText)
	return strings.TrimSpace(string(text))
}

// Clear forgets the line. Clearing what is clear does nothing.
func (n Notice) Clear() error {
	if _, err := n.tree.Lstat(in(noticeFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return n.tree.Remove(in(noticeFile))
}
