package cmd

import (
	"reflect"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
)

func showCommand(a *app) *cobra.Command {
	var withSecrets bool
	c := &cobra.Command{
		Use:   "show",
		Short: "Print the recorded spec of this host, as a file for install -f",
		Long: `Show prints what install, set and adoption have recorded for this host. With -o json or yaml it also tells who asked for
each setting: install (its flags), file (a spec file), set, adopted, or host (a default that was chosen for this host).`,
		Args: takes(),
		RunE: func(*cobra.Command, []string) error { return show(a, withSecrets) },
	}
	c.Flags().BoolVar(&withSecrets, "show-secrets", false, "print secrets, too, instead of masking them")
	return c
}

// showResult is the document of config show.
type showResult struct {
	Spec    spec.Spec              `json:"spec"`
	Origins map[string]spec.Origin `json:"origins"`
	Notes   []string               `json:"notes,omitempty"`
}

func show(a *app, withSecrets bool) error {
	h, done, err := a.host()
	if err != nil {
		return err
	}
	defer done()
	current, err := h.Installed()
	if err != nil {
		return err
	}
	s, err := recordedSpec(current)
	if err != nil {
		return err
	}
	if !withSecrets {
		masked := s.Masked()
		if !reflect.DeepEqual(masked, s) {
			a.Note("secrets are masked; --show-secrets prints them")
		}
		s = masked
	} else { // what a record leaves out is no value
		for _, source := range s.Sources {
			if release.Redacted(source) {
				a.Note("left out, since its credentials are not recorded: the source " + source)
			}
		}
		s.Sources = slices.DeleteFunc(slices.Clone(s.Sources), release.Redacted)
	}
	if a.Structured() {
		a.Print(showResult{s, s.Origins, a.Notes()})
		return nil
	}
	text, err := specYAML(&s)
	if err != nil {
		return err
	}
	_, err = a.Out.Write(text)
	return err
}
