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
)

func exportCommand() *cobra.Command {
	var e app.Export
	var k kafkaFlags
	var from, to, within, at, out string
	c := &cobra.Command{
		Use:   "export exposures|conversions|outcomes",
		Short: "Exposures, conversions and outcomes as CSV or Parquet",
		Long: `Exposures, conversions and outcomes of experiments between two times, as CSV or Parquet:
exposures are the moments when a message went out or would have (control, holdout); conversions
the goal events within their window; outcomes have one row for each exposed user, with what became
of them. Read from the decisions topic of the configuration, or from files of decisions.`,
		Example: `  nudged export outcomes --config nudged.yaml --experiment cart_coupon --format parquet --out outcomes.parquet
  nudged export exposures --input decisions.jsonl --from 2026-01-01 --to 2026-02-01 --out exposures.csv`,
		Args:      arguments(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		ValidArgs: []string{app.Exposures, app.Conversions, app.Outcomes},
		RunE: func(c *cobra.Command, args []string) (err error) {
			e.What = args[0]
			switch {
			case !slices.Contains([]string{"csv", "parquet"}, e.Format):
				return usageError{fmt.Errorf("--format %q: use csv or parquet", e.Format)}
			case e.Format == "parquet" && (out == "" || out == "-"):
				return usageError{errors.New("--format parquet needs --out FILE")}
			case e.What != app.Outcomes && (within != "" || at != "" || e.Rules != ""):
				return usageError{errors.New("--within, --at and --rules are for outcomes")}
			}
			for _, f := range []struct {
				flag, text string
				to         *int64
			}{{"from", from, &e.From}, {"to", to, &e.To}} {
				if *f.to, err = parseInstant(f.text); err != nil {
					return usageError{fmt.Errorf("--%s: %w", f.flag, err)}
				}
			}
			if within != "" {
				if e.Window, err = parseSpan(within); err != nil {
					return usageError{fmt.Errorf("--within: %w", err)}
				}
			}
			if at == "now" {
				e.At = time.Now().UnixMilli()
			} else if e.At, err = parseInstant(at); err != nil {
				return usageError{fmt.Errorf("--at: %w", err)}
			}
			var bad complainer
			e.Source.Stdin, e.Source.Complain = os.Stdin, bad.complain
			if len(e.Source.Files) == 0 {
				cfg, opts, err := k.load()
				if err != nil {
					return err
				}
				e.Source.Options, e.Source.Topic = opts, cfg.Kafka.Topics.Decisions
				if e.What == app.Outcomes && e.Rules == "" && e.Window == 0 {
					e.Rules = cfg.Rules
				}
				if e.At == 0 && cfg.Clock == "wall" {
					e.At = time.Now().UnixMilli()
				}
			}
			onRead, finish := progress(e.Source.Files, "export")
			e.Source.OnRead = onRead
			rows := 0
			err = writeTo(c, out, func(w *outFile) (err error) {
				rows, err = e.Run(c.Context(), w)
				return err
			})
			finish()
			if err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "%d rows of %s\n", rows, strings.TrimSpace(e.What))
			return bad.summary()
		},
	}
	fl := c.Flags()
	k.add(fl)
	fl.StringArrayVar(&e.Source.Files, "input", nil, "file of decisions (JSON lines), may be repeated; instead of the topic")
	fl.StringVar(&e.Experiment, "experiment", "", "only this experiment")
	fl.StringVar(&from, "from", "", "from this time on (RFC 3339, or a date)")
	fl.StringVar(&to, "to", "", "before this time")
	fl.StringVar(&within, "within", "", "outcomes: the goal's window, for example 14d (default: of the rules)")
	fl.StringVar(&e.Rules, "rules", "", "outcomes: rule file or folder, for the goals' windows (default: that of the configuration when the topic is read)")
	fl.StringVar(&at, "at", "", "outcomes: moment that tells who is mature: RFC 3339, a date, or now (default: now for a topic under clock: wall, else the newest decision)")
	fl.StringVar(&e.Format, "format", "csv", "csv or parquet")
	fl.StringVar(&out, "out", "", "write to this file instead of the standard output")
	return c
}
