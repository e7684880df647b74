package stats

import "math"

// Proportion counts the users of an arm and those of them who converted.
type Proportion struct{ N, Converted int }

// Rate is the share that converted; 0 of nobody.
func (p Proportion) Rate() float64 {
	if p.N == 0 {
		return 0
	}
	return float64(p.Converted) / float64(p.N)
}

// Interval is Wilson's score interval of the rate; 0 to 1 of nobody.
func (p Proportion) Interval() Interval {
	if p.N == 0 {
		return Interval{0, 1}
	}
	z, n, r := normalQuantile(1-Alpha/2), float64(p.N), p.Rate()
	middle := (r + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(r*(1-r)/n+z*z/(4*n*n))
	return Interval{max(0, middle-half), min(1, middle+half)}
}

// estimate is the rate as a mean: its variance is p(1-p), as of a known rate.
func (p Proportion) estimate() Estimate {
	r := p.Rate()
	return Estimate{N: p.N, Mean: r, Variance: r * (1 - r)}
}

// Sample sums up one number for each user, and a second that was known before
// the experiment (the covariate; 0 where there is none). Sums are kept around
// the running mean (Welford 1962, Chan et al. 1979), so that large values with
// small differences lose no digits. The zero Sample is empty.
type Sample struct {
	N            int
	Mean, MeanX  float64
	sum          float64 // of the values: exact for whole ones, which Mean times N is not
	yy, xx, both float64 // sums of squares and products around the means
}

// Add takes one user's value in.
func (s *Sample) Add(y float64) { s.AddWith(y, 0) }

// AddWith takes one user's value and covariate in.
func (s *Sample) AddWith(y, x float64) {
	s.N++
	s.sum += y
	n := float64(s.N)
	dy, dx := y-s.Mean, x-s.MeanX
	s.Mean += dy / n
	s.MeanX += dx / n
	s.yy += dy * (y - s.Mean)
	s.xx += dx * (x - s.MeanX)
	s.both += dx * (y - s.Mean)
}

// AddZeros takes n users in who have no value and no covariate.
func (s *Sample) AddZeros(n int) { s.Merge(Sample{N: n}) }

// Merge takes all users of another sample in.
func (s *Sample) Merge(o Sample) {
	if o.N == 0 {
		return
	}
	n, m := float64(s.N), float64(o.N)
	dy, dx := o.Mean-s.Mean, o.MeanX-s.MeanX
	s.N += o.N
	s.sum += o.sum
	w := n * m / (n + m)
	s.Mean += dy * m / (n + m)
	s.MeanX += dx * m / (n + m)
	s.yy += o.yy + dy*dy*w
	s.xx += o.xx + dx*dx*w
	s.both += o.both + dy*dx*w
}

// Sum of the values.
func (s Sample) Sum() float64 { return s.sum }

// Variance of the values (divided by n-1); 0 of fewer than two.
func (s Sample) Variance() float64 {
	if s.N < 2 {
		return 0
	}
	return s.yy / float64(s.N-1)
}

// SD is the standard deviation of the values; 0 of fewer than two.
func (s Sample) SD() float64 { return math.Sqrt(s.Variance()) }

func (s Sample) estimate() Estimate { return Estimate{N: s.N, Mean: s.Mean, Variance: s.Variance()} }

// Estimate is a mean over N users whose values have this variance each.
type Estimate struct {
	N              int
	Mean, Variance float64
}

// ofMean is the variance of the mean itself.
func (e Estimate) ofMean() float64 { return e.Variance / float64(e.N) }
