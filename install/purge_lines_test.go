package install

import (
	"slices"
	"testing"

	"github.com/kubeletctl/kubeletctl/install/purge"
)

func TestPurgeLinesCount(t *testing.T) {
	t.Parallel()
	p := Purge{Dir: &purge.Dir{Path: "/var/lib/kubelet", Entries: 1, Credentials: true, Mounts: []string{"/var/lib/kubelet/a"}}, Pods: []string{"one"}}
	want := []string{
		"all of /var/lib/kubelet is deleted: 1 entry, kubelet's credentials among them",
		"1 mount below it is unmounted first: /var/lib/kubelet/a",
		"1 pod is removed from the container runtime; images and /var/log/pods stay",
	}
	if got := p.Lines(); !slices.Equal(got, want) {
		t.Errorf("%q, want\n%q", got, want)
	}
	p = Purge{Dir: &purge.Dir{Path: "/var/lib/kubelet", Entries: 2}}
	if got := p.Lines(); got[0] != "all of /var/lib/kubelet is deleted: 2 entries" {
		t.Errorf("without credentials: %q", got)
	}
}
