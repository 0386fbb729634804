package cmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/store"
)

// recoverCommand is what kubeletctl-recover.service runs.
func recoverCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    install.RecoverVerb,
		Short:  "Bring a change that was interrupted to an end",
		Hidden: true,
		Args:   takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			h, done, err := a.host()
			if err != nil {
				return err
			}
			defer done()
			lock, err := h.Lock()
			if locked := (*store.LockedError)(nil); errors.As(err, &locked) {
				terminal.Say(a.Out, "%v: nothing to recover yet", err)
				return nil
			}
			if err != nil {
				return err
			}
			defer lock.Release()
			line, err := h.Recover(c.Context(), true)
			if err != nil || line == "" {
				return err
			}
			terminal.Say(a.Out, "%s", line)
			return saveNotice(h, line)
		},
	}
}
