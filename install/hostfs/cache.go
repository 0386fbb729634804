package hostfs

import (
	"encoding/json"
	"os"
)

// maxCache is the size in bytes up to which a cache is read: they hold a few lines for each release that was ever installed.
const maxCache = 4 << 20

// ReadCache reads the JSON that WriteCache wrote, and reports whether it was there and made sense; if not, content may be
// half filled. What is not a regular file is not read, nor is a link followed.
func (t Tree) ReadCache(p string, content any) bool {
	if info, err := t.Lstat(p); err != nil || !info.Mode().IsRegular() {
		return false
	}
	data, err := t.ReadRegular(p, maxCache)
	return err == nil && json.Unmarshal(data, content) == nil
}

// WriteCache writes what can be had again, as JSON: without waiting for the disk, and a reader may see half of it. Everybody
// may read it. Whatever was there is removed, not written to, since a link or a second name may lead out of the tree. That
// it could not be written is nobody's concern.
func (t Tree) WriteCache(p string, content any) {
	data, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return
	}
	_ = t.do("write", p, func(in calls, name string) error {
		_ = in.Remove(name)
		f, err := in.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.Write(append(data, '\n'))
		return err
	})
}
