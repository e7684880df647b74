package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/schema"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [" + strings.Join(schema.Names(), "|") + "]",
		Short: "Print JSON Schemas of files and messages",
		Long: `Print the JSON Schema (draft 2020-12) of rule files, rule tests, the configuration, or of the
messages that go out. Without an argument: what there is.

Editors with a YAML language server check and complete a file that begins with the line
  # yaml-language-server: $schema=rules.schema.json`,
		Example: `  nudged schema
  nudged schema rules > rules.schema.json
  nudged schema command > command.schema.json`,
		Args:      arguments(cobra.MaximumNArgs(1)),
		ValidArgs: schema.Names(),
		RunE: func(c *cobra.Command, args []string) error {
			out := c.OutOrStdout()
			if len(args) == 0 {
				for _, name := range schema.Names() {
					fmt.Fprintf(out, "%-12s %s\n", name, schema.Title(name))
				}
				return nil
			}
			if !slices.Contains(schema.Names(), args[0]) {
				return usageError{fmt.Errorf("there is no schema called %q: the schemas are %s", args[0], strings.Join(schema.Names(), ", "))}
			}
			text, err := schema.JSON(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(out, "%s\n", text)
			return err
		},
	}
}
