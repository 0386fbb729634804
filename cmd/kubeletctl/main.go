// Command kubeletctl installs a kubelet release on a Linux host and looks after it.
package main

import (
	"os"

	"github.com/kubeletctl/kubeletctl/cmd"
)

func main() { os.Exit(cmd.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
