package cmd

import (
	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install/spec"
)

func schemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of the spec file, for editors",
		Long: `Schema prints a JSON schema (draft 2020-12) of the spec file that install -f reads. An editor that knows it completes and
describes the fields, flags and KubeletConfiguration fields of every release. Which of them a release accepts is checked by
kubeletctl config validate.

Editors with the YAML language server look for the schema that a comment at the top of the spec file names:

  # yaml-language-server: $schema=kubeletctl.schema.json`,
		Example: `  kubeletctl config schema >kubeletctl.schema.json`,
		Args:    takes(),
		RunE: func(*cobra.Command, []string) error {
			a.Print(spec.Schema())
			return nil
		},
	}
}
