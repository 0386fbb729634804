// Package gobuild builds the project's programs for tests, the way they are built to be used: static and stripped.
package gobuild

import (
	"fmt"
	"os"
	"os/exec"
)

const module = "github.com/kubeletctl/kubeletctl/"

// Static builds the program in a folder of this project, "cmd/kubeletctl" for example, as the file out.
func Static(out, folder string) error { return build(out, folder, "-s -w") }

// Standin builds the stand-in kubelet for a version such as v1.37.2 as the file out.
func Standin(out, version string) error {
	return build(out, "scripts/standin", "-s -w -X main.version="+version)
}

func build(out, folder, ldflags string) error {
	c := exec.Command("go", "build", "-trimpath", "-ldflags", ldflags, "-o", out, module+folder)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", folder, err, text)
	}
	return nil
}
