package cmd

import (
	"github.com/spf13/cobra"
)

func restartCommand(a *app) *cobra.Command {
	var o changeOptions
	c := &cobra.Command{
		Use:   "restart",
		Short: "Restart the installed kubelet, and wait until it is healthy",
		Long: `Restart starts the installed kubelet anew, or starts it when it is stopped, as systemctl restart kubelet.service does. Before
that it is rehearsed with the configuration that is there, and afterwards it has to be healthy; history lists it as an event.

It is refused when kubelet would not start as it was installed, for example because its unit or its configuration was edited:
kubeletctl repair puts that back. A kubelet that waits for credentials is not restarted either. A kubelet that does not
become healthy is left to systemd, which tries again: there is no former one to go back to.`,
		Example: `  kubeletctl restart
  kubeletctl restart --dry-run
  kubeletctl restart --wait 3m -o json`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error { return endedEarly(c.Context(), restart(a, c, o)) },
	}
	f := c.Flags()
	o.registerRun(f)
	o.registerGate(f, "maximum time for kubelet to become healthy (0: do not wait)", "restart without rehearsing kubelet first")
	inGroup(f, groupChange)
	return c
}

func restart(a *app, c *cobra.Command, o changeOptions) error {
	if err := o.check(a, c.Flags()); err != nil {
		return &usageError{err}
	}
	h, done, err := a.host()
	if err != nil {
		return err
	}
	defer done()
	x := changer{app: a, host: h, options: o, verb: "restart"}
	if err := x.takeLock(c.Context()); err != nil {
		return err
	}
	defer x.lock.Release()
	change, err := h.PrepareRestart(c.Context())
	if err != nil {
		return err
	}
	return x.change(c.Context(), change)
}
