package cmd

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install"
)

func (a *app) historyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "history",
		Short: "List what was installed on this host, newest first",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			h := &install.Host{Tree: install.Tree{Root: a.root}} // the record alone: no systemd is needed
			list, err := h.History()
			if err != nil {
				return err
			}
			if a.output.structured() {
				a.print(list)
				return nil
			}
			if len(list) == 0 {
				fmt.Fprintln(a.out, "kubeletctl has installed no kubelet here")
				return nil
			}
			rows := [][]string{{"GENERATION", "WHEN", "VERSION", "WHY", "WHO", "TRUST", ""}}
			for _, r := range list {
				mark := ""
				if r.Current {
					mark = "current"
				}
				rows = append(rows, []string{strconv.Itoa(r.Number), r.Created.Local().Format(time.DateTime), r.Version.String(), r.Verb, r.By, string(r.Trust), mark})
			}
			table(a.out, rows)
			return nil
		},
	}
}
