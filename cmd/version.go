package cmd

import (
	"cmp"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install"
)

// What scripts/release/build stamps with the linker's -X. Without it the build information that Go records counts.
var stampedVersion, stampedCommit, stampedDate string

// versionResult is the document of version.
type versionResult struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Date     string `json:"date,omitempty"` // of the commit, RFC 3339
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Oldest   string `json:"oldestKubelet"`
	Newest   string `json:"newestKubelet"`
	// Recovery is the version of the kubeletctl-recover of this host, where that is another one.
	Recovery string `json:"recoveryVersion,omitempty"`
}

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of kubeletctl and of the kubelets it knows",
		Args:  takes(),
		Run:   func(c *cobra.Command, _ []string) { a.printVersion(c) },
	}
}

func (a *app) printVersion(c *cobra.Command) {
	v := buildVersion()
	if a.root == "/" {
		installed, _ := a.record().Installed() // without it nothing is known of a copy that recovers
		v.Recovery = install.RecoveryVersion(c.Context(), installed.Program().Path)
		if v.Recovery == v.Version {
			v.Recovery = ""
		}
	}
	if a.Structured() {
		a.Print(v)
		return
	}
	of := ""
	if v.Date != "" {
		day, _, _ := strings.Cut(v.Date, "T")
		of += " of " + day
	}
	if v.Commit != "" {
		const abbreviated = 12 // digits
		of += ", commit " + v.Commit[:min(abbreviated, len(v.Commit))]
	}
	terminal.Say(a.Out, "kubeletctl %s%s (%s, %s), knows kubelet %s to %s", v.Version, of, v.Go, v.Platform, v.Oldest, v.Newest)
	if v.Recovery != "" {
		a.Note("kubeletctl-recover on this host is " + v.Recovery + "; the next change renews it")
	}
}

// buildVersion is what was stamped, else what Go recorded: the version of go install, the commit of go build. A build that
// knows no version is "devel".
func buildVersion() versionResult {
	v := versionResult{Version: stampedVersion, Commit: stampedCommit, Date: stampedDate, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Oldest: config.Oldest.String(), Newest: config.Newest.String()}
	if info, ok := debug.ReadBuildInfo(); ok && stampedVersion == "" {
		v.Version = strings.TrimPrefix(info.Main.Version, "(devel)")
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.time":
				v.Date = s.Value
			}
		}
	}
	v.Version = cmp.Or(v.Version, "devel")
	return v
}
