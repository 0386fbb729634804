// Serve runs a release mirror over a directory in release layout.
//
// The first line on stdout is the URL to give to kubeletctl as --source.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

func main() {
	dir := flag.String("dir", "", "directory in release layout (required)")
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on; port 0 chooses a free one")
	log := flag.String("log", "", "file to append one JSON line per request to")
	throttle := flag.Int("throttle", 0, "bytes per second and request; 0: no limit")
	fast := flag.Bool("sendfile", false, "let the kernel copy files, as other web servers do")
	flag.Parse()
	if *dir == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := serve(*dir, *listen, *log, *throttle, *fast); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func serve(dir, listen, log string, throttle int, fast bool) error {
	if info, err := os.Stat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	handler := mirror.Handler(dir)
	handler.Fast = fast
	if throttle > 0 {
		handler.Fault("", mirror.Fault{Throttle: throttle})
	}
	if log != "" {
		f, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		handler.Observe = func(r mirror.Request) {
			line, _ := json.Marshal(r)
			f.Write(append(line, '\n')) // one write: lines of parallel requests do not mix
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/release\n", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			server.Close()
		}
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-done
	return nil
}
