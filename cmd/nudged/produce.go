package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/app"
)

func produceCommand() *cobra.Command {
	var p app.Produce
	var configFile, brokers, mapFile, speed string
	c := &cobra.Command{
		Use:   "produce --topic TOPIC FILE...",
		Short: "Load a file of events into Kafka",
		Long: `Load files of events (JSONL or CSV, plain or gzipped; "-" is the standard input) into a topic,
keyed by user, as nudged's flat JSON. Kafka is taken from --brokers, or else from the kafka part
of --config and NUDGED_KAFKA_… variables.`,
		Example: `  nudged produce --brokers 127.0.0.1:9092 --topic events --create 12 --map map.yaml events.csv.gz
  nudged produce --config nudged.yaml --topic events --speed 100x events.jsonl`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, files []string) error {
			if p.Topic == "" {
				return usageError{errors.New("--topic is needed; see nudged produce --help")}
			}
			if speed != "" {
				if _, err := fmt.Sscanf(strings.TrimSuffix(speed, "x"), "%g", &p.Speed); err != nil || p.Speed <= 0 {
					return usageError{fmt.Errorf("--speed %q: expected a factor above 0, for example 100x", speed)}
				}
			}
			cfg, err := kafkaSettings(configFile, brokers)
			if err != nil {
				return err
			}
			if p.Options, err = app.KafkaOptions(&cfg.Kafka); err != nil {
				return err
			}
			p.Mapping = cfg.Input
			if mapFile != "" {
				if p.Mapping, err = mapping(mapFile); err != nil {
					return err
				}
			}
			p.Files, p.Stdin = files, os.Stdin
			var bad complainer
			p.Complain = bad.complain
			onRead, finish := progress(files, "produce")
			p.OnRead = onRead
			started := time.Now()
			n, err := p.Run(c.Context())
			finish()
			if err != nil {
				return err
			}
			took := time.Since(started).Seconds()
			fmt.Fprintf(c.OutOrStdout(), "%d events to topic %s in %.1f s (%.0f/s), %d bad lines\n",
				n.Events, p.Topic, took, float64(n.Events)/took, n.BadLines)
			return bad.summary()
		},
	}
	c.Flags().StringVar(&p.Topic, "topic", "", "topic to load into")
	c.Flags().IntVar(&p.Create, "create", 0, "create the topic with so many partitions if it does not exist")
	c.Flags().StringVar(&brokers, "brokers", "", "host:port of brokers, separated by commas")
	c.Flags().StringVar(&configFile, "config", "", "configuration file, for kafka and input")
	c.Flags().StringVar(&mapFile, "map", "", "YAML file that maps columns to fields")
	c.Flags().StringVar(&speed, "speed", "", "keep the rhythm of the events' times, so many times faster, for example 100x")
	return c
}
