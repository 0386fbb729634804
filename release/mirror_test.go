package release_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

// Two kubelets are fetched at once; whoever made the client hears of it one call after the other.
func TestMirrorCallsOneAtATime(t *testing.T) {
	t.Parallel()
	var source, dir = t.TempDir(), t.TempDir()
	add := func(dir, v string) {
		if err := mirror.WriteTree(dir, mirror.Release{Version: v, Arch: runtime.GOARCH, Path: program}); err != nil {
			t.Fatal(err)
		}
	}
	const present = "v1.37.1"
	add(dir, present)
	versions := []release.Version{version(t, present)}
	for _, v := range []string{"v1.37.2", "v1.37.3"} {
		add(source, v)
		versions = append(versions, version(t, v))
	}
	server, web := serve(t, source)
	server.Fault("kubelet", mirror.Fault{Status: 503})

	c := client(web)
	c.Retries = 8
	var called atomic.Bool
	var notes, done []string // written by the callbacks: the race detector looks at these as well
	once := func(list *[]string, what string) {
		if called.Swap(true) {
			t.Errorf("%q came during another call", what)
		}
		*list = append(*list, what)
		time.Sleep(20 * time.Millisecond)
		called.Store(false)
	}
	c.Note = func(line string) { once(&notes, line) }
	err := c.Mirror(t.Context(), release.MirrorOptions{Dir: dir, Versions: versions, Archs: []string{runtime.GOARCH},
		Done: func(m release.Mirrored) { once(&done, m.Version.String()) }})
	if err == nil {
		t.Error("no error, although the source is out of order")
	}
	if len(notes) < 2*7 || len(done) != 1 || done[0] != present {
		t.Errorf("notes %q, done %q", notes, done)
	}
}
