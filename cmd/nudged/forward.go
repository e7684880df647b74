package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/app"
	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/internal/telemetry"
)

func forwardCommand() *cobra.Command {
	var path string
	var printConfig bool
	c := &cobra.Command{
		Use:   "forward --config nudged.yaml",
		Short: "Post the send commands to a webhook",
		Long: `Read the send topic and post each command to a URL: signed, at least once, those of one user in
their order. The command id is the idempotency key. Kafka, the topic of sends and the forward part
are taken from the configuration. docs/webhook.md says what a receiver has to do.`,
		Example: `  nudged forward --config nudged.yaml
  NUDGED_FORWARD_URL=https://push.example.com/nudges NUDGED_FORWARD_SECRETS=whsec_... nudged forward`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(path, os.LookupEnv)
			if err != nil {
				return usageError{err}
			}
			if printConfig {
				text, err := config.Print(cfg)
				if err != nil {
					return err
				}
				fmt.Fprint(c.OutOrStdout(), text)
				return nil
			}
			if err := cfg.ForwardReady(); err != nil {
				return usageError{err}
			}
			logger, err := telemetry.NewLogger(os.Stderr, cfg.Log.Level, cfg.Log.Format)
			if err != nil {
				return err
			}
			f := app.Forwarding{Config: cfg, Logger: logger}
			return f.Run(c.Context())
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration file (default: none, the defaults and the environment hold)")
	c.Flags().BoolVar(&printConfig, "print-config", false, "print the configuration as it results, secrets hidden, and exit")
	return c
}
