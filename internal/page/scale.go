package page

import "math"

// scale maps values onto a stretch of pixels.
type scale struct{ low, high, from, to float64 }

func (s scale) at(x float64) float64 {
	if s.high == s.low {
		return (s.from + s.to) / 2
	}
	return s.from + (x-s.low)/(s.high-s.low)*(s.to-s.from)
}

// ticks are round numbers within the scale, about so many.
func (s scale) ticks(about int) []float64 {
	step := roundStep((s.high - s.low) / float64(about))
	if !(step > 0) {
		return []float64{s.low}
	}
	var out []float64
	for i := math.Ceil(s.low/step - 1e-9); i*step <= s.high+step*1e-9; i++ {
		out = append(out, i*step+0) // not -0
	}
	return out
}

// roundStep is the least of 1, 2, 5 times a power of ten that is not below x.
func roundStep(x float64) float64 {
	if !(x > 0) || math.IsInf(x, 0) {
		return 0
	}
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= x*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// widen makes room around a range, and makes one of a point.
func widen(low, high float64) (float64, float64) {
	if !(low <= high) { // nothing was seen
		return 0, 1
	}
	pad := (high - low) * 0.08
	if pad == 0 {
		pad = max(math.Abs(low)*0.1, 1e-6)
	}
	return low - pad, high + pad
}
