package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/config"
)

// joinFile is the file of install --join-file: the flags of join, for a run without a terminal.
type joinFile struct {
	Server          string   `json:"server,omitempty"`
	Token           string   `json:"token,omitempty"`
	TokenFile       string   `json:"tokenFile,omitempty"`
	Hashes          []string `json:"discoveryTokenCACertHashes,omitempty"`
	CAFile          string   `json:"caFile,omitempty"`
	Bootstrap       string   `json:"bootstrapKubeconfig,omitempty"`
	Kubeconfig      string   `json:"kubeconfig,omitempty"`
	NoClusterConfig bool     `json:"noClusterConfig,omitempty"`
	WaitReady       string   `json:"waitReady,omitempty"`
}

// maxJoinFile is the size in bytes that it may have.
const maxJoinFile = 64 << 10

// registerJoin registers the flag of install for that file.
func (o *installOptions) registerJoin(c *cobra.Command) {
	c.Flags().StringVar(&o.joinFile, "join-file", "", "YAML `FILE` with what to join with, mode 0600; afterwards join as kubeletctl join does: kubeletctl help joining")
	inGroup(c.Flags(), groupNode)
}

// readJoinFile reads the file of --join-file, which may hold a token and so must be for its owner alone.
func readJoinFile(name string) (*joinOptions, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxJoinFile {
		return nil, fmt.Errorf("%s is not a regular file of at most 64 KiB", name)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, withHint(fmt.Errorf("%s has the mode %04o, and other users could read the token in it", name, mode), "chmod 0600 "+name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var f joinFile
	if _, err := config.DecodeStrict(name, data, &f); err != nil {
		return nil, err
	}
	if f.Token != "" && f.TokenFile != "" {
		return nil, fmt.Errorf("%s: token and tokenFile are both given", name)
	}
	o := &joinOptions{server: f.Server, token: f.Token, tokenFile: f.TokenFile, pins: f.Hashes, caFile: f.CAFile, bootstrap: f.Bootstrap, kubeconfig: f.Kubeconfig,
		noClusterConfig: f.NoClusterConfig, waitReady: defaultWaitReady}
	if f.WaitReady != "" {
		if o.waitReady, err = time.ParseDuration(f.WaitReady); err != nil || o.waitReady < 0 {
			return nil, fmt.Errorf("%s: waitReady: %q is not a duration, as 5m", name, f.WaitReady)
		}
	}
	if err := o.checkWay(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return o, nil
}

// joinAfter makes an install one that joins afterwards, if it is asked to.
func (w *work) joinAfter(ctx context.Context) error {
	file := w.want.joinFile
	if file == "" {
		return nil
	}
	if w.app.root != "/" {
		return errors.New("--join-file is for the running host: leave out --root")
	}
	o, err := readJoinFile(file)
	if err != nil {
		return fmt.Errorf("--join-file: %w", err)
	}
	invited, err := o.read(ctx, w.app)
	if err != nil {
		return fmt.Errorf("--join-file %s: %w", file, err)
	}
	w.then = func(ctx context.Context) error {
		w.unlock() // join reads what is recorded with a lock of its own
		o.change = w.options
		next := newWork(w.app, &installOptions{recorded: true, change: o.change}, "join")
		next.host = w.host
		defer next.unlock()
		return newJoiner(next, o, invited).run(ctx)
	}
	return nil
}
