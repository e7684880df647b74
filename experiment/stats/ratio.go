package stats

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// RatioAlarm is the p-value below which the sample ratio counts as wrong.
const RatioAlarm = 0.001

// SampleRatio is the check that the arms have the sizes they should have.
type SampleRatio struct {
	Chi2 float64
	DF   int
	P    float64
	OK   bool // P is not below RatioAlarm
}

// CheckSampleRatio compares the sizes of the arms with their intended shares
// (weights of any sum, each above 0) by Pearson's chi-square test. It is
// Undefined with fewer than two arms or without users.
func CheckSampleRatio(seen []int, weights []float64) (SampleRatio, error) {
	if len(seen) != len(weights) {
		return SampleRatio{}, fmt.Errorf("%d arms were seen and %d weights are given", len(seen), len(weights))
	}
	if len(seen) < 2 {
		return SampleRatio{}, Undefined("there is only one arm: there is no ratio to check")
	}
	var total, sum float64
	for i, n := range seen {
		if !(weights[i] > 0) || math.IsInf(weights[i], 0) {
			return SampleRatio{}, fmt.Errorf("weight %v of arm %d: it must be above 0", weights[i], i+1)
		}
		total += float64(n)
		sum += weights[i]
	}
	if total == 0 {
		return SampleRatio{}, Undefined("nobody has been exposed yet")
	}
	r := SampleRatio{DF: len(seen) - 1}
	for i, n := range seen {
		expected := total * weights[i] / sum
		d := float64(n) - expected
		r.Chi2 += d * d / expected
	}
	r.P = distuv.ChiSquared{K: float64(r.DF)}.Survival(r.Chi2)
	r.OK = r.P >= RatioAlarm
	return r, nil
}

// Holm adjusts p-values for how many they are (Holm 1979): the smallest times m,
// the next times m-1, and so on, never below the one before, at most 1. The
// order stays that of ps.
func Holm(ps []float64) []float64 {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case ps[a] < ps[b]:
			return -1
		case ps[a] > ps[b]:
			return 1
		}
		return 0
	})
	out := make([]float64, len(ps))
	highest := 0.0
	for rank, i := range order {
		highest = max(highest, min(1, ps[i]*float64(len(ps)-rank)))
		out[i] = highest
	}
	return out
}
