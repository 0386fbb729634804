package spec

import (
	"slices"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/document"
	"github.com/kubeletctl/kubeletctl/release"
)

// Given are the arguments and the configuration file, nil for none, that a kubelet of v gets from documents that are one setup,
// or from the spec among them. Arguments whose values only systemd knows are left out.
func Given(v release.Version, files []document.File) (args []string, configuration []byte, err error) {
	setup, err := ReadSetup(files)
	if err != nil {
		return nil, nil, err
	}
	if setup.Spec != nil {
		rendered, err := setup.Spec.Render(v, setup.Positions)
		if err != nil {
			return nil, nil, err
		}
		isExpanded := func(arg string) bool { return slices.Contains(rendered.Expanded, arg) }
		return slices.DeleteFunc(rendered.Args, isExpanded), rendered.Config, nil
	}
	for _, arg := range setup.Args {
		if !arg.Unknown {
			args = append(args, "--"+arg.Name+"="+arg.Value)
		}
	}
	configuration, err = setup.configuration(files)
	return args, configuration, err
}

// configuration is the configuration file of a setup as it was written, or as kubelet merges several; nil without one.
func (s *Setup) configuration(files []document.File) ([]byte, error) {
	configs := slices.DeleteFunc(slices.Clone(files), func(f document.File) bool {
		kind, _ := f.Kind()
		return kind != document.Config
	})
	switch len(configs) {
	case 0:
		return nil, nil
	case 1:
		return configs[0].Data, nil
	}
	return config.Marshal(s.Fields)
}
