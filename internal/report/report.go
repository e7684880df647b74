package report

import (
	"errors"
	"fmt"
	"math"

	"github.com/nudged/nudged/experiment/stats"
)

// Report is the answer, in the names that scripts read (docs/report.md). What
// does not exist for this data is null, and a "why" or a note says the reason.
type Report struct {
	Experiment  string       `json:"experiment"`
	Phase       int          `json:"phase,omitempty"`
	SRM         SRM          `json:"srm"`
	Arms        []Arm        `json:"arms"`
	Comparisons []Comparison `json:"comparisons"`

	Guardrails []Guardrail `json:"guardrails,omitempty"`

	Holdout      *Arm     `json:"holdout,omitempty"`
	From         string   `json:"from,omitempty"`  // first exposure
	Until        string   `json:"until,omitempty"` // last exposure
	At           string   `json:"at,omitempty"`    // the moment of the report
	WindowMillis int64    `json:"window_ms,omitempty"`
	Waiting      int      `json:"not_mature"`
	Notes        []string `json:"notes"`

	data *Data
}

// SRM is the sample ratio check, over all exposed users.
type SRM struct {
	Chi2      *float64 `json:"chi2"`
	DF        int      `json:"df"`
	P         *float64 `json:"p"`
	OK        bool     `json:"ok"`
	Statement string   `json:"statement"`
}

// Arm is one arm, of mature users.
type Arm struct {
	Name      string   `json:"name"`
	Exposed   int      `json:"exposed"`
	Converted *int     `json:"converted"`
	Rate      *float64 `json:"rate"`
	ValueSum  *float64 `json:"value_sum"`
	ValueMean *float64 `json:"value_mean"`
	ValueSD   *float64 `json:"value_sd"`

	ExposedAll int      `json:"exposed_all"` // mature or not
	Expected   *float64 `json:"expected_share,omitempty"`
	Sends      int      `json:"sends,omitempty"`
	NetSum     *float64 `json:"net_sum,omitempty"`
	NetMean    *float64 `json:"net_mean,omitempty"`
}

// Comparison is one arm against the control.
type Comparison struct {
	Arm        string      `json:"arm"`
	Control    string      `json:"control"`
	Conversion *Conversion `json:"conversion"`
	Value      *Value      `json:"value"`
	PHolm      *float64    `json:"p_holm"`
	Verdict    Verdict     `json:"verdict"`
	Statement  string      `json:"statement"`
	Net        *Net        `json:"net,omitempty"`
	// MoreUsers in both arms together until a lift of Options.Effect would be
	// seen; nil if that cannot be told.
	MoreUsers *int `json:"more_users,omitempty"`
}

// Verdict is the outcome of one comparison.
type Verdict string

// The verdicts.
const (
	Better       Verdict = "better"
	Worse        Verdict = "worse"
	NoDifference Verdict = "no_difference_yet"
	WrongRatio   Verdict = "sample_ratio_mismatch"
)

// Range is an interval, low and high.
type Range = [2]float64

// Conversion compares conversion rates.
type Conversion struct {
	Diff          *float64 `json:"diff"`
	CI            *Range   `json:"ci"`
	Z             *float64 `json:"z"`
	P             *float64 `json:"p"`
	Lift          *float64 `json:"lift"`
	LiftCI        *Range   `json:"lift_ci"`
	AlwaysValidCI *Range   `json:"always_valid_ci"`

	LiftAlwaysValidCI *Range   `json:"lift_always_valid_ci"`
	AlwaysValidP      *float64 `json:"always_valid_p"`
	Why               string   `json:"why,omitempty"` // something is null
}

// Value compares values per exposed user.
type Value struct {
	Diff          *float64 `json:"diff"`
	CI            *Range   `json:"ci"`
	T             *float64 `json:"t"`
	DF            *float64 `json:"df"`
	P             *float64 `json:"p"`
	Lift          *float64 `json:"lift"`
	LiftCI        *Range   `json:"lift_ci"`
	AlwaysValidCI *Range   `json:"always_valid_ci"`
	CUPED         *CUPED   `json:"cuped"`

	LiftAlwaysValidCI *Range   `json:"lift_always_valid_ci"`
	AlwaysValidP      *float64 `json:"always_valid_p"`
	Why               string   `json:"why,omitempty"`
}

// CUPED is the comparison of values less what the covariate foretells.
type CUPED struct {
	Diff              *float64 `json:"diff"`
	CI                *Range   `json:"ci"`
	P                 *float64 `json:"p"`
	VarianceReduction *float64 `json:"variance_reduction"`
	Why               string   `json:"why,omitempty"`
}

// Net compares what is left of the value after costs.
type Net struct {
	Diff          *float64 `json:"diff"` // per exposed user
	CI            *Range   `json:"ci"`
	AlwaysValidCI *Range   `json:"always_valid_ci"`
	Gain          *float64 `json:"gain"` // Diff times the arm's exposed users
	Why           string   `json:"why,omitempty"`
}

func some[T any](x T) *T { return &x }

func rangeOf(i stats.Interval) *Range { return &Range{i.Low, i.High} }

