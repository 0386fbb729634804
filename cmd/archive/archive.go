// Package archive collects the files of a report, without secrets, and packs them.
package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubeletctl/kubeletctl/config"
)

// MostOfFile is how much of one file goes into an archive, in bytes: its end.
const MostOfFile = 1 << 20

// Archive is what was collected. The zero value is empty; its methods may be called at the same time.
type Archive struct {
	adding sync.Mutex
	files  []file
	errors []string
}

type file struct {
	name string
	data []byte
}

// Add adds a file, without secrets. Of a large one it is the end.
func (a *Archive) Add(name string, data []byte) { a.AddMasked(name, config.HideSecrets(data)) }

// AddMasked adds a file that has no secrets any more, unless it was added before.
func (a *Archive) AddMasked(name string, data []byte) {
	if over := len(data) - MostOfFile; over > 0 {
		data = append([]byte("[...]\n"), data[over:]...)
	}
	a.adding.Lock()
	defer a.adding.Unlock()
	if !slices.ContainsFunc(a.files, func(f file) bool { return f.name == name }) {
		a.files = append(a.files, file{name, data})
	}
}

// AddJSON adds a document.
func (a *Archive) AddJSON(name string, doc any) error {
	data, err := json.MarshalIndent(doc, "", "  ")
	if err == nil {
		a.Add(name, append(data, '\n'))
	}
	return err
}

// Fail takes note of what could not be had.
func (a *Archive) Fail(what string, err error) {
	a.adding.Lock()
	defer a.adding.Unlock()
	a.errors = append(a.errors, what+": "+config.HideInLine(strings.Join(strings.Fields(err.Error()), " ")))
}

// Names are the files that were added.
func (a *Archive) Names() (names []string) {
	a.adding.Lock()
	defer a.adding.Unlock()
	for _, f := range a.files {
		names = append(names, f.name)
	}
	return names
}

// Errors are what Fail was told.
func (a *Archive) Errors() []string {
	a.adding.Lock()
	defer a.adding.Unlock()
	return slices.Clone(a.errors)
}

// Pack is the archive, as gzip of tar: each file below one directory, and errors.txt with what could not be had. Their time has no fraction,
// which tar would round up.
func (a *Archive) Pack(dir string, now time.Time) ([]byte, error) {
	a.adding.Lock() // for a section that was given up
	defer a.adding.Unlock()
	slices.Sort(a.errors)
	if len(a.errors) > 0 {
		a.files = append(a.files, file{"errors.txt", []byte(strings.Join(a.errors, "\n") + "\n")})
	}
	slices.SortFunc(a.files, func(x, y file) int { return strings.Compare(x.name, y.name) })
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	out := tar.NewWriter(zip)
	for _, f := range a.files {
		header := &tar.Header{Name: path.Join(dir, f.name), Mode: 0o600, Size: int64(len(f.data)), ModTime: now.Truncate(time.Second)}
		if err := out.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.name, err)
		}
		if _, err := out.Write(f.data); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.name, err)
		}
	}
	err := errors.Join(out.Close(), zip.Close())
	return b.Bytes(), err
}
