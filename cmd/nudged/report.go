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
	"github.com/nudged/nudged/internal/report"
)

// reportFlags are the flags of nudged report that need to be read first.
type reportFlags struct {
	kafka                                                 kafkaFlags
	files                                                 []string
	csv                                                   string
	columns                                               report.Columns
	rules, weights, within, at, effect, format, out, name string
	phase                                                 int
	options                                               report.Options
}

func reportCommand() *cobra.Command {
	var f reportFlags
	c := &cobra.Command{
		Use:   "report [EXPERIMENT]",
		Short: "What an experiment has brought about",
		Long: `What an experiment has brought about: per arm the users exposed and converted and their value;
each arm against the control with intervals; the sample ratio; a verdict in words.

It reads the decisions topic of the configuration, or files (--input) of decisions as JSON lines
or of nudged export, or a table of your own with a row for each user (--csv). Weights and the
goal's window come from the rules, or from --weights and --within. Without EXPERIMENT it reports
on all there are.`,
		Example: `  nudged report cart_coupon --config nudged.yaml
  nudged report cart_coupon --config nudged.yaml --format html --out report.html
  nudged report --input decisions.jsonl --weights control=20,treatment=80 --within 14d
  nudged report --csv users.csv --arm group --control a --converted bought --value revenue --covariate revenue_before`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.name = args[0]
			}
			if err := f.read(); err != nil {
				return usageError{err}
			}
			var bad complainer
			reports, err := f.run(c, &bad)
			if err != nil {
				return err
			}
			if err := writeTo(c, f.out, func(w *outFile) error { return report.Write(w, f.format, reports) }); err != nil {
				return err
			}
			return bad.summary()
		},
	}
	fl := c.Flags()
	f.kafka.add(fl)
	fl.StringArrayVar(&f.files, "input", nil, "file of decisions (JSON lines) or of nudged export (CSV), may be repeated; instead of the topic")
	fl.StringVar(&f.csv, "csv", "", "table with a row for each user; instead of the topic")
	fl.StringVar(&f.columns.Arm, "arm", "", "with --csv: column of the arm")
	fl.StringVar(&f.columns.Converted, "converted", "", "with --csv: column that says whether the user converted (1 or 0)")
	fl.StringVar(&f.columns.Value, "value", "", "with --csv: column of the user's value")
	fl.StringVar(&f.columns.Covariate, "covariate", "", "with --csv: column of a figure known before the experiment, for CUPED")
	fl.StringVar(&f.columns.Time, "time", "", "with --csv: column of when the user was exposed, for the plots over time")
	fl.StringVar(&f.options.Control, "control", "", `arm that the others are compared with (default "control")`)
	fl.StringVar(&f.rules, "rules", "", "rule file or folder, for weights and windows (default: that of the configuration when the topic is read)")
	fl.StringVar(&f.weights, "weights", "", "intended sizes of the arms, for example control=20,treatment=80 (default: of the rules, else equal)")
	fl.StringVar(&f.within, "within", "", "the goal's window, for example 14d (default: of the rules)")
	fl.IntVar(&f.phase, "phase", 0, "phase of the experiment (default: the newest)")
	fl.StringVar(&f.at, "at", "", "moment to report at: RFC 3339, or now (default: now for a topic under clock: wall, else the newest decision)")
	fl.StringVar(&f.effect, "effect", "10%", "relative lift that the number of users still needed is told for")
	fl.Float64Var(&f.options.SendCost, "send-cost", 0, "cost of each message, in the unit of the values")
	fl.Float64Var(&f.options.CouponCost, "coupon-cost", 0, "cost of the coupon of each user who converted in an arm that is sent to")
	fl.StringVar(&f.format, "format", "text", "text, json, csv or html")
	fl.StringVar(&f.out, "out", "", "write to this file instead of the standard output")
	return c
}

func (f *reportFlags) read() (err error) {
	if !slices.Contains(report.Formats, f.format) {
		return fmt.Errorf("--format %q: use %s", f.format, strings.Join(report.Formats, ", "))
	}
	if f.csv != "" && len(f.files) > 0 {
		return errors.New("--csv and --input: give one of them")
	}
	if f.csv == "" && f.columns != (report.Columns{}) {
		return errors.New("--arm, --converted, --value, --covariate and --time name columns of --csv FILE, which is missing")
	}
	if f.csv != "" && (f.columns.Arm == "" || f.columns.Converted == "" && f.columns.Value == "") {
		return errors.New("--csv needs --arm COL, and --converted COL, --value COL or both")
	}
	if f.options.Effect, err = parsePercent(f.effect); err != nil || f.options.Effect <= 0 {
		return fmt.Errorf("--effect %q: a percentage above 0, for example 10%%", f.effect)
	}
	if f.weights != "" {
		if f.options.Weights, err = parseWeights(f.weights); err != nil {
			return err
		}
	}
	if f.within != "" {
		if f.options.Window, err = parseSpan(f.within); err != nil {
			return fmt.Errorf("--within: %w", err)
		}
	}
	switch f.at {
	case "":
	case "now":
		f.options.At = time.Now().UnixMilli()
	default:
		at, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return fmt.Errorf("--at %q: an RFC 3339 time such as 2026-01-31T00:00:00Z, or now", f.at)
		}
		f.options.At = at.UnixMilli()
	}
	return nil
}

func (f *reportFlags) run(c *cobra.Command, bad *complainer) ([]*report.Report, error) {
	if f.csv != "" {
		onRead, finish := progress([]string{f.csv}, "report")
		defer finish()
		u := app.UnitReport{Name: f.name, File: f.csv, Stdin: os.Stdin, Columns: f.columns, Options: f.options, Complain: bad.complain, OnRead: onRead}
		r, err := u.Run()
		return []*report.Report{r}, err
	}
	e := app.ExperimentReport{Experiment: f.name, Phase: f.phase, Rules: f.rules, Options: f.options}
	e.Source = app.DecisionSource{Files: f.files, Stdin: os.Stdin, Complain: bad.complain}
	if len(f.files) > 0 {
		onRead, finish := progress(f.files, "report")
		defer finish()
		e.Source.OnRead = onRead
		return e.Run(c.Context())
	}
	cfg, opts, err := f.kafka.load()
	if err != nil {
		return nil, err
	}
	e.Source.Options, e.Source.Topic = opts, cfg.Kafka.Topics.Decisions
	if e.Rules == "" && (e.Options.Weights == nil || e.Options.Window == 0) {
		e.Rules = cfg.Rules
	}
	if e.Options.At == 0 && cfg.Clock == "wall" {
		e.Options.At = time.Now().UnixMilli()
	}
	return e.Run(c.Context())
}
