package app

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/internal/export"
	"github.com/nudged/nudged/internal/outcomes"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
)

// What can be exported.
const (
	Exposures   = "exposures"
	Conversions = "conversions"
	Outcomes    = "outcomes"
)

// Export says what to write of which experiments.
type Export struct {
	What       string // Exposures, Conversions or Outcomes
	Format     string // csv or parquet
	Experiment string // empty: all
	// From and To bound the time of the exposure or conversion, of an outcome that
	// of the first exposure: From inclusive, To not, Unix ms; 0: no bound.
	From, To int64
	Source   DecisionSource
	// For outcomes: the goal's window (ms; 0: that of Rules), and the moment
	// that tells who is mature (0: the newest decision).
	Window int64
	Rules  string
	At     int64
}

// Run writes to w and returns how many rows were written.
func (e *Export) Run(ctx context.Context, w io.Writer) (int, error) {
	if e.What == Outcomes {
		return e.outcomes(ctx, w)
	}
	out, err := export.NewWriter[export.Row](w, e.Format)
	if err != nil {
		return 0, err
	}
	n := 0
	err = e.Source.each(ctx, func(d *decisions.Decision) error {
		if len(d.Experiment) == 0 || e.Experiment != "" && e.Experiment != string(d.Experiment) || !e.within(d.Fired) {
			return nil
		}
		converted := false
		switch rules.Outcome(d.Kind) {
		case rules.Sent, rules.ControlArm:
		case rules.HeldOut:
			d.Arm = append(d.Arm[:0], outcomes.Holdout...)
		case rules.Converted:
			converted = true
		default:
			return nil
		}
		if converted != (e.What == Conversions) {
			return nil
		}
		n++
		return out.Write(export.RowOf(d, converted))
	})
	if err != nil {
		return n, err
	}
	return n, out.Close()
}

func (e *Export) within(at int64) bool {
	return (e.From == 0 || at >= e.From) && (e.To == 0 || at < e.To)
}

func (e *Export) outcomes(ctx context.Context, w io.Writer) (int, error) {
	var set *rules.Set
	if e.Rules != "" {
		var err error
		if set, err = rulefile.Load(e.Rules); err != nil {
			return 0, fmt.Errorf("the rules tell the goals' windows; give them with --rules, or --within instead:\n%w", err)
		}
	}
	book := outcomes.Book{KeepUsers: true}
	if err := e.Source.each(ctx, func(d *decisions.Decision) error {
		book.Add(d)
		return nil
	}); err != nil {
		return 0, err
	}
	if e.At == 0 {
		e.At = book.Newest
	}
	out, err := export.NewWriter[export.Outcome](w, e.Format)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, c := range book.Cohorts() {
		if e.Experiment != "" && e.Experiment != c.Experiment {
			continue
		}
		window := e.Window
		if x := experimentOf(set, c.Experiment); window == 0 && x != nil && x.Goal != nil {
			window = x.Goal.Within
		}
		list, _ := c.Outcomes(window, e.At)
		for _, o := range list {
			if !e.within(o.Exposed) {
				continue
			}
			row := export.Outcome{
				Experiment: c.Experiment, Phase: int32(c.Phase), User: c.Users[o.Unit], Arm: c.Arms[o.Arm], Exposed: time.UnixMilli(o.Exposed).UTC(),
				Mature: o.Mature, Converted: o.Conversions > 0, Conversions: int32(o.Conversions), Value: o.Value, Sends: int32(o.Sends),
			}
			if o.Conversions > 0 {
				first := time.UnixMilli(o.First).UTC()
				row.FirstConversion = &first
			}
			if err := out.Write(row); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, out.Close()
}
