// Command tool stands in for kubeadm and kubectl in tests: it says its version in their form, and nothing else. It is built
// for a program and a version:
//
//	go build -ldflags '-X main.program=kubeadm -X main.version=v1.37.2' ./scripts/standin/tool
package main

import (
	"os"
	"strings"
)

var program, version string // set by the linker

// asked are the arguments with which each is asked for its version.
var asked = map[string]string{"kubeadm": "version -o json", "kubectl": "version --client -o json"}

func main() {
	if strings.Join(os.Args[1:], " ") != asked[program] {
		os.Stderr.WriteString(program + ": this is a stand-in\n")
		os.Exit(1)
	}
	os.Stdout.WriteString(`{"clientVersion": {"gitVersion": "` + version + `"}}` + "\n")
}
