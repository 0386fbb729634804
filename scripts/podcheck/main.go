// Command podcheck is all that is in the image of the pods that the host tests run: the sandbox's pause, a server to
// probe, and the few tools that tell from inside what kubelet has set up.
//
//	podcheck pause           waits for SIGTERM
//	podcheck serve PORT      answers HTTP on all addresses and writes what it is asked to the log
//	podcheck mount DIR       mounts a tmpfs there, puts the file "inner" into it, then as pause
//	podcheck print FILE      the content of a file
//	podcheck write FILE TEXT
//	podcheck stat PATH       mode, owner, group and file system
//	podcheck id              user, group and further groups
//	podcheck answers         exits with 0: an exec probe
//
// A failure is told on stderr and by exit code 1.
package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "podcheck:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	wanted := map[string]int{"pause": 0, "serve": 1, "mount": 1, "print": 1, "write": 2, "stat": 1, "id": 0, "answers": 0}
	if len(args) == 0 {
		return errors.New("no command")
	}
	verb, args := args[0], args[1:]
	if n, known := wanted[verb]; !known || n != len(args) {
		return fmt.Errorf("%s %q: no such command", verb, args)
	}
	switch verb {
	case "pause":
		pause()
	case "serve":
		return serve(args[0])
	case "mount":
		if err := syscall.Mount("podcheck", args[0], "tmpfs", 0, "size=1m"); err != nil {
			return fmt.Errorf("mounting a tmpfs on %s: %w", args[0], err)
		}
		if err := os.WriteFile(filepath.Join(args[0], "inner"), []byte("mounted inside"), 0o644); err != nil {
			return err
		}
		pause()
	case "print":
		text, err := os.ReadFile(args[0])
		fmt.Printf("%s", text)
		return err
	case "write":
		return os.WriteFile(args[0], []byte(args[1]), 0o644)
	case "stat":
		return stat(args[0])
	case "id":
		groups, err := os.Getgroups()
		fmt.Println(os.Getuid(), os.Getgid(), groups)
		return err
	}
	return nil
}

func pause() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}

func serve(port string) error {
	fmt.Println("serving on port", port)
	return http.ListenAndServe(":"+port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("asked for", r.URL.Path)
		fmt.Fprintln(w, "ok")
	}))
}

func stat(path string) error {
	var s syscall.Stat_t
	var fs syscall.Statfs_t
	if err := errors.Join(syscall.Stat(path, &s), syscall.Statfs(path, &fs)); err != nil {
		return err
	}
	kind := fmt.Sprintf("%#x", fs.Type)
	if fs.Type == 0x01021994 {
		kind = "tmpfs"
	}
	fmt.Printf("%04o %d:%d %s\n", s.Mode&0o7777, s.Uid, s.Gid, kind)
	return nil
}
