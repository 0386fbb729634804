package purge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// cutOff is a context that ends after so many looks at it.
type cutOff struct {
	context.Context
	looks int
}

func (c *cutOff) Err() error {
	if c.looks--; c.looks < 0 {
		return context.Canceled
	}
	return nil
}

// Wherever a purge is cut off, the next one takes the directory for a kubelet's again.
func TestEmptyGoesOn(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "var/lib/kubelet")
	for _, sub := range []string{"pods/a/b", "pki", "seccomp/x", "zz"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 { // of names that a kubelet need not have
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d-%d", i*7919%101, i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rounds := 0
	for ; rounds < 50; rounds++ {
		d, err := Look(root, dir)
		if err != nil {
			t.Fatalf("round %d: %v", rounds, err)
		}
		if d.Entries == 0 {
			break
		}
		if err := d.Empty(&cutOff{t.Context(), 4}); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if rounds < 2 {
		t.Errorf("it was not cut off once")
	}
}

func TestListener(t *testing.T) {
	t.Parallel()
	const table = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 11 /run/other.sock
0000000000000000: 00000003 00000000 00000000 0001 03 12 /data/kubelet/device-plugins/peer.sock
0000000000000000: 00000002 00000000 00010000 0001 01 13
0000000000000000: 00000002 00000000 00010000 0001 01 14 /data/kubelet/device-plugins/kubelet.sock
`
	tests := []struct{ dir, want string }{
		{"/data/kubelet", "/data/kubelet/device-plugins/kubelet.sock"},
		{"/data/kube", ""},
		{"/var/lib/kubelet", ""},
	}
	for _, tt := range tests {
		if got := listener(table, tt.dir); got != tt.want {
			t.Errorf("below %s: %q, want %q", tt.dir, got, tt.want)
		}
	}
}
