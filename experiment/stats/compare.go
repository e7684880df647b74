package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Conversion compares two conversion rates by the two-proportion z-test: the
// p-value pools both arms, as under the hypothesis that they are the same; the
// interval does not (Wald), as it is about how much they differ.
//
// With an Undefined error only Diff holds.
func Conversion(control, arm Proportion) (Effect, error) {
	if err := someUsers(control.N, arm.N); err != nil {
		return Effect{}, err
	}
	c, a := control.estimate(), arm.estimate()
	e := Effect{Diff: a.Mean - c.Mean}
	switch converted := control.Converted + arm.Converted; converted {
	case 0:
		return e, NobodyConverted
	case control.N + arm.N:
		return e, AllConverted
	default:
		n, m := float64(control.N), float64(arm.N)
		pooled := float64(converted) / (n + m)
		e.Statistic = e.Diff / math.Sqrt(pooled*(1-pooled)*(1/n+1/m))
	}
	e.P = twoSidedNormal(e.Statistic)
	variance := c.ofMean() + a.ofMean()
	if variance == 0 { // nobody in one arm and everybody in the other
		return Effect{Diff: e.Diff}, Undefined("nobody has converted in one arm and everybody in the other: there are too few users to say how sure that is")
	}
	e.SE = math.Sqrt(variance)
	e.CI = around(e.Diff, normalQuantile(1-Alpha/2)*e.SE)
	e.AlwaysValid, e.AlwaysValidP = AlwaysValid(e.Diff, variance, control.N+arm.N)
	return e, nil
}

// Value compares two means by Welch's t-test, which does not ask that both arms
// vary alike; the degrees of freedom are those of Welch and Satterthwaite.
//
// With an Undefined error only Diff holds.
func Value(control, arm Sample) (Effect, error) { return welch(control.estimate(), arm.estimate()) }

func welch(c, a Estimate) (Effect, error) {
	if err := someUsers(c.N, a.N); err != nil {
		return Effect{}, err
	}
	if Finite(c.Mean, a.Mean, a.Mean-c.Mean) != nil {
		return Effect{}, NotFinite
	}
	e := Effect{Diff: a.Mean - c.Mean}
	if c.N < 2 || a.N < 2 {
		return e, TooFewForValue
	}
	vc, va := c.ofMean(), a.ofMean()
	variance := vc + va
	if !(variance > 0) {
		return e, NoVariance
	}
	e.SE = math.Sqrt(variance)
	e.Statistic = e.Diff / e.SE
	// The shares of the variance, so that nothing overflows.
	sc, sa := vc/variance, va/variance
	e.DF = 1 / (sc*sc/float64(c.N-1) + sa*sa/float64(a.N-1))
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: e.DF}
	e.P = min(1, 2*t.CDF(-math.Abs(e.Statistic)))
	e.CI = around(e.Diff, t.Quantile(1-Alpha/2)*e.SE)
	e.AlwaysValid, e.AlwaysValidP = AlwaysValid(e.Diff, variance, c.N+a.N)
	if err := Finite(e.SE, e.Statistic, e.DF, e.P, e.CI.Low, e.CI.High, e.AlwaysValid.Low, e.AlwaysValid.High); err != nil {
		return Effect{Diff: e.Diff}, err
	}
	return e, nil
}

// ConversionLift is the relative lift of a conversion rate, see lift.
func ConversionLift(control, arm Proportion) (Lift, error) {
	return lift(control.estimate(), arm.estimate())
}

// ValueLift is the relative lift of a mean value, see lift.
func ValueLift(control, arm Sample) (Lift, error) {
	if control.N > 0 && arm.N > 0 && (control.N < 2 || arm.N < 2) {
		return Lift{}, TooFewForValue
	}
	return lift(control.estimate(), arm.estimate())
}

// lift is the ratio of two means less one. Its variance is that of the delta
// method for a ratio of independent means,
//
//	var(a/c) = var(a)/c² + a² var(c)/c⁴
//
// and the interval the normal one. With an Undefined error nothing holds.
func lift(c, a Estimate) (Lift, error) {
	if err := someUsers(c.N, a.N); err != nil {
		return Lift{}, err
	}
	if c.Mean == 0 {
		return Lift{}, ControlIsZero
	}
	l := Lift{Lift: a.Mean/c.Mean - 1}
	ratio := a.Mean / c.Mean
	variance := (a.ofMean() + ratio*ratio*c.ofMean()) / c.Mean / c.Mean
	if !(variance > 0) {
		return Lift{}, NoVariance
	}
	l.CI = around(l.Lift, normalQuantile(1-Alpha/2)*math.Sqrt(variance))
	l.AlwaysValid, _ = AlwaysValid(l.Lift, variance, c.N+a.N)
	if err := Finite(l.Lift, l.CI.Low, l.CI.High, l.AlwaysValid.Low, l.AlwaysValid.High); err != nil {
		return Lift{}, err
	}
	return l, nil
}

func someUsers(control, arm int) error {
	switch {
	case control <= 0:
		return NoUsersInControl
	case arm <= 0:
		return NoUsersInArm
	}
	return nil
}
