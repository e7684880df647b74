package app

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/internal/outcomes"
	"github.com/nudged/nudged/internal/report"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
)

// ExperimentReport says which experiments to report on, and from what.
type ExperimentReport struct {
	Experiment string // empty: all there are
	Phase      int    // 0: the newest of each
	Source     DecisionSource
	// Rules tell the weights and the goal's window; empty: not known.
	Rules   string
	Options report.Options
}

// Run reads the decisions and reports. Options.At 0 is the newest decision.
func (e *ExperimentReport) Run(ctx context.Context) ([]*report.Report, error) {
	var set *rules.Set
	if e.Rules != "" {
		var err error
		if set, err = rulefile.Load(e.Rules); err != nil {
			return nil, fmt.Errorf("the rules tell an experiment's weights and window; give them with --rules, or --weights and --within instead:\n%w", err)
		}
	}
	var book outcomes.Book
	if err := e.Source.each(ctx, func(d *decisions.Decision) error {
		book.Add(d)
		return nil
	}); err != nil {
		return nil, err
	}
	if e.Options.At == 0 {
		e.Options.At = book.Newest
	}
	cohorts, err := e.choose(book.Cohorts(), set)
	if err != nil {
		return nil, err
	}
	var out []*report.Report
	for _, c := range cohorts {
		data, err := report.FromCohort(c, e.optionsOf(c.Key, set))
		if err != nil {
			return nil, err
		}
		r, err := report.New(data)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// choose picks the cohorts to report on. An experiment that the rules know and
// nobody has been exposed to is reported as that.
func (e *ExperimentReport) choose(all []*outcomes.Cohort, set *rules.Set) ([]*outcomes.Cohort, error) {
	newest := map[string]int{}
	for _, c := range all {
		newest[c.Experiment] = max(newest[c.Experiment], c.Phase)
	}
	var out []*outcomes.Cohort
	for _, c := range all {
		phase := e.Phase
		if phase == 0 {
			phase = newest[c.Experiment]
		}
		if (e.Experiment == "" || e.Experiment == c.Experiment) && c.Phase == phase {
			out = append(out, c)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	if known := experimentOf(set, e.Experiment); known != nil {
		phase := e.Phase
		if phase == 0 {
			phase = max(known.Phase, 1)
		}
		return []*outcomes.Cohort{{Key: outcomes.Key{Experiment: known.Name, Phase: phase}}}, nil
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no decision of an experiment in the data: does a rule name one (experiment: …), and are decisions written (decisions: fires)?")
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(newest)) {
		names = append(names, fmt.Sprintf("%s (phase %d)", name, newest[name]))
	}
	if e.Experiment == "" {
		return nil, fmt.Errorf("nobody was exposed in phase %d; there are: %s", e.Phase, strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("nobody was exposed to experiment %q, phase %d (0 is the newest); there are: %s", e.Experiment, e.Phase, strings.Join(names, ", "))
}

func experimentOf(set *rules.Set, name string) *rules.Experiment {
	if set == nil {
		return nil
	}
	for _, x := range set.Experiments {
		if x.Name == name {
			return x
		}
	}
	return nil
}

// optionsOf adds what the rules know of an experiment's present phase.
func (e *ExperimentReport) optionsOf(k outcomes.Key, set *rules.Set) report.Options {
	o := e.Options
	x := experimentOf(set, k.Experiment)
	if x == nil {
		return o
	}
	if o.Weights == nil && max(x.Phase, 1) == k.Phase {
		o.Weights = map[string]float64{}
		for i, share := range x.Assigner.Shares() {
			o.Weights[x.Assigner.Arms()[i]] = share
		}
	}
	if max(x.Phase, 1) == k.Phase {
		o.Experiment = x
	}
	if o.Window == 0 && x.Goal != nil {
		o.Window = x.Goal.Within
	}
	return o
}

// UnitReport reports on a table with a row for each user.
type UnitReport struct {
	Name     string // of the experiment; empty: the file's
	File     string
	Stdin    io.Reader
	Columns  report.Columns
	Options  report.Options
	Complain func(error)
	OnRead   func(bytes int)
}

// Run reads the table and reports.
func (u *UnitReport) Run() (*report.Report, error) {
	src, done, err := input.Open(u.File, input.Options{Stdin: u.Stdin, OnRead: u.OnRead})
	if err != nil {
		return nil, err
	}
	defer done()
	u.Options.At = math.MaxInt64
	data, err := report.FromCSV(u.File, src, u.Columns, u.Options, u.Complain)
	if err != nil {
		return nil, err
	}
	if u.Name != "" {
		data.Experiment = u.Name
	}
	return report.New(data)
}