// New computes the report.
func New(d *Data) (*Report, error) {
	r := &Report{Experiment: d.Experiment, Phase: d.Phase, Waiting: d.Waiting, WindowMillis: d.Options.Window, Guardrails: d.Guardrails, Notes: []string{}, data: d}
	if d.From != 0 || d.Until != 0 {
		r.From, r.Until = moment(d.From), moment(d.Until)
	}
	if d.Options.At > 0 && d.Options.At < math.MaxInt64 && d.Phase > 0 {
		r.At = moment(d.Options.At)
	}
	var weights float64
	for _, a := range d.Arms {
		weights += a.Weight
	}
	for i := range d.Arms {
		a := d.arm(&d.Arms[i])
		if d.Weighted || len(d.Arms) > 1 {
			a.Expected = some(d.Arms[i].Weight / weights)
		}
		r.Arms = append(r.Arms, a)
	}
	if d.Holdout != nil {
		r.Holdout = some(d.arm(d.Holdout))
	}
	if err := r.checkRatio(); err != nil {
		return nil, err
	}
	r.Comparisons = []Comparison{}
	for i := 1; i < len(d.Arms); i++ {
		r.Comparisons = append(r.Comparisons, d.compare(&d.Arms[0], &d.Arms[i]))
	}
	r.judge()
	r.Notes = append(r.Notes, d.Notes...)
	r.noteThinData()
	return r, nil
}

func (d *Data) arm(a *ArmData) Arm {
	out := Arm{Name: a.Name, Exposed: a.Conversion.N, ExposedAll: a.All, Sends: a.Sends}
	if d.Converted {
		out.Converted = some(a.Conversion.Converted)
		if a.Conversion.N > 0 {
			out.Rate = some(a.Conversion.Rate())
		}
	}
	if d.Value && stats.Finite(a.Value.Mean, a.Value.Sum(), a.Value.SD()) == nil {
		out.ValueSum = some(a.Value.Sum())
		if a.Value.N > 0 {
			out.ValueMean = some(a.Value.Mean)
		}
		if a.Value.N > 1 {
			out.ValueSD = some(a.Value.SD())
		}
	}
	if d.Value && d.Options.costs() && a.Net.N > 0 && stats.Finite(a.Net.Mean, a.Net.Sum()) == nil {
		out.NetSum, out.NetMean = some(a.Net.Sum()), some(a.Net.Mean)
	}
	return out
}

func (r *Report) checkRatio() error {
	var seen []int
	var weights []float64
	for i := range r.data.Arms {
		seen = append(seen, r.data.Arms[i].All)
		weights = append(weights, r.data.Arms[i].Weight)
	}
	s, err := stats.CheckSampleRatio(seen, weights)
	var undefined stats.Undefined
	switch {
	case errors.As(err, &undefined):
		r.SRM = SRM{DF: max(0, len(seen)-1), OK: true, Statement: "The sample ratio cannot be checked: " + undefined.Error() + "."}
		return nil
	case err != nil:
		return fmt.Errorf("experiment %q: sample ratio: %w", r.Experiment, err)
	}
	r.SRM = SRM{Chi2: &s.Chi2, DF: s.DF, P: &s.P, OK: s.OK}
	r.SRM.Statement = r.ratioStatement()
	return nil
}

func (d *Data) compare(control, arm *ArmData) Comparison {
	c := Comparison{Arm: arm.Name, Control: control.Name}
	if d.Converted {
		c.Conversion = compareConversion(control.Conversion, arm.Conversion)
	}
	if d.Value {
		c.Value = d.compareValue(control.Value, arm.Value)
		if d.Options.costs() {
			c.Net = compareNet(control.Net, arm.Net)
		}
	}
	return c
}

func compareConversion(control, arm stats.Proportion) *Conversion {
	out := &Conversion{}
	e, err := stats.Conversion(control, arm)
	if known(control.N, arm.N) {
		out.Diff = &e.Diff
	}
	if err != nil {
		out.Why = err.Error()
		return out
	}
	out.CI, out.Z, out.P = rangeOf(e.CI), &e.Statistic, &e.P
	out.AlwaysValidCI, out.AlwaysValidP = rangeOf(e.AlwaysValid), &e.AlwaysValidP
	l, err := stats.ConversionLift(control, arm)
	if err != nil {
		out.Why = err.Error()
		return out
	}
	out.Lift, out.LiftCI, out.LiftAlwaysValidCI = &l.Lift, rangeOf(l.CI), rangeOf(l.AlwaysValid)
	return out
}

func (d *Data) compareValue(control, arm stats.Sample) *Value {
	out := &Value{}
	e, err := stats.Value(control, arm)
	if known(control.N, arm.N) && !errors.Is(err, stats.NotFinite) {
		out.Diff = &e.Diff
	}
	if err != nil {
		out.Why = err.Error()
	} else {
		out.CI, out.T, out.DF, out.P = rangeOf(e.CI), &e.Statistic, &e.DF, &e.P
		out.AlwaysValidCI, out.AlwaysValidP = rangeOf(e.AlwaysValid), &e.AlwaysValidP
		if l, err := stats.ValueLift(control, arm); err != nil {
			out.Why = err.Error()
		} else {
			out.Lift, out.LiftCI, out.LiftAlwaysValidCI = &l.Lift, rangeOf(l.CI), rangeOf(l.AlwaysValid)
		}
	}
	if d.Covariate {
		out.CUPED = &CUPED{}
		if a, err := stats.CUPED(control, arm); err != nil {
			out.CUPED.Why = err.Error()
		} else {
			*out.CUPED = CUPED{Diff: &a.Diff, CI: rangeOf(a.CI), P: &a.P, VarianceReduction: &a.VarianceReduction}
		}
	}
	return out
}

func compareNet(control, arm stats.Sample) *Net {
	e, err := stats.Value(control, arm)
	out := &Net{}
	if known(control.N, arm.N) && !errors.Is(err, stats.NotFinite) && stats.Finite(e.Diff*float64(arm.N)) == nil {
		out.Diff, out.Gain = &e.Diff, some(e.Diff*float64(arm.N))
	}
	if err != nil {
		out.Why = err.Error()
		return out
	}
	out.CI, out.AlwaysValidCI = rangeOf(e.CI), rangeOf(e.AlwaysValid)
	return out
}

func known(control, arm int) bool { return control > 0 && arm > 0 }
