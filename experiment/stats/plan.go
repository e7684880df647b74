package stats

import (
	"fmt"
	"math"
)

// Plan asks how many users it takes to see an effect on a conversion rate.
type Plan struct {
	Baseline float64 // the control's rate, 0..1, exclusive
	Lift     float64 // relative; 0.2 is 20 % more; not 0; the rate it leads to lies within 0..1, exclusive
	Power    float64 // chance to see the effect if it is there, above Alpha, below 1
	Alpha    float64 // chance to see one that is not there, 0..1, exclusive
	// Split are the shares of the arms, the control first, of any sum. With
	// several arms besides the control each is compared with it, at Alpha divided
	// by their number (what Holm's first step asks).
	Split []float64
}

// Needed is the answer to a Plan.
type Needed struct {
	Arms        []int // users in each arm, in the order of Split
	Total       int
	AlwaysValid int // users in all until the always-valid interval shows it, with the same power
}

// Users returns how many are needed, for one look at the end, by the formula of
// Fleiss for two proportions without continuity correction: with p1 the control's
// rate, p2 the arm's, r the arm's users for each of the control's, and p̄ the mean
// rate of all,
//
//	n1 = ( z(1-α/2) √(p̄(1-p̄)(1 + 1/r)) + z(power) √(p1(1-p1) + p2(1-p2)/r) )² / (p2-p1)²
//
// An error says which input is out of range.
func (p Plan) Users() (Needed, error) {
	if err := p.validate(); err != nil {
		return Needed{}, err
	}
	alpha := p.Alpha / float64(len(p.Split)-1)
	rate := p.Baseline * (1 + p.Lift)
	diff := rate - p.Baseline
	sum := 0.0
	for _, s := range p.Split {
		sum += s
	}
	// The smallest arm decides.
	var total, always float64
	for _, share := range p.Split[1:] {
		r := share / p.Split[0]
		mean := (p.Baseline + r*rate) / (1 + r)
		null := math.Sqrt(mean * (1 - mean) * (1 + 1/r))
		vary := math.Sqrt(p.Baseline*(1-p.Baseline) + rate*(1-rate)/r)
		n := (normalQuantile(1-alpha/2)*null + normalQuantile(p.Power)*vary) / diff
		total = max(total, n*n*sum/p.Split[0])
		// The verdict looks at the two arms of a comparison.
		both := AlwaysValidUsers(math.Abs(diff), vary*vary*(1+r), p.Power)
		always = max(always, both*sum/(p.Split[0]+share))
	}
	if total > maxUsers || always > maxUsers || Finite(total, always) != nil {
		return Needed{}, Undefined("it would take more users than there are people: look for a larger effect")
	}
	var out Needed
	for _, s := range p.Split {
		n := int(math.Ceil(total*s/sum - 1e-9))
		out.Arms = append(out.Arms, n)
		out.Total += n
	}
	out.AlwaysValid = max(out.Total, int(math.Ceil(always)))
	return out, nil
}

// maxUsers is where counting users ends.
const maxUsers = 1e13

// AlwaysValidUsers is how many users (both arms together) it takes until an
// effect of this size is seen by its always-valid interval with the given power,
// when perUser is the variance of the difference times the number of users: the
// smallest t with
//
//	effect ≥ half width(t) + z(power) √(perUser / t)
//
// It is 0 if perUser is 0, and infinite if effect is 0.
func AlwaysValidUsers(effect, perUser, power float64) float64 {
	if perUser <= 0 {
		return 0
	}
	if !(effect > 0) {
		return math.Inf(1)
	}
	z := normalQuantile(power)
	seen := func(t float64) bool { return effect >= (alwaysValidWidth(t)+z)*math.Sqrt(perUser/t) }
	high := 1.0
	for !seen(high) {
		if high *= 2; high > maxUsers {
			return math.Inf(1)
		}
	}
	low := high / 2
	for range 60 {
		if mid := (low + high) / 2; seen(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}

func (p Plan) validate() error {
	rate := p.Baseline * (1 + p.Lift)
	switch {
	case !(p.Baseline > 0 && p.Baseline < 1):
		return fmt.Errorf("baseline %v: a rate between 0 %% and 100 %%, for example 2%%", p.Baseline)
	case p.Lift == 0 || !(rate > 0 && rate < 1):
		return fmt.Errorf("lift %v: relative to the baseline and not 0, and the rate it leads to (%.4g) between 0 %% and 100 %%, for example 20%%", p.Lift, rate)
	case !(p.Alpha > 0 && p.Alpha < 1):
		return fmt.Errorf("alpha %v: between 0 %% and 100 %%, for example 5%%", p.Alpha)
	case !(p.Power > p.Alpha && p.Power < 1):
		return fmt.Errorf("power %v: between alpha and 100 %%, for example 80%%", p.Power)
	case len(p.Split) < 2:
		return fmt.Errorf("split %v: at least two shares, the control's first, for example 50/50", p.Split)
	}
	for _, s := range p.Split {
		if !(s > 0) || math.IsInf(s, 0) {
			return fmt.Errorf("split %v: each share above 0, for example 50/50", p.Split)
		}
	}
	return nil
}
