package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/app"
	"github.com/nudged/nudged/internal/funnel"
)

func funnelCommand() *cobra.Command {
	var r app.FunnelReport
	var k kafkaFlags
	var topics []string
	var mapFile, steps, period, from, to, format, out string
	c := &cobra.Command{
		Use:   "funnel (--input FILE... | --topic T)",
		Short: "From visit to purchase: rates, leaks, times",
		Long: `From visit to purchase: how many users take each step, where most are lost and how long it takes;
by period, by source, for new and returning users; after how many quiet days a user counts as
lapsed; how long lies between purchases.

Steps are event types, separated by commas; one with a ? is counted and not asked of those who go
on; NAME=type|type gives a step several types. Every event is a visit where none says so. All
events are held in memory, about 40 bytes each.`,
		Example: `  nudged funnel --input events.csv.gz --map map.yaml --category category_code
  nudged funnel --topic events --config nudged.yaml --period week --by source --format html --out funnel.html
  nudged funnel --input events.jsonl --steps 'visit,view=product_view|list_view,purchase'`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			switch {
			case (len(r.Files) == 0) == (len(topics) == 0):
				return usageError{errors.New("--input or --topic is needed, and only one of them; see nudged funnel --help")}
			case !slices.Contains(funnel.Formats, format):
				return usageError{fmt.Errorf("--format %q: use %s", format, strings.Join(funnel.Formats, ", "))}
			}
			if r.Options.Steps, err = funnel.ParseSteps(steps); err != nil {
				return usageError{fmt.Errorf("--steps: %w", err)}
			}
			if p := r.Options.Purchase; p != "" && !slices.ContainsFunc(r.Options.Steps, func(s funnel.Step) bool { return s.Name == p }) {
				return usageError{fmt.Errorf("--purchase %q is not one of the steps", p)}
			}
			if r.Options.Period, err = funnel.ParsePeriod(period); err != nil {
				return usageError{fmt.Errorf("--period: %w", err)}
			}
			if r.From, err = parseInstant(from); err != nil {
				return usageError{fmt.Errorf("--from: %w", err)}
			}
			if r.To, err = parseInstant(to); err != nil {
				return usageError{fmt.Errorf("--to: %w", err)}
			}
			if len(topics) > 0 {
				cfg, opts, err := k.load()
				if err != nil {
					return err
				}
				r.Topics, r.Kafka, r.Mapping = topics, opts, cfg.Input
			}
			if mapFile != "" {
				if r.Mapping, err = mapping(mapFile); err != nil {
					return err
				}
			}
			var bad complainer
			r.Stdin, r.Complain = os.Stdin, bad.complain
			onRead, finish := progress(r.Files, "funnel")
			r.OnRead = onRead
			res, err := r.Run(c.Context())
			finish()
			if err != nil {
				return err
			}
			if err := writeTo(c, out, func(w *outFile) error { return res.Write(w, format) }); err != nil {
				return err
			}
			return bad.summary()
		},
	}
	fl := c.Flags()
	fl.StringArrayVar(&r.Files, "input", nil, "file of events, may be repeated")
	fl.StringArrayVar(&topics, "topic", nil, "topic of events, may be repeated")
	k.add(fl)
	fl.StringVar(&mapFile, "map", "", "YAML file that maps columns to fields")
	fl.StringVar(&steps, "steps", funnel.DefaultSteps, "the steps")
	fl.StringVar(&r.Options.Purchase, "purchase", "", "the step that is a purchase (default: the last)")
	fl.StringVar(&period, "period", "", "also by day, week or month (UTC)")
	fl.StringVar(&r.Options.By, "by", "", "also by this field, for example source")
	fl.StringVar(&r.Category, "category", "category", "the field that holds a purchase's category")
	fl.StringVar(&from, "from", "", "events from this time on (RFC 3339, or a date)")
	fl.StringVar(&to, "to", "", "events before this time")
	fl.StringVar(&format, "format", "text", "text, json, csv or html")
	fl.StringVar(&out, "out", "", "write to this file instead of the standard output")
	return c
}

// parseInstant reads an RFC 3339 time or a date in UTC; empty is 0.
func parseInstant(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("%q: write a time like 2026-01-31T00:00:00Z or a date like 2026-01-31", s)
}
