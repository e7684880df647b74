package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/rules/rulefile"
)

func checkCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "check RULES...",
		Short: "Check rule files",
		Long: `Check rule files: syntax, names, types of expressions. Several files, or the files of a
folder, are read as one set. Exit code 1 if anything is wrong.`,
		Example: `  nudged check ./rules
  nudged check rules.yaml --format json`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format %q: use text or json", format)}
			}
			set, err := rulefile.Load(args...)
			if format == "json" {
				return checkJSON(c, err)
			}
			if err != nil {
				fmt.Fprintln(c.ErrOrStderr(), err)
				return errReported
			}
			fmt.Fprintf(c.OutOrStdout(), "%d rules, %d metrics, %d attributes, %d experiments: no problems (%s)\n",
				len(set.Rules), len(set.Metrics), len(set.Attributes), len(set.Experiments), set.Version)
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "text", "text or json")
	return c
}

// checkJSON prints the problems as a JSON array.
func checkJSON(c *cobra.Command, err error) error {
	var problems []*rulefile.Problem
	var list interface{ Problems() []*rulefile.Problem }
	switch {
	case errors.As(err, &list):
		problems = list.Problems()
	case err != nil:
		return err
	}
	if problems == nil {
		problems = []*rulefile.Problem{}
	}
	if err := json.NewEncoder(c.OutOrStdout()).Encode(problems); err != nil {
		return err
	}
	if len(problems) > 0 {
		return errReported
	}
	return nil
}
