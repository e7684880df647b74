package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/app"
)

func demoCommand() *cobra.Command {
	d := app.Demo{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show it all with nothing installed",
		Long: `Show it all with nothing installed: Kafka and Redis inside the process, ten days of a made-up
shop on a fast clock, the rules of examples/cart. Ends with what was decided per rule and arm,
and one user's story.`,
		Example: `  nudged demo
  nudged demo --serve`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if d.Duration < time.Second {
				return usageError{fmt.Errorf("--duration %s: at least 1s", d.Duration)}
			}
			d.Out = c.OutOrStdout()
			return d.Run(c.Context())
		},
	}
	c.Flags().DurationVar(&d.Duration, "duration", 20*time.Second, "how long the ten days take")
	c.Flags().BoolVar(&d.Serve, "serve", false, "keep Kafka and the daemon up afterwards, to produce to")
	return c
}
