package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install"
)

// recoverCommand is what kubeletctl-recover.service runs.
func (a *app) recoverCommand() *cobra.Command {
	return &cobra.Command{
		Use:    install.RecoverVerb,
		Short:  "Bring a change that was interrupted to an end",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, done, err := a.host()
			if err != nil {
				return err
			}
			defer done()
			unlock, err := h.Lock()
			if locked := (*install.LockedError)(nil); errors.As(err, &locked) {
				fmt.Fprintf(a.out, "%v: nothing to recover yet\n", err)
				return nil
			}
			if err != nil {
				return err
			}
			defer unlock()
			line, err := h.Recover(c.Context(), true)
			if err != nil || line == "" {
				return err
			}
			fmt.Fprintln(a.out, line)
			return h.Leave(line)
		},
	}
}
