package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/app"
)

func planCommand() *cobra.Command {
	var p app.Plan
	var baseline, lift, power, alpha, split, traffic, format string
	c := &cobra.Command{
		Use:   "plan --baseline 2% --lift 20%",
		Short: "How many users and days an experiment needs",
		Long: `How many users an experiment needs to see an effect, and how many days that takes. Shares are
written as 2% or 0.02; the lift is relative, so 20% takes 2% to 2.4%. The traffic is given, or
counted from the decisions of a backtest.`,
		Example: `  nudged plan --baseline 2% --lift 20% --traffic 3000/day
  nudged plan --baseline 2% --lift 20% --power 90% --split 20/80
  nudged plan --baseline 2% --lift 20% --input decisions.jsonl --experiment cart_coupon`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format %q: use text or json", format)}
			}
			for _, f := range []struct {
				flag, text string
				to         *float64
			}{{"baseline", baseline, &p.Baseline}, {"lift", lift, &p.Lift}, {"power", power, &p.Power}, {"alpha", alpha, &p.Alpha}} {
				if f.text == "" {
					return usageError{fmt.Errorf("--%s is needed; see nudged plan --help", f.flag)}
				}
				var err error
				if *f.to, err = parsePercent(f.text); err != nil {
					return usageError{fmt.Errorf("--%s: %w", f.flag, err)}
				}
			}
			for _, part := range strings.Split(split, "/") {
				share, err := parsePercent(part)
				if err != nil {
					return usageError{fmt.Errorf("--split %q: shares of the arms, the control first, for example 50/50 or 20/40/40", split)}
				}
				p.Split = append(p.Split, share)
			}
			if traffic != "" {
				n, err := strconv.ParseFloat(strings.TrimSuffix(traffic, "/day"), 64)
				if err != nil || !(n > 0) || math.IsInf(n, 0) {
					return usageError{fmt.Errorf("--traffic %q: exposed users a day, for example 3000/day", traffic)}
				}
				p.Traffic = n
			}
			if traffic != "" && len(p.Source.Files) > 0 {
				return usageError{fmt.Errorf("--traffic and --input: give one of them")}
			}
			if _, err := p.Users(); err != nil {
				return usageError{err}
			}
			var bad complainer
			p.Source.Stdin, p.Source.Complain = os.Stdin, bad.complain
			res, err := p.Run(c.Context())
			if err != nil {
				return err
			}
			if format == "json" {
				if err := res.JSON(c.OutOrStdout()); err != nil {
					return err
				}
			} else {
				res.Print(c.OutOrStdout())
			}
			return bad.summary()
		},
	}
	c.Flags().StringVar(&baseline, "baseline", "", "conversion of the control, for example 2%")
	c.Flags().StringVar(&lift, "lift", "", "relative effect to be seen, for example 20%")
	c.Flags().StringVar(&power, "power", "80%", "chance to see it if it is there")
	c.Flags().StringVar(&alpha, "alpha", "5%", "chance to see one that is not there")
	c.Flags().StringVar(&split, "split", "50/50", "shares of the arms, the control first")
	c.Flags().StringVar(&traffic, "traffic", "", "users exposed a day, for example 3000/day")
	c.Flags().StringArrayVar(&p.Source.Files, "input", nil, "decisions of a backtest (JSON lines), to count the traffic from")
	c.Flags().StringVar(&p.Experiment, "experiment", "", "with --input: the experiment, if there are several")
	c.Flags().StringVar(&format, "format", "text", "text or json")
	return c
}
