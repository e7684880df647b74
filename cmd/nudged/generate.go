package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/app"
	"github.com/nudged/nudged/internal/config"
)

func generateCommand() *cobra.Command {
	var g app.Generate
	var configFile, brokers string
	c := &cobra.Command{
		Use:   "generate --topic TOPIC",
		Short: "Make up a shop's events, now, into a topic",
		Long: `Make up a shop's events into a topic, at the present time, until it is ended: people who search,
look at products, put them into the cart, buy, sign up. Kafka is taken from --brokers, or else from
the kafka part of --config and NUDGED_KAFKA_… variables.`,
		Example: `  nudged generate --brokers 127.0.0.1:9092 --topic events
  nudged generate --config nudged.yaml --topic events --rate 200 --pause 5s --traced 0.01`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := g.Validate(); err != nil {
				return usageError{err}
			}
			cfg, err := config.Load(configFile, func(name string) (string, bool) {
				if name == "NUDGED_KAFKA_BROKERS" && brokers != "" {
					return brokers, true
				}
				return os.LookupEnv(name)
			})
			if err != nil {
				return usageError{err}
			}
			if g.Options, err = app.KafkaOptions(&cfg.Kafka); err != nil {
				return err
			}
			if !c.Flags().Changed("seed") {
				g.Seed = uint64(time.Now().UnixNano())
			}
			n, err := g.Run(c.Context())
			fmt.Fprintf(c.OutOrStdout(), "%d events to topic %s\n", n, g.Topic)
			return err
		},
	}
	c.Flags().StringVar(&g.Topic, "topic", "events", "topic to produce to")
	c.Flags().Float64Var(&g.Rate, "rate", 20, "events a second")
	c.Flags().DurationVar(&g.Pause, "pause", 10*time.Second, "how long a visitor waits from one event to the next, on average")
	c.Flags().IntVar(&g.Users, "users", 10_000, "how many people come to the shop")
	c.Flags().Float64Var(&g.Traced, "traced", 0, "share of events with a sampled traceparent, 0 to 1")
	c.Flags().IntVar(&g.Events, "events", 0, "end after so many (0: go on)")
	c.Flags().Uint64Var(&g.Seed, "seed", 0, "the same seed makes the same visits (default: another each time)")
	c.Flags().StringVar(&brokers, "brokers", "", "host:port of brokers, separated by commas")
	c.Flags().StringVar(&configFile, "config", "", "configuration file, for kafka")
	return c
}
