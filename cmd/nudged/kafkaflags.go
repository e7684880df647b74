package main

import (
	"os"

	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/app"
	"github.com/nudged/nudged/internal/config"
)

// kafkaFlags tell a command that reads a topic where Kafka is.
type kafkaFlags struct{ config, brokers string }

func (k *kafkaFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&k.config, "config", "", "configuration file (default: none, the defaults and NUDGED_… variables hold)")
	fl.StringVar(&k.brokers, "brokers", "", "host:port of brokers, separated by commas; overrides the configuration")
}

func (k *kafkaFlags) load() (config.Config, []kgo.Opt, error) {
	cfg, err := config.Load(k.config, func(name string) (string, bool) {
		if name == "NUDGED_KAFKA_BROKERS" && k.brokers != "" {
			return k.brokers, true
		}
		return os.LookupEnv(name)
	})
	if err != nil {
		return cfg, nil, usageError{err}
	}
	opts, err := app.KafkaOptions(&cfg.Kafka)
	return cfg, opts, err
}
