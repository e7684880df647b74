package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/rules/rulefile"
)

func checkCommand() *cobra.Command {
	var format, against string
	c := &cobra.Command{
		Use:   "check RULES...",
		Short: "Check rule files",
		Long: `Check rule files: syntax, names, types of expressions. Several files, or the files of a
folder, are read as one set. Exit code 1 if anything is wrong.

With --against the set is compared with the one in force: what the edit does to instances that
are pending, to what is kept about users, and to running experiments. An edit that would spoil
an experiment is refused: exit code 1.`,
		Example: `  nudged check ./rules
  nudged check rules.yaml --format json
  nudged check ./rules --against ./rules-in-force`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format %q: use text or json", format)}
			}
			if c.Flags().Changed("against") {
				return checkAgainst(c.OutOrStdout(), c.ErrOrStderr(), format, args, against)
			}
			set, err := rulefile.Load(args...)
			if format == "json" {
				return checkJSON(c.OutOrStdout(), err)
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
	c.Flags().StringVar(&against, "against", "", "rule file or folder in force: tell what the edit does")
	return c
}

// problemsOf returns the problems with rule files that an error tells of; any
// other error is returned as it is.
func problemsOf(err error) ([]*rulefile.Problem, error) {
	var list interface{ Problems() []*rulefile.Problem }
	switch {
	case errors.As(err, &list):
		return list.Problems(), nil
	case err != nil:
		return nil, err
	}
	return []*rulefile.Problem{}, nil
}

// checkJSON prints the problems as a JSON array.
func checkJSON(out io.Writer, err error) error {
	problems, err := problemsOf(err)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(problems); err != nil {
		return err
	}
	if len(problems) > 0 {
		return errReported
	}
	return nil
}

// checkAgainst compares the rules of the paths with those in force.
func checkAgainst(out, errs io.Writer, format string, paths []string, against string) error {
	oldFiles, err := rulefile.Read(against)
	if err != nil {
		return usageError{fmt.Errorf("--against: %w", err)}
	}
	files, err := rulefile.Read(paths...)
	if err != nil {
		return err
	}
	before, err := rulefile.Compile(oldFiles)
	if err != nil {
		return fmt.Errorf("--against %s: the rules to compare with are wrong themselves; check them first:\n%w", against, err)
	}
	after, err := rulefile.Compile(files)
	problems, other := problemsOf(err)
	if other != nil {
		return other
	}
	changes := []rulefile.Change{}
	if after != nil {
		changes = append(changes, rulefile.Compare(before, after)...)
	}
	refused := 0
	for _, change := range changes {
		if change.Refused {
			refused++
		}
	}
	if format == "json" {
		err := json.NewEncoder(out).Encode(struct {
			Problems []*rulefile.Problem `json:"problems"`
			Changes  []rulefile.Change   `json:"changes"`
			Refused  int                 `json:"refused"`
		}{problems, changes, refused})
		if err != nil {
			return err
		}
	} else if err != nil {
		fmt.Fprintln(errs, err)
	} else {
		for _, change := range changes {
			fmt.Fprintln(out, change)
		}
		switch {
		case len(changes) == 0:
			fmt.Fprintln(out, "nothing that is there already is touched")
		case refused == 0:
			fmt.Fprintf(out, "%s, none refused\n", count(len(changes), "change"))
		default:
			fmt.Fprintf(out, "%s, %d refused\n", count(len(changes), "change"), refused)
		}
	}
	if len(problems) > 0 || refused > 0 {
		return errReported
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
