// Benchtool does for scripts/bench what a shell cannot.
//
//	benchtool get URL FILE          downloads with go-getter's own client and its checksum option: what kubeletctl is held against
//	benchtool fetch SOURCE VERSION DIR [SHA256]
//	                                downloads as kubeletctl does, to the point where the binary is verified, in DIR and on disk
//	benchtool fetch-and-run SOURCE VERSION DIR [SHA256]
//	                                the same, and the binary was executed with --version before it got its name
//	benchtool rss COMMAND...        runs a command and prints its peak resident set, in KiB, on standard output
//	benchtool limits DIR            prints how fast this machine writes with fsync, and computes a SHA-256 on one core
//	benchtool generations N ROOT    makes N generations of the newest one in a tree
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"time"

	getter "github.com/hashicorp/go-getter/v2"

	"github.com/kubeletctl/kubeletctl/release"
)

func main() {
	verbs := map[string]func([]string) error{"get": get, "fetch": fetch, "fetch-and-run": fetchAndRun, "rss": rss, "limits": limits, "generations": generations}
	if len(os.Args) < 3 || verbs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "benchtool: get URL FILE | fetch[-and-run] SOURCE VERSION DIR [SHA256] | rss COMMAND... | limits DIR | generations N ROOT")
		os.Exit(2)
	}
	if err := verbs[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "benchtool:", err)
		os.Exit(1)
	}
}

func get(args []string) error {
	client := &getter.Client{Getters: []getter.Getter{&getter.HttpGetter{XTerraformGetDisabled: true}}, Decompressors: map[string]getter.Decompressor{}}
	_, err := client.Get(context.Background(), &getter.Request{Src: args[0] + "?checksum=file:" + args[0] + ".sha256", Dst: args[1], GetMode: getter.ModeFile})
	return err
}

func fetch(args []string) error { return place(args, false) }

func fetchAndRun(args []string) error { return place(args, true) }

func place(args []string, run bool) error {
	ctx := context.Background()
	v, err := release.ParseVersion(args[1])
	if err != nil {
		return err
	}
	var given release.Digest
	if len(args) > 3 {
		if given, err = release.ParseDigest("sha256", args[3]); err != nil {
			return err
		}
	}
	c := &release.Client{Sources: args[:1]}
	a, err := c.Artifact(ctx, v, runtime.GOARCH, given)
	if err != nil {
		return err
	}
	partial := filepath.Join(args[2], ".part")
	if _, err := c.Fetch(ctx, a, partial); err != nil {
		return err
	}
	if err := os.Chmod(partial, 0o755); err != nil {
		return err
	}
	if run {
		if err := release.Check(ctx, partial, a.Arch, v); err != nil {
			return err
		}
	}
	if err := os.Rename(partial, filepath.Join(args[2], "kubelet")); err != nil {
		return err
	}
	dir, err := os.Open(args[2])
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func rss(args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("no resource usage here")
	}
	fmt.Println(usage.Maxrss)
	return nil
}

const size = 92_000_000

func limits(args []string) error {
	name := filepath.Join(args[0], "limits")
	defer os.Remove(name)
	block := make([]byte, 1<<20)
	best := func(what string, run func() error) error {
		fastest := time.Hour
		for range 3 {
			began := time.Now()
			if err := run(); err != nil {
				return err
			}
			fastest = min(fastest, time.Since(began))
		}
		fmt.Printf("%s: %.0f MB/s\n", what, size/fastest.Seconds()/1e6)
		return nil
	}
	err := best("write of 92 MB with fsync", func() error {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		for left := size; left > 0 && err == nil; left -= len(block) {
			_, err = f.Write(block[:min(len(block), left)])
		}
		return errors.Join(err, f.Sync(), f.Close())
	})
	if err != nil {
		return err
	}
	return best("SHA-256 on one core", func() error {
		h := sha256.New()
		for left := size; left > 0; left -= len(block) {
			h.Write(block[:min(len(block), left)])
		}
		_, err := io.Discard.Write(h.Sum(nil))
		return err
	})
}

var number = regexp.MustCompile(`"number": \d+`)

func generations(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil || len(args) != 2 {
		return errors.New("generations N ROOT")
	}
	store := filepath.Join(args[1], "var/lib/kubeletctl")
	from, err := filepath.EvalSymlinks(filepath.Join(store, "current"))
	if err != nil {
		return err
	}
	last, err := strconv.Atoi(filepath.Base(from))
	if err != nil {
		return err
	}
	for i := last + 1; i <= n; i++ {
		to := filepath.Join(store, "generations", strconv.Itoa(i))
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			return err
		}
		record := filepath.Join(to, "record.json")
		data, err := os.ReadFile(record)
		if err != nil {
			return err
		}
		if err := os.WriteFile(record, number.ReplaceAll(data, fmt.Appendf(nil, `"number": %d`, i)), 0o644); err != nil {
			return err
		}
	}
	link := filepath.Join(store, "current")
	return errors.Join(os.Remove(link), os.Symlink(filepath.Join("generations", strconv.Itoa(n)), link))
}
