package experiment

import (
	"errors"
	"fmt"
	"math"
)

// Holdout keeps a part of the users out of every nudge of every rule.
type Holdout struct {
	Percent float64 // 0..100, in steps of 0.01
	Salt    string  // not empty if Percent is above 0; no NUL; a new one draws other users
}

// Validate reports everything that is wrong, joined into one error.
func (h Holdout) Validate() error {
	var errs []error
	if !(h.Percent >= 0 && h.Percent <= 100) { // a NaN is neither
		errs = append(errs, fmt.Errorf("holdout: percent is %v: state a number from 0 to 100", h.Percent))
	} else if off := math.Abs(h.Percent*bucketsPerPercent - float64(h.limit())); off > 1e-6 {
		errs = append(errs, fmt.Errorf("holdout: percent is %v: the finest step is 0.01", h.Percent))
	}
	if h.Percent > 0 && h.Salt == "" {
		errs = append(errs, errors.New("holdout: it has no salt: give it one that stays the same, such as global-2026"))
	}
	if hasNUL(h.Salt) {
		errs = append(errs, fmt.Errorf("holdout: %w", nulError("salt", h.Salt)))
	}
	return errors.Join(errs...)
}

// In tells whether a unit (a user id) is held out: its bucket is below
// Percent * 100. It errs on a NUL in the unit or the salt. The Holdout must be
// valid. Nothing is allocated.
func (h Holdout) In(unit string) (bool, error) {
	bucket, err := Bucket(KindHoldout, h.Salt, unit)
	return err == nil && int(bucket) < h.limit(), err
}

// limit is the number of buckets held out. It is rounded because, say, 0.07*100
// is a little more than 7 in floating point, which would add a bucket.
func (h Holdout) limit() int { return int(math.Round(h.Percent * bucketsPerPercent)) }
