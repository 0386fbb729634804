package cmd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// firstLine keeps a table readable; -o json has all.
func firstLine(text string) string {
	const most = 110
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > most {
		text = text[:most] + "..."
	}
	return text
}

func historyCommand(a *app) *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:   "history",
		Short: "List what was installed on this host, newest first",
		Args:  takes(),
		RunE: func(*cobra.Command, []string) error {
			record := a.record() // the record alone: no systemd is needed
			if limit < 0 {
				return &usageError{fmt.Errorf("--limit %d is negative", limit)}
			}
			list, older, err := record.History(limit)
			if err != nil {
				return err
			}
			if a.output.structured() {
				a.print(list)
				return nil
			}
			if len(list) == 0 {
				fmt.Fprintln(a.out, "kubeletctl has not installed a kubelet")
				return nil
			}
			rows := [][]string{{"GENERATION", "WHEN", "VERSION", "COMMAND", "USER", "TRUST", "RESULT"}}
			for _, r := range list {
				mark := string(r.Outcome)
				if r.Reason != "" {
					mark += ": " + firstLine(r.Reason)
				}
				if r.Current {
					mark += " (current)"
				}
				rows = append(rows, []string{strconv.Itoa(r.Number), r.Created.Local().Format(time.DateTime), r.Version.String(), r.Command, r.User, string(r.Trust), mark})
			}
			table(a.out, rows)
			if older {
				a.note(fmt.Sprintf("these are the newest %d; --limit 0 lists all", limit))
			}
			return nil
		},
	}
	c.Flags().IntVar(&limit, "limit", historyLimit, "list at most the newest `NUMBER`; 0: all")
	return c
}

// historyLimit is how much of the history is listed, unless more is asked for.
const historyLimit = 20
