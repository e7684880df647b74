package stats

import "math"

// TunedFor is the number of users, in both arms together, at which always-valid
// intervals are narrowest compared with what is possible (N*).
const TunedFor = 5_000

// AlwaysValid is the asymptotic confidence sequence of Waudby-Smith, Arbour,
// Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic
// confidence sequences" (2021, arXiv 2103.06476), Theorem 2.2. For an estimate
// over t users (both arms together) whose variance is v, with s² = t v the
// variance a single user contributes:
//
//	estimate ± s √( 2 (tρ² + 1) / (t²ρ²) · ln( √(tρ² + 1) / α ) )
//	ρ² = ( -2 ln α + ln(-2 ln α + 1) ) / N*
//
// with α = 0.05 and N* = 5,000; ρ is the paper's choice that makes the sequence
// narrow around N* users. It holds at all t at once, so that one may look every
// day and stop at any look.
//
// The p-value is the smallest α at which the interval with this ρ excludes zero,
//
//	√(tρ² + 1) · exp( -t²ρ² estimate² / (2 s² (tρ² + 1)) ),  at most 1.
//
// variance must be above 0 and users at least 1.
func AlwaysValid(estimate, variance float64, users int) (Interval, float64) {
	t := float64(users)
	p := math.Sqrt(t*rho2+1) * math.Exp(-t*rho2/(t*rho2+1)*estimate*estimate/variance/2)
	return around(estimate, alwaysValidWidth(t)*math.Sqrt(variance)), min(1, p)
}

// rho2 is ρ².
var rho2 = (-2*math.Log(Alpha) + math.Log(-2*math.Log(Alpha)+1)) / TunedFor

// alwaysValidWidth is half the width in standard errors of the estimate, where
// 1.96 would be the fixed one.
func alwaysValidWidth(t float64) float64 {
	return math.Sqrt(2 * (t*rho2 + 1) / (t * rho2) * math.Log(math.Sqrt(t*rho2+1)/Alpha))
}
