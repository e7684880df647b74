package report

import (
	"github.com/nudged/nudged/experiment/stats"
)

const (
	minute = int64(60_000)
	hour   = 60 * minute
	day    = 24 * hour
)

// steps are the widths that time is cut into; the narrowest is taken that makes
// no more than maxMoments.
var steps = []int64{minute, 5 * minute, 15 * minute, hour, 3 * hour, 6 * hour, 12 * hour, day, 7 * day, 28 * day, 364 * day}

const maxMoments = 92

func stepFor(from, until int64) int64 {
	for _, s := range steps {
		if until/s-from/s < maxMoments && (s >= day || until-from < 7*day) {
			return s
		}
	}
	return steps[len(steps)-1]
}

// bins collect users by their time of exposure.
type bins struct {
	step, first int64
	arms        int
	moments     []Moment
}

func newBins(d *Data) *bins {
	if d.From == 0 && d.Until == 0 {
		return &bins{}
	}
	b := &bins{step: stepFor(d.From, d.Until), arms: len(d.Arms)}
	b.first = d.From / b.step
	for i := b.first; i <= d.Until/b.step; i++ {
		b.moments = append(b.moments, Moment{
			At:  (i + 1) * b.step,
			All: make([]int, b.arms), Conversion: make([]stats.Proportion, b.arms), Value: make([]stats.Sample, b.arms),
		})
	}
	return b
}

func (b *bins) of(at int64) *Moment { return &b.moments[at/b.step-b.first] }

func (b *bins) all(at int64, arm int) { b.of(at).All[arm]++ }

func (b *bins) mature(at int64, arm int, converted bool, value float64) {
	m := b.of(at)
	m.Conversion[arm].N++
	if converted {
		m.Conversion[arm].Converted++
	}
	m.Value[arm].Add(value)
}

// cumulate turns what happened in each step into what was known at its end.
func (b *bins) cumulate() []Moment {
	for i := 1; i < len(b.moments); i++ {
		before, m := &b.moments[i-1], &b.moments[i]
		for a := range b.arms {
			m.All[a] += before.All[a]
			m.Conversion[a].N += before.Conversion[a].N
			m.Conversion[a].Converted += before.Conversion[a].Converted
			m.Value[a].Merge(before.Value[a])
		}
	}
	return b.moments
}
