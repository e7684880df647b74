package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/app"
)

func backtestCommand() *cobra.Command {
	var b app.Backtest
	var mapFile, out, format string
	c := &cobra.Command{
		Use:   "backtest --rules DIR --input FILE...",
		Short: "Run rules over history",
		Long: `Run rules over history with the engine that runs live, on the event clock: write every
decision, and count what would have been sent, per rule and day.

Files are JSONL or CSV, plain or gzipped; "-" is the standard input. With the topic's number
of partitions (--partitions) the decisions are those of nudged run --clock event on a topic
that holds the same events, id for id: each partition has a clock of its own, which stops at
the partition's last event.`,
		Example: `  nudged backtest --rules examples/rees46/rules.yaml --map examples/rees46/map.yaml --input events.csv.gz
  nudged backtest --rules ./rules --input a.jsonl --input b.jsonl.gz --decisions decisions.jsonl --partitions 12`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case b.Rules == "" || len(b.Files) == 0:
				return usageError{errors.New("--rules and --input are needed; see nudged backtest --help")}
			case b.Partitions < 1:
				return usageError{fmt.Errorf("--partitions %d: at least 1", b.Partitions)}
			case format != "text" && format != "json":
				return usageError{fmt.Errorf("--format %q: use text or json", format)}
			}
			var err error
			if b.Mapping, err = mapping(mapFile); err != nil {
				return err
			}
			summary := c.OutOrStdout()
			if out == "-" {
				b.Decisions, summary = c.OutOrStdout(), c.ErrOrStderr()
			} else if out != "" {
				f, err := os.Create(out)
				if err != nil {
					return err
				}
				defer f.Close()
				b.Decisions = f
			}
			b.Stdin = os.Stdin
			var bad complainer
			b.Complain = bad.complain
			onRead, finish := progress(b.Files, "backtest")
			b.OnRead = onRead
			res, err := b.Run(c.Context())
			finish()
			if err != nil {
				return err
			}
			if err := printResult(res, summary, format); err != nil {
				return err
			}
			return bad.summary()
		},
	}
	c.Flags().StringVar(&b.Rules, "rules", "", "rule file or folder")
	c.Flags().StringArrayVar(&b.Files, "input", nil, "file of events, may be repeated")
	c.Flags().StringVar(&mapFile, "map", "", "YAML file that maps columns to fields")
	c.Flags().StringVar(&out, "decisions", "", `write every decision as a JSON line to this file; "-" is the standard output`)
	c.Flags().IntVar(&b.Partitions, "partitions", 1, "number of partitions of the simulated topic")
	c.Flags().StringVar(&format, "format", "text", "of the summary: text or json")
	return c
}

func printResult(res *app.BacktestResult, w io.Writer, format string) error {
	if format == "json" {
		return res.JSON(w)
	}
	res.Print(w)
	return nil
}
