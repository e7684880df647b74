// Package stats compares the arms of an experiment. It is pure arithmetic on
// counts and sums: no data is read here, no clock, no chance.
//
// All differences are arm minus control, all lifts are relative to the control,
// all intervals are two-sided at 95 %. What cannot be computed is an Undefined
// error that says why in a sentence; no function returns a NaN or an infinity.
package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Alpha is one minus the confidence of all intervals, and the level of verdicts.
const Alpha = 0.05

// Undefined says why a figure does not exist for this data.
type Undefined string

func (u Undefined) Error() string { return string(u) }

// The reasons there are.
const (
	NoUsersInControl Undefined = "nobody has been exposed in the control arm yet"
	NoUsersInArm     Undefined = "nobody has been exposed in this arm yet"
	NobodyConverted  Undefined = "nobody has converted in either arm yet: there is nothing to compare"
	AllConverted     Undefined = "everybody has converted in both arms: there is no difference to test"
	TooFewForValue   Undefined = "an arm has a single user: at least two in each arm are needed to see how much values vary"
	NoVariance       Undefined = "all users of an arm have the same value, in both arms: there is no variation to measure a difference against"
	ControlIsZero    Undefined = "the control's mean is zero: a relative lift cannot be formed"
	NoCovariance     Undefined = "the covariate is the same for all users: it explains nothing"
	NotFinite        Undefined = "the values are too large to be computed with"
)

// Interval is a confidence interval.
type Interval struct{ Low, High float64 }

// Excludes tells whether x lies outside of the interval.
func (i Interval) Excludes(x float64) bool { return x < i.Low || x > i.High }

func around(middle, half float64) Interval { return Interval{middle - half, middle + half} }

// Effect is what an arm does compared with its control.
type Effect struct {
	Diff         float64  // difference of the means or rates
	SE           float64  // its standard error, not pooled
	CI           Interval // for one look at a time fixed beforehand
	Statistic    float64  // z, or Welch's t
	DF           float64  // degrees of freedom of t; 0 for z
	P            float64  // two-sided
	AlwaysValid  Interval // however often one looks
	AlwaysValidP float64  // at most Alpha exactly when AlwaysValid excludes zero
}

// Lift is a relative difference: 0.1 is 10 % more than the control.
type Lift struct {
	Lift            float64
	CI, AlwaysValid Interval
}

// normalQuantile is the point below which a standard normal lies with
// probability p.
func normalQuantile(p float64) float64 { return distuv.UnitNormal.Quantile(p) }

// twoSidedNormal is the chance of a standard normal at least as far out as z.
func twoSidedNormal(z float64) float64 { return math.Erfc(math.Abs(z) / math.Sqrt2) }

// Finite reports an overflow instead of passing on a NaN or an infinity.
func Finite(xs ...float64) error {
	for _, x := range xs {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return NotFinite
		}
	}
	return nil
}
