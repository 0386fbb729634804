package release_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/scripts/gobuild"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

// A tool is found and verified as a kubelet is; of its digest only the checksum file knows.
func TestTool(t *testing.T) {
	t.Parallel()
	dir := tree(t, kubelet, tabled)
	if err := mirror.WriteTree(dir, mirror.Release{Program: release.Kubectl, Version: tabled, Arch: "amd64", Binary: []byte("kubectl")}); err != nil {
		t.Fatal(err)
	}
	_, web := serve(t, dir)
	a, err := client(web).Tool(t.Context(), release.Kubectl, version(t, tabled), "amd64", release.Digest{})
	if err != nil || a.Trust != release.Checksum || a.URLs[0] != web+"/"+tabled+"/bin/linux/amd64/kubectl" {
		t.Errorf("%+v, %v", a, err)
	}
	contains(t, hint(a.Require(release.Published)), "leave --require-trust out")
	_, err = client(web).Tool(t.Context(), release.Kubeadm, version(t, tabled), "amd64", release.Digest{})
	if missing := (*release.NotFoundError)(nil); !errors.As(err, &missing) {
		t.Fatalf("got %v", err)
	}
	contains(t, err.Error(), "kubeadm "+tabled+" for linux/amd64 was not found")
	_, err = client("http://mirror.invalid/release").Tool(t.Context(), release.Kubeadm, version(t, tabled), "amd64", release.Digest{})
	if !errors.Is(err, release.ErrInsecure) {
		t.Errorf("from a source that nothing vouches for: %v", err)
	}
	contains(t, hint(err), "--source")
	known, err := client(web).Tool(t.Context(), release.Kubeadm, version(t, tabled), "amd64", digestOf(kubelet))
	if err != nil || known.Digest != digestOf(kubelet) {
		t.Errorf("with a digest that is known: %+v, %v", known, err)
	}
}

func TestCheckTool(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, program := range release.Tools() {
		path := filepath.Join(dir, program)
		if err := gobuild.Tool(path, program, tabled); err != nil {
			t.Fatal(err)
		}
		check := func(program, v string) error {
			return release.Artifact{Program: program, Version: version(t, v), Arch: runtime.GOARCH}.Check(t.Context(), path)
		}
		if err := check(program, tabled); err != nil {
			t.Error(err)
		}
		var wrong *release.VerifyError
		if err := check(program, untabled); !errors.As(err, &wrong) {
			t.Errorf("%s of another version: %v", program, err)
		}
		if err := check("", tabled); !errors.As(err, &wrong) {
			t.Errorf("%s instead of a kubelet: %v", program, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte("text"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (release.Artifact{Program: release.Kubectl, Version: version(t, tabled), Arch: runtime.GOARCH}).Check(t.Context(), filepath.Join(dir, "text")); err == nil {
		t.Error("a text is taken for kubectl")
	}
}
