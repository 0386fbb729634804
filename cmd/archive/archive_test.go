package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"testing"
	"time"
)

// Whoever unpacks a report at once gets no file of the future, and each one once.
func TestArchive(t *testing.T) {
	now := time.Date(2026, 11, 30, 9, 41, 4, 9e8, time.UTC)
	r := &Archive{}
	for _, text := range []string{"a", "b"} {
		r.Add("x", []byte(text))
	}
	data, err := r.Pack("report", now)
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	in := tar.NewReader(zip)
	header, err := in.Next()
	if err != nil {
		t.Fatal(err)
	}
	if want := now.Truncate(time.Second); !header.ModTime.Equal(want) {
		t.Errorf("it is of %s, want %s", header.ModTime, want)
	}
	if second, err := in.Next(); err == nil {
		t.Errorf("%s is there twice", second.Name)
	}
}
