package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/nudged/nudged/experiment/stats"
	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/internal/outcomes"
)

// Plan asks how long an experiment has to run.
type Plan struct {
	stats.Plan
	// Traffic is how many users are exposed a day; 0: not known.
	Traffic float64
	// Experiment and Source, if Source has files, tell the traffic out of the
	// decisions of a backtest.
	Experiment string
	Source     DecisionSource
}

// PlanResult is the answer.
type PlanResult struct {
	Baseline float64   `json:"baseline"`
	Target   float64   `json:"target"` // the rate with the lift
	Lift     float64   `json:"lift"`
	Power    float64   `json:"power"`
	Alpha    float64   `json:"alpha"`
	Split    []float64 `json:"split"`

	Users            []int    `json:"users"` // by arm, the control first
	Total            int      `json:"total"`
	AlwaysValidTotal int      `json:"always_valid_total"`
	Traffic          *float64 `json:"traffic_per_day"`
	Days             *int     `json:"days"`
	AlwaysValidDays  *int     `json:"always_valid_days"`
	// Expected are the exposures of the backtest, if there is one.
	Expected *Expected `json:"expected,omitempty"`
}

// Expected is what a backtest tells of an experiment's traffic.
type Expected struct {
	Experiment string  `json:"experiment"`
	Users      int     `json:"exposed_users"`
	Days       float64 `json:"days"` // from the first exposure to the last
}

// Run computes the plan.
func (p *Plan) Run(ctx context.Context) (*PlanResult, error) {
	need, err := p.Users()
	if err != nil {
		return nil, err
	}
	sum := 0.0
	for _, s := range p.Split {
		sum += s
	}
	r := &PlanResult{
		Baseline: p.Baseline, Target: p.Baseline * (1 + p.Lift), Lift: p.Lift, Power: p.Power, Alpha: p.Alpha,
		Users: need.Arms, Total: need.Total, AlwaysValidTotal: need.AlwaysValid,
	}
	for _, s := range p.Split {
		r.Split = append(r.Split, s/sum)
	}
	if len(p.Source.Files) > 0 {
		if r.Expected, err = p.expect(ctx); err != nil {
			return nil, err
		}
		p.Traffic = float64(r.Expected.Users) / max(r.Expected.Days, 1)
	}
	if p.Traffic > 0 {
		r.Traffic = &p.Traffic
		days, always := int(math.Ceil(float64(r.Total)/p.Traffic)), int(math.Ceil(float64(r.AlwaysValidTotal)/p.Traffic))
		r.Days, r.AlwaysValidDays = &days, &always
	}
	return r, nil
}

// expect counts whom a backtest exposed.
func (p *Plan) expect(ctx context.Context) (*Expected, error) {
	var book outcomes.Book
	if err := p.Source.each(ctx, func(d *decisions.Decision) error {
		book.Add(d)
		return nil
	}); err != nil {
		return nil, err
	}
	report := ExperimentReport{Experiment: p.Experiment}
	chosen, err := report.choose(book.Cohorts(), nil)
	if err != nil {
		return nil, err
	}
	if len(chosen) > 1 {
		return nil, fmt.Errorf("the decisions are of %d experiments: name one with --experiment, for example %s", len(chosen), chosen[0].Experiment)
	}
	all, _ := chosen[0].Outcomes(0, math.MaxInt64)
	e := &Expected{Experiment: chosen[0].Experiment}
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, o := range all {
		if chosen[0].Arms[o.Arm] == outcomes.Holdout {
			continue
		}
		e.Users++
		first, last = min(first, o.Exposed), max(last, o.Exposed)
	}
	if e.Users == 0 {
		return nil, fmt.Errorf("nobody would have been exposed to %s: its traffic cannot be told", e.Experiment)
	}
	e.Days = float64(last-first) / 86_400_000
	return e, nil
}

// Print writes the plan in words.
func (r *PlanResult) Print(w io.Writer) {
	p := message.NewPrinter(language.English)
	p.Fprintf(w, "To see a conversion of %.4g %% instead of %.4g %% (a lift of %+.4g %%) with a power of %.4g %% at a level of %.4g %%:\n\n",
		r.Target*100, r.Baseline*100, r.Lift*100, r.Power*100, r.Alpha*100)
	for i, n := range r.Users {
		name := "control"
		if i > 0 {
			name = "arm"
			if len(r.Users) > 2 {
				name = fmt.Sprintf("arm %d", i)
			}
		}
		p.Fprintf(w, "  %-10s %12d exposed users (%.4g %%)\n", name, n, r.Split[i]*100)
	}
	p.Fprintf(w, "  %-10s %12d\n\n", "in all", r.Total)
	if e := r.Expected; e != nil {
		p.Fprintf(w, "The backtest exposes %d users to %s within %.1f days: %.0f a day.\n", e.Users, e.Experiment, e.Days, *r.Traffic)
	}
	if r.Days != nil {
		p.Fprintf(w, "At %.0f users a day that takes %d days, and then the goal's window.\n", *r.Traffic, *r.Days)
	} else {
		fmt.Fprintln(w, "Give the users exposed a day (--traffic 5000/day) to see how many days that takes.")
	}
	p.Fprintf(w, "That is for one look, at the end. nudged report may be looked at every day; for that its intervals are\nwider, and the same effect is seen with the same chance after %d users", r.AlwaysValidTotal)
	if r.AlwaysValidDays != nil {
		p.Fprintf(w, " (%d days)", *r.AlwaysValidDays)
	}
	fmt.Fprintln(w, " in all.")
	if r.Alpha != stats.Alpha {
		fmt.Fprintln(w, "(Its intervals are at 95 %, whatever --alpha says.)")
	}
}

// JSON writes the plan as one object.
func (r *PlanResult) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
