package cmd

import (
	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install/rehearsal"
)

// rehearseCommand is what kubeletctl starts itself with, in the namespaces of a rehearsal.
func rehearseCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    rehearsal.Verb,
		Hidden: true,
		Args:   takes(),
		RunE:   func(*cobra.Command, []string) error { return rehearsal.Inside(a.in, a.Out) },
	}
}
