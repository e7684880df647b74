package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/app"
	"github.com/nudged/nudged/internal/backtest"
	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
	"github.com/nudged/nudged/rules/rulefile"
)

func backtestCommand() *cobra.Command {
	var b backtestRun
	c := &cobra.Command{
		Use:   "backtest --rules DIR (--input FILE... | --topic TOPIC)",
		Short: "Run rules over history",
		Long: `Run rules over history with the engine that runs live, on the event clock: count what would have
been sent, per rule and day, say whom it would have reached, and write every decision.

Files (--input) are JSONL or CSV, plain or gzipped; "-" is the standard input. With the topic's
number of partitions (--partitions) the decisions are those of nudged run --clock event on a
topic that holds the same events, id for id: each partition has a clock of its own, which stops
at the partition's last event. A topic (--topic) is read as it stands, from --brokers or the
kafka part of --config and NUDGED_KAFKA_… variables; nothing is committed or written.

--from and --to bound the times of the events: from the first, before the second. With --to the
clock runs on to it at the end.

How many of those reached would have reached the goal anyway is told by the goal of the rule's
experiment, or for all rules by --goal and --within. --assume conversion=4% reckons what it
would be worth if so many did.`,
		Example: `  nudged backtest --rules examples/rees46/rules.yaml --map examples/rees46/map.yaml --input events.csv.gz
  nudged backtest --rules ./rules --input a.jsonl --input b.jsonl.gz --decisions decisions.jsonl --partitions 12
  nudged backtest --rules ./rules --config nudged.yaml --topic events --from 2026-10-01 --to 2026-11-01
  nudged backtest --rules ./rules --input a.jsonl --goal purchase --within 2d --assume conversion=4% --basket 100000 --send-cost 15 --coupon-cost 5000
  nudged backtest --rules ./rules --compare ./rules.new --compare-out who.csv --input a.jsonl`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return b.run(c) },
	}
	f := c.Flags()
	f.StringVar(&b.cfg.Rules, "rules", "", "rule file or folder")
	f.StringArrayVar(&b.cfg.Files, "input", nil, "file of events, may be repeated")
	f.StringVar(&b.cfg.Topic, "topic", "", "topic of events, instead of files")
	f.StringVar(&b.brokers, "brokers", "", "host:port of brokers, separated by commas")
	f.StringVar(&b.config, "config", "", "configuration file, for kafka and input")
	f.StringVar(&b.from, "from", "", "first time of the events: 2026-10-01 (UTC) or 2026-10-01T09:00:00+09:00")
	f.StringVar(&b.to, "to", "", "first time that is not taken any more")
	f.StringVar(&b.mapFile, "map", "", "YAML file that maps columns to fields")
	f.StringVar(&b.decisions, "decisions", "", `write every decision as a JSON line to this file; "-" is the standard output`)
	f.IntVar(&b.cfg.Partitions, "partitions", 1, "number of partitions of the topic that files simulate")
	f.StringVar(&b.goal, "goal", "", "event type that counts as a conversion, for every rule; several are separated by commas")
	f.StringVar(&b.within, "within", "14d", "how long after the first message it counts")
	f.StringVar(&b.assume, "assume", "", "what-if: conversion=4% of those reached")
	f.Float64Var(&b.cfg.Assume.Basket, "basket", 0, "value of a conversion (default: the mean of the goal's values)")
	f.Float64Var(&b.sendCost, "send-cost", 0, "cost of a message (default: the rule's cost)")
	f.Float64Var(&b.couponCost, "coupon-cost", 0, "cost of a conversion's coupon (default: the rule's cost)")
	f.StringVar(&b.cfg.Compare, "compare", "", "second rule file or folder: who would gain and lose a message")
	f.StringVar(&b.compareOut, "compare-out", "", "write every user who gains or loses to this CSV file")
	f.StringVar(&b.format, "format", "text", "of the summary: text, json, or csv (a line for each day and rule)")
	return c
}

// backtestRun is the command with its flags as given.
type backtestRun struct {
	cfg                                           backtest.Config
	brokers, config, from, to, mapFile, decisions string
	goal, within, assume, compareOut, format      string
	sendCost, couponCost                          float64
}

func (b *backtestRun) run(c *cobra.Command) error {
	if err := b.check(c); err != nil {
		return usageError{err}
	}
	if err := b.source(); err != nil {
		return err
	}
	summary := c.OutOrStdout()
	var file *os.File
	switch b.decisions {
	case "":
	case "-":
		b.cfg.Decisions, summary = c.OutOrStdout(), c.ErrOrStderr()
	default:
		var err error
		if file, err = os.Create(b.decisions); err != nil {
			return err
		}
		defer file.Close()
		b.cfg.Decisions = file
	}
	var bad complainer
	b.cfg.Complain = bad.complain
	var finish func()
	if b.cfg.Topic != "" {
		b.cfg.OnTotal, b.cfg.OnRead, finish = recordProgress("backtest")
	} else {
		b.cfg.OnRead, finish = progress(b.cfg.Files, "backtest")
	}
	res, err := b.cfg.Run(c.Context())
	finish()
	if err != nil {
		return err
	}
	if file != nil {
		if err := file.Close(); err != nil {
			return fmt.Errorf("write decisions: %w", err)
		}
	}
	if b.compareOut != "" {
		if err := writeFile(b.compareOut, res.Compare.CSV); err != nil {
			return err
		}
	}
	if err := b.print(res, summary); err != nil {
		return err
	}
	return bad.summary()
}

