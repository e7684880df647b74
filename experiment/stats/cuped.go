package stats

// Adjusted is a comparison of values less what the covariate foretells.
type Adjusted struct {
	Effect
	Theta float64 // how much of the covariate is taken off each value
	// VarianceReduction is the share of the variance of the difference that the
	// covariate takes away: at 0.5 half the users do. Below 0 it does harm.
	VarianceReduction float64
}

// CUPED compares two means after Deng, Xu, Kohavi and Walker, "Improving the
// sensitivity of online controlled experiments by utilizing pre-experiment data"
// (2013): each value y becomes y - θ (x - x̄), with x the covariate, x̄ its mean
// and θ = cov(x, y) / var(x) over the users of both arms; then Welch's t. The
// covariate must have been known before the experiment.
//
// With an Undefined error only Diff holds, unadjusted.
func CUPED(control, arm Sample) (Adjusted, error) {
	plain, err := Value(control, arm)
	if err != nil {
		return Adjusted{Effect: plain}, err
	}
	all := control
	all.Merge(arm)
	if !(all.xx > 0) {
		return Adjusted{Effect: Effect{Diff: plain.Diff}}, NoCovariance
	}
	a := Adjusted{Theta: all.both / all.xx}
	if Finite(a.Theta) != nil {
		return Adjusted{Effect: Effect{Diff: plain.Diff}}, NotFinite
	}
	adjust := func(s Sample) Estimate {
		return Estimate{
			N:    s.N,
			Mean: s.Mean - a.Theta*(s.MeanX-all.MeanX),
			// Rounding may leave a little less than nothing where x tells y entirely.
			Variance: max(0, s.yy-2*a.Theta*s.both+a.Theta*a.Theta*s.xx) / float64(s.N-1),
		}
	}
	if a.Effect, err = welch(adjust(control), adjust(arm)); err != nil {
		return Adjusted{Effect: Effect{Diff: plain.Diff}}, err
	}
	a.VarianceReduction = 1 - a.SE*a.SE/(plain.SE*plain.SE)
	return a, nil
}
