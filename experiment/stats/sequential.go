package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
)

// AlarmAlpha is the chance with which a watched check ever raises a false alarm,
// however often it is looked at. It is that of the sample ratio's alarm.
const AlarmAlpha = RatioAlarm

// Alarming says that an e-value is as large as a false alarm may bring about with
// a chance of at most AlarmAlpha over all looks (Ville's inequality).
func Alarming(e float64) bool { return e >= 1/AlarmAlpha }

// ratioConcentrations are those of the Dirichlet priors that RatioEvidence takes
// the mean of: low ones find what is badly wrong after few users, the high one
// small deviations among many.
var ratioConcentrations = [...]float64{10, 100, 10_000}

// RatioEvidence is the sequential test of the sample ratio by Lindon and Malek,
// "Anytime-Valid Inference For Multinomial Count Data" (NeurIPS 2022): how much
// likelier the sizes seen are if the shares are drawn from a Dirichlet distribution
// around the intended ones than under the intended ones themselves. It is an
// e-value at all times at once: one may look after every user. It is the mean over
// three concentrations: 10, 100 and 10,000. weights are as in CheckSampleRatio.
func RatioEvidence(seen []int, weights []float64) (float64, error) {
	if len(seen) != len(weights) {
		return 0, fmt.Errorf("%d arms were seen and %d weights are given", len(seen), len(weights))
	}
	sum, total := 0.0, 0.0
	for i, n := range seen {
		if !(weights[i] > 0) || math.IsInf(weights[i], 0) {
			return 0, fmt.Errorf("weight %v of arm %d: it must be above 0", weights[i], i+1)
		}
		sum += weights[i]
		total += float64(n)
	}
	e := 0.0
	for _, k := range ratioConcentrations {
		log := lgamma(k) - lgamma(k+total)
		for i, n := range seen {
			share := weights[i] / sum
			log += lgamma(k*share+float64(n)) - lgamma(k*share) - float64(n)*math.Log(share)
		}
		e += bounded(log) / float64(len(ratioConcentrations))
	}
	return e, nil
}

// ExcessEvidence is how much speaks for a rate above most, 0 < most < 1, when hits
// of n users were hit: an e-value, at all times at once, for the hypothesis that
// nobody's chance is above most. It is the likelihood ratio against the rate most,
// averaged over rates above it by a beta distribution with mean most, cut off
// below most. With too few hits it is below 1; users who may still be hit count as
// not hit, which makes it smaller.
func ExcessEvidence(hits, n int, most float64) (float64, error) {
	if !(most > 0 && most < 1) || hits < 0 || hits > n {
		return 0, fmt.Errorf("%d of %d users against a limit of %v: the limit must lie between 0 and 1, and not more be hit than there are", hits, n, most)
	}
	k, rest := float64(hits), float64(n-hits)
	// The prior is Beta(1, b); above most lies the share (1 - most)^b of it.
	b := (1 - most) / most
	above := mathext.RegIncBeta(b+rest, 1+k, 1-most)
	log := lbeta(1+k, b+rest) + math.Log(above) - lbeta(1, b) - b*math.Log1p(-most) - k*math.Log(most) - rest*math.Log1p(-most)
	return bounded(log), nil
}

// bounded is e to the x; what is too large for a float stays finite.
func bounded(log float64) float64 { return math.Exp(min(log, 700)) }

func lgamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}

func lbeta(a, b float64) float64 { return lgamma(a) + lgamma(b) - lgamma(a+b) }
