package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/app"
	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/internal/doctor"
)

func doctorCommand() *cobra.Command {
	d := app.Doctor{Now: time.Now}
	var path, format string
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor --config nudged.yaml",
		Short: "Look at what nudged runs on, and say what is wrong and what to do",
		Long: `Look at what nudged run would run on with this configuration, and say of each thing what was found,
why it matters and what to do: configuration, rules, Kafka (reach, rights, topics, settings, the
group and its lag), Redis (reach, rights, eviction, persistence, memory, replicas), clocks, and
whether the state in Redis fits what Kafka has committed.

It changes nothing, and may be run beside the daemon. Run it on the daemon's machine and as its
users. Exit code 1 if something is a failure, 0 if not. docs/doctor.md describes the checks.`,
		Example: `  nudged doctor --config nudged.yaml
  nudged doctor --config nudged.yaml --json
  nudged doctor --config nudged.yaml --timeout 10s`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case format != "text" && format != "json":
				return usageError{fmt.Errorf("--format %q: use text or json", format)}
			case d.Timeout <= 0:
				return usageError{fmt.Errorf("--timeout %v: give a time above 0", d.Timeout)}
			}
			d.Config, d.ConfigErr = config.Load(path, os.LookupEnv)
			report := d.Run(c.Context())
			if asJSON || format == "json" {
				if err := report.JSON(c.OutOrStdout()); err != nil {
					return err
				}
			} else {
				report.Print(c.OutOrStdout())
			}
			if report.Status == doctor.Failure {
				return errReported
			}
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration file (default: none, the defaults and the environment hold)")
	c.Flags().DurationVar(&d.Timeout, "timeout", 30*time.Second, "how long all of it may take; what has not answered by then is said")
	c.Flags().StringVar(&format, "format", "text", "text or json")
	c.Flags().BoolVar(&asJSON, "json", false, "the same as --format json")
	return c
}
