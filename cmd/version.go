package cmd

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/config"
)

// versionResult is the document of version.
type versionResult struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Oldest   string `json:"oldestKubelet"`
	Newest   string `json:"newestKubelet"`
}

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of kubeletctl and of the kubelets it knows",
		Args:  takes(),
		Run:   func(*cobra.Command, []string) { a.printVersion() },
	}
}

func (a *app) printVersion() {
	v := versionResult{Version: buildVersion(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Oldest: config.Oldest.String(), Newest: config.Newest.String()}
	if a.Structured() {
		a.Print(v)
		return
	}
	terminal.Say(a.Out, "kubeletctl %s (%s, %s), knows kubelet %s to %s", v.Version, v.Go, v.Platform, v.Oldest, v.Newest)
}

// buildVersion is the module version that go install recorded, or "devel".
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
