package measure

import "slices"

// Summary are the figures of one measure over repeated runs.
type Summary struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// Summarize returns the Summary of at least one value. The median of an even
// number of values is the mean of the middle two.
func Summarize(values []float64) Summary {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n == 0 {
		return Summary{}
	}
	return Summary{Min: v[0], Median: (v[(n-1)/2] + v[n/2]) / 2, Max: v[n-1]}
}
