// Command kubeletctl installs a kubelet release on a Linux host and looks after it.
package main

import (
	"os"
	"runtime/debug"

	"github.com/kubeletctl/kubeletctl/cmd"
)

// memory is what the garbage collector tries to stay below, in bytes: a host that is short of it has other work to do.
const memory = 14 << 20

func main() {
	debug.SetMemoryLimit(memory)
	os.Exit(cmd.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
