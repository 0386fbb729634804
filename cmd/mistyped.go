package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/release"
)

// group makes a command one that only holds others. Alone, or with another word than their names, it is a mistake.
func group(c *cobra.Command) {
	c.Args = onlyCommands
	c.RunE = func(c *cobra.Command, _ []string) error {
		names := commandNames(c)
		last := len(names) - 1
		return &usageError{withHint(fmt.Errorf("%q needs a command: %s or %s", c.CommandPath(), strings.Join(names[:last], ", "), names[last]),
			c.CommandPath()+" --help describes them")}
	}
}

// onlyCommands refuses a word that is no command below c.
func onlyCommands(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q for %q%s", args[0], c.CommandPath(), meant(nearCommands(c, args[0])))
	return withHint(err, c.CommandPath()+" --help lists the commands")
}

// commandNames are the commands below c that its help lists.
func commandNames(c *cobra.Command) []string {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// nearCommands are the commands below c that a word was probably meant to be.
func nearCommands(c *cobra.Command, word string) []string {
	if word == "" { // every name begins with it
		return nil
	}
	c.SuggestionsMinimumDistance = 2 // two letters that changed places
	return c.SuggestionsFor(word)
}

// meant is the question, at the end of an error, whether one of these was meant; empty when there are none.
func meant(these []string) string {
	if len(these) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(these, " or ") + "?"
}

// takes accepts exactly the arguments that are named.
func takes(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		var err error
		switch {
		case len(args) < len(names):
			err = fmt.Errorf("%s is missing", names[len(args)])
		case len(args) > len(names):
			err = unexpected(c, args[len(names)])
		default:
			return nil
		}
		return withHint(err, c.CommandPath()+" --help lists the flags")
	}
}

// takesUpTo is like takes, for arguments that may be left out: all of them.
func takesUpTo(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return takes(names...)(c, args)
	}
}

// unexpected is the error about an argument that a command does not take. It may be the value of a flag that was left out.
func unexpected(c *cobra.Command, arg string) error {
	_, notVersion := release.ParseRequest(arg)
	_, notNumber := strconv.ParseUint(arg, 10, 31)
	var flags []string
	if c.Flags().Lookup("version") != nil && arg != "" && notVersion == nil {
		flags = append(flags, "--version "+arg)
	}
	if c.Flags().Lookup("to") != nil && notNumber == nil {
		flags = append(flags, "--to "+arg)
	}
	return fmt.Errorf("unexpected argument %q%s", arg, meant(flags))
}

// flagError says in words of this program what the parser of flags says in its own.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		c.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, "--"+flag.Name) })
		err = orRather(err, "--"+unknown.GetSpecifiedName(), names)
	}
	return withHint(plainFlagError(err), c.CommandPath()+" --help lists the flags")
}

// orRather adds to an error about a name which of the candidates was probably meant.
func orRather(err error, name string, candidates []string) error {
	if question := config.DidYouMean(name, candidates); question != "" {
		return fmt.Errorf("%w; %s", err, question)
	}
	return err
}

// plainFlagError says in words of this program what the parsers of numbers and times say in those of their source code.
func plainFlagError(err error) error {
	var invalid *pflag.InvalidValueError
	var number *strconv.NumError
	if !errors.As(err, &invalid) {
		return err
	}
	if invalid.GetFlag().Value.Type() == "duration" {
		return fmt.Errorf("--%s %q is not a time with a unit, such as 90s or 2m", invalid.GetFlag().Name, invalid.GetValue())
	}
	if !errors.As(err, &number) {
		return err
	}
	what := map[string]string{"int": "a whole number", "bool": "true or false"}[invalid.GetFlag().Value.Type()]
	if what == "" {
		return err
	}
	return fmt.Errorf("--%s %q is not %s", invalid.GetFlag().Name, invalid.GetValue(), what)
}
