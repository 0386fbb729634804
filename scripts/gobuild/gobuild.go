// Package gobuild builds the project's programs for tests, the way they are built to be used: static and stripped.
package gobuild

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/kubeletctl/kubeletctl/"

// Static builds the program in a folder of this project, "cmd/kubeletctl" for example, as the file out.
func Static(out, folder string) error { return build(out, folder, "-s -w") }

// WithTable builds kubeletctl as the file out, with the file table as its table of published digests.
func WithTable(out, table string) error {
	where, err := exec.Command("go", "list", "-f", "{{.Dir}}", module+"release").Output()
	if err != nil {
		return fmt.Errorf("looking for the table of published digests: %w", err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(strings.TrimSpace(string(where)), "published.txt"): table},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(table+".json", overlay, 0o644); err != nil {
		return err
	}
	return build(out, "cmd/kubeletctl", "-s -w", "-overlay", table+".json")
}

// Standin builds the stand-in kubelet for a version such as v1.37.2 as the file out.
func Standin(out, version string) error {
	return build(out, "scripts/standin", "-s -w -X main.version="+version)
}

// Tool builds the stand-in for kubeadm or kubectl of a version as the file out.
func Tool(out, program, version string) error {
	return build(out, "scripts/standin/tool", "-s -w -X main.program="+program+" -X main.version="+version)
}

func build(out, folder, ldflags string, more ...string) error {
	// Without grpcnotrace grpc brings a web server for its traces along, 3 MB.
	args := append([]string{"build", "-tags", "grpcnotrace", "-trimpath", "-ldflags", ldflags, "-o", out}, more...)
	c := exec.Command("go", append(args, module+folder)...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", folder, err, text)
	}
	return nil
}
