// Command marker is a kubelet that leaves a mark when it is executed, whoever does that. It says its version and the flags of
// the newest minor in the tables, and can do nothing else.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
)

var version, mark string // set by the linker

func main() {
	f, err := os.OpenFile(mark, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err == nil {
		_, err = fmt.Fprintln(f, strings.Join(os.Args[1:], " "))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if slices.Contains(os.Args[1:], "--version") {
		fmt.Println("Kubernetes " + version)
		return
	}
	fmt.Println("A kubelet that cannot run.\n\nUsage:\n  kubelet [flags]\n\nFlags:")
	for _, f := range config.FlagsOf(config.Newest) {
		fmt.Printf("      --%s string   of the table\n", f.Name)
	}
}
