package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/install/diagnose"
	"github.com/kubeletctl/kubeletctl/install/document"
)

// commandLine is what the words behind -- are called.
const commandLine = "command line"

// documents reads the files of a config verb, or takes what is behind -- for a command line.
func documents(a *app, c *cobra.Command, args []string) ([]document.File, error) {
	if dash := c.ArgsLenAtDash(); dash >= 0 {
		words := make([]string, 0, len(args)-dash)
		for _, word := range args[dash:] {
			words = append(words, diagnose.ShellQuote(word))
		}
		others, err := readDocuments(a, c, args[:dash])
		return append(others, document.CommandLine(commandLine, strings.Join(words, " "))), err
	}
	if len(args) == 0 {
		return nil, &usageError{withHint(errors.New("no FILE and no command line"), "kubeletctl config "+c.Name()+" --help shows what it takes")}
	}
	return readDocuments(a, c, args)
}

// readDocuments reads files, and refuses those that say nothing of how a kubelet is run.
func readDocuments(a *app, c *cobra.Command, names []string) ([]document.File, error) {
	var all []document.File
	var errs []error
	for _, name := range names {
		data, err := a.read(c.Context(), name)
		if err != nil {
			return nil, err
		}
		f := document.File{Name: name, Data: data}
		kind, err := f.Kind()
		switch {
		case bytes.IndexByte(data, 0) >= 0:
			err = fmt.Errorf("%s is not a text file", name)
		case kind == document.Empty && len(bytes.TrimSpace(data)) == 0 && len(names) == 1:
			err = fmt.Errorf("%s is empty", name)
		}
		errs = append(errs, err)
		all = append(all, f)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &usageError{err}
	}
	return all, nil
}