func (b *backtestRun) print(res *backtest.Result, w io.Writer) error {
	switch b.format {
	case "json":
		return res.JSON(w)
	case "csv":
		return res.CSV(w)
	}
	res.Print(w)
	return nil
}

// check reads the flags; the error is wrong use.
func (b *backtestRun) check(c *cobra.Command) error {
	switch {
	case b.cfg.Rules == "" || (len(b.cfg.Files) == 0) == (b.cfg.Topic == ""):
		return errors.New("--rules and one of --input and --topic are needed; see nudged backtest --help")
	case b.cfg.Partitions < 1:
		return fmt.Errorf("--partitions %d: at least 1", b.cfg.Partitions)
	case b.cfg.Topic != "" && c.Flags().Changed("partitions"):
		return errors.New("--partitions is of files: a topic has its own number of partitions")
	case b.format != "text" && b.format != "json" && b.format != "csv":
		return fmt.Errorf("--format %q: use text, json or csv", b.format)
	case b.compareOut != "" && b.cfg.Compare == "":
		return errors.New("--compare-out needs --compare")
	case b.cfg.Assume.Basket < 0 || b.sendCost < 0 || b.couponCost < 0:
		return errors.New("--basket, --send-cost and --coupon-cost are not negative")
	case b.goal == "" && c.Flags().Changed("within"):
		return errors.New("--within needs --goal")
	}
	var err error
	if b.cfg.From, err = moment("--from", b.from); err != nil {
		return err
	}
	if b.cfg.To, err = moment("--to", b.to); err != nil {
		return err
	}
	if b.cfg.To > 0 && b.cfg.To <= b.cfg.From {
		return fmt.Errorf("--to %s is not after --from %s", b.to, b.from)
	}
	if b.goal != "" {
		within, err := rulefile.ParseDuration(b.within)
		if err != nil {
			return fmt.Errorf("--within: %w", err)
		}
		b.cfg.Goal = &rules.Goal{On: strings.Split(b.goal, ","), Within: within}
	}
	if c.Flags().Changed("send-cost") {
		b.cfg.Assume.SendCost = &b.sendCost
	}
	if c.Flags().Changed("coupon-cost") {
		b.cfg.Assume.CouponCost = &b.couponCost
	}
	if b.assume == "" {
		for _, name := range []string{"basket", "send-cost", "coupon-cost"} {
			if c.Flags().Changed(name) {
				return fmt.Errorf("--%s needs --assume conversion=…", name)
			}
		}
		return nil
	}
	b.cfg.Assume.Conversion, err = conversion(b.assume)
	return err
}

// conversion reads conversion=4% or conversion=0.04.
func conversion(assume string) (*float64, error) {
	value, ok := strings.CutPrefix(assume, "conversion=")
	number, isPercent := strings.CutSuffix(value, "%")
	share, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if isPercent {
		share /= 100
	}
	if !ok || err != nil || !(share >= 0 && share <= 1) {
		return nil, fmt.Errorf("--assume %q: write conversion=4%%, of 0%% to 100%%", assume)
	}
	return &share, nil
}

// moment reads a day (UTC) or a time; "" is 0.
func moment(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.UnixMilli(), nil
	}
	if ms, ok := eventtime.ParseRFC3339([]byte(text)); ok && ms > 0 {
		return ms, nil
	}
	return 0, fmt.Errorf("%s %q: write a day (UTC) as in 2026-10-01, or a time as in 2026-10-01T09:00:00+09:00", flag, text)
}

// source finds the events.
func (b *backtestRun) source() error {
	var err error
	if b.cfg.Topic == "" {
		b.cfg.Stdin = os.Stdin
		b.cfg.Mapping, err = mapping(b.mapFile)
		return err
	}
	cfg, err := kafkaSettings(b.config, b.brokers)
	if err != nil {
		return err
	}
	if b.cfg.Options, err = app.KafkaOptions(&cfg.Kafka); err != nil {
		return err
	}
	b.cfg.MaxAhead, b.cfg.MaxEvent = time.Duration(cfg.MaxAhead).Milliseconds(), cfg.MaxEventBytes
	b.cfg.Mapping = cfg.Input
	if b.mapFile != "" {
		b.cfg.Mapping, err = mapping(b.mapFile)
	}
	return err
}

// kafkaSettings reads the configuration, with the brokers of a flag over it.
func kafkaSettings(path, brokers string) (config.Config, error) {
	cfg, err := config.Load(path, func(name string) (string, bool) {
		if name == "NUDGED_KAFKA_BROKERS" && brokers != "" {
			return brokers, true
		}
		return os.LookupEnv(name)
	})
	if err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}
