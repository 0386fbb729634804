package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/spec"
)

func setCommand(a *app) *cobra.Command {
	o := newInstallOptions()
	c := &cobra.Command{
		Use:               "set [FIELD=VALUE]... [--unset SETTING]...",
		Short:             "Change settings of the installed kubelet, and keep the others",
		ValidArgsFunction: a.completeField,
		Long: `Set changes the recorded spec and applies it: the same release with these fields and flags, and everything else as it is.
It is planned, rehearsed and gated as an install is. What was set stays when install is run again; kubeletctl config show
prints all that is recorded.

A FIELD is one of the KubeletConfiguration, as --set takes it. A SETTING is a field, the name of a flag, or another setting
by the name that kubeletctl config show has for it.`,
		Example: `  kubeletctl set maxPods=50
  kubeletctl set 'evictionHard.memory\.available=200Mi' --node-labels zone=a
  kubeletctl set --unset maxPods --dry-run`,
		RunE: func(c *cobra.Command, args []string) error {
			o.sets = append(o.sets, args...)
			return endedEarly(c.Context(), set(a, c, o))
		},
	}
	f := c.Flags()
	f.StringArrayVar(&o.unset, "unset", nil, "a `SETTING` to take away; repeat it")
	f.BoolVar(&o.refresh, "refresh-defaults", false, "take the defaults that depend on this host, as for a new installation")
	inGroup(f, groupConfig)
	o.registerWith(c)
	o.registerSpec(c)
	a.completesSettings(c)
	completes(c, "unset", a.completeUnset)
	o.registerChange(c)
	return c
}

func set(a *app, c *cobra.Command, o *installOptions) error {
	changed := len(o.sets) > 0
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { changed = changed || f.Changed })
	if !changed {
		return &usageError{withHint(errors.New("nothing to set"), "name a field: kubeletctl set maxPods=50; kubeletctl config show prints what is recorded")}
	}
	w := newWork(a, o, "set")
	done, err := w.open()
	if err != nil {
		return err
	}
	defer done()
	_, recorded, err := w.recorded(c.Context())
	if err != nil {
		return err
	}
	if err := w.readSpec(c, &recorded); err != nil {
		return &usageError{err}
	}
	return w.run(c.Context())
}

// recorded makes the recorded spec the one to begin with, and returns it and its generation.
func (w *work) recorded(ctx context.Context) (*plan.Generation, spec.Spec, error) {
	w.want.recorded = true
	if err := w.lockEarly(ctx); err != nil {
		return nil, spec.Spec{}, err
	}
	current, err := w.host.Installed()
	if err != nil {
		return nil, spec.Spec{}, err
	}
	if w.lock == nil {
		w.base = current
	}
	recorded, err := recordedSpec(current)
	return current, recorded, err
}

// unset takes settings away.
func (w *work) unset() error {
	var errs []error
	for _, name := range w.want.unset {
		next, found, err := w.spec.Unset(name)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("--unset %s: %w", name, err))
		case !found:
			errs = append(errs, withHint(fmt.Errorf("--unset %s: it is not recorded", name), "kubeletctl config show prints what is"))
		default:
			w.spec = next
		}
	}
	return errors.Join(errs...)
}

// reconcile holds the spec of an install against what is recorded on the host, and tells what becomes of the difference.
func (w *work) reconcile() error {
	current, err := w.host.Store().Current()
	if w.chooses = err == nil && (current == nil || current.Snapshot); err != nil || w.chooses {
		return err
	}
	recorded, err := spec.Recorded(current)
	if errors.Is(err, spec.ErrNoSpec) {
		w.chooses = true
		w.app.Note(fmt.Sprintf("generation %d has lost its settings: settings that this command does not repeat are gone", current.Number))
		return nil
	}
	if err != nil {
		return err
	}
	r, err := w.spec.Reconcile(recorded, w.want.replace)
	if err != nil {
		return err
	}
	if len(r.Forgotten) > 0 {
		return &forgottenError{r.Forgotten}
	}
	for _, s := range r.Kept {
		w.app.Note(fmt.Sprintf("kept: %s (%s)", spec.SettingName(s.Path), s.Origin))
	}
	for _, s := range r.Dropped {
		w.app.Note(fmt.Sprintf("dropped: %s (%s)", spec.SettingName(s.Path), s.Origin))
	}
	w.spec = r.Spec
	return w.spec.Check()
}

// forgottenError refuses an install that would lose what the flags of an earlier one asked for.
type forgottenError struct{ settings []spec.Setting }

func (e *forgottenError) Error() string {
	var names []string
	for _, s := range e.settings {
		names = append(names, spec.SettingName(s.Path))
	}
	return "settings of an earlier install are not repeated, and would be lost: " + strings.Join(names, ", ")
}

// Hint says what to do about it.
func (e *forgottenError) Hint() string {
	return "kubeletctl set and kubeletctl upgrade keep what is recorded; --replace drops these settings; or put all of them into " + hostfs.SpecFile
}
