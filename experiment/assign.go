package experiment

import "slices"

// Exclusion says why a user takes no part in an experiment.
type Exclusion string

// The reasons there are.
const (
	NotExcluded       Exclusion = ""
	OutsideOfLayer    Exclusion = "layer"    // outside the experiment's slot of its layer
	OutsideOfCoverage Exclusion = "coverage" // in an arm's range, beyond the part that is covered
)

// Assignment is what one experiment has in store for one user.
type Assignment struct {
	Arm      string    // empty if Excluded
	Index    int       // the arm's place in Experiment.Arms, from 0; -1 if Excluded
	Excluded bool      // the user takes no part
	Because  Exclusion // why, if Excluded
	Bucket   uint16    // 0..9999, by KindVariant and the experiment's salt, also if Excluded
}

// Assigner assigns users to the arms of one experiment. It does not change once
// it is compiled, so that any number of goroutines may use it.
type Assigner struct {
	arms    []string
	ranges  []bucketRange
	variant stem

	layered            bool
	layer              stem
	layerFrom, layerTo uint16 // buckets, half-open
}

// Compile checks the experiment and prepares its assignment. The error is that
// of Validate. Later changes to e do not reach the Assigner.
func Compile(e *Experiment) (*Assigner, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	a := &Assigner{ranges: e.ranges()}
	for _, arm := range e.Arms {
		a.arms = append(a.arms, arm.Name)
	}
	a.variant.start(KindVariant, e.salt())
	if e.Layer != nil {
		a.layered = true
		a.layer.start(KindLayer, e.Layer.Name)
		a.layerFrom = uint16(e.Layer.From * bucketsPerPercent)
		a.layerTo = uint16(e.Layer.To * bucketsPerPercent)
	}
	return a, nil
}

// Assign returns the arm of a unit (a user id). The layer slot is asked first,
// then the arm and its coverage; the holdout is the caller's, before this. The
// only error is a NUL in the unit. Nothing is allocated.
func (a *Assigner) Assign(unit string) (Assignment, error) {
	if hasNUL(unit) {
		return Assignment{Index: -1, Excluded: true}, nulError("unit", unit)
	}
	bucket := a.variant.bucket(unit)
	if a.layered {
		if slot := a.layer.bucket(unit); slot < a.layerFrom || slot >= a.layerTo {
			return Assignment{Index: -1, Excluded: true, Because: OutsideOfLayer, Bucket: bucket}, nil
		}
	}
	// The ranges cover 0..9999, so one of them ends above any bucket.
	i, _ := slices.BinarySearchFunc(a.ranges, bucket, func(r bucketRange, b uint16) int {
		if r.end <= b {
			return -1
		}
		return 1
	})
	if bucket >= a.ranges[i].to {
		return Assignment{Index: -1, Excluded: true, Because: OutsideOfCoverage, Bucket: bucket}, nil
	}
	return Assignment{Arm: a.arms[i], Index: i, Bucket: bucket}, nil
}

// Arms returns the names of the arms in the order written.
func (a *Assigner) Arms() []string { return slices.Clone(a.arms) }

// Shares returns which part of those who take part each arm has, in the order of
// Arms. They add up to 1.
func (a *Assigner) Shares() []float64 {
	total := 0
	for _, r := range a.ranges {
		total += int(r.to - r.from)
	}
	out := make([]float64, len(a.ranges))
	for i, r := range a.ranges {
		out[i] = float64(r.to-r.from) / float64(total)
	}
	return out
}
